//! Many lists as one: items of every server in the order of the servers, each with the bytes it came in.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_domain::ServerName;
use tollgate_mcp::era::SERVER_INFO_KEY;
use tollgate_mcp::json::quote;
use tollgate_mcp::{Era, raw};

use crate::cursor::Cursor;
use crate::introductions::{FEDERATION_META, failures_json, server_info};

#[cfg(test)]
mod tests;

/// What is listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
    /// `tasks/list` (2025-11-25)
    Tasks,
}

impl Kind {
    /// The kind that a method lists.
    pub fn of_method(method: &str) -> Option<Self> {
        match method {
            "tools/list" => Some(Self::Tools),
            "prompts/list" => Some(Self::Prompts),
            "resources/list" => Some(Self::Resources),
            "resources/templates/list" => Some(Self::Templates),
            "tasks/list" => Some(Self::Tasks),
            _ => None,
        }
    }

    /// The method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Tasks => "tasks/list",
        }
    }

    /// The member of the result with the items.
    pub const fn items(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Tasks => "tasks",
        }
    }
}

/// One page of one server's list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The raw items.
    pub items: Vec<Bytes>,
    /// Where its list goes on.
    pub next: Option<String>,
    /// For how long it may be kept; 0 where it does not say.
    pub ttl_ms: u64,
    /// Whether anybody may be given it. `false` where it does not say.
    pub is_public: bool,
}

/// Why a result is no page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListError {
    /// No array of items.
    #[error("the result has no list of {0}")]
    NotAList(&'static str),
    /// `nextCursor` is neither a string nor absent.
    #[error("\"nextCursor\" is not a string")]
    Cursor,
}

/// Reads the raw result of a list request.
///
/// # Errors
/// [`ListError`].
pub fn page(kind: Kind, result: &Bytes) -> Result<Page, ListError> {
    let not_a_list = ListError::NotAList(kind.items());
    let items = raw::member(result, kind.items()).ok_or(not_a_list)?;
    let items = raw::elements(&items).map_err(|_| not_a_list)?;
    let next = match raw::member(result, "nextCursor").as_deref() {
        None | Some(b"null") => None,
        Some(_) => Some(raw::text(result, "nextCursor").ok_or(ListError::Cursor)?),
    };
    let ttl_ms = raw::member(result, "ttlMs")
        .and_then(|raw| std::str::from_utf8(&raw).ok()?.parse().ok())
        .unwrap_or_default();
    let is_public = raw::text(result, "cacheScope").is_some_and(|scope| scope == "public");
    Ok(Page { items, next, ttl_ms, is_public })
}

/// A page and whose it is. Its items already have their names at this door.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The server.
    pub server: ServerName,
    /// Its page.
    pub page: Page,
}

/// The reason of a server that does not speak the era of the request.
pub const OTHER_ERA: &str = "speaks_another_era";

/// A server that gave no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The server.
    pub server: ServerName,
    /// A word for why.
    pub reason: &'static str,
}

/// The raw result with all parts, which stand in the order of the servers. Who gave no answer is named in `_meta`.
///
/// May be kept for as long as the shortest-lived part, and given to anybody only if every part may and none is missing.
pub fn merged(kind: Kind, era: Era, parts: &[Part], failures: &[Failure]) -> Bytes {
    let length: usize = parts.iter().flat_map(|part| &part.page.items).map(|item| item.len() + 1).sum();
    let mut out = Vec::with_capacity(length + 512);
    out.push(b'{');
    if era == Era::Modern {
        out.extend_from_slice(b"\"resultType\":\"complete\",");
    }
    out.extend_from_slice(format!("\"{}\":[", kind.items()).as_bytes());
    for (index, item) in parts.iter().flat_map(|part| &part.page.items).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item);
    }
    out.push(b']');
    let next = parts.iter().filter_map(|part| Some((part.server.clone(), part.page.next.clone()?)));
    let next = Cursor { parts: next.collect() };
    if !next.parts.is_empty() {
        out.extend_from_slice(format!(",\"nextCursor\":{}", quote(&next.encode(kind))).as_bytes());
    }
    let mut meta = serde_json::Map::new();
    if era == Era::Modern {
        let is_public = failures.is_empty() && parts.iter().all(|part| part.page.is_public);
        let ttl_ms = if failures.is_empty() { parts.iter().map(|part| part.page.ttl_ms).min() } else { None };
        let scope = if is_public { "public" } else { "private" };
        let hints = format!(",\"ttlMs\":{},\"cacheScope\":\"{scope}\"", ttl_ms.unwrap_or_default());
        out.extend_from_slice(hints.as_bytes());
        meta.insert(SERVER_INFO_KEY.to_owned(), server_info());
    }
    if !failures.is_empty() {
        meta.insert(FEDERATION_META.to_owned(), json!({ "failed": failures_json(failures) }));
    }
    if !meta.is_empty() {
        out.extend_from_slice(format!(",\"_meta\":{}", Value::Object(meta)).as_bytes());
    }
    out.push(b'}');
    out.into()
}
