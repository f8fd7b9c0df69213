//! Which rows of budgets a decision asks for, and what was read of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tollgate_domain::{ApprovalId, Principal, UnixMillis};
use tollgate_ledger::budget::{Approval, Ask, Change, Counter, Stops, Usage, Wanted};
use tollgate_ledger::{Claim, SettlementRow};

/// The rows of budgets that are asked for.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Asked {
    pub(super) stops: bool,
    pub(super) usages: HashSet<Counter>,
    pub(super) approvals_of: HashSet<Wanted>,
    pub(super) approvals: HashSet<ApprovalId>,
    pub(super) waiting: HashSet<(Principal, UnixMillis)>,
}

impl Asked {
    pub(in crate::postgres) fn is_empty(&self) -> bool {
        let Self { stops, usages, approvals_of, approvals, waiting } = self;
        !stops && usages.is_empty() && approvals_of.is_empty() && approvals.is_empty() && waiting.is_empty()
    }

    /// What weighing a call will ask for.
    pub(in crate::postgres) fn weighing(&mut self, ask: &Ask, wanted: &Wanted) {
        self.stops = true;
        self.usages.extend(ask.counters(&wanted.asset).map(|(counter, ..)| counter));
        let mut asking = ask.nodes.iter().filter_map(|node| node.approve_above);
        if asking.any(|above| wanted.amount > above) {
            self.approvals_of.insert(wanted.clone());
        }
    }

    /// What a claim will ask for.
    pub(in crate::postgres) fn claim(&mut self, claim: &Claim) {
        let wanted = Wanted {
            caller: claim.caller.clone(),
            tool: claim.binding.tool.clone(),
            args: claim.binding.args,
            asset: claim.asset.clone(),
            amount: claim.amount,
        };
        self.weighing(&claim.budget, &wanted);
    }

    /// What a change will ask for.
    pub(in crate::postgres) fn change(&mut self, change: &Change) {
        match change {
            Change::Ask(approval) => {
                self.approvals_of.insert(approval.wanted.clone());
                self.waiting.insert((approval.wanted.caller.clone(), approval.asked));
            }
            Change::Decide { id, .. } => {
                self.approvals.insert(*id);
            }
            Change::Stop { .. } | Change::Resume(_) => self.stops = true,
        }
    }

    /// What giving back what this attempt has taken would ask for.
    pub(in crate::postgres) fn given_back(&mut self, row: &SettlementRow) {
        for taken in &row.reserved.taken {
            let (node, asset) = (taken.node.clone(), row.asset.clone());
            self.usages.insert(Counter { node, asset, span: taken.span });
        }
        self.approvals.extend(row.reserved.approval);
    }

    /// Without what is known.
    pub(in crate::postgres) fn forget(&mut self, known: &Known) {
        self.usages.retain(|counter| !known.usages.contains_key(counter));
        self.approvals.retain(|id| !known.approvals.contains_key(id));
    }
}

/// What was read of budgets. What is not there was read as well.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Known {
    pub(super) stops: Option<Arc<Stops>>,
    pub(super) usages: HashMap<Counter, Option<Usage>>,
    pub(super) approvals_of: HashMap<Wanted, Option<Approval>>,
    pub(super) approvals: HashMap<ApprovalId, Option<Approval>>,
    pub(super) waiting: HashMap<(Principal, UnixMillis), u32>,
}

/// What was not read yet and is asked for now.
pub(in crate::postgres) struct Missing;

impl Known {
    pub(in crate::postgres) fn stops(&self, asked: &mut Asked) -> Result<Arc<Stops>, Missing> {
        self.stops.clone().ok_or_else(|| {
            asked.stops = true;
            Missing
        })
    }

    pub(in crate::postgres) fn usage(
        &self,
        counter: &Counter,
        asked: &mut Asked,
    ) -> Result<Option<Usage>, Missing> {
        self.usages.get(counter).copied().ok_or_else(|| {
            asked.usages.insert(counter.clone());
            Missing
        })
    }

    pub(in crate::postgres) fn approval_of(
        &self,
        wanted: &Wanted,
        asked: &mut Asked,
    ) -> Result<Option<Approval>, Missing> {
        self.approvals_of.get(wanted).cloned().ok_or_else(|| {
            asked.approvals_of.insert(wanted.clone());
            Missing
        })
    }

    pub(in crate::postgres) fn approval(
        &self,
        id: &ApprovalId,
        asked: &mut Asked,
    ) -> Result<Option<Approval>, Missing> {
        self.approvals.get(id).cloned().ok_or_else(|| {
            asked.approvals.insert(*id);
            Missing
        })
    }

    pub(in crate::postgres) fn waiting(
        &self,
        caller: &Principal,
        now: UnixMillis,
        asked: &mut Asked,
    ) -> Result<u32, Missing> {
        let of = (caller.clone(), now);
        self.waiting.get(&of).copied().ok_or_else(|| {
            asked.waiting.insert(of);
            Missing
        })
    }

    /// With what was read later.
    pub(in crate::postgres) fn add(&mut self, more: Self) {
        let Self { stops, usages, approvals_of, approvals, waiting } = more;
        self.stops = stops.or_else(|| self.stops.take());
        self.usages.extend(usages);
        self.approvals_of.extend(approvals_of);
        self.approvals.extend(approvals);
        self.waiting.extend(waiting);
    }
}
