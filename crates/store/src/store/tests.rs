use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;
use tollgate_domain::{Amount, Binding, Caller, Rail, Settle, ToolRef};
use tollgate_ledger::{Advance, Claim, Claimed, Event, Funds, State};

use super::*;
use crate::{DiskFault, Failpoints};

#[derive(Debug, Default)]
struct Faults(Mutex<Vec<DiskFault>>);

impl Failpoints for Faults {
    fn hit(&self, _name: &str) {}
    fn disk_fault(&self) -> Option<DiskFault> {
        self.0.lock().pop()
    }
}

fn claim(number: u8) -> Claim {
    Claim {
        key: PaymentKey::new(Rail::X402, format!("0x{number}")).unwrap(),
        call: CallId::from_bytes([number; 16]),
        caller: Caller::Wallet([1; 20]).principal(),
        payer: Caller::Wallet([1; 20]).principal(),
        settle: Settle::After,
        reference: String::new(),
        splits: Default::default(),
        binding: Binding {
            tool: ToolRef { server: "demo".parse().unwrap(), tool: "add".parse().unwrap() },
            args: Digest::of(b"{}"),
            price_version: 1,
            quote: None,
        },
        amount: Amount::new(10),
        asset: "lightning:regtest/msat".parse().unwrap(),
        funds: Funds::OnSettlement,
        proof: "".into(),
        expires: UnixMillis::new(1_000),
        budget: tollgate_ledger::budget::Ask::default(),
        now: UnixMillis::new(1),
    }
}

fn signer() -> Signer {
    Signer::from_seed(&[7; 32]).unwrap()
}

#[tokio::test]
async fn f16_after_a_failed_sync_money_stops_reads_go_on_and_what_was_not_answered_is_not_there() {
    for fault in [DiskFault::SyncLost, DiskFault::SyncKept] {
        let directory = TempDir::new().unwrap();
        let faults = Arc::<Faults>::default();
        let failpoints: Arc<dyn Failpoints> = Arc::<Faults>::clone(&faults);
        let options = Options { failpoints: Some(failpoints), ..Options::default() };
        let store = Store::open(directory.path(), signer(), options).unwrap();
        let before = claim(1);
        assert_eq!(store.claim(before.clone()).await, Ok(Claimed::Fresh { attempt: 1 }), "control");

        assert!(store.is_open());
        faults.0.lock().push(fault);
        let uncertain = claim(2);
        assert!(matches!(store.claim(uncertain.clone()).await, Err(StoreError::Unknown(_))));
        assert!(!store.is_open());
        assert_eq!(store.claim(claim(3)).await, Err(StoreError::Closed));
        let row = store.settlement(&before.key).await.unwrap().unwrap();
        assert_eq!(row.state, State::Executing, "reads go on");
        drop(store);

        let store = Store::open(directory.path(), signer(), Options::default()).unwrap();
        let row = store.settlement(&uncertain.key).await.unwrap();
        assert_eq!(row, None, "{fault:?}: given up when what was answered before was put into the file");
        let row = store.settlement(&before.key).await.unwrap();
        assert_eq!(row.map(|row| row.state), Some(State::Executing), "{fault:?}");
        assert_eq!(store.settlement(&claim(3).key).await, Ok(None));
        assert_eq!(store.check().await, Ok(vec![]));
    }
}

#[tokio::test]
async fn a_standing_that_was_not_committed_is_not_remembered() {
    let directory = TempDir::new().unwrap();
    let faults = Arc::<Faults>::default();
    let failpoints: Arc<dyn Failpoints> = Arc::<Faults>::clone(&faults);
    let options = Options { failpoints: Some(failpoints), ..Options::default() };
    let store = Store::open(directory.path(), signer(), options).unwrap();
    let claim = claim(1);
    store.claim(claim.clone()).await.unwrap();
    let settle = Advance {
        key: claim.key.clone(),
        call: claim.call,
        events: vec![
            Event::Executed { result: Digest::of(b"42") },
            Event::Submitted,
            Event::Settled { reference: "0xabc".to_owned() },
        ],
        result: None,
        private: None,
        statement: None,
        escrow: None,
        now: UnixMillis::new(2),
    };
    faults.0.lock().push(DiskFault::Full);
    assert!(store.advance(settle.clone()).await.is_err());
    assert_eq!(store.standing(&claim.caller).await, Ok(Record::default()));
    store.advance(settle).await.unwrap();
    assert_eq!(
        store.standing(&claim.caller).await.unwrap().settled,
        1,
        "control, and not the remembered one"
    );
}

#[tokio::test]
async fn a_receipt_that_was_not_committed_leaves_no_gap_in_the_chain() {
    let directory = TempDir::new().unwrap();
    let faults = Arc::<Faults>::default();
    let failpoints: Arc<dyn Failpoints> = Arc::<Faults>::clone(&faults);
    let options = Options { failpoints: Some(failpoints), ..Options::default() };
    let store = Store::open(directory.path(), signer(), options).unwrap();
    let record = async |number: u8| {
        let id = ReceiptId::from_bytes([number; 16]);
        let draft =
            format!("{{\"gateway\":\"\u{1f}\",\"prev\":\"\u{1f}\",\"receipt_id\":\"{id}\",\"seq\":\u{1f}}}");
        store.record(CallId::from_bytes([number; 16]), draft).await
    };
    record(1).await.unwrap();
    faults.0.lock().push(DiskFault::Full);
    assert!(record(2).await.is_err());
    record(3).await.unwrap();
    let places = store.inner.readers.read(|connection| {
        let mut query = connection.prepare("SELECT seq FROM receipts ORDER BY position")?;
        query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<u32>>>()
    });
    assert_eq!(places.await.unwrap(), [1, 2]);
}
