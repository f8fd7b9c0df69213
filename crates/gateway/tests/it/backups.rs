//! The books as an operator reads, copies and restores them, beside a gateway that takes money meanwhile.

use serde_json::{Value, json};

use crate::world::{Gateway, PRICE, World, code, command, delivered};

const CALLS: usize = 12;
const BEFORE: usize = 4;

#[tokio::test]
async fn f20_a_backup_under_load_is_restored_in_order_and_its_payments_stay_used() {
    let mut world = World::paid_echo().await;
    let mut payments = Vec::new();
    for n in 0..CALLS {
        payments.push((json!({ "n": n }), world.x402_payment("echo", &json!({ "n": n })).await));
    }
    let pay = async |(arguments, payment): &(Value, Value)| {
        world.call_with("echo", arguments, &json!({ "x402/payment": payment })).await
    };
    for payment in &payments[..BEFORE] {
        delivered(&pay(payment).await);
    }
    let mut backing_up = tokio::process::Command::from(command(world.folder.path()));
    backing_up.args(["backup", "copy", "--data", "data"]);
    // The copy is made while payments are taken.
    let load = async {
        for payment in &payments[BEFORE..] {
            delivered(&pay(payment).await);
        }
    };
    let (backed_up, ()) = tokio::join!(backing_up.output(), load);
    let backed_up = backed_up.unwrap();
    assert!(backed_up.status.success(), "{}", String::from_utf8_lossy(&backed_up.stderr));
    world.gateway.assert_books_in_order();

    let restore = |from: &str, to: &str| {
        command(world.folder.path()).args(["restore", from, "--data", to]).output().unwrap()
    };
    let refused = restore("copy", "data");
    assert!(!refused.status.success(), "a data directory is not written over");
    let restored = restore("copy", "again");
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    // The same gateway over the restored directory.
    world.gateway.kill();
    std::fs::rename(world.folder.path().join("data"), world.folder.path().join("old")).unwrap();
    std::fs::rename(world.folder.path().join("again"), world.folder.path().join("data")).unwrap();
    world.gateway = Gateway::dev(world.folder.path()).await;
    world.gateway.assert_books_in_order();
    assert!(
        world.gateway.account("payable:up")[1] >= PRICE * BEFORE as u128,
        "what was settled before is there"
    );
    let executions = world.journal.executions();
    for (arguments, payment) in &payments[..BEFORE] {
        let meta = json!({ "x402/payment": payment });
        delivered(&world.call_with("echo", arguments, &meta).await); // the stored answer
        let replayed = world.call_with("echo", &json!({ "n": "another" }), &meta).await;
        let code = code(&replayed);
        assert!(["payment_replayed", "payment_other_call"].contains(&code.as_str()), "{code}");
    }
    assert_eq!(world.journal.executions(), executions, "no tool has run for a used payment");
    delivered(&world.paid_call("echo", &json!({ "n": "fresh" })).await); // control
}

