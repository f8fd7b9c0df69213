//! What somebody gets with a payment that everybody can read: on a chain, an authorization and its signature are public once
//! they are settled. Nothing, with a quote of one's own.

use serde_json::{Value, json};
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::peers::Chain;

use crate::on_chain::OnChain;
use crate::world::{Demand, World, code, delivered, statement};

/// The `payload` of an x402 payment, from nothing but the transaction that settled it: the nine words of
/// `transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)`.
async fn read_from(chain: &Chain, transaction: &str) -> Value {
    let sent = chain.rpc("eth_getTransactionByHash", json!([transaction])).await.unwrap();
    let words = sent["input"].as_str().unwrap()[10..].to_owned();
    assert_eq!(words.len(), 9 * 64, "{sent}");
    let word = |index: usize| &words[index * 64..(index + 1) * 64];
    let number = |index| u128::from_str_radix(word(index), 16).unwrap().to_string();
    let address = |index| format!("0x{}", &word(index)[24..]);
    json!({
        "authorization": {
            "from": address(0), "to": address(1), "value": number(2), "validAfter": number(3),
            "validBefore": number(4), "nonce": format!("0x{}", word(5)),
        },
        "signature": format!("0x{}{}{}", word(7), word(8), &word(6)[62..]),
    })
}

/// A payment of these parts: a quote that the thief asked for, and an authorization of somebody else.
fn stolen(demand: &Demand, payload: &Value) -> Value {
    json!({ "x402/payment": {
        "x402Version": 2, "resource": demand.required["resource"], "accepted": demand.entry(), "payload": payload,
    }})
}

#[tokio::test]
async fn p3_an_authorization_read_from_the_chain_opens_no_stored_answer() {
    let Some(world) = OnChain::start("").await else { return };
    world.chain.mint(tollgate_testkit::peers::anvil::PAYER.address, crate::on_chain::FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let payment = world.payment(&arguments).await;
    let paid = delivered(&world.call(&arguments, &payment).await);
    let transaction = statement(&paid)["payment_ref"].as_str().unwrap().to_owned();
    let payload = read_from(&world.chain, &transaction).await;
    assert_eq!(
        payload["authorization"]["nonce"],
        payment["x402/payment"]["payload"]["authorization"]["nonce"]
    );

    let demand = Demand::read(&world.call(&arguments, &json!({})).await);
    let refused = world.call(&arguments, &stolen(&demand, &payload)).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "payment_replayed"));
    assert!(!refused.text().contains("\"echo\""), "{}", refused.text());
    world.assert_charged_once().await;

    // Control: the same words with the quote of the first time, as whoever paid sends them again.
    let mut honest = payment.clone();
    honest["x402/payment"]["payload"] = payload;
    let again = delivered(&world.call(&arguments, &honest).await);
    assert_eq!(again["structuredContent"], paid["structuredContent"]);
    assert_eq!(world.journal.executions(), 1);
    world.assert_charged_once().await;
}

#[tokio::test]
async fn p3_an_authorization_read_from_the_chain_spends_no_refund() {
    let script = Script::new().tool("counted", Behaviour::Fail("no".into()));
    let policy = "{ price: [0.01USDC], settle: before }";
    let Some(world) = OnChain::selling(script, policy, "", &[]).await else { return };
    world.chain.mint(tollgate_testkit::peers::anvil::PAYER.address, crate::on_chain::FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let payment = world.payment(&arguments).await;
    world.call(&arguments, &payment).await;
    let status = world.status().await;
    assert_eq!(status["state"], "refunded", "{status}");
    let payload = read_from(&world.chain, status["payment_ref"].as_str().unwrap()).await;

    let demand = Demand::read(&world.call(&arguments, &json!({})).await);
    let refused = world.call(&arguments, &stolen(&demand, &payload)).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "payment_replayed"));
    assert_eq!(world.journal.executions(), 1, "the refund of somebody else ran the tool");

    let mut honest = payment.clone();
    honest["x402/payment"]["payload"] = payload;
    world.call(&arguments, &honest).await;
    assert_eq!(world.journal.executions(), 2, "control: whoever paid may spend what went back");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p3_in_the_sandbox_too_a_proof_comes_back_with_its_own_quote_only() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let payment = world.x402_payment("echo", &arguments).await;
    let meta = json!({ "x402/payment": payment });
    let paid = delivered(&world.call_with("echo", &arguments, &meta).await);
    let demand = world.demand("echo", &arguments).await;
    let refused = world.call_with("echo", &arguments, &stolen(&demand, &payment["payload"])).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "payment_replayed"));
    let again = delivered(&world.call_with("echo", &arguments, &meta).await);
    assert_eq!(again["structuredContent"], paid["structuredContent"], "control");
    assert_eq!(world.journal.executions(), 1);
}
