//! The configuration: whatever a file holds, it is taken or refused, and its JSON form means the same.

use std::path::Path;

use serde_json::Value;
use tollgate_gateway::config::{Environment, Overrides, load};

pub(crate) const WORDS: &[&str] = &[
    "servers:\n",
    "  up:\n",
    "    url: http://127.0.0.1:1/mcp\n",
    "    tools:\n",
    "      echo: ",
    "{ price: [0.01USDC, 10sat] }\n",
    "limits: { drain_ms: 5 }\n",
    "&a ",
    "*a",
    "<<: *a\n",
    "!!binary ",
    "99999999999999999999",
    "1e999",
    ".inf",
    "~",
    "0x10",
    "- ",
    "|\n",
    "${NAME}",
    "payment:\n",
    "hosts: [",
    "? ",
    "--- \n",
    "federation: { separator: _ }\n",
    "data: ",
    "command: [",
];

/// Neither a panic nor two meanings.
pub(crate) fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    let read = |text: &str| {
        let written = std::fs::write(file.path(), text);
        assert!(written.is_ok(), "the file cannot be written");
        outcome(file.path())
    };
    let first = read(text);
    assert_eq!(first, read(text), "one file has one meaning");
    let Ok(tree @ Value::Object(_)) = serde_saphyr::from_str::<Value>(text) else {
        assert!(first.is_err() || text_is_nothing(text), "taken, and no mapping");
        return;
    };
    let json = tree.to_string();
    // What JSON writes raw and YAML takes in an escaped form alone.
    let is_plain = json.chars().all(|character| {
        !character.is_control()
            && !('\u{7f}'..='\u{a0}').contains(&character)
            && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    });
    if is_plain && first.is_ok() {
        assert_eq!(read(&json), first, "the same as JSON");
    }
}

fn text_is_nothing(text: &str) -> bool {
    matches!(serde_saphyr::from_str::<Value>(text), Ok(Value::Null))
}

fn outcome(file: &Path) -> Result<String, String> {
    let environment = Environment::of([("NAME".to_owned(), "value".to_owned())]);
    match load(Some(file), &environment, &Overrides::default(), None) {
        Ok(config) => Ok(format!("{config:?}")),
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a word");
            Err(problems.to_string())
        }
    }
}
