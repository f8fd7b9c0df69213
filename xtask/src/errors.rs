//! `cargo xtask errors`: every error code of the gate has a page under `docs/errors`, and every page a code.
//!
//! A page answers whoever met the code: what happened, whether money moved, what to do next, whether a retry is safe, what
//! the answer looks like, and its numbers. The codes are read from the one table in `crates/gate/src/code.rs`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

/// The table of codes.
const TABLE: &str = "crates/gate/src/code.rs";
/// The folder of the pages.
const PAGES: &str = "docs/errors";
/// The page that lists the others.
const INDEX: &str = "README";
/// The headings every page has.
const HEADINGS: &[&str] =
    &["What happened", "Did money move", "What to do next", "Is a retry safe", "Sample"];

/// A code with its numbers, as the table writes them: `NAME = "word", 402, -31002, AfterChange;`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Code {
    word: String,
    http: String,
    json_rpc: String,
}

/// Checks the pages of the workspace that contains the current folder.
///
/// # Errors
/// Lists every page that is missing, left over or incomplete.
pub(crate) fn check() -> Result<()> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("read the workspace with cargo metadata")?;
    let root = metadata.workspace_root.as_std_path();
    let table = fs::read_to_string(root.join(TABLE)).with_context(|| format!("read {TABLE}"))?;
    let codes = codes(&table);
    if codes.is_empty() {
        bail!("{TABLE} holds no line such as NAME = \"word\", 402, -31002, AfterChange;");
    }
    let pages = pages(&root.join(PAGES))?;
    let problems = problems(&codes, &pages);
    if !problems.is_empty() {
        bail!("{PAGES} differs from {TABLE}:\n  {}", problems.join("\n  "));
    }
    eprintln!("errors: {} codes, each with its page", codes.len());
    Ok(())
}

/// The codes of the table, in its order.
fn codes(table: &str) -> Vec<Code> {
    table.lines().filter_map(code).collect()
}

fn code(line: &str) -> Option<Code> {
    let (_, rest) = line.trim().strip_suffix(';')?.split_once(" = \"")?;
    let (word, numbers) = rest.split_once("\", ")?;
    let mut numbers = numbers.split(", ");
    let (http, json_rpc) = (numbers.next()?, numbers.next()?);
    let is_number = |text: &str| text.parse::<i64>().is_ok();
    (is_number(http) && is_number(json_rpc)).then(|| Code {
        word: word.to_owned(),
        http: http.to_owned(),
        json_rpc: json_rpc.to_owned(),
    })
}

/// The pages by name, with their text.
fn pages(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        pages.push((name.trim_end_matches(".md").to_owned(), text));
    }
    pages.sort();
    Ok(pages)
}

fn problems(codes: &[Code], pages: &[(String, String)]) -> Vec<String> {
    let mut problems = Vec::new();
    let page = |name: &str| pages.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
    let index = page(INDEX).unwrap_or_default();
    for code in codes {
        let word = &code.word;
        if !index.contains(&format!("({word}.md)")) {
            problems.push(format!("{INDEX}.md does not link {word}.md"));
        }
        let Some(text) = page(word) else {
            problems.push(format!("{word}.md is missing"));
            continue;
        };
        let headings = HEADINGS.iter().filter(|heading| !text.lines().any(|line| is_heading(line, heading)));
        problems.extend(headings.map(|heading| format!("{word}.md has no heading \"{heading}\"")));
        for number in [&code.http, &code.json_rpc] {
            if !text.contains(number.as_str()) {
                problems.push(format!("{word}.md does not give its number {number}"));
            }
        }
    }
    let known = |name: &str| name == INDEX || codes.iter().any(|code| code.word == name);
    problems.extend(
        pages.iter().filter(|(name, _)| !known(name)).map(|(name, _)| format!("{name}.md has no code")),
    );
    problems
}

fn is_heading(line: &str, heading: &str) -> bool {
    line.starts_with('#')
        && line.trim_start_matches('#').trim().trim_end_matches('?').eq_ignore_ascii_case(heading)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "codes! {\n    UNKNOWN_TOOL = \"unknown_tool\", 404, -32602, AfterChange;\n}\nlet x = \"y\";\n";

    fn page(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    fn whole_page() -> String {
        let headings: Vec<String> = HEADINGS.iter().map(|heading| format!("## {heading}?\n")).collect();
        format!("# unknown_tool\nHTTP 404, JSON-RPC -32602\n{}", headings.concat())
    }

    #[test]
    fn the_table_of_codes_is_read() {
        let expected =
            Code { word: "unknown_tool".to_owned(), http: "404".to_owned(), json_rpc: "-32602".to_owned() };
        assert_eq!(codes(TABLE), [expected]);
    }

    #[test]
    fn a_missing_a_leftover_and_an_incomplete_page_are_found() {
        let index = page("README", "[unknown_tool](unknown_tool.md)");
        let whole = [index.clone(), page("unknown_tool", &whole_page())];
        assert_eq!(problems(&codes(TABLE), &whole), Vec::<String>::new(), "positive control");

        let missing = problems(&codes(TABLE), std::slice::from_ref(&index));
        assert_eq!(missing, ["unknown_tool.md is missing"]);
        let leftover = [whole[0].clone(), whole[1].clone(), page("old_code", "")];
        assert_eq!(problems(&codes(TABLE), &leftover), ["old_code.md has no code"]);
        let unlisted = [page("README", ""), whole[1].clone()];
        assert_eq!(problems(&codes(TABLE), &unlisted), ["README.md does not link unknown_tool.md"]);
        let incomplete =
            [index, page("unknown_tool", &whole_page().replace("## Sample", "").replace("404", "400"))];
        assert_eq!(problems(&codes(TABLE), &incomplete).len(), 2);
    }
}
