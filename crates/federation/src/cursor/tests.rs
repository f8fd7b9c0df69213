use proptest::prelude::*;

use super::*;

fn cursor(parts: &[(&str, &str)]) -> Cursor {
    Cursor {
        parts: parts.iter().map(|(server, text)| (server.parse().unwrap(), (*text).to_owned())).collect(),
    }
}

#[test]
fn an_empty_cursor_of_a_server_is_kept() {
    let cursor = cursor(&[("a", ""), ("b", "\"x\u{e9}")]);
    let text = cursor.encode(Kind::Tools);
    assert_eq!(Cursor::decode(Kind::Tools, &text), Ok(cursor));
    assert_eq!(Cursor::decode(Kind::Prompts, &text), Err(CursorError), "of another list");
}

#[test]
fn what_was_not_given_out_is_no_cursor() {
    let raw = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    assert!(Cursor::decode(Kind::Tools, &raw(r#"["tools",[["a","1"],["b",""]]]"#)).is_ok(), "control");
    for text in [
        String::new(),
        "!".to_owned(),
        raw("1"),
        raw(r#"["tools",[]]"#),
        raw(r#"["tools",[["b","1"],["a","1"]]]"#),
        raw(r#"["tools",[["a","1"],["a","1"]]]"#),
        raw(r#"["tools",[["../a","1"]]]"#),
        raw(r#"["tools",[["a",1]]]"#),
        "A".repeat(CURSOR_CHARS_MAX + 1),
    ] {
        assert_eq!(Cursor::decode(Kind::Tools, &text), Err(CursorError), "{text:.40}");
    }
}

proptest! {
    #[test]
    fn print_and_parse_agree(a in "\\PC{0,40}", b in "\\PC{0,40}") {
        let cursor = cursor(&[("a", &a), ("b", &b)]);
        prop_assert_eq!(Cursor::decode(Kind::Templates, &cursor.encode(Kind::Templates)), Ok(cursor));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        prop_assert!(Cursor::decode(Kind::Tools, &text).is_err());
    }
}
