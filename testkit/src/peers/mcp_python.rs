//! The official Python MCP client, speaking to a server over stdio.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use super::install::{PythonSet, testkit};
use super::{PeerError, client};
use crate::conformance::{PYTHON_FIXTURE, PYTHONS};

/// How the client finds the era of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It probes for the modern one first: the client's default.
    Auto,
    /// It shakes hands.
    Legacy,
}

/// One `tools/call`.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// The tool.
    pub tool: String,
    /// A JSON object.
    pub arguments: Value,
}

/// What a session came to, as the client saw it.
#[derive(Clone, Debug, Deserialize)]
pub struct StdioSession {
    /// The protocol version that was agreed on.
    pub protocol_version: String,
    /// The names of the listed tools.
    pub tools: Vec<String>,
    /// For each call its result in wire form, or `{"error": {"code", "message"}}`.
    pub results: Vec<Value>,
    /// Whatever the server wrote that is no MCP message.
    pub noise: Vec<String>,
}

/// The installed client.
#[derive(Clone, Debug)]
pub struct McpPython {
    packages: PythonSet,
}

impl McpPython {
    /// Installs PyPI `mcp` 2.3.0.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Python 3.11 or newer.
    pub async fn install() -> Result<Self, PeerError> {
        Ok(Self { packages: PythonSet::install(PYTHON_FIXTURE, PYTHONS).await? })
    }

    /// Starts `server` (program and arguments) in `folder`, lists its tools, makes all `calls` at once, and closes its input.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when the client ends with an exception (its traceback is in the text).
    pub async fn stdio(
        &self,
        mode: Mode,
        folder: &Path,
        server: &[&str],
        calls: &[ToolCall],
    ) -> Result<StdioSession, PeerError> {
        let calls: Vec<Value> =
            calls.iter().map(|call| json!({ "tool": call.tool, "arguments": call.arguments })).collect();
        let mut command = Command::new(self.packages.program("python"));
        command
            .arg(testkit().join("peers/mcp-client-py/stdio.py"))
            .arg(match mode {
                Mode::Auto => "auto",
                Mode::Legacy => "legacy",
            })
            .arg(folder)
            .arg(Value::from(calls).to_string())
            .args(server)
            // The checkout stays as it is.
            .env("PYTHONDONTWRITEBYTECODE", "1");
        client::run(command).await
    }
}

#[cfg(test)]
mod tests;
