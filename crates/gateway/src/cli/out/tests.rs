use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn what_would_steer_a_terminal_is_written_out_and_text_is_left() {
    for (hostile, safe) in [
        ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u001b[2J\\u001b]0;title\\u0007"),
        ("paid 5\rpaid 1", "paid 5\\u000dpaid 1"),
        ("a\u{8}b\u{7f}c", "a\\u0008b\\u007fc"),
        ("\u{9b}31m", "\\u009b31m"),
        ("pay \u{202e}evil\u{2066}", "pay \\u202eevil\\u2066"),
        ("two\r\nlines\n\tand a tab", "two\nlines\n\tand a tab"),
    ] {
        assert_eq!(shown(hostile), safe);
    }
    for plain in ["", "Oslo: −3 °C\n\tsnø", "家族 👨\u{200d}👩\u{200d}👧 مرحبا", "{\"a\": \"\\u001b\"}"]
    {
        assert!(matches!(shown(plain), Cow::Borrowed(text) if text == plain), "{plain:?}");
    }
}

#[test]
fn a_word_of_others_stays_on_its_line() {
    assert_eq!(one_line("up\n✓ all is well\t\r\u{1b}[A"), "up\\n✓ all is well\\t\\r\\u001b[A");
    assert_eq!(one_line("snø \u{2028}"), "snø \\u2028");
}

proptest! {
    #[test]
    fn json_means_the_same_and_holds_nothing_hidden(text in any::<String>(), hostile in "[\\x00-\\x1f\\x7f-\\x9f\u{202e}\u{2066}]{0,8}") {
        let value = json!({ "text": format!("{text}{hostile}"), "list": [text] });
        let written = value.to_string();
        let written = shown(&written);
        prop_assert!(!written.contains(is_hidden));
        prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
    }
}
