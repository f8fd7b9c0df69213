//! A tool's input schema, compiled once.

mod cost;
mod plain;

use jsonschema::PatternOptions;
use serde_json::Value;
use tollgate_gate::ArgumentSchema;

use cost::{Cost, Size};
use plain::Plain;

/// How many steps back a pattern with look-around may take for one text: some tenths of a millisecond.
const BACKTRACKS_MAX: usize = 10_000;
/// How many problems are named at once.
const PROBLEMS_MAX: usize = 8;
/// What is said of arguments that do not fit where looking for all that is wrong with them would take too long.
const UNEXPLAINED: &str =
    "the arguments do not fit the tool's inputSchema; there is too much of them to say where";
/// The longest sentence about one problem: it quotes what does not fit.
const PROBLEM_CHARS_MAX: usize = 300;

/// A compiled schema, or why there is none.
#[derive(Debug)]
pub struct Compiled(Result<Validators, String>);

/// The library decides; what the plain reading finds fitting needs no decision.
#[derive(Debug)]
struct Validators {
    /// What the library's decision takes.
    cost: Cost,
    /// Present where the schema says only what most schemas of tools say.
    plain: Option<Plain>,
    library: jsonschema::Validator,
}

impl Compiled {
    /// Compiles a schema. References to other documents are never fetched (MCP 2026-07-28, `server/tools`).
    pub fn new(schema: &[u8]) -> Self {
        let parsed: Result<Value, _> = serde_json::from_slice(schema);
        let compiled = parsed.map_err(|error| error.to_string()).and_then(|mut schema| {
            leave_to_defaults(&mut schema);
            let cost = Cost::of(&schema).ok_or_else(|| {
                "its parts multiply each other: to check arguments by it would take too long".to_owned()
            })?;
            let patterns = PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS_MAX);
            let options = jsonschema::options().with_pattern_options(patterns);
            let library = options.build(&schema).map_err(|error| error.to_string())?;
            Ok(Validators { plain: Plain::read(&schema), cost, library })
        });
        Self(compiled)
    }
}

/// Takes what has a default out of `required`. A schema that is generated from what a server reads arguments into (zod's output, as
/// of `@playwright/mcp`) has it in both, and the server takes a call without it: what the gateway refused would work without a gateway.
///
/// Only where each object must fit by itself: a branch of `oneOf`, or `not`, would mean something else with less in it.
fn leave_to_defaults(schema: &mut Value) {
    let Value::Object(keywords) = schema else { return };
    let members = keywords.get("properties").and_then(Value::as_object);
    let has_default = |name: &Value| {
        let member = name.as_str().and_then(|name| members?.get(name));
        member.is_some_and(|member| member.get("default").is_some())
    };
    let kept = keywords
        .get("required")
        .and_then(Value::as_array)
        .map(|required| required.iter().filter(|name| !has_default(name)).cloned().collect());
    if let Some(kept) = kept {
        keywords.insert("required".to_owned(), Value::Array(kept));
    }
    if let Some(Value::Object(members)) = keywords.get_mut("properties") {
        members.values_mut().for_each(leave_to_defaults);
    }
    if let Some(items) = keywords.get_mut("items") {
        leave_to_defaults(items);
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
        let size = Size::of(&arguments);
        if !self.cost.admits(size) {
            return Err(vec![
                "the arguments are too large to be checked by the tool's inputSchema".to_owned(),
            ]);
        }
        if self.library.is_valid(&arguments) {
            return Ok(());
        }
        if !self.cost.explains(size) {
            return Err(vec![UNEXPLAINED.to_owned()]);
        }
        let problem = |error: jsonschema::ValidationError<'_>| {
            let at = error.instance_path().to_string();
            let said = if at.is_empty() { error.to_string() } else { format!("{at}: {error}") };
            match said.char_indices().nth(PROBLEM_CHARS_MAX) {
                None => said,
                Some((end, _)) => format!("{}…", said.get(..end).unwrap_or_default()),
            }
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
    fn what_has_a_default_need_not_be_given() {
        // As `browser_take_screenshot` of @playwright/mcp 0.0.83 lists itself.
        let screenshot = Compiled::new(
            br#"{"type":"object","properties":{"scale":{"default":"css","type":"string","enum":["css","device"]},
                "parts":{"items":{"type":"object","properties":{"at":{"type":"integer"},"wide":{"default":1}},
                    "required":["at","wide"]}}},
                "required":["scale"],"additionalProperties":false}"#,
        );
        for fits in ["{}", r#"{"scale":"device"}"#, r#"{"parts":[{"at":1}]}"#] {
            assert_eq!(screenshot.check(fits.as_bytes()), Ok(()), "{fits}");
        }
        for wrong in [r#"{"scale":"em"}"#, r#"{"scales":"css"}"#, r#"{"parts":[{"wide":1}]}"#] {
            assert_eq!(screenshot.check(wrong.as_bytes()).unwrap_err().len(), 1, "{wrong}");
        }
        // With nothing required in either, both branches would fit, and so neither.
        let branch =
            |kind: &str| format!(r#"{{"properties":{{"{kind}":{{"default":1}}}},"required":["{kind}"]}}"#);
        let either = format!(r#"{{"type":"object","oneOf":[{},{}]}}"#, branch("a"), branch("b"));
        let either = Compiled::new(either.as_bytes());
        assert!(either.check(br#"{"a":1}"#).is_ok());
        assert!(either.check(b"{}").is_err());
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

    #[test]
    fn t5_all_that_does_not_fit_is_named_only_where_that_is_little() {
        let numbers = |count: usize| format!(r#"{{"a":[{}0]}}"#, "0,".repeat(count));
        let texts = Compiled::new(br#"{"type":"object","properties":{"a":{"items":{"type":"string"}}}}"#);
        assert_eq!(texts.check(numbers(20).as_bytes()).unwrap_err().len(), PROBLEMS_MAX, "control");
        assert_eq!(texts.check(numbers(500_000).as_bytes()).unwrap_err(), [UNEXPLAINED]);
        // Two ways at each level: what does not fit at the end would be looked for in every one of 2^60.
        let branch = r##"{"type":"object","properties":{"a":{"$ref":"#"},"b":{"type":"string"}}}"##;
        let grammar = Compiled::new(format!(r#"{{"anyOf":[{branch},{branch}]}}"#).as_bytes());
        let deep =
            |levels: usize, end: &str| format!("{}{end}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        assert!(grammar.check(deep(60, r#"{"b":"fits"}"#).as_bytes()).is_ok(), "control");
        assert_eq!(grammar.check(deep(60, r#"{"b":1}"#).as_bytes()).unwrap_err(), [UNEXPLAINED]);
        assert_ne!(grammar.check(deep(2, r#"{"b":1}"#).as_bytes()).unwrap_err(), [UNEXPLAINED], "control");
        // What is quoted of a long text is not the whole.
        let number = Compiled::new(br#"{"properties":{"a":{"type":"integer"}}}"#);
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000));
        let said = number.check(long.as_bytes()).unwrap_err();
        assert!(said.len() == 1 && said[0].chars().count() == PROBLEM_CHARS_MAX + 1, "{}", said[0].len());
    }
}
