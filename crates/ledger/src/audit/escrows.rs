//! Escrows against the accounts that hold their money.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::{AssetId, EscrowId};

use super::{Finding, Sums};
use crate::AccountName;
use crate::escrow::{EscrowRow, EscrowState};

/// What the accounts of an escrow must hold.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Held {
    escrow: u128,
    stake: u128,
}

/// The escrows, and what must stand on their accounts.
#[derive(Default)]
pub(super) struct Escrows {
    held: BTreeMap<(EscrowId, AssetId), Held>,
    /// Ended without having given out exactly what came in.
    uneven: Vec<EscrowId>,
}

impl Escrows {
    pub(super) fn add(&mut self, row: &EscrowRow) {
        let rest = row.rest().get();
        let (escrow, stake, is_even) = match &row.state {
            EscrowState::Created { .. } | EscrowState::Cancelled | EscrowState::Expired => {
                (0, 0, row.released.is_zero() && row.refunded.is_zero())
            }
            EscrowState::Funded { .. } | EscrowState::Locked { .. } | EscrowState::Delivered { .. } => {
                (rest, 0, true)
            }
            EscrowState::Disputed(dispute) => {
                let mediator = dispute.mediator_stake.unwrap_or_default().get();
                (rest, dispute.stake.get().saturating_add(mediator), true)
            }
            EscrowState::Released | EscrowState::Refunded | EscrowState::Resolved { .. } => {
                let gone = row.released.get().checked_add(row.refunded.get());
                (0, 0, gone == Some(row.terms.amount.get()))
            }
        };
        if !is_even {
            self.uneven.push(row.id);
        }
        self.held.insert((row.id, row.terms.asset.clone()), Held { escrow, stake });
    }

    /// What does not hold, given the sum of the transfers of each account.
    pub(super) fn findings(&self, sums: &BTreeMap<(AssetId, AccountName), Sums>) -> Vec<Finding> {
        let mut found: BTreeMap<(EscrowId, AssetId), Held> = BTreeMap::new();
        for ((asset, account), sums) in sums {
            // Overdrawn and out of balance are reported elsewhere.
            let balance = sums.credits_posted.saturating_sub(sums.debits_posted);
            match account {
                AccountName::Escrow(id) => {
                    found.entry((*id, asset.clone())).or_default().escrow = balance;
                }
                AccountName::Stake(id) => {
                    found.entry((*id, asset.clone())).or_default().stake = balance;
                }
                AccountName::Clearing(_)
                | AccountName::Credit(_)
                | AccountName::Payable(_)
                | AccountName::Unearned(_) => {}
            }
        }
        let all: BTreeSet<_> = found.keys().chain(self.held.keys()).collect();
        let differs = |key: &&(EscrowId, AssetId)| {
            found.get(*key).copied().unwrap_or_default() != self.held.get(*key).copied().unwrap_or_default()
        };
        let differing = all.into_iter().filter(differs).map(|(id, _)| Finding::EscrowDiffers(*id));
        differing.chain(self.uneven.iter().map(|id| Finding::EscrowUneven(*id))).collect()
    }
}
