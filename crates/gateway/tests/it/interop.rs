//! Real money of others: published clients that nobody here wrote, a real chain, a real Lightning wallet.
//!
//! What the gateway's ledger says, what the chain or the wallet says and what the receipt says are compared with each
//! other: three records kept by three programs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Journal, Script};
use tollgate_testkit::peers::anvil::{NETWORK, PAYEE, PAYER, RELAYER};
use tollgate_testkit::peers::{Everything, L402Js, Lnbits, X402Python, available, l402_js};

use crate::on_chain::{FUNDS, OnChain, transfer, until, wallet};
use crate::world::{Demand, Gateway, PRICE, base64_encode, call, code, delivered, post, statement};

/// Checks a receipt offline, with nothing but the public key that the gateway publishes.
async fn assert_verifies(gateway: &Gateway, receipt: &Value) {
    let jwks = get(&format!("{}/.well-known/jwks.json", gateway.url), &[]).await.unwrap();
    std::fs::write(gateway.folder.join("jwks.json"), &jwks.body).unwrap();
    std::fs::write(gateway.folder.join("receipt.json"), receipt.to_string()).unwrap();
    let verified = gateway.cli(&["receipt", "verify", "receipt.json", "--keys", "jwks.json"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[tokio::test]
async fn the_official_python_x402_client_pays_for_the_reference_server_on_a_real_chain() {
    let Some(everything) = available(Everything::start().await) else { return };
    let Some(client) = available(X402Python::install().await) else { return };
    let more = format!(
        "  everything:\n    url: {}\n    tools:\n      echo: {{ price: [0.01USDC] }}\n",
        everything.url()
    );
    let Some(world) = OnChain::start(&more).await else { return };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let (gateway, chain) = (&world.gateway, &world.chain);

    let url = format!("{}/servers/everything/mcp", gateway.url);
    let arguments = json!({ "message": "hello" });
    let paid = client.call(&url, PAYER, "echo", &arguments).await.unwrap();
    assert!(!paid.is_error && paid.payment_made, "{paid:?}");
    assert!(paid.text().unwrap().contains("hello"), "{paid:?}");

    // The client, the chain, the ledger and the receipt tell the same story.
    let response = paid.payment_response.clone().unwrap();
    assert_eq!((&response["success"], &response["network"]), (&json!(true), &json!(NETWORK)));
    assert_eq!(chain.transfers().await.unwrap(), [transfer()]);
    assert_eq!(chain.balance_of(PAYER.address).await.unwrap(), FUNDS - PRICE);
    assert_eq!(chain.balance_of(PAYEE.address).await.unwrap(), PRICE);
    assert_eq!(gateway.account("payable:everything"), [0, PRICE, 0, 0]);
    assert_eq!(gateway.account("clearing:x402"), [PRICE, 0, 0, 0]);
    gateway.assert_books_in_order();
    let meta = paid.meta.unwrap();
    let said = statement(&json!({ "_meta": meta }));
    assert_eq!(said["payment_ref"], response["transaction"]);
    assert_eq!((&said["charged"], &said["mode"]), (&json!(true), &json!("live")));
    assert_eq!(said["price"]["amount"], PRICE.to_string());
    let on_chain = chain.rpc("eth_getTransactionReceipt", json!([said["payment_ref"]])).await.unwrap();
    assert_eq!(on_chain["status"], "0x1", "{on_chain}");
    assert_eq!(on_chain["from"], RELAYER.address.to_ascii_lowercase(), "the relayer paid the gas");
    assert_verifies(gateway, &meta["tollgate/receipt"]).await;

    // The client's own payment, five times at once: everybody gets the one answer, and no second transfer is made.
    let copies = replayed(gateway, "everything/echo", "echo", &arguments, &paid.payment.unwrap()).await;
    for copy in copies {
        let body = copy.json().unwrap();
        assert_eq!(copy.status, 200, "{body}");
        assert_eq!(body["receipt"]["envelope"], meta["tollgate/receipt"]["envelope"]);
    }
    assert_eq!(chain.transfers().await.unwrap(), [transfer()]);
    assert_eq!(gateway.account("payable:everything"), [0, PRICE, 0, 0]);
    assert_eq!(world.journal.executions(), 0, "the other server heard nothing of it");
}

/// Presents one payment five times at once, over whichever names the tool goes by.
async fn replayed(
    gateway: &Gateway,
    qualified: &str,
    name: &str,
    arguments: &Value,
    payment: &Value,
) -> Vec<Answer> {
    let header = base64_encode(payment.to_string().as_bytes());
    let url = format!("{}/api/v1/execute", gateway.url);
    let mut tasks = JoinSet::new();
    for copy in 0..5 {
        let tool = if copy % 2 == 0 { qualified } else { name };
        let body = json!({ "tool_name": tool, "arguments": arguments });
        let (url, header) = (url.clone(), header.clone());
        tasks.spawn(async move { post(&url, &body, &[("payment-signature", &header)]).await });
    }
    tasks.join_all().await
}

#[tokio::test]
async fn p3_a_payment_of_the_python_client_runs_a_tool_once_however_often_it_comes_back() {
    let Some(client) = available(X402Python::install().await) else { return };
    let Some(world) = OnChain::start("").await else { return };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let paid = client.call(&world.url(), PAYER, "counted", &arguments).await.unwrap();
    assert!(!paid.is_error && paid.payment_made, "{paid:?}");
    assert_eq!(paid.structured.unwrap()["echo"], arguments);
    for copy in replayed(&world.gateway, "counted", "counted", &arguments, &paid.payment.unwrap()).await {
        assert_eq!(copy.status, 200, "{}", copy.text());
    }
    assert_eq!(world.journal.executions(), 1);
    world.assert_charged_once().await;

    // A payment that nobody has used yet, five times at once: one of them runs the tool, on one transfer.
    let arguments = json!({ "n": 2 });
    let fresh = world.payment(&arguments).await["x402/payment"].clone();
    let copies = replayed(&world.gateway, "counted", "counted", &arguments, &fresh).await;
    let delivered = copies.iter().filter(|copy| copy.status == 200).count();
    assert!(
        delivered >= 1 && copies.iter().all(|copy| copy.status == 200 || copy.status == 409),
        "{copies:?}"
    );
    assert_eq!(world.journal.executions(), 2);
    assert_eq!(world.chain.transfers().await.unwrap(), [transfer(), transfer()]);
    assert_eq!(world.gateway.account("payable:journal"), [0, 2 * PRICE, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f4_killed_after_submission_the_settlement_is_looked_up_and_not_sent_again() {
    let Some(mut world) = OnChain::start("").await else { return };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let meta = world.payment(&arguments).await;
    world.chain.set_automine(false).await.unwrap();
    let mut running = world.begin(&arguments, &meta);
    let in_pool =
        async |world: &OnChain| world.chain.rpc("txpool_status", json!([])).await.unwrap()["pending"].clone();
    until("the transfer in the node's pool", async || in_pool(&world).await == "0x1").await;
    world.gateway = world.gateway.killed_and_restarted().await;
    assert!(running.join_next().await.unwrap().unwrap().is_err(), "the answer died with the gateway");

    // Started again, and the chain is still silent: in doubt, not charged, and no demand to pay anew.
    assert_eq!(world.chain.transfers().await.unwrap(), [], "not mined yet");
    world.assert_reserved("not mined yet");
    assert_eq!(world.status().await["final"], false);
    let again = world.call(&arguments, &meta).await;
    assert_eq!((again.status.as_u16(), code(&again).as_str()), (409, "payment_in_flight"));
    assert_eq!(in_pool(&world).await, "0x1", "not sent a second time");

    world.chain.mine().await.unwrap();
    world.until_state("settled").await;
    world.assert_charged_once().await;
    let result = delivered(&world.call(&arguments, &meta).await);
    assert_eq!(result["structuredContent"]["echo"], arguments, "the kept result");
    let said = statement(&result);
    assert_eq!(
        (&said["charged"], &said["payment_ref"]),
        (&json!(true), &world.status().await["payment_ref"])
    );
    assert_eq!(world.journal.executions(), 1);
    world.assert_charged_once().await;
}

#[tokio::test]
async fn f4_a_caller_who_waits_for_a_silent_chain_is_told_pending_and_gets_the_result_later() {
    let Some(world) = OnChain::start("").await else { return };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let meta = world.payment(&arguments).await;
    world.chain.set_automine(false).await.unwrap();
    let pending = world.call(&arguments, &meta).await;
    assert_eq!((pending.status.as_u16(), code(&pending).as_str()), (503, "settlement_pending"));
    assert!(!pending.text().contains("accepts"), "no demand to pay anew: {}", pending.text());
    assert!(!pending.text().contains("echo\":{"), "the result is withheld: {}", pending.text());
    world.assert_reserved("not mined yet");
    let facts = pending.json().unwrap()["error"]["data"].clone();
    assert_eq!(facts["call_id"], world.only_call()["call_id"]);
    world.chain.mine().await.unwrap();
    world.until_state("settled").await;
    assert_eq!(delivered(&world.call(&arguments, &meta).await)["structuredContent"]["echo"], arguments);
    assert_eq!(world.journal.executions(), 1);
    world.assert_charged_once().await;
}

#[tokio::test]
async fn f4_while_a_chain_is_silent_no_new_demand_is_made_after_the_time_of_the_payment_either() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "0").unwrap();
    let script = Script::new().tool("counted", tollgate_testkit::journal_server::Behaviour::Echo);
    let environment = [("TOLLGATE_CLOCK_AHEAD", clock.to_str().unwrap())];
    let Some(world) = OnChain::selling(script, "{ price: [0.01USDC] }", "", &environment).await else {
        return;
    };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let meta = world.payment(&arguments).await;
    world.chain.set_automine(false).await.unwrap();
    assert_eq!(code(&world.call(&arguments, &meta).await), "settlement_pending");
    std::fs::write(&clock, "3600000").unwrap();
    let again = world.call(&arguments, &meta).await;
    assert_eq!(
        (again.status.as_u16(), code(&again).as_str()),
        (409, "payment_in_flight"),
        "{}",
        again.text()
    );
    assert!(!again.text().contains("accepts"), "no demand to pay anew: {}", again.text());
    world.chain.mine().await.unwrap();
    world.until_state("settled").await;
    assert_eq!(delivered(&world.call(&arguments, &meta).await)["structuredContent"]["echo"], arguments);
    assert_eq!(world.journal.executions(), 1);
    world.assert_charged_once().await;
}

#[tokio::test]
async fn f4_a_chain_that_is_down_before_submission_charges_nothing_and_asks_for_no_second_payment() {
    let Some(world) = OnChain::start("").await else { return };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let meta = world.payment(&arguments).await;
    world.chain.pause().unwrap();
    let pending = world.call(&arguments, &meta).await;
    assert_eq!(
        (pending.status.as_u16(), code(&pending).as_str()),
        (503, "settlement_pending"),
        "{}",
        pending.text()
    );
    let again = world.call(&arguments, &meta).await;
    assert_eq!((again.status.as_u16(), code(&again).as_str()), (409, "payment_in_flight"));
    world.assert_reserved("nothing was sent");
    world.chain.resume().unwrap();
    // Nothing had been sent, so the same authorization is sent now, once.
    world.until_state("settled").await;
    world.assert_charged_once().await;
    delivered(&world.call(&arguments, &meta).await);
    assert_eq!(world.journal.executions(), 1);
}

#[tokio::test]
async fn a_killed_chain_leaves_the_call_pending_over_a_restart() {
    let Some(mut world) = OnChain::start("").await else { return };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let meta = world.payment(&arguments).await;
    world.chain.kill();
    let pending = world.call(&arguments, &meta).await;
    assert_eq!(
        (pending.status.as_u16(), code(&pending).as_str()),
        (503, "settlement_pending"),
        "{}",
        pending.text()
    );
    world.gateway = world.gateway.killed_and_restarted().await;
    assert_eq!(world.status().await["final"], false, "unknown is not failed");
    let again = world.call(&arguments, &meta).await;
    assert_eq!((again.status.as_u16(), code(&again).as_str()), (409, "payment_in_flight"));
    world.assert_reserved("the chain is gone");
    assert_eq!(world.journal.executions(), 1);
}

#[tokio::test]
async fn a_payer_without_money_gets_no_result_and_a_fresh_demand() {
    let Some(world) = OnChain::start("").await else { return };
    let arguments = json!({ "word": "xyzzy" });
    let meta = world.payment(&arguments).await;
    let refused = world.call(&arguments, &meta).await;
    assert_eq!(code(&refused), "payment_failed", "{}", refused.text());
    let demand = Demand::read(&refused);
    let settled = r#""x402/payment-response":{"success":false,"errorReason":"#;
    assert!(refused.text().contains(settled), "where x402 clients look: {}", refused.text());
    assert!(!refused.text().contains("xyzzy"), "the result is withheld: {}", refused.text());
    assert_eq!(world.status().await["state"], "failed");
    world.assert_not_charged("no balance").await;

    // The failed payment is dead even after the payer has money; the fresh demand is the control.
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    assert_eq!(code(&world.call(&arguments, &meta).await), "payment_replayed");
    world.assert_not_charged("a failed payment is never taken up again").await;
    let fresh = json!({ "x402/payment": demand.sign(&wallet(PAYER)) });
    delivered(&world.call(&arguments, &fresh).await);
    world.assert_charged_once().await;
}

/// A listener that passes bytes on to the gateway and remembers what came from the client.
struct Tap {
    url: String,
    heard: Arc<Mutex<Vec<u8>>>,
    _listening: JoinSet<()>,
}

impl Tap {
    async fn on(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut exchanges = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                exchanges.spawn(pass(client, port, Arc::clone(&kept)));
            }
        });
        Self { url, heard, _listening: listening }
    }

    /// The value of a header of the last request that had it.
    fn header(&self, name: &str) -> Option<String> {
        let heard = String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned();
        let prefix = format!("{name}: ");
        let line = heard.lines().rev().find(|line| line.to_ascii_lowercase().starts_with(&prefix))?;
        Some(line[prefix.len()..].trim().to_owned())
    }
}

async fn pass(client: TcpStream, port: u16, heard: Arc<Mutex<Vec<u8>>>) {
    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = async {
        let copied = tokio::io::copy(&mut from_server, &mut to_client).await;
        drop((copied, to_client.shutdown().await));
    };
    let requests = async {
        let mut part = [0; 8192];
        while let Ok(length @ 1..) = from_client.read(&mut part).await {
            heard.lock().unwrap().extend_from_slice(&part[..length]);
            if to_server.write_all(&part[..length]).await.is_err() {
                break;
            }
        }
        drop(to_server.shutdown().await);
    };
    tokio::join!(answers, requests);
}

#[tokio::test]
async fn a_published_l402_client_pays_over_http_against_real_lnbits() {
    let Some(everything) = available(Everything::start().await) else { return };
    let Some(client) = available(L402Js::install().await) else { return };
    let Some(lnbits) = available(Lnbits::start().await) else { return };
    let journal =
        Journal::start(Script::new().tool("counted", tollgate_testkit::journal_server::Behaviour::Echo))
            .await
            .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "servers:\n  everything:\n    url: {}\n    tools:\n      echo: {{ price: [10sat] }}\n  journal:\n    url: {}\n    \
         tools:\n      counted: {{ price: [10sat] }}\npayment:\n  lightning: {{ network: regtest, lnbits_url: \"{}\", \
         lnbits_invoice_key: \"${{GATE_KEY}}\" }}\n",
        everything.url(),
        journal.url(),
        lnbits.url(),
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::serve(folder.path(), &[("GATE_KEY", lnbits.gate_invoice_key())]).await;
    let (payer, gate) =
        (lnbits.payer_balance_msat().await.unwrap(), lnbits.gate_balance_msat().await.unwrap());

    let body = json!({ "tool_name": "everything/echo", "arguments": { "message": "hello" } }).to_string();
    let url = format!("{}/api/v1/execute", gateway.url);
    let request = l402_js::Request { url: &url, method: "POST", body: &body, headers: &Value::Null };
    let paid = client.fetch(&lnbits, request).await.unwrap();
    assert_eq!((paid.status, paid.paid.len()), (200, 1), "{}", paid.body);
    let answer: Value = serde_json::from_str(&paid.body).unwrap();
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("hello"), "{answer}");

    // The wallets, the ledger and the receipt tell the same story.
    assert_eq!(lnbits.payer_balance_msat().await.unwrap(), payer - 10_000);
    assert_eq!(lnbits.gate_balance_msat().await.unwrap(), gate + 10_000);
    assert_eq!(gateway.account("payable:everything"), [0, 10_000, 0, 0]);
    assert_eq!(gateway.account("clearing:l402"), [10_000, 0, 0, 0]);
    gateway.assert_books_in_order();
    let said = statement(&json!({ "_meta": { "tollgate/receipt": answer["receipt"] } }));
    assert_eq!(said["payment_ref"], format!("lightning:{}", payment_hash(&paid.paid[0].preimage)));
    assert_eq!((&said["charged"], &said["price"]["amount"]), (&json!(true), &json!("10000")));
    assert_verifies(&gateway, &answer["receipt"]).await;
    let log = gateway.log();
    for secret in [lnbits.gate_invoice_key(), &paid.paid[0].preimage] {
        assert!(!log.contains(secret), "a secret is in the log");
    }

    // The credential that this client sent, again: the same answer, and no tool runs.
    let tap = Tap::on(gateway.port).await;
    let url = format!("{}/api/v1/execute", tap.url);
    let body = json!({ "tool_name": "journal/counted", "arguments": { "n": 1 } });
    let text = body.to_string();
    let request = l402_js::Request { url: &url, method: "POST", body: &text, headers: &Value::Null };
    let paid = client.fetch(&lnbits, request).await.unwrap();
    assert_eq!((paid.status, journal.executions()), (200, 1), "{} {}", paid.body, gateway.log());
    let first: Value = serde_json::from_str(&paid.body).unwrap();
    let credential = tap.header("authorization").unwrap();
    let again =
        post(&format!("{}/api/v1/execute", gateway.url), &body, &[("authorization", &credential)]).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(again.json().unwrap()["receipt"]["envelope"], first["receipt"]["envelope"]);
    let other = json!({ "tool_name": "journal/counted", "arguments": { "n": 2 } });
    let other =
        post(&format!("{}/api/v1/execute", gateway.url), &other, &[("authorization", &credential)]).await;
    assert_eq!((other.status.as_u16(), code(&other).as_str()), (402, "payment_other_call"));
    assert_eq!(journal.executions(), 1);
    assert_eq!(lnbits.gate_balance_msat().await.unwrap(), gate + 20_000);
    assert_eq!(gateway.account("payable:journal"), [0, 10_000, 0, 0]);
    gateway.assert_books_in_order();
}

