//! The operator's file while a command changes it: one text, checked by the gateway's own rules before it is written.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate_rails::evm::Address;

use crate::cli::Out;
use crate::config::edit::{self, EditError, Existing};
use crate::config::{Config, Environment, Overrides, Problems, load_text};
use crate::dev;
use crate::text_file::{TextFile, TextFileError};

/// The mode of a settings file that was not there.
const MODE: u32 = 0o644;

/// The file, and what it is to say.
pub(super) struct Settings {
    path: PathBuf,
    file: TextFile,
    text: String,
}

/// What a text means.
pub(super) struct Checked {
    pub(super) config: Config,
    /// What `tollgate serve` has against it, where only `tollgate dev` takes it.
    pub(super) only_dev: Option<Problems>,
}

impl Settings {
    pub(super) fn open(path: &Path) -> Result<Self, TextFileError> {
        let file = TextFile::open(path)?;
        let text = file.text().to_owned();
        Ok(Self { path: path.to_owned(), file, text })
    }

    /// The path as the operator named it.
    pub(super) fn path(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    pub(super) const fn exists(&self) -> bool {
        self.file.exists()
    }

    pub(super) fn put(&mut self, name: &str, server: &Value, existing: Existing) -> Result<(), EditError> {
        self.text = edit::put(&self.text, name, server, existing)?;
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<(), EditError> {
        self.text = edit::remove(&self.text, name)?;
        Ok(())
    }

    /// The text as it would be with this server.
    pub(super) fn with(&self, name: &str, server: &Value, existing: Existing) -> Result<String, EditError> {
        edit::put(&self.text, name, server, existing)
    }

    /// What the text means, to `tollgate serve` or else, with SANDBOX money, to `tollgate dev`.
    pub(super) fn check(&self, environment: &Environment) -> Result<Checked, Problems> {
        self.check_text(&self.text, environment)
    }

    pub(super) fn check_text(&self, text: &str, environment: &Environment) -> Result<Checked, Problems> {
        let load = |sandbox| {
            load_text(text, self.path.display().to_string(), environment, &Overrides::default(), sandbox)
        };
        let problems = match load(None) {
            Ok(config) => return Ok(Checked { config, only_dev: None }),
            Err(problems) => problems,
        };
        let rails = dev::rails(([127, 0, 0, 1], 3100).into(), Address::from_bytes([0; 20]));
        match rails.ok().map(|rails| load(Some(rails))) {
            Some(Ok(config)) => Ok(Checked { config, only_dev: Some(problems) }),
            Some(Err(_)) | None => Err(problems),
        }
    }

    pub(super) fn write(&self) -> Result<(), TextFileError> {
        self.file.replace(&self.text, MODE)?;
        if !self.exists() {
            // The demo of `tollgate dev` looks for no file, so what was added would be looked for there in vain.
            Out::note(&format!("{0} is new: `tollgate dev --config {0}` serves what it names", self.path()));
        }
        Ok(())
    }
}

impl Checked {
    /// Says where only dev mode takes the file.
    pub(super) fn note(&self) {
        if let Some(Problems(problems)) = &self.only_dev {
            let said: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.at, p.message)).collect();
            Out::note(&format!(
                "note: so far this is for `tollgate dev` only; `tollgate serve` says: {}",
                said.join("; ")
            ));
        }
    }
}

/// Problems for a program.
pub(super) fn problems_json(problems: &Problems) -> Value {
    let said = |problem: &crate::config::Problem| json!({ "at": problem.at, "origin": problem.origin, "message": problem.message });
    problems.0.iter().map(said).collect()
}
