//! Escrow: money between two parties, held on an account of its own until the work is accepted, given up, or judged.
//!
//! ```text
//! created ─fund─► funded ─lock─► locked ─deliver─► delivered ─┬─ accepted, or the window passed ─► released
//!    │               │             │                  │       └─ dispute(stake) ─► disputed ─┬─► resolved(release, refund, split)
//!    ▼               ▼             ▼                  ▼                                      ├─► released   the payer gives in
//! cancelled       refunded      refunded           refunded                                  └─► refunded   the provider gives in
//! expired
//! ```
//!
//! [`apply`] is the only spelling of that drawing: state, event, role and moment in; the next state and what moves out. Deadlines
//! are decided once, by the transition that sets them, and stored as moments. **After a deadline only the clock acts**: whether a
//! party came in time depends on the moment alone, never on how soon a sweeper looks.
//!
//! What a tool delivers under `settle: escrow` begins an escrow of its own ([`escrow_of_call`]), funded, locked and delivered in the
//! commit of the delivery. Its provider is the tool's server; the signed receipt of the call is what it shows in a dispute.
//!
//! Money moves by plain transfers into and out of `escrow:<id>` and `stake:<id>`; at the end both accounts are empty.

mod apply;
mod command;
mod engine;
mod entrusted;
mod event;
mod port;
mod receipt;
mod refusal;
mod row;
mod split;
mod state;
mod terms;

pub use apply::{Applied, Moment, apply};
pub use command::{EscrowCommand, EscrowMoved, MoveEscrow, OpenEscrow, UsedKey, Who, WhoError, id_for_key};
pub(crate) use engine::decide;
pub use engine::{EscrowChanges, EscrowRecord};
pub(crate) use entrusted::entrusted;
pub use entrusted::escrow_of_call;
pub use event::{EscrowEvent, Part, Remark, RemarkError, Ruling, StakeRuling};
pub use port::{DueEscrow, EscrowFilter, EscrowHistory, EscrowPage, EscrowPlace, EscrowStore};
pub use receipt::{EscrowReceipt, escrow_receipt_id};
pub use refusal::EscrowRefusal;
pub use row::EscrowRow;
pub use split::{Movement, Purse, provider_share};
pub use state::{Dispute, EscrowState, Phase, Role};
pub use terms::{
    EscrowTerms, MILESTONES_MAX, Mediator, Milestone, Proposal, Provider, TermsError, Timings, WAIT_MS_MAX,
    stake_for,
};
