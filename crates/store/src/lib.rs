//! The adapters behind every Store port: SQLite in the data directory, or (feature `postgres`) PostgreSQL for several gateways.
//!
//! [`Store`] keeps the ledger, receipts, standings, API keys and pins of tool definitions in `ledger.db`; sandbox money is on
//! the ledger like any other. The Lightning node that dev mode plays keeps its invoices ([`InvoiceStore`]) in `sandbox.db`.
//! What an operator changes while the gateway runs, and its audit, stand in `control.db` ([`ControlStore`]).
//!
//! Every write of the ledger goes through one thread that takes what is queued (at most [`BATCH_COMMANDS_MAX`]), applies it in
//! order inside one transaction, makes it durable, and only then replies: many callers share one sync of the disk, and nobody is
//! told of anything that a power cut could take back. A command that the books refuse fails alone. What a step writes is durable
//! once it is in a small redo log (`ledger.redo`), so that many steps share one transaction of the file; reads are shown everything
//! that was answered, and whoever opens the file after a crash writes again what it has not.
//!
//! This crate never decides about money (`tollgate-ledger` does), never reads a clock, and never retries a failed sync.
//!
//! ```
//! use tollgate_attest::Signer;
//! use tollgate_domain::{Amount, Caller, KeyId, TransferId, UnixMillis};
//! use tollgate_ledger::{Clearing, Grant, LedgerStore};
//! use tollgate_store::{Options, Store};
//!
//! # let directory = tempfile::tempdir()?;
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let store = Store::open(directory.path(), Signer::from_seed(&[7; 32])?, Options::default())?;
//! let welcome = Grant {
//!     from: Clearing::Manual,
//!     to: Caller::ApiKey(KeyId::from_bytes([1; 16])).principal(),
//!     amount: Amount::new(10_000),
//!     asset: "lightning:regtest/msat".parse()?,
//!     id: TransferId::from_bytes([2; 16]),
//!     note: "welcome".to_owned(),
//!     now: UnixMillis::from_secs(1_795_219_200),
//! };
//! let granted = store.grant_credit(welcome.clone()).await?;
//! assert_eq!(granted.available, Amount::new(10_000));
//! assert!(!store.grant_credit(welcome).await?.booked, "one id books once");
//! assert!(store.check().await?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod account_cache;
mod attempts;
mod backend;
mod budgets;
mod calls;
mod check;
mod control;
mod convert;
mod copy;
mod database;
mod earnings;
mod escrows;
mod export;
#[cfg(any(test, feature = "failpoints"))]
mod failpoints;
mod history;
mod invoices;
mod keys;
mod later;
mod ledger;
mod lock;
mod open;
mod payouts;
mod pending;
mod pins;
#[cfg(test)]
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(not(feature = "postgres"))]
#[path = "no_postgres.rs"]
mod postgres;
mod proofs;
mod prune;
mod readers;
mod receipts;
mod redo;
mod redo_log;
mod rows;
mod shared_limits;
mod standing_cache;
mod store;
mod sync;
mod writer;
mod written;

pub use backend::Store;
pub use control::{AdminKeyRecord, AuditEntry, AuditRecord, ControlStore, StoredOverlay};
pub use copy::{CopyError, Database, copy_databases, is_database, verify_database};
pub use earnings::Earning;
pub use export::{Part, Row};
#[cfg(any(test, feature = "failpoints"))]
pub use failpoints::{DiskFault, Failpoints};
pub use invoices::InvoiceStore;
pub use keys::{KeyRecord, NewKey};
pub use open::{Commits, OpenError, Options};
pub use pins::PINS_PER_SERVER_MAX;
pub use postgres::{BooksCopyError, DatabaseUrl, DatabaseUrlError, copy_books, has_books, write_books};
pub use shared_limits::{SHARED_FULL_MS_MAX, SharedTake, SharedWait};
pub use writer::BATCH_COMMANDS_MAX;
