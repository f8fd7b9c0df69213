//! Sandbox money: what a wallet has, what it cannot spend, and data directories that knew another sandbox.

use std::path::Path;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_rails::evm::SigningKey;
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::world::{
    Demand, Gateway, PRICE, PRICED, START, TOLLGATE, World, call, code, delivered, post, rand_32, statement,
};

const INSUFFICIENT: &str = "invalid_exact_evm_insufficient_balance";

fn stranger() -> SigningKey {
    SigningKey::from_bytes(&rand_32()).unwrap()
}

fn account(wallet: &SigningKey) -> String {
    format!("credit:eip155:{}", wallet.address().to_string().to_lowercase())
}

async fn mint(gateway: &Gateway, wallet: &SigningKey, amount: u128) -> Answer {
    let body = json!({ "address": wallet.address().to_string(), "amount": amount.to_string() });
    post(&format!("{}/dev/sandbox/mint", gateway.url), &body, &[]).await
}

async fn balance(gateway: &Gateway, wallet: &SigningKey) -> Value {
    let url = format!("{}/dev/sandbox/balances/{}", gateway.url, wallet.address());
    get(&url, &[]).await.unwrap().json().unwrap()
}

/// The `_meta` of a payment by this wallet, with a nonce of its own.
async fn payment(world: &World, wallet: &SigningKey, arguments: &Value) -> Value {
    json!({ "x402/payment": world.demand("echo", arguments).await.sign(wallet) })
}

fn assert_insufficient(answer: &Answer) {
    assert_eq!(code(answer), "payment_failed", "{}", answer.text());
    assert!(answer.text().contains(INSUFFICIENT), "{}", answer.text());
    let demand = Demand::read(answer);
    assert_eq!(demand.entry()["extra"]["sandbox"], true, "with a fresh demand");
}

#[tokio::test]
async fn a_wallet_with_too_little_is_refused_before_the_tool_runs_and_pays_once_it_has_enough() {
    let world = World::paid_echo().await;
    let (poor, arguments) = (stranger(), json!({ "n": 1 }));
    let meta = payment(&world, &poor, &arguments).await;
    for has in [0, PRICE - 1] {
        if has > 0 {
            assert_eq!(mint(&world.gateway, &poor, has).await.status, 200);
        }
        assert_insufficient(&world.call_with("echo", &arguments, &meta).await);
        world.assert_untouched("too little").await;
        assert_eq!(world.gateway.account(&account(&poor)), [0, has, 0, 0]);
    }
    // Control: one unit more, and the very same payment buys the call.
    assert_eq!(mint(&world.gateway, &poor, 1).await.status, 200);
    let result = delivered(&world.call_with("echo", &arguments, &meta).await);
    assert_eq!(statement(&result)["charged"], true);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account(&account(&poor)), [PRICE, PRICE, 0, 0]);
    assert_eq!(world.payer_balance().await, START, "nobody else has paid");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p15_concurrent_calls_of_one_wallet_with_nonces_of_their_own_never_overdraw_it() {
    const CALLS: usize = 40;
    const COVERED: usize = 10;
    let limits = "limits: { calls_per_minute: 100000, offers_per_minute: 100000 }\n";
    let world = World::with(Script::echo(), &[("echo", PRICED)], limits, &[]).await;
    let (wallet, arguments) = (stranger(), json!({ "n": 1 }));
    let funds = PRICE * u128::try_from(COVERED).unwrap() + PRICE - 1;
    assert_eq!(mint(&world.gateway, &wallet, funds).await.status, 200);
    let demand = world.demand("echo", &arguments).await;
    let mut tasks = JoinSet::new();
    for _ in 0..CALLS {
        let meta = json!({ "x402/payment": demand.sign(&wallet) });
        let (url, arguments) = (world.gateway.mcp(), arguments.clone());
        tasks.spawn(async move {
            let answer = call(&url, "echo", &arguments, &meta, &[]).await;
            (meta, answer)
        });
    }
    let (mut paid, mut refused) = (0, Vec::new());
    for (meta, answer) in tasks.join_all().await {
        if answer.json().unwrap()["result"]["isError"] == true {
            assert_insufficient(&answer);
            refused.push(meta);
        } else {
            delivered(&answer);
            paid += 1;
        }
    }
    assert_eq!((paid, refused.len()), (COVERED, CALLS - COVERED));
    assert_eq!(world.journal.executions(), u64::try_from(COVERED).unwrap());
    assert_eq!(world.gateway.account(&account(&wallet)), [funds - PRICE + 1, funds, 0, 0]);
    assert_eq!(world.gateway.account("payable:up"), [0, funds - PRICE + 1, 0, 0]);
    world.gateway.assert_books_in_order();
    // Control: a refused payment burned nothing.
    assert_eq!(mint(&world.gateway, &wallet, 1).await.status, 200);
    delivered(&world.call_with("echo", &arguments, &refused[0]).await);
    assert_eq!(balance(&world.gateway, &wallet).await["amount"], "0");
}

