//! Limits that all gateways count together.
//!
//! A gateway counts a call for itself first: what it alone has let pass is never more than what all have, so a limit that is
//! reached here is reached. Only then are the others asked, by way of what keeps the count of all; if there is no room, what was
//! counted here is given back, and this gateway remembers when there will be some.

use std::sync::Arc;

use tollgate_domain::{Digest, UnixMillis};

use super::{Limit, Limited, Whose};
use crate::buckets::Key;
use crate::rule::{Part, Rule};

/// A call that this gateway has room for, and what is to be asked of all together.
#[derive(Debug)]
#[must_use = "all gateways together may have no room for it"]
pub struct Shared {
    taken: Vec<(Arc<Limit>, Key)>,
    asks: Vec<Ask>,
    cost: u32,
    at: UnixMillis,
}

/// What is to be taken from one bucket of all gateways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Whose bucket: the same at every gateway, by the limit's name and by all that tells callers apart.
    pub key: Digest,
    /// How long what is taken needs to come back, in nanoseconds.
    pub cost_nanos: u128,
    /// How long an empty bucket needs to be full, in nanoseconds.
    pub full_nanos: u128,
}

/// One of the buckets of all gateways has no room. Nothing was taken from any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crowded {
    /// Which: its place among the asked.
    pub place: usize,
    /// When it has, if nothing else is taken before.
    pub wait_ms: u64,
}

impl Shared {
    pub(super) fn new(limits: &[Arc<Limit>], whose: &Whose<'_>, cost: u32, at: UnixMillis) -> Self {
        let taken = limits.iter().map(|limit| (Arc::clone(limit), whose.key(limit.rule.per))).collect();
        let shared = limits.iter().filter(|limit| limit.rule.shared);
        let asks = shared.map(|limit| Ask {
            key: whose.name(&limit.rule),
            cost_nanos: limit.rule.rate.nanos_of(cost),
            full_nanos: limit.rule.rate.tolerance_nanos(),
        });
        Self { asks: asks.collect(), taken, cost, at }
    }

    /// What is to be taken from the buckets of all gateways: from every one or from none.
    pub fn asks(&self) -> &[Ask] {
        &self.asks
    }

    /// Gives back what this gateway has counted: there is no room for it.
    pub fn refused(self, crowded: Crowded, now: UnixMillis) -> Limited {
        let elapsed_ms = now.get().saturating_sub(self.at.get());
        for (limit, key) in &self.taken {
            if let Some(bucket) = limit.buckets.lock(*key) {
                bucket.give_back(self.cost, elapsed_ms, now);
            }
        }
        let wait_ms = crowded.wait_ms.max(1);
        let mut shared = self.taken.iter().filter(|(limit, _)| limit.rule.shared);
        let Some((limit, key)) = shared.nth(crowded.place) else {
            return Limited { retry_after_ms: wait_ms, limit: Arc::default() }; // never: it was not asked
        };
        if let Some(bucket) = limit.buckets.lock(*key) {
            bucket.owe(self.cost, wait_ms, now);
        }
        super::limited((wait_ms, limit))
    }
}

impl Whose<'_> {
    /// Whose bucket of a rule it is, for every gateway.
    fn name(&self, rule: &Rule) -> Digest {
        let mut name = format!("{}\n{}\n", rule.label.name, rule.per);
        let mut add = |part: &dyn std::fmt::Display| {
            name.push_str(&part.to_string());
            name.push('\n');
        };
        if rule.per.has(Part::Caller) {
            match self.caller {
                Some(caller) => add(&caller.principal()),
                None => add(&format_args!("at {}", self.origin)),
            }
        }
        if rule.per.has(Part::Address) {
            add(self.origin);
        }
        if rule.per.has(Part::Tool) || rule.per.has(Part::Server) {
            self.server.into_iter().for_each(|server| add(server));
        }
        if rule.per.has(Part::Tool) {
            self.tool.into_iter().for_each(|tool| add(tool));
        }
        Digest::of(name.as_bytes())
    }
}

#[cfg(test)]
mod tests;
