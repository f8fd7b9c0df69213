//! Changes one server in the text of `tollgate.yaml` and leaves every other byte as it is: comments, order, quotes, line ends.
//!
//! Pure: text in, text out. The result is read again, and refused unless it means what the old text meant with exactly the one
//! change. What cannot be changed like that (an alias in the place of `servers`, say) is left to the operator's own hand.

mod outline;
mod write;

use serde_json::{Map, Value};

use outline::{Entry, Mapping, Outline, Style};

/// Why a text was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is no YAML.
    #[error("it is not valid YAML: {0}")]
    Yaml(String),
    /// It is YAML, and not a mapping with a mapping of `servers`.
    #[error("{0}; change it by hand")]
    Shape(&'static str),
    /// There is such a server already.
    #[error("there is a server {0} already; replace it with --replace")]
    Exists(String),
    /// There is no such server.
    #[error("there is no server {0}")]
    Missing(String),
    /// The changed text does not mean what it should.
    #[error("its layout cannot be changed without touching more than this server; change it by hand")]
    NotKept,
}

/// What becomes of a server that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// It stays, and nothing is changed.
    Kept,
    /// It is replaced, where it stands.
    Replaced,
}

/// The text with this server in it.
///
/// # Errors
/// [`EditError`]; then nothing is to be changed.
pub fn put(text: &str, name: &str, server: &Value, existing: Existing) -> Result<String, EditError> {
    let before = meaning(text)?;
    let outline = Outline::of(text)?;
    let known = before.get("servers").and_then(|servers| servers.get(name)).is_some();
    if known && existing == Existing::Kept {
        return Err(EditError::Exists(name.to_owned()));
    }
    let changed = match (&outline.servers, known) {
        (Some(Some(servers)), true) => replaced(text, servers, name, server)?,
        (Some(Some(servers)), false) if !servers.entries.is_empty() => added(text, servers, name, server),
        (Some(_), _) => begun(text, &outline, name, server)?,
        (None, _) => appended(text, &outline, name, server)?,
    };
    let mut expected = before;
    let servers = expected.entry("servers").or_insert(Value::Null);
    if servers.is_null() {
        *servers = Value::Object(Map::new());
    }
    if let Some(servers) = servers.as_object_mut() {
        servers.insert(name.to_owned(), server.clone());
    }
    kept(changed, &expected)
}

/// The text without this server.
///
/// # Errors
/// [`EditError`]; then nothing is to be changed.
pub fn remove(text: &str, name: &str) -> Result<String, EditError> {
    let before = meaning(text)?;
    let missing = || EditError::Missing(name.to_owned());
    let outline = Outline::of(text)?;
    let servers = outline.servers.as_ref().and_then(Option::as_ref).ok_or_else(missing)?;
    let place = servers.entries.iter().position(|entry| entry.key == name).ok_or_else(missing)?;
    let changed = match servers.style {
        Style::Flow => without_flow(text, servers, place),
        Style::Block => without_block(text, &outline, servers, place)?,
    };
    let mut expected = before;
    if let Some(servers) = expected.get_mut("servers").and_then(Value::as_object_mut) {
        servers.remove(name);
    }
    kept(changed, &expected)
}

/// What a text says.
fn meaning(text: &str) -> Result<Map<String, Value>, EditError> {
    match serde_saphyr::from_str::<Value>(text) {
        Ok(Value::Null) => Ok(Map::new()),
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(EditError::Shape("it is not a mapping of settings")),
        Err(error) => Err(EditError::Yaml(error.to_string())),
    }
}

fn kept(changed: String, expected: &Map<String, Value>) -> Result<String, EditError> {
    match meaning(&changed) {
        Ok(after) if after == *expected => Ok(changed),
        Ok(_) | Err(_) => Err(EditError::NotKept),
    }
}

/// Behind the last server.
fn added(text: &str, servers: &Mapping, name: &str, server: &Value) -> String {
    let Some(last) = servers.entries.last() else { return text.to_owned() };
    match servers.style {
        Style::Flow => {
            spliced(text, last.end..last.end, &format!(", {}: {}", write::key(name), write::flow(server)))
        }
        Style::Block => {
            let indent = column(text, last.key_start);
            let at = after_comments(text, line_end(text, last.end), indent);
            let mut entry = write::block(name, server, indent, servers.step, newline(text));
            if !text.get(..at).is_some_and(|before| before.ends_with('\n')) {
                entry.insert_str(0, newline(text));
                entry.truncate(entry.len() - newline(text).len());
            }
            spliced(text, at..at, &entry)
        }
    }
}

/// In the place of a server that is there.
fn replaced(text: &str, servers: &Mapping, name: &str, server: &Value) -> Result<String, EditError> {
    let entry = servers.entries.iter().find(|entry| entry.key == name);
    // A key that is spelled in another way, such as through an alias or a merge.
    let entry = entry.ok_or(EditError::NotKept)?;
    match servers.style {
        Style::Flow => {
            let text_of = format!("{}: {}", write::key(name), write::flow(server));
            Ok(spliced(text, entry.key_start..entry.end, &text_of))
        }
        Style::Block => {
            let indent = column(text, entry.key_start);
            let written = write::block(name, server, indent, servers.step, newline(text));
            let start = entry.key_start - indent;
            let mut end = line_end(text, entry.end);
            let ended = text.get(start..end).is_some_and(|old| old.ends_with('\n'));
            let mut written = written.as_str();
            if !ended {
                end = text.len();
                written = written.strip_suffix(newline(text)).unwrap_or(written);
            }
            Ok(spliced(text, start..end, written))
        }
    }
}

