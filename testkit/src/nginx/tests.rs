use serde_json::json;

use super::*;
use crate::journal_server::{Journal, Script};
use crate::peers::available;

#[tokio::test]
async fn nginx_passes_a_call_on_over_a_kept_connection() {
    let journal = Journal::start(Script::echo().without_sessions()).await.unwrap();
    let Some(nginx) = available(Nginx::start(journal.address(), Buffering::Off).await) else {
        return;
    };
    let call = json!({
        "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "echo", "arguments": {"a": 1}}
    });
    for _ in 0..2 {
        let answer = http::post_json(&nginx.url("/mcp"), &[], &call).await.unwrap().json().unwrap();
        assert_eq!(answer["result"]["structuredContent"], json!({"echo": {"a": 1}}));
    }
    assert_eq!(journal.calls().len(), 2);
    assert_eq!(journal.calls()[0].header("connection"), None, "the pool keeps the connection");
    assert!(nginx.cpu_time().unwrap() > Duration::ZERO);
}

#[tokio::test]
async fn a_cache_that_all_share_keeps_one_answer_for_each_path() {
    let journal = Journal::start(Script::echo().without_sessions()).await.unwrap();
    let Some(cache) = available(Nginx::sharing(journal.address()).await) else {
        return;
    };
    for (n, made_of_it) in [(1, "MISS"), (1, "HIT"), (2, "HIT")] {
        let call = json!({
            "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "echo", "arguments": {"a": n}}
        });
        let answer = http::post_json(&cache.url("/mcp"), &[], &call).await.unwrap();
        assert_eq!(answer.header("x-cache"), Some(made_of_it), "{}", answer.text());
        assert_eq!(answer.json().unwrap()["result"]["structuredContent"], json!({"echo": {"a": 1}}));
    }
    assert_eq!(journal.calls().len(), 1);
}
