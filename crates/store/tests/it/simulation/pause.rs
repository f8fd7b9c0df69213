//! A process that stands still where it is told to, inside a batch, for as long as its world goes on.

use std::sync::{Condvar, Mutex};

use tokio::sync::Notify;
use tollgate_store::Failpoints;

/// Where in a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// It is decided, and not written.
    Write,
    /// It is written, and not committed.
    Commit,
    /// It is committed, and nobody was told.
    Answer,
}

/// What the writer meets in its batches.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// It stands still.
    pub(super) reached: Notify,
    state: Mutex<State>,
    goes_on: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: Option<Place>,
    is_held: bool,
    /// How often something was written, and committed, since it last went on.
    writes: u32,
    commits: u32,
}

impl Pause {
    /// Goes on, to stand still here next.
    pub(super) fn until(&self, stop: Option<Place>) {
        *self.state.lock().unwrap() = State { stop, ..State::default() };
        self.goes_on.notify_all();
    }

    /// Whether a batch is tried command by command, because a unique key refused it as a whole.
    pub(super) fn is_one_by_one(&self) -> bool {
        self.state.lock().unwrap().writes > 1
    }
}

impl Failpoints for Pause {
    fn hit(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.writes += u32::from(name == "before_write");
        state.commits += u32::from(name == "before_commit");
        let is_here = match state.stop {
            Some(Place::Write) => name == "before_write",
            Some(Place::Commit) => name == "before_commit",
            // Whoever went on from before a commit passes here once more, for that one.
            Some(Place::Answer) => name == "after_commit" && state.commits > 0,
            None => false,
        };
        if is_here {
            *state = State { is_held: true, stop: None, ..*state };
            self.reached.notify_one();
            while state.is_held {
                state = self.goes_on.wait(state).unwrap();
            }
        }
    }
}
