//! The one file that carries out calls here: what a permit lets run, and how it ends for the money.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate_domain::{CallId, FailureKind, Outcome};
use tollgate_gate::{
    Call, Completed, Fault, Held, HeldCall, Permitted, Ready, Refusal, Request, Screened, ToolAnswer,
};
use tollgate_till::clock;
use tollgate_till::dispatch::Mark;
use tollgate_till::unfinished::Unfinished;

use crate::house::House;

/// How the work of a call ended, and what of it the caller gets as it is.
pub(crate) struct Worked<T> {
    pub(crate) outcome: Outcome<ToolAnswer>,
    pub(crate) given: Option<T>,
}

impl<T> Worked<T> {
    pub(crate) fn lost(kind: FailureKind) -> Self {
        Self { outcome: Outcome::Lost(kind), given: None }
    }
}

/// How a call ended.
pub(crate) struct Ended<T> {
    pub(crate) call: CallId,
    pub(crate) completed: Result<Completed, Fault>,
    pub(crate) given: Option<T>,
}

/// A claimed call, which is driven to an end if nobody carries it out.
pub(crate) struct Claimed {
    pub(crate) held: Call<Held>,
    pub(crate) unfinished: Unfinished<House>,
}

/// The first half of the street. The claim is made in a task of the house's own: whoever hangs up meanwhile leaves no claim behind
/// that nobody ends.
pub(crate) async fn authorize(house: &Arc<House>, request: Request) -> Result<Claimed, Refusal> {
    let vetted = house.gate.vet(request, clock::now()).await?;
    let (done, claimed) = oneshot::channel();
    house.calls.spawn(claim(Arc::clone(house), vetted, done));
    claimed.await.unwrap_or_else(|_| {
        Err(Refusal::faulted(Fault::Internal("the task of a claim ended without a word".to_owned())))
    })
}

async fn claim(house: Arc<House>, vetted: Call<Screened>, done: oneshot::Sender<Result<Claimed, Refusal>>) {
    let mut unfinished = Unfinished::begin(&house, vetted.id());
    let claimed = match house.gate.hold(vetted).await {
        Ok(held) => Ok(Claimed { held, unfinished }),
        Err(refusal) => {
            unfinished.refused(&refusal);
            Err(refusal)
        }
    };
    // Nobody may be there to take it; then the call is driven on from here.
    drop(done.send(claimed));
}

/// Carries out a held call in a task of the house's own, so that a caller who hangs up cannot leave it half done: then the
/// work is dropped and nothing is charged.
pub(crate) async fn run<T: Send + 'static>(
    house: &Arc<House>,
    claimed: Claimed,
    work: impl Future<Output = Worked<T>> + Send + 'static,
) -> Ended<T> {
    let call = claimed.held.id();
    let (done, ended) = oneshot::channel();
    house.calls.spawn(carry_out(Arc::clone(house), claimed, work, done));
    ended.await.unwrap_or_else(|_| {
        let fault = Fault::Internal("the task of a call ended without a word".to_owned());
        Ended { call, completed: Err(fault), given: None }
    })
}

async fn carry_out<T: Send + 'static>(
    house: Arc<House>,
    Claimed { held, mut unfinished }: Claimed,
    work: impl Future<Output = Worked<T>> + Send,
    mut done: oneshot::Sender<Ended<T>>,
) {
    let ready = match house.gate.take(held).await {
        Ok(ready) => ready,
        Err(not_taken) => {
            let (call, completed) = (not_taken.call, not_taken.completed);
            unfinished.completed(&completed);
            drop(done.send(Ended { call, completed, given: None }));
            return;
        }
    };
    let (permitted, held, deadline) = permit(ready);
    // Kept until the end is on the books: a crash in between finds a call that may have run.
    let (Worked { outcome, given }, mark) = match mark(&house, &permitted) {
        Ok(mark) => {
            unfinished.asks();
            let worked = tokio::select! {
                biased;
                () = done.closed() => Worked::lost(FailureKind::Abandoned),
                worked = guarded(&permitted, deadline, work) => worked.unwrap_or_else(Worked::lost),
            };
            (worked, mark)
        }
        Err(kind) => (Worked::lost(kind), None),
    };
    let completed = complete(&house, (&permitted, mark), held, outcome).await;
    unfinished.completed(&completed);
    // Whoever asked may be gone; the call has its ending all the same.
    drop(done.send(Ended { call: permitted.call(), completed, given }));
}

/// Remembers that a paid call runs now. Without the mark it must not: after a crash nobody could tell. Nobody asks about a
/// free one.
pub(crate) fn mark<'a>(house: &'a House, permitted: &Permitted) -> Result<Option<Mark<'a>>, FailureKind> {
    let marked = permitted.is_paid().then(|| house.gate.ports().marks.mark(permitted.call())).transpose();
    marked.map_err(|error| {
        tracing::error!(call = %permitted.call(), %error, "could not mark a call");
        FailureKind::Unreachable
    })
}

/// The permit of a call that is ready, and until when its work may take.
pub(crate) fn permit(ready: Call<Ready>) -> (Permitted, HeldCall, Instant) {
    let deadline = Instant::now() + Duration::from_millis(ready.listed().deadline_ms);
    let (permitted, held) = ready.permit();
    (permitted, held, deadline)
}

/// Work within its deadline; a panic in it is a failure like another.
pub(crate) async fn guarded<T>(
    permitted: &Permitted,
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Result<T, FailureKind> {
    match tokio::time::timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(worked)) => Ok(worked),
        Ok(Err(_)) => {
            tracing::error!(call = %permitted.call(), tool = %permitted.tool(), "the handler of a call panicked; not charged");
            Err(FailureKind::Broken)
        }
        Err(_) => Err(FailureKind::TimedOut),
    }
}

/// Ends a held call: one settlement, refund or void, and one line in the log. Its mark ends with it, if its end is on the books.
pub(crate) async fn complete(
    house: &House,
    (permitted, mark): (&Permitted, Option<Mark<'_>>),
    held: HeldCall,
    outcome: Outcome<ToolAnswer>,
) -> Result<Completed, Fault> {
    let caller = held.principal().clone();
    let completed = house.gate.complete(held, outcome).await;
    let (call, tool) = (permitted.call(), permitted.tool());
    match &completed {
        Ok(completed) => {
            mark.into_iter().for_each(Mark::over);
            tracing::info!(%call, %tool, %caller, ending = completed.ending.word(), "call ended")
        }
        Err(fault) => {
            tracing::error!(%call, %tool, %caller, error = %fault, "could not record the end of a call")
        }
    }
    completed
}
