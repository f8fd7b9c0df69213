//! Where hyper stands in a connection, by the timer that it sets for each head.
//!
//! hyper sets it when it begins to wait for a request (the connection is new, or both the last request and its answer are
//! whole), and drops it when the head of the request is there. That it exists says that nothing is under way; hyper tells it in no
//! other way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Sleep;
use tokio::time::Instant;

/// What hyper waits for in one connection. Only the task of the connection reads and writes it: relaxed order is enough.
#[derive(Debug)]
pub(super) struct Heads {
    made: Instant,
    first_by: Instant,
    waited_for: AtomicU64,
    /// Nanoseconds after `made`; [`NOT_WAITING`].
    due: AtomicU64,
    is_taken_back: AtomicBool,
}

const NOT_WAITING: u64 = u64::MAX;

impl Heads {
    /// The first head must be whole by then, whatever time hyper gives it.
    pub(super) fn first_by(first_by: Instant) -> Self {
        Self {
            made: Instant::now(),
            first_by,
            waited_for: AtomicU64::new(0),
            due: AtomicU64::new(NOT_WAITING),
            is_taken_back: AtomicBool::new(false),
        }
    }

    /// Until when the head that is waited for must be whole. `None`: a request is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        let nanoseconds = self.due.load(Ordering::Relaxed);
        (nanoseconds != NOT_WAITING).then(|| self.made + Duration::from_nanos(nanoseconds))
    }

    /// Whether no request came so far.
    pub(super) fn is_first(&self) -> bool {
        self.waited_for.load(Ordering::Relaxed) <= 1
    }

    /// From now on, that hyper is done does not close the connection.
    pub(super) fn take_back(&self) {
        self.is_taken_back.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_taken_back(&self) -> bool {
        self.is_taken_back.load(Ordering::Relaxed)
    }

    fn wait(&self, due: Instant) {
        let is_first = self.waited_for.fetch_add(1, Ordering::Relaxed) == 0;
        let due = if is_first { self.first_by } else { due };
        let nanoseconds = due.saturating_duration_since(self.made).as_nanos();
        let nanoseconds = u64::try_from(nanoseconds).unwrap_or(NOT_WAITING - 1);
        self.due.store(nanoseconds, Ordering::Relaxed);
    }
}

/// The timer of one connection.
pub(super) struct Timer(pub(super) Arc<Heads>);

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        self.0.wait(deadline.into());
        Box::pin(Waiting(Arc::clone(&self.0)))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

/// Never over: whoever drives the connection looks at the clock.
struct Waiting(Arc<Heads>);

impl Sleep for Waiting {}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.due.store(NOT_WAITING, Ordering::Relaxed);
    }
}
