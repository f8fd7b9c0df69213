//! Books in memory, for tests: what a store does with decisions, without a disk.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use tollgate_domain::{
    ApprovalId, AssetId, CallId, Digest, EscrowId, PaymentKey, PayoutId, Principal, ReceiptId, ToolRef,
    TransferId, UnixMillis,
};

use crate::audit::{Auditor, Finding};
use crate::batch::{Batch, BatchChanges, Moved, Sealed, SealedReceipt, Sealer};
use crate::budget::{Approval, ApprovalState, Counter, Stop, Stops, Target, Usage, Wanted};
use crate::engine::{Books, Changes, EngineError};
use crate::escrow::{EscrowChanges, EscrowReceipt, EscrowRecord, EscrowRow};
use crate::payout::{Payee, PayeeChange, PayeeRow, PayoutChanges, PayoutRow};
use crate::{
    AccountBalance, AccountName, Balances, Command, Outcome, Record, Refusal, SettlementRow, State, Transfer,
};

/// What is committed.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) rows: Vec<Arc<SettlementRow>>,
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) totals: BTreeMap<(AccountName, AssetId), Balances>,
    pub(crate) standings: BTreeMap<Principal, Record>,
    pub(crate) receipts: Vec<(u64, Digest)>,
    pub(crate) results: Vec<(CallId, Option<Vec<u8>>)>,
    pub(crate) usages: BTreeMap<Counter, Usage>,
    pub(crate) approvals: BTreeMap<ApprovalId, Approval>,
    pub(crate) stops: BTreeMap<Target, Stop>,
    pub(crate) escrows: BTreeMap<EscrowId, Arc<EscrowRow>>,
    pub(crate) records: Vec<(EscrowId, EscrowRecord)>,
    pub(crate) payouts: BTreeMap<PayoutId, Arc<PayoutRow>>,
    pub(crate) payees: BTreeMap<Payee, Arc<PayeeRow>>,
}

impl Books for Memory {
    type Error = Infallible;

    fn settlement(&mut self, key: &PaymentKey) -> Result<Option<Arc<SettlementRow>>, Infallible> {
        Ok(self.rows.iter().filter(|row| row.key == *key).max_by_key(|row| row.attempt).cloned())
    }
    fn balances(&mut self, account: &AccountName, asset: &AssetId) -> Result<Balances, Infallible> {
        Ok(self.totals.get(&(account.clone(), asset.clone())).copied().unwrap_or_default())
    }
    fn transfer(&mut self, id: &TransferId) -> Result<Option<Transfer>, Infallible> {
        Ok(self.transfers.iter().find(|transfer| transfer.id == *id && transfer.is_named()).cloned())
    }
    fn resolution(&mut self, pending: &TransferId) -> Result<Option<Transfer>, Infallible> {
        let resolves =
            |transfer: &&Transfer| transfer.kind.resolves() == Some(*pending) && transfer.is_named();
        Ok(self.transfers.iter().find(resolves).cloned())
    }
    fn calls(
        &mut self,
        caller: &Principal,
        tool: &ToolRef,
        since: UnixMillis,
        most: u64,
    ) -> Result<u64, Infallible> {
        let counted = |row: &&Arc<SettlementRow>| {
            let came_to_nothing = matches!(row.state, State::Voided | State::Failed | State::InDoubt);
            row.caller == *caller && row.binding.tool == *tool && row.claimed >= since && !came_to_nothing
        };
        Ok(most.min(u64::try_from(self.rows.iter().filter(counted).count()).unwrap()))
    }
    fn standing(&mut self, principal: &Principal) -> Result<Record, Infallible> {
        Ok(self.standings.get(principal).copied().unwrap_or_default())
    }
    fn usage(&mut self, counter: &Counter) -> Result<Option<Usage>, Infallible> {
        Ok(self.usages.get(counter).copied())
    }
    fn stops(&mut self) -> Result<Arc<Stops>, Infallible> {
        Ok(Arc::new(Stops(self.stops.clone())))
    }
    fn approval_of(&mut self, wanted: &Wanted) -> Result<Option<Approval>, Infallible> {
        let fits = |approval: &&Approval| approval.wanted == *wanted && approval.state != ApprovalState::Used;
        Ok(self.approvals.values().filter(fits).max_by_key(|approval| (approval.asked, approval.id)).cloned())
    }
    fn approval(&mut self, id: &ApprovalId) -> Result<Option<Approval>, Infallible> {
        Ok(self.approvals.get(id).cloned())
    }
    fn waiting(&mut self, caller: &Principal, now: UnixMillis) -> Result<u32, Infallible> {
        let waits = |approval: &&Approval| {
            approval.wanted.caller == *caller
                && approval.state == ApprovalState::Waiting
                && now < approval.expires
        };
        Ok(u32::try_from(self.approvals.values().filter(waits).count()).unwrap())
    }
    fn escrow(&mut self, id: &EscrowId) -> Result<Option<Arc<EscrowRow>>, Infallible> {
        Ok(self.escrows.get(id).cloned())
    }
    fn payout(&mut self, id: &PayoutId) -> Result<Option<Arc<PayoutRow>>, Infallible> {
        Ok(self.payouts.get(id).cloned())
    }
    fn payee(&mut self, payee: &Payee) -> Result<Option<Arc<PayeeRow>>, Infallible> {
        Ok(self.payees.get(payee).cloned())
    }
}

