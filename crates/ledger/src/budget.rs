//! How far callers may spend: a tree of nodes (organisation, team, project, agent, tool), each with limits per call and per
//! window. A claim reserves from every node that it belongs to or from none; settling keeps what was reserved, voiding gives
//! it back to the window from which it was taken.
//!
//! [`Plan`] is what an operator configured and says what one call is asked for ([`Ask`]); [`weigh`] decides it on the books, in
//! the same atomic step as the claim, so that a limit holds at any concurrency and across gateways. Stops ([`Stop`]) and
//! approvals ([`Approval`]) stand in the books too.
//!
//! Nothing here reads a clock; amounts are atomic units of one asset and never compared across assets.

mod approval;
mod ask;
mod change;
mod draft;
mod plan;
mod reservation;
mod selector;
mod spent;
mod stop;
mod usage;
mod weigh;
mod window;

pub use approval::{Approval, ApprovalError, ApprovalEvent, ApprovalState, ApprovalStateError, Wanted};
pub use ask::{Ask, Counted, Node, NodeKey};
pub use change::{Change, Changed, WAITING_MAX};
pub use draft::BudgetChanges;
pub(crate) use draft::Draft;
pub use plan::{
    APPROVAL_TTL_MS, Bounds, Branch, Each, HighValue, Kind, KindError, Limits, PER_CALLER, Plan, Spender,
};
pub use reservation::{Reservation, ReservationError, Taken};
pub use selector::{Pattern, PatternError, Selector};
pub use spent::{Spent, spending, spent};
pub use stop::{Stop, Stops, Target, TargetError};
pub use usage::{Counter, Usage};
pub use weigh::{Barrier, Exceeded, LimitKind, Warning, Weighed, weigh};
pub(crate) use weigh::{Fitting, fitting, give_back, release};
pub use window::{Calendar, Span, SpanError, Zone, ZoneError};
