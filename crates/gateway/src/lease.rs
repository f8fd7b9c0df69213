//! Calls that a program outside carries out: leased to it by the gate API, and ended by it or by the clock.
//!
//! The table is memory only. What it must not forget over a crash stands in the settlement row and in the dispatch marks: a
//! call that was leased when the gateway died is in doubt, like any call whose tool may have run.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tollgate_domain::{CallId, Digest, Outcome, PaymentKey, UnixMillis};
use tollgate_gate::{Answer, ToolAnswer};
use tollgate_risk::Label;

/// How many ended calls are remembered, so that a repeated word about their end gets the same answer.
const ENDED_MAX: usize = 10_000;
/// A payment whose lease ran out is not leased again while its tool may still run: until the program says that it ended, or
/// for this long.
const LATE_MS: u64 = 3_600_000;

/// A lease as its holder shows it: the call, and 256 random bits.
#[derive(Clone)]
pub struct LeaseToken {
    call: CallId,
    secret: [u8; 32],
}

/// A text that is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a lease is the text that /gate/v1/authorize gave")]
pub struct LeaseTokenError;

impl LeaseToken {
    /// The lease of a call.
    pub fn new(call: CallId, secret: [u8; 32]) -> Self {
        Self { call, secret }
    }

    /// The call.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// Compared in place of the secret: what timing tells of a digest helps nobody to guess what it is of.
    fn digest(&self) -> Digest {
        Digest::of(&self.secret)
    }
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.call, hex::encode(self.secret))
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.[redacted]", self.call)
    }
}

impl FromStr for LeaseToken {
    type Err = LeaseTokenError;

    fn from_str(text: &str) -> Result<Self, LeaseTokenError> {
        let (call, digits) = text.split_once('.').ok_or(LeaseTokenError)?;
        let mut secret = [0; 32];
        hex::decode_to_slice(digits, &mut secret).map_err(|_| LeaseTokenError)?;
        Ok(Self { call: call.parse().map_err(|_| LeaseTokenError)?, secret })
    }
}

/// All leases of one gateway.
#[derive(Debug, Default)]
pub struct Leases {
    /// How many seats are taken.
    seats: Arc<AtomicUsize>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    leases: HashMap<CallId, Lease>,
    /// Ended calls, the oldest first.
    ended: VecDeque<CallId>,
    /// Payments whose lease ran out while their tool may still run.
    late: HashMap<PaymentKey, CallId>,
    /// The same by time, the oldest first, each with the seat that it keeps.
    late_since: VecDeque<(UnixMillis, PaymentKey, Seat)>,
}

#[derive(Debug)]
struct Lease {
    secret: Digest,
    key: Option<PaymentKey>,
    /// Takes the first word about the end; gone once there was one.
    say: Option<oneshot::Sender<Outcome<ToolAnswer>>>,
    ended: watch::Receiver<Option<Answer>>,
}

/// A place among the calls that may be leased at once, those included whose lease ran out while their tool may still run; given back
/// when it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the task of a leased call waits for, and where it says how the call ended.
#[derive(Debug)]
pub struct Granted {
    /// The holder's word about the end.
    pub said: oneshot::Receiver<Outcome<ToolAnswer>>,
    ended: watch::Sender<Option<Answer>>,
}

impl Leases {
    /// The limit on leases, as callers are told of it.
    pub fn label(open_max: usize) -> Arc<Label> {
        Arc::new(Label {
            name: "open leases".to_owned(),
            rate: format!("{open_max} at once"),
            per: "all".to_owned(),
        })
    }

    /// A place for one more call; `None` while `open_max` are taken. Taken before anything is claimed.
    pub fn seat(&self, open_max: usize, now: UnixMillis) -> Option<Seat> {
        self.table.lock().forget_late(now);
        let more = |taken| (taken < open_max).then_some(taken + 1);
        self.seats.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Seat(Arc::clone(&self.seats)))
    }

    /// Leases a held call.
    ///
    /// # Errors
    /// The call that used this payment before, whose lease ran out and whose tool may still run.
    pub fn grant(&self, token: &LeaseToken, key: Option<&PaymentKey>) -> Result<Granted, CallId> {
        let mut table = self.table.lock();
        if let Some(late) = key.and_then(|key| table.late.get(key)) {
            return Err(*late);
        }
        let (say, said) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        let lease = Lease { secret: token.digest(), key: key.cloned(), say: Some(say), ended };
        table.leases.insert(token.call, lease);
        Ok(Granted { said, ended: end })
    }

    /// The holder's word about the end of its call; the first one counts. Returns where the answer will be, or `None` for a
    /// lease that was never given or is forgotten.
    pub fn say(
        &self,
        token: &LeaseToken,
        outcome: Outcome<ToolAnswer>,
    ) -> Option<watch::Receiver<Option<Answer>>> {
        let mut table = self.table.lock();
        let lease = table.leases.get_mut(&token.call).filter(|lease| lease.secret == token.digest())?;
        if let Some(say) = lease.say.take() {
            // Nobody listens any more when the lease ran out a moment ago: the clock's word came first.
            drop(say.send(outcome));
        }
        let (key, ended) = (lease.key.clone(), lease.ended.clone());
        if let Some(key) = key.filter(|key| table.late.get(key) == Some(&token.call)) {
            table.late.remove(&key);
            table.late_since.retain(|(_, late, _)| *late != key);
        }
        Some(ended)
    }

    /// A lease ran out: its payment is kept from being leased again. Called before the call is voided, so that no other
    /// attempt comes between.
    pub fn ran_out(&self, call: CallId, seat: Seat, now: UnixMillis) {
        let mut table = self.table.lock();
        // A word that was said in this very moment tells that the tool has ended.
        let Some(lease) = table.leases.get_mut(&call).filter(|lease| lease.say.is_some()) else { return };
        if let Some(key) = lease.key.clone() {
            table.late.insert(key.clone(), call);
            table.late_since.push_back((now, key, seat));
        }
    }

    /// A leased call has ended: whoever says or said so gets this answer.
    pub fn end(&self, call: CallId, granted: Granted, answer: Answer) {
        granted.ended.send_replace(Some(answer));
        let mut table = self.table.lock();
        table.ended.push_back(call);
        if table.ended.len() > ENDED_MAX
            && let Some(oldest) = table.ended.pop_front()
        {
            table.leases.remove(&oldest);
        }
    }
}

impl Table {
    fn forget_late(&mut self, now: UnixMillis) {
        while self.late_since.front().is_some_and(|(since, ..)| now.millis_since(*since) > LATE_MS) {
            if let Some((_, key, _)) = self.late_since.pop_front() {
                self.late.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
