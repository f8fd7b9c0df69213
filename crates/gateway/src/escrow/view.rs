//! An escrow in JSON: the one form in which parties, operators and the mediation service see it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tollgate_domain::{Amount, Assets, ReceiptId, UnixMillis};
use tollgate_ledger::escrow::{
    EscrowEvent, EscrowRecord, EscrowRow, EscrowState, Mediator, Part, Phase, Role, Ruling,
};

/// An escrow. `role`: what whoever looks at it is to it; the operator and the mediation service are told apart by their doors.
pub(crate) fn escrow(row: &EscrowRow, role: Option<Role>, assets: &Assets) -> Value {
    let terms = &row.terms;
    let asset = assets.by_id(&terms.asset);
    let mut shown = json!({
        "escrow_id": row.id,
        "state": row.state.word(),
        "payer": terms.payer,
        "provider": terms.provider.to_string(),
        "call_id": terms.call,
        "mediator": mediator(&terms.mediator),
        "amount": terms.amount,
        "asset": terms.asset,
        "symbol": asset.map(|asset| asset.symbol()),
        "display": asset.map(|asset| asset.display(terms.amount)),
        "released": row.released,
        "refunded": row.refunded,
        "rest": rest(row),
        "milestones": milestones(row),
        "description": terms.description.as_ref().map(ToString::to_string),
        "terms": {
            "open_seconds": terms.timings.open_ms / 1_000,
            "timeout_seconds": terms.timings.timeout_ms / 1_000,
            "dispute_window_seconds": terms.timings.window_ms / 1_000,
            "evidence_seconds": terms.timings.evidence_ms / 1_000,
            "mediation_seconds": terms.timings.mediation_ms / 1_000,
            "dispute_stake": terms.dispute_stake,
            "mediator_stake": terms.mediator_stake,
            "confidence_min": terms.confidence_min,
        },
        "deadline": row.state.due().map(moment),
        "dispute": dispute(&row.state),
        "resolution": resolution(&row.state),
        "version": row.version,
        "created_at": moment(row.created),
        "updated_at": moment(row.updated),
    });
    if let Some(role) = role {
        put(&mut shown, "your_role", json!(role.word()));
    }
    shown
}

/// The same with everything that happened to it.
pub(crate) fn with_events(
    row: &EscrowRow,
    role: Option<Role>,
    assets: &Assets,
    history: &[EscrowRecord],
) -> Value {
    let mut shown = escrow(row, role, assets);
    put(&mut shown, "events", history.iter().map(event).collect());
    shown
}

fn put(shown: &mut Value, name: &str, value: Value) {
    if let Some(members) = shown.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// What of the amount is held, or would be once it is funded.
fn rest(row: &EscrowRow) -> Amount {
    match row.state {
        EscrowState::Cancelled | EscrowState::Expired => Amount::ZERO,
        _ => row.rest(),
    }
}

fn moment(at: UnixMillis) -> String {
    at.to_string()
}

fn mediator(mediator: &Mediator) -> Value {
    match mediator {
        Mediator::Nobody => Value::Null,
        Mediator::Service => json!("service"),
        Mediator::Principal(principal) => json!(principal),
    }
}

fn milestones(row: &EscrowRow) -> Value {
    let places = row.terms.milestones.iter().zip(0_u8..);
    places
        .map(|(part, place)| {
            json!({ "title": &*part.title, "amount": part.amount, "released": row.is_milestone_paid(place) })
        })
        .collect()
}

fn dispute(state: &EscrowState) -> Value {
    let EscrowState::Disputed(dispute) = state else { return Value::Null };
    let decides = match dispute.phase {
        Phase::Evidence { .. } => "the parties show their evidence",
        Phase::Mediation { .. } => "the mediator decides",
        Phase::Operator => "the operator decides",
    };
    json!({
        "phase": dispute.phase.word(),
        "about": decides,
        "evidence": { "payer": dispute.payer_evidence, "provider": dispute.provider_evidence },
        "stake": dispute.stake,
        "mediator_stake": dispute.mediator_stake,
    })
}

fn resolution(state: &EscrowState) -> Value {
    let EscrowState::Resolved { ruling, by_default } = state else { return Value::Null };
    let mut shown = Map::from_iter([
        ("ruling".to_owned(), json!(ruling.word())),
        ("by_default".to_owned(), json!(by_default)),
    ]);
    if let Ruling::Split(share) = ruling {
        shown.insert("provider_share".to_owned(), json!(share));
    }
    Value::Object(shown)
}

/// One event, with what was said.
pub(crate) fn event(record: &EscrowRecord) -> Value {
    let mut shown = json!({
        "version": record.version,
        "at": moment(record.at),
        "by": record.by.to_string(),
        "event": record.event.as_ref().map_or("create", |event| event.word()),
        "state": record.state,
    });
    let said = record.event.as_ref().map(said).unwrap_or_default();
    if let (Value::Object(shown), Value::Object(said)) = (&mut shown, said) {
        shown.extend(said.into_iter().filter(|(_, value)| !value.is_null()));
    }
    shown
}

/// Adds the receipt of what has moved, if something has.
pub(crate) fn with_receipt(shown: &mut Value, envelope: Option<&str>) {
    let envelope = envelope.and_then(|text| serde_json::from_str::<Value>(text).ok());
    if let (Value::Object(shown), Some(envelope)) = (shown, envelope) {
        shown.insert("receipt".to_owned(), envelope);
    }
}

/// Adds the receipts of what had moved, each to its event.
pub(crate) fn with_receipt_ids(shown: &mut Value, receipts: &BTreeMap<u64, ReceiptId>) {
    for event in shown.get_mut("events").and_then(Value::as_array_mut).into_iter().flatten() {
        let receipt = event.get("version").and_then(Value::as_u64).and_then(|version| receipts.get(&version));
        if let (Some(receipt), Value::Object(event)) = (receipt, event) {
            event.insert("receipt_id".to_owned(), json!(receipt));
        }
    }
}

fn said(event: &EscrowEvent) -> Value {
    let text = |remark: &Option<_>| remark.as_ref().map(ToString::to_string);
    match event {
        EscrowEvent::Fund | EscrowEvent::Lock | EscrowEvent::TakeUp | EscrowEvent::Expire => json!({}),
        EscrowEvent::Accept(Part::Rest) => json!({}),
        EscrowEvent::Accept(Part::Milestone(place)) => json!({ "milestone": place }),
        EscrowEvent::Accept(Part::Amount(amount)) => json!({ "amount": amount }),
        EscrowEvent::Deliver { result, note } => {
            json!({ "result_sha256": result.map(|digest| digest.to_string()), "note": text(note) })
        }
        EscrowEvent::Cancel { reason } => json!({ "reason": text(reason) }),
        EscrowEvent::Dispute { stake, reason } => json!({ "stake": stake, "reason": reason.as_str() }),
        EscrowEvent::Submit { statement, document } => {
            json!({ "statement": statement.as_str(), "document_sha256": document.map(|digest| digest.to_string()) })
        }
        EscrowEvent::Rule { ruling, confidence, stake, reason } => json!({
            "ruling": ruling.word(),
            "provider_share": match ruling {
                Ruling::Split(share) => Some(share),
                Ruling::Release | Ruling::Refund => None,
            },
            "confidence": confidence,
            "stake": stake.map(|stake| stake.word()),
            "reason": text(reason),
        }),
    }
}
