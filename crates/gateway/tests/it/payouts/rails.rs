//! Payouts over real rails: a token on a chain, an invoice of a Lightning node; killed on the way, taken back by the chain, and
//! refused where the invoice is of somebody else.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tollgate_rails::evm::SigningKey;
use tollgate_rails::lightning::invoice_payee;
use tollgate_testkit::http::send;
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};
use tollgate_testkit::peers::anvil::PAYER;
use tollgate_testkit::peers::{Lnbits, available};

use super::WALLET;
use super::crashes::{asked_and_killed, until_dead};
use super::withdrawer::{Withdrawer, reload_at};
use crate::on_chain::{FUNDS, OnChain, until};
use crate::world::{Gateway, PRICE, call, delivered, soon};

fn settings(key: &str) -> String {
    format!(
        "payouts:\n  cool_off_seconds: 0\n  confirmations: 1\n  providers:\n    acme:\n      servers: [journal]\n      \
         keys: [{key}]\n      destinations: [\"{WALLET}\"]\n      limits: [{{ per_payout: 1USDC, per_day: 1USDC }}]\n"
    )
}

/// The account that pays: its key was drawn at the first start.
fn treasury(gateway: &Gateway) -> String {
    let text = std::fs::read_to_string(gateway.folder.join("data/treasury.key")).unwrap();
    let key: [u8; 32] = hex::decode(text.trim()).unwrap().try_into().unwrap();
    SigningKey::from_bytes(&key).unwrap().address().to_string()
}

/// A gateway on a chain that has earned one call, and whoever may withdraw it.
async fn earned(environment: &[(&str, &str)]) -> Option<(OnChain, Withdrawer)> {
    let script = Script::new().tool("counted", Behaviour::Echo);
    let world = OnChain::selling(script, "{ price: [0.01USDC] }", &settings(""), environment).await?;
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let payment = world.payment(&arguments).await;
    delivered(&world.call(&arguments, &payment).await);
    let acme = Withdrawer::new(&world.gateway);
    reload_at(&world.gateway, &settings(&acme.id));
    acme.until_allowed().await;
    Some((world, acme))
}

fn asked() -> Value {
    json!({ "provider": "acme", "destination": WALLET, "amount": PRICE.to_string(), "asset": "USDC" })
}

/// Mines until the payout counts: nobody else makes blocks here.
async fn until_settled(world: &OnChain, acme: &Withdrawer, id: &str) {
    until("the payout settled", async || {
        world.chain.mine().await.unwrap();
        acme.show(id).await.body["state"] == "settled"
    })
    .await;
}

