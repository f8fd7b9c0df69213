//! Carrying out a call for the doors that are not MCP: vetted, run over the gateway's own session, completed, rendered.
//!
//! A permitted call runs in a task of the gateway's own, so that a caller who hangs up cannot leave it half done: whatever
//! happens, the held call is completed.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate_domain::{CallId, FailureKind, Outcome};
use tollgate_exec::in_place::boxed;
use tollgate_gate::{
    Answer, Call, Completed, Denial, Door, Ending, Fault, Held, Refusal, Screened, ToolAnswer, delivered,
    denied, faulted,
};
use tollgate_risk::room::Share;

use crate::carrier::Carrier;
use crate::clock;
use crate::gateway::Gateway;
use crate::result_scan::{Note, Noted};
use crate::telemetry::{Arrival, Watch};
use crate::unfinished::Unfinished;

/// Vets a call, carries it out over the gateway's own session, and renders how it ended: the way of the doors that are
/// not MCP.
///
/// # Errors
/// The refusal, still to be rendered.
pub async fn run(
    gateway: &Arc<Gateway>,
    request: tollgate_gate::Request,
    door: Door<'_>,
    resource_url: &str,
    arrival: Arrival<'_>,
) -> Result<Answer, Refusal> {
    let watch = Watch::begin(gateway, door.word()).traced(arrival);
    let (carrier, vetted) = match vetted(gateway, &watch, request).await {
        Ok(vetted) => vetted,
        Err(refusal) => {
            watch.refused(&refusal);
            return Err(refusal);
        }
    };
    let call = vetted.id();
    let (done, ended) = oneshot::channel();
    // The claim is made in that task: a caller who hangs up meanwhile must not leave it without an end.
    let (of_task, carrier_of_task) = (Arc::clone(gateway), Arc::clone(&carrier));
    // Boxed: its future is long, and a runtime moves what it is given a dozen times.
    gateway.foundation.calls.spawn(boxed(|| see_through(of_task, watch, carrier_of_task, vetted, done)));
    answered(gateway, &carrier, call, ended, door, resource_url).await
}

/// What became of a call in its task.
#[derive(Debug)]
pub enum Ended {
    /// It ran, and its end is on the books; with what is to be said beside the answer.
    Completed(Completed, Option<Note>),
    /// It could not be claimed.
    Refused(Refusal),
    /// Its end could not be written down.
    Faulted(Fault),
}

/// Waits for the end of a call in its task, and renders it.
///
/// # Errors
/// The refusal of a call that could not be claimed, still to be rendered.
pub(crate) async fn answered(
    gateway: &Gateway,
    carrier: &Carrier,
    call: CallId,
    ended: oneshot::Receiver<Ended>,
    door: Door<'_>,
    resource_url: &str,
) -> Result<Answer, Refusal> {
    let lost = || Fault::Internal("the task of a call ended without a word".to_owned());
    match ended.await.unwrap_or_else(|_| Ended::Faulted(lost())) {
        Ended::Completed(completed, note) => {
            let mut answer = rendered(gateway, carrier, completed, door, resource_url);
            note.into_iter().for_each(|note| note.mark(&mut answer.headers));
            // It was settled: it takes its place whether there is one or not.
            answer.body = Share::promised(&gateway.foundation.answers, answer.body.len()).keep(answer.body);
            Ok(answer)
        }
        Ended::Refused(refusal) => Err(refusal),
        Ended::Faulted(fault) => Ok(faulted(&fault, Some(call), door, gateway.naming(resource_url))),
    }
}

/// Vets a call whose server this gateway reaches itself.
///
/// # Errors
/// The refusal, still to be rendered.
pub(crate) async fn vetted(
    gateway: &Gateway,
    watch: &Watch,
    request: tollgate_gate::Request,
) -> Result<(Arc<Carrier>, Call<Screened>), Refusal> {
    let now = clock::now();
    let tool = request.tool.clone();
    // Before the claim: a call that is held has a way to its server.
    let Some(carrier) = gateway.carriers.get(&tool.server).cloned() else {
        return Err(Refusal::denied(Denial::UnknownTool(tool)));
    };
    gateway.tools.ready(&tool, now).await.map_err(|error| Refusal::faulted(error.fault()))?;
    let vetted = boxed(|| watch.vet(&gateway.gate, request, now)).await?;
    Ok((carrier, vetted))
}

