//! A tool's input schema, compiled once.

use serde_json::Value;
use tollgate_gate::ArgumentSchema;

/// How many problems are named at once.
const PROBLEMS_MAX: usize = 8;

/// A compiled schema, or why there is none.
#[derive(Debug)]
pub(super) struct Compiled(Result<jsonschema::Validator, String>);

impl Compiled {
    /// Compiles a schema. References to other documents are never fetched (MCP 2026-07-28, `server/tools`).
    pub(super) fn new(schema: &[u8]) -> Self {
        let parsed: Result<Value, _> = serde_json::from_slice(schema);
        Self(match parsed {
            Ok(schema) => jsonschema::validator_for(&schema).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        })
    }
}

impl ArgumentSchema for Compiled {
    fn check(&self, arguments: &[u8]) -> Result<(), Vec<String>> {
        // What cannot be decided is refused: nobody pays for a call that could not be checked.
        let validator = self
            .0
            .as_ref()
            .map_err(|error| vec![format!("the tool's own schema cannot be read: {error}")])?;
        let arguments: Value = serde_json::from_slice(arguments).map_err(|error| vec![error.to_string()])?;
        if validator.is_valid(&arguments) {
            return Ok(());
        }
        let problem = |error: jsonschema::ValidationError<'_>| {
            let at = error.instance_path().to_string();
            if at.is_empty() { error.to_string() } else { format!("{at}: {error}") }
        };
        Err(validator.iter_errors(&arguments).take(PROBLEMS_MAX).map(problem).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t5_a_remote_reference_is_not_fetched_and_the_tool_is_refused() {
        let local = Compiled::new(br#"{"type":"object","required":["city"]}"#);
        assert!(local.check(br#"{"city":"Oslo"}"#).is_ok(), "control");
        assert_eq!(local.check(b"{}").unwrap_err().len(), 1);
        let remote = Compiled::new(br#"{"$ref":"http://127.0.0.1:9/schema.json"}"#);
        assert!(remote.check(b"{}").is_err());
    }
}
