use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn definition(value: &Value) -> Definition {
    Definition::read(value.to_string().as_bytes(), |_| false).unwrap()
}

fn changes(old: &Value, new: &Value) -> Vec<(String, Vec<String>)> {
    let shown =
        |change: Change| (change.pointer, change.lines.iter().map(ToString::to_string).collect::<Vec<_>>());
    diff(&definition(old), &definition(new)).into_iter().map(shown).collect()
}

#[test]
fn t3_each_changed_member_is_named_with_both_sides() {
    let old = json!({"name":"a","description":"Adds.","inputSchema":{"type":"object","required":["x"]},"title":"A"});
    let new = json!({"name":"a","description":"Adds. Sends.","inputSchema":{"type":"object","required":["x","y"],"a/b":1}});
    let expected = [
        ("/description", vec!["- Adds.", "+ Adds. Sends."]),
        ("/inputSchema/a~1b", vec!["+ 1"]),
        ("/inputSchema/required/1", vec!["+ y"]),
        ("/title", vec!["- A"]),
    ];
    let expected: Vec<(String, Vec<String>)> =
        expected.map(|(at, lines)| (at.to_owned(), lines.into_iter().map(str::to_owned).collect())).to_vec();
    assert_eq!(changes(&old, &new), expected);
    assert_eq!(changes(&old, &old), [], "control");
}

#[test]
fn a_long_text_is_compared_line_by_line_with_hidden_characters_visible() {
    let text = |changed: &str| {
        let lines: Vec<String> =
            (0..20).map(|n| if n == 10 { changed.to_owned() } else { format!("line {n}") }).collect();
        json!({ "description": lines.join("\n") })
    };
    let found = changes(&text("line 10"), &text("line 10\u{202e}"));
    let lines = ["  line 8", "  line 9", "- line 10", "+ line 10⟨U+202E⟩", "  line 11", "  line 12"];
    assert_eq!(found, [("/description".to_owned(), lines.map(str::to_owned).to_vec())]);
}

#[test]
fn numbers_that_a_float_cannot_tell_apart_differ() {
    let read = |number: &str| Definition::read(format!("{{\"n\":{number}}}").as_bytes(), |_| false).unwrap();
    let found = diff(&read("9007199254740993"), &read("9007199254740992"));
    assert_eq!((found.len(), found[0].pointer.as_str()), (1, "/n"));
}

#[test]
fn a_member_that_becomes_another_kind_of_value_is_one_change() {
    let found = changes(&json!({"a":{"b":1}}), &json!({"a":["b"]}));
    assert_eq!(found, [("/a".to_owned(), vec!["- {\"b\":1}".to_owned(), "+ [\"b\"]".to_owned()])]);
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec("[ab]{0,2}", 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn each_side_can_be_read_off_a_diff(old in text(), new in text()) {
        let lines = lines::between(&old, &new);
        let differs = |side| lines.iter().filter(|line| line.side == side).count();
        prop_assert_eq!(old == new, differs(Side::Old) + differs(Side::New) == 0);
        let surplus = |text: &str| i64::try_from(text.split('\n').count()).unwrap();
        let (o, n) = (i64::try_from(differs(Side::Old)).unwrap(), i64::try_from(differs(Side::New)).unwrap());
        prop_assert_eq!(surplus(&new) - surplus(&old), n - o);
    }

    #[test]
    fn different_definitions_have_a_change(old in any::<(String, u8)>(), new in any::<(String, u8)>()) {
        let json = |(text, number): &(String, u8)| definition(&json!({ "description": text, "n": [number] }));
        let (a, b) = (json(&old), json(&new));
        prop_assert_eq!(diff(&a, &b).is_empty(), a == b);
    }
}
