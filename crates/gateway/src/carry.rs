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
use tollgate_gate::{
    Answer, Call, Completed, Denial, Door, Ending, Fault, Held, Refusal, ToolAnswer, delivered, denied,
    faulted,
};

use crate::carrier::Carrier;
use crate::clock;
use crate::gateway::Gateway;
use crate::telemetry::{Arrival, Watch};

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
    let (carrier, held) = match vetted(gateway, &watch, request).await {
        Ok(vetted) => vetted,
        Err(refusal) => {
            watch.refused(&refusal);
            return Err(refusal);
        }
    };
    let call = held.id();
    let (done, ended) = oneshot::channel();
    gateway.calls.spawn(carry_out(Arc::clone(gateway), watch, Arc::clone(&carrier), held, done));
    Ok(answered(gateway, &carrier, call, ended, door, resource_url).await)
}

/// Waits for the end of a call that is carried out, and renders it.
pub(crate) async fn answered(
    gateway: &Gateway,
    carrier: &Carrier,
    call: CallId,
    ended: oneshot::Receiver<Result<Completed, Fault>>,
    door: Door<'_>,
    resource_url: &str,
) -> Answer {
    let lost = || Fault::Internal("the task of a call ended without a word".to_owned());
    match ended.await.unwrap_or_else(|_| Err(lost())) {
        Ok(completed) => rendered(gateway, carrier, completed, door, resource_url),
        Err(fault) => faulted(&fault, Some(call), door, gateway.naming(resource_url)),
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
) -> Result<(Arc<Carrier>, Call<Held>), Refusal> {
    let now = clock::now();
    let tool = request.tool.clone();
    // Before the claim: a call that is held has a way to its server.
    let Some(carrier) = gateway.carriers.get(&tool.server).cloned() else {
        return Err(Refusal::denied(Denial::UnknownTool(tool)));
    };
    gateway.tools.ready(&tool, now).await.map_err(|error| Refusal::faulted(error.fault()))?;
    let held = watch.authorize(&gateway.gate, request, now).await?;
    Ok((carrier, held))
}

/// Carries a held call out and completes it, whatever happens to the caller meanwhile.
pub(crate) async fn carry_out(
    gateway: Arc<Gateway>,
    mut watch: Watch,
    carrier: Arc<Carrier>,
    held: Call<Held>,
    mut done: oneshot::Sender<Result<Completed, Fault>>,
) {
    let deadline = Instant::now() + Duration::from_millis(held.listed().deadline_ms);
    let (permitted, held) = held.permit();
    watch.asks(&held);
    watch.leaves(&carrier, &permitted, &mut HeaderMap::new());
    let context = watch.context();
    let outcome = tokio::select! {
        biased;
        () = done.closed() => Outcome::Lost(FailureKind::Abandoned),
        outcome = carrier.call(&permitted, &context, deadline) => outcome,
    };
    let completed = watch.complete(&gateway.gate, held, &permitted, outcome).await;
    // Whoever asked may be gone; the call has its ending all the same.
    drop(done.send(completed));
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
        Ending::Lost(kind) => faulted(&carrier.lost(kind), Some(call), door, naming),
        Ending::Pending => faulted(&Fault::SettlementPending { call }, Some(call), door, naming),
        Ending::PaymentFailed { reason, demand } => {
            denied(&Denial::PaymentFailed { reason, demand }, Some(call), door, naming)
        }
    }
}
