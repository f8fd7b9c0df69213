//! How a payout that is not made says so: the code, the next step and the facts of each refusal.

use serde_json::{Value, json};
use tollgate_ledger::payout::PayoutRefusal;

use crate::code::{self, Code};

/// The stable code.
pub(crate) const fn code(refusal: &PayoutRefusal) -> Code {
    match refusal {
        PayoutRefusal::NotFound(_) => code::PAYOUT_NOT_FOUND,
        PayoutRefusal::NotAllowed(_) => code::PAYOUT_NOT_ALLOWED,
        PayoutRefusal::Unlisted(_) => code::PAYOUT_DESTINATION_UNLISTED,
        PayoutRefusal::CoolingOff { .. } => code::PAYOUT_COOLING_OFF,
        PayoutRefusal::TooSmall { .. } => code::PAYOUT_TOO_SMALL,
        PayoutRefusal::AboveLimit { .. } | PayoutRefusal::Full { .. } => code::PAYOUT_LIMIT_EXCEEDED,
        PayoutRefusal::Funds { .. } => code::PAYOUT_UNDERFUNDED,
        PayoutRefusal::Unpayable(_) => code::PAYOUT_UNPAYABLE,
        PayoutRefusal::KeyReused(_) => code::PAYOUT_KEY_REUSED,
        PayoutRefusal::WrongParty { .. } | PayoutRefusal::WrongState { .. } => code::PAYOUT_WRONG_STATE,
    }
}

/// What to do about it.
pub(crate) const fn next_step(refusal: &PayoutRefusal) -> &'static str {
    match refusal {
        PayoutRefusal::NotFound(_) => {
            "Check the id: `GET /api/v1/payouts` lists the payouts of the providers that you withdraw for."
        }
        PayoutRefusal::NotAllowed(_) => {
            "Ask the operator to list your API key under `payouts.providers`, or name the provider that it is listed for."
        }
        PayoutRefusal::Unlisted(_) => {
            "Ask the operator to list the destination; `GET /api/v1/providers/{provider}/balance` shows those that are."
        }
        PayoutRefusal::CoolingOff { .. } => {
            "Send the same request again after the moment in `usable_from`, or use another destination."
        }
        PayoutRefusal::TooSmall { .. } => "Wait until more was earned, and ask for at least the least.",
        PayoutRefusal::AboveLimit { .. } | PayoutRefusal::Full { .. } => {
            "Ask for at most what is left, or send the same request again when earlier payouts are a day old."
        }
        PayoutRefusal::Funds { .. } => {
            "Ask for at most what is available: `GET /api/v1/providers/{provider}/balance` shows it of a server, and \
             `tollgate ledger statement credit:WALLET` of a wallet's credit."
        }
        PayoutRefusal::Unpayable(_) => "Correct what the message names; nothing was reserved.",
        PayoutRefusal::KeyReused(_) => {
            "Send another `Idempotency-Key`, and over Lightning another invoice, with another request."
        }
        PayoutRefusal::WrongParty { .. } | PayoutRefusal::WrongState { .. } => {
            "Read `GET /api/v1/payouts/{payout_id}` for where it stands; nothing moved."
        }
    }
}

/// The facts beside the message.
pub(crate) fn facts(refusal: &PayoutRefusal) -> Value {
    match refusal {
        PayoutRefusal::CoolingOff { until } => json!({ "usable_from": until.to_string() }),
        PayoutRefusal::TooSmall { least } => json!({ "least": least }),
        PayoutRefusal::AboveLimit { per, left } => json!({ "per": per, "left": left }),
        PayoutRefusal::Funds { available, needed } => json!({ "available": available, "needed": needed }),
        PayoutRefusal::KeyReused(payout) => json!({ "payout_id": payout }),
        PayoutRefusal::WrongState { event, state } => json!({ "event": event, "state": state.word() }),
        PayoutRefusal::NotFound(_)
        | PayoutRefusal::NotAllowed(_)
        | PayoutRefusal::Unlisted(_)
        | PayoutRefusal::Full { .. }
        | PayoutRefusal::Unpayable(_)
        | PayoutRefusal::WrongParty { .. } => json!({}),
    }
}
