//! Payments without a definite answer. The same call with the same arguments presents the same payment again: a server can
//! take it only once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::purse::Held;

/// How many are kept; the oldest goes first. Its money stays counted.
const DOUBTS_MAX: usize = 256;

/// What makes two calls the same: tool and arguments, byte for byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) tool: String,
    pub(super) arguments: Bytes,
}

/// The payments.
#[derive(Default)]
pub(super) struct Doubts(Mutex<VecDeque<(Key, Held)>>);

impl Doubts {
    fn list(&self) -> MutexGuard<'_, VecDeque<(Key, Held)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the payment of this call out, so that nobody else presents it meanwhile.
    pub(super) fn take(&self, key: &Key) -> Option<Held> {
        let mut list = self.list();
        let at = list.iter().position(|(known, _)| known == key)?;
        list.remove(at).map(|(_, held)| held)
    }

    fn put(&self, key: Key, held: Held) {
        let mut list = self.list();
        if list.len() >= DOUBTS_MAX {
            list.pop_front();
        }
        list.push_back((key, held));
    }

    /// Watches over a payment while it is presented: unless its answer comes, it is kept. Being dropped half way (the client
    /// cancelled the call) is no answer.
    pub(super) fn watch(&self, key: Key, held: Held) -> Watched<'_> {
        Watched { doubts: self, kept: Some((key, held)) }
    }
}

/// A payment that is being presented.
pub(super) struct Watched<'a> {
    doubts: &'a Doubts,
    kept: Option<(Key, Held)>,
}

impl Watched<'_> {
    /// The payment.
    pub(super) fn held(&self) -> Option<&Held> {
        self.kept.as_ref().map(|(_, held)| held)
    }

    /// The answer has come: the payment is over.
    pub(super) fn over(mut self) -> Option<Held> {
        self.kept.take().map(|(_, held)| held)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if let Some((key, held)) = self.kept.take() {
            self.doubts.put(key, held);
        }
    }
}
