//! The decision alone: commands into a batch over books in memory. No clock but the bench's, no disk, no queue.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tollgate_domain::{
    ApprovalId, AssetId, EscrowId, PaymentKey, Principal, ToolRef, TransferId, UnixMillis,
};
use tollgate_ledger::budget::{Approval, Counter, Stops, Usage, Wanted};
use tollgate_ledger::escrow::EscrowRow;
use tollgate_ledger::{
    AccountName, Balances, Batch, Books, Command, Record, Refusal, Sealed, Sealer, SettlementRow, Transfer,
    TransferKind,
};

use super::work::{BATCH, To, Work};
use super::{Failure, Plan, now};

/// The accounts; nothing else is asked for that is there.
#[derive(Default)]
struct Memory {
    accounts: HashMap<AccountName, Balances>,
}

impl Books for Memory {
    type Error = Infallible;

    fn settlement(&mut self, _key: &PaymentKey) -> Result<Option<Arc<SettlementRow>>, Infallible> {
        Ok(None)
    }

    fn balances(&mut self, account: &AccountName, _asset: &AssetId) -> Result<Balances, Infallible> {
        Ok(self.accounts.get(account).copied().unwrap_or_default())
    }

    fn transfer(&mut self, _id: &TransferId) -> Result<Option<Transfer>, Infallible> {
        Ok(None)
    }

    fn resolution(&mut self, _pending: &TransferId) -> Result<Option<Transfer>, Infallible> {
        Ok(None)
    }

    fn calls(
        &mut self,
        _caller: &Principal,
        _tool: &ToolRef,
        _since: UnixMillis,
        _most: u64,
    ) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn standing(&mut self, _principal: &Principal) -> Result<Record, Infallible> {
        Ok(Record::default())
    }

    fn usage(&mut self, _counter: &Counter) -> Result<Option<Usage>, Infallible> {
        Ok(None)
    }

    fn stops(&mut self) -> Result<Arc<Stops>, Infallible> {
        Ok(Arc::default())
    }

    fn approval_of(&mut self, _wanted: &Wanted) -> Result<Option<Approval>, Infallible> {
        Ok(None)
    }

    fn approval(&mut self, _id: &ApprovalId) -> Result<Option<Approval>, Infallible> {
        Ok(None)
    }

    fn waiting(&mut self, _caller: &Principal, _now: UnixMillis) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn escrow(&mut self, _id: &EscrowId) -> Result<Option<Arc<EscrowRow>>, Infallible> {
        Ok(None)
    }
    fn payout(
        &mut self,
        _: &tollgate_domain::PayoutId,
    ) -> Result<Option<Arc<tollgate_ledger::payout::PayoutRow>>, Infallible> {
        Ok(None)
    }
    fn payee(
        &mut self,
        _: &tollgate_ledger::payout::Payee,
    ) -> Result<Option<Arc<tollgate_ledger::payout::PayeeRow>>, Infallible> {
        Ok(None)
    }
}

struct NoSealer;

impl Sealer for NoSealer {
    fn seal(&mut self, _statement: &str) -> Result<Sealed, Refusal> {
        Err(Refusal::NoSigner)
    }

    fn seal_escrow(
        &mut self,
        _moved: &tollgate_ledger::escrow::EscrowReceipt<'_>,
    ) -> Result<Sealed, Refusal> {
        Err(Refusal::NoSigner)
    }
}

/// Batches of 512, all decided; what they change is taken over between the batches, off the clock.
pub(crate) fn measure(plan: &Plan) -> Result<(), Failure> {
    let work = Work::new()?;
    let mut books = Memory::default();
    let mut batch = Batch::default();
    let gifts: Vec<Command> = work.gifts().map(Command::Grant).collect();
    decide(&mut batch, &mut books, &gifts)?;
    for round in 0..plan.rounds {
        let (mut took, mut decided) = (Duration::ZERO, 0_u32);
        let mut numbers = round * plan.transfers..(round + 1) * plan.transfers;
        loop {
            let booked = numbers.by_ref().take(BATCH).map(|number| {
                Ok(Command::Book(vec![work.transfer(number, To::Hot, TransferKind::Posted)?]))
            });
            let commands = booked.collect::<Result<Vec<_>, Failure>>()?;
            if commands.is_empty() {
                break;
            }
            took += decide(&mut batch, &mut books, &commands)?;
            decided += u32::try_from(commands.len())?;
        }
        plan.tell("apply", f64::from(decided) / took.as_secs_f64());
    }
    Ok(())
}

fn decide(batch: &mut Batch, books: &mut Memory, commands: &[Command]) -> Result<Duration, Failure> {
    let started = now();
    for command in commands {
        batch.apply(books, &mut NoSealer, command)?;
    }
    let changes = batch.take_changes();
    let took = started.elapsed();
    if changes.transfers.len() != commands.len() {
        return Err("a command booked nothing".into());
    }
    books.accounts.extend(changes.balances.into_iter().map(|(name, _, balances)| (name, balances)));
    Ok(took)
}
