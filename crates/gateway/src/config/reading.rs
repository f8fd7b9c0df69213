//! From a file, the environment and flags to a checked [`RawConfig`].

use std::path::Path;

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
    let tree = match file {
        Some(path) => parse(path)?,
        None => Value::Object(Map::new()),
    };
    let file_origin = file.map_or_else(|| "default".to_owned(), |path| path.display().to_string());
    load_tree(tree, file_origin, environment, flags, sandbox)
}

/// The same for settings that do not come from a file, with the name of where they come from.
///
/// # Errors
/// As [`load`].
pub fn load_tree(
    mut tree: Value,
    file_origin: String,
    environment: &Environment,
    flags: &Overrides,
    sandbox: Option<SandboxRails>,
) -> Result<Config, Problems> {
    let mut origins = environment.lay_over(&mut tree, sandbox.is_none());
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
    let raw: RawConfig = serde_json::from_value(tree)
        .map_err(|error| Problems(vec![source.problem("", format!("cannot be read: {error}"))]))?;
    Config::from_raw(raw, environment, &source, sandbox)
}

fn set(tree: &mut Value, name: &str, value: &str) {
    if let Value::Object(members) = tree {
        members.insert(name.to_owned(), json!(value));
    }
}

fn parse(path: &Path) -> Result<Value, Problems> {
    let problem = |message: String| {
        Problems(vec![Problem { at: path.display().to_string(), origin: "--config".to_owned(), message }])
    };
    let text = std::fs::read_to_string(path).map_err(|error| problem(format!("cannot be read: {error}")))?;
    match serde_saphyr::from_str::<Value>(&text) {
        Ok(Value::Null) => Ok(Value::Object(Map::new())),
        Ok(tree @ Value::Object(_)) => Ok(tree),
        Ok(_) => Err(problem("is not a mapping of settings".to_owned())),
        Err(error) => Err(problem(format!("is not valid YAML: {error}"))),
    }
}

fn check_spelling(tree: &Value, source: &Source) -> Result<(), Problems> {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema)
        .map_err(|error| Problems(vec![source.problem("", format!("the schema is broken: {error}"))]))?;
    let problems: Vec<Problem> = validator
        .iter_errors(tree)
        .map(|error| {
            let at = error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
            source.problem(&at, error.to_string())
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}
