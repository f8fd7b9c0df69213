//! The published Python x402 client over MCP, and a paid MCP server made of the same packages.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::anvil::{Account, Chain};
use super::install::{PythonSet, testkit};
use super::{PeerError, client, port};
use crate::http;
use crate::process::Guarded;

/// Any of these runs the pinned packages.
pub(super) const PYTHONS: &[&str] = &["3.11", "3.12", "3.13"];

/// Importing web3 and starting a server takes 3 s here.
const READY_SECONDS_MAX: u64 = 120;

/// What a paid call came to, as the client saw it.
#[derive(Clone, Debug, Deserialize)]
pub struct PaidCall {
    /// `isError` of the last tool result.
    pub is_error: bool,
    /// Its content items.
    pub content: Vec<Value>,
    /// Its `structuredContent`.
    pub structured: Option<Value>,
    /// Its `_meta`.
    pub meta: Option<Value>,
    /// Whether the client signed a payment.
    pub payment_made: bool,
    /// The settlement it was told of: `success`, `transaction`, `network`, `payer`.
    pub payment_response: Option<Value>,
    /// The x402 payload it signed: negative tests replay it under `_meta["x402/payment"]`.
    pub payment: Option<Value>,
}

impl PaidCall {
    /// The text of the first content item.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.content.first()?.get("text")?.as_str()
    }
}

/// The installed client.
#[derive(Clone, Debug)]
pub struct X402Python {
    packages: PythonSet,
}

impl X402Python {
    /// Installs PyPI `x402` with `mcp` 1.30.0.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Python 3.11 or newer.
    pub async fn install() -> Result<Self, PeerError> {
        Ok(Self { packages: PythonSet::install("peers/x402-python", PYTHONS).await? })
    }

    /// Calls a tool with default spend controls and pays if asked.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when the client ends with an exception (its traceback is in the text): for example when
    /// it refuses the offers.
    pub async fn call(
        &self,
        url: &str,
        payer: Account,
        tool: &str,
        arguments: &Value,
    ) -> Result<PaidCall, PeerError> {
        self.call_with_headers(url, payer, tool, arguments, &Value::Object(serde_json::Map::new())).await
    }

    /// The same with HTTP headers (a JSON object of strings), for example `Authorization`.
    ///
    /// # Errors
    /// As [`X402Python::call`].
    pub async fn call_with_headers(
        &self,
        url: &str,
        payer: Account,
        tool: &str,
        arguments: &Value,
        headers: &Value,
    ) -> Result<PaidCall, PeerError> {
        let mut command = self.python("pay.py");
        command.args([url, payer.private_key, tool, &arguments.to_string(), &headers.to_string()]);
        client::run(command).await
    }

    /// Starts a paid server without any gateway: the positive control of what the client and the chain can do.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn start_server(
        &self,
        chain: &Chain,
        relayer: Account,
        payee: Account,
        price: &str,
    ) -> Result<PaidServer, PeerError> {
        port::on_a_free_port(async |port| {
            let folder = tempfile::tempdir()?;
            let mut command = self.python("paid_server.py");
            command.args([&port.to_string(), chain.rpc_url(), relayer.private_key, payee.address, price]);
            let mut process = Guarded::spawn(&command, &folder.path().join("paid_server.log"))?;
            let url = format!("http://127.0.0.1:{port}/mcp");
            let ready = async || http::get(&url, &[]).await.is_ok();
            process.wait_until(Duration::from_secs(READY_SECONDS_MAX), ready).await?;
            Ok(PaidServer { _process: process, url, _folder: folder })
        })
        .await
    }

    /// The interpreter with the packages, for scripts that stand elsewhere.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.packages.program("python")
    }

    fn python(&self, script: &str) -> Command {
        let mut command = Command::new(self.program());
        command.arg(testkit().join("peers/x402-python").join(script));
        // The checkout stays as it is.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// A paid server of the published packages, with one tool `greet(name)`. It dies with this value.
#[derive(Debug)]
pub struct PaidServer {
    _process: Guarded,
    url: String,
    _folder: TempDir,
}

impl PaidServer {
    /// `http://127.0.0.1:<port>/mcp`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

#[cfg(test)]
mod tests;
