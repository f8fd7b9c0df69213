//! The till: where the money of one data directory is taken, put together from settings.
//!
//! Owns what every house that takes money needs, whatever its doors look like: the data directory and its keys, the ledger,
//! the rails in the order in which they are offered, the API keys in memory, the marks of calls that were sent, and the two
//! things that engines must not reach for themselves (time and randomness). The gateway builds its doors on it, and the
//! crate `tollgate` puts it into a server of somebody else's.
//!
//! It knows no tool, no server and no listener, and decides nothing about a call: that is `tollgate-gate`.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use tollgate_till::{Funding, Till, sandbox};
//!
//! let payee = sandbox::payee(folder.path())?;
//! let rails = sandbox::rails(payee)?;
//! let till = Till::open(Funding::sandbox(folder.path(), "http://127.0.0.1:3100", &rails)).await?;
//! assert_eq!(till.rails.len(), 2, "x402 and Lightning");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod backup;
pub mod clock;
pub mod data;
pub mod dispatch;
pub mod documents;
mod environment;
pub mod failpoint;
pub mod keys;
mod limits;
mod payment;
mod payouts;
mod rails;
pub mod raw;
pub mod sandbox;
pub mod spending;
mod taken;
mod till;
pub mod unfinished;

pub use environment::Environment;
pub use keys::KeySnapshot;
pub use limits::{CALLERS_MAX, FINALITY_MS, limits, per_minute};
pub use payment::{
    Complaint, Lightning, LightningBackend, QUOTE_TTL_SECONDS, SandboxRails, Secret, Settling, X402,
    gate_secret, url,
};
pub use payouts::{PayoutFunding, PayoutRails};
pub use rails::RailError;
pub use taken::{TakenError, taken};
pub use till::{Funding, Till, TillError, ledger_elsewhere, ledger_is_in};
