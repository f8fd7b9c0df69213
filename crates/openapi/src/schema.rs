//! Schemas of the document as JSON Schemas that stand alone.
//!
//! References are resolved in place, because many MCP clients read none. Where a schema contains itself, the inner one accepts
//! anything; the API has the last word there. Both eras of OpenAPI's dialect become JSON Schema 2020-12.

use serde_json::{Map, Value, json};

use crate::document::{Document, Limits, Problem, left_out};

/// Whose side of the exchange a schema describes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// What is sent: without what only the API may set.
    Input,
    /// What is answered: without what is only sent.
    Output,
}

/// What is written of one tool's schemas is counted here.
#[derive(Debug)]
pub(crate) struct Schemas<'a> {
    document: &'a Document,
    bytes_left: usize,
    depth_max: usize,
    /// The references that are being resolved, to see a schema that contains itself.
    open: Vec<String>,
}

/// What a node costs besides its literals: about its brackets and its name.
const NODE_BYTES: usize = 16;

/// Keywords whose value is one schema.
const ONE: [&str; 11] = [
    "items",
    "additionalProperties",
    "additionalItems",
    "not",
    "contains",
    "propertyNames",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is a map of schemas.
const MAP: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];
/// Keywords of this document, of OpenAPI, or without a meaning once references are resolved.
const DROPPED: [&str; 16] = [
    "$schema",
    "$id",
    "id",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveAnchor",
    "$recursiveRef",
    "$vocabulary",
    "$comment",
    "$defs",
    "definitions",
    "discriminator",
    "xml",
    "externalDocs",
    "example",
];

impl<'a> Schemas<'a> {
    pub(crate) fn new(document: &'a Document, limits: &Limits) -> Self {
        let (bytes_left, depth_max) = (limits.schema_bytes_max, limits.schema_depth_max);
        Self { document, bytes_left, depth_max, open: Vec::new() }
    }

    /// How much has been written, in bytes, of `limits`.
    pub(crate) fn bytes(&self, limits: &Limits) -> usize {
        limits.schema_bytes_max.saturating_sub(self.bytes_left)
    }

    /// One schema that stands alone.
    pub(crate) fn alone(&mut self, schema: &Value, side: Side) -> Result<Value, Problem> {
        self.open.clear();
        self.schema(schema, side, 0)
    }

    fn schema(&mut self, schema: &Value, side: Side, depth: usize) -> Result<Value, Problem> {
        if depth > self.depth_max {
            return left_out(format!("a schema nests deeper than {} levels", self.depth_max));
        }
        self.spend(NODE_BYTES)?;
        match schema {
            Value::Bool(_) => Ok(schema.clone()),
            Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
                Some(reference) => self.reference(reference, members, side, depth),
                None => self.members(members, side, depth),
            },
            _ => left_out("a schema is no object"),
        }
    }

    fn reference(
        &mut self,
        reference: &str,
        members: &Map<String, Value>,
        side: Side,
        depth: usize,
    ) -> Result<Value, Problem> {
        let target = self.document.target(reference, "a schema")?;
        if self.open.iter().any(|open| open == reference) {
            return Ok(json!({}));
        }
        self.open.push(reference.to_owned());
        let resolved = self.schema(target, side, depth.saturating_add(1));
        self.open.pop();
        let mut resolved = resolved?;
        let mut beside = members.clone();
        beside.remove("$ref");
        if let (Some(own), Value::Object(resolved)) = (beside.remove("description"), &mut resolved) {
            self.spend(own.as_str().map_or(0, str::len))?;
            resolved.insert("description".to_owned(), own);
        }
        let beside = self.members(&beside, side, depth.saturating_add(1))?;
        if beside.as_object().is_none_or(Map::is_empty) {
            return Ok(resolved);
        }
        Ok(json!({ "allOf": [resolved, beside] }))
    }

    fn members(&mut self, members: &Map<String, Value>, side: Side, depth: usize) -> Result<Value, Problem> {
        let inner = depth.saturating_add(1);
        let mut written = Map::new();
        for (keyword, value) in members {
            let key = keyword.as_str();
            let value = match value {
                _ if DROPPED.contains(&key) || key.starts_with("x-") => continue,
                Value::Object(_) | Value::Bool(_) if ONE.contains(&key) => self.schema(value, side, inner)?,
                Value::Array(schemas) if LIST.contains(&key) => {
                    let schemas: Result<Vec<Value>, Problem> =
                        schemas.iter().map(|schema| self.schema(schema, side, inner)).collect();
                    Value::Array(schemas?)
                }
                Value::Object(schemas) if MAP.contains(&key) => {
                    let mut map = Map::new();
                    for (name, schema) in schemas {
                        self.spend(name.len())?;
                        map.insert(name.clone(), self.schema(schema, side, inner)?);
                    }
                    Value::Object(map)
                }
                literal => {
                    self.spend(literal.to_string().len().saturating_add(key.len()))?;
                    literal.clone()
                }
            };
            written.insert(keyword.clone(), value);
        }
        modernise(&mut written);
        one_sided(&mut written, side);
        Ok(Value::Object(written))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Problem> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => left_out("its schemas are too long once their references are resolved"),
        }
    }
}

/// What OpenAPI 3.0 says in its own way: `nullable`, and bounds that are exclusive by a flag.
fn modernise(schema: &mut Map<String, Value>) {
    if schema.remove("nullable") == Some(Value::Bool(true)) {
        if let Some(Value::String(name)) = schema.get("type").cloned() {
            schema.insert("type".to_owned(), json!([name, "null"]));
        }
        if let Some(Value::Array(values)) = schema.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    }
    for (exclusive, inclusive) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match schema.get(exclusive) {
            Some(Value::Bool(true)) => match schema.remove(inclusive) {
                Some(bound) => {
                    schema.insert(exclusive.to_owned(), bound);
                }
                None => {
                    schema.remove(exclusive);
                }
            },
            Some(Value::Bool(false)) => {
                schema.remove(exclusive);
            }
            _ => {}
        }
    }
}

/// Leaves out the properties that only the other side may set.
fn one_sided(schema: &mut Map<String, Value>, side: Side) {
    let flag = match side {
        Side::Input => "readOnly",
        Side::Output => "writeOnly",
    };
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    let is_theirs = |schema: &Value| schema.get(flag) == Some(&Value::Bool(true));
    let theirs: Vec<String> =
        properties.iter().filter(|(_, schema)| is_theirs(schema)).map(|(name, _)| name.clone()).collect();
    for name in &theirs {
        properties.remove(name);
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name.as_str().is_none_or(|name| !theirs.iter().any(|their| their == name)));
    }
}
