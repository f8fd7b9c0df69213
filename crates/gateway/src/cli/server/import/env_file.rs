//! A file of variables beside a client's own (`envFile` of VS Code and Cursor).
//!
//! Clients read such files a little differently from each other. What they agree about is read; the rest is refused by its line, and no
//! value is ever printed.

use std::collections::BTreeMap;
use std::path::Path;

/// Longer than any file that somebody wrote.
const BYTES_MAX: u64 = 1024 * 1024;

/// The variables of a file; a relative path starts at the project's folder.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub(super) fn read(path: &Path, workspace: Option<&Path>) -> Result<BTreeMap<String, String>, String> {
    let path = match workspace {
        Some(folder) => folder.join(path),
        None if path.is_absolute() => path.to_owned(),
        None => return Err("write the whole path: the project's folder is not known here".to_owned()),
    };
    let length = std::fs::metadata(&path).map_err(|error| format!("it cannot be read: {error}"))?.len();
    if length > BYTES_MAX {
        return Err(format!("it is longer than {BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("it cannot be read: {error}"))?;
    parse(&text)
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1_u64..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, rest) = line
            .split_once('=')
            .map(|(name, rest)| (name.trim(), rest.trim()))
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| format!("line {number} is not NAME=VALUE"))?;
        let value = value(rest).ok_or_else(|| {
            format!("line {number}: put the value of {name} between quotes of one kind that are not in it, on one line")
        })?;
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && text.chars().all(is_part)
}

/// A value without its quotes and the comment behind it; `None` where clients would disagree.
fn value(text: &str) -> Option<String> {
    const QUOTES: [char; 3] = ['"', '\'', '`'];
    let Some(quote) = text.chars().next().filter(|first| QUOTES.contains(first)) else {
        let bare = text.split('#').next().unwrap_or_default().trim_end();
        return (!bare.contains(QUOTES)).then(|| bare.to_owned());
    };
    let (inner, behind) = text.get(1..)?.split_once(quote)?;
    let behind = behind.trim_start();
    if !(behind.is_empty() || behind.starts_with('#')) || inner.ends_with('\\') || behind.contains(quote) {
        return None;
    }
    Some(if quote == '"' { inner.replace("\\n", "\n").replace("\\r", "\r") } else { inner.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_agree_about_is_read() {
        let text = "\u{feff}# Mine.\n\nA=1\r\nexport B = two words # not this\nC=\"x # y\\nz\" # nor this\nD='$HOME ${X} \\n'\nE=\nF=`\"'`\nA=2\n";
        let expected = [
            ("A", "2"),
            ("B", "two words"),
            ("C", "x # y\nz"),
            ("D", "$HOME ${X} \\n"),
            ("E", ""),
            ("F", "\"'"),
        ];
        let expected: BTreeMap<String, String> =
            expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn what_they_would_disagree_about_is_refused_by_its_line_and_without_its_value() {
        assert!(parse("A=1\nTOKEN=s3cret").is_ok(), "control");
        for line in [
            "TOKEN",
            "1A=s3cret",
            "A-B=s3cret",
            "TOKEN: s3cret",
            "TOKEN=s3\"cret",
            "TOKEN='s3cret",
            "TOKEN=\"s3cret\\\"\"",
            "TOKEN='s3' cret",
        ] {
            let said = parse(&format!("A=1\n{line}")).unwrap_err();
            assert!(
                said.contains("line 2") && !said.contains("s3") && !said.contains("cret"),
                "{line}: {said}"
            );
        }
    }

    #[test]
    fn a_relative_path_starts_at_the_projects_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.env"), "A=1\n").unwrap();
        let read_in = |workspace| read(Path::new("x.env"), workspace);
        assert_eq!(read_in(Some(folder.path())).unwrap()["A"], "1");
        assert!(read_in(None).unwrap_err().contains("whole path"));
        assert_eq!(read(&folder.path().join("x.env"), None).unwrap()["A"], "1", "control");
        assert!(read(Path::new("y.env"), Some(folder.path())).unwrap_err().contains("cannot be read"));
    }
}
