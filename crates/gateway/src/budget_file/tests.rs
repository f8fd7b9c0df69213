use std::thread;

use tempfile::TempDir;
use tollgate_payer::budget::{Limit, Limits, Refused};

use super::*;

const ASSET: &str = "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e";
const LIMITS: Limits = Limits { per_call: Amount::new(1), per_day: Amount::new(100), total: Amount::new(7) };

fn asset() -> AssetId {
    ASSET.parse().unwrap()
}

fn reserve() -> Event {
    Event::Reserve { amount: Amount::new(1), limits: LIMITS, today: Day::new(20_000) }
}

fn book() -> (TempDir, BudgetFile) {
    let folder = tempfile::tempdir().unwrap();
    let book = BudgetFile::of(&DataDirectory::open(folder.path()).unwrap());
    (folder, book)
}

#[test]
fn of_many_who_reserve_at_once_as_many_succeed_as_there_is_money_for() {
    let (_folder, book) = book();
    // Each has its own handle of the file, as processes have: the lock belongs to the handle.
    let outcomes: Vec<Result<Counted, BookError>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(|| book.change(&asset(), reserve()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7);
    for outcome in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(
            matches!(outcome, BookError::Refused(Refused::Exceeded { limit: Limit::Total, .. })),
            "{outcome}"
        );
    }
}

#[test]
fn what_was_counted_is_there_after_a_restart_and_what_was_given_back_is_not() {
    let (folder, book) = book();
    for _ in 0..3 {
        book.change(&asset(), reserve()).unwrap();
    }
    book.change(&asset(), Event::Settle { amount: Amount::new(1) }).unwrap();
    book.change(&asset(), Event::Release { amount: Amount::new(1), counted_on: Day::new(20_000) }).unwrap();
    let again = BudgetFile::of(&DataDirectory::open(folder.path()).unwrap());
    let counted = Counted::from(&again.read().unwrap().assets[&asset()]);
    let expected = Counted {
        total: Amount::new(2),
        day: Day::new(20_000),
        of_day: Amount::new(2),
        open: Amount::new(1),
    };
    assert_eq!(counted, expected);
}

#[test]
fn a_crash_before_the_rename_changes_nothing() {
    let (_folder, book) = book();
    book.change(&asset(), reserve()).unwrap();
    fs::write(book.path.with_extension("budget.new"), "{\"assets\":{\"half").unwrap();
    let counted = book.change(&asset(), reserve()).unwrap();
    assert_eq!(counted.total, Amount::new(2));
}

#[test]
fn a_file_that_cannot_be_read_is_not_an_empty_one() {
    let (_folder, book) = book();
    for damaged in ["", "{}", "{\"assets\":{\"x\":{}}}", "null", "{\"assets\":{},\"more\":1}"] {
        fs::write(&book.path, damaged).unwrap();
        let outcome = book.change(&asset(), reserve());
        assert!(matches!(outcome, Err(BookError::Broken(_))), "{damaged}: {outcome:?}");
        assert_eq!(fs::read_to_string(&book.path).unwrap(), damaged, "and it is left as it is");
    }
    fs::remove_file(&book.path).unwrap();
    book.change(&asset(), reserve()).expect("positive control: no file is an empty one");
}
