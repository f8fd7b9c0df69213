//! `tools/list` results: reading the definitions, and adding to the `_meta` of each.

use bytes::Bytes;

use crate::json::{self, JsonError, Limits, Scanner};
use crate::object::{Edits, Object, members_text};

#[cfg(test)]
mod tests;

/// One tool as its server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolDefinition {
    /// Its name.
    pub name: String,
    /// What it says it does. Written by the server: material, never an instruction.
    pub description: Option<String>,
    /// Its raw `inputSchema`.
    pub input_schema: Bytes,
    /// Whether it has an `outputSchema`: what its results hold as `structuredContent`.
    pub has_output_schema: bool,
    /// The whole raw object.
    pub raw: Bytes,
}

/// One page of `tools/list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolsPage {
    /// The tools that can be called, in their order. Names may repeat: which of the two runs only the server knows.
    pub tools: Vec<ToolDefinition>,
    /// Entries that define no tool.
    pub malformed: Vec<MalformedTool>,
    /// Where the next page starts. An empty string is a cursor like any other; only `None` ends the list.
    pub next_cursor: Option<String>,
}

/// An entry that defines no tool; the others stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {index} of the tool list has no usable {member:?}")]
pub struct MalformedTool {
    /// Its place, from 0.
    pub index: usize,
    /// The first member that is absent or of another type.
    pub member: &'static str,
}

/// Why a text is no `tools/list` result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolsError {
    /// Not strict JSON.
    #[error("the tool list is not strict JSON: {0}")]
    Json(JsonError),
    /// No object with an array of objects as `tools`.
    #[error("the result has no array of tools")]
    NotAList,
    /// `nextCursor` is neither a string nor absent.
    #[error("\"nextCursor\" is not a string")]
    Cursor,
}

impl From<JsonError> for ToolsError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// One entry of `tools` by its places.
struct Entry {
    object: Object,
    meta: Option<Object>,
}

/// Reads the raw result of a `tools/list`.
pub fn parse(result: &Bytes) -> Result<ToolsPage, ToolsError> {
    let mut scanner = Scanner::new(result, Limits::UPSTREAM)?;
    let mut entries = None;
    let object = scanner.whole(|scanner| list(scanner, &mut entries))?;
    let entries = entries.ok_or(ToolsError::NotAList)?;
    let next_cursor = match object.find(result, "nextCursor").and_then(|span| result.get(span)) {
        None | Some(b"null") => None,
        Some(raw) => Some(json::string(raw).ok_or(ToolsError::Cursor)?),
    };
    let mut page = ToolsPage { tools: Vec::with_capacity(entries.len()), malformed: Vec::new(), next_cursor };
    for (index, entry) in entries.iter().enumerate() {
        match definition(result, &entry.object) {
            Ok(tool) => page.tools.push(tool),
            Err(member) => page.malformed.push(MalformedTool { index, member }),
        }
    }
    Ok(page)
}

fn definition(result: &Bytes, tool: &Object) -> Result<ToolDefinition, &'static str> {
    let raw = |member| tool.find(result, member).and_then(|span| result.get(span));
    let description = match raw("description") {
        None | Some(b"null") => None,
        Some(raw) => Some(json::string(raw).ok_or("description")?),
    };
    let schema = tool.find(result, "inputSchema").ok_or("inputSchema")?;
    let input_schema = result.slice(schema);
    if !input_schema.starts_with(b"{") {
        return Err("inputSchema");
    }
    Ok(ToolDefinition {
        name: raw("name").and_then(json::string).ok_or("name")?,
        description,
        input_schema,
        has_output_schema: raw("outputSchema").is_some_and(|schema| schema != b"null"),
        raw: result.slice(tool.span.clone()),
    })
}

fn list(scanner: &mut Scanner<'_>, entries: &mut Option<Vec<Entry>>) -> Result<Object, ToolsError> {
    if scanner.peek() != Some(b'{') {
        return Err(ToolsError::NotAList);
    }
    Object::scan(scanner, |scanner, name| {
        if name.text == "tools" {
            *entries = Some(tools(scanner)?);
        } else {
            scanner.value()?;
        }
        Ok(())
    })
}

