//! From a file, the environment and flags to a checked [`RawConfig`].

use std::path::Path;

use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value, json};

use super::meaning::{Config, SandboxRails, Source};
use super::raw::RawConfig;
use super::{Environment, Problem, Problems};

/// What was given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data`.
    pub data: Option<String>,
}

/// The JSON Schema of `tollgate.yaml`.
pub fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(RawConfig)).unwrap_or_default()
}

/// Reads a configuration: the file if one is named, the environment over it, the flags over that. With `sandbox`, money
/// arrives by these rails and none may be configured.
///
/// # Errors
/// Every [`Problem`] at once: of spelling (unknown keys, wrong types) or, when there are none, of meaning.
pub fn load(
    file: Option<&Path>,
    environment: &Environment,
    flags: &Overrides,
    sandbox: Option<SandboxRails>,
) -> Result<Config, Problems> {
    let Some(path) = file else {
        return load_tree(Value::Object(Map::new()), "default".to_owned(), environment, flags, sandbox);
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| unreadable(&name, format!("cannot be read: {error}")))?;
    load_text(&text, name, environment, flags, sandbox)
}

/// The same for the text of a file, which need not be there yet.
///
/// # Errors
/// As [`load`].
pub fn load_text(
    text: &str,
    file: String,
    environment: &Environment,
    flags: &Overrides,
    sandbox: Option<SandboxRails>,
) -> Result<Config, Problems> {
    let tree = parsed(text, &file)?;
    load_tree(tree, file, environment, flags, sandbox)
}

/// The same for settings that do not come from a file, with the name of where they come from.
///
/// # Errors
/// As [`load`].
pub fn load_tree(
    tree: Value,
    file_origin: String,
    environment: &Environment,
    flags: &Overrides,
    sandbox: Option<SandboxRails>,
) -> Result<Config, Problems> {
    let read = Read { tree, file_origin, laid_over: Vec::new() };
    understand(read, environment, flags, sandbox).map(|(config, _)| config)
}

/// Settings as they were read, before the environment and the flags lie over them.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) tree: Value,
    /// Where they come from.
    pub(super) file_origin: String,
    /// Paths of values that come from elsewhere, with the name of where.
    pub(super) laid_over: Vec<(String, String)>,
}

/// What settings mean, and all of them as they count, secrets included.
pub(super) fn understand(
    read: Read,
    environment: &Environment,
    flags: &Overrides,
    sandbox: Option<SandboxRails>,
) -> Result<(Config, Value), Problems> {
    let Read { mut tree, file_origin, laid_over: mut origins } = read;
    origins.extend(environment.lay_over(&mut tree, sandbox.is_none()));
    environment.expand(&mut tree).map_err(|missing| {
        let unset = |name| Problem {
            at: format!("${{{name}}}"),
            origin: file_origin.clone(),
            message: "this environment variable is not set".to_owned(),
        };
        Problems(missing.into_iter().map(unset).collect())
    })?;
    if let Some((listen, origin)) = environment.listen() {
        set(&mut tree, "listen", &listen);
        origins.push(("listen".to_owned(), origin.to_owned()));
    }
    for (name, value) in [("listen", &flags.listen), ("data", &flags.data)] {
        if let Some(value) = value {
            set(&mut tree, name, value);
            origins.push((name.to_owned(), format!("--{name}")));
        }
    }
    let source = Source::new(file_origin, origins);
    check_spelling(&tree, &source)?;
    let raw: RawConfig = serde_json::from_value(tree.clone())
        .map_err(|error| Problems(vec![source.problem("", format!("cannot be read: {error}"))]))?;
    Config::from_raw(raw, environment, &source, sandbox).map(|config| (config, tree))
}

fn set(tree: &mut Value, name: &str, value: &str) {
    if let Value::Object(members) = tree {
        members.insert(name.to_owned(), json!(value));
    }
}

fn unreadable(file: &str, message: String) -> Problems {
    Problems(vec![Problem { at: file.to_owned(), origin: "--config".to_owned(), message }])
}

/// The settings in the text of a file.
fn parsed(text: &str, file: &str) -> Result<Value, Problems> {
    match serde_saphyr::from_str::<Value>(text) {
        Ok(Value::Null) => Ok(Value::Object(Map::new())),
        Ok(tree @ Value::Object(_)) => Ok(tree),
        Ok(_) => Err(unreadable(file, "is not a mapping of settings".to_owned())),
        Err(error) => Err(unreadable(file, format!("is not valid YAML: {error}"))),
    }
}

/// The settings in a file.
pub(super) fn parse(path: &Path) -> Result<Value, Problems> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| unreadable(&name, format!("cannot be read: {error}")))?;
    parsed(&text, &name)
}

fn check_spelling(tree: &Value, source: &Source) -> Result<(), Problems> {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema)
        .map_err(|error| Problems(vec![source.problem("", format!("the schema is broken: {error}"))]))?;
    let problems: Vec<Problem> = validator
        .iter_errors(tree)
        .flat_map(|error| {
            let at = error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
            match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected } => {
                    let within = if at.is_empty() { at } else { format!("{at}.") };
                    let named = unexpected.iter().map(|name| format!("{within}{name}"));
                    named.map(|at| source.problem(&at, "there is no such setting".to_owned())).collect()
                }
                _ => vec![source.problem(&at, error.to_string())],
            }
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}
