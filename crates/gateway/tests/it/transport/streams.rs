//! Answers that come in pieces, and callers who do not wait for them.

use serde_json::{Value, json};
use tollgate_testkit::journal_server::{Behaviour, Script, Tool};

use super::{Session, Wire, legacy_call};
use crate::world::{PRICE, PRICED, World, delivered, soon, statement, when_released};

/// Opens a call of `tool` in either era and leaves its answer to be read.
async fn open(world: &World, tool: &str, session: Option<&Session>, meta: &Value) -> Wire {
    let Some(session) = session else { return Wire::call(world, tool, meta).await };
    let id = format!("mcp-session-id: {}", session.id);
    let head = [
        "POST /mcp HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "mcp-protocol-version: 2025-11-25",
        &id,
    ];
    let body = legacy_call(tool, &json!({}), meta).to_string();
    Wire::open(world.gateway.port, &head.map(str::to_owned), &body).await
}

#[tokio::test]
async fn progress_streams_at_once_and_the_receipt_comes_with_the_result() {
    let script = Script::new().tool("work", Behaviour::Progress { steps: 3 });
    let world = World::new(script, &[("work", PRICED)]).await;
    let session = Session::open(&world.gateway.mcp()).await;
    for (run, session) in [(1, None), (2, Some(&session))] {
        let payment = world.x402_payment("work", &json!({})).await;
        let mut wire =
            open(&world, "work", session, &json!({ "x402/payment": payment, "progressToken": "p" })).await;
        world.journal.wait_for_executions(run).await;
        for step in 1..=2_usize {
            world.journal.step(1);
            wire.until(&format!("\"progress\":{step}")).await;
            let messages = wire.messages();
            assert_eq!(messages.len(), step, "each is here before the next may leave");
            assert_eq!(messages[step - 1]["method"], "notifications/progress");
        }
        let before = u128::from(run - 1) * PRICE;
        assert_eq!(world.payer_balance().await, 100_000_000 - before, "not charged before the result");
        world.journal.step(1);
        let text = wire.until("\r\n0\r\n\r\n").await.to_owned();
        assert!(text.to_lowercase().contains("content-type: text/event-stream"), "{text}");
        let messages = wire.messages();
        assert_eq!(messages.len(), 4, "{messages:?}");
        let last = &messages[3];
        assert_eq!(last["result"]["structuredContent"]["echo"], json!({}));
        assert_eq!(statement(&last["result"])["charged"], true);
        assert!(messages[..3].iter().all(|message| message["method"] == "notifications/progress"));
        assert_eq!(world.journal.executions(), run);
        assert_eq!(world.payer_balance().await, 100_000_000 - before - PRICE, "charged once");
    }
    assert_eq!(world.gateway.account("payable:up"), [0, 2 * PRICE, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_not_charged_and_the_upstream_is_told() {
    for behaviour in [Behaviour::Hang, Behaviour::Progress { steps: 2 }] {
        let streams = matches!(behaviour, Behaviour::Progress { .. });
        let world = World::new(Script::new().tool("slow", behaviour), &[("slow", PRICED)]).await;
        let x402 = json!({ "x402/payment": world.x402_payment("slow", &json!({})).await });
        let l402 = json!({ "l402/authorization": world.l402_credential("slow", &json!({})).await });
        for (abandoned, payment) in (1..).zip([&x402, &l402]) {
            let mut wire = open(&world, "slow", None, payment).await;
            soon(world.journal.wait_for_executions(abandoned)).await;
            if streams {
                world.journal.step(1);
                wire.until("\"progress\":1").await;
            }
            drop(wire);
            soon(world.journal.wait_for_abandoned(abandoned)).await;
        }
        assert_eq!(world.payer_balance().await, 100_000_000, "not charged");
        assert_eq!(world.gateway.account("payable:up")[..2], [0, 0]);

        // Control: the same payments buy the same call from a server that answers.
        world.journal.replace_tools(vec![Tool::new("slow", Behaviour::Echo)]);
        for payment in [&x402, &l402] {
            let again = when_released(async || world.call_with("slow", &json!({}), payment).await).await;
            assert_eq!(statement(&delivered(&again))["charged"], true);
        }
        assert_eq!(world.journal.executions(), 4);
        assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
        assert_eq!(world.payer_account(), [PRICE, 100_000_000, 0, 0]);
        assert_eq!(world.gateway.account("clearing:l402"), [10_000, 0, 0, 0]);
        world.gateway.assert_books_in_order();
    }
}