/// Seals nothing, but keeps the order.
pub(crate) struct Chain(pub(crate) u64);

impl Sealer for Chain {
    fn seal(&mut self, statement: &str) -> Result<Sealed, Refusal> {
        if statement.is_empty() {
            return Err(Refusal::Seal("nothing to seal".to_owned()));
        }
        self.0 += 1;
        let hash = Digest::of(format!("{}{statement}", self.0).as_bytes());
        let (id, kept) = (ReceiptId::from_bytes([1; 16]), statement.to_owned());
        Ok(Sealed { receipt: SealedReceipt { id, seq: self.0, hash, kept }, envelope: statement.to_owned() })
    }

    fn seal_escrow(&mut self, moved: &EscrowReceipt<'_>) -> Result<Sealed, Refusal> {
        self.seal(&format!("{:?}", moved.changes.movements))
    }
}

impl Memory {
    /// Commits these commands together.
    pub(crate) fn commit(&mut self, commands: &[Command]) -> Vec<Result<Outcome, Refusal>> {
        let mut batch = Batch::default();
        let mut chain = Chain(self.receipts.last().map_or(0, |(seq, _)| *seq));
        let outcomes = commands.iter().map(|command| match batch.apply(self, &mut chain, command) {
            Ok(outcome) => Ok(outcome),
            Err(EngineError::Refused(refusal)) => Err(refusal),
        });
        let outcomes = outcomes.collect();
        self.write(batch.take_changes());
        outcomes
    }

    /// Writes what a batch came to; everything moves on from where it stood.
    pub(crate) fn write(&mut self, changes: BatchChanges) {
        for row in changes.claimed {
            assert!(self.rows.iter().all(|other| other.call != row.call), "a call is claimed once");
            self.rows.push(row);
        }
        for Moved { before, row } in changes.moved {
            let slot = self.rows.iter_mut().find(|other| other.call == row.call).unwrap();
            assert_eq!(slot.state, before, "moves on from where it stood");
            *slot = row;
        }
        self.results.extend(changes.kept.into_iter().map(|kept| (kept.call, kept.result)));
        self.receipts.extend(changes.receipts.into_iter().map(|new| (new.sealed.seq, new.sealed.hash)));
        self.transfers.extend(changes.transfers);
        for (account, asset, balances) in changes.balances {
            self.totals.insert((account, asset), balances);
        }
        self.standings.extend(changes.standings);
        for approval in changes.budgets.approvals {
            self.keep(Vec::new(), Some(approval));
        }
        self.keep(changes.budgets.usages, None);
        for (target, stop) in changes.budgets.stops {
            match stop {
                Some(stop) => drop(self.stops.insert(target, stop)),
                None => drop(self.stops.remove(&target)),
            }
        }
        for EscrowChanges { before, row, record, .. } in changes.escrows {
            let known = self.escrows.get(&row.id).map(|known| known.version);
            assert_eq!(known, before, "moves on from the version at which it stood");
            self.records.push((row.id, record));
            self.escrows.insert(row.id, row);
        }
        for PayoutChanges { before, row } in changes.payouts {
            assert_eq!(self.payouts.get(&row.id).map(|known| known.version), before);
            self.payouts.insert(row.id, row);
        }
        for PayeeChange { before, row } in changes.payees {
            assert_eq!(self.payees.get(&row.payee).map_or(0, |known| known.version), before);
            self.payees.insert(row.payee.clone(), row);
        }
    }

    /// Writes what one decision came to, without a batch around it.
    pub(crate) fn write_one(&mut self, changes: Changes) {
        for (account, asset, balances) in changes.balances {
            self.totals.insert((account, asset), balances);
        }
        self.transfers.extend(changes.transfers);
        if let Some(row) = changes.settlement {
            self.rows.retain(|other| other.call != row.call);
            self.rows.push(Arc::new(row));
        }
        self.keep(changes.usages, changes.approval);
    }

    /// What counters say from now on, and an approval as it stands.
    pub(crate) fn keep(&mut self, usages: Vec<(Counter, Usage)>, approval: Option<Approval>) {
        self.usages.extend(usages);
        self.approvals.extend(approval.map(|approval| (approval.id, approval)));
    }

    /// What the auditor finds.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.findings_in(&self.rows)
    }

    /// The same, where the settlements say this.
    pub(crate) fn findings_in(&self, rows: &[Arc<SettlementRow>]) -> Vec<Finding> {
        let mut auditor = Auditor::default();
        self.transfers.iter().for_each(|transfer| auditor.transfer(transfer));
        self.usages.iter().for_each(|(counter, usage)| auditor.usage(counter.clone(), *usage));
        for row in rows {
            // These tests are of money, and most have nothing sealed.
            let receipt = row.receipt.or(Some(ReceiptId::from_bytes([0; 16])));
            auditor.settlement(&SettlementRow { receipt, ..SettlementRow::clone(row) });
        }
        self.escrows.values().for_each(|row| auditor.escrow(row));
        self.payouts.values().for_each(|row| auditor.payout(row));
        for ((account, asset), balances) in &self.totals {
            let (account, asset, balances) = (account.clone(), asset.clone(), *balances);
            auditor.account(&AccountBalance { account, asset, balances });
        }
        auditor.finish()
    }
}
