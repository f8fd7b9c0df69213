//! The end of the listener, as its connections see it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Tells every connection that no new request is taken. To ask whether it was told costs one load, which a connection affords
/// each time that it wakes.
#[derive(Debug, Default)]
pub(super) struct Drain {
    has_begun: AtomicBool,
    told: Notify,
}

impl Drain {
    pub(super) fn begin(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::SeqCst)
    }

    /// Waits for the beginning of the end, which may have been before.
    pub(super) async fn begins(&self) {
        // Made before the look: it hears of whatever is told from now on.
        let told = self.told.notified();
        if !self.has_begun() {
            told.await;
        }
    }
}