#[tokio::test]
async fn a_running_call_holds_its_price_and_the_door_tells_it_apart_from_what_is_spent() {
    let script = Script::new().tool("echo", Behaviour::Hang);
    let world = World::new(script, &[("echo", PRICED)]).await;
    let (wallet, arguments) = (stranger(), json!({}));
    assert_eq!(mint(&world.gateway, &wallet, PRICE).await.status, 200);
    let [first, second] =
        [payment(&world, &wallet, &arguments).await, payment(&world, &wallet, &arguments).await];
    let running = tokio::spawn({
        let (url, arguments) = (world.gateway.mcp(), arguments.clone());
        async move { call(&url, "echo", &arguments, &first, &[]).await }
    });
    world.journal.wait_for_executions(1).await;
    let seen = balance(&world.gateway, &wallet).await;
    assert_eq!((&seen["amount"], &seen["reserved"]), (&json!("10000"), &json!("10000")), "{seen}");
    assert_eq!((&seen["display"], &seen["sandbox"]), (&json!("0.01 USDC"), &json!(true)));
    assert_insufficient(&world.call_with("echo", &arguments, &second).await);
    assert_eq!(world.journal.executions(), 1, "what is held cannot be spent a second time");
    world.journal.release();
    delivered(&running.await.unwrap());
    let seen = balance(&world.gateway, &wallet).await;
    assert_eq!((&seen["amount"], &seen["reserved"]), (&json!("0"), &json!("0")), "{seen}");
}

#[tokio::test]
async fn sandbox_money_of_nothing_is_not_made() {
    let world = World::paid_echo().await;
    let wallet = stranger();
    let refused = mint(&world.gateway, &wallet, 0).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "malformed"));
    let made = mint(&world.gateway, &wallet, 7).await;
    assert_eq!(made.json().unwrap(), json!({ "minted": "7", "available": "7", "sandbox": true }));
    assert_eq!(world.gateway.account("clearing:sandbox"), [START + 7, 0, 0, 0]);
    assert_eq!(
        mint(&world.gateway, &wallet, u128::MAX).await.status.as_u16(),
        400,
        "more than the books can count"
    );
    assert_eq!(balance(&world.gateway, &wallet).await["amount"], "7");
}

#[tokio::test]
async fn the_payer_gets_its_money_once_in_the_life_of_a_ledger() {
    let mut world = World::paid_echo().await;
    delivered(&world.paid_call("echo", &json!({})).await);
    for _ in 0..2 {
        world.gateway = world.gateway.killed_and_restarted().await;
        assert_eq!(world.payer_account(), [PRICE, START, 0, 0]);
    }
    world.gateway.assert_books_in_order();
}

/// What versions left that kept the sandbox token in a book of its own: the book, and the mark that the payer was
/// funded.
fn left_by_an_earlier_version(folder: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    let data = folder.join("data");
    std::fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
    std::fs::write(data.join("payer.funded"), "SANDBOX money was given once\n").unwrap();
    let book = rusqlite::Connection::open(data.join("sandbox.db")).unwrap();
    for schema in [
        include_str!("../../../store/src/schema/sandbox_1.sql"),
        include_str!("../../../store/src/schema/sandbox_2.sql"),
    ] {
        book.execute_batch(schema).unwrap();
    }
    book.pragma_update(None, "application_id", i32::from_be_bytes(*b"TGsb")).unwrap();
    book.pragma_update(None, "user_version", 2).unwrap();
    book.execute("INSERT INTO balances VALUES (?1, '99990000')", [[1_u8; 20]]).unwrap();
}

