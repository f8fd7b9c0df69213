//! One form and one hash of a tool's definition. Never decides what of it is harmless.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;
use tollgate_domain::Digest;
use tollgate_mcp::JsonError;
use tollgate_mcp::canonical::{canonical, canonical_without};
use tollgate_mcp::json::lookup;

/// The largest definition that can be pinned. Honest ones have a few kilobytes; nobody reviews more.
pub const DEFINITION_BYTES_MAX: usize = 256 * 1024;

/// Members of `_meta` that belong to one exchange (W3C trace context, MCP SEP-414) and not to the tool.
const PER_EXCHANGE: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// A tool's definition in its canonical form: everything that a client or a model can read of it.
///
/// The form is that of [`tollgate_mcp::canonical`]: members sorted, no whitespace, numbers as they were spelled. All
/// members count, known and unknown alike, since a model may be shown any of them. Left out are only those of `_meta`
/// that no client gets to see (the gateway's own keys) or that belong to one exchange; an empty `_meta` is none.
#[derive(Clone, PartialEq, Eq)]
pub struct Definition {
    text: Arc<str>,
    hash: Digest,
}

/// Why a text is no definition that can be pinned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// Not strict JSON.
    #[error("the definition is not strict JSON: {0}")]
    Json(JsonError),
    /// Not an object.
    #[error("the definition is no JSON object")]
    NotAnObject,
    /// Longer than [`DEFINITION_BYTES_MAX`].
    #[error("the definition has {bytes} bytes, more than {DEFINITION_BYTES_MAX}")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// A stored definition is not the one of its hash.
    #[error("the stored definition does not have the hash {0}")]
    OtherHash(Digest),
}

impl From<JsonError> for DefinitionError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl Definition {
    /// The definition in an entry of `tools/list`. `is_ours` names the keys of `_meta` that the gateway takes away, or
    /// writes itself, before a client reads them.
    ///
    /// # Errors
    /// [`DefinitionError`]; such a tool cannot be pinned, and so cannot be approved.
    pub fn read(raw: &[u8], is_ours: impl Fn(&str) -> bool) -> Result<Self, DefinitionError> {
        if raw.len() > DEFINITION_BYTES_MAX {
            return Err(DefinitionError::TooLarge { bytes: raw.len() });
        }
        if !raw.trim_ascii_start().starts_with(b"{") {
            return Err(DefinitionError::NotAnObject);
        }
        let form = match lookup(raw, &["_meta"])? {
            Some(meta) if meta.starts_with(b"{") => with_lasting_meta(raw, meta, is_ours)?,
            Some(_) | None => canonical(raw)?,
        };
        Ok(Self::of_form(&String::from_utf8_lossy(&form)))
    }

    /// A definition that was kept by its [`text`](Self::text).
    ///
    /// # Errors
    /// [`DefinitionError::OtherHash`] when it is another one by now.
    pub fn stored(text: &str, hash: Digest) -> Result<Self, DefinitionError> {
        let stored = Self::of_form(text);
        if stored.hash == hash { Ok(stored) } else { Err(DefinitionError::OtherHash(hash)) }
    }

    fn of_form(text: &str) -> Self {
        Self { hash: Digest::of(text.as_bytes()), text: text.into() }
    }

    /// The canonical form: a JSON object.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the canonical form: what an approval is bound to.
    pub fn hash(&self) -> Digest {
        self.hash
    }
}

/// A definition is written by a stranger: its text does not belong into a log by accident.
impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Definition({})", self.hash)
    }
}

/// The canonical form with the lasting members of `_meta` alone.
fn with_lasting_meta(
    raw: &[u8],
    meta: &[u8],
    is_ours: impl Fn(&str) -> bool,
) -> Result<Vec<u8>, DefinitionError> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(meta).unwrap_or_default();
    let passing: Vec<&str> =
        members.keys().map(String::as_str).filter(|key| PER_EXCHANGE.contains(key) || is_ours(key)).collect();
    let kept = canonical_without(meta, &passing)?;
    let mut rest = canonical_without(raw, &["_meta"])?;
    if kept == b"{}" {
        return Ok(rest);
    }
    let mut whole = b"{\"_meta\":".to_vec();
    whole.extend_from_slice(&kept);
    if rest != b"{}" {
        whole.push(b',');
    }
    whole.extend(rest.drain(1..));
    if whole.last() != Some(&b'}') {
        whole.push(b'}');
    }
    // Once more: the member goes to its place.
    Ok(canonical(&whole)?)
}

#[cfg(test)]
mod tests;
