//! `tollgate server import`: the servers that an MCP client was set up with, taken over into the configuration.
//!
//! Nothing is written when one of them cannot be taken over, unless that is asked for. The client's file stays as it is.

mod entry;
mod env_file;
mod placeholders;
mod source;

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::settings::Settings;
use super::vault::Vault;
use super::{ImportArgs, environment, refused};
use crate::cli::{Out, USAGE};
use crate::config::edit::{self, Existing};
use crate::config::{Config, Problems};
use entry::{Refused, Translated};
use source::Source;

/// One server of a client's file, and what became of it.
struct Found {
    file: String,
    /// Its name there.
    label: String,
    outcome: Outcome,
}

enum Outcome {
    Taken { name: String, server: Value, notes: Vec<String> },
    Skipped(String),
    Refused(Vec<String>),
}

/// What is gathered on the way through the files.
struct Import<'a> {
    args: &'a ImportArgs,
    settings: Settings,
    vault: Vault,
    /// Names that servers of these files have taken.
    names: BTreeSet<String>,
    found: Vec<Found>,
}

pub(super) async fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let vault = Vault::open(environment()?)?;
    let settings = Settings::open(&args.file.config)?;
    // What is wrong before is no server's fault.
    let config = match settings.check(&vault.environment()) {
        Ok(checked) => checked.config,
        Err(problems) => return Ok(refused(&problems, args.file.json)),
    };
    let mut import = Import { args, settings, vault, names: BTreeSet::new(), found: Vec::new() };
    for file in &args.files {
        let source = Source::read(file)?;
        for (label, entry) in &source.entries {
            let outcome = import.take(&source, label, entry, &config)?;
            import.found.push(Found { file: source.name.clone(), label: label.clone(), outcome });
        }
    }
    import.finish()
}

impl Import<'_> {
    fn take(
        &mut self,
        source: &Source,
        label: &str,
        entry: &Value,
        config: &Config,
    ) -> anyhow::Result<Outcome> {
        let before = self.vault.count();
        let refused = |problems: Vec<String>| Ok(Outcome::Refused(problems));
        let Translated { name, mut server, kept_apart, mut notes } =
            match entry::translate(source, label, entry, config, &self.vault) {
                Ok(translated) => translated,
                Err(Refused::Skipped(why)) => return Ok(Outcome::Skipped(why)),
                Err(Refused::Problems(problems)) => return refused(problems),
            };
        if self.names.contains(&name) {
            return refused(vec![format!(
                "its name becomes {name}, which another server of these files has already"
            )]);
        }
        notes.extend(self.vault.keep_apart(&name, &mut server, kept_apart)?);
        notes.extend(self.vault.conceal(&name, &mut server)?);
        let existing = if self.args.replace { Existing::Replaced } else { Existing::Kept };
        let problems = match self.settings.with(&name, &server, existing) {
            Err(error) => vec![error.to_string()],
            Ok(text) => match self.settings.check_text(&text, &self.vault.environment()) {
                Ok(_) => Vec::new(),
                Err(Problems(problems)) => {
                    problems.iter().map(|problem| format!("{}: {}", problem.at, problem.message)).collect()
                }
            },
        };
        if !problems.is_empty() {
            self.vault.forget_after(before);
            return refused(problems);
        }
        self.settings.put(&name, &server, existing)?;
        self.names.insert(name.clone());
        Ok(Outcome::Taken { name, server, notes })
    }

    fn finish(self) -> anyhow::Result<ExitCode> {
        let Self { args, settings, vault, names, found } = self;
        let is_bad = found.iter().any(|found| matches!(found.outcome, Outcome::Refused(_)));
        let is_stopped = is_bad && !args.skip_invalid;
        let writes = !names.is_empty() && !is_stopped && !args.dry_run;
        if writes {
            // First what the settings refer to: a gateway that reads them at once must find it.
            vault.write()?;
            settings.write()?;
        }
        for found in &found {
            if args.file.json {
                Out::line(&found.json(writes).to_string())
            } else {
                found.tell(args.dry_run)?
            }
        }
        if is_stopped {
            Out::problem(
                "nothing was written; put right what is named above, or take the others with --skip-invalid",
            );
        } else if names.is_empty() {
            Out::note("nothing was written: there is nothing to take over");
        } else if writes && !args.file.json {
            Out::line(&format!("{} server(s) are in {}", names.len(), settings.path()));
        }
        if let Ok(checked) = settings.check(&vault.environment()) {
            checked.note();
        }
        Ok(if is_stopped { ExitCode::from(USAGE) } else { ExitCode::SUCCESS })
    }
}

impl Found {
    fn tell(&self, is_dry: bool) -> anyhow::Result<()> {
        let Self { file, label, outcome } = self;
        match outcome {
            Outcome::Taken { name, server, notes } => {
                Out::line(&format!("{file}: {label} is taken over as {name}"));
                if is_dry {
                    Out::line(edit::put("", name, server, Existing::Kept)?.trim_end());
                }
                notes.iter().for_each(|note| Out::note(&format!("  {note}")));
            }
            Outcome::Skipped(why) => Out::note(&format!("{file}: {label} is left out: {why}")),
            Outcome::Refused(problems) => {
                for problem in problems {
                    Out::problem(&format!("{file}: {label}: {problem}"));
                }
            }
        }
        Ok(())
    }

    fn json(&self, is_written: bool) -> Value {
        let Self { file, label, outcome } = self;
        match outcome {
            Outcome::Taken { name, notes, .. } => json!({
                "file": file, "entry": label, "outcome": "taken", "server": name, "notes": notes, "written": is_written,
            }),
            Outcome::Skipped(why) => {
                json!({ "file": file, "entry": label, "outcome": "skipped", "notes": [why] })
            }
            Outcome::Refused(problems) => {
                json!({ "file": file, "entry": label, "outcome": "refused", "problems": problems })
            }
        }
    }
}

#[cfg(test)]
mod tests;
