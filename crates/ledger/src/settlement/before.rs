//! The table of `settle: before`: the money moves first, then the tool is asked. A payment in doubt is looked up and never sent
//! again: by then nobody waits for the tool any more. It is one step to have been paid and to be
//! `executing`: there is no resting place between them, so whoever finds a row `executing` knows that its money was taken.

use super::{Effect, Event, RefundCause, State};

pub(super) fn next(state: State, event: &Event) -> Option<(State, Effect)> {
    match (state, event) {
        // Money on our own books is taken with the claim.
        (State::Claimed | State::Submitted | State::Unknown | State::Manual, Event::Settled { .. }) => {
            Some((State::Executing, Effect::Post))
        }
        (State::Claimed, Event::Voided { .. }) => Some((State::Voided, Effect::Void)),
        (State::Submitted | State::Unknown | State::Manual, Event::Failed { .. }) => {
            Some((State::Failed, Effect::Void))
        }
        (State::Claimed, Event::Submitted) => Some((State::Submitted, Effect::Nothing)),
        (State::Submitted | State::Unknown, Event::Unknown { .. }) => Some((State::Unknown, Effect::Nothing)),
        (State::Unknown, Event::HandedOver { .. }) => Some((State::Manual, Effect::Nothing)),
        (State::Executing, Event::Executed { .. } | Event::Measured { .. }) => {
            Some((State::Delivered, Effect::Earn))
        }
        // After a crash nobody can tell what the tool did, and only `found_in_doubt` says so.
        (State::Executing, Event::RefundDue { cause: RefundCause::ToolFailed | RefundCause::NotAsked })
        | (State::Executing, Event::FoundInDoubt) => Some((State::RefundDue, Effect::Nothing)),
        (State::RefundDue, Event::Refunded) => Some((State::Refunded, Effect::Refund)),
        _ => None,
    }
}
