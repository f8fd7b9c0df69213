//! Payouts through the doors of a real gateway: what a provider may withdraw, and everything that it may not; large ones that wait
//! for a word; and what was earned, without what a provider paid to itself.

mod crashes;
mod rails;
mod withdrawer;

use serde_json::{Value, json};
use tollgate_attest::Signer;
use tollgate_domain::{Amount, AssetId, Principal, TransferId};
use tollgate_ledger::payout::{
    ChangeList, Destination, ListChange, ListedBy, PayoutCommand, PayoutLimits, PayoutRail, PayoutStore as _,
    RequestPayout, Source, payout_id_for,
};
use tollgate_ledger::{LedgerStore as _, Transfer, TransferKind};
use tollgate_store::{Options, Store};
use tollgate_testkit::journal_server::Script;

#[cfg(not(feature = "postgres"))]
use self::withdrawer::Withdrawer;
#[cfg(feature = "postgres")]
pub(crate) use self::withdrawer::Withdrawer;
use self::withdrawer::reload;
use crate::world::{PRICE, PRICED, World, delivered, now};

/// Where the provider's money may go.
pub(crate) const WALLET: &str = "0x1111111111111111111111111111111111111111";
const ELSEWHERE: &str = "0x2222222222222222222222222222222222222222";
const HOUR_MS: u64 = 3_600_000;

/// The settings of payouts: the server `up` is acme's, whose keys are these.
pub(crate) fn settings(keys: &[&str], more: &str) -> String {
    format!(
        "payouts:\n  cool_off_seconds: 3600\n  providers:\n    acme:\n      servers: [up]\n      keys: [{}]\n      \
         destinations: [\"{WALLET}\"]\n      limits: [{{ per_payout: 0.05USDC, per_day: 0.07USDC, minimum: 0.01USDC, \
         approve_above: 0.03USDC }}]\n{more}",
        keys.join(", ")
    )
}

/// A gateway whose clock can be set ahead, and that has earned so many calls.
async fn earned(calls: u64, environment: &[(&str, &str)]) -> World {
    let world = World::with(Script::echo(), &[("echo", PRICED)], &settings(&[], ""), environment).await;
    for n in 0..calls {
        delivered(&world.paid_call("echo", &json!({ "n": n })).await);
    }
    world
}

/// The clock of gateways that are started with it.
struct Ahead(tempfile::NamedTempFile);

impl Ahead {
    fn new() -> Self {
        Self(tempfile::NamedTempFile::new().unwrap())
    }

    fn path(&self) -> String {
        self.0.path().to_str().unwrap().to_owned()
    }

    fn set(&self, millis: u64) {
        std::fs::write(self.0.path(), millis.to_string()).unwrap();
    }
}

pub(crate) fn asked(amount: u128) -> Value {
    json!({ "provider": "acme", "destination": WALLET, "amount": amount.to_string(), "asset": "USDC" })
}

