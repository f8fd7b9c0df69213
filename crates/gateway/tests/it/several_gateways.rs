//! Several gateways on one database: a proof counts once over all of them, and one that dies leaves nothing undone.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tollgate_testkit::http::{Answer, HttpError};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};
use tollgate_testkit::peers::available;
use tollgate_testkit::peers::postgres::{self, Database};

use crate::escrow::{Party, until_state};
use crate::paid_calls::until_known;
use crate::payments::{Agent, execution};
use crate::payouts::{self, WALLET, Withdrawer};
use crate::world::{
    Gateway, PRICE, PRICED, START, World, call, call_body, code, command, delivered, modern_headers, soon,
    statement,
};

const COPIES: usize = 200;
/// An eighth of the secret that both are given.
const SHARED: &str = "5f0c3a8e";

/// Two gateways with folders of their own, in front of one server, on one database.
pub(crate) struct Pair {
    pub(crate) first: World,
    pub(crate) second: Gateway,
    pub(crate) database: Database,
    _folder: TempDir,
}

impl Pair {
    /// `None` where there is no PostgreSQL.
    async fn new(script: Script, tool: &str) -> Option<Self> {
        Self::selling(script, tool, PRICED, "").await
    }

    /// The same under another policy and with more settings.
    async fn selling(script: Script, tool: &str, policy: &str, more: &str) -> Option<Self> {
        Self::serving(script, &[(tool, policy)], more).await
    }

    /// The same with several tools, each under its policy.
    pub(crate) async fn serving(script: Script, policies: &[(&str, &str)], more: &str) -> Option<Self> {
        let database = available(postgres::shared().await)?.database().unwrap();
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &other] {
            settings(folder.path(), &database.url());
        }
        let shared = format!("public_url: https://tools.example\nhosts: [127.0.0.1]\n{more}");
        let first = World::in_folder(one, script, policies, &shared, &[]).await;
        std::fs::copy(first.folder.path().join("tollgate.yaml"), other.path().join("tollgate.yaml")).unwrap();
        // Sandbox money goes to an account of the data directory's own; real gateways are told whom to pay.
        std::fs::create_dir(other.path().join("data")).unwrap();
        let merchant = Path::new("data/merchant.key");
        std::fs::copy(first.folder.path().join(merchant), other.path().join(merchant)).unwrap();
        let second = Gateway::dev(other.path()).await;
        Some(Self { first, second, database, _folder: other })
    }

    /// The secret of quotes and credentials that both are given.
    pub(crate) fn shared_secret() -> String {
        SHARED.repeat(8)
    }

    fn journal(&self) -> &Journal {
        &self.first.journal
    }

    /// The sum of all debits less that of all credits of each asset, as the database itself adds them up.
    pub(crate) fn trial_balance(&self) -> String {
        let sums = "SELECT asset, sum(debits_posted - credits_posted), sum(debits_pending - credits_pending) \
             FROM tollgate.accounts GROUP BY asset HAVING sum(debits_posted) <> sum(credits_posted) \
             OR sum(debits_pending) <> sum(credits_pending)";
        self.database.psql(sums).unwrap()
    }
}

