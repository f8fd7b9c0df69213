//! F7: `kill -9` at any moment, under load. Clients pay with prepaid credit, over Lightning and in sandbox money at once, and ask
//! again with the same payment until they are told how their call ended; the gateway is killed again and again meanwhile.
//!
//! `TOLLGATE_KILLS=1000` kills that often; a few times by default.

#[cfg(feature = "postgres")]
mod pair;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tollgate_rails::evm::SigningKey;
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::Script;

use crate::paid_calls::api_key;
use crate::world::{
    Demand, PRICE, PRICED, START, World, call_body, code, delivered, modern_headers, soon, statement,
};

const KILLS: u64 = 8;
/// Of each way to pay.
const LANES: u64 = 2;
/// The price over Lightning, in millisatoshi.
const PRICE_MSAT: u128 = 10_000;
/// How long a client waits before it asks a gateway again that is not there, or not ready with its call.
const AGAIN: Duration = Duration::from_millis(10);
/// A client that is not told for so many times is told never.
const TRIES_MAX: u32 = 6_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Paying {
    Prepaid,
    Lightning,
    Sandbox,
}

/// How a call ended, as its client was told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Told {
    /// Here is the result, and it was charged.
    Delivered,
    /// The tool may have run when the gateway died: not charged, never run again with this payment.
    InDoubt,
}

/// What all clients share.
struct Clients {
    url: String,
    wallet: SigningKey,
    /// The `Authorization` of whoever has prepaid.
    prepaid: String,
    numbers: AtomicU64,
    is_over: AtomicBool,
    sent: watch::Sender<u64>,
    answered: watch::Sender<u64>,
    unanswered: AtomicU64,
}

impl Clients {
    /// Calls until it is over; the number of each call and how it ended.
    async fn lane(&self, paying: Paying) -> Vec<(u64, Paying, Told)> {
        let mut ended = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let arguments = json!({ "n": number });
            let meta = match paying {
                Paying::Prepaid => json!({ "tollgate/idempotency-key": format!("call-{number}") }),
                Paying::Lightning => self.credential(&arguments).await,
                Paying::Sandbox => {
                    json!({ "x402/payment": self.demand(&arguments).await.sign(&self.wallet) })
                }
            };
            ended.push((number, paying, self.until_told(paying, &arguments, &meta).await));
        }
        ended
    }

    /// One attempt; `None` when no answer came.
    async fn call(&self, paying: Option<Paying>, arguments: &Value, meta: &Value) -> Option<Answer> {
        let mut headers = modern_headers("echo");
        if paying == Some(Paying::Prepaid) {
            headers.push(("authorization".to_owned(), self.prepaid.clone()));
        }
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = Bytes::from(call_body("echo", arguments, meta).to_string());
        self.sent.send_modify(|sent| *sent += 1);
        let answer = send(Method::POST, &self.url, &headers, body).await.ok();
        match &answer {
            Some(_) => self.answered.send_modify(|answered| *answered += 1),
            None => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(AGAIN).await;
            }
        }
        answer
    }

    async fn demand(&self, arguments: &Value) -> Demand {
        for _try in 0..TRIES_MAX {
            if let Some(answer) = self.call(None, arguments, &json!({})).await
                && answer.text().contains("x402Version")
            {
                return Demand::read(&answer);
            }
        }
        panic!("no demand came");
    }

    /// A new invoice, paid; another one when it is not known whether it was.
    async fn credential(&self, arguments: &Value) -> Value {
        let url = self.url.replace("/mcp", "/dev/lightning/pay");
        for _try in 0..TRIES_MAX {
            let challenge = self.demand(arguments).await.l402;
            let body = Bytes::from(json!({ "bolt11": challenge["invoice"] }).to_string());
            let json = [("content-type", "application/json")];
            if let Ok(answer) = send(Method::POST, &url, &json, body).await
                && let Some(preimage) = answer.json().unwrap_or_default()["preimage"].as_str()
            {
                let macaroon = challenge["macaroon"].as_str().unwrap();
                return json!({ "l402/authorization": format!("{macaroon}:{preimage}") });
            }
        }
        panic!("no invoice was paid");
    }

    /// The same call with the same payment, until there is an end.
    async fn until_told(&self, paying: Paying, arguments: &Value, meta: &Value) -> Told {
        for _try in 0..TRIES_MAX {
            let Some(answer) = self.call(Some(paying), arguments, meta).await else { continue };
            let is_result = answer
                .json()
                .is_ok_and(|body| body.get("result").is_some_and(|result| result["isError"] != true));
            if is_result {
                let result = delivered(&answer);
                assert_eq!(result["structuredContent"]["echo"], *arguments, "{}", answer.text());
                assert_eq!(statement(&result)["charged"], true, "{}", answer.text());
                return Told::Delivered;
            }
            match code(&answer).as_str() {
                "payment_replayed" => return Told::InDoubt,
                "payment_in_flight" => tokio::time::sleep(AGAIN).await,
                // A gateway on its way up or down says to come again.
                _ if answer.status == 503 => tokio::time::sleep(AGAIN).await,
                other => panic!("{paying:?} {arguments}: {other}: {} {}", answer.status, answer.text()),
            }
        }
        panic!("{paying:?} {arguments}: nobody tells how it ended");
    }
}

