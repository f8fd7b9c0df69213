//! The era of sessions: paid calls in a session that is the upstream's own.

use http::Method;
use serde_json::json;
use tollgate_testkit::conformance::Fixture;
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::{Behaviour, Era, Journal, Script};
use tollgate_testkit::peers::available;

use super::{Session, Wire};
use crate::world::{
    Demand, Gateway, PRICE, PRICED, START, TOLLGATE, World, code, delivered, post, soon, statement,
};

#[tokio::test]
async fn a_call_in_a_legacy_session_is_paid_and_receipted() {
    let world = World::paid_echo().await;
    let session = Session::open(&world.gateway.mcp()).await;
    let direct = Session::open(&world.journal.url()).await;
    assert_ne!(session.id, direct.id);
    delivered(&direct.call("echo", &json!({}), &json!({})).await);
    // The server's own session, with a tag that says whose it is.
    let (own, _tag) = session.id.rsplit_once('.').unwrap();
    let elsewhere = Session { url: world.journal.url(), id: own.to_owned(), ..direct };
    delivered(&elsewhere.call("echo", &json!({}), &json!({})).await);
    world.journal.clear();

    let arguments = json!({ "n": 1 });
    let unpaid = session.call("echo", &arguments, &json!({})).await;
    assert_eq!(unpaid.status, 200);
    let demand = Demand::read(&unpaid);
    assert_eq!(demand.result.get("resultType"), None, "the era of sessions has no such member");
    assert_eq!(unpaid.json().unwrap()["id"], 7);
    assert!(world.journal.calls().is_empty());

    let x402 = json!({ "x402/payment": demand.sign(&world.payer()), "progressToken": 5 });
    let result = delivered(&session.call("echo", &arguments, &x402).await);
    assert_eq!(result["structuredContent"]["echo"], arguments);
    assert_eq!(statement(&result)["charged"], true);
    assert_eq!(result["_meta"]["x402/payment-response"]["success"], true);
    let l402 = json!({ "l402/authorization": world.l402_credential("echo", &arguments).await });
    let result = delivered(&session.call("echo", &arguments, &l402).await);
    assert_eq!(statement(&result)["price"]["rail"], "l402");

    let calls = world.journal.calls();
    assert_eq!(calls.len(), 2);
    for call in &calls {
        assert_eq!((call.era, call.header("mcp-session-id")), (Era::Legacy, Some(own)));
        assert_eq!(call.header("mcp-protocol-version"), Some("2025-11-25"));
    }
    assert!(calls[0].body.windows(13).any(|part| part == b"progressToken"), "what is not ours passes");
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
    assert_eq!(world.payer_account(), [PRICE, 100_000_000, 0, 0]);
    assert_eq!(world.gateway.account("clearing:l402"), [10_000, 0, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_call_in_a_session_of_any_revision_is_paid_and_receipted() {
    let world = World::paid_echo().await;
    let revisions = [
        // The first revision with sessions knows no header for the version, and none means that one.
        ("2025-03-26", None),
        ("2025-03-26", Some("2025-03-26")),
        ("2025-06-18", Some("2025-06-18")),
        ("2025-11-25", Some("2025-11-25")),
    ];
    for (n, (revision, version)) in (1_u32..).zip(revisions) {
        let session = Session::speaking(&world.gateway.mcp(), "", revision, version).await;
        let arguments = json!({ "n": n });
        let demand = Demand::read(&session.call("echo", &arguments, &json!({})).await);
        assert_eq!(demand.result.get("resultType"), None, "{revision}");
        let paid = json!({ "x402/payment": demand.sign(&world.payer()) });
        let result = delivered(&session.call("echo", &arguments, &paid).await);
        assert_eq!(result["structuredContent"]["echo"], arguments, "{revision}");
        assert_eq!(statement(&result)["charged"], true, "{revision}");
        let call = world.journal.calls().pop().unwrap();
        assert_eq!((call.era, call.header("mcp-protocol-version")), (Era::Legacy, version), "{revision}");
        assert_eq!(world.payer_balance().await, START - u128::from(n) * PRICE, "{revision}");
    }
    assert_eq!(world.journal.executions(), 4);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_session_that_the_upstream_forgot_is_404_and_costs_nothing() {
    let world = World::paid_echo().await;
    let session = Session::open(&world.gateway.mcp()).await;
    let arguments = json!({ "n": 1 });
    let x402 = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    let l402 = json!({ "l402/authorization": world.l402_credential("echo", &arguments).await });
    world.journal.forget_sessions();
    for payment in [&x402, &l402] {
        let gone = session.call("echo", &arguments, payment).await;
        assert_eq!(gone.status, 404, "only this status makes a client open a new session");
        let said = gone.json().unwrap();
        assert_eq!(said["error"]["message"], "Session not found", "the upstream's own words: {said}");
    }
    world.assert_untouched("a forgotten session").await;

    let again = Session::open(&world.gateway.mcp()).await;
    for payment in [&x402, &l402] {
        delivered(&again.call("echo", &arguments, payment).await);
    }
    assert_eq!(world.journal.executions(), 2, "control: the same payments in a new session");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn an_ended_session_is_ended_at_the_upstream() {
    let world = World::paid_echo().await;
    let session = Session::open(&world.gateway.mcp()).await;
    Demand::read(&session.call("echo", &json!({}), &json!({})).await);
    let headers = [("mcp-session-id", session.id.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let ended = send(http::Method::DELETE, &world.gateway.mcp(), &headers, "").await.unwrap();
    assert_eq!(ended.status, 200);
    let ping = json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" }).to_string();
    assert_eq!(session.post(ping.clone()).await.status, 404);
    let open = Session::open(&world.gateway.mcp()).await;
    assert_eq!(open.post(ping).await.status, 200, "control");
}

#[tokio::test]
async fn an_unknown_tool_in_a_legacy_session_is_an_error_under_200() {
    let script = Script::echo().tool("free", Behaviour::Echo);
    let world = World::new(script, &[("echo", PRICED), ("ghost", PRICED)]).await;
    let session = Session::open(&world.gateway.mcp()).await;
    for tool in ["ghost", "nobody"] {
        let refused = session.call(tool, &json!({}), &json!({})).await;
        let said = refused.json().unwrap();
        assert_eq!(refused.status, 200, "404 would say that the session is gone: {said}");
        assert_eq!((code(&refused).as_str(), &said["error"]["code"]), ("unknown_tool", &json!(-32_602)));
    }
    assert!(world.journal.calls().is_empty());
    delivered(&session.call("free", &json!({}), &json!({})).await);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn an_answer_that_nobody_paid_for_cannot_be_had_by_resuming_its_stream() {
    let Some(fixture) = available(Fixture::start().await) else { return };
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("servers: {{ up: {{ url: '{}', every_tool: {PRICED} }} }}\n", fixture.url());
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let world = World { journal: Journal::start(Script::new()).await.unwrap(), gateway, folder };
    let mcp = format!("http://localhost:{}/mcp", world.gateway.port);
    let secret = "Answered after a reconnection.";

    // The server hangs up and keeps its answer for whoever comes back for it: the gateway does, and the answer is paid for.
    let session = Session::open(&mcp).await;
    let demand = Demand::read(&session.call("test_reconnection", &json!({}), &json!({})).await);
    let payment = json!({ "x402/payment": demand.sign(&world.payer()) });
    let answer = session.call("test_reconnection", &json!({}), &payment).await;
    assert!(
        answer.text().contains(secret) && answer.text().contains("tollgate/receipt"),
        "{}",
        answer.text()
    );
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE, "charged once");
    let id = answer.text().lines().find_map(|line| line.strip_prefix("id: ").map(str::to_owned));
    let id = id.unwrap_or_else(|| panic!("the fixture names its events: {}", answer.text()));

    let resume = async |port: u16, session: &str| {
        let head = [
            "GET /mcp HTTP/1.1".to_owned(),
            format!("host: localhost:{port}"),
            "accept: text/event-stream".to_owned(),
            "mcp-protocol-version: 2025-11-25".to_owned(),
            format!("mcp-session-id: {session}"),
            format!("last-event-id: {id}"),
        ];
        Wire::open(port, &head, "").await
    };
    let resumed = soon(resume(world.gateway.port, &session.id).await.rest()).await;
    assert!(!resumed.contains(secret), "no answer comes this way, paid for or not: {resumed}");

    // Control: the server itself would give it away.
    let port: http::Uri = fixture.url().parse().unwrap();
    let (own, _tag) = session.id.rsplit_once('.').unwrap();
    soon(resume(port.port_u16().unwrap(), own).await.until(secret)).await;
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE, "nothing more was charged");
    world.gateway.assert_books_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stateless_call_of_a_server_with_sessions_only_is_refused_before_anybody_is_asked_to_pay() {
    let world = World::new(Script::echo().legacy_only(), &[("echo", PRICED)]).await;
    let refused = world.call("echo", &json!({})).await;
    assert_eq!(
        (refused.status.as_u16(), code(&refused).as_str()),
        (400, "sessions_only"),
        "{}",
        refused.text()
    );
    world.assert_untouched("an era that it does not speak").await;
    // A client that speaks both eras opens a session, and pays there.
    let mcp = world.gateway.mcp();
    let paid = world.gateway.cli(&["call", "echo", "n=1", "--max", "0.01USDC", "--url", &mcp]);
    assert!(paid.status.success(), "{paid:?}");
    assert_eq!(world.journal.executions(), 1);

    // Control: a server that speaks both names its price at once.
    let world = World::new(Script::echo(), &[("echo", PRICED)]).await;
    Demand::read(&world.call("echo", &json!({})).await);
}

#[tokio::test]
async fn a_call_without_a_session_is_refused_before_anybody_is_asked_to_pay() {
    let world = World::paid_echo().await;
    let call = super::legacy_call("echo", &json!({}), &json!({}));
    let headers = [("accept", "application/json, text/event-stream"), ("mcp-protocol-version", "2025-11-25")];
    let refused = crate::world::post(&world.gateway.mcp(), &call, &headers).await;
    assert_eq!(
        (refused.status.as_u16(), code(&refused).as_str()),
        (400, "session_missing"),
        "{}",
        refused.text()
    );
    world.assert_untouched("no session").await;
    let session = Session::open(&world.gateway.mcp()).await;
    Demand::read(&session.call("echo", &json!({}), &json!({})).await);

    // A server that gives out no sessions is called without one.
    let world = World::new(Script::echo().without_sessions(), &[("echo", PRICED)]).await;
    Demand::read(&crate::world::post(&world.gateway.mcp(), &call, &headers).await);
}

const API: &str = r#"{"openapi":"3.0.3","info":{"title":"API","version":"1"},"paths":{"/a":{"get":{"operationId":"a","responses":{"200":{"description":"A"}}}}}}"#;

#[tokio::test]
async fn a_version_that_the_era_never_had_is_refused_at_every_door_where_the_gateway_is_the_server() {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.json"), API).unwrap();
    let yaml = format!(
        "servers:\n  up: {{ url: '{}' }}\n  program: {{ command: ['{TOLLGATE}', demo-server] }}\n  \
         rest: {{ openapi: ./api.json, url: 'http://127.0.0.1:9/' }}\nbuiltin_tools: true\n",
        journal.url()
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" }).to_string();
    for (door, has_sessions) in [
        ("/mcp", true),
        ("/servers/program/mcp", true),
        ("/servers/rest/mcp", false),
        ("/servers/tollgate/mcp", false),
    ] {
        let url = format!("{}{door}", gateway.url);
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" } });
        let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let accept = ("accept", "application/json, text/event-stream");
        let opened = post(&url, &initialize, &[accept]).await;
        let session = opened.header("mcp-session-id").map(str::to_owned);
        assert_eq!(
            (opened.status.as_u16(), session.is_some()),
            (200, has_sessions),
            "{door}: {}",
            opened.text()
        );
        let ask = async |method: Method, version: Option<&str>| -> Answer {
            let mut headers = vec![("content-type", "application/json"), accept];
            headers.extend(session.as_deref().map(|id| ("mcp-session-id", id)));
            headers.extend(version.map(|version| ("mcp-protocol-version", version)));
            let body = if method == Method::POST { list.clone() } else { String::new() };
            send(method, &url, &headers, body).await.unwrap()
        };
        for version in ["1999-01-01", "2025-12-24", "2025-11", "bogus"] {
            let refused = ask(Method::POST, Some(version)).await;
            let said = refused.json().unwrap();
            assert_eq!(
                (refused.status.as_u16(), &said["error"]["code"]),
                (400, &json!(-32_600)),
                "{door} {version}: {said}"
            );
            for method in [Method::GET, Method::DELETE] {
                let status = ask(method.clone(), Some(version)).await.status.as_u16();
                assert_eq!(status, if has_sessions { 400 } else { 405 }, "{door} {method} {version}");
            }
        }
        for version in [Some("2025-11-25"), Some("2025-06-18"), None] {
            let listed = ask(Method::POST, version).await;
            assert_eq!(listed.status, 200, "{door} {version:?}, control: {}", listed.text());
        }
    }
}
