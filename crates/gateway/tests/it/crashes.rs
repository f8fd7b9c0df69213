//! `kill -9` at every step right of the claim: nobody is charged twice, nobody is charged without a result or a void, and
//! the books balance.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tollgate_attest::Signer;
use tollgate_domain::{
    Amount, Binding, CallId, Caller, Digest, PaymentKey, Rail, Settle, ToolRef, TransferId, UnixMillis,
};
use tollgate_ledger::{
    Advance, Claim, Claimed, Clearing, Event, Funds, Grant, LedgerStore as _, Transfer, TransferKind,
};
use tollgate_store::{Options, Store};
use tollgate_testkit::http::Answer;
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::peers::anvil::PAYER;

use crate::on_chain::{FUNDS, OnChain};
use crate::paid_calls::{api_key, until_known};
use crate::world::{
    Gateway, PRICE, PRICED, START, World, call, call_body, code, delivered, modern_headers, now, soon,
    statement,
};

/// Makes a call that the gateway dies of: no answer comes.
async fn fatal_call(world: &World, tool: &str, arguments: &Value, meta: &Value, more: &[(&str, &str)]) {
    let headers = modern_headers(tool);
    let mut headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    headers.extend(more);
    let body = bytes::Bytes::from(call_body(tool, arguments, meta).to_string());
    let answered =
        tollgate_testkit::http::send(http::Method::POST, &world.gateway.mcp(), &headers, body).await;
    assert!(answered.is_err(), "the gateway should have died: {:?}", answered.map(|answer| answer.text()));
}

/// A world whose gateway dies at `failpoint`; the demand is asked for before, from a gateway that lives.
struct Doomed {
    world: World,
    arguments: Value,
    meta: Value,
}

impl Doomed {
    async fn at(failpoint: &str, rail: &str) -> Self {
        // A new tool's pin is a commit too, and whoever counts commits counts those of the call.
        let unpinned = "    pins: { drift: off, findings: off }\n";
        let armed = [("TOLLGATE_FAILPOINT", failpoint)];
        let world = World::with(Script::echo(), &[("echo", PRICED)], unpinned, &armed).await;
        let arguments = json!({ "n": 1 });
        let meta = match rail {
            "x402" => json!({ "x402/payment": world.x402_payment("echo", &arguments).await }),
            _ => json!({ "l402/authorization": world.l402_credential("echo", &arguments).await }),
        };
        Self { world, arguments, meta }
    }

    async fn die_and_restart(mut self) -> Self {
        fatal_call(&self.world, "echo", &self.arguments, &self.meta, &[]).await;
        self.world.gateway = self.world.gateway.killed_and_restarted().await;
        self
    }

    async fn again(&self) -> Answer {
        self.world.call_with("echo", &self.arguments, &self.meta).await
    }
}

/// A call that another process claimed and never sent, over money that arrived.
fn left_open(number: u128) -> Claim {
    let holder = Caller::Preimage(*Digest::of(&number.to_be_bytes()).as_bytes()).principal();
    Claim {
        key: PaymentKey::new(Rail::L402, format!("left-{number}")).unwrap(),
        call: CallId::from_bytes(number.to_be_bytes()),
        caller: holder.clone(),
        payer: holder.clone(),
        settle: Settle::After,
        reference: String::new(),
        splits: Default::default(),
        binding: Binding {
            tool: ToolRef { server: "up".parse().unwrap(), tool: "echo".parse().unwrap() },
            args: Digest::of(b"{}"),
            price_version: 1,
            quote: None,
        },
        amount: Amount::new(PRICE),
        asset: "lightning:regtest/msat".parse().unwrap(),
        funds: Funds::Arrived { holder },
        proof: "left".into(),
        expires: now().plus_millis(600_000),
        budget: Default::default(),
        now: now(),
    }
}

