//! Buckets of one rate: a generic cell rate algorithm (GCRA, ITU-T I.371) per key.
//!
//! A key's state is one number, the moment at which its bucket will be full again. A unit taken moves that moment forward
//! by the time a unit takes to come back; a call is limited when the moment would lie further ahead than a whole bucket.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroUsize;

use parking_lot::{Mutex, MutexGuard};
use tollgate_domain::UnixMillis;

use crate::rate::{Rate, millis_ceil, nanos};

/// How many parts the map is split into, so that callers on different cores seldom wait for each other.
const SHARDS: usize = 16;
/// How many buckets that are full again are dropped whenever one is written: more than come in, so that they cannot pile up.
const DROPPED_PER_TAKE: usize = 2;

/// Whose bucket: a hash under a secret of this process, so that nobody can choose colliding ones.
pub(crate) type Key = u128;

/// Buckets of one rate, one for each key.
///
/// Memory is bounded. A bucket that is full again is dropped. Past `keys_max` keys the fullest bucket of a shard is forgotten
/// for each new one, and what was forgotten is never forgiven: the shard remembers the latest refill moment it dropped, and a
/// key it does not know starts there. A flood of invented keys therefore cannot grow the map, and cannot wash a real key's
/// debt away either.
#[derive(Debug)]
pub(crate) struct Buckets {
    rate: Rate,
    shards: Vec<Mutex<Shard>>,
    keys_per_shard_max: usize,
}

/// Refill moments of some keys, in nanoseconds since the Unix epoch.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    full_at: HashMap<Key, u128, BuildHasherDefault<Hashed>>,
    /// The same entries, the fullest bucket first.
    fullest_first: BTreeSet<(u128, Key)>,
    /// No forgotten bucket is full later than this.
    forgotten_full_at: u128,
}

/// One key's bucket, locked.
pub(crate) struct Bucket<'b> {
    rate: &'b Rate,
    shard: MutexGuard<'b, Shard>,
    key: Key,
    keys_max: usize,
}

/// What a bucket will be once units were taken from it.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    before: Option<u128>,
    after: u128,
    now: u128,
}

impl Buckets {
    /// Buckets of this rate, for at most about `keys_max` keys (rounded up to a multiple of the shards).
    pub(crate) fn new(rate: Rate, keys_max: NonZeroUsize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { rate, shards, keys_per_shard_max: keys_max.get().div_ceil(SHARDS) }
    }

    /// Locks the bucket of a key.
    pub(crate) fn lock(&self, key: Key) -> Option<Bucket<'_>> {
        let [.., last] = key.to_be_bytes();
        let shard = self.shards.get(usize::from(last).checked_rem(SHARDS)?)?;
        Some(Bucket { rate: &self.rate, shard: shard.lock(), key, keys_max: self.keys_per_shard_max })
    }

    /// How many keys are remembered now.
    pub(crate) fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().full_at.len()).fold(0, usize::saturating_add)
    }

    /// The most keys that are ever remembered.
    pub(crate) fn keys_max(&self) -> usize {
        self.keys_per_shard_max.saturating_mul(SHARDS)
    }
}

impl Bucket<'_> {
    /// What taking `cost` units would leave. Nothing is taken yet.
    ///
    /// # Errors
    /// After how many milliseconds it could be taken, if nothing else is before; at least 1, and `u64::MAX` when it is more
    /// than a full bucket holds.
    pub(crate) fn afford(&mut self, cost: u32, now: UnixMillis) -> Result<Taken, u64> {
        if cost > self.rate.burst().get() {
            return Err(u64::MAX);
        }
        let now = nanos(now.get());
        let latest = now.saturating_add(self.rate.tolerance_nanos());
        self.cut(latest);
        let before = self.shard.full_at.get(&self.key).copied();
        let full_at = before.unwrap_or(self.shard.forgotten_full_at).clamp(now, latest);
        let after = full_at.saturating_add(self.rate.nanos_of(cost));
        if after > latest {
            return Err(millis_ceil(after.saturating_sub(latest)).max(1));
        }
        Ok(Taken { before, after, now })
    }

    /// Under a clock that stood still or went on, no moment lies past `latest`. After the clock was set back one may: it is cut for
    /// good, so that the key waits for one bucket at most instead of for the old time to come again.
    fn cut(&mut self, latest: u128) {
        let shard = &mut *self.shard;
        shard.forgotten_full_at = shard.forgotten_full_at.min(latest);
        if let Some(full_at) = shard.full_at.get_mut(&self.key).filter(|full_at| **full_at > latest) {
            shard.fullest_first.remove(&(*full_at, self.key));
            shard.fullest_first.insert((latest, self.key));
            *full_at = latest;
        }
    }

    /// Takes what was found to be affordable while this bucket was locked.
    pub(crate) fn take(self, taken: Taken) {
        self.become_full(taken);
    }

    /// Gives back what was taken `elapsed_ms` ago, less what may have come back by itself meanwhile. Whatever else happened to the
    /// bucket since, it is never fuller than if nothing had been taken.
    pub(crate) fn give_back(self, cost: u32, elapsed_ms: u64, now: UnixMillis) {
        // A bucket that was full for a while since then has forgotten so much of it, and no more.
        let back = self.rate.nanos_of(cost).saturating_sub(nanos(elapsed_ms));
        if let Some(before) = self.shard.full_at.get(&self.key).copied() {
            let after = before.saturating_sub(back);
            self.become_full(Taken { before: Some(before), after, now: nanos(now.get()) });
        }
    }

    /// Empties the bucket at least so far that `cost` can be taken in `wait_ms` milliseconds and no sooner.
    pub(crate) fn owe(self, cost: u32, wait_ms: u64, now: UnixMillis) {
        let now = nanos(now.get());
        let latest = now.saturating_add(self.rate.tolerance_nanos());
        let owed = latest.saturating_add(nanos(wait_ms)).saturating_sub(self.rate.nanos_of(cost)).min(latest);
        let before = self.shard.full_at.get(&self.key).copied();
        let after = before.unwrap_or(self.shard.forgotten_full_at).max(owed);
        self.become_full(Taken { before, after, now });
    }

    fn become_full(mut self, at: Taken) {
        let Taken { before, after, now } = at;
        let shard = &mut *self.shard;
        if let Some(before) = before {
            shard.fullest_first.remove(&(before, self.key));
        }
        shard.drop_full(now);
        if before.is_none() {
            shard.make_room(self.keys_max);
        }
        shard.full_at.insert(self.key, after);
        shard.fullest_first.insert((after, self.key));
    }
}

impl Shard {
    /// A bucket that is full is as good as none.
    fn drop_full(&mut self, now: u128) {
        for _ in 0..DROPPED_PER_TAKE {
            match self.fullest_first.first() {
                Some(&(full_at, key)) if full_at <= now => {
                    self.fullest_first.pop_first();
                    self.full_at.remove(&key);
                }
                Some(_) | None => return,
            }
        }
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

/// The hash of a key that is one already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        let [a, b, c, d, e, f, g, h, ..] = key.to_be_bytes();
        self.0 = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    }
}

#[cfg(test)]
mod tests;
