//! What the tests of the store share: one asset, a few callers, numbered calls and claims.

use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tollgate_attest::{PublicKey, Signer, StatementDraft};
use tollgate_domain::{
    Amount, AssetId, Binding, CallId, Caller, Digest, FreeCall, KeyId, PaymentKey, Period, Principal, Rail,
    ReceiptId, Settle, ToolRef, TransferId, UnixMillis,
};
use tollgate_ledger::{
    AccountName, Advance, Advanced, Balances, Claim, Claimed, Clearing, Event, Funds, Grant, LedgerStore,
    Refund, StoreError, StoredAnswer, operator_refund_id,
};
use tollgate_store::{Options, Store};

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// A number that no other call in this process got.
fn number() -> u64 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

fn bytes(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

pub(crate) fn at(millis: u64) -> UnixMillis {
    UnixMillis::new(millis)
}

pub(crate) fn asset() -> AssetId {
    "lightning:regtest/msat".parse().unwrap()
}

pub(crate) fn alice() -> Principal {
    Caller::ApiKey(KeyId::from_bytes([1; 16])).principal()
}

pub(crate) fn wallet() -> Principal {
    Caller::Wallet([2; 20]).principal()
}

pub(crate) fn holder() -> Principal {
    Caller::Preimage([3; 32]).principal()
}

pub(crate) fn tool() -> ToolRef {
    ToolRef { server: "demo".parse().unwrap(), tool: "add".parse().unwrap() }
}

pub(crate) fn credit(principal: &Principal) -> AccountName {
    AccountName::Credit(principal.clone())
}

pub(crate) fn payable() -> AccountName {
    "payable:demo".parse().unwrap()
}

pub(crate) fn signer() -> Signer {
    Signer::from_seed(&[7; 32]).unwrap()
}

pub(crate) fn keys() -> Vec<PublicKey> {
    vec![signer().public()]
}

/// A store in a directory of its own.
pub(crate) fn open(directory: &TempDir) -> Store {
    Store::open(directory.path(), signer(), Options::default()).unwrap()
}

/// Nothing is wrong with the books.
pub(crate) async fn in_order(store: &Store) {
    assert_eq!(store.check().await.unwrap(), []);
}

pub(crate) fn call_id() -> CallId {
    CallId::from_bytes(bytes(number()))
}

/// A fresh call that spends `proof` on `rail` for 10, at 100 ms.
pub(crate) fn claim(rail: Rail, proof: &str) -> Claim {
    let funds = match rail {
        Rail::X402 => Funds::OnSettlement,
        Rail::L402 => Funds::Arrived { holder: holder() },
        Rail::Credit => Funds::Credit(alice()),
    };
    Claim {
        key: PaymentKey::new(rail, proof).unwrap(),
        call: call_id(),
        caller: alice(),
        payer: alice(),
        settle: Settle::After,
        reference: String::new(),
        splits: Default::default(),
        binding: Binding { tool: tool(), args: Digest::of(b"{}"), price_version: 1, quote: None },
        amount: Amount::new(10),
        asset: asset(),
        funds,
        proof: "bearer secret".into(),
        expires: at(1_000_000),
        budget: tollgate_ledger::budget::Ask::default(),
        now: at(100),
    }
}

/// One free call of so many in a day.
pub(crate) fn free(proof: &str, calls: u64) -> Claim {
    let funds = Funds::Free(FreeCall { calls, per: Period::Day });
    Claim { amount: Amount::ZERO, funds, ..claim(Rail::Credit, proof) }
}

/// The same request with the same proof, as a new call.
pub(crate) fn repeat(claim: &Claim) -> Claim {
    Claim { call: call_id(), ..claim.clone() }
}

/// Sealed if it ends with money moved.
pub(crate) fn advance(claim: &Claim, events: impl IntoIterator<Item = Event>) -> Advance {
    let events: Vec<Event> = events.into_iter().collect();
    let is_end = |event: &Event| match event {
        Event::Settled { .. } => !claim.settle.takes_first(),
        Event::Executed { .. } | Event::Measured { .. } => claim.settle.takes_first(),
        Event::Refunded => true,
        _ => false,
    };
    Advance {
        key: claim.key.clone(),
        call: claim.call,
        statement: events.iter().any(is_end).then(|| statement(claim.call)),
        events,
        result: None,
        private: None,
        escrow: None,
        now: at(200),
    }
}

pub(crate) fn executed() -> Event {
    Event::Executed { result: Digest::of(b"42") }
}

pub(crate) fn settled() -> Event {
    Event::Settled { reference: "0xabc".to_owned() }
}

pub(crate) fn voided() -> Event {
    Event::Voided { reason: "the tool failed".to_owned() }
}

pub(crate) fn failed() -> Event {
    Event::Failed { reason: "nonce used".to_owned() }
}

/// All the way to a paid and sealed answer, in one step.
pub(crate) fn paid(claim: &Claim) -> Advance {
    Advance {
        result: Some(b"42".to_vec()),
        private: Some(r#"{"salt":"00"}"#.to_owned()),
        statement: Some(statement(claim.call)),
        ..advance(claim, [executed(), Event::Submitted, settled()])
    }
}

/// An operator gives back so much of a call, of which so much is back already, at 300 ms.
pub(crate) fn refund_of(claim: &Claim, word: &str, amount: u128, before: u128) -> Refund {
    Refund {
        key: claim.key.clone(),
        call: claim.call,
        id: operator_refund_id(&claim.call, word),
        amount: Amount::new(amount),
        before: Amount::new(before),
        reason: "empty".to_owned(),
        statement: None,
        private: None,
        now: at(300),
    }
}

pub(crate) fn statement(call: CallId) -> String {
    let draft = StatementDraft {
        receipt_id: ReceiptId::from_bytes(bytes(number())),
        call_id: call,
        ts: at(200),
        caller: alice(),
        tool: tool(),
        schema_sha256: None,
        args_sha256: Digest::of(b"salted arguments"),
        result_sha256: None,
        outcome: "delivered",
        charged: true,
        price: Some((Amount::new(10), asset(), Rail::X402)),
        payment_ref: None,
        refunded: None,
        settlement: "settled",
        escrow: None,
        decision: None,
        mode: "sandbox",
    };
    draft.to_text()
}

pub(crate) fn grant(to: &Principal, units: u128) -> Grant {
    Grant {
        from: Clearing::Manual,
        to: to.clone(),
        amount: Amount::new(units),
        asset: asset(),
        id: TransferId::from_bytes(bytes(number())),
        note: "welcome".to_owned(),
        now: at(1),
    }
}

pub(crate) async fn fresh(store: &impl LedgerStore, claim: &Claim) {
    assert!(matches!(store.claim(claim.clone()).await, Ok(Claimed::Fresh { .. })));
}

pub(crate) async fn step(
    store: &impl LedgerStore,
    claim: &Claim,
    events: impl IntoIterator<Item = Event>,
) -> Result<Advanced, StoreError> {
    store.advance(advance(claim, events)).await
}

pub(crate) async fn balances(store: &impl LedgerStore, account: &AccountName) -> Balances {
    store.balance(account, &asset()).await.unwrap()
}

pub(crate) async fn available(store: &impl LedgerStore, principal: &Principal) -> Amount {
    balances(store, &credit(principal)).await.available().unwrap()
}

/// What the call of a claim left behind, asked for by claiming again.
pub(crate) async fn answered(store: &impl LedgerStore, first: &Claim) -> StoredAnswer {
    let claimed = store.claim(repeat(first)).await;
    assert_eq!(claimed, Ok(Claimed::Answered { call: first.call }));
    store.answer(&first.call).await.unwrap().unwrap()
}

/// What a reconciliation reads: attempts by when they changed, newest first, and by where their money is found.
pub(crate) async fn attempts_are_found_by_age_and_reference(store: &Store) {
    let (settled, running) = (claim(Rail::X402, "0x1"), claim(Rail::X402, "0x2"));
    for claim in [&settled, &running] {
        assert_eq!(store.claim(claim.clone()).await, Ok(Claimed::Fresh { attempt: 1 }));
    }
    store.advance(paid(&settled)).await.unwrap();
    let calls =
        |rows: Vec<tollgate_ledger::SettlementRow>| rows.iter().map(|row| row.call).collect::<Vec<_>>();
    let since = async |moment, limit| calls(store.settlements_since(at(moment), limit).await.unwrap());
    assert_eq!(since(100, 10).await, [running.call, settled.call]);
    assert_eq!(since(100, 1).await, [running.call]);
    assert_eq!(since(200, 10).await, [settled.call], "it changed when it was paid");
    assert_eq!(since(201, 10).await, []);
    let under = async |reference: &str| {
        calls(store.settlements_by_reference([reference.to_owned()].into()).await.unwrap())
    };
    assert_eq!(under("0xabc").await, [settled.call]);
    assert_eq!(under("0xab").await, []);
}
