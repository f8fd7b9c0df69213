//! Sessions of the era of sessions over several servers.

use http::Method;
use serde_json::json;
use tollgate_testkit::http::send;
use tollgate_testkit::journal_server::{Journal, Script};

use super::{Session, Two, names, result};
use crate::world::{Gateway, delivered};

#[tokio::test]
async fn a_session_spans_all_servers_and_hides_their_own_ids() {
    let two = Two::echoes().await;
    let session = Session::open(&two.mcp()).await;
    assert!(!session.id.contains("session-") && session.id.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(session.opened["protocolVersion"], "2025-11-25");
    assert_eq!(session.opened["capabilities"], json!({ "tools": { "listChanged": true } }));
    assert_eq!(session.opened["serverInfo"]["name"], "tollgate");
    for journal in [&two.a, &two.b] {
        assert_eq!(journal.messages(), ["initialize", "notifications/initialized"], "opened once, and told");
    }
    assert_eq!(names(&result(&session.ask("tools/list", &json!({})).await)).len(), 2);
    for (journal, tool) in [(&two.a, "a__echo"), (&two.b, "b__echo")] {
        let answer = session.call(tool, &json!({})).await;
        delivered(&answer);
        assert_eq!(answer.header("mcp-session-id"), None);
        let call = journal.calls().remove(0);
        assert!(call.header("mcp-session-id").unwrap().starts_with("session-"), "the server's own");
        assert_eq!(call.header("mcp-protocol-version"), Some("2025-11-25"));
        assert!(
            !journal.messages().iter().skip(2).any(|method| method == "initialize"),
            "one session for all of it"
        );
    }
    assert_eq!(result(&session.ask("ping", &json!({})).await), json!({}));
    let unknown = session.ask("no/such", &json!({})).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json().unwrap()["error"]["code"]), (200, &json!(-32_601)));
}

#[tokio::test]
async fn m7_a_session_is_its_callers_and_ends() {
    let two = Two::echoes().await;
    let session = Session::open(&two.mcp()).await;
    let keyed = Session::open_with(&two.mcp(), &[("x-api-key", "tg_first")]).await;
    delivered(&session.call("a__echo", &json!({})).await);
    delivered(&keyed.call("a__echo", &json!({})).await);
    two.a.clear();
    two.b.clear();

    let mut tampered = session.id.clone().into_bytes();
    let middle = tampered.len() / 2;
    tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(tampered).unwrap();
    for id in ["session-0", "", "x", &tampered, &session.id[..40], &keyed.id] {
        let other = Session { id: id.to_owned(), ..session.clone() };
        for refused in [other.call("a__echo", &json!({})).await, other.ask("tools/list", &json!({})).await] {
            assert_eq!(refused.status, 404, "{id}: {}", refused.text());
        }
        assert_eq!(other.send(Method::GET, "").await.status, 404, "{id}");
        assert_eq!(other.send(Method::DELETE, "").await.status, 404, "{id}");
    }
    let stolen = Session { more: vec![("x-api-key".to_owned(), "tg_second".to_owned())], ..keyed.clone() };
    assert_eq!(stolen.call("a__echo", &json!({})).await.status, 404, "another key");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    let without =
        send(Method::POST, &two.mcp(), &[("content-type", "application/json")], body).await.unwrap();
    assert_eq!(without.status, 400, "a session is required");
    assert!(two.a.messages().is_empty() && two.b.messages().is_empty(), "nobody was asked");

    assert_eq!(session.send(Method::DELETE, "").await.status, 200);
    assert_eq!(two.a.messages(), ["DELETE"]);
    assert_eq!(two.b.messages(), ["DELETE"]);
    assert_eq!(session.ask("ping", &json!({})).await.status, 404, "ended");
    delivered(&keyed.call("a__echo", &json!({})).await);
}

#[tokio::test]
async fn a_session_that_one_server_forgot_is_404_until_the_client_opens_another() {
    let two = Two::echoes().await;
    let session = Session::open(&two.mcp()).await;
    delivered(&session.call("b__echo", &json!({})).await);
    two.b.forget_sessions();
    assert_eq!(session.call("b__echo", &json!({})).await.status, 404);
    assert_eq!(session.ask("tools/list", &json!({})).await.status, 404);
    delivered(&session.call("a__echo", &json!({})).await);
    let again = Session::open(&two.mcp()).await;
    delivered(&again.call("b__echo", &json!({})).await);
}

#[tokio::test]
async fn any_gateway_with_the_same_secret_can_answer_in_a_session() {
    let (a, b) =
        (Journal::start(Script::echo()).await.unwrap(), Journal::start(Script::echo()).await.unwrap());
    let yaml = format!("servers: {{ a: {{ url: '{}' }}, b: {{ url: '{}' }} }}\n", a.url(), b.url());
    let folders = [super::configured(&yaml), super::configured(&yaml), super::configured(&yaml)];
    let secret = [("GATE_HMAC_SECRET", "0123456789abcdef0123456789abcdef-one")];
    let other = [("GATE_HMAC_SECRET", "0123456789abcdef0123456789abcdef-two")];
    let first = Gateway::dev_with(folders[0].path(), &secret).await;
    let second = Gateway::dev_with(folders[1].path(), &secret).await;
    let stranger = Gateway::dev_with(folders[2].path(), &other).await;
    let session = Session::open(&first.mcp()).await;
    let at = |gateway: &Gateway| Session { url: gateway.mcp(), ..session.clone() };
    delivered(&at(&second).call("a__echo", &json!({})).await);
    delivered(&at(&second).call("b__echo", &json!({})).await);
    assert_eq!(at(&stranger).call("a__echo", &json!({})).await.status, 404);
    assert_eq!(a.executions(), 1);
}

#[tokio::test]
async fn a_session_expires() {
    let two =
        Two::new([Script::echo(), Script::echo()], ["", ""], "federation: { session_ttl_seconds: 0 }\n")
            .await;
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } });
    let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string();
    let opened = send(Method::POST, &two.mcp(), &[("content-type", "application/json")], body).await.unwrap();
    let id = opened.header("mcp-session-id").unwrap().to_owned();
    let session = Session { url: two.mcp(), id, opened: json!({}), more: Vec::new() };
    assert_eq!(session.ask("ping", &json!({})).await.status, 404, "its time was over at once");
    let lasting = Two::echoes().await;
    let control = Session::open(&lasting.mcp()).await;
    assert_eq!(control.ask("ping", &json!({})).await.status, 200, "control");
}
