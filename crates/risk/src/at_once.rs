//! How many calls of one caller may be under way at once.
//!
//! Rates bound how often calls begin, not how many hang: a caller whose calls end late would fill the gateway all the same. What is kept
//! is a number for each caller who has a call under way, and nothing else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::limits::{Asking, Limited};
use crate::rule::Label;

#[cfg(test)]
mod tests;

const SHARDS: usize = 16;
/// When whoever has too many under way may come back: when one of them ends, which nobody knows.
const RETRY_MS: u64 = 1_000;

/// The calls under way, by caller.
#[derive(Debug)]
pub struct AtOnce {
    label: Arc<Label>,
    calls_max: NonZeroU32,
    secret: [RandomState; 2],
    shards: [Mutex<HashMap<u128, u32>>; SHARDS],
    refused: AtomicU64,
}

/// One call under way; dropped when it has ended.
#[must_use = "the call counts for as long as its place is kept"]
#[derive(Debug)]
pub struct Place {
    crowd: Arc<AtOnce>,
    key: u128,
}

impl AtOnce {
    /// So many calls at once for each caller; `name` is how refusals and metrics call it.
    pub fn new(name: &str, calls_max: NonZeroU32) -> Arc<Self> {
        let rate = format!("{calls_max} at once");
        Arc::new(Self {
            label: Arc::new(Label { name: name.to_owned(), rate, per: "caller".to_owned() }),
            calls_max,
            secret: [RandomState::new(), RandomState::new()],
            shards: Default::default(),
            refused: AtomicU64::new(0),
        })
    }

    /// How many calls at once each caller may have.
    pub fn calls_max(&self) -> NonZeroU32 {
        self.calls_max
    }

    /// A call begins. Callers who are not known are counted by where they call from.
    ///
    /// # Errors
    /// [`Limited`] when its caller has as many under way as are allowed.
    pub fn enter(self: &Arc<Self>, asking: Asking<'_>) -> Result<Place, Limited> {
        let caller = asking.caller.filter(|caller| caller.is_known());
        let [high, low] = &self.secret;
        let half = |secret: &RandomState| u128::from(secret.hash_one(caller.ok_or(asking.origin)));
        // Under secrets of this process: nobody can have two callers counted as one.
        let key = half(high).rotate_left(64) | half(low);
        let mut counts = self.shard(key).lock();
        let count = counts.entry(key).or_default();
        if *count >= self.calls_max.get() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Limited { retry_after_ms: RETRY_MS, limit: Arc::clone(&self.label) });
        }
        *count = count.saturating_add(1);
        drop(counts);
        Ok(Place { crowd: Arc::clone(self), key })
    }

    /// How it is spoken of, and how often it was the reason for a refusal.
    pub fn seen(&self) -> (Arc<Label>, u64) {
        (Arc::clone(&self.label), self.refused.load(Ordering::Relaxed))
    }

    /// How many callers have calls under way.
    pub fn callers(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).fold(0, usize::saturating_add)
    }

    fn shard(&self, key: u128) -> &Mutex<HashMap<u128, u32>> {
        let [first, ..] = key.to_be_bytes();
        let [shard, ..] = &self.shards;
        self.shards.get(usize::from(first) % SHARDS).unwrap_or(shard)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.crowd.shard(self.key).lock().entry(self.key) {
            match count.get().checked_sub(1) {
                None | Some(0) => drop(count.remove()),
                Some(left) => *count.get_mut() = left,
            }
        }
    }
}
