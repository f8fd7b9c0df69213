//! One document: read within its bounds, and the references inside it.

use serde_json::{Map, Value};

/// Bounds of a document and of what is made of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest document, in bytes.
    pub document_bytes_max: usize,
    /// How many operations it may have.
    pub operations_max: usize,
    /// About how many bytes the schemas of one tool may have once their references are resolved.
    pub schema_bytes_max: usize,
    /// The same for all tools together.
    pub all_schemas_bytes_max: usize,
    /// How deep a schema may nest once its references are resolved.
    pub schema_depth_max: usize,
}

impl Default for Limits {
    /// 4 MiB, 1,000 operations, 128 KiB per tool, 16 MiB in all, 40 levels.
    fn default() -> Self {
        Self {
            document_bytes_max: 4 * 1024 * 1024,
            operations_max: 1_000,
            schema_bytes_max: 128 * 1024,
            all_schemas_bytes_max: 16 * 1024 * 1024,
            schema_depth_max: 40,
        }
    }
}

/// Why a document cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenApiError {
    /// Longer than the limit.
    #[error("the document is longer than {0} bytes")]
    TooLarge(usize),
    /// Neither JSON nor YAML, nested too deep, or with a key twice.
    #[error("the document is neither JSON nor YAML that can be read: {0}")]
    Unreadable(String),
    /// Not OpenAPI 3.0 or 3.1.
    #[error("the document is not OpenAPI 3.0 or 3.1, but {0}")]
    Version(String),
    /// It refers to another document, which is never fetched.
    #[error("{at} refers to another document, {reference:?}: bundle the documents into one")]
    RemoteReference {
        /// Where.
        at: String,
        /// To what.
        reference: String,
    },
    /// Two operations would have the same tool name.
    #[error("{first} and {second} would both be the tool {name:?}: give each an operationId of its own")]
    DuplicateName {
        /// The name.
        name: String,
        /// One operation.
        first: String,
        /// The other one.
        second: String,
    },
    /// It has no operation that can be called.
    #[error("no operation of the document can be called{0}")]
    NoTools(String),
    /// More operations than allowed.
    #[error("the document has more than {0} operations")]
    TooManyOperations(usize),
    /// The schemas of all tools are longer than allowed.
    #[error("the schemas of all tools are longer than {0} bytes")]
    SchemasTooLarge(usize),
}

/// Why one operation is left out, or the whole document is no good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Problem {
    Document(OpenApiError),
    Operation(String),
}

impl From<OpenApiError> for Problem {
    fn from(error: OpenApiError) -> Self {
        Self::Document(error)
    }
}

/// Leaves out an operation, with the reason.
pub(crate) fn left_out<T>(reason: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Operation(reason.into()))
}

/// What an anchor that is used again and again may add, in parser events.
const REPLAYED_EVENTS_MAX: usize = 50_000;

/// Duplicate keys are refused, and so is a document that grows by its anchors.
fn yaml() -> serde_saphyr::Options {
    let mut options = serde_saphyr::Options::default();
    options.alias_limits.max_total_replayed_events = REPLAYED_EVENTS_MAX;
    options.with_snippet = false;
    options
}

/// How many references may lead to one another.
const HOPS_MAX: usize = 16;

/// A document that is OpenAPI 3.
#[derive(Debug)]
pub(crate) struct Document {
    root: Value,
}

impl Document {
    pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Self, OpenApiError> {
        if bytes.len() > limits.document_bytes_max {
            return Err(OpenApiError::TooLarge(limits.document_bytes_max));
        }
        let unreadable = |error: String| OpenApiError::Unreadable(error.chars().take(300).collect());
        let text = std::str::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
        let text = text.trim_start_matches('\u{feff}');
        let root: Value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?
        } else {
            serde_saphyr::from_str_with_options(text, yaml())
                .map_err(|error| unreadable(error.to_string()))?
        };
        match root.get("openapi").and_then(Value::as_str) {
            Some(version) if version.starts_with("3.0.") || version.starts_with("3.1.") => Ok(Self { root }),
            Some(other) => Err(OpenApiError::Version(format!(
                "version {:?}",
                other.chars().take(20).collect::<String>()
            ))),
            None if root.get("swagger").is_some() => Err(OpenApiError::Version("Swagger 2".to_owned())),
            None => Err(OpenApiError::Version("something without an `openapi` member".to_owned())),
        }
    }

    /// A text of the document's own description.
    pub(crate) fn info(&self, member: &str) -> Option<&str> {
        self.root.get("info")?.get(member)?.as_str()
    }

    /// The paths, each with its path item.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&str, &Value)> {
        let paths = self.root.get("paths").and_then(Value::as_object);
        paths.into_iter().flatten().map(|(path, item)| (path.as_str(), item))
    }

    /// Follows references until something that is none. What stands beside a reference is not looked at.
    pub(crate) fn object<'a>(
        &'a self,
        value: &'a Value,
        at: &str,
    ) -> Result<&'a Map<String, Value>, Problem> {
        let mut value = value;
        for _ in 0..HOPS_MAX {
            let Some(object) = value.as_object() else {
                return left_out(format!("{at} is no object"));
            };
            match object.get("$ref").and_then(Value::as_str) {
                None => return Ok(object),
                Some(reference) => value = self.target(reference, at)?,
            }
        }
        left_out(format!("the references of {at} go in circles"))
    }

    /// What a reference within this document leads to.
    pub(crate) fn target(&self, reference: &str, at: &str) -> Result<&Value, Problem> {
        let Some(pointer) = reference.strip_prefix('#') else {
            let (at, reference) = (at.to_owned(), reference.chars().take(200).collect());
            return Err(OpenApiError::RemoteReference { at, reference }.into());
        };
        match self.root.pointer(pointer).filter(|_| pointer.starts_with('/')) {
            Some(target) => Ok(target),
            None => left_out(format!("{at} refers to {reference:?}, which is not there")),
        }
    }
}
