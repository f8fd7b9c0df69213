//! `Mcp-Param-*`: arguments that a tool's schema asks to see in a header (`server/tools`, `x-mcp-header`).

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use super::{HeaderMismatch, decode, single};
use crate::json;

const ANNOTATION: &str = "x-mcp-header";
/// 2^53 − 1: the largest integer that every reader of JSON keeps exact.
const INTEGER_MAX: i64 = 9_007_199_254_740_991;

/// What kind of argument may be mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// Compared as text.
    String,
    /// Compared as a number within ±(2^53 − 1).
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// One argument that a header mirrors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirroredParam {
    header: HeaderName,
    path: Vec<String>,
    kind: ParamType,
}

impl MirroredParam {
    /// The header: `mcp-param-…`.
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// The chain of member names from the arguments to the value.
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// The type that the schema states.
    pub fn kind(&self) -> ParamType {
        self.kind
    }
}

/// Why the annotations of a schema are invalid; clients drop such a tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// The schema is not readable JSON.
    #[error("the input schema is not JSON")]
    NotJson,
    /// Empty, no RFC 9110 token, or no string.
    #[error("{ANNOTATION} at {path} is not a header name")]
    NotAName {
        /// Where, as a chain of property names.
        path: String,
    },
    /// Two annotations differ in nothing but case.
    #[error("{ANNOTATION} at {path} is used twice")]
    Repeated {
        /// Where the second one stands.
        path: String,
    },
    /// Not a string, an integer or a boolean.
    #[error("{ANNOTATION} at {path} is on a property that is no string, integer or boolean")]
    NotPrimitive {
        /// Where.
        path: String,
    },
    /// Reached through anything but `properties`.
    #[error("{ANNOTATION} below {path} is not reachable through properties alone")]
    NotReachable {
        /// The last property on the way.
        path: String,
    },
}

/// The arguments that `input_schema` (raw JSON) asks to mirror.
pub fn mirrored_params(input_schema: &[u8]) -> Result<Vec<MirroredParam>, AnnotationError> {
    let schema: Value = serde_json::from_slice(input_schema).map_err(|_| AnnotationError::NotJson)?;
    let mut found = Vec::new();
    walk(&schema, &mut Vec::new(), true, &mut found)?;
    Ok(found)
}

/// `reachable`: every step from the root was a `properties` keyword.
fn walk(
    schema: &Value,
    path: &mut Vec<String>,
    reachable: bool,
    found: &mut Vec<MirroredParam>,
) -> Result<(), AnnotationError> {
    let Value::Object(schema) = schema else {
        return Ok(());
    };
    if let Some(annotation) = schema.get(ANNOTATION) {
        if !reachable || path.is_empty() {
            return Err(AnnotationError::NotReachable { path: path.join(".") });
        }
        found.push(mirrored(annotation, schema, path, found)?);
    }
    for (keyword, value) in schema {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    path.push(name.clone());
                    walk(property, path, reachable, found)?;
                    path.pop();
                }
            }
            // Plain data, where the word means nothing.
            ("default" | "const" | "enum" | "examples", _) => {}
            // Maps from names to schemas: a name is not a keyword.
            ("$defs" | "definitions" | "patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                for schema in schemas.values() {
                    walk(schema, path, false, found)?;
                }
            }
            (_, Value::Array(schemas)) => {
                for schema in schemas {
                    walk(schema, path, false, found)?;
                }
            }
            (_, value) => walk(value, path, false, found)?,
        }
    }
    Ok(())
}

fn mirrored(
    annotation: &Value,
    schema: &Map<String, Value>,
    path: &[String],
    found: &[MirroredParam],
) -> Result<MirroredParam, AnnotationError> {
    let place = || path.join(".");
    let name = annotation.as_str().filter(|name| !name.is_empty());
    let header = name.and_then(|name| HeaderName::from_bytes(format!("mcp-param-{name}").as_bytes()).ok());
    let header = header.ok_or_else(|| AnnotationError::NotAName { path: place() })?;
    // `HeaderName` is lower case, so this ignores case.
    if found.iter().any(|other| other.header == header) {
        return Err(AnnotationError::Repeated { path: place() });
    }
    let kind = match schema.get("type").and_then(Value::as_str) {
        Some("string") => ParamType::String,
        Some("integer") => ParamType::Integer,
        Some("boolean") => ParamType::Boolean,
        _ => return Err(AnnotationError::NotPrimitive { path: place() }),
    };
    Ok(MirroredParam { header, path: path.to_vec(), kind })
}

/// Checks that each mirrored argument that is present and not null stands in its header, and no other does.
/// `arguments` is the raw object of a parsed call.
pub fn check_params(
    headers: &HeaderMap,
    arguments: &[u8],
    mirrored: &[MirroredParam],
) -> Result<(), HeaderMismatch> {
    for param in mirrored {
        let header = || param.header.clone();
        let path: Vec<&str> = param.path.iter().map(String::as_str).collect();
        let argument =
            json::lookup(arguments, &path).map_err(|_| HeaderMismatch::Differs { header: header() })?;
        let argument = argument.filter(|raw| *raw != b"null");
        let value = single(headers, &param.header)?.map(|value| decode(&param.header, value)).transpose()?;
        match (argument, value) {
            (None, None) => {}
            (Some(raw), Some(value)) if same(raw, &value) => {}
            (Some(_), None) => return Err(HeaderMismatch::Missing { header: header() }),
            (_, Some(_)) => return Err(HeaderMismatch::Differs { header: header() }),
        }
    }
    Ok(())
}

/// Compares by the type of the argument itself: the schema is checked elsewhere.
fn same(raw: &[u8], header: &str) -> bool {
    match raw.first() {
        Some(b'"') => json::string(raw).is_some_and(|text| text == header),
        Some(b't' | b'f') => raw == header.as_bytes(),
        Some(b'-' | b'0'..=b'9') => {
            let argument = std::str::from_utf8(raw).ok().and_then(integer);
            argument.is_some() && argument == integer(header)
        }
        _ => false,
    }
}

/// A whole number within the safe range; `42.0` is one.
fn integer(text: &str) -> Option<i64> {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    if !whole.bytes().enumerate().all(|(at, byte)| byte.is_ascii_digit() || (at == 0 && byte == b'-')) {
        return None;
    }
    whole.parse().ok().filter(|value: &i64| (-INTEGER_MAX..=INTEGER_MAX).contains(value))
}
