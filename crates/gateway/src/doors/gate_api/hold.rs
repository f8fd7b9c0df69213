//! One leased call from its claim to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate_domain::{FailureKind, Outcome};
use tollgate_exec::in_place::boxed;
use tollgate_gate::{Answer, Denial, Door, Fault, Request, faulted};

use super::told;
use crate::clock;
use crate::gateway::Gateway;
use crate::lease::{LeaseToken, Seat};
use crate::telemetry::Watch;
use crate::unfinished::Unfinished;

/// Vets a call, leases it, and sees it to its end: by its holder's word, or by the clock.
///
/// Most of its life it waits, beside any number of others: what comes before and after has boxes of its own, which are gone or not there
/// yet meanwhile.
pub(super) async fn lease(
    gateway: Arc<Gateway>,
    request: Request,
    seat: Seat,
    resource: String,
    reply: oneshot::Sender<Answer>,
) {
    gateway.foundation.cohort.step().await;
    let mut watch = Watch::begin(&gateway, "gate_api");
    let now = clock::now();
    let vetted = boxed(|| watch.vet(&gateway.gate, request, now)).await;
    let mut unfinished = vetted.as_ref().ok().map(|vetted| Unfinished::begin(&gateway, vetted.id()));
    gateway.foundation.cohort.step().await;
    let held = match vetted {
        Ok(vetted) => boxed(|| watch.hold(&gateway.gate, vetted)).await,
        Err(refusal) => Err(refusal),
    };
    let held = match held {
        Ok(held) => held,
        Err(refusal) => {
            unfinished.iter_mut().for_each(|unfinished| unfinished.refused(&refusal));
            drop(reply.send(told::refusal(&gateway, &refusal, &resource)));
            watch.refused(&refusal);
            return;
        }
    };
    gateway.foundation.cohort.step().await;
    let held = match boxed(|| gateway.gate.take(held)).await {
        Ok(ready) => ready,
        Err(not_taken) => {
            unfinished.iter_mut().for_each(|unfinished| unfinished.completed(&not_taken.completed));
            drop(reply.send(told::not_taken(&gateway, &not_taken, &resource)));
            watch.not_taken(&not_taken);
            return;
        }
    };
    let deadline_ms = held.listed().deadline_ms;
    let deadline = Instant::now() + Duration::from_millis(deadline_ms);
    let paid = held.payment().map(|payment| payment.key.clone());
    // A free call is claimed like a paid one, and costs nothing.
    let is_paid = held.payment().is_some_and(|payment| !payment.amount.is_zero());
    let secret = clock::random();
    let token = LeaseToken::new(held.id(), secret.unwrap_or_default());
    let allowed = told::allowed(&held, &token, now.plus_millis(deadline_ms));
    let (permitted, held) = held.permit();
    watch.asks(&held);
    // From here on the call may run, also over a crash of this process. Without the mark nobody could tell.
    let mark = gateway.foundation.marks.mark(permitted.call());
    unfinished.iter_mut().for_each(Unfinished::asks);
    let granted = match (&secret, &mark) {
        (Ok(_), Ok(_)) => gateway.foundation.leases.grant(&token, paid.as_ref()).map_err(|late| {
            let denial = Denial::PaymentInFlight { call: late, state: "executing".to_owned() };
            told::denial(&gateway, &denial, Some(permitted.call()), &resource)
        }),
        _ => {
            let fault = Fault::Internal("no randomness, or no place to mark a call".to_owned());
            Err(faulted(&fault, Some(permitted.call()), Door::Rest, gateway.naming(&resource)))
        }
    };
    let mut granted = match granted {
        Ok(granted) => granted,
        Err(answer) => {
            // Nobody was told that it may run.
            let outcome = Outcome::Lost(FailureKind::Unreachable);
            let mark = mark.ok();
            let completed = Box::pin(watch.complete(&gateway.gate, held, (&permitted, mark), outcome)).await;
            unfinished.iter_mut().for_each(|unfinished| unfinished.completed(&completed));
            drop(reply.send(answer));
            return;
        }
    };
    let outcome = match reply.send(allowed) {
        Err(_) => Outcome::Lost(FailureKind::Abandoned), // its user was gone before it could learn of the lease
        Ok(()) => tokio::select! {
            biased;
            said = &mut granted.said => said.unwrap_or(Outcome::Lost(FailureKind::Abandoned)),
            () = gateway.foundation.readiness.given_up() => Outcome::Lost(FailureKind::TimedOut),
            () = tokio::time::sleep_until(deadline) => {
                gateway.foundation.leases.ran_out(permitted.call(), seat, clock::now());
                Outcome::Lost(FailureKind::TimedOut)
            }
        },
    };
    let completed = boxed(|| watch.complete(&gateway.gate, held, (&permitted, mark.ok()), outcome)).await;
    unfinished.iter_mut().for_each(|unfinished| unfinished.completed(&completed));
    let answer = told::completed(&gateway, permitted.call(), completed, is_paid, &resource);
    gateway.foundation.leases.end(permitted.call(), granted, answer);
}
