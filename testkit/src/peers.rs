//! Real programs of other people, as the far side of integration tests: a chain, a Lightning wallet, clients, servers.
//!
//! Everything is pinned under `testkit/peers/`, installed on first use by [`install`] and started on a free loopback
//! port. A machine without the interpreter skips; a peer that is there and does not work fails the test.

pub mod anvil;
mod client;
pub mod everything;
pub mod inspector;
pub mod install;
pub mod l402_js;
pub mod lnbits;
pub mod mcp_client;
pub mod mcp_python;
pub mod port;
pub mod postgres;
pub mod rust_client;
pub mod schemathesis;
pub mod sdk_clients;
pub mod task_server;
pub mod x402_python;

pub use anvil::Chain;
pub use everything::Everything;
pub use inspector::Inspector;
pub use l402_js::L402Js;
pub use lnbits::Lnbits;
pub use mcp_python::McpPython;
pub use postgres::Postgres;
pub use schemathesis::{Errors, Schemathesis};
pub use task_server::TaskServer;
pub use x402_python::X402Python;

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use crate::http::HttpError;
use crate::process::ProcessError;

/// Set to `1` (as CI does) to turn every skip into a failure.
pub const REQUIRE_PEERS: &str = "TOLLGATE_REQUIRE_PEERS";

/// Why a peer cannot run on this machine, in words for the test's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    reason: String,
}

impl Skip {
    /// A skip for this reason.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// The reason, as one sentence without a full stop.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

/// A peer that did not come up or did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// This machine lacks an interpreter or is not one the peer is built for. The only case that may be skipped.
    #[error("find what the peer runs on: {0}")]
    Skip(Skip),
    /// The packages could not be installed.
    #[error("install the peer")]
    Install(#[from] install::InstallError),
    /// The program did not start or stay.
    #[error("run the peer")]
    Process(#[from] ProcessError),
    /// No port stayed free for long enough, or a temporary folder could not be made.
    #[error("find a place for the peer")]
    Place(#[from] std::io::Error),
    /// It broke an HTTP exchange off.
    #[error("talk to the peer")]
    Http(#[from] HttpError),
    /// It answered something else than it should.
    #[error("{step}, the peer said: {answer}")]
    Refused {
        /// What was asked.
        step: String,
        /// What it said.
        answer: String,
    },
}

impl From<Skip> for PeerError {
    fn from(skip: Skip) -> Self {
        Self::Skip(skip)
    }
}

impl PeerError {
    pub(crate) fn refused(step: impl Into<String>, answer: impl fmt::Display) -> Self {
        Self::Refused { step: step.into(), answer: answer.to_string() }
    }
}

/// The peer, or `None` after saying why this machine cannot run it: on standard error, and in [`skipped_file`].
///
/// # Panics
/// When the peer is broken rather than missing, and on every skip where [`REQUIRE_PEERS`] is `1`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a switch for the test run, no configuration of the gateway")]
pub fn available<T>(peer: Result<T, PeerError>) -> Option<T> {
    let required = std::env::var(REQUIRE_PEERS).as_deref() == Ok("1");
    let skip = found_or_skip(peer, required).map_err(|skip| report(&skip));
    skip.ok()
}

/// Nothing, after saying why this machine cannot run what a test needs.
///
/// # Panics
/// Where [`REQUIRE_PEERS`] is `1`.
#[must_use]
pub fn missing<T>(why: impl Into<String>) -> Option<T> {
    available(Err(Skip::because(why).into()))
}

/// Nothing, after saying which right this machine withholds. That is a skip even where peers are required: nothing could install it.
#[must_use]
pub fn withheld<T>(why: impl Into<String>) -> Option<T> {
    report(&Skip::because(why));
    None
}

/// Where skips are listed, one line each: test runners hide what passing tests print.
#[must_use]
pub fn skipped_file() -> PathBuf {
    install::root().join("skipped.txt")
}

/// The line by which `cargo xtask test` knows a skip.
fn said_of(skip: &Skip) -> String {
    format!("SKIPPED: {skip}")
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so where the test runner shows it")]
fn report(skip: &Skip) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("{}", said_of(skip));
    let listed = std::fs::create_dir_all(install::root())
        .and_then(|()| OpenOptions::new().create(true).append(true).open(skipped_file()))
        // One write, so that lines of parallel tests stay whole.
        .and_then(|mut file| file.write_all(format!("{test}: {skip}\n").as_bytes()));
    if let Err(error) = listed {
        eprintln!("and the list of skipped tests cannot be written: {error}");
    }
}

#[expect(clippy::panic, reason = "this is the assertion of a test")]
fn found_or_skip<T>(peer: Result<T, PeerError>, required: bool) -> Result<T, Skip> {
    match peer {
        Ok(peer) => Ok(peer),
        Err(PeerError::Skip(skip)) if required => panic!("{REQUIRE_PEERS}=1 allows no skip, but: {skip}"),
        Err(PeerError::Skip(skip)) => Err(skip),
        Err(
            error @ (PeerError::Install(_)
            | PeerError::Process(_)
            | PeerError::Place(_)
            | PeerError::Http(_)
            | PeerError::Refused { .. }),
        ) => panic!("{}", with_sources(&error)),
    }
}

/// An error and everything below it, in one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text.push_str(": ");
        text.push_str(&error.to_string());
        below = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
