//! Callers who wait for each answer: what group commit makes of 32 of them.

use std::sync::Arc;

use futures_util::future::try_join_all;
use tollgate_domain::{Amount, Binding, CallId, Digest, PaymentKey, Rail, Settle, ToolRef, UnixMillis};
use tollgate_ledger::{Claim, Claimed, Funds, LedgerStore, TransferKind};
use tollgate_store::Store;

use super::file::{folder, in_order};
use super::work::{Counted, To, Work, options, signer};
use super::{Failure, Plan, now, per_second};

const CALLERS: u64 = 32;

/// Reservations (a pending transfer each), and claims (the same with the row of a settlement), in turns.
pub(crate) async fn measure(plan: &Plan) -> Result<(), Failure> {
    let work = Work::new()?;
    let folder = folder()?;
    let store = Store::open(folder.path(), signer()?, options(&Arc::new(Counted::default())))?;
    work.fund(&store).await?;
    let each = plan.transfers / CALLERS / 2;
    for round in 0..plan.rounds {
        let first = |caller: u64| (round * CALLERS + caller) * each;
        let started = now();
        try_join_all((0..CALLERS).map(|caller| holds(&store, &work, first(caller)..first(caller) + each)))
            .await?;
        plan.tell("holds", per_second(each * CALLERS, started)?);
        let started = now();
        try_join_all((0..CALLERS).map(|caller| claims(&store, &work, first(caller)..first(caller) + each)))
            .await?;
        plan.tell("claims", per_second(each * CALLERS, started)?);
    }
    // Claims without a call that ends are as much in order as those with one.
    in_order(&store).await
}

async fn holds(store: &Store, work: &Work, numbers: std::ops::Range<u64>) -> Result<(), Failure> {
    for number in numbers {
        store.book(vec![work.transfer(number, To::Hot, TransferKind::Pending)?]).await?;
    }
    Ok(())
}

async fn claims(store: &Store, work: &Work, numbers: std::ops::Range<u64>) -> Result<(), Failure> {
    let tool = ToolRef { server: "fees".parse()?, tool: "echo".parse()? };
    for number in numbers {
        let payer = work.payer(number)?;
        let call = CallId::from_bytes((u128::from(number) + 1).to_be_bytes());
        let claim = Claim {
            key: PaymentKey::new(Rail::Credit, format!("{payer}/{call}"))?,
            call,
            caller: payer.clone(),
            payer: payer.clone(),
            settle: Settle::After,
            reference: String::new(),
            splits: Default::default(),
            binding: Binding { tool: tool.clone(), args: Digest::of(b"{}"), price_version: 1, quote: None },
            amount: Amount::new(1),
            asset: work.asset.clone(),
            funds: Funds::Credit(payer.clone()),
            proof: "".into(),
            expires: UnixMillis::new(1_895_219_200_000),
            budget: tollgate_ledger::budget::Ask::default(),
            now: UnixMillis::new(1_795_219_200_000),
        };
        let claimed = store.claim(claim).await?;
        if claimed != (Claimed::Fresh { attempt: 1 }) {
            return Err(format!("a fresh key is {claimed:?}").into());
        }
    }
    Ok(())
}
