//! The official MCP clients, TypeScript and Python: what a user's program sees of a server.

use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use super::install::{NodeSet, PythonSet, node, testkit};
use super::x402_python::PYTHONS;
use super::{PeerError, client};

/// What a client saw.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen {
    /// `legacy` or `modern`.
    pub era: String,
    /// The names of all tools.
    pub tools: Vec<String>,
    /// The URIs of all resources.
    pub resources: Vec<String>,
    /// The names of all prompts.
    pub prompts: Vec<String>,
    /// The result of each call.
    pub results: Vec<Value>,
    /// The contents of what was read.
    pub contents: Vec<Value>,
}

/// What a client is to do.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// Where the server is.
    pub url: &'a str,
    /// Tools and their arguments, as a JSON array of pairs.
    pub calls: &'a Value,
    /// URIs to read, as a JSON array.
    pub reads: &'a Value,
}

/// How the TypeScript client finds out which era to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// `initialize`, as all clients before 2026-07-28.
    Legacy,
    /// `server/discover` first.
    Auto,
}

/// Uses a server with npm `@modelcontextprotocol/client`.
///
/// # Errors
/// [`PeerError::Skip`] without Node and npm; [`PeerError::Refused`] when the client throws.
pub async fn typescript(given: Use<'_>, mode: Mode) -> Result<Seen, PeerError> {
    let packages = NodeSet::install("peers/mcp-clients-ts").await?;
    let mut command = node(&packages.script("peers/mcp-clients-ts/use.mjs")?);
    let mode = if mode == Mode::Auto { "auto" } else { "legacy" };
    command.args([given.url, mode, &given.calls.to_string(), &given.reads.to_string()]);
    client::run(command).await
}

/// Uses a server with PyPI `mcp` 1.30, which speaks the era of sessions.
///
/// # Errors
/// [`PeerError::Skip`] without Python 3.11 or newer; [`PeerError::Refused`] when the client throws.
pub async fn python(given: Use<'_>) -> Result<Seen, PeerError> {
    let packages = PythonSet::install("peers/x402-python", PYTHONS).await?;
    let mut command = Command::new(packages.program("python"));
    command.arg(testkit().join("peers/x402-python/client.py"));
    // The checkout stays as it is.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.args([given.url, &given.calls.to_string(), &given.reads.to_string()]);
    client::run(command).await
}
