//! All limits of a gateway, and what one call takes from them: from all that hold for it, or from none.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_domain::{Caller, Origin, ServerName, ToolName, ToolRef, UnixMillis};

use crate::buckets::{Bucket, Buckets, Key};
use crate::plan::{Plan, Weights};
use crate::rule::{Counts, Label, Part, Per, Rule, Scope};

mod shared;

pub use shared::{Ask, Crowded, Shared};

/// A limit is reached. Nothing was taken, neither from it nor from any other.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the limit {} is reached; try again in {retry_after_ms} ms", limit.name)]
pub struct Limited {
    /// When the same would pass, if nothing else is taken before; at least 1.
    pub retry_after_ms: u64,
    /// The limit that takes longest to have room again.
    pub limit: Arc<Label>,
}

/// What a call shows of itself to its limits.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Who calls; `None`: not known yet, or nobody in particular.
    pub caller: Option<&'a Caller>,
    /// Where from.
    pub origin: &'a Origin,
    /// The tool that is called.
    pub tool: &'a ToolRef,
}

/// Where a request comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entrance<'a> {
    /// At a door that is no single server's.
    Shared,
    /// At the door of this server.
    Own(&'a ServerName),
    /// From a shared door, where it was counted already, on to this server.
    Behind(&'a ServerName),
}

/// All limits of one gateway process.
///
/// One call may be held by several limits. Their buckets are locked in one order, so that no two calls wait for each other,
/// and are taken from only when every one of them can be.
#[derive(Debug)]
pub struct Limits {
    all: Vec<Arc<Limit>>,
    every: Held,
    servers: HashMap<ServerName, ServerLimits>,
    secret: [RandomState; 2],
    serial_next: u64,
}

/// The limits of one server that has some of its own.
#[derive(Debug)]
struct ServerLimits {
    tools: HashMap<ToolName, Held>,
    others: Held,
    /// Limits on requests that are this server's alone.
    behind: List,
}

/// What holds for one tool.
#[derive(Debug)]
struct Held {
    weight: u32,
    calls: List,
    /// Those of `calls` that need not know who calls.
    early: List,
    /// Whether any of `calls` is counted by all gateways together.
    is_shared: bool,
    offers: List,
    requests: List,
}

type List = Box<[Arc<Limit>]>;

#[derive(Debug)]
struct Limit {
    rule: Rule,
    /// The order in which buckets are locked; never used twice, also not by limits that follow these.
    serial: u64,
    buckets: Buckets,
    refused: AtomicU64,
}

/// One limit, for gauges.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How it is spoken of.
    pub label: Arc<Label>,
    /// How often it was the reason for a refusal.
    pub refused: u64,
    /// How many buckets it keeps now.
    pub keys: usize,
    /// The most that it ever keeps.
    pub keys_max: usize,
}

impl Limits {
    /// The limits of a plan, all buckets full. Each keeps at most about `keys_max` buckets that are not full.
    pub fn new(plan: &Plan, keys_max: NonZeroUsize) -> Self {
        let secret = [RandomState::new(), RandomState::new()];
        Self::with(plan, keys_max, &[], secret, 0)
    }

    /// The limits of a new plan in place of these. A rule that stays as it was keeps its buckets: nobody gets a full one by
    /// having the configuration read again. Calls that are still held by the old limits share them.
    #[must_use]
    pub fn followed_by(&self, plan: &Plan, keys_max: NonZeroUsize) -> Self {
        Self::with(plan, keys_max, &self.all, self.secret.clone(), self.serial_next)
    }

    fn with(
        plan: &Plan,
        keys_max: NonZeroUsize,
        before: &[Arc<Limit>],
        secret: [RandomState; 2],
        mut serial_next: u64,
    ) -> Self {
        let mut limit = |rule: &Rule| {
            if let Some(same) = before.iter().find(|limit| limit.rule == *rule) {
                return Arc::clone(same);
            }
            let serial = serial_next;
            serial_next = serial_next.saturating_add(1);
            let (rule, buckets) = (rule.clone(), Buckets::new(rule.rate, keys_max));
            Arc::new(Limit { rule, serial, buckets, refused: AtomicU64::new(0) })
        };
        let all: Vec<Arc<Limit>> = plan.rules.iter().map(&mut limit).collect();
        let special = plan.weights.iter().filter(|weights| plan.is_special(weights));
        let servers = special.map(|weights| (weights.server.clone(), ServerLimits::new(plan, &all, weights)));
        Self {
            every: Held::new(plan, &all, 1, |rule| rule.scope == Scope::Gateway),
            servers: servers.collect(),
            all,
            secret,
            serial_next,
        }
    }

