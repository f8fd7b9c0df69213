//! Why a toll cannot be set up.

use tollgate_till::{Complaint, TillError};

/// Settings that cannot be used: every one of them.
#[derive(Debug, thiserror::Error)]
#[error("{} setting(s) cannot be used:\n{}", .0.len(), listed(.0))]
pub struct SettingsError(pub Vec<Complaint>);

impl SettingsError {
    pub(crate) fn one(at: &str, message: impl Into<String>) -> Self {
        Self(vec![Complaint { at: at.to_owned(), message: message.into() }])
    }
}

fn listed(complaints: &[Complaint]) -> String {
    let line = |complaint: &Complaint| format!("  {}: {}", complaint.at, complaint.message);
    complaints.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Why a [`Tollgate`](crate::Tollgate) does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Settings that cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The data directory, the ledger or a rail cannot be used.
    #[error(transparent)]
    Till(#[from] TillError),
    /// The sandbox assets could not be named.
    #[error("name the sandbox assets")]
    Asset(#[from] tollgate_domain::AssetError),
    /// What the last run left open could not be finished.
    #[error("finish what the last run left open")]
    Recover(#[source] tollgate_gate::Fault),
    /// The marks of calls that were sent could not be begun anew.
    #[error("begin the dispatch marks anew")]
    Marks(#[source] std::io::Error),
    /// The payer of a new data directory could not be given its sandbox money.
    #[error("give the payer of this data directory its sandbox money")]
    Fund(#[from] tollgate_ledger::StoreError),
}

/// Why something cannot be sold like that.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The name cannot stand on a receipt.
    #[error("{name:?} cannot be the name of what is sold: {reason}")]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A price cannot be read, or no rail takes its asset.
    #[error("the price {price:?} of {name} cannot be asked: {reason}")]
    Price {
        /// Whose price.
        name: String,
        /// What was given.
        price: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The least reputation is no share.
    #[error("{0:?} is not a share between 0 and 1")]
    Reputation(String),
    /// The name is sold already, on other terms.
    #[error("{0} is sold already, on other terms; give this its own name")]
    Taken(String),
}
