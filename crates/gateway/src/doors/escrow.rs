//! `/api/v1/escrow`: money between two parties, both with API keys, held until the work is accepted, given up, or judged.
//!
//! A door finds out who asks and what for; whether that may be is decided in the ledger, in the commit that writes it.

mod asked;
mod described;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tollgate_domain::{Caller, EscrowId, Principal};
use tollgate_gate::{Denial, Door, Fault, denied, faulted};
use tollgate_ledger::escrow::{
    EscrowCommand, EscrowFilter, EscrowMoved, EscrowRefusal, EscrowRow, EscrowStore, MoveEscrow, OpenEscrow,
    Role, Who, id_for_key,
};
use tollgate_ledger::{Refusal, StoreError};
use tollgate_store::Store;
use tollgate_trust::{authenticate, presented_key};

use self::asked::Step;
pub(super) use self::asked::page;
pub(super) use self::described::PAGE;
use super::asked::Segments;
use super::execute::{into_response, read};
use crate::clock;
use crate::described::Doors;
use crate::escrow::{receipts, view};
use crate::gateway::Gateway;

/// The longest idempotency key.
const KEY_BYTES_MAX: usize = 128;

/// The doors of this file.
pub(super) fn doors() -> Doors {
    Doors::new(described::SCHEMAS)
        .post("/api/v1/escrow", create, &described::CREATE)
        .get("/api/v1/escrow", list, &described::LIST)
        .get("/api/v1/escrow/{id}", show, &described::SHOW)
        .post("/api/v1/escrow/{id}/fund", fund, &described::FUND)
        .post("/api/v1/escrow/{id}/lock", lock, &described::LOCK)
        .post("/api/v1/escrow/{id}/complete", complete, &described::COMPLETE)
        .post("/api/v1/escrow/{id}/accept", accept, &described::ACCEPT)
        .post("/api/v1/escrow/{id}/cancel", cancel, &described::CANCEL)
        .post("/api/v1/escrow/{id}/dispute", dispute, &described::DISPUTE)
        .post("/api/v1/escrow/{id}/evidence", evidence, &described::EVIDENCE)
        .post("/api/v1/escrow/{id}/mediate", mediate, &described::MEDIATE)
        .post("/api/v1/escrow/{id}/resolve", resolve, &described::RESOLVE)
}

/// Why nothing is done.
pub(crate) enum No {
    Denied(Denial),
    Faulted(Fault),
}

impl From<Denial> for No {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<EscrowRefusal> for No {
    fn from(refusal: EscrowRefusal) -> Self {
        Self::Denied(refusal.into())
    }
}

impl From<StoreError> for No {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(Refusal::Escrow(refusal)) => refusal.into(),
            StoreError::Busy => Self::Faulted(Fault::StoreBusy),
            StoreError::Closed | StoreError::Unknown(_) => {
                Self::Faulted(Fault::StoreClosed(error.to_string()))
            }
            other => Self::Faulted(Fault::Internal(format!("an escrow: {other}"))),
        }
    }
}

impl No {
    fn response(&self, gateway: &Gateway) -> Response {
        let naming = gateway.naming("");
        into_response(match self {
            Self::Denied(denial) => denied(denial, None, Door::Rest, naming),
            Self::Faulted(fault) => {
                tracing::error!(error = %fault, "could not see to an escrow");
                faulted(fault, None, Door::Rest, naming)
            }
        })
    }
}

pub(super) fn malformed(reason: impl Into<String>) -> Denial {
    Denial::MalformedFrame { json_rpc: -32_600, reason: reason.into() }
}

fn ledger(gateway: &Gateway) -> &Store {
    &gateway.gate.ports().store
}

/// Who asks: the holder of an API key. An escrow takes days, and nobody else can be known again.
fn party(gateway: &Gateway, headers: &HeaderMap) -> Result<Principal, Denial> {
    let lines = |name: &'static str| {
        headers.get_all(HeaderName::from_static(name)).iter().filter_map(|value| value.to_str().ok())
    };
    let unauthenticated = |reason: String| Denial::Unauthenticated { reason };
    let key = presented_key(lines("authorization"), lines("x-api-key"))
        .map_err(|error| unauthenticated(error.to_string()))?;
    let caller = authenticate(key, None, gateway.keys.as_ref());
    match caller.map_err(|error| unauthenticated(error.to_string()))? {
        caller @ Caller::ApiKey(_) => Ok(caller.principal()),
        Caller::Anonymous | Caller::Wallet(_) | Caller::Preimage(_) => Err(unauthenticated(
            "an escrow is between holders of API keys, and no API key was sent".to_owned(),
        )),
    }
}

