//! How much work one look at a value may be by a schema: schemas are written by strangers, and a few hundred bytes of references can
//! ask for more evaluations than anybody has time for.
//!
//! Counted from above, without a value: every branch counts, and of the members of an object the dearest. Circles are the library's to
//! break, and count once.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The most evaluations on the way to one place of the arguments: about a second. Schemas of tools come to a few hundred.
const EVALUATIONS_MAX: u64 = 20_000_000;
/// How far references may lead to further ones.
const DEPTH_MAX: usize = 512;
/// So many references cannot multiply each other past the limit, wherever they lead.
const UNFOLLOWED_MAX: usize = 24;

/// Whether a schema may be evaluated.
pub(super) fn is_bounded(schema: &Value) -> bool {
    let mut walk = Walk { root: schema, known: HashMap::new(), is_followed: true };
    let cost = walk.cost(schema, 0);
    cost <= EVALUATIONS_MAX && (walk.is_followed || count(schema) <= UNFOLLOWED_MAX)
}

struct Walk<'a> {
    root: &'a Value,
    /// By where they are; 1 while one is being counted, which breaks circles.
    known: HashMap<*const Value, u64>,
    /// Whether every reference could be followed here.
    is_followed: bool,
}

impl<'a> Walk<'a> {
    fn cost(&mut self, schema: &'a Value, depth: usize) -> u64 {
        let Value::Object(members) = schema else { return 1 };
        let place = std::ptr::from_ref(schema);
        if let Some(known) = self.known.get(&place) {
            return *known;
        }
        if depth > DEPTH_MAX {
            return u64::MAX;
        }
        // A resource within the schema has references of its own meaning.
        self.is_followed &= !members.contains_key("$id") || depth == 0;
        self.known.insert(place, 1);
        let deeper = depth.saturating_add(1);
        let mut sum = 1_u64;
        for (keyword, value) in members {
            let here = match keyword.as_str() {
                "allOf" | "anyOf" | "oneOf" => self.all(value.as_array().into_iter().flatten(), deeper),
                "dependentSchemas" | "dependencies" => {
                    self.all(value.as_object().into_iter().flat_map(Map::values), deeper)
                }
                "not" | "if" | "then" | "else" => self.cost(value, deeper),
                "$ref" => match value.as_str().and_then(|to| self.target(to)) {
                    Some(target) => self.cost(target, deeper),
                    None => {
                        self.is_followed = false;
                        1
                    }
                },
                "$dynamicRef" | "$recursiveRef" => {
                    self.is_followed = false;
                    1
                }
                _ => 0,
            };
            sum = sum.saturating_add(here);
        }
        let sum = sum.saturating_add(self.below(members, deeper));
        self.known.insert(place, sum);
        sum
    }

    /// What it comes to at the dearest place right below.
    fn below(&mut self, members: &'a Map<String, Value>, depth: usize) -> u64 {
        let mut any = 0_u64;
        let mut dearest = 0;
        for (keyword, value) in members {
            match keyword.as_str() {
                "properties" => {
                    for property in value.as_object().into_iter().flat_map(Map::values) {
                        dearest = self.cost(property, depth).max(dearest);
                    }
                }
                "prefixItems" => {
                    for item in value.as_array().into_iter().flatten() {
                        dearest = self.cost(item, depth).max(dearest);
                    }
                }
                "items" => match value {
                    Value::Array(items) => {
                        for item in items {
                            dearest = self.cost(item, depth).max(dearest);
                        }
                    }
                    every => any = any.saturating_add(self.cost(every, depth)),
                },
                "patternProperties" => {
                    let all = value.as_object().into_iter().flat_map(Map::values);
                    any = any.saturating_add(self.all(all, depth));
                }
                "additionalProperties"
                | "unevaluatedProperties"
                | "propertyNames"
                | "additionalItems"
                | "unevaluatedItems"
                | "contains" => any = any.saturating_add(self.cost(value, depth)),
                _ => {}
            }
        }
        any.saturating_add(dearest)
    }

