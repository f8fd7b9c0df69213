//! Payouts: what providers have earned, on its way out of the books to a destination that the operator listed; and credit of wallets,
//! on its way back to them.
//!
//! ```text
//!             approve              submit                  settled
//! requested ──────────► held ─────────────► submitted ─┬──────────► settled
//!     │                  │                      │      ├──────────► failed     definitely no effect, and none to come
//!     └──────cancel──────┼─► cancelled          └──────┴─► unknown ─► settled, failed
//!                        └─► failed    it cannot be submitted any more; nothing was sent
//! ```
//!
//! [`PayoutState::apply`] is the only spelling of that drawing. From the request on the amount is reserved on the account of
//! its source; only `settled` posts it, `failed` and `cancelled` release it. **`unknown` is not `failed`**: a payout that was
//! submitted is looked up, and the same instruction is sent again, until its rail says what became of it. There is one
//! instruction for each payout, kept in the commit that submits it, and the rail carries it out at most once.
//!
//! What may be asked for is decided with the request, in one commit: the destination is listed and has cooled off, or is the wallet
//! whose credit it is; the amount is within the limits, and the account covers it.

mod command;
mod destination;
mod engine;
mod port;
mod provider;
mod refusal;
mod row;
mod source;
mod state;

pub use command::{
    Actor, ActorError, ChangeList, ListChange, MovePayout, PayoutAnswer, PayoutCommand, PayoutLimits,
    RequestPayout, credit_payout_id_for, payout_id_for,
};
pub use destination::{Destination, DestinationError, PayoutRail, PayoutRailError};
pub(crate) use engine::decide;
pub use engine::{PayeeChange, PayoutChanges};
pub use port::{PayoutFilter, PayoutPage, PayoutPlace, PayoutStore};
pub use provider::{ProviderName, ProviderNameError};
pub use refusal::PayoutRefusal;
pub use row::{
    Counted, ListedBy, ListedByError, ListedDestination, PayeeRow, PayoutRow, hold_of, release_of,
};
pub use source::{Payee, Source};
pub use state::{PayoutEffect, PayoutEvent, PayoutState, PayoutStateError};
