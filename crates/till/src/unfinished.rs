//! A call from its claim to its ending. Whatever stops the task that carries it out, or keeps its claim or its ending from being
//! known, its settlement does not wait for the next start.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tollgate_domain::CallId;
use tollgate_gate::{Gate, Ports, Refusal};

use crate::dispatch::DispatchMarks;

/// How soon the books are asked again after they have not answered; the pause doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Whoever carries out calls.
pub trait Completes: Send + Sync + 'static {
    /// What its street reaches.
    type Ports: Ports;

    /// Its street.
    fn gate(&self) -> &Gate<Self::Ports>;
    /// Which paid calls were sent.
    fn marks(&self) -> &DispatchMarks;
    /// Calls being carried out: the process does not end before they have ended.
    fn calls(&self) -> &TaskTracker;
    /// Whether the books take anything at all.
    fn takes_money(&self) -> bool;
    /// Waits until nobody waits for the books any more: the process ends.
    fn given_up(&self) -> impl Future<Output = ()> + Send;
}

/// A call that has no ending yet. Dropped before it has one (a panic, a caller or a gateway that waits no longer, books that did not
/// answer), its row is looked up and driven on as soon as may be: released if its tool was certainly not asked, in doubt otherwise.
#[derive(Debug)]
pub struct Unfinished<H: Completes> {
    house: Arc<H>,
    call: CallId,
    /// Whether its tool may have been asked.
    may_have_run: bool,
    is_over: bool,
}

impl<H: Completes> Unfinished<H> {
    /// A call that is about to be claimed.
    pub fn begin(house: &Arc<H>, call: CallId) -> Self {
        Self { house: Arc::clone(house), call, may_have_run: false, is_over: false }
    }

    /// Its tool is asked now.
    pub fn asks(&mut self) {
        self.may_have_run = true;
    }

    /// It was not held. A fault on the way may have come behind the claim, or have kept it from being known.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.is_over = !refusal.may_have_claimed();
    }

    /// It has its ending, if the books have taken it.
    pub fn completed<T, E>(&mut self, completed: &Result<T, E>) {
        self.is_over = completed.is_ok();
    }
}

impl<H: Completes> Drop for Unfinished<H> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (house, call, may_have_run) = (Arc::clone(&self.house), self.call, self.may_have_run);
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!(%call, "a call without an ending waits for the next start: its runtime has ended");
            return;
        };
        // Among the calls: the process does not end before it is done.
        let calls = house.calls().clone();
        calls.spawn_on(async move { drive_on(&*house, call, may_have_run).await }, &runtime);
    }
}

/// Asks the books until they answer, for as long as they may.
async fn drive_on(house: &impl Completes, call: CallId, may_have_run: bool) {
    let mut pause = PAUSE_FIRST;
    loop {
        let error = match house.gate().take_up(call, may_have_run).await {
            Ok(state) => {
                // Nothing was claimed without a state: a free call, or one that had not come so far.
                if let Some(state) = state {
                    tracing::error!(%call, %state, "a call ended without its ending on the books; its settlement was driven on");
                }
                // Nobody will ask any more whether it may have run.
                house.marks().over(call);
                return;
            }
            Err(error) => error,
        };
        {
            let source: &dyn std::error::Error = &error;
            tracing::warn!(%call, error = source, "the books do not take the ending of a call; it is tried again");
        }
        let is_over = tokio::select! {
            biased;
            () = house.given_up() => true,
            () = tokio::time::sleep(pause) => !house.takes_money(),
        };
        if is_over {
            let source: &dyn std::error::Error = &error;
            tracing::error!(%call, error = source, "a call without an ending waits for the next start");
            return;
        }
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}
