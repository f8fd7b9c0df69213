//! Sets of npm packages, installed by `npm ci` from a committed lock file.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{InstallError, answer, complete, run, supported_platform, testkit, unusable};
use crate::peers::{PeerError, Skip};

/// The oldest Node that runs the clients and servers; the conformance suites bring their own.
const NODE_MAJOR_MIN: u32 = 20;

/// An installed set of npm packages.
#[derive(Clone, Debug)]
pub struct NodeSet {
    folder: PathBuf,
}

impl NodeSet {
    /// Installs `testkit/<source>` (`package.json` and `package-lock.json`) unless it is there.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Node and npm, [`PeerError::Install`] when npm fails.
    pub async fn install(source: &'static str) -> Result<Self, PeerError> {
        tokio::task::spawn_blocking(move || Self::install_blocking(source))
            .await
            .map_err(InstallError::Cancelled)?
    }

    fn install_blocking(source: &str) -> Result<Self, PeerError> {
        node_is_there()?;
        let source = testkit().join(source);
        let manifests = ["package.json", "package-lock.json"].map(|name| source.join(name));
        let name = source.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let folder = complete(&name, &manifests, |folder| {
            for manifest in &manifests {
                let copy = folder.join(manifest.file_name().unwrap_or_default());
                std::fs::copy(manifest, &copy).map_err(|source| unusable(&copy, source))?;
            }
            // Peer ranges of two clients contradict each other although the pinned versions work together; Node's
            // version is checked above; no package of these sets needs its install script.
            let flags = ["--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"];
            run(Command::new("npm").arg("ci").args(flags).current_dir(folder))?;
            Ok(())
        })?;
        Ok(Self { folder })
    }

    /// A file of an installed package, for example `conformance-legacy/dist/index.js`.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.modules().join(path)
    }

    /// The `node_modules` folder.
    #[must_use]
    pub fn modules(&self) -> PathBuf {
        self.folder.join("node_modules")
    }

    /// Copies a script of `testkit/` next to the packages, where Node resolves its imports, and names the copy.
    ///
    /// # Errors
    /// [`PeerError::Install`] when it cannot be copied.
    pub fn script(&self, source: &str) -> Result<PathBuf, PeerError> {
        let source = testkit().join(source);
        let copy = self.folder.join(source.file_name().unwrap_or_default());
        // By rename, so that a process that is about to read the old copy never meets half a file.
        let fresh = tempfile::NamedTempFile::new_in(&self.folder).map_err(|error| unusable(&copy, error))?;
        std::fs::copy(&source, fresh.path()).map_err(|error| unusable(&source, error))?;
        fresh.persist(&copy).map_err(|error| unusable(&copy, error.error))?;
        Ok(copy)
    }
}

/// A binary that a package carries for this platform only.
pub(crate) fn platform_binary(set: &NodeSet, path: &str) -> Result<PathBuf, PeerError> {
    supported_platform()?;
    Ok(set.file(path))
}

/// A command that runs a script on the machine's own Node.
pub(crate) fn node(script: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(script);
    command
}

fn node_is_there() -> Result<(), Skip> {
    let version = answer(Command::new("node").arg("--version"));
    let major: Option<u32> = version
        .as_deref()
        .and_then(|version| version.trim_start_matches('v').split('.').next()?.parse().ok());
    match major {
        Some(major) if major >= NODE_MAJOR_MIN => {}
        Some(major) => {
            return Err(Skip::because(format!("Node {NODE_MAJOR_MIN} or newer is needed, this is {major}")));
        }
        None => {
            return Err(Skip::because(format!("Node {NODE_MAJOR_MIN} or newer is not installed")));
        }
    }
    answer(Command::new("npm").arg("--version"))
        .map(|_version| ())
        .ok_or_else(|| Skip::because("npm is not installed"))
}
