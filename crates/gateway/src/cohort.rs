//! Requests that are under way at the same time take their steps together.
//!
//! Where each call goes all its way before the next one begins, each wakes a server that has just gone to sleep, and each brings its way
//! through some hundreds of kilobytes of code into the processor's caches anew. So a request waits at a few places until the others that
//! can go on have come as far: what they send leaves together, to a server that is awake by then, and the code of a step is used by all
//! of them while it is there (J. Larus and M. Parkes, "Using Cohort Scheduling to Enhance Server Performance", USENIX 2002). The
//! runtime on its own does the opposite: what a task has woken runs next, before whatever has been ready for longer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// With fewer under way nobody waits for anybody: there is little to share, and the turn itself costs something.
const MEMBERS_MIN: usize = 4;

/// The requests that are under way.
#[derive(Debug, Default)]
pub struct Cohort(AtomicUsize);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Member(Arc<Cohort>);

impl Cohort {
    /// One more is under way.
    pub fn join(self: &Arc<Self>) -> Member {
        self.0.fetch_add(1, Ordering::Relaxed);
        Member(Arc::clone(self))
    }

    /// A step of one request ends here: whatever else can go on now, goes on first.
    pub fn step(&self) -> Step {
        Step { waits: self.0.load(Ordering::Relaxed) >= MEMBERS_MIN }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ready when the task has its next turn, or at once.
#[derive(Debug)]
#[must_use = "a step ends where it is awaited"]
pub struct Step {
    waits: bool,
}

impl Future for Step {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !std::mem::take(&mut self.waits) {
            return Poll::Ready(());
        }
        // A task that wakes itself while it runs is put behind all others that are ready. `tokio::task::yield_now` would wait for the
        // sockets to be looked at as well.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
