//! What a changed file leaves as it is, and what it makes anew: the allowances of callers, the gateway's own tools.

use serde_json::{Value, json};
use tollgate_testkit::journal_server::Script;

use super::{Operator, yaml};
use crate::world::{World, call, code, delivered};

const FREE: &str = "{ price: [] }";

/// The file with a limit of so many calls, and more.
fn limited(world: &World, rate: &str, more: &str) -> String {
    format!("{}{}{more}", yaml(world, FREE), limit(rate))
}

fn limit(rate: &str) -> String {
    format!("limits: {{ rates: [{{ rate: {rate}, per: address, name: mine }}] }}\n")
}

async fn assert_limited(world: &World) {
    let refused = world.call("echo", &json!({})).await;
    assert_eq!(
        (refused.status.as_u16(), code(&refused).as_str()),
        (429, "rate_limited"),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn nobody_gets_a_full_allowance_by_a_change_of_something_else() {
    let world = World::with(Script::echo(), &[("echo", FREE)], &limit("2/hour"), &[]).await;
    let operator = Operator::of(&world.gateway);
    for _ in 0..2 {
        delivered(&world.call("echo", &json!({})).await);
    }
    assert_limited(&world).await;
    let changed = operator
        .serve(&world.gateway, &limited(&world, "2/hour", "payment: { quote_ttl_seconds: 60 }\n"))
        .await;
    assert_eq!(changed["settings"], json!(["payment"]), "{changed}");
    assert_limited(&world).await;
    operator.serve(&world.gateway, &limited(&world, "3/hour", "payment: { quote_ttl_seconds: 60 }\n")).await;
    for _ in 0..3 {
        delivered(&world.call("echo", &json!({})).await);
    }
    assert_limited(&world).await;
    assert_eq!(world.journal.executions(), 5, "control: another limit begins anew");
}

#[tokio::test]
async fn the_built_in_tools_come_and_go_with_the_file() {
    let world = World::with(Script::echo(), &[("echo", FREE)], "", &[]).await;
    let operator = Operator::of(&world.gateway);
    let url = format!("{}/servers/tollgate/mcp", world.gateway.url);
    let ask = async || call(&url, "list_tools_for_sale", &json!({}), &json!({}), &[]).await;
    assert_eq!(ask().await.status, 404);
    let with = format!("{}builtin_tools: true\n", yaml(&world, FREE));
    operator.serve(&world.gateway, &with).await;
    let found: Value = delivered(&ask().await);
    assert!(found["structuredContent"]["found"].is_number(), "{found}");
    operator.serve(&world.gateway, &yaml(&world, FREE)).await;
    assert_eq!(ask().await.status, 404);
}

#[tokio::test]
async fn an_operator_gets_in_where_requests_are_limited_and_whoever_guesses_does_not() {
    let limit = "limits: { rates: [{ rate: 2/hour, of: requests }] }\n";
    let world = World::with(Script::echo(), &[("echo", FREE)], limit, &[]).await;
    let operator = Operator::of(&world.gateway);
    let servers = format!("{}/admin/v1/servers", world.gateway.url);
    let guess = async || {
        let guess = [("authorization", "Bearer adm_1_a-guess")];
        tollgate_testkit::http::get(&servers, &guess).await.unwrap().status.as_u16()
    };
    assert_eq!(
        [guess().await, guess().await, guess().await],
        [401, 401, 429],
        "guesses are requests like any other"
    );
    let limited = world.call("echo", &json!({})).await;
    assert_eq!(code(&limited), "rate_limited", "the limit is used up");
    for _ in 0..3 {
        operator.get("/servers").await;
    }
    operator.serve(&world.gateway, &yaml(&world, FREE)).await;
    delivered(&world.call("echo", &json!({})).await);
}

#[tokio::test]
async fn a_changed_env_file_alone_is_a_changed_configuration() {
    let world =
        World::with(Script::echo(), &[("echo", FREE)], "hosts: ['${NAME}']\n", &[("NAME", "one.example")])
            .await;
    let log = || world.gateway.whole_log().matches("another configuration counts").count();
    assert_eq!(log(), 0);
    // What the process was started with stays before what the file says, so it says something else.
    std::fs::write(world.gateway.folder.join(".env"), "TOLLGATE__RECEIPTS__FREE_CALLS=true\n").unwrap();
    crate::world::soon(async {
        while log() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let result = delivered(&world.call("echo", &json!({})).await);
    assert!(result["_meta"]["tollgate/receipt"].is_object(), "free calls have receipts now: {result}");
    // Gone, it counts no more.
    std::fs::remove_file(world.gateway.folder.join(".env")).unwrap();
    crate::world::soon(async {
        while log() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let result = delivered(&world.call("echo", &json!({})).await);
    assert!(result["_meta"]["tollgate/receipt"].is_null(), "{result}");
}
