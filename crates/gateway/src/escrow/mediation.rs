//! The operator's mediation service: it is asked over a webhook about each dispute that waits for it, and its verdict counts if it
//! is sure enough.
//!
//! Everything that the parties said goes there, and may have been written to mislead it. So its answer is read strictly, moves
//! nothing but this escrow, and below the agreed confidence hands over to the operator. Where it fails, nothing happens: the
//! operator may rule at any time, and once the mediator's time is over nobody else can.
//!
//! How often it was asked is kept in memory. After a restart, or from another gateway, it is asked again under the same
//! `Idempotency-Key`; the ledger takes one verdict.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, StatusCode};
use serde_json::json;
use sha2::Sha256;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tollgate_domain::{EscrowId, UnixMillis};
use tollgate_egress::{Client, Limits as Exchange, Policy};
use tollgate_ledger::escrow::{
    EscrowCommand, EscrowEvent, EscrowFilter, EscrowMoved, EscrowRow, EscrowStore, Mediator, MoveEscrow, Who,
};
use tollgate_ledger::{Refusal, StoreError};
use tollgate_mcp::{Limits, json as strict};

use super::sweep::held;
use super::verdict::Verdict;
use super::view;
use crate::clock;
use crate::config::MediationService;
use crate::gateway::Gateway;
use crate::live::Live;

/// How often disputes are looked for.
const LOOK_MS: u64 = 1_000;
/// How many disputes are asked about at once.
const AT_ONCE_MAX: usize = 8;
/// How many are read at once.
const PAGE: u32 = 100;
/// The longest verdict.
const VERDICT_BYTES_MAX: usize = 64 * 1024;
/// The longest pause between two attempts.
const PAUSE_MS_MAX: u64 = 3_600_000;
/// The event, as the service is told it.
const EVENT: &str = "escrow.dispute_pending_mediation";

/// One question: about this escrow, at this version.
type Question = (EscrowId, u64);

/// How often a question was asked, and when it is next.
struct Asked {
    times: u32,
    next: Instant,
}

