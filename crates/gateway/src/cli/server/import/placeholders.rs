//! What clients put into their files in place of a value: `${VAR}`, `${env:VAR}`, `${input:id}`, folders.

use std::collections::BTreeMap;

use super::super::vault::Vault;
use super::source::Source;

/// Where the words behind placeholders come from.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    pub(super) source: &'a Source,
    pub(super) vault: &'a Vault,
    /// The server's own variables. Some programs (`mcp-remote`) fill them into their arguments themselves.
    pub(super) own: &'a BTreeMap<String, String>,
}

/// One text with its placeholders resolved: references to the environment stay references.
///
/// # Errors
/// What cannot be resolved, by name and with the next step.
pub(super) fn resolved(text: &str, words: Words<'_>) -> Result<String, Vec<String>> {
    let (mut whole, mut problems) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        whole.push_str(before);
        let Some((inner, tail)) = after.split_once('}') else {
            problems.push(format!("{} is a reference without an end", shown(after)));
            return Err(problems);
        };
        match one(inner, words) {
            Ok(value) => whole.push_str(&value),
            Err(problem) => problems.push(problem),
        }
        rest = tail;
    }
    whole.push_str(rest);
    if problems.is_empty() { Ok(whole) } else { Err(problems) }
}

fn one(inner: &str, Words { source, vault, own }: Words<'_>) -> Result<String, String> {
    if let Some(id) = inner.strip_prefix("input:") {
        return input(id, source, vault);
    }
    let inner = inner.strip_prefix("env:").unwrap_or(inner);
    if let Some((name, default)) = inner.split_once(":-") {
        // Our file has no defaults: what counts now is written down.
        return Ok(if vault.has(name) { format!("${{{name}}}") } else { default.to_owned() });
    }
    if is_name(inner) && vault.has(inner) {
        return Ok(format!("${{{inner}}}"));
    }
    if let Some(value) = own.get(inner) {
        return Ok(value.clone());
    }
    let workspace = source.workspace.as_ref().map(|folder| folder.display().to_string());
    match inner {
        "workspaceFolder" => workspace.ok_or_else(|| {
            "${workspaceFolder} is only known for .vscode/mcp.json, .cursor/mcp.json and .mcp.json: write the folder itself".to_owned()
        }),
        "workspaceFolderBasename" => workspace
            .and_then(|folder| folder.rsplit('/').next().map(str::to_owned))
            .ok_or_else(|| "${workspaceFolderBasename} is not known here: write the folder itself".to_owned()),
        "userHome" => Ok("${HOME}".to_owned()),
        "pathSeparator" | "/" => Ok("/".to_owned()),
        name if is_name(name) => {
            Err(format!("${{{name}}} is not set here: set {name} in the environment or in .env, then import again"))
        }
        other => Err(format!("${{{}}} is a word of that client alone: write its value in its place", shown(other))),
    }
}

/// What an editor asks its user for: here it is a variable.
fn input(id: &str, source: &Source, vault: &Vault) -> Result<String, String> {
    let name: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if vault.has(&name) {
        return Ok(format!("${{{name}}}"));
    }
    let about = source.inputs.iter().find(|(known, about)| known == id && !about.is_empty());
    let about = about.map(|(_, about)| format!(" ({})", shown(about))).unwrap_or_default();
    Err(format!(
        "${{input:{}}}{about} is asked for by the editor: set {name} in the environment or in .env, then import again",
        shown(id)
    ))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A stranger's words in a message.
pub(super) fn shown(text: &str) -> String {
    tollgate_registry::visible(&text.chars().take(80).collect::<String>())
}
