//! The budgets as the commands of a batch leave them.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use tollgate_domain::{ApprovalId, Principal, UnixMillis};

use super::{
    Approval, ApprovalState, Change, Changed, Counter, Stop, Stops, Target, Usage, WAITING_MAX, Wanted,
};
use crate::{Books, EngineError, Refusal};

/// What a batch writes of budgets: one row each, however many commands touched it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BudgetChanges {
    /// What each counter that was touched says.
    pub usages: Vec<(Counter, Usage)>,
    /// Approvals that are new or stand elsewhere than before.
    pub approvals: Vec<Approval>,
    /// What is stopped, and what (without a stop) goes on.
    pub stops: Vec<(Target, Option<Stop>)>,
}

impl BudgetChanges {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.usages.is_empty() && self.approvals.is_empty() && self.stops.is_empty()
    }
}

/// What was read and changed so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    usages: HashMap<Counter, Counted>,
    approvals: HashMap<ApprovalId, Drafted>,
    stops: Option<Arc<Stops>>,
    changed_stops: BTreeMap<Target, Option<Stop>>,
}

/// An approval as the batch leaves it.
#[derive(Clone, Debug)]
struct Drafted {
    approval: Approval,
    /// Until when the books count it among those that wait: they know nothing of this batch.
    counted_until: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    usage: Option<Usage>,
    is_changed: bool,
}

impl Draft {
    pub(crate) fn take_changes(self) -> BudgetChanges {
        let changed = self.usages.into_iter().filter(|(_, counted)| counted.is_changed);
        BudgetChanges {
            usages: changed.filter_map(|(counter, counted)| Some((counter, counted.usage?))).collect(),
            approvals: self.approvals.into_values().map(|drafted| drafted.approval).collect(),
            stops: self.changed_stops.into_iter().collect(),
        }
    }

    pub(crate) fn keep(&mut self, usages: Vec<(Counter, Usage)>, approval: Option<Approval>) {
        for (counter, usage) in usages {
            self.usages.insert(counter, Counted { usage: Some(usage), is_changed: true });
        }
        if let Some(approval) = approval {
            // What is used or given back waited for nobody.
            self.draft(approval, None);
        }
    }

    /// An approval as it stands from now on, and as the books have it, where this batch has not touched it yet.
    fn draft(&mut self, approval: Approval, stored: Option<&Approval>) {
        let waits = stored.filter(|stored| stored.state == ApprovalState::Waiting);
        let counted_until = match self.approvals.get(&approval.id) {
            Some(drafted) => drafted.counted_until,
            None => waits.map(|stored| stored.expires),
        };
        self.approvals.insert(approval.id, Drafted { approval, counted_until });
    }

    pub(crate) fn usage<B: Books>(
        &mut self,
        books: &mut B,
        counter: &Counter,
    ) -> Result<Option<Usage>, B::Error> {
        if let Some(known) = self.usages.get(counter) {
            return Ok(known.usage);
        }
        let usage = books.usage(counter)?;
        self.usages.insert(counter.clone(), Counted { usage, is_changed: false });
        Ok(usage)
    }

    pub(crate) fn stops<B: Books>(&mut self, books: &mut B) -> Result<Arc<Stops>, B::Error> {
        if let Some(known) = &self.stops {
            return Ok(Arc::clone(known));
        }
        let stops = books.stops()?;
        self.stops = Some(Arc::clone(&stops));
        Ok(stops)
    }

    pub(crate) fn approval<B: Books>(
        &mut self,
        books: &mut B,
        id: &ApprovalId,
    ) -> Result<Option<Approval>, B::Error> {
        match self.approvals.get(id) {
            Some(known) => Ok(Some(known.approval.clone())),
            None => books.approval(id),
        }
    }

    pub(crate) fn approval_of<B: Books>(
        &mut self,
        books: &mut B,
        wanted: &Wanted,
    ) -> Result<Option<Approval>, B::Error> {
        // What this batch touched may be an old one that was given back: the books may know of a newer one, unless that is touched too.
        let stored = books.approval_of(wanted)?.filter(|stored| !self.approvals.contains_key(&stored.id));
        let drafted = self.approvals.values().map(|drafted| &drafted.approval);
        let drafted = drafted.filter(|approval| approval.wanted == *wanted);
        let latest = drafted.chain(&stored).max_by_key(|approval| (approval.asked, approval.id));
        Ok(latest.filter(|latest| latest.state != ApprovalState::Used).cloned())
    }

