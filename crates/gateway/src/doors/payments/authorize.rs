//! `POST /api/v1/payments/authorize`: reserves the price of one call from the caller's prepaid credit, for an execution that comes
//! later. The reservation is the call's own claim: it ends in one settlement or one void like any other.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::json;
use tokio::sync::oneshot;
use tollgate_domain::{Digest, FailureKind, Outcome, UnixMillis};
use tollgate_gate::{Answer, Call, CreditUse, Denial, Fault, Held, Presentation, Refusal};

use super::{asked, denied_here, execute_url, key_holder, plain, refused};
use crate::authorizations::{Done, Waiting};
use crate::carrier::Carrier;
use crate::carry::{see_held, vetted};
use crate::clock;
use crate::doors::Peer;
use crate::doors::execute::{into_response, read};
use crate::gateway::Gateway;
use crate::telemetry::Watch;
use crate::unfinished::Unfinished;

/// How long an authorization is good unless it is said.
const TTL_SECONDS: u64 = 600;
/// The word for this door in logs.
const DOOR: &str = "rest";

/// Reserves the price of one call.
pub(super) async fn authorize(
    State(gateway): State<Arc<Gateway>>,
    axum::Extension(peer): axum::Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let prepared = async {
        let caller = key_holder(&gateway, &headers)?.principal();
        let body = read(&gateway, body).await?;
        let asking = asked::Asking { uri: &uri, headers: &headers, peer, credit: CreditUse::Allowed };
        let (request, seconds) = asked::request(&gateway, &asking, &body).await?;
        if request.presented != Presentation::Nothing {
            return Err(Denial::PaymentAmbiguous("a payment, where credit is to be reserved".to_owned()));
        }
        let limited = |limit| Denial::RateLimited { retry_after_ms: 1_000, limit };
        gateway.foundation.authorizations.has_room(&caller).map_err(limited)?;
        Ok((request, seconds.unwrap_or(TTL_SECONDS)))
    };
    let (request, seconds) = match prepared.await {
        Ok(prepared) => prepared,
        Err(denial) => return into_response(denied_here(&gateway, denial)),
    };
    // In a task of its own: a caller who hangs up between claim and answer must not leave a call without an end.
    let (reply, replied) = oneshot::channel();
    gateway.foundation.tasks.spawn(hold(Arc::clone(&gateway), request, seconds, reply));
    into_response(replied.await.unwrap_or_else(|_| {
        let fault = Fault::Internal("the task of an authorization ended without a word".to_owned());
        refused(&gateway, &Refusal::faulted(fault), "")
    }))
}

/// Claims the call and lets it wait until it is executed or runs out.
async fn hold(
    gateway: Arc<Gateway>,
    request: tollgate_gate::Request,
    seconds: u64,
    reply: oneshot::Sender<Answer>,
) {
    let args = tollgate_mcp::canonical::digest(&request.arguments).map(Digest::from_bytes);
    let watch = Watch::begin(&gateway, DOOR);
    let refuse = |watch: Box<Watch>, refusal: Refusal, reply: oneshot::Sender<Answer>| {
        watch.refused(&refusal);
        drop(reply.send(refused(&gateway, &refusal, &execute_url(&gateway))));
    };
    let (carrier, vetted) = match vetted(&gateway, &watch, request).await {
        Ok(vetted) => vetted,
        Err(refusal) => return refuse(watch, refusal, reply),
    };
    let mut unfinished = Unfinished::begin(&gateway, vetted.id());
    let held = match watch.hold(&gateway.gate, vetted).await {
        Ok(held) => held,
        Err(refusal) => {
            unfinished.refused(&refusal);
            return refuse(watch, refusal, reply);
        }
    };
    watch.answered_here(held.tool(), "authorized"); // a call that waits is not under way
    let Ok(args) = args else {
        // The street digested these very bytes.
        return release(&gateway, (held, unfinished)).await;
    };
    let limit = Duration::from_secs(seconds);
    let expires = clock::now().plus_millis(seconds.saturating_mul(1_000));
    let (begin, begun) = oneshot::channel();
    let payment = held.payment();
    let waiting = Waiting {
        caller: held.principal().clone(),
        tool: held.tool().clone(),
        args,
        amount: payment.map(|payment| payment.amount).unwrap_or_default(),
        asset: payment.map(|payment| payment.asset.clone()),
        begin,
    };
    let answer = granted(&gateway, &held, expires);
    let call = held.id();
    gateway.foundation.authorizations.add(call, waiting);
    if reply.send(answer).is_err() && gateway.foundation.authorizations.end(call) {
        return release(&gateway, (held, unfinished)).await; // nobody knows of it
    }
    wait(gateway, carrier, (held, unfinished), begun, limit).await;
}

async fn wait(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    (held, unfinished): (Call<Held>, Unfinished),
    mut begun: oneshot::Receiver<Done>,
    limit: Duration,
) {
    let call = held.id();
    let draining = gateway.foundation.readiness.draining();
    let done = tokio::select! {
        biased;
        done = &mut begun => done.ok(),
        () = draining.cancelled() => None,
        () = tokio::time::sleep(limit) => None,
    };
    let done = match done {
        None if gateway.foundation.authorizations.end(call) => None,
        // It was taken in this very moment.
        None => begun.await.ok(),
        done => done,
    };
    match done {
        Some(done) => {
            let calls = gateway.foundation.calls.clone();
            let watch = Watch::begin(&gateway, DOOR);
            calls.spawn(see_held(gateway, watch, carrier, (held, unfinished), done));
        }
        None => release(&gateway, (held, unfinished)).await,
    }
}

/// Gives the reserved price back: the tool was not asked.
async fn release(gateway: &Arc<Gateway>, (held, mut unfinished): (Call<Held>, Unfinished)) {
    let watch = Watch::begin(gateway, DOOR);
    // Only credit is reserved here: nothing is taken now that was not taken by the claim.
    match gateway.gate.take(held).await {
        Ok(ready) => {
            let (permitted, held) = ready.permit();
            let outcome = Outcome::Lost(FailureKind::Abandoned);
            unfinished.completed(&watch.complete(&gateway.gate, held, (&permitted, None), outcome).await);
        }
        Err(not_taken) => {
            unfinished.completed(&not_taken.completed);
            watch.not_taken(&not_taken);
        }
    }
}

fn granted(gateway: &Gateway, held: &Call<Held>, expires: UnixMillis) -> Answer {
    let payment = held.payment();
    let asset = payment.and_then(|payment| gateway.config.assets.by_id(&payment.asset));
    let display = payment.zip(asset).map(|(payment, asset)| asset.display(payment.amount));
    let body = json!({
        "authorization_id": held.id(),
        "tool": held.tool().tool,
        "server": held.tool().server,
        "agent_id": held.principal(),
        "amount": payment.map(|payment| payment.amount).unwrap_or_default(),
        "asset": payment.map(|payment| &payment.asset),
        "display": display,
        "expires_at": expires.to_string(),
        "next_step": "Execute once with the same tool and arguments and this id as `authorization`, before it expires.",
        "mode": gateway.foundation.mode.word(),
    });
    plain(StatusCode::OK, &body)
}
