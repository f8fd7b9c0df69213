//! The table of `settle: escrow`: that of `settle: before`, but what the tool delivers does not earn the money. It puts it into an
//! escrow, and who gets it is decided there.

use super::{Effect, Event, State, before};

pub(super) fn next(state: State, event: &Event) -> Option<(State, Effect)> {
    match before::next(state, event) {
        Some((state, Effect::Earn)) => Some((state, Effect::Entrust)),
        other => other,
    }
}