#[tokio::test]
async fn f1_however_many_calls_a_crash_left_open_each_is_taken_up_at_start() {
    /// More than are read at once, of each kind.
    const EACH: usize = 300;
    let mut world = World::paid_echo().await;
    world.gateway.kill();
    let data = world.folder.path().join("data");
    let signer = Signer::from_seed(&[7; 32]).unwrap();
    let store = Store::open(&data, signer, Options::default()).unwrap();
    let claims: Vec<Claim> = (1..=2 * EACH).map(|number| left_open(number as u128)).collect();
    join_all(claims.iter().map(|claim| store.claim(claim.clone()))).await.into_iter().for_each(|claimed| {
        assert_eq!(claimed, Ok(Claimed::Fresh { attempt: 1 }));
    });
    // Every other one waits for an operator, and goes on waiting.
    let manual = claims.iter().step_by(2).map(|claim| {
        let why = || "left".to_owned();
        let events = vec![
            Event::Executed { result: Digest::of(b"42") },
            Event::Submitted,
            Event::Unknown { evidence: why() },
            Event::HandedOver { reason: why() },
        ];
        store.advance(Advance {
            key: claim.key.clone(),
            call: claim.call,
            events,
            result: None,
            private: None,
            statement: None,
            escrow: None,
            now: now(),
        })
    });
    assert!(join_all(manual).await.iter().all(Result::is_ok));
    drop(store);
    world.gateway = world.gateway.started_again().await;
    let said = world.gateway.whole_log();
    assert!(said.contains(&format!("recovered: {EACH} settlement(s) ended, {EACH} still open")), "{said}");
    world.gateway.assert_books_in_order();
}

const ALICE: &str = "eip155:0x00000000000000000000000000000000000000aa";
const BOB: &str = "eip155:0x00000000000000000000000000000000000000bb";

/// A reservation that another program over these books has made, and forgot.
fn reserved(number: u8, expires: Option<UnixMillis>) -> Transfer {
    Transfer {
        id: TransferId::from_bytes([number; 16]),
        kind: TransferKind::Pending,
        debit: format!("credit:{ALICE}").parse().unwrap(),
        credit: format!("credit:{BOB}").parse().unwrap(),
        asset: "lightning:regtest/msat".parse().unwrap(),
        amount: Amount::new(10_u128.pow(u32::from(number))),
        call: None,
        note: "left".to_owned(),
        at: now(),
        expires,
    }
}

