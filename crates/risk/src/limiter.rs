//! The limiter: a generic cell rate algorithm (GCRA, ITU-T I.371) per key.
//!
//! A key's state is one number, the moment at which its bucket will be full again. A unit taken moves that moment forward
//! by the time a unit takes to come back; a call is limited when the moment would lie further ahead than a whole bucket.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;

use parking_lot::Mutex;
use tollgate_domain::{Digest, UnixMillis};

use crate::rate::{Rate, millis_ceil, nanos};

/// How many parts the map is split into, so that callers on different cores seldom wait for each other.
const SHARDS: usize = 16;

/// This key is too fast. Nothing was taken from its bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("too many calls; try again in {retry_after_ms} ms")]
pub struct Limited {
    /// When the same request would pass, if nothing else is taken before; at least 1. `u64::MAX` when it costs more than a
    /// full bucket holds and can never pass.
    pub retry_after_ms: u64,
}

/// One rate, applied to each key on its own.
///
/// Memory is bounded: past `keys_max` keys the fullest bucket of a shard is forgotten for each new one. What was forgotten
/// is never forgiven: the shard remembers the latest refill moment it dropped, and a key it does not know starts there. A
/// flood of invented keys therefore cannot grow the map, and cannot wash a real key's debt away either.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    shards: Vec<Mutex<Shard>>,
    keys_per_shard_max: usize,
}

/// Refill moments of some keys, in nanoseconds since the Unix epoch. Keys are digests: an entry has a fixed size, whatever
/// a stranger sends, and nobody can choose colliding ones.
#[derive(Debug, Default)]
struct Shard {
    full_at: HashMap<Digest, u128>,
    /// The same entries, the fullest bucket first.
    fullest_first: BTreeSet<(u128, Digest)>,
    /// No forgotten bucket is full later than this.
    forgotten_full_at: u128,
}

impl Limiter {
    /// A limiter of this rate that keeps at most about `keys_max` keys (rounded up to a multiple of the shards).
    pub fn new(rate: Rate, keys_max: NonZeroUsize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { rate, shards, keys_per_shard_max: keys_max.get().div_ceil(SHARDS) }
    }

    /// Takes `cost` units from the bucket of `key`.
    ///
    /// # Errors
    /// [`Limited`] when the bucket holds too little; then nothing is taken.
    pub fn check(&self, key: &str, cost: u32, now: UnixMillis) -> Result<(), Limited> {
        let key = Digest::of(key.as_bytes());
        let Some(shard) = self.shards.get(shard_of(&key)) else {
            return Err(Limited { retry_after_ms: u64::MAX }); // never: `shard_of` stays below the number of shards
        };
        shard.lock().take(&self.rate, key, cost, nanos(now.get()), self.keys_per_shard_max)
    }

    /// How many keys are remembered now; for gauges.
    pub fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().full_at.len()).fold(0, usize::saturating_add)
    }

    /// The most keys that are ever remembered.
    pub fn keys_max(&self) -> usize {
        self.keys_per_shard_max.saturating_mul(SHARDS)
    }
}

fn shard_of(key: &Digest) -> usize {
    let [first, ..] = *key.as_bytes();
    usize::from(first).checked_rem(SHARDS).unwrap_or_default()
}

impl Shard {
    fn take(
        &mut self,
        rate: &Rate,
        key: Digest,
        cost: u32,
        now: u128,
        keys_max: usize,
    ) -> Result<(), Limited> {
        if cost > rate.burst().get() {
            return Err(Limited { retry_after_ms: u64::MAX });
        }
        let tolerance = rate.tolerance_nanos();
        let known = self.full_at.get(&key).copied();
        // Under a clock that stood still or went on, no moment lies past `now + tolerance`. After the clock was set back
        // one may: it is cut, so that the key waits for one bucket at most instead of for the old time to come again.
        let full_at = known.unwrap_or(self.forgotten_full_at).clamp(now, now.saturating_add(tolerance));
        let taken = full_at.saturating_add(rate.nanos_of(cost));
        let latest = now.saturating_add(tolerance);
        if taken > latest {
            return Err(Limited { retry_after_ms: millis_ceil(taken.saturating_sub(latest)).max(1) });
        }
        match known {
            Some(before) => {
                self.fullest_first.remove(&(before, key));
            }
            None => self.make_room(keys_max),
        }
        self.full_at.insert(key, taken);
        self.fullest_first.insert((taken, key));
        Ok(())
    }

    fn make_room(&mut self, keys_max: usize) {
        while self.full_at.len() >= keys_max.max(1) {
            let Some((full_at, key)) = self.fullest_first.pop_first() else {
                return;
            };
            self.full_at.remove(&key);
            self.forgotten_full_at = self.forgotten_full_at.max(full_at);
        }
    }
}

#[cfg(test)]
mod tests;
