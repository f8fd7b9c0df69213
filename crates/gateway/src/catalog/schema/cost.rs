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

/// The most evaluations of all arguments together.
const ALL_EVALUATIONS_MAX: u64 = 500_000_000;
/// The most for which everything that does not fit is named: the library looks for all of it before it gives the first, and each problem
/// that it finds takes some hundred bytes.
const EXPLAINED_MAX: u64 = 50_000;
/// How deep arguments may be ([`tollgate_mcp::Limits::CALLER`]).
const LEVELS: u32 = 64;
/// In larger recursive schemas nothing is counted level by level.
const RECURSIVE_PARTS_MAX: usize = 2_000;

/// How much work it is to check arguments by one schema.
#[derive(Clone, Debug)]
pub(super) struct Cost {
    /// On the way to one place.
    place: u64,
    /// The same for arguments that are so many levels deep, where the schema is recursive: whether they fit is found out once for each
    /// part of a circle, what does not is looked for again and again.
    by_depth: Option<Vec<u64>>,
}

impl Cost {
    /// The cost of a schema; `None` for one that must not be evaluated.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        let mut walk = Walk::new(schema);
        let place = walk.cost(schema, 0, None);
        if place > EVALUATIONS_MAX || !(walk.is_followed || count(schema) <= UNFOLLOWED_MAX) {
            return None;
        }
        let by_depth = walk.is_recursive.then(|| {
            let is_small = walk.known.len() <= RECURSIVE_PARTS_MAX;
            let levels = (0..=LEVELS).filter(|_| is_small);
            let mut walk = Walk::new(schema);
            levels
                .map(|level| walk.cost(schema, 0, Some(level)))
                .take_while(|cost| *cost <= EXPLAINED_MAX)
                .collect()
        });
        Some(Self { place, by_depth })
    }

    /// Whether these arguments may be checked.
    pub(super) fn admits(&self, arguments: Size) -> bool {
        self.place.saturating_mul(arguments.values) <= ALL_EVALUATIONS_MAX
    }

    /// Whether everything that does not fit may be looked for in them.
    pub(super) fn explains(&self, arguments: Size) -> bool {
        let place = match &self.by_depth {
            None => Some(self.place),
            Some(by_depth) => by_depth.get(arguments.depth).copied(),
        };
        place.is_some_and(|place| place.saturating_mul(arguments.values) <= EXPLAINED_MAX)
    }
}

/// How large arguments are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Size {
    /// How many values, those within others included.
    values: u64,
    /// How many levels there are below the outermost.
    depth: usize,
}

impl Size {
    /// Of parsed arguments, whose depth is bounded.
    pub(super) fn of(value: &Value) -> Self {
        let join = |whole: Self, part: &Value| {
            let part = Self::of(part);
            let values = whole.values.saturating_add(part.values);
            Self { values, depth: whole.depth.max(part.depth.saturating_add(1)) }
        };
        let alone = Self { values: 1, depth: 0 };
        match value {
            Value::Object(members) => members.values().fold(alone, join),
            Value::Array(items) => items.iter().fold(alone, join),
            _ => alone,
        }
    }
}

/// A part of a schema, and how many levels of arguments are left for it; `None`: circles count once.
type Part = (*const Value, Option<u32>);

