//! Escrows as the gateway keeps them going: what everybody is shown of one, deadlines that pass, the mediation service.
//!
//! What may follow on what is decided in `tollgate_ledger::escrow` alone; nothing here moves money.

pub(crate) mod mediation;
pub(crate) mod receipts;
pub(crate) mod sweep;
pub(crate) mod verdict;
pub(crate) mod view;
