//! Configuration: what was written ([`raw`]) becomes what it means ([`Config`]) in one function that reports all problems
//! at once, each with where its value came from.
//!
//! Order, later wins: defaults, file, compatible environment names, `TOLLGATE__A__B` names, flags. The environment
//! is read by `tollgate-till` alone, and handed to this module.

pub mod edit;
pub mod raw;

mod meaning;
mod overlay;
mod payouts;
mod reading;
mod source;
mod understanding;

pub use meaning::{
    Admin, Breaker, Config, Document, Escrow, Federation, GateApi, Lightning, LightningBackend, Limits,
    MediationService, Metrics, Otlp, OtlpHeaders, OwnHeader, Receipts, Sampling, SandboxRails, Secret,
    Server, SessionKey, Settling, Source, TlsFiles, ToolPolicy, Transport, X402,
};
pub use overlay::{ORIGIN as ADMIN_ORIGIN, Overlay};
pub use payouts::{Payouts, Provider, destination};
pub use reading::{Overrides, load, load_text, load_tree, schema};
pub use source::{Settings, Source as SettingsSource};
pub use tollgate_till::Environment;

/// One problem of a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where: `servers.weather.tools.forecast.price[0]`.
    pub at: String,
    /// Where the value came from: a file, an environment name, a flag, a default.
    pub origin: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// All problems of a configuration: nothing is started until there are none.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} problem(s):\n{}", .0.len(), listed(.0))]
pub struct Problems(pub Vec<Problem>);

fn listed(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|p| format!("  {} ({}): {}", p.at, p.origin, p.message))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests;
