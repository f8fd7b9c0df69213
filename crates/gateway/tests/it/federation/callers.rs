//! Lists that show each caller only what they may call.

use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Script};

use super::{Session, Two, message, modern_with, names, result};
use crate::paid_calls::{api_key, until_known};
use crate::world::{call, code, delivered, post};

const GUARDED: &str = ", list_callable_only: true, tools: { inner: { api_key: true }, trusted: { min_reputation: 0.9 } }, every_tool: {}";

fn script() -> Script {
    Script::echo().tool("inner", Behaviour::Echo).tool("trusted", Behaviour::Echo)
}

async fn listed(url: &str, key: Option<&str>) -> Value {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    result(&modern_with(url, "tools/list", &json!({}), &headers).await)
}

/// The names of a merged list with these of the guarded server.
fn beside(guarded: &[&str]) -> Vec<String> {
    guarded.iter().chain(&["b__echo", "b__inner", "b__trusted"]).map(|&name| name.to_owned()).collect()
}

/// The names of the guarded server's tools among those for sale.
fn of_a(sold: &Value) -> Vec<String> {
    let all = sold["tools"].as_array().unwrap();
    let own = all.iter().filter(|tool| tool["server"] == "a");
    let mut names: Vec<String> = own.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn m11_a_list_shows_each_caller_what_they_may_call_and_is_theirs_alone() {
    let two = Two::new([script(), script()], [GUARDED, ", every_tool: {}"], "").await;
    let (_, key) = api_key(&two.gateway);
    let bearer = format!("Bearer {key}");
    let inner = async || -> Answer {
        call(&two.mcp(), "a__inner", &json!({}), &json!({}), &[("authorization", &bearer)]).await
    };
    delivered(&until_known(inner).await);
    let own = format!("{}/servers/a/mcp", two.gateway.url);

    // At its own door, and beside a server that shows everything to everybody.
    let stranger = listed(&own, None).await;
    assert_eq!(names(&stranger), ["echo"]);
    assert_eq!(stranger["cacheScope"], "private");
    let known = listed(&own, Some(&key)).await;
    assert_eq!(names(&known), ["echo", "inner"]);
    assert_eq!(known["cacheScope"], "private");
    let all = listed(&two.mcp(), None).await;
    assert_eq!(names(&all), beside(&["a__echo"]));
    assert_eq!(all["cacheScope"], "private");
    let all = listed(&two.mcp(), Some(&key)).await;
    assert_eq!(names(&all), beside(&["a__echo", "a__inner"]));
    assert_eq!(names(&listed(&two.mcp(), Some("tg_unknown")).await), beside(&["a__echo"]));

    // In the era of sessions too, and in the gateway's own list.
    let session = Session::open(&two.mcp()).await;
    let legacy = message(&session.ask("tools/list", &json!({})).await);
    assert_eq!(names(&legacy["result"]), beside(&["a__echo"]));
    let asked = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let (tools, rpc) =
        (format!("{}/api/v1/tools", two.gateway.url), format!("{}/v1/execute", two.gateway.url));
    let with_key = [("x-api-key", key.as_str())];
    for (headers, expected) in [(&[][..], ["echo"].as_slice()), (&with_key[..], &["echo", "inner"])] {
        let sold = get(&tools, headers).await.unwrap();
        assert_eq!(sold.header("cache-control"), Some("no-store"), "it is theirs alone");
        assert_eq!(of_a(&sold.json().unwrap()), expected);
        let sold = post(&rpc, &asked, headers).await.json().unwrap();
        assert_eq!(of_a(&sold["result"]), expected, "the same over JSON-RPC");
    }

    // What is not shown is not callable either, and a server that hides nothing says what it said.
    let refused = call(&two.mcp(), "a__inner", &json!({}), &json!({}), &[]).await;
    assert_eq!(code(&refused), "trust_insufficient");
    let beside = listed(&format!("{}/servers/b/mcp", two.gateway.url), None).await;
    assert_eq!((names(&beside).len(), &beside["cacheScope"]), (3, &json!("public")), "control");
}