#[tokio::test]
async fn f19_a_damaged_ledger_is_refused_at_the_start_and_named_by_the_check() {
    let mut world = World::paid_echo().await;
    delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    assert!(world.gateway.cli(&["backup", "copy"]).status.success());
    world.gateway.kill();
    // A file of its own, without a log that could make up for it.
    let restored =
        |to: &str| command(world.folder.path()).args(["restore", "copy", "--data", to]).output().unwrap();
    assert!(restored("cut").status.success() && restored("flipped").status.success());
    let run = |arguments: &[&str]| command(world.folder.path()).args(arguments).output().unwrap();
    assert!(run(&["ledger", "check", "--data", "cut"]).status.success(), "control");

    let cut = world.folder.path().join("cut/ledger.db");
    let length = std::fs::metadata(&cut).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(length / 2).unwrap();
    let started = run(&["dev", "--listen", "127.0.0.1:0", "--data", "cut"]);
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(!started.status.success() && said.contains("ledger.db"), "{said}");
    let checked = run(&["ledger", "check", "--data", "cut"]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(!checked.status.success() && said.contains("ledger.db"), "{said}");

    // One bit of a receipt: the page is still a page, the chain is not.
    let flipped = world.folder.path().join("flipped/ledger.db");
    let mut bytes = std::fs::read(&flipped).unwrap();
    let digest = b"\"args_sha256\":\"";
    let place = bytes.windows(digest.len()).position(|window| window == digest).unwrap() + digest.len();
    bytes[place] ^= 1;
    std::fs::write(&flipped, bytes).unwrap();
    let checked = run(&["ledger", "check", "--data", "flipped"]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("FINDING"), "{checked:?}");
}

#[tokio::test]
async fn an_operator_reads_the_trial_balance_statements_the_journal_and_exports_in_both_forms() {
    let world = World::paid_echo().await;
    delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    let lines = |arguments: &[&str]| -> Vec<String> {
        let output = world.gateway.cli(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let rows = |arguments: &[&str]| -> Vec<Value> {
        lines(arguments).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    // The trial balance: every account, and under each asset what debits and credits come to, which is the same.
    let checked = rows(&["ledger", "check", "--json"]);
    let [accounts, totals] = ["accounts", "totals"].map(|name| checked[0][name].as_array().unwrap());
    assert!(accounts.len() > 2 && !totals.is_empty(), "{}", checked[0]);
    for total in totals {
        let of_asset = accounts.iter().filter(|account| account["asset"] == total["asset"]);
        let sum = |name: &str| -> u128 {
            of_asset.clone().map(|account| account[name].as_str().unwrap().parse::<u128>().unwrap()).sum()
        };
        for [debits, credits] in [["debits_posted", "credits_posted"], ["debits_pending", "credits_pending"]]
        {
            assert_eq!(total[debits], sum(debits).to_string(), "{total}");
            assert_eq!(total[debits], total[credits], "{total}");
        }
    }
    let words = lines(&["ledger", "check"]);
    let sums: Vec<&str> = words
        .iter()
        .find(|line| line.trim_start().starts_with("total "))
        .unwrap()
        .split_whitespace()
        .collect();
    assert!(matches!(sums.as_slice(), ["total", debits, credits] if debits == credits), "{sums:?}");
    let payer = format!("eip155:{}", world.payer_address().to_lowercase());
    let statement = rows(&["ledger", "statement", &payer, "--json"]);
    let last = statement.last().unwrap();
    assert_eq!((&last["balance"], &last["balance_whole"]), (&json!("99990000"), &json!("99.99")));
    assert_eq!(last["reserved"], "0");
    let moved: Vec<&Value> = statement.iter().filter(|row| row["effect"] == "moved").collect();
    assert_eq!((&moved[0]["side"], &moved[0]["amount_whole"]), (&json!("credit"), &json!("100")));
    assert_eq!((&moved[1]["side"], &moved[1]["amount"]), (&json!("debit"), &json!("10000")));
    let same = rows(&["ledger", "statement", &format!("credit:{payer}"), "--json"]);
    assert_eq!(same, statement);
    assert_eq!(
        lines(&["ledger", "statement", "payable:up"]).last().unwrap(),
        "balance 10000 (0.01 USDC), of it reserved 0 (0 USDC)"
    );

    let journal = rows(&["ledger", "journal", "--json"]);
    let exported = rows(&["ledger", "export", "transfers", "--format", "jsonl"]);
    assert_eq!(journal, exported);
    assert!(rows(&["ledger", "journal", "--json", "--since", "2999-01-01"]).is_empty());
    assert!(rows(&["ledger", "journal", "--json", "--asset", "sat"]).is_empty());
    let csv = lines(&["ledger", "export", "transfers", "--format", "csv"]);
    assert_eq!(csv.len(), exported.len() + 1, "a line of names");
    let settled = rows(&["ledger", "export", "settlements", "--format", "jsonl"]);
    assert_eq!((&settled[0]["state"], &settled[0]["amount_whole"]), (&json!("settled"), &json!("0.01")));
    assert!(settled[0].get("proof").is_none());
    let receipts = rows(&["ledger", "export", "receipts", "--format", "jsonl"]);
    assert_eq!(receipts[0]["id"], settled[0]["receipt_id"]);
    assert!(!world.gateway.cli(&["ledger", "statement", "nobody"]).status.success());
}
