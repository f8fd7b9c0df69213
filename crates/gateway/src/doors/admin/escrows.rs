//! `/admin/v1/escrows`: every escrow, and the last word on a dispute.

use axum::body::Body as Sent;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tollgate_domain::EscrowId;
use tollgate_ledger::escrow::{
    EscrowCommand, EscrowMoved, EscrowRefusal, EscrowStore, MoveEscrow, Role, Who,
};

use super::answer::Failed;
use super::{Admin, CODES, Desk, read};
use crate::clock;
use crate::described::{Access, Body, Example, Group, Operation, Shape, Told};
use crate::doors::asked::Segments;
use crate::doors::escrow::{ID, PAGE, page};
use crate::escrow::sweep::held;
use crate::escrow::verdict::Verdict;
use crate::escrow::{receipts, view};

pub(super) async fn list(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Result<Response, Failed> {
    let (filter, limit) = page(query.as_deref().unwrap_or_default()).map_err(Failed::Malformed)?;
    if filter.role.is_some() {
        return Err(Failed::Malformed("an operator has no role: ask without `role`".to_owned()));
    }
    let gateway = &desk.gateway;
    let page = gateway.gate.ports().store.escrows(filter, limit).await?;
    let rows: Vec<Value> =
        page.rows.iter().map(|row| view::escrow(row, Some(Role::Operator), &gateway.config.assets)).collect();
    Ok(axum::Json(json!({ "escrows": rows, "next_before": page.next })).into_response())
}

fn id_of(text: &str) -> Result<EscrowId, Failed> {
    text.parse().map_err(|error| Failed::Malformed(format!("{error}")))
}

pub(super) async fn show(
    State(desk): State<Desk>,
    Segments(id): Segments<String>,
) -> Result<Response, Failed> {
    let (id, store) = (id_of(&id)?, &desk.gateway.gate.ports().store);
    let row = store.escrow(&id).await?.ok_or(Failed::Escrow(EscrowRefusal::NotFound(id)))?;
    let mut history = store.escrow_history(&id).await?;
    history.retain(|record| record.version <= row.version);
    let assets = &desk.gateway.config.assets;
    let mut shown = view::with_events(&row, Some(Role::Operator), assets, &history);
    view::with_receipt_ids(&mut shown, &receipts::of(store, id, &history).await?);
    Ok(axum::Json(shown).into_response())
}

pub(super) async fn resolve(
    State(desk): State<Desk>,
    Extension(Admin(admin)): Extension<Admin>,
    Segments(id): Segments<String>,
    body: Sent,
) -> Result<Response, Failed> {
    let id = id_of(&id)?;
    let verdict: Verdict = read(body).await?;
    let event = verdict.of_operator().map_err(|error| Failed::Malformed(error.to_string()))?;
    let now = clock::now();
    let step = MoveEscrow {
        held: held(&desk.gateway, id, now).await?,
        mode: Some(desk.gateway.foundation.mode.word()),
        ..MoveEscrow::new(id, Who::Operator(Some(admin)), event, now)
    };
    let moved = desk.gateway.gate.ports().store.escrow_command(EscrowCommand::Move(step)).await?;
    desk.gateway.foundation.telemetry.escrows().moved(&moved);
    let EscrowMoved { row, receipt, .. } = moved;
    tracing::info!(escrow = %id, %admin, released = %row.released, refunded = %row.refunded, "an operator has ruled");
    let mut shown = view::escrow(&row, Some(Role::Operator), &desk.gateway.config.assets);
    view::with_receipt(&mut shown, receipt.as_deref());
    Ok(axum::Json(shown).into_response())
}

const STANDS: Told = Told::json(200, "Where the escrow stands now.", Shape::Named("Escrow"), None);

/// [`list`].
pub(super) const LIST: Operation = Operation {
    id: "adminEscrows",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Every escrow, the newest first.",
    about: "With `phase=operator`: the disputes that wait for the operator.",
    parameters: &PAGE,
    body: None,
    told: &[Told::json(
        200,
        "A page of them.",
        Shape::Named("Escrows"),
        Some(r#"{"escrows":[],"next_before":null}"#),
    )],
    codes: &[CODES],
};

/// [`show`].
pub(super) const SHOW: Operation = Operation {
    id: "adminEscrow",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Where an escrow stands, and everything that happened to it.",
    about: "With everything that its parties said.",
    parameters: &[ID],
    body: None,
    told: &[STANDS],
    codes: &[CODES, &["escrow_not_found"]],
};

/// [`resolve`].
pub(super) const RESOLVE: Operation = Operation {
    id: "adminResolveEscrow",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Decides a dispute: release, refund or split.",
    about: "In any phase of it. The operator's word is the last: a mediator's stake goes back.",
    parameters: &[ID],
    body: Some(Body {
        shape: Shape::Json(
            r#"{"type":"object","required":["ruling"],"additionalProperties":false,"properties":{
                "ruling":{"enum":["release","refund","split"]},
                "provider_share":{"type":["string","null"],"pattern":"^[01](\\.[0-9]{1,4})?$"},
                "stake":{"enum":["return","forfeit",null]},
                "reason":{"type":["string","null"],"maxLength":4096}}}"#,
        ),
        examples: &[Example {
            shows: "A quarter for the provider.",
            json: r#"{"ruling":"split","provider_share":"0.25","reason":"a quarter was delivered"}"#,
        }],
    }),
    told: &[STANDS],
    codes: &[CODES, &["escrow_not_found", "escrow_wrong_state", "escrow_deadline_passed"]],
};
