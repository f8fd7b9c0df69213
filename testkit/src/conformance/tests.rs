use super::*;
use crate::peers::available;

fn check(id: &str, status: &str) -> Check {
    Check {
        suite: Suite::Legacy,
        scenario: "ping".to_owned(),
        id: id.to_owned(),
        status: status.to_owned(),
        message: Message::default(),
    }
}

#[test]
fn a_repeated_check_counts_as_often_as_it_comes() {
    let twice = [check("a", "SUCCESS"), check("a", "SUCCESS"), check("b", "SUCCESS")];
    let once = [check("b", "SUCCESS"), check("a", "SUCCESS")];
    let differences = compare(&twice, &once);
    assert_eq!(differences, Differences { lost: vec![check("a", "SUCCESS")], gained: vec![] });
    assert!(compare(&twice, &twice).is_empty());
}

#[test]
fn another_status_is_a_loss_and_a_gain_and_other_words_are_nothing() {
    let passed = [check("a", "SUCCESS")];
    let failed = [check("a", "FAILURE")];
    let differences = compare(&passed, &failed);
    assert_eq!(differences, Differences { lost: passed.to_vec(), gained: failed.to_vec() });
    assert_eq!(differences.to_string().lines().count(), 2);
    let mut other_words = failed.clone();
    other_words[0].message = Message(Some("at 10:04".to_owned()));
    assert!(compare(&failed, &other_words).is_empty());
}

#[tokio::test]
async fn the_fixture_reaches_the_baselines_twice_with_equal_checks() {
    let Some(fixture) = available(Fixture::start().await) else { return };
    reaches_the_baselines_twice(&fixture).await;
}

#[tokio::test]
async fn the_fixture_in_python_reaches_them_too() {
    let Some(fixture) = available(Fixture::start_python().await) else { return };
    reaches_the_baselines_twice(&fixture).await;
}

async fn reaches_the_baselines_twice(fixture: &Fixture) {
    let out = tempfile::tempdir().unwrap();
    let first = run(&fixture.url(), &out.path().join("first")).await.unwrap();
    let second = run(&fixture.url(), &out.path().join("second")).await.unwrap();
    let failures: Vec<&Check> = first.iter().filter(|check| check.status != "SUCCESS").collect();
    let figures = Suite::ALL.map(|suite| counts(&first, suite));
    // The figures of the SDK projects' own fixtures.
    assert_eq!(figures, [(40, 0), (84, 0), (152, 0)], "{failures:?}");
    let differences = compare(&first, &second);
    assert!(differences.is_empty(), "{differences}");
}