fn tools(scanner: &mut Scanner<'_>) -> Result<Vec<Entry>, ToolsError> {
    let mut entries = Vec::new();
    if scanner.peek() != Some(b'[') {
        return Err(ToolsError::NotAList);
    }
    scanner.array(|scanner| {
        if scanner.peek() != Some(b'{') {
            return Err(ToolsError::NotAList);
        }
        let mut meta = None;
        let object = Object::scan(scanner, |scanner, name| {
            if name.text == "_meta" && scanner.peek() == Some(b'{') {
                meta = Some(Object::scan_values(scanner)?);
            } else {
                scanner.value()?;
            }
            Ok::<_, ToolsError>(())
        })?;
        entries.push(Entry { object, meta });
        Ok(())
    })?;
    Ok(entries)
}

/// A `tools/list` response with only the entries that `keep` wants; each is asked about by its raw object, in order.
///
/// Nothing else changes; a response without a list of tools (an error) is returned as it is.
pub fn retain(response: &Bytes, mut keep: impl FnMut(&Bytes) -> bool) -> Result<Bytes, ToolsError> {
    let entries = response_entries(response)?;
    let spans: Vec<_> = entries.into_iter().map(|entry| entry.object.span).collect();
    let kept: Vec<bool> = spans.iter().map(|span| keep(&response.slice(span.clone()))).collect();
    let mut edits = Edits::default();
    let mut any_kept = false;
    for (index, (span, is_kept)) in spans.iter().zip(&kept).enumerate() {
        if *is_kept {
            any_kept = true;
            continue;
        }
        // One comma goes with each entry: the one before it, or, while nothing is kept yet, the one after it.
        let before = index.checked_sub(1).and_then(|index| spans.get(index)).map(|span| span.end);
        let after = spans.get(index.saturating_add(1)).map(|span| span.start);
        let gone = match (before.filter(|_| any_kept), after) {
            (Some(before), _) => before..span.end,
            (None, Some(after)) => span.start..after,
            (None, None) => span.clone(),
        };
        edits.replace(gone, b"");
    }
    Ok(edits.apply(response))
}

/// A `tools/list` response with `_meta` members added to its tools.
///
/// `set` gives the keys and raw values for a tool by its name, and `remove` the keys that an upstream may not claim; a
/// key in both is set. Nothing else changes; a response without a list of tools (an error) is returned as it is.
pub fn enrich(
    response: &Bytes,
    mut set: impl FnMut(&str) -> Option<Vec<(String, String)>>,
    remove: impl Fn(&str) -> bool,
) -> Result<Bytes, ToolsError> {
    let entries = response_entries(response)?;
    let mut edits = Edits::default();
    for entry in &entries {
        let name =
            entry.object.find(response, "name").and_then(|span| response.get(span)).and_then(json::string);
        let members = name.and_then(|name| set(&name)).unwrap_or_default();
        let members: Vec<(&str, &str)> =
            members.iter().map(|(key, raw)| (key.as_str(), raw.as_str())).collect();
        match &entry.meta {
            Some(meta) => meta.edit(response, &members, &remove, &mut edits),
            None if members.is_empty() => {}
            None => {
                let meta = format!("{{{}}}", members_text(members.into_iter()));
                entry.object.edit(response, &[("_meta", &meta)], |_| false, &mut edits);
            }
        }
    }
    Ok(edits.apply(response))
}

/// The tools in the result of a response; none where it has no result.
fn response_entries(response: &Bytes) -> Result<Vec<Entry>, ToolsError> {
    let mut scanner = Scanner::new(response, Limits::UPSTREAM)?;
    let mut entries = None;
    scanner.whole(|scanner| {
        if scanner.peek() != Some(b'{') {
            return Err(ToolsError::NotAList);
        }
        scanner.object(|scanner, name| {
            if name.text == "result" && scanner.peek() == Some(b'{') {
                list(scanner, &mut entries)?;
            } else {
                scanner.value()?;
            }
            Ok(())
        })
    })?;
    Ok(entries.unwrap_or_default())
}
