//! A call from its claim to its ending. Whatever stops the task that carries it out, or keeps its ending from the books, its
//! settlement does not wait for the next start.

use std::sync::Arc;
use std::time::Duration;

use tollgate_domain::CallId;

use crate::gateway::Gateway;

/// How soon the books are asked again after they have not taken an ending; the pause doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A call that has no ending yet. Dropped before it has one (a panic, a gateway that waits no longer, books that did not take it), its
/// row is driven on as soon as may be: released if its tool was certainly not asked, in doubt otherwise.
#[derive(Debug)]
pub struct Unfinished {
    gateway: Arc<Gateway>,
    call: CallId,
    /// Whether its tool may have been asked.
    may_have_run: bool,
    is_over: bool,
}

impl Unfinished {
    /// A call that is about to be claimed.
    pub fn begin(gateway: &Arc<Gateway>, call: CallId) -> Self {
        Self { gateway: Arc::clone(gateway), call, may_have_run: false, is_over: false }
    }

    /// Its tool is asked now.
    pub fn asks(&mut self) {
        self.may_have_run = true;
    }

    /// Nothing was claimed.
    pub fn over(&mut self) {
        self.is_over = true;
    }

    /// It has its ending, if the books have taken it.
    pub fn completed<T, E>(&mut self, completed: &Result<T, E>) {
        self.is_over = completed.is_ok();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (gateway, call, may_have_run) = (Arc::clone(&self.gateway), self.call, self.may_have_run);
        // Among the calls: the process does not end before it is done.
        let calls = gateway.foundation.calls.clone();
        calls.spawn(async move { drive_on(&gateway, call, may_have_run).await });
    }
}

/// Asks the books until they take it, for as long as they may.
async fn drive_on(gateway: &Gateway, call: CallId, may_have_run: bool) {
    let mut pause = PAUSE_FIRST;
    loop {
        let error = match gateway.gate.take_up(call, may_have_run).await {
            Ok(Some(state)) => {
                tracing::error!(%call, %state, "a call ended without its ending on the books; its settlement was driven on");
                return;
            }
            // Nothing was claimed: a free call, or one that had not come so far.
            Ok(None) => return,
            Err(error) => error,
        };
        {
            let source: &dyn std::error::Error = &error;
            tracing::warn!(%call, error = source, "the books do not take the ending of a call; it is tried again");
        }
        let is_over = tokio::select! {
            biased;
            () = gateway.foundation.readiness.given_up() => true,
            () = tokio::time::sleep(pause) => !gateway.gate.ports().store.is_open(),
        };
        if is_over {
            let source: &dyn std::error::Error = &error;
            tracing::error!(%call, error = source, "a call without an ending waits for the next start");
            return;
        }
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}