    /// Whether a limit that holds whoever calls is reached already. Takes nothing: a call that will be refused is refused
    /// before anybody works for it.
    ///
    /// # Errors
    /// [`Limited`] when one is.
    pub fn foresee_call(&self, asking: Asking<'_>, now: UnixMillis) -> Result<(), Limited> {
        let held = self.held(&asking.tool.server, Some(&asking.tool.tool));
        if held.early.is_empty() {
            return Ok(());
        }
        let whose = Whose::of(asking, &self.secret);
        refused(longest(&held.early, &whose, held.weight, now))
    }

    /// Takes a call from every limit that holds for it, or from none. What this gateway has counted may still be too much for
    /// all gateways together: then there is something [`Shared`] to ask them.
    ///
    /// # Errors
    /// [`Limited`] when one of them is reached.
    pub fn take_call(&self, asking: Asking<'_>, now: UnixMillis) -> Result<Option<Shared>, Limited> {
        let held = self.held(&asking.tool.server, Some(&asking.tool.tool));
        let whose = Whose::of(asking, &self.secret);
        refused(take(&held.calls, &whose, held.weight, now).err())?;
        Ok(held.is_shared.then(|| Shared::new(&held.calls, &whose, held.weight, now)))
    }

    /// Takes a demand to pay for a call from every limit on demands that holds for it, or from none.
    ///
    /// # Errors
    /// [`Limited`] when one of them is reached.
    pub fn take_offer(&self, asking: Asking<'_>, now: UnixMillis) -> Result<(), Limited> {
        let held = self.held(&asking.tool.server, Some(&asking.tool.tool));
        refused(take(&held.offers, &Whose::of(asking, &self.secret), 1, now).err())
    }

    /// Whether requests are counted there at all: if not, nobody need read the clock.
    pub fn counts_requests(&self, entrance: Entrance<'_>) -> bool {
        !self.entering(entrance).0.is_empty()
    }

    /// Takes a request from every limit on requests that holds there, or from none.
    ///
    /// # Errors
    /// [`Limited`] when one of them is reached.
    pub fn take_request(
        &self,
        entrance: Entrance<'_>,
        origin: &Origin,
        now: UnixMillis,
    ) -> Result<(), Limited> {
        let (limits, server) = self.entering(entrance);
        let whose = Whose { caller: None, origin, tool: None, server, secret: &self.secret };
        refused(take(limits, &whose, 1, now).err())
    }

    /// Every limit, in the order of the rules.
    pub fn seen(&self) -> impl Iterator<Item = Seen> {
        self.all.iter().map(|limit| Seen {
            label: Arc::clone(&limit.rule.label),
            refused: limit.refused.load(Ordering::Relaxed),
            keys: limit.buckets.keys(),
            keys_max: limit.buckets.keys_max(),
        })
    }

    fn held(&self, server: &ServerName, tool: Option<&ToolName>) -> &Held {
        let Some(own) = self.servers.get(server) else { return &self.every };
        tool.and_then(|tool| own.tools.get(tool)).unwrap_or(&own.others)
    }

    fn entering<'l>(&'l self, entrance: Entrance<'l>) -> (&'l [Arc<Limit>], Option<&'l ServerName>) {
        match entrance {
            Entrance::Shared => (&self.every.requests, None),
            Entrance::Own(server) => (&self.held(server, None).requests, Some(server)),
            Entrance::Behind(server) => {
                (self.servers.get(server).map_or(&[], |server| &*server.behind), Some(server))
            }
        }
    }
}

impl ServerLimits {
    fn new(plan: &Plan, all: &[Arc<Limit>], weights: &Weights) -> Self {
        let held = |tool: Option<&ToolName>, weight: u32| {
            Held::new(plan, all, weight, |rule| rule.scope.holds(&weights.server, tool))
        };
        let tools = weights.tools.iter().map(|(tool, weight)| (tool.clone(), held(Some(tool), weight.get())));
        let own = |rule: &Rule| rule.scope == Scope::Server(weights.server.clone());
        Self {
            tools: tools.collect(),
            others: held(None, weights.others.get()),
            behind: Held::new(plan, all, 1, own).requests,
        }
    }
}

