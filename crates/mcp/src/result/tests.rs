use proptest::prelude::*;

use super::*;
use crate::testing::{json_text, object_text};

fn response(result: &str) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#).into()
}

fn edited(result: &str, set: &[(&str, &str)]) -> Bytes {
    with_result_meta(&response(result), set, |key| key.starts_with("x402/")).unwrap()
}

/// What a typed relay drops or re-spells: official and unknown members of tools, unknown result fields, key order and
/// the spelling of numbers.
const UNTYPED: [&str; 4] = [
    r#"{"tools":[{"name":"t","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}},{"name":"u","inputSchema":{},"x-price":{"amount":"1"}}]}"#,
    r#"{"content":[{"type":"text","text":"a","x-field":1}],"unknown":{"z":1,"a":2}}"#,
    r#"{"content":[],"structuredContent":{"z":1.10,"a":1e3,"big":123456789012345678901234567890}}"#,
    r#"{ "content" : [ ] , "future" : null }"#,
];

#[test]
fn a_result_keeps_every_byte_that_is_not_meta() {
    for result in UNTYPED {
        let original = response(result);
        let untouched = with_result_meta(&original, &[], |_| true).unwrap();
        assert_eq!(untouched.as_ptr(), original.as_ptr());
        assert_eq!(untouched, original);
        let closing = result.rfind(['}']).unwrap();
        let inner = result[..closing].trim_end();
        let expected = format!(r#"{inner},"_meta":{{"k":{{"v":1}}}}{}"#, &result[inner.len()..]);
        assert_eq!(edited(result, &[("k", r#"{"v":1}"#)]), response(&expected));
    }
}

#[test]
fn m10_a_forged_receipt_is_removed_and_ours_stands_in_its_place() {
    let forged =
        r#"{"_meta":{"x402/payment-response":{"success":true},"trace":1,"x402/error":{}},"content":[]}"#;
    assert_eq!(edited(forged, &[]), response(r#"{"_meta":{"trace":1},"content":[]}"#));
    assert_eq!(
        edited(forged, &[("x402/payment-response", "1"), ("r", "2")]),
        response(r#"{"_meta":{"x402/payment-response":1,"trace":1,"r":2},"content":[]}"#)
    );
    let honest = r#"{"_meta":{"trace":1},"content":[]}"#;
    assert_eq!(edited(honest, &[]), response(honest));
}

#[test]
fn m10_doubles_of_the_receipt_are_refused_or_seen() {
    let clean = r#"{"_meta":{},"content":[]}"#;
    assert_eq!(edited(clean, &[("k", "1")]), response(r#"{"_meta":{"k":1},"content":[]}"#));
    for hidden in [
        r#"{"_meta":{},"_META":{"x402/payment-response":1}}"#,
        r#"{"_meta":{},"_met\u0430":{}}"#,
        r#"{"_meta":{},"_meta":{}}"#,
    ] {
        assert!(with_result_meta(&response(hidden), &[], |_| false).is_err(), "{hidden}");
    }
    let doubled = response(r#"{"_meta":{"X402/Payment-Response":1,"k":1}}"#);
    let seen = with_result_meta(&doubled, &[], |key| crate::names::looks_like(key, "x402/payment-response"))
        .unwrap();
    assert_eq!(seen, response(r#"{"_meta":{"k":1}}"#));
}

#[test]
fn only_a_result_object_takes_meta() {
    assert!(with_result_meta(&response("{}"), &[("k", "1")], |_| false).is_ok());
    let others = [
        r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#,
    ];
    for other in others {
        let error = with_result_meta(&Bytes::from(other), &[("k", "1")], |_| false).unwrap_err();
        assert_eq!(error.fault(), &crate::FrameFault::NoResultObject);
    }
}

#[test]
fn a_result_says_whether_it_failed_and_what_it_is() {
    assert!(!is_error(br#"{"content":[],"nested":{"isError":true}}"#));
    assert!(!is_error(br#"{"isError":false}"#));
    assert!(!is_error(br#"{"isError":"true"}"#));
    assert!(is_error(br#" {"isError": true}"#));
    for unreadable in [b"[]".as_slice(), b"", b"{", br#"{"isError":false,"isError":true}"#] {
        assert!(is_error(unreadable));
    }
    assert_eq!(result_type(br#"{"resultType":"input_required"}"#).as_deref(), Some("input_required"));
    assert_eq!(result_type(b"{}"), None);
}

proptest! {
    #[test]
    fn setting_then_removing_restores_the_bytes(meta in object_text(), rest in json_text()) {
        let original = response(&format!(r#"{{"a":{rest},"_meta":{meta},"b":{rest}}}"#));
        let with = with_result_meta(&original, &[("gate/receipt", "\"r\"")], |_| false).unwrap();
        prop_assert_ne!(&with, &original);
        prop_assert_eq!(with_result_meta(&with, &[], |key| key == "gate/receipt").unwrap(), original);
    }
}
