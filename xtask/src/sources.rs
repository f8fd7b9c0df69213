//! What is checked by reading sources: which files hold a way to a server, and which carry out a call.
//!
//! Owns the two lists. Changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What of `exec` reaches a server. Everything else it exports (bodies, interception, errors) reaches nobody.
const WAYS: &[&str] = &[
    "Upstream",
    "McpClient",
    "HttpUpstream",
    "RestUpstream",
    "SseUpstream",
    "StdioUpstream",
    "http",
    "openapi",
    "sse",
    "stdio",
];

/// The files of shipped code that may hold a way to a server, each for its reason.
const HOLDERS: &[&str] = &[
    // Builds the way to each server from the configuration and hands it on.
    "crates/gateway/src/assemble.rs",
    // Takes a `Permitted` call to its server, and passes on what is no tool call.
    CARRIER,
    // Asks servers for their lists of tools.
    "crates/gateway/src/catalog.rs",
];

/// The one file that carries out calls.
const CARRIER: &str = "crates/gateway/src/carrier.rs";
/// How a call is carried out: the methods of `exec` that send one.
const CARRYING: &[&str] = &[".call_tool(", "upstream.exchange("];

/// Files of shipped code outside `exec` that could carry out a call and may not, as `file:line: what`.
///
/// # Errors
/// When a source file cannot be read.
pub(crate) fn strangers_to_exec(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in rust_files(&root.join("crates/gateway/src"))? {
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        found.extend(violations(&relative, &text));
    }
    Ok(found)
}

/// What one file does with `exec` and may not. Only `gateway` can: no other crate has an arrow to it.
fn violations(file: &str, text: &str) -> Vec<String> {
    if file.ends_with("/tests.rs") || file.contains("/tests/") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    // A `use` may go over several lines; it names what it brings in until its semicolon.
    let mut in_use = false;
    for (index, line) in code {
        let at = index.saturating_add(1);
        in_use |= line.contains("tollgate_exec::");
        let way = WAYS.iter().find(|way| in_use && names(line, way));
        if let Some(way) = way.filter(|_| !HOLDERS.contains(&file)) {
            found.push(format!("{file}:{at}: may not hold a way to a server (tollgate_exec::{way})"));
        }
        let sends = CARRYING.iter().find(|method| line.contains(**method));
        if let Some(method) = sends.filter(|_| file != CARRIER) {
            found.push(format!("{file}:{at}: only {CARRIER} carries out a call ({method}…))"));
        }
        in_use &= !line.contains(';');
    }
    found
}

/// Whether a line names this item as a whole word.
fn names(line: &str, item: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.split(|c| !is_word(c)).any(|word| word == item)
}

/// Every `.rs` file below `folder`, in order.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_files_hold_a_way_to_a_server() {
        for line in [
            "use tollgate_exec::Upstream;\n",
            "use tollgate_exec::{\n    Body,\n    McpClient,\n};\n",
            "let client = tollgate_exec::McpClient::new(upstream, limits);\n",
        ] {
            assert_eq!(
                violations("crates/gateway/src/carrier.rs", line),
                Vec::<String>::new(),
                "positive control: {line}"
            );
            assert_eq!(violations("crates/gateway/src/doors/mcp.rs", line).len(), 1, "{line}");
        }
        for line in [
            "use tollgate_exec::{Body, UpstreamError};\nuse tower::Upstream;\n",
            "// tollgate_exec::Upstream is elsewhere\n",
            "use http::Request;\n",
        ] {
            assert_eq!(violations("crates/gateway/src/doors/mcp.rs", line), Vec::<String>::new(), "{line}");
        }
        assert_eq!(
            violations("crates/gateway/src/carrier/tests.rs", "use tollgate_exec::Upstream;\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn only_one_file_carries_out_a_call() {
        for line in ["self.client.call_tool(name, arguments).await", "upstream.exchange(request).await"] {
            assert_eq!(violations(CARRIER, line), Vec::<String>::new(), "positive control");
            assert_eq!(violations("crates/gateway/src/catalog.rs", line).len(), 1, "{line}");
        }
    }
}
