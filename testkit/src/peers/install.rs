//! Puts pinned packages under `target/peers`, once per content of their lock file, for any number of test processes.
//!
//! A set is a folder of `testkit/` with a lock file. Its place is named by the digest of its manifests, so a changed pin
//! is a fresh install, and a half-finished one (no `complete` mark) is thrown away and made again. No install script of
//! a package is run.

mod npm;
mod venv;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use super::{PeerError, Skip};

pub use npm::NodeSet;
pub(crate) use npm::{node, platform_binary};
pub use venv::PythonSet;

/// Written last: an install without it was interrupted.
const COMPLETE: &str = ".complete";

/// Hex digits of the manifest digest in a folder name: enough to keep the pins of one checkout apart.
const DIGEST_HEX_DIGITS: usize = 12;

/// An install that did not work although its interpreter is there.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A folder, lock or manifest could not be used.
    #[error("use {path}")]
    Folder {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// An installer could not be started.
    #[error("start {program}")]
    Start {
        /// The installer.
        program: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// An installer failed.
    #[error("run {command}: {output}")]
    Failed {
        /// The command line.
        command: String,
        /// What it printed.
        output: String,
    },
    /// The blocking install task was cancelled.
    #[error("finish an install")]
    Cancelled(#[from] tokio::task::JoinError),
}

/// The `testkit/` folder of this checkout: beside the package that Cargo runs, because a target folder that several
/// checkouts share keeps the one that compiled this.
#[must_use]
pub fn testkit() -> &'static Path {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        let beside = package.ancestors().map(|folder| folder.join("testkit"));
        let found = beside.into_iter().find(|folder| folder.join("Cargo.toml").is_file());
        found.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")))
    });
    &FOUND
}

/// Where installs live: `peers` in Cargo's target folder, never in the checkout's tracked files.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "Cargo's own variable; the gateway's configuration is not involved"
)]
pub fn root() -> PathBuf {
    let default = || testkit().parent().unwrap_or(testkit()).join("target");
    std::env::var("CARGO_TARGET_DIR").map_or_else(|_unset| default(), PathBuf::from).join("peers")
}

/// Makes `folder(name, manifests)` complete with `fill`, holding the set's lock over processes and threads.
fn complete(
    name: &str,
    manifests: &[PathBuf],
    fill: impl FnOnce(&Path) -> Result<(), PeerError>,
) -> Result<PathBuf, PeerError> {
    let root = root();
    fs::create_dir_all(&root).map_err(|source| unusable(&root, source))?;
    let lock_path = root.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).map_err(|source| unusable(&lock_path, source))?;
    // Released when the file is closed, also by a killed process.
    lock.lock().map_err(|source| unusable(&lock_path, source))?;
    let folder = root.join(format!("{name}-{}", digest(manifests)?));
    let mark = folder.join(COMPLETE);
    if mark.exists() {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|source| unusable(&folder, source))?;
    }
    fs::create_dir_all(&folder).map_err(|source| unusable(&folder, source))?;
    fill(&folder)?;
    fs::write(&mark, "").map_err(|source| unusable(&mark, source))?;
    Ok(folder)
}

fn digest(manifests: &[PathBuf]) -> Result<String, InstallError> {
    let mut digest = Sha256::new();
    for manifest in manifests {
        digest.update(fs::read(manifest).map_err(|source| unusable(manifest, source))?);
    }
    Ok(hex::encode(digest.finalize()).chars().take(DIGEST_HEX_DIGITS).collect())
}

fn unusable(path: &Path, source: io::Error) -> InstallError {
    InstallError::Folder { path: path.to_owned(), source }
}

/// Runs an installer; its output is shown only when it fails.
fn run(command: &mut Command) -> Result<Output, InstallError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| InstallError::Start { program, source })?;
    if output.status.success() {
        return Ok(output);
    }
    Err(InstallError::Failed {
        command: format!("{command:?}"),
        output: [output.stdout.as_slice(), output.stderr.as_slice()]
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .concat(),
    })
}

/// What a version question prints, if the program is there and answers.
fn answer(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The one platform whose binaries (anvil, Node) are pinned.
fn supported_platform() -> Result<(), Skip> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(());
    }
    Err(Skip::because("the pinned binaries of this peer are for Linux on x86-64"))
}

#[cfg(test)]
mod tests;
