//! Secrets on their way into a configuration: they go into `.env`, readable by its owner alone, and the file refers to them.
//!
//! What looks like a secret is a guess from names and forms: better one variable too many than one password in a file that is
//! shown around. Values are never printed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::config::Environment;
use crate::text_file::TextFile;

mod looks;

/// The file beside which the gateway is started.
const FILE: &str = ".env";

/// The variables that are there, and those that are to be added.
pub(super) struct Vault {
    known: Environment,
    added: Vec<(String, String)>,
    file: TextFile,
}

impl Vault {
    pub(super) fn open(known: Environment) -> anyhow::Result<Self> {
        Ok(Self { known, added: Vec::new(), file: TextFile::open(Path::new(FILE))? })
    }

    /// The environment with what was added.
    pub(super) fn environment(&self) -> Environment {
        self.known.clone().with(self.added.iter().cloned())
    }

    /// The names of what was added.
    pub(super) fn names(&self) -> Vec<&str> {
        self.added.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Whether a variable has a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.known.get(name).is_some() || self.added.iter().any(|(known, _)| known == name)
    }

    /// Forgets what was added since there were this many.
    pub(super) fn forget_after(&mut self, count: usize) {
        self.added.truncate(count);
    }

    pub(super) const fn count(&self) -> usize {
        self.added.len()
    }

    /// Replaces what looks like a secret in a server's settings by a reference to a variable, and says so.
    ///
    /// # Errors
    /// When a value cannot be kept in `.env`.
    pub(super) fn conceal(&mut self, server: &str, settings: &mut Value) -> anyhow::Result<Vec<String>> {
        let mut notes = Vec::new();
        let mut note = |place: &str, name: &str| {
            notes.push(format!("{server}: {place} is a secret by its looks: it goes into {FILE} as {name}"));
        };
        if let Some(env) = settings.get_mut("env").and_then(Value::as_object_mut) {
            for (name, value) in env {
                let Some(text) = value.as_str().filter(|text| looks::secret(name, text)) else { continue };
                let variable = self.keep(server, name, text)?;
                *value = json!(format!("${{{variable}}}"));
                note(&format!("the value of {name}"), &variable);
            }
        }
        if let Some(headers) = settings.get_mut("headers").and_then(Value::as_object_mut) {
            for (name, value) in headers {
                let text = value.as_str().unwrap_or_default().to_owned();
                let secret = looks::behind_scheme(&text);
                // Whatever stands behind the word of a scheme is one.
                let has_scheme = secret.len() < text.len() && !text.contains("${");
                if !has_scheme && !looks::secret(name, secret) {
                    continue;
                }
                let scheme = text.strip_suffix(secret).unwrap_or_default();
                let variable = self.keep(server, name, secret)?;
                *value = json!(format!("{scheme}${{{variable}}}"));
                note(&format!("the header {name}"), &variable);
            }
        }
        if let Some(value) = settings.pointer_mut("/credential/value") {
            let text = value.as_str().unwrap_or_default().to_owned();
            if !text.contains("${") && !text.is_empty() {
                let secret = looks::behind_scheme(&text);
                let scheme = text.strip_suffix(secret).unwrap_or_default();
                let variable = self.keep(server, "TOKEN", secret)?;
                *value = json!(format!("{scheme}${{{variable}}}"));
                note("its credential", &variable);
            }
        }
        if let Some(value) = settings.get_mut("url") {
            let mut text = value.as_str().unwrap_or_default().to_owned();
            while let Some(place) = looks::in_url(&text) {
                let variable = self.keep(server, "URL_KEY", text.get(place.clone()).unwrap_or_default())?;
                text.replace_range(place, &format!("${{{variable}}}"));
                note("a part of its URL", &variable);
            }
            *value = json!(text);
        }
        if let Some(command) = settings.get_mut("command").and_then(Value::as_array_mut) {
            self.conceal_arguments(server, command, &mut note)?;
        }
        Ok(notes)
    }

