//! What operators and waiting callers change about budgets: approvals and stops.

use tollgate_domain::{ApprovalId, UnixMillis};

use super::{Approval, ApprovalEvent, Stop, Target};

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Ask for this approval, unless one that was asked for the same thing still says something.
    Ask(Approval),
    /// Approve or reject one.
    Decide {
        /// Which.
        id: ApprovalId,
        /// [`ApprovalEvent::Approve`] or [`ApprovalEvent::Reject`].
        event: ApprovalEvent,
        /// Now.
        now: UnixMillis,
    },
    /// Stop spending. Stopping what is stopped keeps the first stop.
    Stop {
        /// Of what.
        target: Target,
        /// Why, by whom and when.
        stop: Stop,
    },
    /// Let it go on.
    Resume(Target),
}

/// The answer to a [`Change`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Changed {
    /// To [`Change::Ask`]: the approval as it stands; `None` when too many calls of this caller wait already.
    Asked(Option<Approval>),
    /// To [`Change::Decide`]: the approval as it stands; `None` when there is none with this id.
    Decided(Option<Approval>),
    /// To [`Change::Stop`] and [`Change::Resume`]: whether anything changed.
    Stopped(bool),
}

/// How many calls of one caller may wait for an approval: a caller must not fill the queue.
pub const WAITING_MAX: u32 = 32;
