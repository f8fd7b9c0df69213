//! The command line of the MCP Inspector: what a developer looks at a server with.

use serde_json::Value;

use super::install::NodeSet;
use super::sdk_clients::Era;
use super::{PeerError, client};
use crate::conformance;

const SCRIPT: &str = "@modelcontextprotocol/inspector/clients/launcher/build/index.js";

/// The installed Inspector.
#[derive(Clone, Debug)]
pub struct Inspector {
    packages: NodeSet,
    /// It needs a newer Node than most machines have; the conformance suites bring one.
    node: std::path::PathBuf,
}

impl Inspector {
    /// Installs npm `@modelcontextprotocol/inspector`.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Node and npm or on another platform than Linux on x86-64.
    pub async fn install() -> Result<Self, PeerError> {
        let node = conformance::node(&conformance::packages().await?)?;
        Ok(Self { packages: NodeSet::install("peers/inspector").await?, node })
    }

    /// Calls a method of the server at `url`, with more of its flags, and gives the result.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when the Inspector ends with an error.
    pub async fn ask(&self, url: &str, era: Era, method: &str, flags: &[&str]) -> Result<Value, PeerError> {
        let home = tempfile::tempdir()?;
        let mut command = std::process::Command::new(&self.node);
        command
            .arg(self.packages.file(SCRIPT))
            .args(["--cli", url, "--transport", "http", "--protocol-era", era.name(), "--method", method])
            .args(flags)
            // It keeps a folder in the user's home.
            .env("HOME", home.path());
        client::run_whole(command).await
    }
}
