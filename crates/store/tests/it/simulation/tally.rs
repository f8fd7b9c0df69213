//! What happened in a simulation.

use std::collections::BTreeMap;

use super::payouts::PayoutAsk;
use super::request::What;

/// What happened, so that a simulation in which nothing happens is noticed.
#[derive(Clone, Default, Debug)]
pub(super) struct Tally {
    pub(super) crashes: u64,
    pub(super) came_through: u64,
    pub(super) refused: u64,
    pub(super) again: u64,
    pub(super) ended: u64,
    /// How often two gateways had a batch at once, and what befell them.
    pub(super) beside: u64,
    pub(super) faults: BTreeMap<&'static str, u64>,
    /// What came of escrows, and of payouts.
    pub(super) escrows: BTreeMap<String, u64>,
    pub(super) payouts: BTreeMap<String, u64>,
}

impl Tally {
    /// What was said to a request.
    pub(super) fn count(&mut self, what: &What, said: &str) {
        self.refused += u64::from(said == "refused");
        self.again += u64::from(said == "again");
        let outcomes = match what {
            What::Escrow(_) => &mut self.escrows,
            What::Payout(_) => &mut self.payouts,
            _ => return,
        };
        *outcomes.entry(said.to_owned()).or_default() += 1;
        if let What::Payout(PayoutAsk::Credit { .. }) = what {
            *self.payouts.entry(format!("credit {said}")).or_default() += 1;
        }
    }

    /// A simulation in which nothing happens shows nothing.
    pub(super) fn assert_eventful(&self) {
        let Self { crashes, came_through, refused, again, ended, escrows, payouts, .. } = self;
        assert!(*crashes > 50 && *came_through > 10 && crashes - came_through > 10, "{self:?}");
        assert!(*refused > 100 && *again > 20 && *ended > 20, "{self:?}");
        let ends =
            ["released", "refunded", "resolved", "cancelled", "expired", "disputed", "again", "refused"];
        assert!(ends.into_iter().all(|end| escrows.contains_key(end)), "{self:?}");
        let ends = ["settled", "failed", "cancelled", "unknown", "requested", "again", "refused"];
        let ends = ends.into_iter().chain(["credit held", "credit requested", "credit refused"]);
        assert!(ends.into_iter().all(|end| payouts.contains_key(end)), "{self:?}");
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, one: Self) {
        self.crashes += one.crashes;
        self.came_through += one.came_through;
        self.refused += one.refused;
        self.again += one.again;
        self.ended += one.ended;
        self.beside += one.beside;
        for (fault, times) in one.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        for (sum, part) in [(&mut self.escrows, one.escrows), (&mut self.payouts, one.payouts)] {
            for (said, times) in part {
                *sum.entry(said).or_default() += times;
            }
        }
    }
}
