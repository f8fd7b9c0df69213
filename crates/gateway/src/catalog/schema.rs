//! A tool's input schema, compiled once.

mod cost;
mod plain;

use jsonschema::PatternOptions;
use serde_json::Value;
use tollgate_gate::ArgumentSchema;

use plain::Plain;

/// How many steps back a pattern with look-around may take for one text: some tenths of a millisecond.
const BACKTRACKS_MAX: usize = 10_000;
/// How many problems are named at once.
const PROBLEMS_MAX: usize = 8;

/// A compiled schema, or why there is none.
#[derive(Debug)]
pub(crate) struct Compiled(Result<Validators, String>);

/// The library decides; what the plain reading finds fitting needs no decision.
#[derive(Debug)]
struct Validators {
    /// Present where the schema says only what most schemas of tools say.
    plain: Option<Plain>,
    library: jsonschema::Validator,
}

impl Compiled {
    /// Compiles a schema. References to other documents are never fetched (MCP 2026-07-28, `server/tools`).
    pub(crate) fn new(schema: &[u8]) -> Self {
        let parsed: Result<Value, _> = serde_json::from_slice(schema);
        let compiled = parsed.map_err(|error| error.to_string()).and_then(|schema| {
            if !cost::is_bounded(&schema) {
                return Err(
                    "its parts multiply each other: to check arguments by it would take too long".to_owned()
                );
            }
            let patterns = PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS_MAX);
            let options = jsonschema::options().with_pattern_options(patterns);
            let library = options.build(&schema).map_err(|error| error.to_string())?;
            Ok(Validators { plain: Plain::read(&schema), library })
        });
        Self(compiled)
    }
}

impl ArgumentSchema for Compiled {
    fn check(&self, arguments: &[u8]) -> Result<(), Vec<String>> {
        // What cannot be decided is refused: nobody pays for a call that could not be checked.
        let validators = self
            .0
            .as_ref()
            .map_err(|error| vec![format!("the tool's own schema cannot be read: {error}")])?;
        if validators.plain.as_ref().is_some_and(|plain| plain.fits(arguments)) {
            return Ok(());
        }
        validators.decide(arguments)
    }
}

impl Validators {
    fn decide(&self, arguments: &[u8]) -> Result<(), Vec<String>> {
        let arguments: Value = serde_json::from_slice(arguments).map_err(|error| vec![error.to_string()])?;
        if self.library.is_valid(&arguments) {
            return Ok(());
        }
        let problem = |error: jsonschema::ValidationError<'_>| {
            let at = error.instance_path().to_string();
            if at.is_empty() { error.to_string() } else { format!("{at}: {error}") }
        };
        Err(self.library.iter_errors(&arguments).take(PROBLEMS_MAX).map(problem).collect())
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

    #[test]
    fn t5_what_cannot_be_checked_in_time_is_refused() {
        let doubling = |levels: usize| {
            let mut schema = r##"{"$ref":"#/$defs/l0","$defs":{"##.to_owned();
            for level in 0..levels {
                let next = format!(r##"{{"$ref":"#/$defs/l{}"}}"##, level + 1);
                schema.push_str(&format!(r#""l{level}":{{"allOf":[{next},{next}]}},"#));
            }
            schema.push_str(&format!(r#""l{levels}":{{"type":"object"}}}}}}"#));
            Compiled::new(schema.as_bytes())
        };
        assert!(doubling(3).check(b"{}").is_ok(), "control");
        assert!(doubling(60).check(b"{}").is_err());
        // A pattern that goes back and forth for ever is given up.
        let endless =
            Compiled::new(br#"{"type":"object","properties":{"a":{"pattern":"^(?=(a|aa)+$)(a|aa)+b$"}}}"#);
        assert!(endless.check(br#"{"a":"ab"}"#).is_err() && endless.check(br#"{"b":1}"#).is_ok());
        let long = format!(r#"{{"a":"{}"}}"#, "a".repeat(60));
        assert!(endless.check(long.as_bytes()).is_err());
        assert!(Compiled::new(br##"{"$ref":"#"}"##).check(b"{}").is_ok(), "a circle says nothing");
    }
}
