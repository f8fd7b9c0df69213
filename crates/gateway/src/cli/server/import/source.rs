//! A client's file: JSON, with the comments and trailing commas that editors allow.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jsonc_parser::ParseOptions;
use serde_json::Value;

/// What was read of one file.
#[derive(Debug)]
pub(super) struct Source {
    /// The file as the operator named it.
    pub(super) name: String,
    /// Its servers, by their names there.
    pub(super) entries: Vec<(String, Value)>,
    /// What an editor asks its user for: id and what is said about it.
    pub(super) inputs: Vec<(String, String)>,
    /// The folder of the project that the file belongs to.
    pub(super) workspace: Option<PathBuf>,
}

impl Source {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("read {name}"))?;
        let mut source = Self::parse(&name, &text)?;
        source.workspace = workspace(path);
        Ok(source)
    }

    pub(super) fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        let options = ParseOptions {
            allow_comments: true,
            allow_loose_object_property_names: false,
            allow_trailing_commas: true,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let text = text.trim_start_matches('\u{feff}');
        let whole: Value = jsonc_parser::parse_to_serde_value(text, &options)
            .map_err(|error| anyhow::anyhow!("{name} is not JSON: {error}"))?;
        // VS Code keeps them under `servers`, in its own settings under `mcp.servers`, everybody else under `mcpServers`.
        let places = ["/mcpServers", "/servers", "/mcp/servers"];
        let servers = places.iter().find_map(|place| whole.pointer(place));
        // Claude Code adds a server for the project in which it was asked to, in one file for all of them.
        let projects = whole.get("projects").and_then(Value::as_object);
        let of_projects = projects.into_iter().flatten().filter_map(|(_, project)| project.get("mcpServers"));
        let mut entries: Vec<(String, Value)> = Vec::new();
        for servers in servers.into_iter().chain(of_projects) {
            let Some(servers) = servers.as_object() else { bail!("{name}: its servers are no object") };
            for (label, entry) in servers {
                let entry = (label.clone(), entry.clone());
                if !entries.contains(&entry) {
                    entries.push(entry);
                }
            }
        }
        if servers.is_none() && projects.is_none() {
            bail!("{name} has neither `mcpServers` nor `servers`: is it the file of an MCP client?");
        }
        let inputs =
            whole.pointer("/inputs").or_else(|| whole.pointer("/mcp/inputs")).and_then(Value::as_array);
        let text_of = |input: &Value, member: &str| {
            input.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Ok(Self {
            name: name.to_owned(),
            entries,
            inputs: inputs
                .into_iter()
                .flatten()
                .map(|input| (text_of(input, "id"), text_of(input, "description")))
                .collect(),
            workspace: None,
        })
    }
}

/// The folder above `.vscode` or `.cursor`, or that of `.mcp.json`.
fn workspace(path: &Path) -> Option<PathBuf> {
    let path = std::fs::canonicalize(path).ok()?;
    let folder = path.parent()?;
    let is_hidden = |name: &str| folder.file_name().is_some_and(|own| own == name);
    match path.file_name()?.to_str()? {
        ".mcp.json" => Some(folder.to_owned()),
        _ if is_hidden(".vscode") || is_hidden(".cursor") => Some(folder.parent()?.to_owned()),
        _ => None,
    }
}