#[tokio::test]
async fn what_was_reserved_until_a_moment_that_is_over_is_released_by_whoever_serves() {
    let mut world = World::paid_echo().await;
    world.gateway.kill();
    let signer = Signer::from_seed(&[7; 32]).unwrap();
    let store = Store::open(&world.folder.path().join("data"), signer, Options::default()).unwrap();
    let grant = Grant {
        id: TransferId::from_bytes([9; 16]),
        from: Clearing::Manual,
        to: ALICE.parse().unwrap(),
        asset: "lightning:regtest/msat".parse().unwrap(),
        amount: Amount::new(20_000),
        note: "control".to_owned(),
        now: now(),
    };
    store.grant_credit(grant).await.unwrap();
    let soon_over = now().plus_millis(5_000);
    // One that was over before the gateway starts, one that is over while it serves, one that is not, and one without an end.
    let ends = [Some(now()), Some(soon_over), Some(now().plus_millis(3_600_000)), None];
    let all = (0..).zip(ends).map(|(number, ends)| reserved(number, ends)).collect();
    store.book(all).await.unwrap();
    drop(store);
    world.gateway = world.gateway.started_again().await;
    let pending = || world.gateway.account(&format!("credit:{ALICE}"))[2];
    soon(async {
        while pending() != 1_100 {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    })
    .await;
    assert!(now() >= soon_over, "not before its end");
    assert_eq!(world.gateway.account(&format!("credit:{BOB}")), [0, 0, 0, 1_100], "nothing was posted");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f1_killed_after_the_claim_and_before_the_tool_the_payment_is_released() {
    for rail in ["x402", "l402"] {
        let doomed = Doomed::at("after_claim", rail).await.die_and_restart().await;
        assert_eq!(doomed.world.journal.executions(), 0, "{rail}");
        assert_eq!(doomed.world.payer_balance().await, 100_000_000, "{rail}: not charged");
        doomed.world.gateway.assert_books_in_order();
        delivered(&doomed.again().await); // the very same payment works: nothing had been sent
        assert_eq!(doomed.world.journal.executions(), 1, "{rail}");
        doomed.world.gateway.assert_books_in_order();
    }
}

#[tokio::test]
async fn f2_killed_while_the_tool_runs_it_is_never_run_again_with_that_payment() {
    for rail in ["x402", "l402"] {
        let script = Script::new().tool("slow", Behaviour::Hang).tool("echo", Behaviour::Echo);
        let mut world = World::new(script, &[("slow", PRICED), ("echo", "{ price: [10sat] }")]).await;
        let arguments = json!({ "n": 1 });
        let meta = match rail {
            "x402" => json!({ "x402/payment": world.x402_payment("slow", &arguments).await }),
            _ => json!({ "l402/authorization": world.l402_credential("slow", &arguments).await }),
        };
        let (url, body, dying) = (world.gateway.mcp(), arguments.clone(), meta.clone());
        let running = tokio::spawn(async move {
            let headers = modern_headers("slow");
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let body = bytes::Bytes::from(call_body("slow", &body, &dying).to_string());
            tollgate_testkit::http::send(http::Method::POST, &url, &headers, body).await
        });
        world.journal.wait_for_executions(1).await;
        world.gateway = world.gateway.killed_and_restarted().await;
        assert!(running.await.unwrap().is_err());
        let again = world.call_with("slow", &arguments, &meta).await;
        assert_eq!(
            (again.status.as_u16(), code(&again).as_str()),
            (409, "payment_replayed"),
            "{rail}: in doubt"
        );
        assert_eq!(world.journal.executions(), 1, "{rail}: no second execution");
        assert_eq!(world.payer_balance().await, 100_000_000, "{rail}: not charged");
        assert_eq!(world.gateway.account("payable:up"), [0, 0, 0, 0], "{rail}");
        world.gateway.assert_books_in_order();
    }
}

#[tokio::test]
async fn f6_killed_after_a_sandbox_settlement_the_call_is_charged_once_and_its_answer_is_kept() {
    let doomed = Doomed::at("after_settled", "x402").await.die_and_restart().await;
    let world = &doomed.world;
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.payer_balance().await, START - PRICE, "one charge");
    let result = delivered(&doomed.again().await);
    assert_eq!(result["structuredContent"]["echo"], doomed.arguments, "the kept result");
    assert_eq!(statement(&result)["charged"], true);
    assert_eq!(world.journal.executions(), 1, "not run again");
    assert_eq!(world.payer_account(), [PRICE, START, 0, 0], "not charged again");
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE, 0, 0], "a single entry");
    world.gateway.assert_books_in_order();
}

/// Makes a paid call that the gateway dies of, and starts it again.
async fn die_on_chain(mut world: OnChain, arguments: &Value) -> (OnChain, Value) {
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let meta = world.payment(arguments).await;
    let answered = world.begin(arguments, &meta).join_next().await.unwrap().unwrap();
    assert!(answered.is_err(), "the gateway should have died: {answered:?}");
    world.gateway = world.gateway.killed_and_restarted().await;
    (world, meta)
}

#[tokio::test]
async fn f3_f4_f6_killed_on_the_way_to_the_chain_or_back_the_call_is_charged_once_and_its_answer_is_kept() {
    for failpoint in ["after_submitted", "after_rail", "after_settled"] {
        let Some(world) = OnChain::doomed_at(failpoint).await else { return };
        let arguments = json!({ "n": 1 });
        let (world, meta) = die_on_chain(world, &arguments).await;
        world.until_state("settled").await;
        assert_eq!(world.journal.executions(), 1, "{failpoint}");
        world.assert_charged_once().await;
        let result = delivered(&world.call(&arguments, &meta).await);
        assert_eq!(result["structuredContent"]["echo"], arguments, "{failpoint}: the kept result");
        assert_eq!(statement(&result)["charged"], true, "{failpoint}");
        assert_eq!(world.journal.executions(), 1, "{failpoint}: not run again");
        world.assert_charged_once().await;
    }
}

