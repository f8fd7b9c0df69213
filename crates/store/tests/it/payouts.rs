//! Payouts on disk: what was written is read again, after a restart too; lists of destinations, pages, and races for one balance.

use tempfile::TempDir;
use tollgate_domain::{AdminKeyId, Amount, Digest, PayoutId, Rail, TransferId};
use tollgate_ledger::escrow::{EscrowTerms, Part, Proposal};
use tollgate_ledger::payout::{
    Actor, ChangeList, Destination, ListChange, ListedBy, MovePayout, PayoutAnswer, PayoutCommand,
    PayoutEvent, PayoutFilter, PayoutLimits, PayoutRail, PayoutRefusal, PayoutRow, PayoutState, PayoutStore,
    ProviderName, RequestPayout, Source, credit_payout_id_for, payout_id_for,
};
use tollgate_ledger::{
    Advance, Claim, Clearing, Event, LedgerStore, Refusal, StoreError, Transfer, TransferKind,
};
use tollgate_store::Store;

use crate::entrusted::promises::{accepted, entrusting, terms};
use crate::world::*;

fn acme() -> ProviderName {
    "acme".parse().unwrap()
}

fn node(digit: char) -> Destination {
    let key = format!("02{}", digit.to_string().repeat(64));
    Destination::new(PayoutRail::Lightning, asset(), &key).unwrap()
}

fn earnings(provider: ProviderName) -> Source {
    Source::Earned { provider, server: "demo".parse().unwrap(), by: alice() }
}

/// Credit of a wallet, back to the wallet, at the word of an operator with this key.
fn credit_back(key: &str, amount: u128, operator: u8) -> RequestPayout {
    let to = wallet().as_str().strip_prefix("eip155:").unwrap().to_owned();
    RequestPayout {
        id: credit_payout_id_for(&wallet(), key),
        source: Source::Credit { wallet: wallet(), by: Some(AdminKeyId::from_bytes([operator; 16])) },
        destination: Destination::new(PayoutRail::Evm, asset(), &to).unwrap(),
        invoice: None,
        ..request(key, amount)
    }
}

fn request(key: &str, amount: u128) -> RequestPayout {
    RequestPayout {
        id: payout_id_for(&alice(), key, None),
        source: earnings(acme()),
        destination: node('a'),
        amount: Amount::new(amount),
        invoice: Some("lnbcrt1".into()),
        of_key: Some(payout_id_for(&alice(), &format!("{key} without its invoice"), None)),
        limits: PayoutLimits {
            cool_off_ms: 10,
            least: Amount::new(1),
            per_payout: Amount::new(1_000),
            per_day: Amount::new(1_000),
            approve_above: Some(Amount::new(500)),
        },
        now: at(100),
    }
}

async fn list(store: &Store, provider: ProviderName, change: ListChange, now: u64) {
    let change = ChangeList { provider, change, now: at(now) };
    store.payout_command(PayoutCommand::List(change)).await.unwrap();
}

async fn ask(store: &Store, request: RequestPayout) -> Result<PayoutRow, StoreError> {
    match store.payout_command(PayoutCommand::Request(request)).await? {
        PayoutAnswer::Payout { row, .. } => Ok(PayoutRow::clone(&row)),
        PayoutAnswer::Listed(_) => panic!("another answer"),
    }
}

async fn step(store: &Store, id: PayoutId, by: Actor, event: PayoutEvent) -> Result<PayoutRow, StoreError> {
    let step = MovePayout { id, by, event, expected: None, now: at(200) };
    match store.payout_command(PayoutCommand::Move(step)).await? {
        PayoutAnswer::Payout { row, .. } => Ok(PayoutRow::clone(&row)),
        PayoutAnswer::Listed(_) => panic!("another answer"),
    }
}