#[tokio::test]
async fn a_data_directory_of_an_earlier_version_is_taken_over_and_its_payer_is_funded_anew() {
    let folder = tempfile::tempdir().unwrap();
    left_by_an_earlier_version(folder.path());
    let world = World::in_folder(folder, Script::echo(), &[("echo", PRICED)], "", &[]).await;
    assert_eq!(world.payer_balance().await, START);
    delivered(&world.paid_call("echo", &json!({})).await);
    assert_eq!(world.payer_account(), [PRICE, START, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn dev_mode_does_not_open_a_directory_in_which_real_money_is_under_way() {
    let mut world = World::paid_echo().await;
    delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    world.gateway.kill();
    // The row that a gateway on Base Sepolia leaves when it dies with a transfer submitted.
    let ledger = rusqlite::Connection::open(world.folder.path().join("data/ledger.db")).unwrap();
    let row = |state: &str, funds: &str| {
        ledger.execute("UPDATE settlements SET state = ?1, funds = ?2", [state, funds]).unwrap();
    };
    let kept = || -> (String, String) {
        let found = ledger
            .query_row("SELECT state, funds FROM settlements", [], |row| Ok((row.get(0)?, row.get(1)?)));
        found.unwrap()
    };
    let (state, funds) = kept();
    row("submitted", "on_settlement");
    let refused = crate::world::command(world.folder.path())
        .args(["dev", "--data", "data", "--config", "tollgate.yaml", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("real money") && said.contains("call_"), "{said}");
    assert_eq!(kept(), ("submitted".to_owned(), "on_settlement".to_owned()), "it is left as it was");

    row(&state, &funds);
    world.gateway = world.gateway.killed_and_restarted().await;
    delivered(&world.paid_call("echo", &json!({ "n": 2 })).await);
    world.gateway.assert_books_in_order();
}

/// What `tollgate` says with these words in this folder. `124`: it was still running.
fn ended(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut limited = std::process::Command::new("timeout");
    limited.arg("20").arg(TOLLGATE).args(words).args(["--config", "tollgate.yaml", "--data", "data"]);
    limited.args(["--listen", "127.0.0.1:0"]).env_clear().current_dir(folder);
    let output = limited.env("PATH", std::env::var_os("PATH").unwrap_or_default()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Settings that take real money by these rails.
fn real(world: &World, rails: &str) -> String {
    let url = world.journal.url();
    format!(
        "servers: {{ up: {{ url: \"{url}\", tools: {{ echo: {{ price: [] }} }} }} }}\npayment: {{ {rails} }}\n"
    )
}

#[tokio::test]
async fn sandbox_money_does_not_pay_where_money_is_real_nor_real_money_in_the_sandbox() {
    const PAYEE: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
    const NODE: &str = "http://127.0.0.1:1";
    let mut world = World::paid_echo().await;
    delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    world.gateway.kill();
    let x402 =
        |network: &str| format!("x402: {{ network: {network}, rpc_url: \"{NODE}\", pay_to: \"{PAYEE}\" }}");
    let lightning = |network: &str| {
        format!("lightning: {{ network: {network}, lnbits_url: \"{NODE}\", lnbits_invoice_key: key }}")
    };
    let settings = world.folder.path().join("tollgate.yaml");
    // In the very assets of dev mode, its money would be worth what theirs is.
    for rails in
        [x402("base-sepolia"), lightning("regtest"), format!("{}, {}", x402("base"), lightning("regtest"))]
    {
        std::fs::write(&settings, real(&world, &rails)).unwrap();
        let (code, said) = ended(world.folder.path(), &["serve"]);
        assert_eq!(code, Some(2), "{rails}: {said}");
        assert!(said.contains("SANDBOX") && said.contains("--data"), "{rails}: {said}");
    }
    // Nothing was left there that would keep dev mode out.
    std::fs::write(&settings, real(&world, "{}").replace("payment: { {} }\n", "")).unwrap();
    world.gateway = world.gateway.killed_and_restarted().await;
    assert_eq!(world.payer_balance().await, START - PRICE);
    world.gateway.kill();

    // Controls: assets that dev mode never has, and a directory in which it never was.
    std::fs::write(&settings, real(&world, &format!("{}, {}", x402("base"), lightning("mainnet")))).unwrap();
    drop(Gateway::serve(world.folder.path(), &[]).await);
    let fresh = tempfile::tempdir().unwrap();
    std::fs::write(fresh.path().join("tollgate.yaml"), real(&world, &x402("base-sepolia"))).unwrap();
    drop(Gateway::serve(fresh.path(), &[]).await);

    std::fs::write(fresh.path().join("tollgate.yaml"), "{}\n").unwrap();
    let (code, said) = ended(fresh.path(), &["dev"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("real payments") && said.contains("--data"), "{said}");
    // Dev mode has left nothing there.
    std::fs::write(fresh.path().join("tollgate.yaml"), real(&world, &x402("base-sepolia"))).unwrap();
    drop(Gateway::serve(fresh.path(), &[]).await);
}
