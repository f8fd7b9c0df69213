//! Payouts against the reservations that hold their money.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::TransferId;

use super::{Finding, Hold, Resolution};
use crate::AccountName;
use crate::payout::{PayoutRow, PayoutState, hold_of};

/// What the payouts say about reservations.
#[derive(Default)]
pub(super) struct Payouts {
    rows: Vec<PayoutRow>,
}

impl Payouts {
    pub(super) fn add(&mut self, row: &PayoutRow) {
        self.rows.push(row.clone());
    }

    /// What does not hold, given every reservation and what became of it.
    pub(super) fn findings(&self, holds: &BTreeMap<TransferId, Hold>) -> Vec<Finding> {
        let differs = |row: &&PayoutRow| {
            let Some(hold) = holds.get(&hold_of(&row.id)) else { return true };
            let is_its_own = hold.debit == row.source.account()
                && row.source.may_reach(&row.destination)
                && hold.credit == row.destination.account()
                && hold.asset == *row.destination.asset()
                && hold.amount == row.amount
                && hold.call.is_none();
            let expected = match row.state {
                PayoutState::Requested
                | PayoutState::Held
                | PayoutState::Submitted
                | PayoutState::Unknown => None,
                PayoutState::Settled => Some(Resolution::Posted(row.amount)),
                PayoutState::Failed | PayoutState::Cancelled => Some(Resolution::Voided),
            };
            !is_its_own || hold.resolution != expected
        };
        let mut findings: Vec<Finding> =
            self.rows.iter().filter(differs).map(|row| Finding::PayoutDiffers(row.id)).collect();
        let known: BTreeSet<TransferId> = self.rows.iter().map(|row| hold_of(&row.id)).collect();
        // Nothing but a payout reserves earnings for no call, wherever they go (sandbox money does not leave the books), or credit that
        // leaves the books.
        let is_of_payout = |hold: &Hold| {
            let leaves = matches!(
                (&hold.debit, &hold.credit),
                (AccountName::Payable(_), _) | (AccountName::Credit(_), AccountName::Clearing(_))
            );
            hold.call.is_none() && leaves
        };
        let orphans = holds.iter().filter(|(id, hold)| is_of_payout(hold) && !known.contains(id));
        findings.extend(orphans.map(|(id, _)| Finding::PayoutMissing(*id)));
        findings
    }
}