/// Earnings of 1,000 on the account, and a destination.
async fn funded(store: &Store) {
    let earned = Transfer {
        id: TransferId::from_bytes([6; 16]),
        kind: TransferKind::Posted,
        debit: tollgate_ledger::AccountName::Clearing(Clearing::L402),
        credit: payable(),
        asset: asset(),
        amount: Amount::new(1_000),
        call: None,
        note: "earned".to_owned(),
        at: at(1),
        expires: None,
    };
    store.book(vec![earned]).await.unwrap();
    list(store, acme(), ListChange::Configured(vec![node('a')]), 0).await;
}

#[tokio::test]
async fn a_payout_is_read_as_it_was_written_at_every_step_and_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    life_of(&store).await;
    let before = store.payouts(PayoutFilter::default(), 9).await.unwrap();
    let payee = store.payee(&acme()).await.unwrap();
    drop(store);
    let store = open(&directory);
    assert_eq!(store.payouts(PayoutFilter::default(), 9).await.unwrap(), before);
    assert_eq!(store.payee(&acme()).await.unwrap(), payee);
    in_order(&store).await;
}

pub(crate) async fn life_of(store: &Store) {
    funded(store).await;
    let large = ask(store, request("large", 501)).await.unwrap();
    let small = ask(store, request("small", 100)).await.unwrap();
    assert_eq!((large.state, small.state), (PayoutState::Requested, PayoutState::Held));
    assert_eq!(ask(store, request("small", 100)).await, Ok(small.clone()), "the same request, once");
    let page = async |after, limit| {
        let rows = store.open_payouts(after, limit).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let open = async || page(None, 9).await;
    assert_eq!(open().await, [small.id], "what waits for a word is not carried out");
    step(store, large.id, Actor::Operator(None), PayoutEvent::Approve).await.unwrap();
    assert_eq!(open().await, [large.id, small.id]);
    assert_eq!(page(None, 1).await, [large.id]);
    assert_eq!(page(Some(large.id), 1).await, [small.id], "what stays open is behind");
    assert_eq!(page(Some(small.id), 1).await, []);
    for event in [
        PayoutEvent::Submit { instruction: "sign".to_owned() },
        PayoutEvent::Unknown { evidence: "timed out".to_owned() },
        PayoutEvent::Settled { reference: "ab".to_owned() },
    ] {
        let row = step(store, large.id, Actor::Gateway, event).await.unwrap();
        assert_eq!(store.payout(&large.id).await.unwrap(), Some(row));
        in_order(store).await;
    }
    let failed = PayoutEvent::Failed { reason: "expired".to_owned() };
    step(store, small.id, Actor::Gateway, failed).await.unwrap();
    assert_eq!(open().await, []);
    assert_eq!(page(Some(large.id), 9).await, [], "behind one that has ended");
    let balance = store.balance(&payable(), &asset()).await.unwrap();
    assert_eq!(balance.available(), Some(Amount::new(499)));
    let payee = store.payee(&acme()).await.unwrap().unwrap();
    assert_eq!(payee.counted.iter().map(|counted| counted.payout).collect::<Vec<_>>(), [large.id]);
}

#[tokio::test]
async fn p21_a_destination_keeps_its_moment_over_restarts_and_reloads() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    moments_of(&store).await;
    drop(store);
    let store = open(&directory);
    list(&store, acme(), ListChange::Configured(vec![node('a')]), 99).await;
    let payee = store.payee(&acme()).await.unwrap().unwrap();
    assert_eq!(payee.listed(&node('a')).unwrap().added, at(0), "since when it was first seen");
    assert_eq!(payee.listed(&node('b')).unwrap().by, ListedBy::Operator(None));
}

pub(crate) async fn moments_of(store: &Store) {
    funded(store).await;
    list(store, acme(), ListChange::Add(node('b'), ListedBy::Operator(None)), 95).await;
    list(store, acme(), ListChange::Configured(vec![node('a'), node('b')]), 96).await;
    let to_b = RequestPayout { destination: node('b'), ..request("b", 100) };
    let refused = ask(store, to_b.clone()).await.unwrap_err();
    let cooling = PayoutRefusal::CoolingOff { until: at(105) };
    assert_eq!(refused, StoreError::Refused(Refusal::Payout(Box::new(cooling))));
    ask(store, RequestPayout { now: at(105), ..to_b }).await.unwrap();
    in_order(store).await;
}

