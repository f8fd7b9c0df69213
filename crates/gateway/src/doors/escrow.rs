//! `/api/v1/escrow`: money between two parties, both with API keys, held until the work is accepted, given up, or judged.
//!
//! A door finds out who asks and what for; whether that may be is decided in the ledger, in the commit that writes it.

mod asked;
mod described;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tollgate_domain::{Caller, EscrowId, Principal};
use tollgate_gate::{Denial, Fault};
use tollgate_ledger::budget::{Ask, Warning};
use tollgate_ledger::escrow::{
    EscrowCommand, EscrowEvent, EscrowFilter, EscrowMoved, EscrowRefusal, EscrowRow, EscrowStore, MoveEscrow,
    OpenEscrow, Role, Who, id_for_key,
};

use self::asked::Step;
pub(super) use self::asked::page;
pub(super) use self::described::{ID, PAGE};
use super::asked::Segments;
use super::execute::read;
use super::holder::{No, answer, at_place, holder, idempotency_key, ledger, malformed, private};
use crate::clock;
use crate::described::Doors;
use crate::escrow::sweep::held;
use crate::escrow::{receipts, view};
use crate::gateway::Gateway;
use crate::spending;

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

/// Who asks: the holder of an API key. An escrow takes days, and nobody else can be known again.
fn party(gateway: &Gateway, headers: &HeaderMap) -> Result<Principal, Denial> {
    let id = holder(gateway, headers, "An escrow is between holders of API keys, and no API key was sent.")?;
    Ok(Caller::ApiKey(id).principal())
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
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", row.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    private(response)
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
        gateway.foundation.telemetry.escrows().moved(&moved);
        let EscrowMoved { row, replayed, .. } = moved;
        let status = if replayed { StatusCode::OK } else { StatusCode::CREATED };
        let body = view::escrow(&row, Some(Role::Payer), &gateway.config.assets);
        Ok(at_place(shown(status, &row, &body), &format!("/api/v1/escrow/{}", row.id)))
    };
    answer(&gateway, created.await)
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
        Ok(private(axum::Json(json!({ "escrows": rows, "next_before": page.next })).into_response()))
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

/// What bounds the payer of an escrow where it pays in: what is paid into one is spent, on no tool.
async fn budget(gateway: &Gateway, id: EscrowId, who: &Who) -> Result<Ask, No> {
    let (row, _) = found(gateway, id, who).await?;
    Ok(spending::ask(gateway, &row.terms.payer, &row.terms.asset))
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
    let budget = match event {
        EscrowEvent::Fund => Some(Arc::new(budget(gateway, id, &by).await?)),
        _ => None,
    };
    let now = clock::now();
    let step = MoveEscrow {
        id,
        by: by.clone(),
        event,
        key,
        expected,
        held: held(gateway, id, now).await?,
        budget,
        mode: Some(gateway.foundation.mode.word()),
        now,
    };
    let moved = ledger(gateway).escrow_command(EscrowCommand::Move(step)).await?;
    for warning in &moved.warnings {
        let Warning { counter, warn, used } = warning;
        let (node, span) = (counter.node.path(), counter.span);
        tracing::warn!(escrow = %id, node, %span, %warn, %used, asset = %counter.asset, "a soft limit of a budget is passed");
        gateway.foundation.telemetry.warned(warning);
    }
    gateway.foundation.telemetry.escrows().moved(&moved);
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