#[tokio::test]
async fn f5_killed_inside_a_commit_of_a_call_on_chain_there_is_a_single_transfer() {
    // The writer dies before and after each of its commits in turn: claim, submission, settlement.
    for (point, commit) in [("before_commit", 1), ("after_commit", 1), ("before_commit", 2)]
        .into_iter()
        .chain([("after_commit", 2), ("before_commit", 3), ("after_commit", 3)])
    {
        let armed = format!("{point}:{commit}");
        let Some(world) = OnChain::doomed_at(&armed).await else { return };
        let arguments = json!({ "n": 1 });
        let (world, meta) = die_on_chain(world, &arguments).await;
        if armed == "before_commit:2" {
            // The tool has run, and nothing says what it answered.
            assert_eq!(code(&world.call(&arguments, &meta).await), "payment_replayed", "{armed}");
            world.assert_not_charged(&armed).await;
        } else {
            if commit > 1 {
                world.until_state("settled").await;
            }
            delivered(&world.call(&arguments, &meta).await);
            world.assert_charged_once().await;
        }
        assert_eq!(world.journal.executions(), 1, "{armed}");
    }
}

#[tokio::test]
async fn killed_between_the_result_and_its_record_nobody_is_charged() {
    for rail in ["x402", "l402"] {
        let doomed = Doomed::at("after_result", rail).await.die_and_restart().await;
        let world = &doomed.world;
        assert_eq!(world.journal.executions(), 1, "{rail}");
        assert_eq!(
            world.payer_balance().await,
            100_000_000,
            "{rail}: the result was lost, so it costs nothing"
        );
        assert_eq!(code(&doomed.again().await), "payment_replayed", "{rail}: and it is not run again");
        assert_eq!(world.journal.executions(), 1, "{rail}");
        world.gateway.assert_books_in_order();
    }
}