/// What both gateways are told, and every command in their folders.
fn settings(folder: &Path, url: &str) {
    let secret = Pair::shared_secret();
    let text = format!("TOLLGATE__DATABASE__URL={url}\nGATE_HMAC_SECRET={secret}\n");
    std::fs::write(folder.join(".env"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_f13_two_hundred_copies_of_one_proof_over_two_processes_run_the_tool_once() {
    let Some(pair) = Pair::new(Script::echo(), "echo").await else { return };
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": pair.first.x402_payment("echo", &arguments).await });
    let mut tasks = JoinSet::new();
    for number in 0..COPIES {
        let gateway = if number % 2 == 0 { &pair.first.gateway } else { &pair.second };
        let (url, arguments, meta) = (gateway.mcp(), arguments.clone(), meta.clone());
        tasks.spawn(async move { call(&url, "echo", &arguments, &meta, &[]).await });
    }
    let mut receipts = BTreeSet::new();
    for answer in tasks.join_all().await {
        let body = answer.json().unwrap();
        if body["result"].is_object() && body["result"]["isError"] != true {
            receipts.insert(statement(&body["result"])["receipt_id"].to_string());
        } else {
            assert_eq!(
                (answer.status.as_u16(), code(&answer).as_str()),
                (409, "payment_in_flight"),
                "{body}"
            );
        }
    }
    assert_eq!(receipts.len(), 1, "one receipt for all: {receipts:?}");
    assert_eq!(pair.journal().executions(), 1);
    assert_eq!(pair.database.psql("SELECT count(*) FROM tollgate.settlements").unwrap(), "1");
    assert_eq!(pair.first.payer_balance().await, START - PRICE);
    for gateway in [&pair.first.gateway, &pair.second] {
        // Whoever asks again gets the answer from either.
        delivered(&call(&gateway.mcp(), "echo", &arguments, &meta, &[]).await);
        assert_eq!(gateway.account("payable:up"), [0, PRICE, 0, 0]);
        gateway.assert_books_in_order();
        let password = pair.database.password();
        assert!(!gateway.whole_log().contains(password), "the password is in the log");
    }
    delivered(&pair.first.paid_call("echo", &arguments).await);
    assert_eq!(pair.journal().executions(), 2, "control: another proof runs it again");
    assert_eq!(pair.trial_balance(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorization_is_executed_where_it_was_given_and_the_other_gateway_says_so_and_charges_nothing() {
    let Some(pair) = Pair::new(Script::echo(), "echo").await else { return };
    let (here, stranger) =
        (Agent::new(&pair.first, "0.01USDC").await, Agent::new(&pair.first, "0.01USDC").await);
    let at_the_other = |agent: &Agent| Agent {
        id: agent.id.clone(),
        bearer: agent.bearer.clone(),
        url: pair.second.url.clone(),
    };
    let (there, stranger) = (at_the_other(&here), at_the_other(&stranger));
    for agent in [&there, &stranger] {
        until_known(async || agent.spending(&agent.id).await).await;
    }
    let arguments = json!({ "n": 1 });
    let authorization = here.authorized(&arguments).await;
    let (credit, body) = (format!("credit:{}", here.id), execution(&arguments, &authorization));
    let refused = there.post("execute", &body).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "authorization_elsewhere"));
    assert_eq!(refused.json().unwrap()["error"]["retryable"], true, "it passes at the gateway that gave it");
    assert_eq!(code(&stranger.post("execute", &body).await), "authorization_unknown", "it is not theirs");
    assert_eq!(pair.journal().executions(), 0);
    assert_eq!(pair.second.account(&credit), [0, PRICE, PRICE, 0], "reserved once, and still");

    let executed = here.post("execute", &body).await;
    assert_eq!(executed.status, 200, "control: {}", executed.text());
    for agent in [&here, &there] {
        assert_eq!(code(&agent.post("execute", &body).await), "authorization_unknown", "it is good once");
    }
    assert_eq!(pair.journal().executions(), 1);
    assert_eq!(pair.second.account(&credit), [PRICE, PRICE, 0, 0]);
    pair.first.gateway.assert_books_in_order();
    assert_eq!(pair.trial_balance(), "");
}

/// A paid call that its gateway may not live to answer.
async fn attempt(url: String, arguments: Value, meta: Value) -> Result<Answer, HttpError> {
    let headers = modern_headers("slow");
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = bytes::Bytes::from(call_body("slow", &arguments, &meta).to_string());
    tollgate_testkit::http::send(http::Method::POST, &url, &headers, body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f20_books_in_a_database_are_backed_up_under_load_and_restored_into_another_one() {
    const CALLS: usize = 12;
    const BEFORE: usize = 4;
    let Some(mut pair) = Pair::new(Script::echo(), "echo").await else { return };
    let mut payments = Vec::new();
    for number in 0..CALLS {
        let arguments = json!({ "n": number });
        let meta = json!({ "x402/payment": pair.first.x402_payment("echo", &arguments).await });
        payments.push((arguments, meta));
    }
    let pay = async |number: usize| {
        let gateway = if number.is_multiple_of(2) { &pair.first.gateway } else { &pair.second };
        let (arguments, meta) = &payments[number];
        delivered(&call(&gateway.mcp(), "echo", arguments, meta, &[]).await)
    };
    for number in 0..BEFORE {
        pay(number).await;
    }
    let mut backing_up = tokio::process::Command::from(command(&pair.first.gateway.folder));
    backing_up.args(["backup", "copy", "--data", "data"]);
    let load = async {
        for number in BEFORE..CALLS {
            pay(number).await;
        }
    };
    let (backed_up, ()) = tokio::join!(backing_up.output(), load);
    let backed_up = backed_up.unwrap();
    assert!(backed_up.status.success(), "{}", String::from_utf8_lossy(&backed_up.stderr));
    let copied = std::fs::read_to_string(pair.first.gateway.folder.join("copy/books.sql")).unwrap();
    assert!(!copied.contains(pair.database.password()), "the password is nowhere");
    assert!(pair.second.cli(&["backup", "copy"]).status.success());

    let restore = |gateway: &Gateway, more: &[&str]| {
        let arguments = [&["restore", "copy", "--data", "again"], more].concat();
        command(&gateway.folder).args(arguments).output().unwrap()
    };
    let refused = restore(&pair.first.gateway, &[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("holds books already"), "{said}");
    assert!(!pair.first.gateway.folder.join("again").exists());
    pair.second.assert_books_in_order();

    let database = available(postgres::shared().await).unwrap().database().unwrap();
    let second: &[&str] = &["--directory-only"];
    for (gateway, more) in [(&mut pair.first.gateway, &[][..]), (&mut pair.second, second)] {
        gateway.kill();
        let folder = gateway.folder.clone();
        settings(&folder, &database.url());
        let restored = restore(gateway, more);
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        assert!(!folder.join("again/books.sql").exists(), "they are in the database");
        assert!(folder.join("again/ledger.database").exists(), "the directory says so");
        std::fs::rename(folder.join("data"), folder.join("old")).unwrap();
        std::fs::rename(folder.join("again"), folder.join("data")).unwrap();
        *gateway = Gateway::dev(&folder).await;
        gateway.assert_books_in_order();
    }
    assert!(
        pair.second.account("payable:up")[1] >= PRICE * BEFORE as u128,
        "what was settled before is there"
    );
    let executions = pair.journal().executions();
    for (number, (arguments, meta)) in payments.iter().enumerate().take(BEFORE) {
        // At the other gateway than before.
        let gateway = if number % 2 == 0 { &pair.second } else { &pair.first.gateway };
        delivered(&call(&gateway.mcp(), "echo", arguments, meta, &[]).await); // the stored answer
        let replayed = call(&gateway.mcp(), "echo", &json!({ "n": "another" }), meta, &[]).await;
        let code = code(&replayed);
        assert!(["payment_replayed", "payment_other_call"].contains(&code.as_str()), "{code}");
    }
    assert_eq!(pair.journal().executions(), executions, "no tool has run for a used payment");
    delivered(&pair.first.paid_call("echo", &json!({ "n": "fresh" })).await); // control
    pair.database = database;
    assert_eq!(pair.trial_balance(), "");
    pair.first.gateway.assert_books_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_the_journal_and_exports_tell_of_books_in_a_database_too() {
    let Some(pair) = Pair::new(Script::echo(), "echo").await else { return };
    delivered(&pair.first.paid_call("echo", &json!({ "n": 1 })).await);
    let rows = |arguments: &[&str]| -> Vec<Value> {
        let output = pair.second.cli(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let payer = format!("eip155:{}", pair.first.payer_address().to_lowercase());
    let statement = rows(&["ledger", "statement", &payer, "--json"]);
    assert_eq!(statement.last().unwrap()["balance"], json!((START - PRICE).to_string()));
    let journal = rows(&["ledger", "journal", "--json"]);
    assert_eq!(journal, rows(&["ledger", "export", "transfers", "--format", "jsonl"]));
    assert!(
        !journal.is_empty() && rows(&["ledger", "journal", "--json", "--since", "2999-01-01"]).is_empty()
    );
    let settled = rows(&["ledger", "export", "settlements", "--format", "jsonl"]);
    assert_eq!((settled.len(), &settled[0]["state"]), (1, &json!("settled")));
    let receipts = rows(&["ledger", "export", "receipts", "--format", "jsonl"]);
    assert_eq!(receipts[0]["id"], settled[0]["receipt_id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_one_gateway_is_killed_under_load_the_other_goes_on_and_nobody_is_charged_for_nothing() {
    const CALLS: usize = 12;
    let script = Script::new().tool("slow", Behaviour::Hang);
    let Some(mut pair) = Pair::new(script, "slow").await else { return };
    let mut proofs = Vec::new();
    for number in 0..CALLS {
        let arguments = json!({ "n": number });
        let meta = json!({ "x402/payment": pair.first.x402_payment("slow", &arguments).await });
        proofs.push((arguments, meta));
    }
    let mut running = JoinSet::new();
    for (number, (arguments, meta)) in proofs.iter().enumerate() {
        let gateway = if number % 2 == 0 { &pair.first.gateway } else { &pair.second };
        running.spawn(attempt(gateway.mcp(), arguments.clone(), meta.clone()));
    }
    pair.journal().wait_for_executions(u64::try_from(CALLS).unwrap()).await;
    pair.second = pair.second.killed_and_restarted().await;
    pair.journal().release();
    let answered = running.join_all().await.into_iter().filter(Result::is_ok).count();
    assert_eq!(answered, CALLS / 2, "the living gateway answers its own");
    // The calls of the dead one were sent, so they are in doubt: not charged, and never run again with these proofs.
    for (number, (arguments, meta)) in proofs.iter().enumerate() {
        let asked = if number % 2 == 0 { &pair.second } else { &pair.first.gateway };
        let again = call(&asked.mcp(), "slow", arguments, meta, &[]).await;
        if number % 2 == 0 {
            delivered(&again);
        } else {
            assert_eq!((again.status.as_u16(), code(&again).as_str()), (409, "payment_replayed"), "{number}");
        }
    }
    assert_eq!(pair.journal().executions(), u64::try_from(CALLS).unwrap(), "nothing ran twice");
    let charged = PRICE * u128::try_from(CALLS / 2).unwrap();
    assert_eq!(pair.first.payer_account(), [charged, START, 0, 0], "charged for what was delivered");
    assert_eq!(pair.second.account("payable:up"), [0, charged, 0, 0]);
    assert_eq!(pair.trial_balance(), "");
    pair.second.assert_books_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_what_a_gateway_left_open_that_never_comes_back_is_driven_on_by_another() {
    let script = Script::new().tool("slow", Behaviour::Hang);
    let Some(mut pair) = Pair::new(script, "slow").await else { return };
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": pair.first.x402_payment("slow", &arguments).await });
    let calling = tokio::spawn(attempt(pair.first.gateway.mcp(), arguments, meta));
    pair.journal().wait_for_executions(1).await;
    pair.first.gateway.kill();
    drop(calling.await);
    // Without its key a gateway is another one.
    std::fs::remove_file(pair.first.folder.path().join("data/receipts.key")).unwrap();
    pair.first.gateway = pair.first.gateway.started_again().await;
    assert_eq!(pair.first.payer_account(), [0, START, PRICE, 0], "nobody has taken it up");
    let folder = pair.first.folder.path().to_owned();
    let plain = format!("servers: {{ up: {{ url: {} }} }}\n", pair.journal().url());
    std::fs::write(folder.join("plain.yaml"), plain).unwrap();
    let doctor = || {
        let doctor = ["doctor", "--config", "plain.yaml", "--data", "data", "--listen", "127.0.0.1:0"];
        String::from_utf8(command(&folder).args(doctor).output().unwrap().stdout).unwrap()
    };
    let said = doctor();
    assert!(said.contains("· calls that gateways left open which do not run: 1, "), "{said}");
    assert!(said.contains("✓ the database ") && !said.contains("password"), "{said}");

    let clock = folder.join("clock");
    std::fs::write(&clock, (2 * 3_600_000).to_string()).unwrap();
    pair.second.kill();
    pair.second = pair.second.started_with(&[("TOLLGATE_CLOCK_AHEAD", clock.to_str().unwrap())]).await;
    let state = || {
        let listed = pair.second.cli(&["calls", "list", "--json"]);
        serde_json::from_slice::<Value>(&listed.stdout).unwrap_or_default()["paid"]["state"].clone()
    };
    soon(async {
        while state() != "in_doubt" {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(pair.first.payer_account(), [0, START, 0, 0]);
    assert!(doctor().contains("✓ calls that gateways left open"), "{}", doctor());
    assert_eq!(pair.trial_balance(), "");
    pair.second.assert_books_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p22_an_escrow_is_one_at_every_gateway_and_its_deadline_passes_once() {
    let Some(mut pair) = Pair::new(Script::echo(), "echo").await else { return };
    let payer = Party::new(&pair.first.gateway, Some("10USDC")).await;
    let provider = Party::new(&pair.first.gateway, None).await;
    let (payer_there, provider_there) = (payer.at(&pair.second).await, provider.at(&pair.second).await);
    let short = json!({ "timeout_seconds": 1, "dispute_window_seconds": 1 });
    let never = payer.open(&provider, &short).await;
    payer_there.step(&never, "fund", &json!({})).await.done();
    payer.step(&never, "fund", &json!({})).await.refused(409, "escrow_wrong_state");
    payer.step(&never, "lock", &json!({})).await.done();
    let silent = payer.open(&provider, &short).await;
    payer.step(&silent, "fund", &json!({})).await.done();
    provider_there.step(&silent, "lock", &json!({})).await.done();
    provider.step(&silent, "complete", &json!({})).await.done();
    // Of a hundred who end one at once, over both, one does.
    let raced = payer.open(&provider, &json!({})).await;
    for (who, step) in [(&payer, "fund"), (&payer_there, "lock"), (&provider, "complete")] {
        who.step(&raced, step, &json!({})).await.done();
    }
    let mut ends = JoinSet::new();
    for number in 0..40 {
        let who = [&payer, &provider_there, &payer_there, &provider][number % 4].clone();
        let (id, step) = (raced.clone(), if number % 2 == 0 { "accept" } else { "cancel" });
        ends.spawn(async move { who.step(&id, step, &json!({})).await.status });
    }
    let ended = ends.join_all().await;
    assert_eq!(ended.iter().filter(|status| **status == 200).count(), 1, "{ended:?}");
    pair.second = pair.second.killed_and_restarted().await;
    for party in [&payer, &payer.at(&pair.second).await] {
        until_state(party, &never, "refunded").await;
        until_state(party, &silent, "released").await;
    }
    let outcome = (payer.credit(), provider.credit());
    assert!([(8_000_000, 2_000_000), (9_000_000, 1_000_000)].contains(&outcome), "{outcome:?}");
    let expired = "SELECT count(*) FROM tollgate.escrow_events WHERE event = 'expire'";
    assert_eq!(pair.database.psql(expired).unwrap(), "2", "each once");
    assert_eq!(pair.trial_balance(), "");
    pair.second.assert_books_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p21_f42_a_payout_that_is_asked_for_at_two_gateways_at_once_is_paid_once_over_a_kill_too() {
    let Some(mut pair) = Pair::new(Script::echo(), "echo").await else { return };
    for n in 0..4 {
        delivered(&pair.first.paid_call("echo", &json!({ "n": n })).await);
    }
    let acme = Withdrawer::new(&pair.first.gateway);
    let settings =
        payouts::settings(&[&acme.id], "").replace("cool_off_seconds: 3600", "cool_off_seconds: 0");
    for gateway in [&pair.first.gateway, &pair.second] {
        let file = gateway.folder.join("tollgate.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text + &settings).unwrap();
    }
    pair.first.gateway = pair.first.gateway.killed_and_restarted().await;
    pair.second = pair.second.killed_and_restarted().await;
    let there = acme.at(&pair.second);
    acme.until_allowed().await;
    there.until_allowed().await;
    let mut asked = JoinSet::new();
    for number in 0..40 {
        let who = [&acme, &there][number % 2].clone();
        asked.spawn(async move { who.request("once", &payouts::asked(PRICE)).await.done() });
    }
    let ids: BTreeSet<String> =
        asked.join_all().await.iter().map(|row| row["payout_id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let id = ids.first().unwrap().trim_matches('"').to_owned();
    pair.second = pair.second.killed_and_restarted().await;
    acme.until_state(&id, "settled").await;
    there.until_state(&id, "settled").await;
    // Another one, so that what is seen below is not a gateway that pays nothing.
    let other = there.request("other", &payouts::asked(2 * PRICE)).await.done();
    acme.until_state(other["payout_id"].as_str().unwrap(), "settled").await;
    assert_eq!(pair.first.gateway.sandbox_balance(WALLET).await, 3 * PRICE);
    assert_eq!(pair.first.gateway.account("payable:up"), [3 * PRICE, 4 * PRICE, 0, 0]);
    assert_eq!(pair.database.psql("SELECT count(*) FROM tollgate.payouts").unwrap(), "2");
    assert_eq!(pair.trial_balance(), "");
    pair.second.assert_books_in_order();
}

#[tokio::test]
async fn a_limit_that_is_shared_is_one_over_all_gateways_and_without_the_database_each_goes_by_its_own_count()
{
    let limit = "limits: { rates: [{ rate: 3/hour, per: all, shared: true, name: together }] }\n";
    let Some(pair) = Pair::selling(Script::echo(), "echo", PRICED, limit).await else { return };
    let arguments = json!({ "n": 1 });
    let mut payments = Vec::new();
    for _ in 0..5 {
        payments.push(json!({ "x402/payment": pair.first.x402_payment("echo", &arguments).await }));
    }
    let (first, second) = (pair.first.gateway.mcp(), pair.second.mcp());
    let paid = async |url: &str, number: usize| call(url, "echo", &arguments, &payments[number], &[]).await;
    delivered(&paid(&first, 0).await);
    delivered(&paid(&second, 1).await);
    delivered(&paid(&second, 2).await);

    // The first gateway has let one pass, the second two; where they cannot ask, each has room by itself.
    let renamed = |from: &str, to: &str| {
        pair.database.psql(&format!("ALTER FUNCTION tollgate.{from} RENAME TO {to}")).unwrap();
    };
    renamed("take_shared_limits", "gone");
    delivered(&paid(&first, 3).await);
    renamed("gone", "take_shared_limits");

    for url in [&first, &second] {
        let refused = paid(url, 4).await;
        let data = &refused.json().unwrap()["error"]["data"];
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (429, "rate_limited"), "{data}");
        assert_eq!(data["limit"], "together", "{data}");
        assert!(data["retry_after_ms"].as_u64().is_some_and(|wait| wait > 60_000), "{data}");
    }
    assert_eq!(pair.journal().executions(), 4);
    assert_eq!(pair.first.payer_balance().await, START - 4 * PRICE, "what was refused was not paid");
    assert!(pair.first.gateway.whole_log().contains("goes by its own count"), "operators see it");
    assert_eq!(pair.trial_balance(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p22_a_call_is_settled_by_one_escrow_at_every_gateway_and_survives_the_one_that_made_it() {
    let policy = "{ price: [0.01USDC], settle: escrow }";
    let Some(mut pair) = Pair::selling(Script::echo(), "echo", policy, "").await else { return };
    let payer = Party::new(&pair.first.gateway, Some("0.03USDC")).await;
    let there = payer.at(&pair.second).await;
    let bearer = payer.bearer();
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "once")];
    let arguments = json!({ "n": 1 });
    // Copies of one call at both: one claim, one escrow.
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let url = if number % 2 == 0 { pair.first.gateway.mcp() } else { pair.second.mcp() };
        let (arguments, bearer) = (arguments.clone(), bearer.clone());
        tasks.spawn(async move {
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", "once")];
            call(&url, "echo", &arguments, &json!({}), &headers).await
        });
    }
    for answer in tasks.join_all().await {
        let body = answer.json().unwrap();
        let is_delivered = body["result"].is_object() && body["result"]["isError"] != true;
        assert!(is_delivered || code(&answer) == "payment_in_flight", "{body}");
    }
    let result = delivered(&call(&pair.second.mcp(), "echo", &arguments, &json!({}), &headers).await);
    let id = statement(&result)["escrow_id"].as_str().unwrap().to_owned();
    assert_eq!(pair.journal().executions(), 1);
    assert_eq!(pair.database.psql("SELECT count(*) FROM tollgate.escrows").unwrap(), "1");
    assert_eq!(payer.credit(), 20_000, "charged once");

    // Its maker dies; of many who accept or dispute at the other, one does.
    pair.second = pair.second.killed_and_restarted().await;
    let mut ends = JoinSet::new();
    for number in 0..20 {
        let who = if number % 2 == 0 { payer.clone() } else { there.at(&pair.second).await };
        let id = id.clone();
        ends.spawn(async move { who.step(&id, "accept", &json!({})).await.status });
    }
    let ended = ends.join_all().await;
    assert_eq!(ended.iter().filter(|status| **status == 200).count(), 1, "{ended:?}");
    assert_eq!(pair.second.account("payable:up"), [0, 10_000, 0, 0], "paid once");
    assert_eq!(pair.trial_balance(), "");
    pair.second.assert_books_in_order();
}