/// Asks about every dispute that waits for the mediation service, until `stop` is cancelled.
pub(crate) async fn watch(live: Arc<Live>, stop: CancellationToken) {
    let mut asked = BTreeMap::new();
    let asking = async {
        loop {
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
            let gateway = live.snapshot();
            let Some(service) = gateway.config.escrow.mediation.clone() else { continue };
            if let Err(error) = look(&gateway, &service, &mut asked).await {
                tracing::error!(%error, "could not look for disputes that wait for mediation");
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = asking => {}
    }
}

async fn look(
    gateway: &Arc<Gateway>,
    service: &MediationService,
    asked: &mut BTreeMap<Question, Asked>,
) -> Result<(), StoreError> {
    let waiting = waiting(gateway).await?;
    asked.retain(|question, _| waiting.iter().any(|row| of(row) == *question));
    let now = Instant::now();
    let is_due = |row: &&EscrowRow| {
        asked.get(&of(row)).is_none_or(|asked| asked.times < service.attempts_max && asked.next <= now)
    };
    let due: Vec<&EscrowRow> = waiting.iter().filter(is_due).collect();
    if due.is_empty() {
        return Ok(());
    }
    let limits = Exchange { timeout_ms_max: service.timeout_ms, response_bytes_max: VERDICT_BYTES_MAX };
    // The operator named it; whatever it redirects to is not followed.
    let client = Client::new(Policy::public().allow_url(&service.url), limits);
    for some in due.chunks(AT_ONCE_MAX) {
        let answers = some.iter().map(|row| ask(gateway, service, &client, row));
        for (row, answer) in some.iter().zip(futures_util::future::join_all(answers).await) {
            let entry = asked.entry(of(row)).or_insert(Asked { times: 0, next: now });
            entry.times = entry.times.saturating_add(1);
            let pause = service.retry_ms.saturating_mul(1 << entry.times.saturating_sub(1).min(16));
            entry.next = Instant::now() + Duration::from_millis(pause.min(PAUSE_MS_MAX));
            match answer {
                Ok(()) => {}
                Err(error) if entry.times >= service.attempts_max => tracing::error!(
                    escrow = %row.id, attempts = entry.times, error = format!("{error:#}"),
                    "the mediation service gave no verdict; the operator may rule: tollgate escrow resolve"
                ),
                Err(error) => tracing::warn!(
                    escrow = %row.id, attempt = entry.times, error = format!("{error:#}"),
                    "the mediation service gave no verdict yet"
                ),
            }
        }
    }
    Ok(())
}

fn of(row: &EscrowRow) -> Question {
    (row.id, row.version)
}

/// The disputes that wait for the service.
async fn waiting(gateway: &Gateway) -> Result<Vec<EscrowRow>, StoreError> {
    let store = &gateway.gate.ports().store;
    let mut filter =
        EscrowFilter { state: Some("disputed"), phase: Some("mediation"), ..EscrowFilter::default() };
    let mut waiting = Vec::new();
    loop {
        let page = store.escrows(filter.clone(), PAGE).await?;
        waiting.extend(page.rows.into_iter().filter(|row| row.terms.mediator == Mediator::Service));
        match page.next {
            Some(next) => filter.before = Some(next),
            None => return Ok(waiting),
        }
    }
}

/// Asks once, and carries out the verdict.
async fn ask(
    gateway: &Gateway,
    service: &MediationService,
    client: &Client,
    row: &EscrowRow,
) -> anyhow::Result<()> {
    let history = gateway.gate.ports().store.escrow_history(&row.id).await?;
    let (delivery, now) = (format!("{}:{}", row.id, row.version), clock::now());
    let body = json!({
        "event": EVENT,
        "delivery_id": delivery,
        "sent_at": now.to_string(),
        "gateway": gateway.config.public_url,
        "escrow": view::with_events(row, None, &gateway.config.assets, &history),
    })
    .to_string();
    let request = Request::post(service.url.clone())
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("idempotency-key", &delivery)
        .header("tollgate-event", EVENT)
        .header("tollgate-signature", signature(&service.secret.0, now, &body)?)
        .body(Bytes::from(body))?;
    let answer = client.send(request).await?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::ACCEPTED | StatusCode::NO_CONTENT => bail!("it is still thinking"),
        status => bail!("it answered with HTTP {status}"),
    }
    let event = verdict(answer.body())?;
    // On what it was asked about, and on nothing that came since.
    let now = clock::now();
    let step = MoveEscrow {
        key: Some(delivery),
        expected: Some(row.version),
        held: held(gateway, row.id, now).await?,
        mode: Some(gateway.foundation.mode.word()),
        ..MoveEscrow::new(row.id, Who::Service, event, now)
    };
    match gateway.gate.ports().store.escrow_command(EscrowCommand::Move(step)).await {
        Ok(moved) => {
            gateway.foundation.telemetry.escrows().moved(&moved);
            let EscrowMoved { row, .. } = moved;
            tracing::info!(escrow = %row.id, state = row.state.word(), "the mediation service has ruled");
            Ok(())
        }
        // Somebody was there first: another gateway, a party that gave in or showed more, the operator.
        Err(StoreError::Refused(Refusal::Escrow(refusal))) => {
            tracing::info!(escrow = %row.id, %refusal, "a verdict of the mediation service does not count");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the service answers, read strictly.
fn verdict(body: &[u8]) -> anyhow::Result<EscrowEvent> {
    strict::check(body, Limits::CALLER).context("its verdict is no strict JSON")?;
    let verdict: Verdict = serde_json::from_slice(body).context("its verdict is none")?;
    Ok(verdict.event()?)
}

/// `t=<seconds>,v1=<hex of HMAC-SHA256(secret, "<seconds>.<body>")>`: who sent it, and when.
fn signature(secret: &[u8], now: UnixMillis, body: &str) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).context("sign with the webhook's secret")?;
    mac.update(format!("{}.{body}", now.secs()).as_bytes());
    let mut text = format!("t={},v1=", now.secs());
    for byte in mac.finalize().into_bytes() {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_hmac_of_moment_and_body() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 'a secret of the operator'
        let signed =
            signature(b"a secret of the operator", UnixMillis::from_secs(1_700_000_000), "{}").unwrap();
        assert_eq!(
            signed,
            "t=1700000000,v1=065edfe806e24d099d07b6484b2c5ed6de36605eecfd6cd1aefdc76b3c0fc323"
        );
    }

    #[test]
    fn a_verdict_with_anything_else_in_it_is_none() {
        assert!(verdict(br#"{"ruling":"refund","confidence":"0.9"}"#).is_ok(), "control");
        for text in [
            &br#"{"ruling":"refund","ruling":"release"}"#[..],
            br#"{"ruling":"refund","note":"and pay me"}"#,
            br#"{"ruling":"refund"} {}"#,
            b"",
        ] {
            assert!(verdict(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }
}