    /// Adds variables of a program that stood in a file of their own: somebody kept them out of the settings, so they stay out of ours,
    /// whatever they look like.
    ///
    /// # Errors
    /// When a value cannot be kept in `.env`.
    pub(super) fn keep_apart(
        &mut self,
        server: &str,
        settings: &mut Value,
        variables: BTreeMap<String, String>,
    ) -> anyhow::Result<Vec<String>> {
        let mut notes = Vec::new();
        let Some(settings) = settings.as_object_mut().filter(|_| !variables.is_empty()) else {
            return Ok(notes);
        };
        let Some(env) = settings.entry("env").or_insert_with(|| json!({})).as_object_mut() else {
            return Ok(notes);
        };
        for (name, value) in variables {
            // What is empty counts as not set in `.env`.
            let reference = if value.is_empty() {
                String::new()
            } else {
                let variable = self.keep(server, &name, &value)?;
                notes.push(format!("{server}: {name} of its envFile goes into {FILE} as {variable}"));
                format!("${{{variable}}}")
            };
            env.insert(name, json!(reference));
        }
        Ok(notes)
    }

    /// `--api-key x`, `--api-key=x`, `--header "Authorization: Bearer x"`, and values that look like keys themselves.
    fn conceal_arguments(
        &mut self,
        server: &str,
        command: &mut [Value],
        note: &mut impl FnMut(&str, &str),
    ) -> anyhow::Result<()> {
        let mut flag = String::new();
        for value in command.iter_mut().skip(1) {
            let mut text = value.as_str().unwrap_or_default().to_owned();
            let named = std::mem::take(&mut flag);
            if text.starts_with('-') && !text.contains(['=', ' ']) {
                flag = text;
                continue;
            }
            let Some((place, hint)) = looks::in_argument(&named, &text) else { continue };
            let hint = if looks::name(hint) { hint } else { "ARGUMENT" };
            let variable = self.keep(server, hint, text.get(place.clone()).unwrap_or_default())?;
            text.replace_range(place, &format!("${{{variable}}}"));
            *value = json!(text);
            note("an argument", &variable);
        }
        Ok(())
    }

    /// Keeps a value under a name of its own, which says whose it is; the same value of the same server once.
    fn keep(&mut self, server: &str, hint: &str, value: &str) -> anyhow::Result<String> {
        let prefix = spelled(server);
        let own = spelled(hint);
        let name = if own.starts_with(&format!("{prefix}_")) { own } else { format!("{prefix}_{own}") };
        for number in 1..1_000_u32 {
            let name = if number == 1 { name.clone() } else { format!("{name}_{number}") };
            let there = self.added.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
            match there.or(self.known.get(&name)) {
                Some(known) if known == value => return Ok(name),
                Some(_) => {}
                // A name of the gateway's own would change the gateway.
                None if Environment::is_own(&name) => {}
                None => {
                    line(&name, value)?;
                    self.added.push((name.clone(), value.to_owned()));
                    return Ok(name);
                }
            }
        }
        anyhow::bail!("there is no free name for {name} in {FILE}")
    }

    /// Adds the lines to `.env`, which from then on its owner alone can read.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        if self.added.is_empty() {
            return Ok(());
        }
        let mut text = self.file.text().to_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for (name, value) in &self.added {
            text.push_str(&line(name, value)?);
        }
        if self.file.is_open_to_others() {
            crate::cli::Out::note(&format!("{FILE} could be read by others; from now on by its owner only"));
        }
        self.file.replace_with_mode(&text, 0o600)?;
        Ok(())
    }
}

/// `brave-search` as a part of a variable's name.
fn spelled(text: &str) -> String {
    let text: String = text
        .trim_start_matches('-')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    if text.starts_with(|first: char| first.is_ascii_digit()) { format!("SERVER_{text}") } else { text }
}

/// A line of `.env` that its reader takes for exactly this.
fn line(name: &str, value: &str) -> anyhow::Result<String> {
    let line = if value.contains(['\'', '\n', '\r']) {
        let escaped =
            value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n");
        format!("{name}=\"{escaped}\"\n")
    } else {
        format!("{name}='{value}'\n")
    };
    let read = dotenvy::from_read_iter(line.as_bytes()).next().and_then(Result::ok);
    let is_same = read.is_some_and(|(key, read)| key == name && read == value);
    is_same.then_some(line).with_context(|| format!("{name} cannot be written into {FILE}: set it yourself"))
}

#[cfg(test)]
mod tests;