#[tokio::test]
async fn f6_killed_after_an_l402_settlement_the_credential_returns_the_kept_answer() {
    let doomed = Doomed::at("after_settled", "l402").await.die_and_restart().await;
    let result = delivered(&doomed.again().await);
    assert_eq!(statement(&result)["charged"], true);
    assert_eq!(doomed.world.journal.executions(), 1);
    assert_eq!(doomed.world.gateway.account("payable:up"), [0, 10_000, 0, 0]);
    doomed.world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f5_killed_inside_the_commit_of_a_settlement_there_is_a_single_entry() {
    // The writer dies before and after each commit of the call in turn: claim, and settlement with everything else. The
    // commit before them gives the payer its money.
    for point in ["before_commit", "after_commit"] {
        for commit in 2..=3_u32 {
            let armed = format!("{point}:{commit}");
            let doomed = Doomed::at(&armed, "x402").await.die_and_restart().await;
            let world = &doomed.world;
            let charged_before = world.payer_balance().await;
            let again = doomed.again().await;
            assert_eq!(world.journal.executions(), 1, "{armed}");
            if again.status == 200 && again.json().unwrap()["result"]["isError"] != true {
                assert_eq!(
                    world.payer_balance().await,
                    100_000_000 - PRICE,
                    "{armed}: delivered and charged once"
                );
                assert_eq!(world.gateway.account("payable:up"), [0, PRICE, 0, 0], "{armed}");
            } else {
                assert_eq!(charged_before, 100_000_000, "{armed}: not delivered, not charged");
                assert_eq!(world.gateway.account("payable:up"), [0, 0, 0, 0], "{armed}");
            }
            world.gateway.assert_books_in_order();
        }
    }
}

#[tokio::test]
async fn f1_f2_f5_f6_killed_at_any_step_a_call_from_prepaid_credit_is_charged_once_or_not_at_all() {
    // The commits of a gateway: what its payer is given, the claim, the settlement with everything else.
    for (failpoint, is_delivered) in [
        ("before_commit:2", true),
        ("after_commit:2", true),
        ("after_claim", true),
        ("after_result", false),
        ("before_commit:3", false),
        ("after_commit:3", true),
        ("after_settled", true),
    ] {
        let unpinned = "    pins: { drift: off, findings: off }\n";
        let armed = [("TOLLGATE_FAILPOINT", failpoint)];
        let mut world = World::with(Script::echo(), &[("echo", PRICED)], unpinned, &armed).await;
        let (id, key) = api_key(&world.gateway);
        // Credit has no proof: the caller's own key says that it is the same call again.
        let headers = [("x-api-key", key.as_str()), ("idempotency-key", "one")];
        let (arguments, mcp) = (json!({ "n": 1 }), world.gateway.mcp());
        let send = async || call(&mcp, "echo", &arguments, &json!({}), &headers).await;
        assert_eq!(code(&until_known(&send).await), "payment_required", "{failpoint}: no credit yet");
        assert!(world.gateway.cli(&["credit", "add", &id, "0.02USDC"]).status.success());
        fatal_call(&world, "echo", &arguments, &json!({}), &headers).await;
        world.gateway = world.gateway.killed_and_restarted().await;

        let again = send().await;
        assert_eq!(world.journal.executions(), 1, "{failpoint}");
        let charged = if is_delivered {
            let result = delivered(&again);
            assert_eq!(result["structuredContent"]["echo"], arguments, "{failpoint}");
            assert_eq!(statement(&result)["charged"], true, "{failpoint}");
            PRICE
        } else {
            assert_eq!(
                code(&again),
                "payment_replayed",
                "{failpoint}: it has run, and nobody knows its answer"
            );
            0
        };
        assert_eq!(world.gateway.account(&format!("credit:{id}")), [charged, 20_000, 0, 0], "{failpoint}");
        assert_eq!(world.gateway.account("payable:up"), [0, charged, 0, 0], "{failpoint}");
        world.gateway.assert_books_in_order();
    }
}

#[tokio::test]
async fn in_doubt_lightning_money_stays_the_holders_credit() {
    let script = Script::new().tool("slow", Behaviour::Hang).tool("echo", Behaviour::Echo);
    let mut world = World::new(script, &[("slow", PRICED), ("echo", PRICED)]).await;
    let credential = world.l402_credential("slow", &json!({})).await;
    let meta = json!({ "l402/authorization": credential });
    let (url, dying) = (world.gateway.mcp(), meta.clone());
    let running = tokio::spawn(async move {
        tokio::time::timeout(std::time::Duration::from_secs(20), call_quietly(url, dying)).await
    });
    world.journal.wait_for_executions(1).await;
    world.gateway = world.gateway.killed_and_restarted().await;
    drop(running.await);
    let hash = {
        use sha2::Digest;
        let preimage = hex::decode(credential.rsplit(':').next().unwrap()).unwrap();
        hex::encode(sha2::Sha256::digest(preimage))
    };
    assert_eq!(world.gateway.account(&format!("credit:lightning:{hash}")), [0, 10_000, 0, 0]);
    world.gateway.assert_books_in_order();
}

async fn call_quietly(url: String, meta: Value) {
    let headers = modern_headers("slow");
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = bytes::Bytes::from(call_body("slow", &json!({}), &meta).to_string());
    drop(tollgate_testkit::http::send(http::Method::POST, &url, &headers, body).await);
}

#[tokio::test]
async fn a_living_gateway_is_the_control_of_every_crash() {
    let world =
        World::with(Script::echo(), &[("echo", PRICED)], "", &[("TOLLGATE_FAILPOINT", "nowhere")]).await;
    delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    let gateway: &Gateway = &world.gateway;
    gateway.assert_books_in_order();
    let answer = call(&gateway.mcp(), "echo", &json!({ "n": 1 }), &json!({}), &[]).await;
    assert_eq!(code(&answer), "payment_required");
}
