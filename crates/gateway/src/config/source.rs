//! Where a running gateway's settings come from, so that they can be read again.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::meaning::{Config, SandboxRails};
use super::reading::{Overrides, Read, parse, understand};
use super::{Environment, Overlay, Problem, Problems};

/// A file (or none), the environment over it, the flags over that.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file; without one, the environment alone.
    pub file: Option<PathBuf>,
    /// What was given on the command line.
    pub flags: Overrides,
    /// The rails of dev mode.
    pub sandbox: Option<SandboxRails>,
}

/// Settings that were read at one moment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What they mean.
    pub config: Config,
    /// The file with the changes over it, before the environment: what may be shown once secrets are masked.
    pub written: Value,
    /// All of them as they count, secrets included: compared, never shown.
    pub effective: Value,
}

impl Settings {
    /// Settings that cannot be read again.
    pub fn fixed(config: Config) -> Self {
        let nothing = || Value::Object(Map::new());
        Self { config, written: nothing(), effective: nothing() }
    }
}

impl Source {
    /// The address to listen on that the file names, for whoever has to listen before everything is read.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn listen(&self, environment: &Environment) -> Result<Option<String>, Problems> {
        let Some(path) = &self.file else { return Ok(None) };
        let tree = parse(path)?;
        let Some(text) = tree.get("listen").and_then(Value::as_str) else { return Ok(None) };
        let name = path.display().to_string();
        environment.fill(text).map(Some).map_err(|variable| {
            let message = format!("${{{variable}}} is not set");
            Problems(vec![Problem { at: "listen".to_owned(), origin: name, message }])
        })
    }

    /// Reads everything anew, the `.env` file of the working folder included. The file has to be in order by itself, and
    /// with the changes over it: what is accepted now must be accepted by the next start, with or without them.
    ///
    /// # Errors
    /// Every [`Problem`] at once.
    pub fn read(&self, overlay: &Overlay) -> Result<Settings, Problems> {
        let environment = Environment::read(Path::new("."));
        self.read_with(
            overlay,
            &environment.map_err(|message| {
                let (at, origin) = (".env".to_owned(), "the working folder".to_owned());
                Problems(vec![Problem { at, origin, message }])
            })?,
        )
    }

    /// The same with this environment.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn read_with(&self, overlay: &Overlay, environment: &Environment) -> Result<Settings, Problems> {
        let mut tree = match &self.file {
            Some(path) => parse(path)?,
            None => Value::Object(Map::new()),
        };
        let file_origin = self.file.as_ref().map_or("default".to_owned(), |path| path.display().to_string());
        let read = |tree: Value, laid_over| Read { tree, file_origin: file_origin.clone(), laid_over };
        let understand = |read| understand(read, environment, &self.flags, self.sandbox.clone());
        let (config, effective) = understand(read(tree.clone(), Vec::new()))?;
        if overlay.is_empty() {
            return Ok(Settings { config, written: tree, effective });
        }
        let laid_over = overlay.lay_over(&mut tree);
        let (config, effective) = understand(read(tree.clone(), laid_over))?;
        Ok(Settings { config, written: tree, effective })
    }
}
