//! Schemas of strangers, and what other strangers send by them: what fits by the quick reading fits by the library's, and no schema
//! holds anybody up.

use serde_json::Value;
use tollgate_gate::ArgumentSchema as _;
use tollgate_gateway::catalog::Compiled;

pub(crate) const WORDS: &[&str] = &[
    "\"type\":\"object\",",
    "\"type\":[\"integer\",\"null\"],",
    "\"properties\":{\"a\":",
    "\"required\":[\"a\"],",
    "\"additionalProperties\":false,",
    "\"anyOf\":[",
    "\"allOf\":[",
    "\"oneOf\":[",
    "\"not\":{",
    "\"enum\":[1,\"a\",null],",
    "\"const\":1,",
    "\"items\":",
    "\"prefixItems\":[",
    "\"minItems\":1,",
    "\"maxLength\":2,",
    "\"minimum\":-1,",
    "\"exclusiveMaximum\":2.5,",
    "\"multipleOf\":0.1,",
    "\"pattern\":\"^(a|aa)+$\",",
    "\"format\":\"date\",",
    "\"uniqueItems\":true,",
    "\"$ref\":\"#/$defs/a\",",
    "\"$defs\":{\"a\":",
    "\"$dynamicRef\":\"#a\",",
    "\"unevaluatedProperties\":false,",
    "\"dependentSchemas\":{",
    "\"patternProperties\":{\"a*\":",
    "\"if\":{",
    "\"then\":{",
    "\"$schema\":\"http://json-schema.org/draft-07/schema#\",",
    "\n\n",
    "1.0",
    "-0",
    "1e2",
    "{}",
];

/// A schema, an empty line, and arguments.
pub(crate) fn schema(input: &[u8]) {
    let end = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let (schema, arguments) = input.split_at(end);
    let arguments = arguments.trim_ascii();
    let is_call = arguments.starts_with(b"{")
        && tollgate_mcp::json::check(arguments, tollgate_mcp::Limits::CALLER).is_ok();
    let compiled = Compiled::new(schema);
    if !is_call || compiled.check(arguments).is_err() {
        return;
    }
    let (schema, arguments): (Value, Value) =
        match (serde_json::from_slice(schema), serde_json::from_slice(arguments)) {
            (Ok(schema), Ok(arguments)) => (schema, arguments),
            other => return assert!(other.0.is_ok(), "checked by what is no schema"),
        };
    let library = jsonschema::validator_for(&schema);
    let fits = library.map(|library| library.is_valid(&arguments));
    assert!(fits.as_ref().is_ok_and(|fits| *fits), "let through: {fits:?}");
}