struct Walk<'a> {
    root: &'a Value,
    /// `None` while a part is being counted, which breaks circles.
    known: HashMap<Part, Option<u64>>,
    is_recursive: bool,
    /// Whether every reference could be followed here.
    is_followed: bool,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Value) -> Self {
        Self { root, known: HashMap::new(), is_recursive: false, is_followed: true }
    }

    fn cost(&mut self, schema: &'a Value, depth: usize, left: Option<u32>) -> u64 {
        let Value::Object(members) = schema else { return 1 };
        let part = (std::ptr::from_ref(schema), left);
        match self.known.get(&part) {
            Some(Some(known)) => return *known,
            Some(None) => {
                self.is_recursive = true;
                return 1;
            }
            None if depth > DEPTH_MAX => return u64::MAX,
            None => {}
        }
        // A resource within the schema has references of its own meaning.
        self.is_followed &= !members.contains_key("$id") || depth == 0;
        self.known.insert(part, None);
        let deeper = depth.saturating_add(1);
        let mut sum = 1_u64;
        for (keyword, value) in members {
            let here = match keyword.as_str() {
                "allOf" | "anyOf" | "oneOf" => self.all(value.as_array().into_iter().flatten(), deeper, left),
                "dependentSchemas" | "dependencies" => {
                    self.all(value.as_object().into_iter().flat_map(Map::values), deeper, left)
                }
                "not" | "if" | "then" | "else" => self.cost(value, deeper, left),
                "$ref" => match value.as_str().and_then(|to| self.target(to)) {
                    Some(target) => self.cost(target, deeper, left),
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
        let below = match left {
            Some(0) => 0,
            left => self.below(members, deeper, left.map(|left| left.saturating_sub(1))),
        };
        let sum = sum.saturating_add(below);
        self.known.insert(part, Some(sum));
        sum
    }

    /// What it comes to at the dearest place right below.
    fn below(&mut self, members: &'a Map<String, Value>, depth: usize, left: Option<u32>) -> u64 {
        let mut any = 0_u64;
        let mut dearest = 0;
        for (keyword, value) in members {
            match keyword.as_str() {
                "properties" => {
                    for property in value.as_object().into_iter().flat_map(Map::values) {
                        dearest = self.cost(property, depth, left).max(dearest);
                    }
                }
                "prefixItems" => {
                    for item in value.as_array().into_iter().flatten() {
                        dearest = self.cost(item, depth, left).max(dearest);
                    }
                }
                "items" => match value {
                    Value::Array(items) => {
                        for item in items {
                            dearest = self.cost(item, depth, left).max(dearest);
                        }
                    }
                    every => any = any.saturating_add(self.cost(every, depth, left)),
                },
                "patternProperties" => {
                    let all = value.as_object().into_iter().flat_map(Map::values);
                    any = any.saturating_add(self.all(all, depth, left));
                }
                "additionalProperties"
                | "unevaluatedProperties"
                | "propertyNames"
                | "additionalItems"
                | "unevaluatedItems"
                | "contains" => any = any.saturating_add(self.cost(value, depth, left)),
                _ => {}
            }
        }
        any.saturating_add(dearest)
    }

    fn all(&mut self, schemas: impl Iterator<Item = &'a Value>, depth: usize, left: Option<u32>) -> u64 {
        schemas.fold(0, |sum, schema| sum.saturating_add(self.cost(schema, depth, left)))
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

    fn is_bounded(schema: &Value) -> bool {
        Cost::of(schema).is_some()
    }

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

    #[test]
    fn t5_what_does_not_fit_is_looked_for_where_that_takes_little() {
        let deep = |levels: usize| {
            let nested = (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
            Size::of(&nested)
        };
        assert_eq!(deep(2), Size { values: 3, depth: 2 });
        assert_eq!(Size::of(&json!([1, [2, 3], {}])), Size { values: 6, depth: 2 });
        let many = Size { values: 100_000, depth: 1 };
        let flat = Cost::of(&json!({ "properties": { "a": { "type": "string" } } })).unwrap();
        assert!(flat.explains(deep(5)) && !flat.explains(many) && flat.admits(many));
        // Of a tree each place is looked at once, of a pair of alternatives at each level twice as often.
        let tree =
            Cost::of(&json!({ "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#" } } })).unwrap();
        let branch = json!({ "properties": { "a": { "$ref": "#" } } });
        let pair = Cost::of(&json!({ "anyOf": [branch, branch] })).unwrap();
        assert!(tree.explains(deep(60)) && pair.explains(deep(3)), "control");
        assert!(!pair.explains(deep(30)) && pair.admits(deep(60)));
    }
}
