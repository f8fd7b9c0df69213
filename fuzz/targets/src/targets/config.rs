//! The configuration: whatever a file holds, it is taken or refused, and its JSON form means the same.

use std::path::Path;

use serde_json::{Value, json};
use tollgate_gateway::config::edit::{Existing, put, remove};
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

/// A server that is put into a file is there, one that is taken out is not, and everything else means what it meant.
pub(crate) fn edit(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let server =
        json!({ "url": "http://127.0.0.1:1/mcp", "tools": { "a: b": { "price": "0.01USDC" }, "*": {} } });
    for name in ["up", "other"] {
        if let Ok(changed) = put(text, name, &server, Existing::Replaced) {
            assert_eq!(servers(&changed).remove(name).as_ref(), Some(&server));
            let others =
                |text: &str| servers(text).into_iter().filter(|(own, _)| own != name).collect::<Vec<_>>();
            assert_eq!(others(&changed), others(text), "another server was changed");
            let removed = remove(&changed, name);
            assert!(removed.as_ref().map_or(true, |removed| others(removed) == others(text)));
        }
        if let Ok(removed) = remove(text, name) {
            let mut expected = servers(text);
            expected.remove(name);
            assert_eq!(servers(&removed), expected, "another server was changed");
        }
    }
}

fn servers(text: &str) -> serde_json::Map<String, Value> {
    let whole: Value = serde_saphyr::from_str(text).unwrap_or_default();
    whole.get("servers").and_then(Value::as_object).cloned().unwrap_or_default()
}