/// `Idempotency-Key`, if one is sent.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Denial> {
    let refused =
        || malformed(format!("one Idempotency-Key has 1 to {KEY_BYTES_MAX} visible ASCII characters"));
    let mut lines = headers.get_all("idempotency-key").iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let is_plain = |text: &&str| {
        (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let text = line.to_str().ok().filter(is_plain).filter(|_| lines.next().is_none());
    text.map(|text| Some(text.to_owned())).ok_or_else(refused)
}

/// `If-Match` with the version that was looked at, if one is sent.
fn expected(headers: &HeaderMap) -> Result<Option<u64>, Denial> {
    let mut lines = headers.get_all(header::IF_MATCH).iter();
    let Some(line) = lines.next().filter(|line| line.as_bytes() != b"*") else { return Ok(None) };
    let text = line.to_str().ok().filter(|_| lines.next().is_none());
    let version = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    let refused = || malformed("If-Match takes the one ETag that an escrow was shown with, such as \"3\"");
    version.map(Some).ok_or_else(refused)
}

fn id_of(text: &str) -> Result<EscrowId, Denial> {
    text.parse().map_err(|error| malformed(format!("{error}")))
}

/// An escrow at its version.
fn shown(status: StatusCode, row: &EscrowRow, body: &Value) -> Response {
    let mut response = (status, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", row.version)) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn answer(gateway: &Gateway, done: Result<Response, No>) -> Response {
    done.unwrap_or_else(|no| no.response(gateway))
}

/// `POST /api/v1/escrow`: the caller, as its payer, agrees on an escrow.
pub(crate) async fn create(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let created = async {
        let payer = party(&gateway, &headers)?;
        let key = idempotency_key(&headers)?;
        let asked = asked::created(&read(&gateway, body).await?)?;
        let store = ledger(&gateway);
        let keys: Vec<_> = store.keys().await?.into_iter().filter(|key| key.revoked.is_none()).collect();
        let now = clock::now();
        let (id, before) = match &key {
            Some(key) => {
                let id = id_for_key(&payer, key);
                (id, store.escrow(&id).await?)
            }
            None => (
                EscrowId::new(now, clock::random().map_err(|error| Fault::Internal(error.to_string()))?),
                None,
            ),
        };
        let known =
            |principal: &Principal| keys.iter().any(|key| Caller::ApiKey(key.id).principal() == *principal);
        let terms = asked.terms(payer, &gateway.config, before.as_ref(), known)?;
        let open = OpenEscrow { id, terms, now };
        let moved = store.escrow_command(EscrowCommand::Open(open)).await?;
        gateway.telemetry.escrows().moved(&moved);
        let EscrowMoved { row, replayed, .. } = moved;
        let status = if replayed { StatusCode::OK } else { StatusCode::CREATED };
        let body = view::escrow(&row, Some(Role::Payer), &gateway.config.assets);
        let mut response = shown(status, &row, &body);
        if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/escrow/{}", row.id)) {
            response.headers_mut().insert(header::LOCATION, place);
        }
        Ok(response)
    };
    answer(&gateway, created.await)
}

impl From<Fault> for No {
    fn from(fault: Fault) -> Self {
        Self::Faulted(fault)
    }
}

/// `GET /api/v1/escrow?role=&state=&limit=&before=`: those in which the caller has a part, the newest first.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let listed = async {
        let party = party(&gateway, &headers)?;
        let (filter, limit) = asked::page(query.as_deref().unwrap_or_default()).map_err(malformed)?;
        let filter = EscrowFilter { party: Some(party.clone()), ..filter };
        let page = ledger(&gateway).escrows(filter, limit).await?;
        let who = Who::Principal(party);
        let escrow = |row: &EscrowRow| view::escrow(row, row.role_of(&who), &gateway.config.assets);
        let rows: Vec<Value> = page.rows.iter().map(escrow).collect();
        Ok(axum::Json(json!({ "escrows": rows, "next_before": page.next })).into_response())
    };
    answer(&gateway, listed.await)
}

