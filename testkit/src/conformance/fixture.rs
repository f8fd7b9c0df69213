//! Our own fixture server on the official TypeScript packages.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::http;
use crate::peers::install::NodeSet;
use crate::peers::{PeerError, port};
use crate::process::Guarded;

/// The files of the fixture; they are copied next to the packages.
const FILES: &[&str] = &["events", "media", "prompts", "resources", "rounds", "server", "tools"];

/// Measured 0.5 s.
const READY_SECONDS_MAX: u64 = 60;

/// A running fixture. It dies with this value.
#[derive(Debug)]
pub struct Fixture {
    _process: Guarded,
    port: u16,
    _folder: TempDir,
}

impl Fixture {
    /// Starts the fixture on a free port.
    ///
    /// # Errors
    /// As [`super::run`].
    pub async fn start() -> Result<Self, PeerError> {
        let node = super::node(&super::packages().await?)?;
        let packages = NodeSet::install("fixtures/conformance-ts").await?;
        port::on_a_free_port(async |port| {
            // A copy of its own, with a link to the packages: several test processes may run different states of it.
            let folder = tempfile::tempdir()?;
            std::os::unix::fs::symlink(packages.modules(), folder.path().join("node_modules"))?;
            for file in FILES {
                let name = format!("{file}.mjs");
                let source = crate::peers::install::testkit().join("fixtures/conformance-ts").join(&name);
                std::fs::copy(source, folder.path().join(name))?;
            }
            let mut command = Command::new(&node);
            command.arg("server.mjs").current_dir(folder.path()).env("PORT", port.to_string());
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
