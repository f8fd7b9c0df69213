//! How an escrow that stays as it is says so: the code, the next step and the facts of each refusal.

use serde_json::{Value, json};
use tollgate_ledger::budget::Barrier;
use tollgate_ledger::escrow::EscrowRefusal;

use crate::code::{self, Code};

/// The stable code.
pub(crate) const fn code(refusal: &EscrowRefusal) -> Code {
    match refusal {
        EscrowRefusal::NotFound(_) => code::ESCROW_NOT_FOUND,
        EscrowRefusal::Terms(_) => code::ESCROW_TERMS_REFUSED,
        EscrowRefusal::WrongParty { .. } => code::ESCROW_WRONG_PARTY,
        // The clock asks without a door; it is told the same.
        EscrowRefusal::WrongState { .. } | EscrowRefusal::NotDue => code::ESCROW_WRONG_STATE,
        EscrowRefusal::DeadlinePassed { .. } => code::ESCROW_DEADLINE_PASSED,
        EscrowRefusal::Changed { .. } => code::ESCROW_CHANGED,
        EscrowRefusal::KeyReused => code::ESCROW_KEY_REUSED,
        EscrowRefusal::Funds { .. } => code::ESCROW_UNDERFUNDED,
        EscrowRefusal::Barred(barrier) => match **barrier {
            Barrier::Stopped(_) => code::SPENDING_STOPPED,
            Barrier::Exceeded(_) => code::BUDGET_EXCEEDED,
            Barrier::NeedsApproval { .. } => code::APPROVAL_REQUIRED,
        },
        EscrowRefusal::Stake { .. } => code::ESCROW_STAKE_TOO_SMALL,
        EscrowRefusal::NotTakenUp(_) => code::ESCROW_NOT_TAKEN_UP,
        EscrowRefusal::Part(_) => code::ESCROW_PART_REFUSED,
        EscrowRefusal::Evidence(_) | EscrowRefusal::Full => code::ESCROW_FULL,
    }
}

/// What to do next.
pub(crate) const fn next_step(refusal: &EscrowRefusal) -> &'static str {
    match refusal {
        EscrowRefusal::NotFound(_) => {
            "Check the id, and ask with the API key of the payer, the provider or the mediator."
        }
        EscrowRefusal::Terms(_) => "Correct the terms; nothing was agreed on.",
        EscrowRefusal::WrongParty { .. } => {
            "Read `GET /api/v1/escrow/{escrow_id}`: it says which role you have, and the guide who may do what."
        }
        EscrowRefusal::WrongState { .. } | EscrowRefusal::NotDue => {
            "Read `GET /api/v1/escrow/{escrow_id}` for where it stands; nothing moved."
        }
        EscrowRefusal::DeadlinePassed { .. } => {
            "Wait for what follows on the deadline by itself; nothing moved with this request."
        }
        EscrowRefusal::Changed { .. } => {
            "Read `GET /api/v1/escrow/{escrow_id}` again, and send the version that it has now, or none."
        }
        EscrowRefusal::KeyReused => "Send another `Idempotency-Key` with another request.",
        EscrowRefusal::Funds { .. } => {
            "Ask the operator for prepaid credit, then send the same request again."
        }
        EscrowRefusal::Barred(barrier) => match **barrier {
            Barrier::Stopped(_) => "Ask the operator; the same request passes once spending is resumed.",
            Barrier::Exceeded(_) => {
                "Wait until `resets_at`, agree on a smaller amount, or ask the operator for a higher limit."
            }
            Barrier::NeedsApproval { .. } => "Ask the operator.",
        },
        EscrowRefusal::Stake { .. } => "Leave `stake` out, or name at least the least.",
        EscrowRefusal::NotTakenUp(_) => "Send `POST /api/v1/escrow/{escrow_id}/mediate` first.",
        EscrowRefusal::Part(_) => {
            "Read `GET /api/v1/escrow/{escrow_id}` for what is left, and name a part of that."
        }
        EscrowRefusal::Evidence(_) | EscrowRefusal::Full => {
            "Go on with what was said so far, or release all that is left at once."
        }
    }
}

/// The facts beyond code and message.
pub(crate) fn facts(refusal: &EscrowRefusal) -> Value {
    match refusal {
        EscrowRefusal::WrongParty { event, role } => json!({ "event": event, "your_role": role.word() }),
        EscrowRefusal::WrongState { event, state } => json!({ "event": event, "state": state }),
        EscrowRefusal::DeadlinePassed { event, due } => {
            json!({ "event": event, "deadline": due.to_string() })
        }
        EscrowRefusal::Changed { version, expected } => json!({ "version": version, "expected": expected }),
        EscrowRefusal::Funds { available, needed } => json!({ "available": available, "needed": needed }),
        EscrowRefusal::Barred(barrier) => match &**barrier {
            Barrier::Exceeded(exceeded) => json!({
                "node": exceeded.node.path(), "window": exceeded.kind.word(), "limit": exceeded.limit,
                "used": exceeded.used, "price": exceeded.asked,
                "resets_at": exceeded.resets.map(|resets| resets.to_string()),
            }),
            Barrier::Stopped(_) | Barrier::NeedsApproval { .. } => json!({}),
        },
        EscrowRefusal::Stake { least } => json!({ "least": least }),
        EscrowRefusal::NotTakenUp(stake) => json!({ "mediator_stake": stake }),
        EscrowRefusal::NotFound(_)
        | EscrowRefusal::Terms(_)
        | EscrowRefusal::NotDue
        | EscrowRefusal::KeyReused
        | EscrowRefusal::Part(_)
        | EscrowRefusal::Evidence(_)
        | EscrowRefusal::Full => json!({}),
    }
}