fn payment_hash(preimage: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(hex::decode(preimage).unwrap()))
}

#[tokio::test]
async fn a_wallet_that_is_down_makes_no_demand_and_says_whose_turn_it_is() {
    let Some(lnbits) = available(Lnbits::start().await) else { return };
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "servers: {{ up: {{ url: \"{}\", tools: {{ echo: {{ price: [10sat] }} }} }} }}\npayment:\n  lightning: {{ network: regtest }}\n",
        journal.url()
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let environment =
        BTreeMap::from([("LNBITS_URL", lnbits.url()), ("LNBITS_INVOICE_KEY", lnbits.gate_invoice_key())]);
    let environment: Vec<(&str, &str)> = environment.into_iter().collect();
    let gateway = Gateway::serve(folder.path(), &environment).await;
    lnbits.pause().unwrap();
    let refused = call(&gateway.mcp(), "echo", &json!({}), &json!({}), &[]).await;
    assert_eq!(
        (refused.status.as_u16(), code(&refused).as_str()),
        (503, "wallet_unavailable"),
        "{}",
        refused.text()
    );
    assert_eq!(journal.executions(), 0);
    lnbits.resume().unwrap();
    let asked = call(&gateway.mcp(), "echo", &json!({}), &json!({}), &[]).await;
    assert_eq!(code(&asked), "payment_required", "control: {} {}", asked.text(), gateway.log());
}