/// `servers` is there and empty.
fn begun(text: &str, outline: &Outline, name: &str, server: &Value) -> Result<String, EditError> {
    let entry = outline.servers_entry().ok_or(EditError::NotKept)?;
    let colon = after_colon(text, entry).ok_or(EditError::NotKept)?;
    if outline.root_style == Some(Style::Flow) {
        let written = format!(" {{ {}: {} }}", write::key(name), write::flow(server));
        return Ok(spliced(text, colon..entry.end.max(colon), &written));
    }
    let indent = column(text, entry.key_start);
    let step = outline.step;
    let written = write::block(name, server, indent + step, step, newline(text));
    // What stands for nothing goes, what is said behind it stays.
    let without = spliced(text, colon..entry.end.max(colon), "");
    let mut at = line_end(&without, colon);
    if outline.servers.as_ref().is_some_and(Option::is_none) {
        at = after_comments(&without, at, indent + step);
    }
    let ended = without.get(..at).is_some_and(|before| before.ends_with('\n'));
    let (before, written) = match ended {
        true => ("", written.as_str()),
        false => (newline(text), written.strip_suffix(newline(text)).unwrap_or(&written)),
    };
    Ok(spliced(&without, at..at, &format!("{before}{written}")))
}

/// There is no `servers` yet.
fn appended(text: &str, outline: &Outline, name: &str, server: &Value) -> Result<String, EditError> {
    if outline.root_style == Some(Style::Flow) {
        let open = outline.root_start.ok_or(EditError::NotKept)? + 1;
        let comma = if outline.root_entries == 0 { " " } else { ", " };
        let written = format!(" servers: {{ {}: {} }}{comma}", write::key(name), write::flow(server));
        return Ok(spliced(text, open..open, &written));
    }
    let line = newline(text);
    let indent = outline.root_indent;
    let entry = write::block(name, server, indent + outline.step, outline.step, line);
    let before = if text.is_empty() || text.ends_with('\n') { "" } else { line };
    Ok(format!("{text}{before}{}servers:{line}{entry}", " ".repeat(indent)))
}

fn without_block(
    text: &str,
    outline: &Outline,
    servers: &Mapping,
    place: usize,
) -> Result<String, EditError> {
    let entry = servers.entries.get(place).ok_or(EditError::NotKept)?;
    let start = entry.key_start - column(text, entry.key_start);
    let end = line_end(text, entry.end);
    let without = spliced(text, start..end, "");
    if servers.entries.len() > 1 {
        return Ok(without);
    }
    // A mapping of nothing has to be written as one.
    let colon = outline.servers_entry().and_then(|entry| after_colon(text, entry));
    let colon = colon.ok_or(EditError::NotKept)?;
    Ok(spliced(&without, colon..colon, " {}"))
}

fn without_flow(text: &str, servers: &Mapping, place: usize) -> String {
    let Some(entry) = servers.entries.get(place) else { return text.to_owned() };
    let next = servers.entries.get(place + 1);
    let previous = place.checked_sub(1).and_then(|before| servers.entries.get(before));
    match (next, previous) {
        (Some(next), _) => spliced(text, entry.key_start..next.key_start, ""),
        (None, Some(previous)) => spliced(text, previous.end..entry.end, ""),
        (None, None) => {
            let rest = text.get(entry.end..).unwrap_or_default();
            let blank = rest.len() - rest.trim_start().len();
            let comma = usize::from(rest.trim_start().starts_with(','));
            spliced(text, entry.key_start..entry.end + (blank + 1) * comma, "")
        }
    }
}

fn spliced(text: &str, range: std::ops::Range<usize>, with: &str) -> String {
    let (before, after) = (text.get(..range.start), text.get(range.end..));
    [before.unwrap_or_default(), with, after.unwrap_or_default()].concat()
}

/// How far a place is from the start of its line.
fn column(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    at - before.rfind('\n').map_or(0, |line| line + 1)
}

/// The start of the line after a place; the place itself where it starts a line already.
fn line_end(text: &str, at: usize) -> usize {
    if at > 0 && text.get(..at).is_some_and(|before| before.ends_with('\n')) {
        return at;
    }
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |line| at + line + 1)
}

/// Behind the comment lines that follow at once and are indented like what stands before them.
fn after_comments(text: &str, mut at: usize, indent: usize) -> usize {
    while let Some(line) = text.get(at..).and_then(|rest| rest.split_inclusive('\n').next()) {
        let inner = line.trim_start_matches(' ');
        if !inner.starts_with('#') || line.len() - inner.len() < indent {
            break;
        }
        at += line.len();
    }
    at
}

/// Where the value of an entry may begin.
fn after_colon(text: &str, entry: &Entry) -> Option<usize> {
    let rest = text.get(entry.key_end..)?;
    let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest.get(blank..)?.starts_with(':').then_some(entry.key_end + blank + 1)
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests;
