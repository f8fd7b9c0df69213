//! Lists that show each caller only what they may call.

use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Script};

use super::{Session, Two, message, modern_with, names, result};
use crate::paid_calls::{api_key, until_known};
use crate::world::{call, code, delivered};

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
    let sold = get(&format!("{}/api/v1/tools", two.gateway.url), &[]).await.unwrap().json().unwrap();
    let sold = sold["tools"].as_array().unwrap();
    let of_a: Vec<&Value> =
        sold.iter().filter(|tool| tool["server"] == "a").map(|tool| &tool["name"]).collect();
    assert_eq!(of_a, ["echo"]);

    // What is not shown is not callable either, and a server that hides nothing says what it said.
    let refused = call(&two.mcp(), "a__inner", &json!({}), &json!({}), &[]).await;
    assert_eq!(code(&refused), "trust_insufficient");
    let beside = listed(&format!("{}/servers/b/mcp", two.gateway.url), None).await;
    assert_eq!((names(&beside).len(), &beside["cacheScope"]), (3, &json!("public")), "control");
}