    pub(crate) fn waiting<B: Books>(
        &mut self,
        books: &mut B,
        caller: &Principal,
        now: UnixMillis,
    ) -> Result<u32, B::Error> {
        // Each of this batch by where it stands now, instead of where the books have it.
        let (mut more, mut less) = (0_u32, 0_u32);
        for Drafted { approval, counted_until } in self.approvals.values() {
            if approval.wanted.caller != *caller {
                continue;
            }
            let waits = approval.state == ApprovalState::Waiting && now < approval.expires;
            more = more.saturating_add(u32::from(waits));
            less = less.saturating_add(u32::from(counted_until.is_some_and(|until| now < until)));
        }
        Ok(books.waiting(caller, now)?.saturating_add(more).saturating_sub(less))
    }

    pub(crate) fn apply<B: Books>(
        &mut self,
        books: &mut B,
        change: &Change,
    ) -> Result<Changed, EngineError<B::Error>> {
        Ok(match change {
            Change::Ask(approval) => Changed::Asked(self.ask(books, approval).map_err(EngineError::Books)?),
            Change::Decide { id, event, now } => {
                let Some(approval) = self.approval(books, id).map_err(EngineError::Books)? else {
                    return Ok(Changed::Decided(None));
                };
                let decided =
                    approval.apply(event, *now).map_err(|error| EngineError::Refused(error.into()))?;
                if decided != approval {
                    self.draft(decided.clone(), Some(&approval));
                }
                Changed::Decided(Some(decided))
            }
            Change::Stop { target, stop } => Changed::Stopped(self.stop(books, target, Some(stop))?),
            Change::Resume(target) => Changed::Stopped(self.stop(books, target, None)?),
        })
    }

    fn ask<B: Books>(&mut self, books: &mut B, new: &Approval) -> Result<Option<Approval>, B::Error> {
        let known = self.approval_of(books, &new.wanted)?;
        if let Some(known) = known.filter(|known| known.is_live(new.asked)) {
            return Ok(Some(known));
        }
        if self.waiting(books, &new.wanted.caller, new.asked)? >= WAITING_MAX {
            return Ok(None);
        }
        self.draft(new.clone(), None);
        Ok(Some(new.clone()))
    }

    fn stop<B: Books>(
        &mut self,
        books: &mut B,
        target: &Target,
        stop: Option<&Stop>,
    ) -> Result<bool, EngineError<B::Error>> {
        let mut stops = Stops::clone(&*self.stops(books).map_err(EngineError::Books)?);
        if stops.0.contains_key(target) == stop.is_some() {
            return Ok(false);
        }
        match stop {
            Some(_) if stops.0.len() >= Stops::MAX => {
                return Err(EngineError::Refused(Refusal::TooManyStops));
            }
            Some(stop) => stops.0.insert(target.clone(), stop.clone()),
            None => stops.0.remove(target),
        };
        self.stops = Some(Arc::new(stops));
        self.changed_stops.insert(target.clone(), stop.cloned());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_domain::{Amount, AssetId, Digest, ToolRef};

    use super::*;
    use crate::budget::{NodeKey, Span};

    #[test]
    fn changes_of_budgets_with_anything_to_write_are_not_empty() {
        let (now, asset): (_, AssetId) = (UnixMillis::new(1), "lightning:regtest/msat".parse().unwrap());
        let counter = Counter { node: NodeKey::new("acme", None), asset: asset.clone(), span: Span::Day };
        let usage = Usage { start: now, last: now, used: Amount::new(5) };
        let wanted = Wanted {
            caller: "anonymous".parse().unwrap(),
            tool: ToolRef { server: "up".parse().unwrap(), tool: "buy".parse().unwrap() },
            args: Digest::of(b"{}"),
            asset,
            amount: Amount::new(5),
        };
        let approval = Approval::asked(ApprovalId::from_bytes([1; 16]), wanted, now, now.plus_millis(1));
        let none = BudgetChanges::default;
        assert!(none().is_empty());
        for changes in [
            BudgetChanges { usages: vec![(counter, usage)], ..none() },
            BudgetChanges { approvals: vec![approval], ..none() },
            BudgetChanges { stops: vec![(Target::Everything, None)], ..none() },
        ] {
            assert!(
                !changes.is_empty(),
                "a store that took it for nothing would answer and not write: {changes:?}"
            );
        }
    }
}
