//! Tools that may run while their claim is being committed: asked at once, answered when everything is durable, and what a crash
//! in between leaves.
//!
//! A gateway's writer is held just before its commits while there is a certain file.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tollgate_testkit::http::Answer;
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::paid_calls::{api_key, until_known};
use crate::world::{PRICE, PRICED, World, call, code, delivered, post, soon, statement};

const OVERLAPS: &str = "{ price: [0.01USDC, 10sat], overlap: true }";
const GATE_KEY: &str = "gate-key-of-a-test-0123456789abcdef";
const MORE: &str = "  app:
    gate: true
    tools:
      look: { price: [0.01USDC], overlap: true }
      write: { price: [0.01USDC] }
gate_api: { key: gate-key-of-a-test-0123456789abcdef }
";
/// 1 USDC in atomic units.
const GRANTED: u128 = 1_000_000;

/// A gateway whose commits can be held, and a caller with credit.
struct Held {
    world: World,
    hold: PathBuf,
    id: String,
    secret: String,
}

impl Held {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hold = folder.path().join("commits.hold");
        let script = Script::echo().tool("read", Behaviour::Echo);
        let tools = [("echo", PRICED), ("read", OVERLAPS)];
        let armed = [("TOLLGATE_FAILPOINT", "hold before_commit"), ("TOLLGATE_HOLD", hold.to_str().unwrap())];
        let world = World::in_folder(folder, script, &tools, MORE, &armed).await;
        let (id, secret) = api_key(&world.gateway);
        assert!(world.gateway.cli(&["credit", "add", &id, "1USDC"]).status.success());
        let held = Self { world, hold, id, secret };
        delivered(&until_known(async || held.call("read", 0).await).await);
        held
    }

    /// The next commit, and every one behind it, waits.
    fn hold(&self) {
        std::fs::write(&self.hold, "").unwrap();
    }

    /// Waits until a commit waits.
    async fn a_commit_waits(&self) {
        let reached = self.hold.with_extension("reached");
        soon(async {
            while !reached.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
        .await;
        std::fs::remove_file(reached).unwrap();
    }

    fn release(&self) {
        std::fs::remove_file(&self.hold).unwrap();
    }

    async fn call(&self, tool: &'static str, n: u64) -> Answer {
        self.begin(tool, n, json!({})).await.unwrap()
    }

    /// A call with prepaid credit, or with the payment that is in `meta`.
    fn begin(&self, tool: &'static str, n: u64, meta: Value) -> JoinHandle<Answer> {
        let (url, bearer) = (self.world.gateway.mcp(), format!("Bearer {}", self.secret));
        let is_prepaid = meta.get("x402/payment").is_none();
        tokio::spawn(async move {
            let headers = [("authorization", bearer.as_str())];
            call(&url, tool, &json!({ "n": n }), &meta, if is_prepaid { &headers } else { &[] }).await
        })
    }

    fn assert_spent(&self, calls: u128) {
        let account = self.world.gateway.account(&format!("credit:{}", self.id));
        assert_eq!(account, [PRICE * calls, GRANTED, 0, 0]);
        self.world.gateway.assert_books_in_order();
    }
}

#[tokio::test]
async fn a_tool_that_overlaps_is_asked_while_its_claim_is_committed_and_answered_when_that_is_durable() {
    let held = Held::new().await;
    held.hold();
    let ahead = held.begin("read", 1, json!({}));
    soon(held.world.journal.wait_for_executions(2)).await;
    held.a_commit_waits().await;
    assert!(!ahead.is_finished(), "its claim is not durable, nor is its end");
    held.release();
    let result = delivered(&ahead.await.unwrap());
    assert_eq!(statement(&result)["charged"], true);
    held.assert_spent(2);

    // Control: another tool waits for its claim.
    held.hold();
    let behind = held.begin("echo", 2, json!({}));
    held.a_commit_waits().await;
    assert_eq!(held.world.journal.executions(), 2);
    held.release();
    delivered(&behind.await.unwrap());
    assert_eq!(held.world.journal.executions(), 3);
    held.assert_spent(3);
}

#[tokio::test]
async fn a_proof_that_counts_once_is_claimed_durably_before_a_tool_that_overlaps_is_asked() {
    let held = Held::new().await;
    let payment = held.world.x402_payment("read", &json!({ "n": 1 })).await;
    held.hold();
    let paid = held.begin("read", 1, json!({ "x402/payment": payment }));
    held.a_commit_waits().await;
    assert_eq!(held.world.journal.executions(), 1, "the one that was called to begin with");
    held.release();
    delivered(&paid.await.unwrap());
    assert_eq!(held.world.journal.executions(), 2);
    held.world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f1_killed_before_the_claim_is_durable_that_a_tool_ran_ahead_of_nobody_is_charged() {
    let mut held = Held::new().await;
    held.hold();
    let meta = json!({ "tollgate/idempotency-key": "one" });
    let lost = held.begin("read", 1, meta.clone());
    soon(held.world.journal.wait_for_executions(2)).await;
    held.a_commit_waits().await;
    held.world.gateway.kill();
    assert!(lost.await.is_err(), "no answer came");
    held.release();
    held.world.gateway = held.world.gateway.started_again().await;
    held.assert_spent(1);
    // The same once more: it runs once more, and is charged once.
    let again = until_known(async || held.begin("read", 1, meta.clone()).await.unwrap()).await;
    delivered(&again);
    assert_eq!(held.world.journal.executions(), 3);
    held.assert_spent(2);
    let repeated = held.begin("read", 1, meta).await.unwrap();
    assert_eq!(delivered(&repeated)["structuredContent"], delivered(&again)["structuredContent"]);
    assert_eq!(held.world.journal.executions(), 3, "control: with its end on the books it is the same call");
}

#[tokio::test]
async fn a_claim_beyond_the_credit_is_refused_however_many_run_ahead() {
    let held = Held::new().await;
    // 99 calls are left. The first of these finds the commits held, so that none of the others finds its claim durable.
    held.hold();
    let calls: Vec<_> = (0..120).map(|n| held.begin("read", 1_000 + n, json!({}))).collect();
    held.a_commit_waits().await;
    held.release();
    let mut ran = 0;
    for asked in calls {
        let answer = asked.await.unwrap();
        match answer.json().unwrap()["result"]["structuredContent"]["echo"].is_object() {
            true => ran += 1,
            false => assert_eq!(code(&answer), "payment_required"),
        }
    }
    assert_eq!(ran, 99);
    assert_eq!(held.world.journal.executions(), 100, "none ran that could not be claimed");
    held.assert_spent(100);
}

#[tokio::test]
async fn the_gate_api_gives_a_lease_while_the_claim_is_committed_and_says_the_end_when_both_are_durable() {
    let held = Held::new().await;
    let url = held.world.gateway.url.clone();
    let gate = async |path: &str, body: Value| {
        let bearer = format!("Bearer {GATE_KEY}");
        post(&format!("{url}/gate/v1/{path}"), &body, &[("authorization", &bearer)]).await.json().unwrap()
    };
    let asked =
        |tool: &str| json!({ "tool": tool, "arguments": {}, "api_key": held.secret, "auto_pay": true });
    held.hold();
    let allowed = soon(gate("authorize", asked("app/look"))).await;
    assert_eq!(allowed["decision"], "allow", "{allowed}");
    held.a_commit_waits().await;
    let complete = json!({ "lease": allowed["lease"], "outcome": "delivered", "result": { "seen": 1 } });
    let mut ending = std::pin::pin!(gate("complete", complete));
    let mut waiting = std::pin::pin!(gate("authorize", asked("app/write")));
    // Both are sent, and neither is answered before the other end of the hold.
    tokio::select! {
        biased;
        ended = &mut ending => panic!("ended before its claim was durable: {ended}"),
        allowed = &mut waiting => panic!("control: a claim that is waited for: {allowed}"),
        () = async { for _ in 0..50 { tokio::task::yield_now().await } } => {}
    }
    held.release();
    let (ended, allowed) = tokio::join!(ending, waiting);
    assert_eq!(ended["charged"], true, "{ended}");
    assert_eq!(allowed["decision"], "allow", "{allowed}");
}
