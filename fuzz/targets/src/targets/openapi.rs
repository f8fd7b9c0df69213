//! OpenAPI documents of strangers: bounded, and no argument leaves the path of its operation.

use serde_json::{Map, Value, json};
use tollgate_openapi::{Limits, translate};
use tollgate_registry::Definition;

pub(crate) const WORDS: &[&str] = &[
    "\"$ref\":\"#/components/schemas/a\",",
    "\"$ref\":\"https://x/y\",",
    "\"allOf\":[",
    "\"in\":\"path\",",
    "\"in\":\"query\",",
    "\"required\":true,",
    "{id}",
    "/../",
    "%2e%2e",
    "\"schema\":{\"type\":\"string\"}",
    "\"operationId\":\"a\",",
    "\"get\":{",
    "\"post\":{",
    "\"parameters\":[",
    "\"explode\":false,",
    "\"style\":\"label\",",
    "\"content\":{\"application/json\":{",
    "&a ",
    "*a",
    "\n",
    "  ",
];
/// Values that want out of where they are put.
const HOSTILE: [&str; 5] = ["..", "../../x", "%2e%2e/\\..", "?q=1#f", "\r\nhost: x"];

/// Each tool that comes out can be listed, and each request that one makes stays below its path.
pub(crate) fn openapi(input: &[u8]) {
    let Ok(api) = translate(input, &["authorization"], Limits::default()) else { return };
    for tool in &api.tools {
        let definition = Definition::read(tool.definition.as_bytes(), |_| false);
        assert!(definition.is_ok(), "a definition that cannot be listed: {definition:?}");
        let listed: Value = serde_json::from_str(&tool.definition).unwrap_or_default();
        let names = listed.pointer("/inputSchema/properties").and_then(Value::as_object);
        for hostile in HOSTILE {
            let arguments: Map<String, Value> =
                names.into_iter().flatten().map(|(name, _)| (name.clone(), json!(hostile))).collect();
            let Ok(request) = tool.operation.request(Value::Object(arguments).to_string().as_bytes()) else {
                continue;
            };
            let target = &request.path_and_query;
            assert!(target.starts_with('/') && !target.starts_with("//"), "{target:?} names a host");
            assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{target:?}");
            assert!(target.parse::<http::uri::PathAndQuery>().is_ok(), "{target:?}");
            let path = target.split('?').next().unwrap_or_default();
            for segment in path.split('/') {
                let plain = segment.to_ascii_lowercase().replace("%2e", ".");
                assert!(plain != "." && plain != "..", "{target:?} steps out");
            }
            for (name, _) in &request.headers {
                assert!(!["host", "authorization", "content-length"].contains(&name.as_str()), "sets {name}");
            }
        }
    }
}