/// The escrow of this id, for whoever has a part in it.
async fn found(gateway: &Gateway, id: EscrowId, who: &Who) -> Result<(EscrowRow, Role), No> {
    let row = ledger(gateway).escrow(&id).await?;
    let role = row.and_then(|row| Some((row.role_of(who)?, row)));
    role.map(|(role, row)| (row, role)).ok_or_else(|| EscrowRefusal::NotFound(id).into())
}

/// `GET /api/v1/escrow/{id}`: where it stands, and everything that happened to it.
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let who = Who::Principal(party(&gateway, &headers)?);
        let (row, role) = found(&gateway, id_of(&id)?, &who).await?;
        // Of a moment later, perhaps: an event more than the row says, never one less.
        let mut history = ledger(&gateway).escrow_history(&row.id).await?;
        history.retain(|record| record.version <= row.version);
        let mut body = view::with_events(&row, Some(role), &gateway.config.assets, &history);
        view::with_receipt_ids(&mut body, &receipts::of(ledger(&gateway), row.id, &history).await?);
        Ok(shown(StatusCode::OK, &row, &body))
    };
    answer(&gateway, found.await)
}

/// Moves an escrow one step along.
async fn moved(gateway: &Gateway, id: &str, headers: &HeaderMap, step: Step) -> Result<Response, No> {
    let by = Who::Principal(party(gateway, headers)?);
    let id = id_of(id)?;
    let (key, expected) = (idempotency_key(headers)?, expected(headers)?);
    let event = match step {
        Step::Event(event) => event,
        Step::Dispute { stake, reason } => {
            let (row, _) = found(gateway, id, &by).await?;
            asked::disputed(stake, reason, &row)
        }
    };
    let step = MoveEscrow {
        id,
        by: by.clone(),
        event,
        key,
        expected,
        mode: Some(gateway.mode.word()),
        now: clock::now(),
    };
    let moved = ledger(gateway).escrow_command(EscrowCommand::Move(step)).await?;
    gateway.telemetry.escrows().moved(&moved);
    let EscrowMoved { row, receipt, .. } = moved;
    let mut body = view::escrow(&row, row.role_of(&by), &gateway.config.assets);
    view::with_receipt(&mut body, receipt.as_deref());
    Ok(shown(StatusCode::OK, &row, &body))
}

async fn step(
    gateway: &Gateway,
    id: &str,
    headers: &HeaderMap,
    body: axum::body::Body,
    read_step: fn(&Bytes) -> Result<Step, Denial>,
) -> Response {
    let done = async {
        // Who asks comes first: a stranger does not learn what is asked for here.
        party(gateway, headers)?;
        let step = read_step(&read(gateway, body).await?)?;
        moved(gateway, id, headers, step).await
    };
    answer(gateway, done.await)
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $read:path;)*) => {$(
        $(#[$doc])*
        pub(crate) async fn $name(
            State(gateway): State<Arc<Gateway>>,
            Segments(id): Segments<String>,
            headers: HeaderMap,
            body: axum::body::Body,
        ) -> Response {
            step(&gateway, &id, &headers, body, $read).await
        }
    )*};
}

steps! {
    /// `…/fund`: the payer pays the whole amount in, from prepaid credit.
    fund = asked::fund;
    /// `…/lock`: the work begins.
    lock = asked::lock;
    /// `…/complete`: the provider has delivered.
    complete = asked::complete;
    /// `…/accept`: the payer releases what is left, or a part of it.
    accept = asked::accept;
    /// `…/cancel`: a party gives it up.
    cancel = asked::cancel;
    /// `…/dispute`: the payer disputes the delivery.
    dispute = asked::dispute;
    /// `…/evidence`: a party says, or shows, something more.
    evidence = asked::evidence;
    /// `…/mediate`: the mediator takes the case on.
    mediate = asked::mediate;
    /// `…/resolve`: the mediator decides.
    resolve = asked::resolve;
}