#[tokio::test]
async fn payouts_are_listed_the_newest_first_in_pages_of_their_provider() {
    let directory = TempDir::new().unwrap();
    pages_of(&open(&directory)).await;
}

pub(crate) async fn pages_of(store: &Store) {
    funded(store).await;
    let other: ProviderName = "other".parse().unwrap();
    list(store, other.clone(), ListChange::Configured(vec![node('a')]), 0).await;
    let mut ids = Vec::new();
    for key in ["1", "2", "3"] {
        ids.push(ask(store, request(key, 10)).await.unwrap().id);
    }
    let foreign = RequestPayout { source: earnings(other.clone()), ..request("4", 10) };
    let foreign = ask(store, foreign).await.unwrap().id;
    let listed = async |filter: PayoutFilter, limit| {
        let page = store.payouts(filter, limit).await.unwrap();
        (page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), page.next)
    };
    let of = |provider| PayoutFilter { provider: Some(provider), ..PayoutFilter::default() };
    let (first, next) = listed(of(acme()), 2).await;
    assert_eq!(first, [ids[2], ids[1]]);
    assert_eq!(listed(PayoutFilter { before: next, ..of(acme()) }, 2).await, (vec![ids[0]], None));
    assert_eq!(listed(of(other), 9).await.0, [foreign]);
    let held = PayoutFilter { state: Some(PayoutState::Settled), ..PayoutFilter::default() };
    assert_eq!(listed(held, 9).await.0, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn p21_of_many_withdrawals_at_once_exactly_what_is_there_is_reserved() {
    let directory = TempDir::new().unwrap();
    race_of(&open(&directory)).await;
}

pub(crate) async fn race_of(store: &Store) {
    funded(store).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        tasks.spawn(async move { ask(&store, request(&number.to_string(), 100)).await });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10);
    let balance = store.balance(&payable(), &asset()).await.unwrap();
    assert_eq!((balance.debits_pending, balance.available()), (Amount::new(1_000), Some(Amount::ZERO)));
    in_order(store).await;
}

#[tokio::test]
async fn credit_of_a_wallet_goes_back_once_and_its_limit_holds_over_restarts() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    credit_of(&store).await;
    let before = store.payouts(PayoutFilter::default(), 9).await.unwrap();
    drop(store);
    let store = open(&directory);
    assert_eq!(store.payouts(PayoutFilter::default(), 9).await.unwrap(), before);
    credit_is_limited(&store).await;
}

pub(crate) async fn credit_of(store: &Store) {
    funded(store).await;
    store.grant_credit(grant(&wallet(), 2_000)).await.unwrap();
    let row = ask(store, credit_back("one", 400, 1)).await.unwrap();
    assert_eq!(store.payout(&row.id).await.unwrap(), Some(row.clone()));
    assert_eq!(
        ask(store, credit_back("one", 400, 2)).await,
        Ok(row.clone()),
        "whichever operator asks, once"
    );
    let earned = ask(store, request("one", 100)).await.unwrap();
    for event in [
        PayoutEvent::Submit { instruction: "sign".to_owned() },
        PayoutEvent::Unknown { evidence: "timed out".to_owned() },
        PayoutEvent::Settled { reference: "0xab".to_owned() },
    ] {
        let moved = step(store, row.id, Actor::Gateway, event).await.unwrap();
        assert_eq!(store.payout(&row.id).await.unwrap(), Some(moved));
        in_order(store).await;
    }
    let balance = balances(store, &credit(&wallet())).await;
    assert_eq!((balance.debits_posted, balance.available()), (Amount::new(400), Some(Amount::new(1_600))));
    let listed = async |provider| {
        let page = store.payouts(PayoutFilter { provider, ..PayoutFilter::default() }, 9).await.unwrap();
        page.rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(None).await, [earned.id, row.id]);
    assert_eq!(listed(Some(acme())).await, [earned.id], "it is no provider's");
    credit_is_limited(store).await;
}

