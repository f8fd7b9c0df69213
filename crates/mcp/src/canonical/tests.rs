use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::quote;
use crate::testing::json_text;

fn form(text: &str) -> String {
    String::from_utf8(canonical(text.as_bytes()).unwrap()).unwrap()
}

#[test]
fn members_are_sorted_and_whitespace_is_gone() {
    assert_eq!(
        form(r#" { "b" : [ 1 , {"z":0,"a":0} ] , "a" : "x" } "#),
        r#"{"a":"x","b":[1,{"a":0,"z":0}]}"#
    );
}

/// The member names of RFC 8785 section 3.2.3 in its order.
#[test]
fn names_sort_by_utf16_code_units() {
    let sorted = ["\r", "1", "\u{80}", "\u{f6}", "\u{20ac}", "\u{d7ff}", "\u{1f600}", "\u{e000}", "\u{fb33}"];
    let object = |names: &[&str]| {
        let members: Vec<String> = names.iter().map(|name| format!("{}:0", quote(name))).collect();
        format!("{{{}}}", members.join(","))
    };
    let reversed: Vec<&str> = sorted.iter().rev().copied().collect();
    assert_eq!(form(&object(&reversed)), object(&sorted));
    assert_eq!(form(&object(&sorted)), object(&sorted));
}

#[test]
fn strings_are_escaped_minimally() {
    assert_eq!(form(r#""\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/""#), r#""€$\u000f\nA'B\"\\\\\"/""#);
}

#[test]
fn numbers_keep_their_digits_so_no_two_share_a_digest() {
    let numbers = ["1", "1.0", "1e0", "10e-1", "-0", "0", "9007199254740992", "9007199254740993", "1E0"];
    let digests: HashMap<[u8; 32], &str> =
        numbers.iter().map(|text| (digest(text.as_bytes()).unwrap(), *text)).collect();
    assert_eq!(digests.len(), numbers.len());
}

#[test]
fn a_comma_inside_a_text_is_no_comma_between_members() {
    for text in [r#"["a,"]"#, r#"{"a,":",","b":[",",[]]}"#, "[[],{}]", r#"{"a":{},"b":[]}"#] {
        assert_eq!(form(text), text);
    }
    assert_eq!(form(r#"{"b":",","a":{"z":[","],"y":","}}"#), r#"{"a":{"y":",","z":[","]},"b":","}"#);
}

#[test]
fn top_level_members_can_be_left_out() {
    let raw = br#"{"b":{"_meta":1},"_meta":{"x":1},"a":0}"#;
    assert_eq!(canonical_without(raw, &["_meta"]).unwrap(), br#"{"a":0,"b":{"_meta":1}}"#);
    assert_eq!(digest_without(raw, &["_meta"]), digest(br#"{"a":0,"b":{"_meta":1}}"#));
    assert_eq!(canonical_without(b"[ 1 ]", &["_meta"]).unwrap(), b"[1]");
    for text in [
        r#"{"_meta":[],"a":0,"b":1}"#,
        r#"{"a":0,"_meta":[],"b":1}"#,
        r#"{"a":0,"b":1,"_meta":[]}"#,
        r#"{"b":1,"_meta":[],"a":0}"#,
        r#"{ "a" : 0 , "\u005fmeta" : "," , "b" : 1 }"#,
    ] {
        assert_eq!(canonical_without(text.as_bytes(), &["_meta"]).unwrap(), br#"{"a":0,"b":1}"#, "{text}");
    }
    assert_eq!(canonical_without(br#"{"_meta":1}"#, &["_meta"]).unwrap(), b"{}");
}

/// SHA-256 of `{}`; computed with coreutils.
#[test]
fn the_digest_is_sha256_of_the_form() {
    let expected = [
        0x44, 0x13, 0x6f, 0xa3, 0x55, 0xb3, 0x67, 0x8a, 0x11, 0x46, 0xad, 0x16, 0xf7, 0xe8, 0x64, 0x9e, 0x94,
        0xfb, 0x4f, 0xc2, 0x1f, 0xe7, 0x7e, 0x83, 0x10, 0xc0, 0x60, 0xf6, 0x1c, 0xaa, 0xff, 0x8a,
    ];
    assert_eq!(digest(b" { } "), Ok(expected));
}

#[test]
fn two_readings_have_no_form() {
    assert!(canonical(br#"{"a":1}"#).is_ok());
    for text in [r#"{"a":1,"a":1}"#, "{", "1 1", r#""\ud800""#] {
        assert!(canonical(text.as_bytes()).is_err(), "{text}");
        assert!(canonical_without(text.as_bytes(), &[]).is_err(), "{text}");
    }
}

/// The form as slowly and plainly as it can be said.
fn plain_form(scanner: &mut Scanner<'_>) -> Result<String, JsonError> {
    match scanner.peek() {
        Some(b'"') => Ok(quote(&scanner.text()?)),
        Some(b'[') => {
            let mut items = Vec::new();
            scanner.array(|scanner| {
                items.push(plain_form(scanner)?);
                Ok::<_, JsonError>(())
            })?;
            Ok(format!("[{}]", items.join(",")))
        }
        Some(b'{') => {
            let mut members = BTreeMap::new();
            scanner.object(|scanner, name| {
                let units: Vec<u16> = name.text().encode_utf16().collect();
                members.insert(units, format!("{}:{}", quote(name.text()), plain_form(scanner)?));
                Ok::<_, JsonError>(())
            })?;
            Ok(format!("{{{}}}", members.into_values().collect::<Vec<_>>().join(",")))
        }
        _ => {
            let span = scanner.value()?;
            Ok(scanner.slice(span).to_owned())
        }
    }
}

proptest! {
    #[test]
    fn the_form_is_the_one_that_is_plainly_written(text in json_text()) {
        let mut scanner = Scanner::new(text.as_bytes(), Limits::UPSTREAM).unwrap();
        prop_assert_eq!(form(&text), scanner.whole(plain_form).unwrap());
    }

    #[test]
    fn the_form_is_a_fixpoint_and_says_the_same(text in json_text()) {
        let once = form(&text);
        prop_assert_eq!(form(&once), once.clone());
        prop_assert_eq!(String::from_utf8(canonical_without(text.as_bytes(), &[]).unwrap()).unwrap(), once.clone());
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            prop_assert_eq!(serde_json::from_str::<Value>(&once).unwrap(), value);
        }
    }
}
