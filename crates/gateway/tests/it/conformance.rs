//! The official conformance suites, directly and through the gateway: a transparent proxy gives the same results.

use tempfile::TempDir;
use tollgate_testkit::conformance::{Check, Fixture, Suite, compare, counts, run};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};
use tollgate_testkit::peers::available;

use crate::world::Gateway;

/// A gateway in front of the fixture, by a name that the suites' own `Host` checks accept.
async fn in_front_of(fixture: &Fixture, policy: &str) -> (Gateway, String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("servers: {{ fx: {{ url: '{}'{policy} }} }}\n", fixture.url());
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let url = format!("http://localhost:{}/mcp", gateway.port);
    (gateway, url, folder)
}

/// Nothing of a server's is parsed.
const NO_POLICY: &str = "";
/// Every message is parsed and every call is vetted; it costs nothing.
const FREE_BY_POLICY: &str = ", every_tool: { price: [] }";

/// What a gateway that vets calls does otherwise than the server itself; `docs/reference/conformance.md` says why.
const VETTED: &[(&str, &str)] = &[
    // A server may hang up during a call and answer on a resumed stream. The gateway resumes it itself, so that no call goes
    // by unseen: the suite's client sees one stream, and nothing to resume.
    ("server-sse-polling", "server-sse-disconnect-resume"),
];

/// Asserts that the suites give the same results directly and through a gateway with this policy, but for what is named.
async fn assert_no_difference(fixture: &Fixture, policy: &str, named: &[(&str, &str)]) {
    let door = in_front_of(fixture, policy).await;
    assert_only_named(fixture, door, named).await;
}

async fn assert_only_named(fixture: &Fixture, door: (Gateway, String, TempDir), named: &[(&str, &str)]) {
    let (gateway, url, folder) = door;
    let direct = run(&fixture.url(), &folder.path().join("direct")).await.unwrap();
    let through = run(&url, &folder.path().join("through")).await.unwrap();
    gateway.assert_books_in_order();
    // The control: the fixture itself passes everything.
    let figures = Suite::ALL.map(|suite| counts(&direct, suite));
    assert_eq!(figures, [(40, 0), (84, 0), (152, 0)], "without the gateway");
    let mut differences = compare(&direct, &through);
    let is_named =
        |check: &Check| named.iter().any(|(scenario, id)| (check.scenario == *scenario) && check.id == *id);
    // Exactly what is named differs: a name that is no difference any more must go.
    for (scenario, id) in named {
        let is_it = |check: &Check| check.scenario == *scenario && check.id == *id;
        assert!(differences.lost.iter().any(is_it), "{scenario} {id} is no difference: {differences}");
    }
    differences.lost.retain(|check| !is_named(check));
    differences.gained.retain(|check| !is_named(check));
    assert!(differences.is_empty(), "{differences}");
}

#[tokio::test]
async fn with_every_policy_off_the_suites_see_no_difference() {
    let Some(fixture) = available(Fixture::start().await) else { return };
    assert_no_difference(&fixture, NO_POLICY, &[]).await;
}

#[tokio::test]
async fn with_a_policy_on_every_tool_the_suites_see_one_difference_that_is_named() {
    let Some(fixture) = available(Fixture::start().await) else { return };
    assert_no_difference(&fixture, FREE_BY_POLICY, VETTED).await;
}

#[tokio::test]
async fn in_front_of_python_with_every_policy_off_the_suites_see_no_difference() {
    let Some(fixture) = available(Fixture::start_python().await) else { return };
    assert_no_difference(&fixture, NO_POLICY, &[]).await;
}

#[tokio::test]
async fn in_front_of_python_with_a_policy_on_every_tool_the_suites_see_one_difference_that_is_named() {
    let Some(fixture) = available(Fixture::start_python().await) else { return };
    assert_no_difference(&fixture, FREE_BY_POLICY, VETTED).await;
}

/// What a federated door does otherwise than the fixture itself, each for a reason that `docs/reference/conformance.md` names.
const FEDERATED: &[(&str, &str)] = &[
    // The list of both servers is one JSON value; the fixture streams its own as an event. The suites call either right: without
    // a stream the check is an `INFO` instead of a `SUCCESS`.
    ("server-sse-multiple-streams", "server-sse-streams-functional"),
];

/// A gateway that has the fixture with its own names, beside another server: the suites call tools by the fixture's names, so those
/// of the other server are disjoint.
async fn federated(fixture: &Fixture, beside: &Journal) -> (Gateway, String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "servers: {{ fx: {{ url: '{}', names: plain }}, other: {{ url: '{}' }} }}\n",
        fixture.url(),
        beside.url()
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let url = format!("http://localhost:{}/mcp", gateway.port);
    (gateway, url, folder)
}

async fn assert_federated(fixture: &Fixture, named: &[(&str, &str)]) {
    let journal = Journal::start(Script::new().tool("beside", Behaviour::Echo)).await.unwrap();
    let door = federated(fixture, &journal).await;
    assert_only_named(fixture, door, named).await;
    assert!(journal.messages().contains(&"tools/list".to_owned()), "the other server takes part");
}

#[tokio::test]
async fn federated_with_another_server_the_suites_see_only_the_differences_that_are_named() {
    let Some(fixture) = available(Fixture::start().await) else { return };
    assert_federated(&fixture, FEDERATED).await;
}

#[tokio::test]
async fn federated_in_front_of_python_the_suites_see_only_the_differences_that_are_named() {
    let Some(fixture) = available(Fixture::start_python().await) else { return };
    assert_federated(&fixture, FEDERATED).await;
}