impl Held {
    fn new(plan: &Plan, all: &[Arc<Limit>], weight: u32, holds: impl Fn(&Rule) -> bool) -> Self {
        let list = |chosen: &dyn Fn(&Rule) -> bool| -> List {
            let both = plan.rules.iter().zip(all).filter(|(rule, _)| holds(rule) && chosen(rule));
            let mut list: Vec<Arc<Limit>> = both.map(|(_, limit)| Arc::clone(limit)).collect();
            list.sort_by_key(|limit| limit.serial);
            list.into()
        };
        let counts = |counts: Counts| move |rule: &Rule| rule.counts == counts;
        let calls = list(&counts(Counts::Calls));
        Self {
            weight,
            is_shared: calls.iter().any(|limit| limit.rule.shared),
            calls,
            early: list(&|rule| rule.counts == Counts::Calls && !rule.per.has(Part::Caller)),
            offers: list(&counts(Counts::Offers)),
            requests: list(&counts(Counts::Requests)),
        }
    }
}

impl Limit {
    fn bucket(&self, whose: &Whose<'_>) -> Option<Bucket<'_>> {
        self.buckets.lock(whose.key(self.rule.per))
    }
}

/// Whose bucket it is: all that a key can be made of.
#[derive(Clone, Copy)]
struct Whose<'a> {
    caller: Option<&'a Caller>,
    origin: &'a Origin,
    tool: Option<&'a ToolName>,
    server: Option<&'a ServerName>,
    secret: &'a [RandomState; 2],
}

impl<'a> Whose<'a> {
    fn of(asking: Asking<'a>, secret: &'a [RandomState; 2]) -> Self {
        let Asking { caller, origin, tool } = asking;
        // A preimage is new with every payment: whoever shows one is counted by where the call comes from.
        let caller = caller.filter(|caller| caller.is_known());
        Self { caller, origin, tool: Some(&tool.tool), server: Some(&tool.server), secret }
    }

    /// Hashed twice under secrets of this process: nobody can have two callers meet in one bucket.
    fn key(&self, per: Per) -> Key {
        let [high, low] = self.secret;
        let half = |secret: &RandomState| {
            let mut hasher = secret.build_hasher();
            self.hash(per, &mut hasher);
            Key::from(hasher.finish())
        };
        half(high).rotate_left(64) | half(low)
    }

    fn hash(&self, per: Per, hasher: &mut impl Hasher) {
        if per.has(Part::Caller) {
            self.caller.ok_or(self.origin).hash(hasher);
        }
        if per.has(Part::Address) {
            self.origin.hash(hasher);
        }
        if per.has(Part::Tool) || per.has(Part::Server) {
            self.server.hash(hasher);
        }
        if per.has(Part::Tool) {
            self.tool.hash(hasher);
        }
    }
}

/// A limit without room, and when it has some.
type Wait<'l> = (u64, &'l Limit);

/// Takes from all of these or from none; each bucket stays locked until the last is known to have room.
fn take<'l>(limits: &'l [Arc<Limit>], whose: &Whose<'_>, cost: u32, now: UnixMillis) -> Result<(), Wait<'l>> {
    let Some((limit, rest)) = limits.split_first() else { return Ok(()) };
    let Some(mut bucket) = limit.bucket(whose) else { return take(rest, whose, cost, now) };
    match bucket.afford(cost, now) {
        Ok(taken) => {
            take(rest, whose, cost, now)?;
            bucket.take(taken);
            Ok(())
        }
        Err(wait) => {
            drop(bucket);
            Err(longer((wait, limit), longest(rest, whose, cost, now)))
        }
    }
}

/// The one of these that takes longest to have room; `None`: all have room now.
fn longest<'l>(limits: &'l [Arc<Limit>], whose: &Whose<'_>, cost: u32, now: UnixMillis) -> Option<Wait<'l>> {
    limits.iter().fold(None, |found, limit| {
        let wait = limit.bucket(whose).and_then(|mut bucket| bucket.afford(cost, now).err());
        wait.map_or(found, |wait| Some(longer((wait, &**limit), found)))
    })
}

fn longer<'l>(one: Wait<'l>, other: Option<Wait<'l>>) -> Wait<'l> {
    other.filter(|other| other.0 > one.0).unwrap_or(one)
}

fn refused(wait: Option<Wait<'_>>) -> Result<(), Limited> {
    wait.map_or(Ok(()), |wait| Err(limited(wait)))
}

fn limited((retry_after_ms, limit): Wait<'_>) -> Limited {
    limit.refused.fetch_add(1, Ordering::Relaxed);
    Limited { retry_after_ms, limit: Arc::clone(&limit.rule.label) }
}

#[cfg(test)]
mod tests;
