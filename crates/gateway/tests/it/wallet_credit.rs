//! What went back of a wallet's payments is credit, and the next payment that the wallet signs is taken from there.

use serde_json::{Value, json};
use tollgate_testkit::http::Answer;
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::peers::anvil::PAYER;

use crate::on_chain::{FUNDS, OnChain, wallet};
use crate::world::{Demand, Gateway, PRICE, code, delivered, statement};

/// No pins: a new tool's pin would be a commit of its own.
const UNPINNED: &str = "    pins: { drift: off, findings: off }\n";

fn text(length: usize) -> Value {
    json!({ "text": "x".repeat(length) })
}

fn credit(gateway: &Gateway) -> u128 {
    let [debits, credits, ..] = gateway.account(&format!("credit:eip155:{}", PAYER.address.to_lowercase()));
    credits - debits
}

async fn on_chain(world: &OnChain) -> u128 {
    FUNDS - world.chain.balance_of(PAYER.address).await.unwrap()
}

fn charged(answer: &Answer) -> u128 {
    delivered(answer)["_meta"]["tollgate/charge"]["charged"].as_str().unwrap().parse().unwrap()
}

/// A gateway that sells by the size of the result, and a wallet whose two calls have left credit there for one at the maximum.
async fn with_credit() -> Option<(OnChain, u128)> {
    let price = "type: per_result, size: 100, each: [0.0001USDC], base: [0.0002USDC], maximum: [0.01USDC]";
    let script = Script::new().tool("counted", Behaviour::Echo);
    let world = OnChain::selling(script, &format!("{{ price: {{ {price} }} }}"), UNPINNED, &[]).await?;
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let mut rest = 0;
    for length in [1, 2] {
        let arguments = text(length);
        let answer = world.call(&arguments, &world.payment(&arguments).await).await;
        rest += PRICE - charged(&answer);
        assert_eq!(delivered(&answer)["_meta"]["tollgate/note"], Value::Null, "the chain moved it");
    }
    assert_eq!((on_chain(&world).await, credit(&world.gateway)), (2 * PRICE, rest), "more than one price");
    Some((world, rest))
}

#[tokio::test]
async fn the_rest_of_what_a_wallet_signed_pays_for_its_next_call_and_the_signature_is_not_submitted() {
    let Some((world, rest)) = with_credit().await else { return };
    let arguments = text(300);
    let meta = world.payment(&arguments).await;
    let answer = world.call(&arguments, &meta).await;
    let result = delivered(&answer);
    let due = charged(&answer);
    assert!(result["_meta"]["tollgate/note"].as_str().unwrap().contains("not submitted"), "{result}");
    assert_eq!(result["_meta"]["tollgate/charge"]["rest"], Value::Null, "it was only reserved");
    assert!(statement(&result)["payment_ref"].as_str().unwrap().starts_with("ledger:call_"), "{result}");
    assert_eq!((on_chain(&world).await, credit(&world.gateway)), (2 * PRICE, rest - due));
    let authorization = &meta["x402/payment"]["payload"]["authorization"];
    let nonce = authorization["nonce"].as_str().unwrap();
    assert!(!world.chain.authorization_state(PAYER.address, nonce).await.unwrap(), "still unused");

    // The same proof brings the same answer, and for anything else it is spent.
    let again = delivered(&world.call(&arguments, &meta).await);
    assert_eq!(statement(&again)["receipt_id"], statement(&result)["receipt_id"]);
    assert_eq!(code(&world.call(&text(301), &meta).await), "payment_other_call");
    assert_eq!(world.journal.executions(), 3);
    assert_eq!((on_chain(&world).await, credit(&world.gateway)), (2 * PRICE, rest - due));

    // Of two at once that would spend more than is there, each pays once, from here or on the chain.
    let [one, two] = [text(3), text(4)];
    let [first, second] = [world.payment(&one).await, world.payment(&two).await];
    let (mut first, mut second) = (world.begin(&one, &first), world.begin(&two, &second));
    let answers = [first.join_next().await, second.join_next().await];
    let charged: u128 = answers.map(|answer| charged(&answer.unwrap().unwrap().unwrap())).iter().sum();
    let moved = on_chain(&world).await - 2 * PRICE;
    assert!(moved <= PRICE, "at least one was paid from credit");
    assert_eq!(credit(&world.gateway), rest - due + moved - charged);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p3_a_signature_that_the_chain_has_seen_pays_for_nothing_and_spends_no_credit_of_its_wallet() {
    let Some((world, rest)) = with_credit().await else { return };
    // Somebody else submits a signature of the wallet for the same payee (another house, with books of its own, which is advised
    // against): from then on everybody can read it.
    let folder = tempfile::tempdir().unwrap();
    let yaml = std::fs::read_to_string(world.folder().join("tollgate.yaml")).unwrap();
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    world.give_relayer(folder.path());
    let other = Gateway::serve(folder.path(), &[]).await;
    let elsewhere = format!("{}/servers/journal/mcp", other.url);
    let arguments = text(5);
    let demand = Demand::read(&crate::world::call(&elsewhere, "counted", &arguments, &json!({}), &[]).await);
    let public = demand.sign(&wallet(PAYER));
    let meta = json!({ "x402/payment": public });
    delivered(&crate::world::call(&elsewhere, "counted", &arguments, &meta, &[]).await);
    assert_eq!(on_chain(&world).await, 3 * PRICE);

    // With a quote of one's own it pays for nothing here: not with what the chain shows, and not with credit.
    let demand = Demand::read(&world.call(&arguments, &json!({})).await);
    let mut read = demand.sign(&wallet(PAYER));
    read["payload"] = public["payload"].clone();
    let answer = world.call(&arguments, &json!({ "x402/payment": read })).await;
    assert_eq!(code(&answer), "payment_failed", "{}", answer.text());
    assert!(answer.text().contains("invalid_exact_evm_nonce_already_used"), "{}", answer.text());
    assert_eq!((on_chain(&world).await, credit(&world.gateway)), (3 * PRICE, rest), "nothing was spent");
    // Control: what only the wallet can have signed spends it.
    let meta = json!({ "x402/payment": demand.sign(&wallet(PAYER)) });
    let due = charged(&world.call(&arguments, &meta).await);
    assert_eq!((on_chain(&world).await, credit(&world.gateway)), (3 * PRICE, rest - due));
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn what_went_back_of_a_failed_tool_pays_for_another_request_of_the_wallet() {
    let script = Script::new().tool("counted", Behaviour::Fail("no".to_owned()));
    let policy = "{ price: [0.01USDC], settle: before }";
    let Some(world) = OnChain::selling(script, policy, UNPINNED, &[]).await else { return };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    for (number, arguments) in (1..).zip(&[text(1), text(2), text(3)]) {
        let meta = world.payment(arguments).await;
        let failed = world.call(arguments, &meta).await;
        let told = failed.json().unwrap();
        assert_eq!(told["result"]["_meta"]["tollgate/refund"]["amount"], PRICE.to_string(), "{told}");
        assert_eq!(world.journal.executions(), number);
        assert_eq!((on_chain(&world).await, credit(&world.gateway)), (PRICE, PRICE), "taken once");
    }
    assert_eq!(world.gateway.account("payable:journal"), [0; 4]);
    world.gateway.assert_books_in_order();
}
