//! The load under which gateways die: clients who pay in every way and ask again until they are told how their call ended, and
//! what must hold of all that they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tollgate_rails::evm::SigningKey;
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::Journal;

use crate::invariants::executions;
use crate::world::{Demand, Gateway, call_body, code, delivered, modern_headers, statement};

/// How long a client waits before it asks a gateway again that is not there, or not ready with its call.
const AGAIN: Duration = Duration::from_millis(10);
/// A client that is not told for so many times is told never.
const TRIES_MAX: u64 = 6_000;

/// How a lane of calls pays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Paying {
    Prepaid,
    Lightning,
    Sandbox,
}

/// What a lane of calls is for, and how it pays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Lane {
    pub(super) tool: &'static str,
    pub(super) paying: Paying,
}

/// How a call ended, as its client was told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Told {
    /// Here is the result, and it was charged: the receipt's id.
    Delivered(String),
    /// The tool may have run when the gateway died: not charged, never run again with this payment.
    InDoubt,
}

/// One call that has ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    number: u64,
    lane: Lane,
    told: Told,
}

/// What all clients share.
pub(super) struct Clients {
    /// The endpoints, one for each gateway; whoever asks again asks the next one.
    urls: Vec<String>,
    wallet: SigningKey,
    /// The `Authorization` of whoever has prepaid.
    prepaid: String,
    /// What no answer may hold.
    secrets: Secrets,
    numbers: AtomicU64,
    is_over: AtomicBool,
    sent: watch::Sender<u64>,
    answered: watch::Sender<u64>,
    unanswered: AtomicU64,
    /// The lanes in which a call was delivered.
    delivering: watch::Sender<BTreeSet<Lane>>,
}

/// What may stand nowhere.
#[derive(Default)]
pub(super) struct Secrets {
    /// Each with what it is.
    texts: Vec<(&'static str, String)>,
    /// Signatures and preimages of payments, in hexadecimal.
    proofs: Mutex<BTreeSet<String>>,
}

impl Secrets {
    /// The keys of a gateway's data directory, and these.
    pub(super) fn of<'a>(
        gateways: impl IntoIterator<Item = &'a Gateway>,
        more: Vec<(&'static str, String)>,
    ) -> Self {
        let mut texts = more;
        for gateway in gateways {
            for file in ["receipts.key", "payer.key"] {
                let text = std::fs::read_to_string(gateway.folder.join("data").join(file)).unwrap();
                texts.push((file, text.trim().to_owned()));
            }
        }
        assert!(texts.iter().all(|(_, secret)| secret.len() >= 16), "each is one");
        Self { texts, proofs: Mutex::default() }
    }

    /// A payment's signature or preimage, which only its payer and the gateway are to see.
    fn keep_proof(&self, proof: &str) {
        let proof = proof.trim_start_matches("0x");
        assert!(proof.len() >= 64 && proof.bytes().all(|byte| byte.is_ascii_hexdigit()), "{proof}");
        self.proofs.lock().unwrap().insert(proof.to_owned());
    }

    /// I10: none of them is in what was said.
    fn assert_absent(&self, place: &str, said: &str) {
        for (what, secret) in &self.texts {
            assert!(!said.contains(secret.as_str()), "{what} is in {place}");
        }
        let proofs = self.proofs.lock().unwrap();
        let mut words = said.split(|letter: char| !letter.is_ascii_hexdigit());
        assert!(!words.any(|word| proofs.contains(word)), "a payment's proof is in {place}");
    }

    /// I10: none is in anything that this gateway has written or says of its books.
    fn assert_unsaid(&self, gateway: &Gateway) {
        assert!(!self.proofs.lock().unwrap().is_empty(), "some were paid with");
        self.assert_absent("the log", &gateway.whole_log());
        for command in [
            &["ledger", "check", "--json"][..],
            &["ledger", "export", "transfers", "--format", "csv"],
            &["ledger", "export", "settlements", "--format", "jsonl"],
            &["ledger", "export", "receipts", "--format", "jsonl"],
            &["calls", "list", "--json"],
            &["keys", "list", "--json"],
        ] {
            let done = gateway.cli(command);
            assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
            let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
            assert!(!said.is_empty(), "{command:?} says something");
            self.assert_absent(&command.join(" "), &said);
        }
    }
}

impl Clients {
    pub(super) fn new(urls: Vec<String>, wallet: SigningKey, prepaid: String, secrets: Secrets) -> Arc<Self> {
        Arc::new(Self {
            urls,
            wallet,
            prepaid,
            secrets,
            numbers: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            sent: watch::channel(0).0,
            answered: watch::channel(0).0,
            unanswered: AtomicU64::new(0),
            delivering: watch::Sender::default(),
        })
    }

