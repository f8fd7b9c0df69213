//! The books, held against what chain and wallet show: agreement is said, and each planted difference is found.

use serde_json::{Value, json};
use tollgate_testkit::journal_server::{Journal, Script};
use tollgate_testkit::peers::anvil::{PAYEE, PAYER, STRANGER, TOKEN};
use tollgate_testkit::peers::{Lnbits, available};

use crate::on_chain::{FUNDS, OnChain};
use crate::world::{Gateway, PRICE, PRICED, World, call, delivered, statement};

/// What the command says, and its exit code.
fn reconcile(gateway: &Gateway) -> (Option<i32>, Value) {
    let done = gateway.cli(&["reconcile", "--url", &gateway.url, "--json"]);
    let said = serde_json::from_slice(&done.stdout);
    (done.status.code(), said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr))))
}

fn kinds(report: &Value) -> Vec<String> {
    let mut kinds: Vec<String> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["kind"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds
}

/// Changes a row of the ledger behind its back, as nobody should.
fn tamper(gateway: &Gateway, statement: &str) {
    let ledger = rusqlite::Connection::open(gateway.folder.join("data/ledger.db")).unwrap();
    assert_eq!(ledger.execute(statement, []).unwrap(), 1, "{statement}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_and_chain_agree_until_a_difference_is_planted() {
    let Some(world) = OnChain::start("").await else { return };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    world.chain.mint(STRANGER.address, FUNDS).await.unwrap();
    let mut calls = Vec::new();
    for n in 0..3 {
        let arguments = json!({ "n": n });
        let payment = world.payment(&arguments).await;
        let paid = delivered(&world.call(&arguments, &payment).await);
        calls.push(statement(&paid)["call_id"].as_str().unwrap().to_owned());
    }
    let gateway = &world.gateway;
    let (exit, report) = reconcile(gateway);
    assert_eq!(
        (exit, &report["in_order"], &report["compared"]),
        (Some(0), &json!(true), &json!(3)),
        "{report}"
    );

    // Somebody pays the gateway's address past the gateway.
    let word = |digits: &str| format!("{digits:0>64}");
    let to = word(&PAYEE.address[2..].to_lowercase());
    let data = format!("0xa9059cbb{to}{}", word(&format!("{:x}", 777)));
    let transfer = json!([{ "from": STRANGER.address, "to": TOKEN, "data": data }]);
    let sent = world.chain.rpc("eth_sendTransaction", transfer).await.unwrap();
    let (exit, report) = reconcile(gateway);
    assert_eq!((exit, kinds(&report)), (Some(1), vec!["missing_in_books".to_owned()]), "{report}");
    let found = &report["differences"][0];
    assert_eq!((&found["reference"], &found["on_rail"]), (&sent, &json!("777")));
    assert_eq!(found["payer"], json!(STRANGER.address.to_lowercase()));

    // Three rows that say what is not so.
    let latest = "(SELECT max(id) FROM settlements)";
    tamper(gateway, &format!("UPDATE settlements SET amount = '9000' WHERE id = {latest}"));
    tamper(gateway, &format!("UPDATE settlements SET state = 'manual' WHERE id = {latest} - 1"));
    let nowhere = format!("0x{}", "ab".repeat(32));
    tamper(gateway, &format!("UPDATE settlements SET reference = '{nowhere}' WHERE id = {latest} - 2"));
    let (exit, report) = reconcile(gateway);
    assert_eq!(exit, Some(1));
    let expected = [
        "amount_differs",
        "in_doubt",
        "missing_in_books", // the stranger's
        "missing_in_books", // 1,000 units of the first row
        "missing_in_books", // all of the second
        "missing_in_books", // all of the third, found under its true reference
        "missing_on_rail",
    ];
    assert_eq!(kinds(&report), expected, "{report}");
    let of_kind = |kind: &str| {
        let all = report["differences"].as_array().unwrap();
        all.iter().find(|difference| difference["kind"] == kind).unwrap().clone()
    };
    let differs = of_kind("amount_differs");
    assert_eq!((&differs["in_books"], &differs["on_rail"]), (&json!("9000"), &json!(PRICE.to_string())));
    assert_eq!(differs["call_id"], calls[2]);
    assert_eq!(of_kind("in_doubt")["call_id"], calls[1]);
    assert_eq!(
        (&of_kind("missing_on_rail")["call_id"], of_kind("missing_on_rail")["reference"].as_str()),
        (&json!(calls[0]), Some(nowhere.as_str()))
    );
    let words = gateway.cli(&["reconcile", "--url", &gateway.url]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.contains("missing on x402") && !words.contains("agree"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_and_chain_are_not_said_to_agree_when_the_node_is_gone() {
    let Some(mut world) = OnChain::start("").await else { return };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let payment = world.payment(&arguments).await;
    delivered(&world.call(&arguments, &payment).await);
    assert_eq!(reconcile(&world.gateway).0, Some(0), "control");
    world.chain.kill();
    let (exit, report) = reconcile(&world.gateway);
    assert_eq!((exit, kinds(&report)), (Some(1), vec!["not_answered".to_owned(); 2]), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_and_wallet_agree_until_an_invoice_that_nobody_paid_is_in_the_books() {
    let world = World::new(Script::echo(), &[("echo", PRICED)]).await;
    let arguments = json!({ "n": 1 });
    let credential = world.l402_credential("echo", &arguments).await;
    delivered(&world.call_with("echo", &arguments, &json!({ "l402/authorization": credential })).await);
    // Sandbox money of x402 is on the books alone: there is nothing to hold it against.
    delivered(&world.paid_call("echo", &arguments).await);
    let (exit, report) = reconcile(&world.gateway);
    assert_eq!((exit, &report["compared"]), (Some(0), &json!(1)), "{report}");
    let unpaid = world.demand("echo", &arguments).await.l402["payment_hash"].as_str().unwrap().to_owned();
    tamper(&world.gateway, &format!("UPDATE settlements SET key = 'l402:{unpaid}' WHERE key LIKE 'l402:%'"));
    let (exit, report) = reconcile(&world.gateway);
    assert_eq!((exit, kinds(&report)), (Some(1), vec!["missing_on_rail".to_owned()]), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_and_a_real_lnbits_agree_until_a_difference_is_planted_and_its_silence_is_no_agreement() {
    let Some(lnbits) = available(Lnbits::start().await) else { return };
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "servers: {{ up: {{ url: \"{}\", tools: {{ echo: {{ price: [10sat] }} }} }} }}\npayment:\n  lightning: {{ network: regtest, \
         lnbits_url: \"{}\", lnbits_invoice_key: \"${{GATE_KEY}}\" }}\n",
        journal.url(),
        lnbits.url(),
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    std::fs::write(folder.path().join(".env"), format!("GATE_KEY={}\n", lnbits.gate_invoice_key())).unwrap();
    let gateway = Gateway::serve(folder.path(), &[]).await;
    let mut calls = Vec::new();
    for n in 0..3 {
        let arguments = json!({ "n": n });
        let asked = call(&gateway.mcp(), "echo", &arguments, &json!({}), &[]).await.json().unwrap();
        let challenge = &asked["result"]["_meta"]["l402/challenge"];
        let preimage = lnbits.pay(challenge["invoice"].as_str().unwrap()).await.unwrap();
        let credential = format!("{}:{preimage}", challenge["macaroon"].as_str().unwrap());
        let meta = json!({ "l402/authorization": credential });
        let paid = delivered(&call(&gateway.mcp(), "echo", &arguments, &meta, &[]).await);
        calls.push(statement(&paid)["call_id"].as_str().unwrap().to_owned());
    }
    // What was paid to the wallet past the gateway, and an invoice that was paid and never shown, are no differences.
    let unshown = call(&gateway.mcp(), "echo", &json!({ "n": 3 }), &json!({}), &[]).await.json().unwrap();
    let unshown = &unshown["result"]["_meta"]["l402/challenge"];
    lnbits.pay(unshown["invoice"].as_str().unwrap()).await.unwrap();
    lnbits.pay(&lnbits.invoice(5, "past the gateway").await.unwrap().bolt11).await.unwrap();
    let (exit, report) = reconcile(&gateway);
    assert_eq!(
        (exit, &report["in_order"], &report["compared"]),
        (Some(0), &json!(true), &json!(3)),
        "{report}"
    );

    // An invoice that nobody paid, one that the wallet never made, and another sum.
    let unpaid = lnbits.invoice(10, "never paid").await.unwrap().payment_hash;
    let latest = "(SELECT max(id) FROM settlements)";
    tamper(&gateway, &format!("UPDATE settlements SET key = 'l402:{unpaid}' WHERE id = {latest}"));
    let unknown = "ab".repeat(32);
    tamper(&gateway, &format!("UPDATE settlements SET key = 'l402:{unknown}' WHERE id = {latest} - 1"));
    tamper(&gateway, &format!("UPDATE settlements SET amount = '9000' WHERE id = {latest} - 2"));
    let (exit, report) = reconcile(&gateway);
    let planted = ["amount_differs", "missing_on_rail", "missing_on_rail"];
    assert_eq!((exit, kinds(&report)), (Some(1), planted.map(str::to_owned).to_vec()), "{report}");
    let all = report["differences"].as_array().unwrap();
    let differs = all.iter().find(|difference| difference["kind"] == "amount_differs").unwrap();
    assert_eq!(
        (&differs["in_books"], &differs["on_rail"], &differs["call_id"]),
        (&json!("9000"), &json!("10000"), &json!(calls[0]))
    );
    lnbits.pause().unwrap();
    let (exit, report) = reconcile(&gateway);
    assert_eq!((exit, kinds(&report)), (Some(1), vec!["not_answered".to_owned(); 3]), "{report}");
    lnbits.resume().unwrap();
    assert_eq!(kinds(&reconcile(&gateway).1), planted, "control: it answers again");
    let log = gateway.whole_log();
    assert!(!log.contains(lnbits.gate_invoice_key()), "the wallet's key is in the log");
}
