//! Python virtual environments, installed by `pip` from a committed list of exact versions.

use std::path::PathBuf;
use std::process::Command;

use super::{InstallError, answer, complete, run, testkit};
use crate::peers::{PeerError, Skip};

/// Prints what an interpreter really is: a shim may exist and refuse, or be another version.
const VERSION: &str = "import sys; print('%d.%d' % sys.version_info[:2])";

/// An installed virtual environment.
#[derive(Clone, Debug)]
pub struct PythonSet {
    folder: PathBuf,
}

impl PythonSet {
    /// Installs `testkit/<source>/requirements.txt` on the first of `versions` (`"3.12"`) that this machine has.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without such a Python, [`PeerError::Install`] when pip fails.
    pub async fn install(source: &'static str, versions: &'static [&'static str]) -> Result<Self, PeerError> {
        tokio::task::spawn_blocking(move || Self::install_blocking(source, versions))
            .await
            .map_err(InstallError::Cancelled)?
    }

    fn install_blocking(source: &str, versions: &[&str]) -> Result<Self, PeerError> {
        let python = versions.iter().find_map(|version| interpreter(version)).ok_or_else(|| {
            Skip::because(format!("none of Python {} is installed with venv", versions.join(", ")))
        })?;
        let source = testkit().join(source);
        let requirements = source.join("requirements.txt");
        let name = source.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let folder = complete(&name, std::slice::from_ref(&requirements), |folder| {
            run(Command::new(&python).args(["-m", "venv"]).arg(folder))?;
            // The list is the resolver's whole outcome, so nothing is left to resolve.
            let flags = ["-m", "pip", "install", "--quiet", "--no-deps"];
            run(Command::new(folder.join("bin/python")).args(flags).arg("-r").arg(&requirements))?;
            Ok(())
        })?;
        Ok(Self { folder })
    }

    /// A program of the environment, for example `python`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// The `site-packages` folder.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when the environment's own Python does not name it.
    pub fn site_packages(&self) -> Result<PathBuf, PeerError> {
        let question = "import sysconfig; print(sysconfig.get_path('purelib'))";
        answer(Command::new(self.program("python")).args(["-c", question]))
            .map(PathBuf::from)
            .ok_or_else(|| PeerError::refused("name site-packages", "nothing"))
    }
}

/// A Python of exactly this version: from the path, else among pyenv's.
fn interpreter(version: &str) -> Option<PathBuf> {
    let named = PathBuf::from(format!("python{version}"));
    let from_pyenv = || {
        let versions = PathBuf::from(answer(Command::new("pyenv").arg("root"))?).join("versions");
        let mut found: Vec<PathBuf> = std::fs::read_dir(versions)
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(format!("python{version}"))))
            .filter(|python| python.exists())
            .collect();
        found.sort();
        found.pop()
    };
    std::iter::once(named).chain(from_pyenv()).find(|python| {
        let is_it = answer(Command::new(python).args(["-c", VERSION])).as_deref() == Some(version);
        // Debian ships venv without ensurepip in a package of its own.
        is_it && answer(Command::new(python).args(["-c", "import venv, ensurepip"])).is_some()
    })
}
