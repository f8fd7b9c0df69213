//! The official MCP clients, TypeScript (current and older), Python and Rust: each tells the same story about the fixture server.
//!
//! A story is a list of steps: connect, list, call, fail, read, progress, elicit, sample, several (questions at once), rounds
//! (of questions), cancel; then listen in the modern era, resume and subscribe in the legacy one. What a step saw is compared,
//! never what it took.

use std::process::Command;

use serde_json::Value;

use super::install::{NodeSet, PythonSet, node, testkit};
use super::{PeerError, client, rust_client};
use crate::conformance::{PYTHON_FIXTURE, PYTHONS};

/// One of the published clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// npm `@modelcontextprotocol/client`, both eras.
    TypeScript,
    /// npm `@modelcontextprotocol/sdk` 1, the legacy era only: most programs in use.
    OlderTypeScript,
    /// PyPI `mcp` 2, both eras.
    Python,
    /// `rmcp` 3, both eras; it runs in this process.
    Rust,
}

/// Which of the two eras of the protocol a client is to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// Sessions, opened by `initialize`.
    Legacy,
    /// Stateless, from 2026-07-28 on.
    Modern,
}

impl Era {
    /// `legacy` or `modern`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// Has a client use the TypeScript fixture at `url`, directly or through something, and says what it saw.
///
/// # Errors
/// [`PeerError::Skip`] without Node and npm, or without Python 3.11 or newer; [`PeerError::Refused`] when the client throws.
pub async fn story(sdk: Sdk, era: Era, url: &str) -> Result<Vec<Value>, PeerError> {
    let mut command = match sdk {
        Sdk::TypeScript => typescript("current.mjs").await?,
        Sdk::OlderTypeScript => typescript("older.mjs").await?,
        Sdk::Python => python().await?,
        Sdk::Rust => return rust_client::story(era, url).await,
    };
    command.args([url, era.name()]);
    client::run_lines(command).await
}

/// What the older TypeScript client saw of tasks.
#[derive(Clone, Debug)]
pub struct SeenTasks {
    /// One value for each prefix; no ids.
    pub stories: Vec<Value>,
    /// The ids of all tasks.
    pub ids: Vec<String>,
}

/// Has the older TypeScript client use the tasks of the reference server at `url` ([`super::Everything`], 2025-11-25), once for
/// each of `prefixes`, which stand before the tool's own name.
///
/// # Errors
/// [`PeerError::Skip`] without Node and npm; [`PeerError::Refused`] when the client throws.
pub async fn tasks(url: &str, prefixes: &[&str]) -> Result<SeenTasks, PeerError> {
    let mut command = typescript("tasks.mjs").await?;
    command.args([url, &serde_json::json!(prefixes).to_string()]);
    let mut stories: Vec<Value> = client::run_lines(command).await?;
    let ids = stories.pop().and_then(|last| serde_json::from_value(last.get("ids")?.clone()).ok());
    let ids = ids.ok_or_else(|| PeerError::refused("name its tasks", format!("{stories:?}")))?;
    Ok(SeenTasks { stories, ids })
}

/// Has the older TypeScript client use all that the reference server at `url` offers ([`super::Everything`], 2025-11-25), and says what
/// it saw, step by step.
///
/// # Errors
/// [`PeerError::Skip`] without Node and npm; [`PeerError::Refused`] when the client throws.
pub async fn reference(url: &str) -> Result<Vec<Value>, PeerError> {
    let mut command = typescript("reference.mjs").await?;
    command.arg(url);
    client::run_lines(command).await
}

/// Has the older TypeScript client list the tools of the server at `url` and call each without paying; says what it was answered, tool by
/// tool.
///
/// # Errors
/// [`PeerError::Skip`] without Node and npm; [`PeerError::Refused`] when the client throws.
pub async fn unpaid(url: &str) -> Result<Vec<Value>, PeerError> {
    let mut command = typescript("priced.mjs").await?;
    command.arg(url);
    client::run_lines(command).await
}

async fn typescript(script: &str) -> Result<Command, PeerError> {
    let packages = NodeSet::install("peers/mcp-clients-ts").await?;
    packages.script("peers/mcp-clients-ts/story.mjs")?;
    Ok(node(&packages.script(&format!("peers/mcp-clients-ts/{script}"))?))
}

/// The packages are those of the fixture: the SDK is one package for both sides.
async fn python() -> Result<Command, PeerError> {
    let packages = PythonSet::install(PYTHON_FIXTURE, PYTHONS).await?;
    let mut command = Command::new(packages.program("python"));
    command.arg(testkit().join("peers/mcp-client-py/story.py"));
    // The checkout stays as it is.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

#[cfg(test)]
mod tests;
