//! A call from its claim to its ending. Whatever stops the task that carries it out, its settlement does not wait for the next
//! start.

use std::sync::Arc;

use tollgate_domain::CallId;

use crate::gateway::Gateway;

/// A call that has no ending yet. Dropped before it has one (a panic, a gateway that waits no longer), its row is driven on
/// at once: released if its tool was certainly not asked, in doubt otherwise.
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

    /// It has its ending, or nothing was claimed.
    pub fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (gateway, call, may_have_run) = (Arc::clone(&self.gateway), self.call, self.may_have_run);
        // Among the calls: the process does not end before it is done.
        let calls = gateway.calls.clone();
        calls.spawn(async move {
            match gateway.gate.take_up(call, may_have_run).await {
                Ok(Some(state)) => {
                    tracing::error!(%call, %state, "the task of a call ended early; its settlement was driven on");
                }
                // Nothing was claimed: a free call, or one that had not come so far.
                Ok(None) => {}
                Err(error) => {
                    let source: &dyn std::error::Error = &error;
                    tracing::error!(%call, error = source, "a call without an ending waits for the next start");
                }
            }
        });
    }
}