async fn assert_paid_once(world: &OnChain, what: &str) {
    let from = treasury(&world.gateway).to_lowercase();
    let paid = world.chain.transfers().await.unwrap();
    let paid: Vec<_> = paid.into_iter().filter(|transfer| transfer.from == from).collect();
    assert_eq!(paid.len(), 1, "{what}: {paid:?}");
    assert_eq!(world.chain.balance_of(WALLET).await.unwrap(), PRICE, "{what}");
    assert_eq!(world.gateway.account("payable:journal"), [PRICE, PRICE, 0, 0], "{what}");
    assert_eq!(world.gateway.account("clearing:x402"), [PRICE, PRICE, 0, 0], "{what}");
    world.gateway.assert_books_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_on_a_chain_waits_for_its_money_and_its_blocks_and_is_explained_to_whoever_reconciles() {
    let Some((world, acme)) = earned(&[]).await else { return };
    // An empty treasury sends nothing, and the payout can still be given up.
    let first = acme.request("a", &asked()).await.done();
    let first = first["payout_id"].as_str().unwrap();
    assert_eq!(acme.cancel(first).await.done()["state"], "cancelled");
    world.chain.mint(&treasury(&world.gateway), 5 * PRICE).await.unwrap();
    let made = acme.request("b", &asked()).await.done();
    let id = made["payout_id"].as_str().unwrap().to_owned();
    // In a block, on which none stands: it does not count yet.
    let unknown = acme.until_state(&id, "unknown").await;
    assert!(unknown["evidence"].as_str().unwrap().contains("0x"), "{unknown}");
    assert_eq!(world.gateway.account("payable:journal"), [0, PRICE, PRICE, 0], "unknown is not failed");
    acme.cancel(&id).await.refused(409, "payout_wrong_state");
    until_settled(&world, &acme, &id).await;
    assert_paid_once(&world, "").await;
    let report = world.gateway.cli(&["reconcile", "--url", &world.gateway.url, "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["in_order"], &report["payouts_compared"]), (&json!(true), &json!(1)), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_f42_killed_before_or_after_it_was_sent_a_payout_on_a_chain_is_paid_once() {
    for failpoint in ["payout_submitted", "payout_sent"] {
        let Some((mut world, acme)) = earned(&[("TOLLGATE_FAILPOINT", failpoint)]).await else { return };
        world.chain.mint(&treasury(&world.gateway), 5 * PRICE).await.unwrap();
        let id;
        (world.gateway, id) = asked_and_killed(world.gateway, &acme, "once", &asked()).await;
        until_settled(&world, &acme, &id).await;
        assert_paid_once(&world, failpoint).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f34_a_payout_that_a_reorganization_takes_back_is_sent_again_and_paid_once() {
    let Some((world, acme)) = earned(&[]).await else { return };
    world.chain.mint(&treasury(&world.gateway), 5 * PRICE).await.unwrap();
    let before = world.chain.rpc("evm_snapshot", json!([])).await.unwrap();
    let made = acme.request("once", &asked()).await.done();
    let id = made["payout_id"].as_str().unwrap().to_owned();
    acme.until_state(&id, "unknown").await;
    assert_eq!(world.chain.balance_of(WALLET).await.unwrap(), PRICE, "control: it was in a block");
    world.chain.rpc("evm_revert", json!([before])).await.unwrap();
    assert_eq!(world.chain.balance_of(WALLET).await.unwrap(), 0, "taken back");
    until_settled(&world, &acme, &id).await;
    assert_paid_once(&world, "after a reorganization").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f42_credit_of_a_wallet_goes_back_to_it_on_its_chain_once_over_a_kill_too() {
    let script = Script::new().tool("counted", Behaviour::Echo);
    let more = "payouts:\n  confirmations: 1\n  wallet_credit: [{ per_payout: 0.5USDC, per_day: 1USDC }]\n";
    let dies = [("TOLLGATE_FAILPOINT", "payout_sent")];
    let Some(mut world) = OnChain::selling(script, "{ price: [0.01USDC] }", more, &dies).await else {
        return;
    };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    world.chain.mint(&treasury(&world.gateway), 5 * PRICE).await.unwrap();
    let arguments = json!({ "n": 1 });
    let payment = world.payment(&arguments).await;
    delivered(&world.call(&arguments, &payment).await);
    let call = world.only_call()["call_id"].as_str().unwrap().to_owned();
    let refunded = world.gateway.cli(&["refund", &call, "--reason", "empty", "--url", &world.gateway.url]);
    assert!(refunded.status.success(), "{refunded:?}");
    let account = format!("credit:eip155:{}", PAYER.address.to_ascii_lowercase());
    assert_eq!(world.gateway.account(&account), [0, PRICE, 0, 0]);

    let back = |gateway: &Gateway, [wallet, asset, id]: [&str; 3], amount: u128| {
        let (amount, url) = (amount.to_string(), gateway.url.as_str());
        let asked = ["payout", "credit", wallet, "--amount", &amount, "--asset", asset, "--id", id];
        let said = gateway.cli(&[&asked[..], &["--url", url, "--json"]].concat());
        (said.status.code(), serde_json::from_slice::<Value>(&said.stdout).unwrap_or_default())
    };
    for (wanted, amount, code) in [
        ([WALLET, "USDC", "once"], PRICE, "payout_underfunded"),
        ([PAYER.address, "USDC", "once"], PRICE + 1, "payout_underfunded"),
        ([PAYER.address, "USDC", "once"], FUNDS / 2 + 1, "payout_limit_exceeded"),
        ([PAYER.address, "sat", "once"], PRICE, "payout_unpayable"),
        (["0x12", "USDC", "once"], PRICE, "malformed"),
        ([PAYER.address, "USDC", "a b"], PRICE, "malformed"),
    ] {
        let (status, said) = back(&world.gateway, wanted, amount);
        assert_eq!((status, &said["error"]["code"]), (Some(1), &json!(code)), "{said}");
    }
    assert_eq!(world.gateway.account(&account), [0, PRICE, 0, 0], "refused means no effect");

    let once = [PAYER.address, "USDC", "once"];
    // Its answer may die with the gateway; what it came to is asked below.
    let (status, made) = back(&world.gateway, once, PRICE);
    if status == Some(0) {
        assert_eq!((&made["state"], &made["provider"]), (&json!("held"), &Value::Null), "{made}");
    }
    until_dead(&world.gateway).await;
    world.gateway = world.gateway.killed_and_restarted().await;
    let shown = || {
        let listed = world.gateway.cli(&["payout", "list", "--json"]);
        serde_json::from_slice::<Value>(&listed.stdout).unwrap()
    };
    until("the credit paid back", async || {
        world.chain.mine().await.unwrap();
        shown()["state"] == "settled"
    })
    .await;
    let (status, again) = back(&world.gateway, once, PRICE);
    assert_eq!((status, &again["provider"]), (Some(0), &Value::Null), "{again}");
    if made["payout_id"].is_string() {
        assert_eq!(again["payout_id"], made["payout_id"], "{again}");
    }
    assert_eq!(again["credit_of"], account.strip_prefix("credit:").unwrap(), "{again}");
    let (status, said) = back(&world.gateway, [PAYER.address, "USDC", "twice"], 1);
    assert_eq!((status, &said["error"]["code"]), (Some(1), &json!("payout_underfunded")), "{said}");

    // What was signed for the call came back to whoever signed it, once.
    let from = treasury(&world.gateway).to_lowercase();
    let paid = world.chain.transfers().await.unwrap().into_iter().filter(|transfer| transfer.from == from);
    let paid: Vec<_> = paid.map(|transfer| (transfer.to, transfer.amount)).collect();
    assert_eq!(paid, [(PAYER.address.to_ascii_lowercase(), PRICE)]);
    assert_eq!(world.chain.balance_of(PAYER.address).await.unwrap(), FUNDS);
    assert_eq!(world.gateway.account(&account), [PRICE, PRICE, 0, 0]);
    let stranger = Withdrawer::new(&world.gateway);
    let id = made["payout_id"].as_str().unwrap();
    until("the key known", async || stranger.show(id).await.status != 401).await;
    stranger.show(id).await.refused(404, "payout_not_found");
    let control = rusqlite::Connection::open(world.folder().join("data/control.db")).unwrap();
    let audited = "SELECT count(*) FROM audit WHERE what = 'payout_credit'";
    assert_eq!(control.query_row(audited, [], |row| row.get::<_, i64>(0)).unwrap(), 1, "written down once");
    let report = world.gateway.cli(&["reconcile", "--url", &world.gateway.url, "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["in_order"], &report["payouts_compared"]), (&json!(true), &json!(1)), "{report}");
    world.gateway.assert_books_in_order();
}

/// An invoice of the payer's wallet, which is the provider's here.
async fn invoice(lnbits: &Lnbits, sats: u64) -> String {
    let body = json!({ "out": false, "amount": sats, "memo": "payout", "expiry": 600 }).to_string();
    let url = format!("{}/api/v1/payments", lnbits.url());
    let headers = [("x-api-key", lnbits.payer_admin_key()), ("content-type", "application/json")];
    let answer = send(Method::POST, &url, &headers, Bytes::from(body)).await.unwrap().json().unwrap();
    answer["bolt11"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn f42_an_invoice_of_the_listed_node_is_paid_once_by_lnbits_also_when_the_gateway_was_killed() {
    let Some(lnbits) = available(Lnbits::start().await) else { return };
    let journal = Journal::start(Script::echo()).await.unwrap();
    let node = invoice_payee(&invoice(&lnbits, 1).await).unwrap();
    let settings = |key: &str| {
        format!(
            "payouts:\n  cool_off_seconds: 0\n  lnbits_admin_key: \"${{ADMIN_KEY}}\"\n  providers:\n    acme:\n      servers: [up]\n      \
             keys: [{key}]\n      destinations: [\"{node}\"]\n      limits: [{{ per_payout: 5sat, per_day: 8sat }}]\n"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "servers:\n  up:\n    url: {}\n    tools: {{ echo: {{ price: [10sat] }} }}\n{}payment:\n  lightning: {{ network: regtest, \
         lnbits_url: \"{}\", lnbits_invoice_key: \"${{GATE_KEY}}\" }}\n",
        journal.url(),
        settings(""),
        lnbits.url(),
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    // In a file beside the configuration: a gateway that is started again reads it again.
    let keys = format!("GATE_KEY={}\nADMIN_KEY={}\n", lnbits.gate_invoice_key(), lnbits.gate_admin_key());
    std::fs::write(folder.path().join(".env"), keys).unwrap();
    let mut gateway = Gateway::serve(folder.path(), &[("TOLLGATE_FAILPOINT", "payout_sent")]).await;

    // One paid call is what there is to withdraw.
    let demand = call(&gateway.mcp(), "echo", &json!({}), &json!({}), &[]).await;
    let challenge = demand.json().unwrap().pointer("/result/_meta/l402~1challenge").unwrap().clone();
    let preimage = lnbits.pay(challenge["invoice"].as_str().unwrap()).await.unwrap();
    let credential = format!("{}:{preimage}", challenge["macaroon"].as_str().unwrap());
    let meta = json!({ "l402/authorization": credential });
    delivered(&call(&gateway.mcp(), "echo", &json!({}), &meta, &[]).await);
    let acme = Withdrawer::new(&gateway);
    reload_at(&gateway, &settings(&acme.id));
    acme.until_allowed().await;
    let (gate, provider) =
        (lnbits.gate_balance_msat().await.unwrap(), lnbits.payer_balance_msat().await.unwrap());

    let of = |amount: u128, invoice: Option<&str>| json!({ "provider": "acme", "destination": node, "amount": amount.to_string(), "asset": "sat", "invoice": invoice });
    let bolt11 = invoice(&lnbits, 4).await;
    acme.request("a", &of(4_000, None)).await.refused(422, "payout_unpayable");
    acme.request("a", &of(5_000, Some(&bolt11))).await.refused(422, "payout_unpayable");
    let mut other = of(4_000, Some(&bolt11));
    other["destination"] = json!(format!("02{}", "a".repeat(64)));
    acme.request("a", &other).await.refused(422, "payout_unpayable");
    let id;
    (gateway, id) = asked_and_killed(gateway, &acme, "a", &of(4_000, Some(&bolt11))).await;
    let settled = acme.until_state(&id, "settled").await;
    assert_eq!(settled["reference"].as_str().unwrap().len(), 64, "a payment hash: {settled}");

    // The same invoice under another key is the same payout: an invoice is paid once.
    let again = acme.request("b", &of(4_000, Some(&bolt11))).await;
    assert_eq!((again.status, &again.body["payout_id"]), (200, &json!(id)), "{}", again.body);
    assert_eq!(lnbits.gate_balance_msat().await.unwrap(), gate - 4_000);
    assert_eq!(lnbits.payer_balance_msat().await.unwrap(), provider + 4_000);
    assert_eq!(gateway.account("payable:up"), [4_000, 10_000, 0, 0]);
    let more = invoice(&lnbits, 5).await;
    acme.request("c", &of(5_000, Some(&more))).await.refused(403, "payout_limit_exceeded");
    let report = gateway.cli(&["reconcile", "--url", &gateway.url, "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["in_order"], &report["payouts_compared"]), (&json!(true), &json!(1)), "{report}");
    gateway.assert_books_in_order();
    soon(async { assert!(!gateway.log().contains(lnbits.gate_admin_key()), "a secret is in the log") }).await;
}
