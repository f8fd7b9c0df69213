//! `cargo xtask cases`: every test that `docs/reference/cases.md` names exists.
//!
//! The page says which test shows what. A test that was renamed or removed must not leave a promise behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

/// The page with the cases.
const PAGE: &str = "docs/reference/cases.md";
/// Where tests stand.
const FOLDERS: &[&str] = &["crates", "fuzz/targets", "testkit", "xtask"];

/// Checks the page of the workspace that contains the current folder.
///
/// # Errors
/// Lists every test that is named and is not there.
pub(crate) fn check() -> Result<()> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("read the workspace with cargo metadata")?;
    let root = metadata.workspace_root.as_std_path();
    let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("read {PAGE}"))?;
    let named = named(&page);
    if named.is_empty() {
        bail!("{PAGE} names no test");
    }
    let mut written = BTreeSet::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut written)?;
    }
    let missing: Vec<&str> = named.difference(&written).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!("{PAGE} names tests that do not exist:\n  {}", missing.join("\n  "));
    }
    eprintln!("cases: {} tests, each where the page says", named.len());
    Ok(())
}

/// The names of tests in the rows of the page's tables.
fn named(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(|word| word.len() > 20 && word.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_')))
        .map(str::to_owned)
        .collect()
}

/// Adds the names of the test functions in the Rust files below a folder.
fn collect(folder: &Path, written: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, written)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            written.extend(tests(&text));
        }
    }
    Ok(())
}

/// The functions that stand behind a test attribute, or in a `proptest!` block.
fn tests(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(name);
            is_test = false;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_in_the_page_and_in_the_sources() {
        let page = "`not_in_a_table_and_so_none`\n| X1 | `Mcp-Name` and `id` | `x1_a_test_of_some_length`, `x1_another_one_of_them` |\n";
        let expected = ["x1_a_test_of_some_length", "x1_another_one_of_them"];
        assert_eq!(named(page).iter().collect::<Vec<_>>(), expected);
        let source = "#[tokio::test(start_paused = true)]\nasync fn x1_a_test_of_some_length() {}\nfn a_helper() {}\n\
                      #[test]\n#[ignore]\nfn x1_another_one_of_them() {}\n";
        assert_eq!(tests(source), expected);
        assert_eq!(tests("fn x1_a_test_of_some_length() {}"), Vec::<String>::new(), "no test: no attribute");
    }
}
