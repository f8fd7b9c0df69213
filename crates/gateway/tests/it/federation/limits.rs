//! Limits at a federated door: the same call counts in the same bucket, whichever door and name it comes by.

use serde_json::json;
use tollgate_testkit::http::Answer;
use tollgate_testkit::journal_server::Script;

use super::{Two, modern};
use crate::world::{call, code, delivered};

async fn echo(url: &str, name: &str) -> Answer {
    call(url, name, &json!({}), &json!({}), &[]).await
}

#[tokio::test]
async fn a_tool_has_one_limit_at_all_its_doors() {
    let more = "virtual: { sel: { tools: [a/echo] } }\n";
    let two =
        Two::new([Script::echo(), Script::echo()], [", every_tool: { rates: [{ rate: 3/hour }] }", ""], more)
            .await;
    let own = format!("{}/servers/a/mcp", two.gateway.url);
    let selected = format!("{}/servers/sel/mcp", two.gateway.url);
    delivered(&echo(&own, "echo").await);
    delivered(&echo(&two.mcp(), "a__echo").await);
    delivered(&echo(&selected, "a__echo").await);
    for (url, name) in [(&own, "echo"), (&two.mcp(), "a__echo"), (&selected, "a__echo")] {
        assert_eq!(code(&echo(url, name).await), "rate_limited", "{url}");
    }
    assert_eq!(two.a.executions(), 3);
    delivered(&echo(&two.mcp(), "b__echo").await); // control: a tool without one
}

#[tokio::test]
async fn requests_to_one_server_are_counted_at_every_door_and_the_others_are_not() {
    let policy = ", rates: [{ rate: 2/hour, of: requests }]";
    let two = Two::new([Script::echo(), Script::echo()], [policy, ""], "").await;
    let own = format!("{}/servers/a/mcp", two.gateway.url);
    delivered(&echo(&own, "echo").await); // streamed unparsed, and counted all the same
    delivered(&echo(&two.mcp(), "a__echo").await);
    assert_eq!(code(&echo(&two.mcp(), "a__echo").await), "rate_limited");
    assert_eq!(code(&echo(&own, "echo").await), "rate_limited");
    assert_eq!(code(&modern(&own, "tools/list", &json!({})).await), "rate_limited");
    assert_eq!(two.a.executions(), 2);
    for _ in 0..4 {
        delivered(&echo(&two.mcp(), "b__echo").await); // control
    }
    assert_eq!(
        modern(&two.mcp(), "tools/list", &json!({})).await.status,
        200,
        "what is merged of all is not one's own"
    );
}
