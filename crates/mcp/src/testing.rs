//! JSON texts for the property tests: valid and strict, with every liberty that the grammar leaves.

use proptest::prelude::*;

use crate::json;

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\n", "\r\n\t", "  "])
}

/// A string token.
pub(crate) fn string_text() -> impl Strategy<Value = String> {
    let plain = any::<char>().prop_map(|character| match character {
        '"' | '\\' | '\0'..='\u{1f}' => "x".to_owned(),
        other => other.to_string(),
    });
    let escape = prop::sample::select(vec![
        r"\n",
        r#"\""#,
        r"\\",
        r"\/",
        r"\u0061",
        r"\u0000",
        r"\u00e9",
        r"\ud83d\ude00",
        r"\uFFFF",
        r"\b",
        r"\u001f",
    ]);
    let piece = prop_oneof![4 => plain, 2 => "[a-e ]{1,9}", 1 => escape.prop_map(str::to_owned)];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn number_text() -> impl Strategy<Value = String> {
    r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?"
}

/// `{…}` with these members, no name twice, whitespace as given.
fn object(members: Vec<(String, String, &'static str)>) -> String {
    let mut names = std::collections::HashSet::new();
    let kept = members.into_iter().filter(|(name, ..)| names.insert(json::string(name.as_bytes())));
    let texts: Vec<String> =
        kept.map(|(name, value, space)| format!("{space}{name}{space}:{space}{value}{space}")).collect();
    format!("{{{}}}", texts.join(","))
}

/// An object text.
pub(crate) fn object_text() -> impl Strategy<Value = String> {
    prop::collection::vec((string_text(), json_text(), space()), 0..5).prop_map(object)
}

/// A text of any JSON value.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned);
    let leaf = prop_oneof![word, number_text(), string_text()];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let array = (prop::collection::vec(inner.clone(), 0..6), space())
            .prop_map(|(elements, space)| format!("[{space}{}{space}]", elements.join(&format!("{space},"))));
        let members = prop::collection::vec((string_text(), inner, space()), 0..6).prop_map(object);
        prop_oneof![array, members]
    })
}

/// A text that was valid before one of its bytes was changed, removed or doubled.
pub(crate) fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    (json_text(), any::<prop::sample::Index>(), any::<u8>(), 0..4_u8).prop_map(|(text, at, byte, how)| {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, bytes[at]),
            _ => bytes.truncate(at),
        }
        bytes
    })
}