#[tokio::test]
async fn p21_a_provider_withdraws_once_and_every_wrong_withdrawal_is_refused_by_its_name() {
    let ahead = Ahead::new();
    let world = earned(8, &[("TOLLGATE_CLOCK_AHEAD", &ahead.path())]).await;
    assert_eq!(world.gateway.account("payable:up"), [0, 8 * PRICE, 0, 0]);
    // In this order: the gateway reads all keys at once, so whoever knows the later one knows both.
    let (stranger, acme) = (Withdrawer::new(&world.gateway), Withdrawer::new(&world.gateway));
    reload(&world, &settings(&[&acme.id], ""));
    acme.until_allowed().await;

    // Nobody, somebody else, and a request that could be carried out twice.
    let unknown = acme.anonymous().request("a", &asked(PRICE)).await;
    unknown.refused(401, "unauthenticated");
    stranger.request("a", &asked(PRICE)).await.refused(403, "payout_not_allowed");
    let mut other = asked(PRICE);
    other["server"] = json!("demo");
    acme.request("a", &other).await.refused(403, "payout_not_allowed");
    acme.without_key(&asked(PRICE)).await.refused(400, "malformed_frame");

    // Listed a moment ago: not before it has cooled off, however often the configuration is read again.
    acme.request("a", &asked(PRICE)).await.refused(403, "payout_cooling_off");
    reload(&world, &settings(&[&acme.id], "      organisation: acme\n"));
    ahead.set(HOUR_MS / 2);
    acme.request("a", &asked(PRICE)).await.refused(403, "payout_cooling_off");
    ahead.set(HOUR_MS);

    let change = |member: &str, value: Value| {
        let mut changed = asked(PRICE);
        changed[member] = value;
        changed
    };
    acme.request("a", &change("destination", json!(ELSEWHERE)))
        .await
        .refused(403, "payout_destination_unlisted");
    acme.request("a", &change("destination", json!("0x12"))).await.refused(422, "payout_unpayable");
    acme.request("a", &change("asset", json!("sat"))).await.refused(422, "payout_unpayable");
    acme.request("a", &change("amount", json!("9999"))).await.refused(422, "payout_too_small");
    acme.request("a", &change("amount", json!("50001"))).await.refused(403, "payout_limit_exceeded");
    assert_eq!(world.gateway.account("payable:up"), [0, 8 * PRICE, 0, 0], "refused means no effect");

    // The same request, right this time: reserved at once, paid soon, and once.
    let made = acme.request("a", &asked(3 * PRICE)).await.done();
    assert_eq!(made["state"], "held", "{made}");
    let id = made["payout_id"].as_str().unwrap().to_owned();
    let settled = acme.until_state(&id, "settled").await;
    assert_eq!(world.gateway.sandbox_balance(WALLET).await, 3 * PRICE, "{settled}");
    let again = acme.request("a", &asked(3 * PRICE)).await;
    assert_eq!((again.status, &again.body["payout_id"]), (200, &json!(id)), "{}", again.body);
    acme.request("a", &asked(2 * PRICE)).await.refused(409, "payout_key_reused");
    acme.cancel(&id).await.refused(409, "payout_wrong_state");
    stranger.show(&id).await.refused(404, "payout_not_found");
    stranger.cancel(&id).await.refused(404, "payout_not_found");
    stranger.get("/api/v1/providers/acme/balance").await.refused(403, "payout_not_allowed");
    stranger.get("/api/v1/payouts").await.refused(403, "payout_not_allowed");

    // What was paid out counts in the limit of the day.
    acme.request("b", &asked(5 * PRICE)).await.refused(403, "payout_limit_exceeded");
    let balance = acme.get("/api/v1/providers/acme/balance").await.done();
    let of_up = &balance["balances"][0];
    assert_eq!(
        (&of_up["available"], &of_up["paid_out_or_refunded"], &of_up["earned"]),
        (&json!("50000"), &json!("30000"), &json!("80000")),
        "{balance}"
    );
    assert_eq!(balance["destinations"][0]["usable"], true, "{balance}");
    let listed = acme.get("/api/v1/payouts?state=settled").await.done();
    assert_eq!(listed["payouts"][0]["payout_id"], json!(id));
    let listed = world.gateway.cli(&["payout", "list", "--provider", "acme", "--json"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains(&id), "{listed:?}");
    let report = world.gateway.cli(&["reconcile", "--url", &world.gateway.url, "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["in_order"], &report["payouts_compared"]), (&json!(true), &json!(1)), "{report}");
    world.gateway.assert_books_in_order();
}

/// The books of a gateway that does not run.
fn books(world: &World) -> Store {
    let signer = Signer::from_seed(&[7; 32]).unwrap();
    Store::open(&world.folder.path().join("data"), signer, Options::default()).unwrap()
}

/// A Lightning node, whose invoices nothing pays in dev mode.
fn node(digit: usize) -> Destination {
    let asset = "lightning:regtest/msat".parse().unwrap();
    Destination::new(PayoutRail::Lightning, asset, &format!("02{digit:064x}")).unwrap()
}

fn listed(provider: &str, destination: Destination) -> PayoutCommand {
    let (provider, now) = (provider.parse().unwrap(), now());
    let change = ListChange::Add(destination, ListedBy::Operator(None));
    PayoutCommand::List(ChangeList { provider, change, now })
}

/// A provider withdraws from a gateway that was started again over these books.
async fn withdraws(world: &mut World, more: &str) {
    world.gateway = world.gateway.started_again().await;
    let acme = Withdrawer::new(&world.gateway);
    let settings = settings(&[&acme.id], more).replace("cool_off_seconds: 3600", "cool_off_seconds: 0");
    reload(world, &settings);
    acme.until_allowed().await;
    let made = acme.request("once", &asked(PRICE)).await.done();
    acme.until_state(made["payout_id"].as_str().unwrap(), "settled").await;
    assert_eq!(world.gateway.sandbox_balance(WALLET).await, PRICE);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn however_many_payouts_cannot_be_sent_those_behind_them_are() {
    /// As many as one provider may ask for in a day, which is as many as are read at once.
    const WAITING: usize = 256;
    let mut world = earned(1, &[]).await;
    world.gateway.kill();
    let store = books(&world);
    store.payout_command(listed("other", node(1))).await.unwrap();
    let asset: AssetId = "lightning:regtest/msat".parse().unwrap();
    let earned = Transfer {
        id: TransferId::from_bytes([6; 16]),
        kind: TransferKind::Posted,
        debit: "clearing:l402".parse().unwrap(),
        credit: "payable:other".parse().unwrap(),
        asset,
        amount: Amount::new(1_000),
        call: None,
        note: "earned".to_owned(),
        at: now(),
        expires: None,
    };
    store.book(vec![earned]).await.unwrap();
    let by: Principal = "eip155:0x00000000000000000000000000000000000000aa".parse().unwrap();
    let request = |number: usize| RequestPayout {
        id: payout_id_for(&by, &number.to_string(), None),
        source: Source::Earned {
            provider: "other".parse().unwrap(),
            server: "other".parse().unwrap(),
            by: by.clone(),
        },
        destination: node(1),
        amount: Amount::new(1),
        invoice: Some("lnbcrt1".into()),
        of_key: None,
        limits: PayoutLimits {
            cool_off_ms: 0,
            least: Amount::new(1),
            per_payout: Amount::new(1),
            per_day: Amount::new(1_000),
            approve_above: None,
        },
        now: now(),
    };
    let all = (0..WAITING).map(|number| store.payout_command(PayoutCommand::Request(request(number))));
    assert!(futures_util::future::join_all(all).await.iter().all(Result::is_ok));
    drop(store);
    withdraws(&mut world, "").await;
    assert_eq!(world.gateway.account("payable:other")[2], WAITING as u128, "control: they still wait");
}

#[tokio::test]
async fn a_provider_whose_list_is_too_long_holds_up_no_other() {
    let mut world = earned(1, &[]).await;
    world.gateway.kill();
    let store = books(&world);
    for number in 1..=64 {
        store.payout_command(listed("other", node(number))).await.unwrap();
    }
    drop(store);
    withdraws(
        &mut world,
        &format!("    other:\n      servers: [other]\n      destinations: [\"{ELSEWHERE}\"]\n"),
    )
    .await;
    let said = world.gateway.whole_log();
    assert!(said.contains("could not list where a provider is paid"), "control: {said}");
}

#[tokio::test]
async fn p21_a_large_payout_waits_for_the_operator_whose_word_counts_once_and_new_destinations_cool_off() {
    let ahead = Ahead::new();
    let world = earned(8, &[("TOLLGATE_CLOCK_AHEAD", &ahead.path())]).await;
    let acme = Withdrawer::new(&world.gateway);
    reload(&world, &settings(&[&acme.id], ""));
    acme.until_allowed().await;
    acme.request("first", &asked(PRICE)).await.refused(403, "payout_cooling_off");
    ahead.set(HOUR_MS);

    // Asked for, given up, asked for again, approved.
    let given_up = acme.request("large", &asked(4 * PRICE)).await.done();
    assert_eq!(given_up["state"], "requested", "{given_up}");
    assert_eq!(world.gateway.account("payable:up"), [0, 8 * PRICE, 4 * PRICE, 0], "reserved");
    let cancelled = acme.cancel(given_up["payout_id"].as_str().unwrap()).await.done();
    assert_eq!(cancelled["state"], "cancelled");
    let waiting = acme.request("again", &asked(4 * PRICE)).await.done();
    let id = waiting["payout_id"].as_str().unwrap().to_owned();
    let url = &world.gateway.url;
    let approved = world.gateway.cli(&["payout", "approve", &id, "--url", url, "--json"]);
    assert!(approved.status.success(), "{approved:?}");
    assert_eq!(
        acme.until_state(&id, "settled").await["approved_by"].as_str().map(|by| &by[..9]),
        Some("operator:")
    );
    let twice = world.gateway.cli(&["payout", "approve", &id, "--url", url, "--json"]);
    assert_eq!(twice.status.code(), Some(1), "a word counts once: {twice:?}");
    assert_eq!(world.gateway.sandbox_balance(WALLET).await, 4 * PRICE);

    // The operator lists one more: not usable before it has cooled off, and written down.
    let added = world.gateway.cli(&["payout", "destinations", "acme", "--add", ELSEWHERE, "--url", url]);
    assert!(added.status.success(), "{added:?}");
    let mut elsewhere = asked(PRICE);
    elsewhere["destination"] = json!(ELSEWHERE);
    acme.request("b", &elsewhere).await.refused(403, "payout_cooling_off");
    ahead.set(2 * HOUR_MS + 1_000);
    let made = acme.request("b", &elsewhere).await.done();
    acme.until_state(made["payout_id"].as_str().unwrap(), "settled").await;
    let removed = world.gateway.cli(&["payout", "destinations", "acme", "--remove", ELSEWHERE, "--url", url]);
    assert!(removed.status.success(), "{removed:?}");
    acme.request("c", &elsewhere).await.refused(403, "payout_destination_unlisted");
    let configured = world.gateway.cli(&["payout", "destinations", "acme", "--remove", WALLET, "--url", url]);
    assert_eq!(configured.status.code(), Some(1), "the configuration lists it: {configured:?}");
    let control = rusqlite::Connection::open(world.folder.path().join("data/control.db")).unwrap();
    let audited: i64 = control
        .query_row("SELECT count(*) FROM audit WHERE what IN ('list_destination', 'unlist_destination', 'payout_approve')", [], |row| row.get(0))
        .unwrap();
    assert_eq!(audited, 3);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn what_a_provider_paid_to_itself_is_no_revenue_and_stands_apart() {
    let world = earned(3, &[]).await;
    let acme = Withdrawer::new(&world.gateway);
    let lines = |report: &Value, member: &str| -> Vec<(String, u64, String)> {
        let lines = report[member].as_array().unwrap().iter().map(|line| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            (text("tool"), line["calls"].as_u64().unwrap(), text("net"))
        });
        lines.collect()
    };
    let line = vec![("echo".to_owned(), 3, (3 * PRICE).to_string())];
    reload(&world, &settings(&[&acme.id], ""));
    acme.until_allowed().await;
    let report = acme.get("/api/v1/providers/acme/revenue?hours=1").await.done();
    assert_eq!(
        (lines(&report, "revenue"), lines(&report, "self_payments")),
        (line.clone(), vec![]),
        "{report}"
    );
    // The same calls, once the wallet that paid is known to be the provider's own.
    let wallets = format!("      wallets: [\"{}\"]\n", world.payer_address());
    reload(&world, &settings(&[&acme.id], &wallets));
    let told = world.gateway.cli(&["revenue", "--hours", "1", "--url", &world.gateway.url, "--json"]);
    let report: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((lines(&report, "revenue"), lines(&report, "self_payments")), (vec![], line), "{report}");
    let words = world.gateway.cli(&["revenue", "--url", &world.gateway.url]);
    assert!(String::from_utf8_lossy(&words.stdout).contains("up/echo  3 calls"), "{words:?}");
}
