//! Servers of one era only: each caller gets those that speak its own, and is told.

use serde_json::json;
use tollgate_testkit::journal_server::Script;

use super::{Session, Two, modern, modern_with, names, result};
use crate::world::{call, code, delivered};

#[tokio::test]
async fn each_era_has_the_servers_that_speak_it() {
    let two = Two::new([Script::echo().legacy_only(), Script::echo().modern_only()], ["", ""], "").await;
    let discovered = result(&modern(&two.mcp(), "server/discover", &json!({})).await);
    assert_eq!(discovered["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(discovered["cacheScope"], "public");
    let said = &discovered["_meta"]["tollgate/federation"];
    assert_eq!(said["servers"], json!([{ "server": "b", "era": "modern", "versions": ["2026-07-28"] }]));
    assert_eq!(said["failed"], json!([{ "server": "a", "reason": "speaks_another_era" }]));
    assert_eq!(names(&result(&modern(&two.mcp(), "tools/list", &json!({})).await)), ["b__echo"]);
    delivered(&call(&two.mcp(), "b__echo", &json!({}), &json!({}), &[]).await);
    let other = call(&two.mcp(), "a__echo", &json!({}), &json!({}), &[]).await;
    assert_eq!((other.status.as_u16(), code(&other).as_str()), (400, "sessions_only"), "{}", other.text());

    let session = Session::open(&two.mcp()).await;
    let said = &session.opened["_meta"]["tollgate/federation"];
    assert_eq!(said["servers"][0]["server"], "a");
    assert_eq!(said["failed"][0], json!({ "server": "b", "reason": "speaks_another_era" }));
    let list = result(&session.ask("tools/list", &json!({})).await);
    assert_eq!(names(&list), ["a__echo"]);
    delivered(&session.call("a__echo", &json!({})).await);
    assert_eq!((two.a.executions(), two.b.executions()), (1, 1));
    // Whoever misses the tools of a server finds out why.
    modern(&two.mcp(), "tools/list", &json!({})).await;
    let log = two.gateway.whole_log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("era of sessions only")).collect();
    assert!(told.len() == 1 && told[0].contains(r#""server":"a""#), "{told:?}");
}

#[tokio::test]
async fn a_door_without_stateless_requests_leads_clients_of_both_eras_to_sessions_with_all_servers() {
    let more = "federation: { stateless: false }\n";
    let two = Two::new([Script::echo().legacy_only(), Script::echo()], ["", ""], more).await;
    for method in ["server/discover", "tools/list"] {
        let refused = modern(&two.mcp(), method, &json!({})).await;
        let said = refused.json().unwrap();
        assert_eq!((refused.status.as_u16(), &said["error"]["code"]), (400, &json!(-32_600)), "{said}");
        assert_eq!(said["id"], json!(null), "as of a server that could not read it");
    }
    let session = Session::open(&two.mcp()).await;
    assert_eq!(names(&result(&session.ask("tools/list", &json!({})).await)), ["a__echo", "b__echo"]);
    delivered(&session.call("b__echo", &json!({})).await);
    // Control: the door of the server itself answers them.
    let own = format!("{}/servers/b/mcp", two.gateway.url);
    assert_eq!(names(&result(&modern(&own, "tools/list", &json!({})).await)), ["echo"]);
}

#[tokio::test]
async fn where_nobody_speaks_an_era_the_client_is_sent_to_the_other() {
    let legacy = Two::new([Script::echo().legacy_only(), Script::echo().legacy_only()], ["", ""], "").await;
    for method in ["server/discover", "tools/list"] {
        let refused = modern(&legacy.mcp(), method, &json!({})).await;
        let said = refused.json().unwrap();
        // A modern error code would keep a client that speaks both eras from falling back.
        assert_eq!((refused.status.as_u16(), &said["error"]["code"]), (400, &json!(-32_600)), "{said}");
    }
    delivered(&Session::open(&legacy.mcp()).await.call("b__echo", &json!({})).await);

    let modern_only =
        Two::new([Script::echo().modern_only(), Script::echo().modern_only()], ["", ""], "").await;
    let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": { "protocolVersion": "2025-11-25", "capabilities": {} } });
    let refused = crate::world::post(&modern_only.mcp(), &body, &[]).await;
    let said = refused.json().unwrap();
    assert_eq!((refused.status.as_u16(), &said["error"]["code"]), (400, &json!(-32_022)), "{said}");
    assert_eq!(said["error"]["data"]["supported"], json!(["2026-07-28"]));
    assert_eq!(names(&result(&modern(&modern_only.mcp(), "tools/list", &json!({})).await)).len(), 2);
}

#[tokio::test]
async fn the_modern_era_has_no_sessions_here_either() {
    let two = Two::echoes().await;
    let list = modern_with(&two.mcp(), "tools/list", &json!({}), &[("mcp-session-id", "anything")]).await;
    assert_eq!(names(&result(&list)).len(), 2);
    assert_eq!(list.header("mcp-session-id"), None);
    for method in [http::Method::GET, http::Method::DELETE] {
        let headers = [("mcp-protocol-version", "2026-07-28")];
        let refused = tollgate_testkit::http::send(method, &two.mcp(), &headers, "").await.unwrap();
        assert_eq!(refused.status, 405);
    }
    let unknown = modern(&two.mcp(), "no/such", &json!({})).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json().unwrap()["error"]["code"]), (404, &json!(-32_601)));
    let ping = modern(&two.mcp(), "ping", &json!({})).await;
    assert_eq!(ping.status, 404, "the modern era has no ping");
}