    /// Begins to call, in all of these lanes at once. A call of each was delivered when this returns: few faults that come fast could
    /// leave a lane without one.
    pub(super) async fn begin(
        self: &Arc<Self>,
        lanes: impl IntoIterator<Item = Lane>,
    ) -> JoinSet<Vec<Ended>> {
        let mut running = JoinSet::new();
        let mut begun = BTreeSet::new();
        for lane in lanes {
            let clients = Arc::clone(self);
            running.spawn(async move { clients.lane(lane).await });
            begun.insert(lane);
        }
        let mut delivering = self.delivering.subscribe();
        crate::world::soon(delivering.wait_for(|lanes| *lanes == begun)).await.unwrap();
        running
    }

    /// No further calls begin; those under way end.
    pub(super) async fn end(&self, lanes: JoinSet<Vec<Ended>>) -> Ledger {
        self.is_over.store(true, Ordering::Relaxed);
        Ledger(lanes.join_all().await.concat())
    }

    /// I10: see [`Secrets::assert_unsaid`].
    pub(super) fn assert_unsaid(&self, gateway: &Gateway) {
        self.secrets.assert_unsaid(gateway);
    }

    /// How often no answer came.
    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Waits until so many more requests were sent.
    pub(super) async fn further_sent(&self, further: u64) {
        until_further(&self.sent, further).await;
    }

    /// Waits until so many more were answered.
    pub(super) async fn further_answered(&self, further: u64) {
        until_further(&self.answered, further).await;
    }

    /// Calls until it is over.
    async fn lane(&self, lane: Lane) -> Vec<Ended> {
        let mut ended = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let arguments = json!({ "n": number });
            let meta = match lane.paying {
                Paying::Prepaid => json!({ "tollgate/idempotency-key": format!("call-{number}") }),
                Paying::Lightning => self.credential(number, lane, &arguments).await,
                Paying::Sandbox => {
                    let demand = self.demand(number, lane, &arguments).await;
                    let payment = demand.sign(&self.wallet);
                    self.secrets.keep_proof(payment["payload"]["signature"].as_str().unwrap());
                    json!({ "x402/payment": payment })
                }
            };
            let told = self.until_told(number, lane, &arguments, &meta).await;
            if matches!(told, Told::Delivered(_)) {
                self.delivering.send_if_modified(|lanes| lanes.insert(lane));
            }
            ended.push(Ended { number, lane, told });
        }
        ended
    }

    fn url(&self, turn: u64) -> &str {
        let gateways = u64::try_from(self.urls.len()).unwrap();
        &self.urls[usize::try_from(turn % gateways).unwrap()]
    }

    /// One attempt, at one gateway after the other; `None` when no answer came.
    async fn call(
        &self,
        turn: u64,
        lane: Lane,
        is_paid: bool,
        arguments: &Value,
        meta: &Value,
    ) -> Option<Answer> {
        let mut headers = modern_headers(lane.tool);
        if is_paid && lane.paying == Paying::Prepaid {
            headers.push(("authorization".to_owned(), self.prepaid.clone()));
        }
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = Bytes::from(call_body(lane.tool, arguments, meta).to_string());
        self.sent.send_modify(|sent| *sent += 1);
        let answer = send(Method::POST, self.url(turn), &headers, body).await.ok();
        match &answer {
            Some(answer) => {
                self.secrets.assert_absent("an answer", &answer.text());
                self.answered.send_modify(|answered| *answered += 1);
            }
            None => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(AGAIN).await;
            }
        }
        answer
    }

    async fn demand(&self, number: u64, lane: Lane, arguments: &Value) -> Demand {
        for turn in 0..TRIES_MAX {
            if let Some(answer) = self.call(number + turn, lane, false, arguments, &json!({})).await
                && answer.text().contains("x402Version")
            {
                return Demand::read(&answer);
            }
        }
        panic!("no demand came");
    }

    /// A new invoice, paid; another one when it is not known whether it was.
    async fn credential(&self, number: u64, lane: Lane, arguments: &Value) -> Value {
        for turn in 0..TRIES_MAX {
            let url = self.url(number + turn).replace("/mcp", "/dev/lightning/pay");
            let challenge = self.demand(number + turn, lane, arguments).await.l402;
            let body = Bytes::from(json!({ "bolt11": challenge["invoice"] }).to_string());
            let json = [("content-type", "application/json")];
            if let Ok(answer) = send(Method::POST, &url, &json, body).await
                && let Some(preimage) = answer.json().unwrap_or_default()["preimage"].as_str()
            {
                self.secrets.keep_proof(preimage);
                let macaroon = challenge["macaroon"].as_str().unwrap();
                return json!({ "l402/authorization": format!("{macaroon}:{preimage}") });
            }
        }
        panic!("no invoice was paid");
    }

    /// The same call with the same payment, until there is an end.
    async fn until_told(&self, number: u64, lane: Lane, arguments: &Value, meta: &Value) -> Told {
        for turn in 0..TRIES_MAX {
            let Some(answer) = self.call(number + turn, lane, true, arguments, meta).await else {
                continue;
            };
            let is_result = answer
                .json()
                .is_ok_and(|body| body.get("result").is_some_and(|result| result["isError"] != true));
            if is_result {
                let result = delivered(&answer);
                assert_eq!(result["structuredContent"]["echo"], *arguments, "{}", answer.text());
                let receipt = statement(&result);
                assert_eq!(receipt["charged"], true, "{}", answer.text());
                return Told::Delivered(receipt["receipt_id"].as_str().unwrap().to_owned());
            }
            match code(&answer).as_str() {
                "payment_replayed" => return Told::InDoubt,
                "payment_in_flight" => tokio::time::sleep(AGAIN).await,
                // A gateway on its way up or down says to come again.
                _ if answer.status == 503 => tokio::time::sleep(AGAIN).await,
                // One of several that has lost its database answers with a fault.
                _ if self.urls.len() > 1 && answer.status.is_server_error() => {
                    tokio::time::sleep(AGAIN).await
                }
                other => panic!("{lane:?} {arguments}: {other}: {} {}", answer.status, answer.text()),
            }
        }
        panic!("{lane:?} {arguments}: nobody tells how it ended");
    }
}