/// Of 1,000 a day 400 are gone.
async fn credit_is_limited(store: &Store) {
    let refused = ask(store, credit_back("two", 601, 1)).await.unwrap_err();
    let left = PayoutRefusal::AboveLimit { per: "per day", left: Amount::new(600) };
    assert_eq!(refused, StoreError::Refused(Refusal::Payout(Box::new(left))));
    let waits = ask(
        store,
        credit_back(&store.payouts(PayoutFilter::default(), 9).await.unwrap().rows.len().to_string(), 600, 1),
    )
    .await
    .unwrap();
    assert_eq!(waits.state, PayoutState::Requested, "control");
    step(store, waits.id, Actor::Operator(None), PayoutEvent::Cancel).await.unwrap();
    in_order(store).await;
}

#[tokio::test]
async fn earnings_are_summed_by_tool_asset_caller_and_payer_of_what_was_settled() {
    let directory = TempDir::new().unwrap();
    earnings_of(&open(&directory)).await;
}

pub(crate) async fn earnings_of(store: &Store) {
    store.grant_credit(grant(&alice(), 1_000)).await.unwrap();
    let claims = ["a/1", "a/2", "a/3", "a/4"].map(|proof| claim(Rail::Credit, proof));
    let wallets = Claim { payer: wallet(), ..claims[1].clone() };
    let [one, two, open, void] = [&claims[0], &wallets, &claims[2], &claims[3]];
    for claim in [one, two, open, void, &free("a/5", 9)] {
        fresh(store, claim).await;
    }
    for claim in [one, two] {
        store.advance(paid(claim)).await.unwrap();
    }
    store.advance(advance(void, [voided()])).await.unwrap();
    let mut found = store.earnings(at(100), at(101)).await.unwrap();
    found.sort();
    let parties: Vec<_> =
        found.iter().map(|earning| (earning.payer.clone(), earning.calls, earning.gross)).collect();
    assert_eq!(parties.len(), 2, "{found:?}");
    for payer in [alice(), wallet()] {
        assert!(parties.contains(&(payer, 1, Amount::new(10))), "{found:?}");
    }
    assert!(
        found
            .iter()
            .all(|earning| earning.tool == tool() && earning.asset == asset() && earning.caller == alice())
    );
    assert_eq!(store.earnings(at(101), at(1_000)).await, Ok(vec![]), "by when they were claimed");
    assert_eq!(store.earnings(at(0), at(100)).await, Ok(vec![]));

    // What is in an escrow is earned as it is released, and not for what the result left of its price.
    let call = Claim { now: at(500), amount: Amount::new(100), ..entrusting("e/1") };
    let earned = async || {
        let found = store.earnings(at(500), at(501)).await.unwrap();
        found
            .iter()
            .map(|earning| (earning.calls, earning.gross.get(), earning.refunded.get()))
            .collect::<Vec<_>>()
    };
    fresh(store, &call).await;
    let measured = Event::Measured { result: Digest::of(b"42"), due: Amount::new(40) };
    let escrow = EscrowTerms::new(Proposal { amount: Amount::new(40), ..terms(&call) }).unwrap();
    store.advance(Advance { escrow: Some(Box::new(escrow)), ..advance(&call, [measured]) }).await.unwrap();
    assert_eq!(earned().await, [], "nothing is released");
    accepted(store, &call, Part::Amount(Amount::new(15))).await;
    assert_eq!(earned().await, [(1, 15, 0)]);
    accepted(store, &call, Part::Rest).await;
    assert_eq!(earned().await, [(1, 40, 0)]);
    store.refund(refund_of(&call, "", 5, 60)).await.unwrap();
    assert_eq!(earned().await, [(1, 40, 5)]);
    in_order(store).await;
}
