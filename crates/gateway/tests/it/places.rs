//! Sessions that the gateway keeps for a program have a bound: no stranger keeps everybody else out.

use std::path::Path;

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, send};

use crate::holder::Holder;
use crate::transport::Wire;
use crate::world::Gateway;

/// As many as a program has.
const SESSIONS_MAX: usize = 64;

/// A program of the era of sessions: it says who it is, and answers everything else with nothing.
const PROGRAM: &str = r#"
while IFS= read -r line; do
  case $line in *'"id":'*) ;; *) continue ;; esac
  rest=${line#*'"id":'}; id=${rest%%[,\}]*}
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"server/discover"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}\n' "$id"; continue ;;
    *'"tools/list"'*) result='{"tools":[]}' ;;
    *) result='{}' ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"#;

fn written(folder: &Path) {
    std::fs::write(folder.join("program.sh"), PROGRAM).unwrap();
    let server = format!("{{ command: [sh, '{}'] }}", folder.join("program.sh").display());
    let yaml = format!("servers: {{ full: {server}, other: {server} }}\n");
    std::fs::write(folder.join("tollgate.yaml"), yaml).unwrap();
}

async fn post(url: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let mut all =
        vec![("accept", "application/json, text/event-stream"), ("content-type", "application/json")];
    all.extend(headers);
    send(Method::POST, url, &all, body.to_string()).await.unwrap()
}

async fn opened(url: &str, headers: &[(&str, &str)]) -> Answer {
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });
    post(url, &hello, headers).await
}

fn session(opened: &Answer) -> String {
    assert_eq!(opened.status, 200, "{}", opened.text());
    opened.header("mcp-session-id").unwrap().to_owned()
}

/// Whether the session is still there.
async fn answers(url: &str, session: &str) -> bool {
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let within = [("mcp-session-id", session), ("mcp-protocol-version", "2025-11-25")];
    let answer = post(url, &ping, &within).await;
    assert!([200, 404].contains(&answer.status.as_u16()), "{} {}", answer.status, answer.text());
    answer.status == 200
}

/// Which servers have no part in a session at `/mcp`.
fn failed(opened: &Answer) -> Value {
    opened.json().unwrap()["result"]["_meta"]["tollgate/federation"]["failed"].clone()
}

#[tokio::test]
async fn a_stranger_with_every_session_of_a_program_keeps_no_caller_with_a_key_out() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let gateway = Gateway::dev(folder.path()).await;
    let url = format!("{}/servers/full/mcp", gateway.url);
    let caller = Holder::new(&gateway);
    caller.until_known("/api/v1/escrow").await;
    let bearer = caller.bearer();
    let key = [("authorization", bearer.as_str())];

    // Control: where nobody else is, a key gets a session.
    let own = session(&opened(&url, &key).await);
    let ended = [("mcp-session-id", own.as_str())];
    assert_eq!(send(Method::DELETE, &url, &ended, "").await.unwrap().status, 204);

    let mut strangers = Vec::new();
    let mut streams = Vec::new();
    while strangers.len() < SESSIONS_MAX {
        let hello = opened(&url, &[]).await;
        // The place of the session before is free once its program has ended.
        if hello.status == 503 && strangers.len() == SESSIONS_MAX - 1 {
            tokio::task::yield_now().await;
            continue;
        }
        let own = session(&hello);
        let head = [
            "GET /servers/full/mcp HTTP/1.1".to_owned(),
            "host: localhost".to_owned(),
            "accept: text/event-stream".to_owned(),
            "mcp-protocol-version: 2025-11-25".to_owned(),
            format!("mcp-session-id: {own}"),
        ];
        let mut stream = Wire::open(gateway.port, &head, "").await;
        stream.until("200 OK").await;
        streams.push(stream);
        strangers.push(own);
    }
    assert_eq!(opened(&url, &[]).await.status, 503, "the bound holds for the stranger itself");
    for made_up in ["tgk_0000000000000000", "tgk_other"] {
        let refused = opened(&url, &[("x-api-key", made_up)]).await;
        assert_eq!(refused.status, 503, "a key that is none makes nobody else of it: {}", refused.text());
    }
    let federated = opened(&gateway.mcp(), &[]).await;
    assert_eq!(failed(&federated).as_array().map(Vec::len), Some(1), "{}", federated.text());

    // At the server's own door, and at the door of all servers.
    let own = session(&opened(&url, &key).await);
    assert!(answers(&url, &own).await);
    let federated = opened(&gateway.mcp(), &key).await;
    assert_eq!(failed(&federated), json!([]), "{}", federated.text());

    let mut left = 0;
    for stranger in &strangers {
        left += usize::from(answers(&url, stranger).await);
    }
    assert_eq!(left, SESSIONS_MAX - 2, "no more than what was needed has ended");
    assert!(answers(&url, &own).await);
    assert_eq!(opened(&url, &[]).await.status, 503, "and nothing is taken back");
}
