//! The table of `settle: after`: the tool delivers first, then the money moves.

use super::{Effect, Event, State};

pub(super) fn next(state: State, event: &Event) -> Option<(State, Effect)> {
    match (state, event) {
        (State::Executing, Event::Executed { .. } | Event::Measured { .. }) => {
            Some((State::Executed, Effect::Nothing))
        }
        (State::Executing, Event::FoundInDoubt) => Some((State::InDoubt, Effect::Void)),
        (State::Executed | State::Unknown, Event::Submitted) => Some((State::Submitted, Effect::Nothing)),
        (State::Submitted | State::Unknown | State::Manual, Event::Settled { .. }) => {
            Some((State::Settled, Effect::Post))
        }
        // Before anything was submitted the attempt can be undone without a trace on the rail. `executed` is not
        // among them: whoever has seen the tool run may not try again with the same proof.
        (State::Executing | State::Manual, Event::Voided { .. }) => Some((State::Voided, Effect::Void)),
        // `executed` may fail without a submission: the proof expired before it could be submitted.
        (State::Executed | State::Submitted | State::Unknown | State::Manual, Event::Failed { .. }) => {
            Some((State::Failed, Effect::Void))
        }
        (State::Submitted | State::Unknown, Event::Unknown { .. }) => Some((State::Unknown, Effect::Nothing)),
        (State::Unknown, Event::HandedOver { .. }) => Some((State::Manual, Effect::Nothing)),
        _ => None,
    }
}
