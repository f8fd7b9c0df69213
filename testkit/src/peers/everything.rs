//! The official MCP reference server (SDK v1, legacy era, sessions and resumption) as an upstream.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::install::{NodeSet, node};
use super::{PeerError, port};
use crate::http;
use crate::process::Guarded;

/// Measured 0.6 s.
const READY_SECONDS_MAX: u64 = 60;

/// A running reference server. It dies with this value.
#[derive(Debug)]
pub struct Everything {
    process: Guarded,
    url: String,
    _folder: TempDir,
}

impl Everything {
    /// Starts `@modelcontextprotocol/server-everything` with streamable HTTP on a free port.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Node and npm.
    pub async fn start() -> Result<Self, PeerError> {
        Self::speaking("streamableHttp", "mcp").await
    }

    /// Starts the same server with the first HTTP transport (2024-11-05), whose stream of events is at `/sse`.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Node and npm.
    pub async fn start_sse() -> Result<Self, PeerError> {
        Self::speaking("sse", "sse").await
    }

    /// The same server as a program that speaks on its standard input and output, for whoever starts it.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Node and npm.
    pub async fn program() -> Result<Vec<String>, PeerError> {
        let script = Self::script().await?;
        Ok(vec!["node".to_owned(), script.to_string_lossy().into_owned(), "stdio".to_owned()])
    }

    async fn script() -> Result<PathBuf, PeerError> {
        let packages = NodeSet::install("peers/everything").await?;
        Ok(packages.file("@modelcontextprotocol/server-everything/dist/index.js"))
    }

    async fn speaking(transport: &str, path: &str) -> Result<Self, PeerError> {
        let script = Self::script().await?;
        port::on_a_free_port(async |port| {
            let folder = tempfile::tempdir()?;
            let mut command = node(&script);
            command.arg(transport).env("PORT", port.to_string()).current_dir(folder.path());
            let mut process = Guarded::spawn(&command, &folder.path().join("everything.log"))?;
            let url = format!("http://127.0.0.1:{port}/{path}");
            // Any HTTP answer will do, and nothing is opened: there is nothing at this path.
            let nowhere = format!("http://127.0.0.1:{port}/ready");
            let ready = async || http::get(&nowhere, &[]).await.is_ok();
            process.wait_until(Duration::from_secs(READY_SECONDS_MAX), ready).await?;
            Ok(Self { process, url, _folder: folder })
        })
        .await
    }

    /// `http://127.0.0.1:<port>/mcp`, or `/sse`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills the server: connections are refused from now on.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

#[cfg(test)]
mod tests;
