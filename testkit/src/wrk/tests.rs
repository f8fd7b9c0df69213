use super::*;
use crate::journal_server::{Journal, Script};
use crate::peers::available;

fn call(argument: u32) -> Request {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{argument},"method":"tools/call","params":{{"name":"echo","arguments":{{"n":{argument}}}}}}}"#
    );
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Request { headers, body }
}

#[tokio::test]
async fn a_load_is_counted_and_timed() {
    let journal = Journal::start_on_own_thread(Script::bench()).unwrap();
    let load = Load::new(&journal.url(), &[call(1)]).unwrap().connections(2);
    let Some(report) = available(load.run().await) else {
        return;
    };
    assert!(report.is_clean(), "{report:?}");
    assert!(
        report.p50_us > 0.0 && report.p50_us <= report.p99_us && report.p99_us <= report.max_us,
        "{report:?}"
    );
    assert!(report.requests_per_second() > 0.0);
    // Those still on their way at the end were run and not reported.
    assert!(journal.executions() >= report.requests);
    assert!(journal.executions() <= report.requests.saturating_add(4), "{report:?}");
}

#[tokio::test]
async fn errors_are_not_answers() {
    let journal = Journal::start_on_own_thread(Script::bench()).unwrap();
    let nowhere = journal.url().replace("/mcp", "/elsewhere");
    let Some(report) = available(Load::new(&nowhere, &[call(1)]).unwrap().run().await) else {
        return;
    };
    assert!(!report.is_clean() && report.failed > 0, "{report:?}");
}

#[tokio::test]
async fn no_prepared_request_is_sent_twice() {
    let journal = Journal::start_on_own_thread(Script::echo().without_sessions()).unwrap();
    let few: Vec<Request> = (0..50).map(call).collect();
    let load = Load::new(&journal.url(), &few).unwrap().connections(4).order(Order::Once);
    let Some(report) = available(load.run().await) else {
        return;
    };
    assert!(report.exhausted && report.failed == 0, "{report:?}");
    assert_eq!(report.requests, 50, "{report:?}");
    let mut bodies: Vec<_> = journal.calls().into_iter().map(|call| call.body).collect();
    assert_eq!(bodies.len(), 50);
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 50);

    let around = Load::new(&journal.url(), &few).unwrap().run().await.unwrap();
    assert!(!around.exhausted && around.requests > 50, "{around:?}");
}
