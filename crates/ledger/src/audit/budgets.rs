//! Whether each counter of a budget says what its settlements and escrows add up to.

use std::collections::BTreeMap;

use crate::budget::{Counter, Reservation, Taken, Usage};
use crate::escrow::EscrowRow;
use crate::{SettlementRow, State};
use tollgate_domain::AssetId;

use super::Finding;

/// The counters as they are stored, and sums of the audit's own over the window that each is about.
#[derive(Default)]
pub(super) struct Budgets(BTreeMap<Counter, Sum>);

struct Sum {
    stored: Usage,
    taken: Option<u128>,
    /// What escrows gave back of it.
    back: u128,
}

impl Budgets {
    pub(super) fn usage(&mut self, counter: Counter, stored: Usage) {
        self.0.insert(counter, Sum { stored, taken: Some(0), back: 0 });
    }

    /// Adds what an attempt has taken, unless it was given back: of a call that was charged all but what its result left and what
    /// went back later. Of windows that are over nothing is stored.
    pub(super) fn settlement(&mut self, row: &SettlementRow, rest: u128) {
        let taken = row.amount.get().saturating_sub(rest);
        if matches!(row.state, State::Voided | State::Failed | State::InDoubt | State::Refunded) {
            return;
        }
        self.each(&row.reserved, &row.asset, |sum| {
            sum.taken = sum.taken.and_then(|sum| sum.checked_add(taken));
        });
    }

    /// Adds what paying an escrow in has taken, without what came back. What the escrow of a call has taken, its settlement says.
    pub(super) fn escrow(&mut self, row: &EscrowRow) {
        let (amount, back) = (row.terms.amount.get(), row.refunded.get());
        let taken = if row.terms.call.is_some() { 0 } else { amount };
        self.each(&row.reserved, &row.terms.asset, |sum| {
            sum.taken = sum.taken.and_then(|sum| sum.checked_add(taken));
            sum.back = sum.back.saturating_add(back);
        });
    }

    fn each(&mut self, reserved: &Reservation, asset: &AssetId, mut change: impl FnMut(&mut Sum)) {
        for Taken { node, span, start } in &reserved.taken {
            let counter = Counter { node: node.clone(), asset: asset.clone(), span: *span };
            if let Some(sum) = self.0.get_mut(&counter).filter(|sum| sum.stored.start == *start) {
                change(sum);
            }
        }
    }

    pub(super) fn findings(self) -> impl Iterator<Item = Finding> {
        let used = |sum: &Sum| sum.taken.and_then(|taken| taken.checked_sub(sum.back));
        let differs = move |(_, sum): &(Counter, Sum)| used(sum) != Some(sum.stored.used.get());
        self.0.into_iter().filter(differs).map(|(counter, _)| Finding::BudgetDiffers(counter))
    }
}