/// What an account has of an asset whose id begins like this: debits and credits posted, then pending.
fn account(world: &World, name: &str, asset: &str) -> [u128; 4] {
    let checked = world.gateway.cli(&["ledger", "check", "--json"]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let rows = report["accounts"].as_array().unwrap();
    let mut found =
        rows.iter().filter(|row| row["account"] == name && row["asset"].as_str().unwrap().starts_with(asset));
    let Some(row) = found.next() else { return [0; 4] };
    ["debits_posted", "credits_posted", "debits_pending", "credits_pending"]
        .map(|field| row[field].as_str().unwrap().parse().unwrap())
}

/// Waits until the load has come a little further, and kills in the middle of it: of what is sent, what runs, or what is answered.
async fn kill_once(mut world: World, clients: &Clients, turn: u64) -> World {
    let further = 1 + turn.wrapping_mul(2_654_435_761) % 7;
    match turn % 3 {
        0 => soon(world.journal.wait_for_executions(world.journal.executions() + further)).await,
        1 => {
            let mut sent = clients.sent.subscribe();
            let until = *sent.borrow() + further;
            soon(sent.wait_for(|sent| *sent >= until)).await.unwrap();
        }
        _ => {
            let mut answered = clients.answered.subscribe();
            let until = *answered.borrow() + further;
            soon(answered.wait_for(|answered| *answered >= until)).await.unwrap();
        }
    }
    world.gateway = world.gateway.killed_and_restarted().await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_killed_again_and_again_under_load_everybody_is_told_and_charged_exactly_as_told() {
    let limits = "limits: { calls_per_minute: 1000000, offers_per_minute: 1000000 }\n";
    let mut world = World::with(Script::echo(), &[("echo", PRICED)], limits, &[]).await;
    let (id, secret) = api_key(&world.gateway);
    assert!(world.gateway.cli(&["credit", "add", &id, "1000USDC"]).status.success());
    let clients = Arc::new(Clients {
        url: world.gateway.mcp(),
        wallet: world.payer(),
        prepaid: format!("Bearer {secret}"),
        numbers: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        sent: watch::channel(0).0,
        answered: watch::channel(0).0,
        unanswered: AtomicU64::new(0),
    });
    // The key is known from the next start on at the latest.
    world.gateway = world.gateway.killed_and_restarted().await;
    let mut lanes = JoinSet::new();
    for paying in [Paying::Prepaid, Paying::Lightning, Paying::Sandbox] {
        for _lane in 0..LANES {
            let clients = Arc::clone(&clients);
            lanes.spawn(async move { clients.lane(paying).await });
        }
    }
    let kills =
        std::env::var_os("TOLLGATE_KILLS").map_or(KILLS, |kills| kills.to_str().unwrap().parse().unwrap());
    for turn in 0..kills {
        world = kill_once(world, &clients, turn).await;
        if turn % 100 == 99 {
            world.gateway.assert_books_in_order();
        }
    }
    clients.is_over.store(true, Ordering::Relaxed);
    let ended = lanes.join_all().await.concat();

    let mut told = BTreeMap::<(Paying, Told), u128>::new();
    for (_, paying, end) in &ended {
        *told.entry((*paying, *end)).or_default() += 1;
    }
    let unanswered = clients.unanswered.load(Ordering::Relaxed);
    println!("{kills} kills, {} calls, {unanswered} times no answer: {told:?}", ended.len());
    let delivered = |paying| told.get(&(paying, Told::Delivered)).copied().unwrap_or(0);
    let (prepaid, lightning, sandbox) =
        (delivered(Paying::Prepaid), delivered(Paying::Lightning), delivered(Paying::Sandbox));
    assert!(
        prepaid > 0 && lightning > 0 && sandbox > 0 && unanswered > 0,
        "the load was under way: {told:?}"
    );

    world.gateway.assert_books_in_order();
    // Nobody is charged without a result, nobody has a result without being charged, and each once.
    let paid = PRICE * (prepaid + sandbox);
    assert_eq!(account(&world, "payable:up", "eip155:"), [0, paid, 0, 0]);
    assert_eq!(account(&world, "payable:up", "lightning:"), [0, PRICE_MSAT * lightning, 0, 0]);
    let [spent, _, reserved, _] = account(&world, &format!("credit:{id}"), "eip155:");
    assert_eq!((spent, reserved), (PRICE * prepaid, 0));
    assert_eq!(world.payer_balance().await, START - PRICE * sandbox);
    // No tool ran twice for one payment, and none was charged for that did not run.
    let mut runs = BTreeMap::<u64, u32>::new();
    for call in world.journal.calls_to("echo") {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
        *runs.entry(arguments["n"].as_u64().unwrap()).or_default() += 1;
    }
    assert!(runs.values().all(|runs| *runs == 1), "{runs:?}");
    for (number, paying, end) in &ended {
        assert!(*end != Told::Delivered || runs.contains_key(number), "{number} {paying:?}");
    }
}
