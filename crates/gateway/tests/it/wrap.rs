//! `tollgate wrap`: a price on a stdio server without a configuration file.

use serde_json::{Value, json};
use tollgate_testkit::http::get;

use crate::world::{Demand, Gateway, TOLLGATE, call, command, delivered, soon};

#[tokio::test]
async fn a_stdio_server_is_wrapped_and_paid_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let given = ["--price", "0.01USDC", "--price", "10sat", "--tool", "echo=free", "--tool", "digest=2sat"];
    let program = ["--", TOLLGATE, "demo-server"];
    let gateway = Gateway::wrap(folder.path(), &[&given[..], &program[..]].concat()).await;
    soon(async {
        while !(gateway.whole_log().contains("SANDBOX") && gateway.whole_log().contains("claude mcp add")) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The server is started and asked for its tools as soon as the gateway runs.
    let tools = format!("{}/api/v1/tools", gateway.url);
    soon(async {
        while !get(&tools, &[]).await.unwrap().text().contains("weather") {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let free = call(&gateway.mcp(), "echo", &json!({ "text": "hello" }), &json!({}), &[]).await;
    assert_eq!(delivered(&free)["content"][0]["text"], "hello");
    let oslo = json!({ "city": "Oslo" });
    let unpaid = call(&gateway.mcp(), "weather", &oslo, &json!({}), &[]).await;
    assert_eq!(Demand::read(&unpaid).entry()["amount"], "10000");
    let dearer = call(&gateway.mcp(), "digest", &json!({ "text": "x" }), &json!({}), &[]).await;
    let challenge: Value = dearer.json().unwrap()["result"]["_meta"]["l402/challenge"].clone();
    assert!(challenge["invoice"].is_string(), "its own price is in sat alone: {}", dearer.text());

    let paid = ["call", "weather", "city=Oslo", "--max", "0.01USDC", "--json", "--url", &gateway.mcp()];
    let paid = gateway.cli(&paid);
    assert!(paid.status.success(), "{}", String::from_utf8_lossy(&paid.stderr));
    assert_eq!(gateway.account("payable:wrapped"), [0, 10_000, 0, 0]);
    gateway.assert_books_in_order();
}

#[tokio::test]
async fn what_cannot_be_wrapped_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (&["--price", "0.01USDC"][..], "CMD"),
        (&["--price", "1EUR", "--", TOLLGATE, "demo-server"][..], "every_tool.price[0] (the command line)"),
        (&["--tool", "echo", "--", TOLLGATE, "demo-server"][..], "expected NAME=PRICE"),
        (&["--env", "NOT_SET_HERE", "--", TOLLGATE, "demo-server"][..], "--env NOT_SET_HERE"),
        (&["--listen", "0.0.0.0:0", "--", TOLLGATE, "demo-server"][..], "loopback only"),
    ] {
        let refused = command(folder.path()).arg("wrap").args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}