async fn until_further(count: &watch::Sender<u64>, further: u64) {
    let mut count = count.subscribe();
    let until = *count.borrow() + further;
    crate::world::soon(count.wait_for(|count| *count >= until)).await.unwrap();
}

/// How all calls ended, as their clients were told.
pub(super) struct Ledger(Vec<Ended>);

impl Ledger {
    /// How many there were.
    pub(super) fn calls(&self) -> usize {
        self.0.len()
    }

    /// How many calls of this lane were delivered.
    pub(super) fn delivered(&self, lane: Lane) -> u128 {
        let is_delivered = |ended: &&Ended| ended.lane == lane && matches!(ended.told, Told::Delivered(_));
        u128::try_from(self.0.iter().filter(is_delivered).count()).unwrap()
    }

    /// In words: by lane, how many were delivered and how many are in doubt.
    pub(super) fn summary(&self) -> String {
        let mut counted = BTreeMap::<(Lane, &str), u64>::new();
        for ended in &self.0 {
            let word = if ended.told == Told::InDoubt { "in doubt" } else { "delivered" };
            *counted.entry((ended.lane, word)).or_default() += 1;
        }
        format!("{counted:?}")
    }

    /// I8 and I3: no tool ran twice for one payment, and nothing was charged for that did not run. The one that may run ahead of its
    /// claim may have run for a claim that a crash took back.
    pub(super) fn assert_ran_once(&self, journal: &Journal, ahead: Option<&str>) {
        let ran = executions(journal);
        assert!(ran.iter().all(|((tool, _), times)| *times == 1 || Some(tool.as_str()) == ahead), "{ran:?}");
        for Ended { number, lane, told } in &self.0 {
            let has_run = ran.contains_key(&(lane.tool.to_owned(), *number));
            assert!(*told == Told::InDoubt || has_run, "{number} {lane:?}");
        }
    }

    /// I6 and I7: every call whose money moved has its receipt in the log, and so has whoever was given one, each for one call. That the
    /// chain of each gateway's key verifies is for `ledger check`.
    pub(super) fn assert_receipts_kept(&self, gateway: &Gateway) {
        let rows = |what: &str| -> Vec<Value> {
            let exported = gateway.cli(&["ledger", "export", what, "--format", "jsonl"]);
            assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
            let text = String::from_utf8(exported.stdout).unwrap();
            text.lines().map(|row| serde_json::from_str(row).unwrap()).collect()
        };
        let of_calls = |row: &Value| (row["call_id"].to_string(), row["id"].as_str().unwrap().to_owned());
        let receipts: BTreeSet<(String, String)> = rows("receipts").iter().map(of_calls).collect();
        let kept: BTreeSet<&str> = receipts.iter().map(|(_, receipt)| receipt.as_str()).collect();
        for row in rows("settlements") {
            let Some(receipt) = row["receipt_id"].as_str() else {
                let has_moved =
                    ["settled", "delivered", "refunded"].contains(&row["state"].as_str().unwrap());
                assert!(!has_moved, "money has moved without a receipt: {row}");
                continue;
            };
            assert!(
                receipts.contains(&(row["call_id"].to_string(), receipt.to_owned())),
                "no receipt: {row}"
            );
        }
        let mut given = BTreeSet::new();
        for Ended { number, lane, told } in &self.0 {
            let Told::Delivered(receipt) = told else { continue };
            assert!(kept.contains(receipt.as_str()), "the receipt of {number} {lane:?} is gone: {receipt}");
            assert!(given.insert(receipt.clone()), "one receipt for two calls: {receipt}");
        }
    }
}
