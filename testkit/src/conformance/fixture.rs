//! Our own fixture servers on the official packages, TypeScript and Python.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::http;
use crate::peers::install::{NodeSet, PythonSet, testkit};
use crate::peers::{PeerError, port};
use crate::process::Guarded;

/// The files of the TypeScript fixture; they are copied next to the packages.
const FILES: &[&str] = &["cancel", "events", "media", "prompts", "resources", "rounds", "server", "tools"];

/// The Python fixture, whose packages its client shares.
pub(crate) const PYTHON_FIXTURE: &str = "fixtures/conformance-py";

/// Any of these runs it.
pub(crate) const PYTHONS: &[&str] = &["3.11", "3.12", "3.13"];

/// Measured 0.5 s in TypeScript, 1.5 s in Python.
const READY_SECONDS_MAX: u64 = 60;

/// A running fixture. It dies with this value.
#[derive(Debug)]
pub struct Fixture {
    _process: Guarded,
    port: u16,
    _folder: TempDir,
}

impl Fixture {
    /// Starts the fixture in TypeScript on a free port.
    ///
    /// # Errors
    /// As [`super::run`].
    pub async fn start() -> Result<Self, PeerError> {
        let node = super::node(&super::packages().await?)?;
        let packages = NodeSet::install("fixtures/conformance-ts").await?;
        Self::serve(|port, folder| {
            // A copy of its own, with a link to the packages: several test processes may run different states of it.
            std::os::unix::fs::symlink(packages.modules(), folder.join("node_modules"))?;
            for file in FILES {
                let name = format!("{file}.mjs");
                std::fs::copy(testkit().join("fixtures/conformance-ts").join(&name), folder.join(name))?;
            }
            let mut command = Command::new(&node);
            command.arg("server.mjs").env("PORT", port.to_string());
            Ok(command)
        })
        .await
    }

    /// Starts the fixture in Python on a free port.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Python 3.11 or newer; else see [`PeerError`].
    pub async fn start_python() -> Result<Self, PeerError> {
        let packages = PythonSet::install(PYTHON_FIXTURE, PYTHONS).await?;
        Self::serve(|port, _folder| {
            let mut command = Command::new(packages.program("python"));
            command.arg(testkit().join(PYTHON_FIXTURE).join("server.py")).arg(port.to_string());
            // The checkout stays as it is.
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            Ok(command)
        })
        .await
    }

    /// Runs what `prepare` makes for a port and a folder until it answers.
    async fn serve(prepare: impl Fn(u16, &Path) -> Result<Command, PeerError>) -> Result<Self, PeerError> {
        port::on_a_free_port(async |port| {
            let folder = tempfile::tempdir()?;
            let mut command = prepare(port, folder.path())?;
            command.current_dir(folder.path());
            let mut process = Guarded::spawn(&command, &folder.path().join("fixture.log"))?;
            let probe = format!("http://127.0.0.1:{port}/mcp");
            let ready = async || http::get(&probe, &[]).await.is_ok();
            process.wait_until(Duration::from_secs(READY_SECONDS_MAX), ready).await?;
            Ok(Self { _process: process, port, _folder: folder })
        })
        .await
    }

    /// `http://localhost:<port>/mcp`: the suites need the name, not the number.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://localhost:{}/mcp", self.port)
    }
}