    fn all(&mut self, schemas: impl Iterator<Item = &'a Value>, depth: usize) -> u64 {
        schemas.fold(0, |sum, schema| sum.saturating_add(self.cost(schema, depth)))
    }

    /// Where a reference within the document leads.
    fn target(&self, to: &str) -> Option<&'a Value> {
        let pointer = to.strip_prefix('#')?;
        // Percent-encoded ones are rare, and as good as not followed.
        if !(pointer.is_empty() || pointer.starts_with('/')) || pointer.contains('%') {
            return None;
        }
        self.root.pointer(pointer)
    }
}

/// How many references there are, anywhere.
fn count(value: &Value) -> usize {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| usize::from(name.ends_with("Ref") || name == "$ref") + count(value))
            .sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A chain of so many definitions, each of which uses the next twice, as `twice` says.
    fn chain(levels: usize, twice: impl Fn(Value) -> Value) -> Value {
        let mut definitions = Map::new();
        for level in 0..levels {
            definitions
                .insert(format!("l{level}"), twice(json!({ "$ref": format!("#/$defs/l{}", level + 1) })));
        }
        definitions.insert(format!("l{levels}"), json!({ "type": "object" }));
        json!({ "$ref": "#/$defs/l0", "$defs": definitions })
    }

    #[test]
    fn t5_parts_that_multiply_each_other_are_counted() {
        let all = |next: Value| json!({ "allOf": [next, next] });
        let below = |next: Value| json!({ "oneOf": [{ "properties": { "a": next } }, { "items": next }] });
        let mixed = |next: Value| json!({ "not": next, "additionalProperties": next });
        for twice in [&all as &dyn Fn(Value) -> Value, &below, &mixed] {
            assert!(is_bounded(&chain(8, twice)), "control");
            assert!(!is_bounded(&chain(40, twice)));
        }
        // One after the other multiplies nothing, nor do members side by side.
        assert!(is_bounded(&chain(200, |next| json!({ "allOf": [next] }))));
        assert!(is_bounded(&chain(200, |next| json!({ "properties": { "a": next, "b": next, "c": true } }))));
        assert!(!is_bounded(&chain(2_000, |next| json!({ "allOf": [next] }))), "no stack is that deep");
    }

    #[test]
    fn t5_recursive_types_are_what_they_are_and_what_cannot_be_followed_is_bounded() {
        let tree = json!({ "$defs": { "node": { "type": "object", "properties": {
            "left": { "$ref": "#/$defs/node" }, "right": { "$ref": "#/$defs/node" } } } },
            "$ref": "#/$defs/node" });
        assert!(is_bounded(&tree) && is_bounded(&json!({ "$ref": "#" })) && is_bounded(&json!(true)));
        let variants: Vec<Value> = (0..50)
            .map(|n| {
                json!({ "properties": {
            "kind": { "const": n }, "inner": { "$ref": "#" } } })
            })
            .collect();
        assert!(is_bounded(&json!({ "oneOf": variants })), "a grammar of fifty kinds");
        let named = |to: &str| {
            let twice = |next: Value| json!({ "allOf": [next, next] });
            let mut schema = chain(40, twice);
            schema["$defs"]["l0"] = json!({ "$ref": to });
            schema
        };
        for to in ["#l1", "other.json", "#/%24defs/l1", "#/nowhere"] {
            assert!(!is_bounded(&named(to)), "{to}");
        }
        assert!(is_bounded(&json!({ "allOf": [{ "$ref": "#a" }], "$defs": { "x": { "$anchor": "a" } } })));
        let inner = chain(40, |next| json!({ "allOf": [next, next] }));
        assert!(!is_bounded(
            &json!({ "$ref": "#/$defs/r", "$defs": { "r": { "$id": "r", "$ref": "#/$defs/l0", "$defs": inner["$defs"] } } })
        ));
    }
}
