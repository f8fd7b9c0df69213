use std::collections::HashSet;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::*;
use crate::testing::{json_text, nearly_json, string_text};

fn error(text: impl AsRef<[u8]>) -> JsonError {
    check(text.as_ref(), Limits::CALLER).unwrap_err()
}

#[test]
fn m4_texts_with_two_readings_are_refused_and_their_plain_form_is_accepted() {
    let accepted = [
        r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}"#,
        r#" [true , false,null,-0.5e+10,"\ud83d\ude00é\u00e9"] "#,
        "\"\u{feff}\"",
        "0",
    ];
    for text in accepted {
        assert_eq!(check(text.as_bytes(), Limits::CALLER), Ok(()), "{text}");
    }
    assert_eq!(error("\u{feff}{}"), JsonError::ByteOrderMark);
    assert_eq!(error(b"\"\xff\""), JsonError::NotUtf8 { at: 1 });
    assert_eq!(error(b"\"\xed\xa0\x80\""), JsonError::NotUtf8 { at: 1 });
    assert_eq!(error("{}{}"), JsonError::TrailingData { at: 2 });
    assert_eq!(error("1 x"), JsonError::TrailingData { at: 2 });
    assert_eq!(error(r#"{"a":1,"a":1}"#), JsonError::DuplicateName { at: 7 });
    assert_eq!(error(r#"{"a":1,"\u0061":2}"#), JsonError::DuplicateName { at: 7 });
    assert_eq!(error(r#"[[{"x":{"é":1,"\u00e9":2}}]]"#), JsonError::DuplicateName { at: 15 });
    for lone in [r#""\ud800""#, r#""\ud800x""#, r#""\ud800\n""#, r#""\ud800\ud800""#, r#""\udc00""#] {
        assert_eq!(error(lone), JsonError::LoneSurrogate { at: 1 }, "{lone}");
    }
}

#[test]
fn m4_a_name_that_appears_twice_among_many_is_refused() {
    let members: Vec<String> = (0..200).map(|n| format!("\"k{n}\":{{\"k{n}\":0}}")).collect();
    let unique = format!("{{{}}}", members.join(","));
    assert_eq!(check(unique.as_bytes(), Limits::CALLER), Ok(()));
    for repeated in ["k0", "k15", "k16", "k17", "k199"] {
        let text = format!("{{{},\"{repeated}\":1}}", members.join(","));
        assert!(matches!(error(text), JsonError::DuplicateName { .. }), "{repeated}");
    }
}

#[test]
fn m4_a_name_that_appears_twice_is_refused_beside_one_with_escapes() {
    let unique = r#"{"a":1,"\u0062":2,"c":{"a":1,"b":2,"\u0063":3},"d":4}"#;
    assert_eq!(check(unique.as_bytes(), Limits::CALLER), Ok(()));
    for repeated in [r#""a""#, r#""b""#, r#""\u0063""#, r#""\u0062""#, r#""d""#] {
        let text = unique.replace(r#","d":4}"#, &format!(r#","d":4,{repeated}:5}}"#));
        assert!(matches!(error(text), JsonError::DuplicateName { .. }), "{repeated}");
    }
}

#[test]
fn m4_nesting_is_bounded_at_64_levels() {
    let nested =
        |open: &str, close: &str, levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        assert_eq!(check(nested(open, close, 64).as_bytes(), Limits::CALLER), Ok(()));
        let too_deep = error(nested(open, close, 65));
        assert_eq!(too_deep, JsonError::TooDeep { at: 64 * open.len(), depth_max: 64 });
        assert_eq!(check(nested(open, close, 127).as_bytes(), Limits::UPSTREAM), Ok(()));
    }
    assert!(matches!(error("[".repeat(1_000_000)), JsonError::TooDeep { .. }));
}

#[test]
fn m4_numbers_are_bounded_at_1024_characters() {
    assert_eq!(check("9".repeat(1_024).as_bytes(), Limits::CALLER), Ok(()));
    let too_long = JsonError::NumberTooLong { at: 0, chars_max: 1_024 };
    assert_eq!(error("9".repeat(1_025)), too_long);
    assert_eq!(error("9".repeat(1_000_000)), too_long);
    assert_eq!(error(format!("0.{}", "0".repeat(1_023))), too_long);
}

#[test]
fn what_the_grammar_does_not_know_is_refused() {
    let refused = [
        "",
        " ",
        "nul",
        "True",
        "NaN",
        "Infinity",
        "01",
        "+1",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "--1",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"\t\"",
        "\"\n\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "[1",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{,}",
        "// x\n1",
        "/* */1",
        "\u{a0}1",
        "\u{c}1",
        "]",
        "}",
        ",",
    ];
    for text in refused {
        assert!(check(text.as_bytes(), Limits::CALLER).is_err(), "{text:?}");
    }
}

#[test]
fn a_path_finds_the_raw_value() {
    let raw = br#" {"a":{"b":{"c": 1.50 }},"\u0061b":"x"} "#;
    assert_eq!(lookup(raw, &["a", "b", "c"]), Ok(Some(b"1.50".as_slice())));
    assert_eq!(lookup(raw, &["ab"]), Ok(Some(b"\"x\"".as_slice())));
    assert_eq!(lookup(raw, &["a", "x", "c"]), Ok(None));
    assert_eq!(lookup(raw, &["ab", "x"]), Ok(None));
    assert!(lookup(br#"{"a":1,"a":2}"#, &["a"]).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_what_is_accepted_is_json(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agrees_with_serde(&bytes)?;
    }

    #[test]
    fn m4_the_accepted_set_agrees_with_serde_json(bytes in nearly_json()) {
        agrees_with_serde(&bytes)?;
    }

    #[test]
    fn strict_texts_are_accepted(text in json_text()) {
        prop_assert_eq!(check(text.as_bytes(), Limits::CALLER), Ok(()), "{}", text);
    }

    #[test]
    fn strings_read_as_serde_json_reads_them(text in string_text()) {
        let expected: String = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(string(text.as_bytes()), Some(expected));
    }

    #[test]
    fn quoting_is_undone_by_reading(text in any::<String>()) {
        let quoted = quote(&text);
        prop_assert_eq!(string(quoted.as_bytes()), Some(text.clone()));
        prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
    }

    #[test]
    fn a_plain_run_ends_where_a_byte_by_byte_search_ends(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let expected = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(bytes.len());
        prop_assert_eq!(text::plain_run(&bytes), expected);
    }

    #[test]
    fn m4_a_repeated_name_is_found_wherever_it_is(names in prop::collection::vec("[a-c]|\\\\u006[1-3]", 0..6), depth in 0..5_usize) {
        let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":0")).collect();
        let text = format!("{}{{{}}}{}", "{\"a\":[".repeat(depth), members.join(","), "]}".repeat(depth));
        let read = |name: &String| string(format!("\"{name}\"").as_bytes()).unwrap();
        let distinct: HashSet<String> = names.iter().map(read).collect();
        let refused = matches!(check(text.as_bytes(), Limits::CALLER), Err(JsonError::DuplicateName { .. }));
        prop_assert_eq!(refused, distinct.len() < names.len(), "{}", text);
    }
}

/// What we accept, serde_json accepts; what it accepts and we do not, we refuse for one of the strict reasons.
fn agrees_with_serde(bytes: &[u8]) -> Result<(), TestCaseError> {
    let ours = check(bytes, Limits::CALLER);
    let theirs = serde_json::from_slice::<IgnoredAny>(bytes);
    match (ours, theirs) {
        (Ok(()), theirs) => {
            prop_assert!(theirs.is_ok());
            // A number past the range of f64 is JSON, but no serde_json `Value`.
            if let Err(error) = serde_json::from_slice::<Value>(bytes) {
                prop_assert!(error.to_string().contains("number out of range"), "{}", error);
            }
        }
        (Err(error), Ok(_)) => prop_assert!(
            !matches!(
                error,
                JsonError::Syntax { .. } | JsonError::Truncated | JsonError::TrailingData { .. }
            ),
            "{error}: {}",
            String::from_utf8_lossy(bytes)
        ),
        (Err(_), Err(_)) => {}
    }
    Ok(())
}