/// Claims, carries out and completes a call, whatever happens to the caller meanwhile.
async fn see_through(
    gateway: Arc<Gateway>,
    watch: Box<Watch>,
    carrier: Arc<Carrier>,
    vetted: Call<Screened>,
    mut done: oneshot::Sender<Ended>,
) {
    let mut unfinished = Unfinished::begin(&gateway, vetted.id());
    let ended = match boxed(|| watch.hold(&gateway.gate, vetted)).await {
        Ok(held) => carry_out(&gateway, (watch, &mut unfinished), &carrier, held, &mut done).await,
        Err(refusal) => {
            watch.refused(&refusal);
            unfinished.refused(&refusal);
            Ended::Refused(refusal)
        }
    };
    // Whoever asked may be gone; the call has its ending all the same.
    drop(done.send(ended));
}

/// Carries out and completes a call that was claimed before, whatever happens to the caller meanwhile.
pub(crate) async fn see_held(
    gateway: Arc<Gateway>,
    watch: Box<Watch>,
    carrier: Arc<Carrier>,
    (held, mut unfinished): (Call<Held>, Unfinished),
    mut done: oneshot::Sender<Ended>,
) {
    let ended = carry_out(&gateway, (watch, &mut unfinished), &carrier, held, &mut done).await;
    drop(done.send(ended));
}

async fn carry_out(
    gateway: &Gateway,
    (mut watch, unfinished): (Box<Watch>, &mut Unfinished),
    carrier: &Carrier,
    held: Call<Held>,
    done: &mut oneshot::Sender<Ended>,
) -> Ended {
    let ready = match boxed(|| gateway.gate.take(held)).await {
        Ok(ready) => ready,
        Err(not_taken) => {
            watch.not_taken(&not_taken);
            unfinished.completed(&not_taken.completed);
            return match not_taken.completed {
                Ok(completed) => Ended::Completed(completed, None),
                Err(fault) => Ended::Faulted(fault),
            };
        }
    };
    let deadline = Instant::now() + Duration::from_millis(ready.listed().deadline_ms);
    let (permitted, held) = ready.permit();
    watch.asks(&held);
    watch.leaves(carrier, &permitted, &mut HeaderMap::new());
    let context = watch.context();
    // Kept until the end is on the books.
    let mark = carrier.mark(&permitted);
    unfinished.asks();
    let (Noted { outcome, note }, mark) = match mark {
        Err(error) => (Outcome::Lost(error.kind()).into(), None),
        Ok(mark) => (
            tokio::select! {
                biased;
                () = done.closed() => Outcome::Lost(FailureKind::Abandoned).into(),
                () = gateway.foundation.readiness.given_up() => Outcome::Lost(FailureKind::TimedOut).into(),
                noted = boxed(|| carrier.call(&permitted, &context, deadline)) => noted,
            },
            mark,
        ),
    };
    let completed = boxed(|| watch.complete(&gateway.gate, held, (&permitted, mark), outcome)).await;
    unfinished.completed(&completed);
    match completed {
        Ok(completed) => Ended::Completed(completed, note),
        Err(fault) => Ended::Faulted(fault),
    }
}

/// An ended call for a door that is not MCP.
fn rendered(
    gateway: &Gateway,
    carrier: &Carrier,
    completed: Completed,
    door: Door<'_>,
    resource_url: &str,
) -> Answer {
    let naming = gateway.naming(resource_url);
    let Completed { call, ending, evidence } = completed;
    match ending {
        Ending::Delivered(result) | Ending::ToolFailed(ToolAnswer::Result(result)) => {
            delivered(&result, &evidence, call, door)
        }
        Ending::ToolFailed(ToolAnswer::Error(error)) => {
            let result = format!("{{\"isError\":true,\"error\":{}}}", String::from_utf8_lossy(&error));
            delivered(result.as_bytes(), &evidence, call, door)
        }
        // Only a tool that runs elsewhere is known by digests.
        Ending::ToolFailed(ToolAnswer::Digest(digest)) => {
            let result = format!("{{\"isError\":true,\"result_digest\":\"{digest}\"}}");
            delivered(result.as_bytes(), &evidence, call, door)
        }
        Ending::Lost(kind) => faulted(&carrier.lost(kind).with_refund(&evidence), Some(call), door, naming),
        Ending::PaymentPending => faulted(&Fault::PaymentPending { call }, Some(call), door, naming),
        Ending::Pending => faulted(&Fault::SettlementPending { call }, Some(call), door, naming),
        Ending::PaymentFailed { reason, demand } => {
            denied(&Denial::PaymentFailed { reason, demand }, Some(call), door, naming)
        }
    }
}
