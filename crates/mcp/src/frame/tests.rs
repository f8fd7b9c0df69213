use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::JsonError;
use crate::testing::{nearly_json, object_text};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{"city":"Oslo"}}}"#;

fn frame(text: &str) -> Frame {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refusal(text: &str) -> FrameError {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).map(|_| text).unwrap_err()
}

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_four_kinds_are_told_apart() {
    assert_eq!(frame(CALL).kind(), Kind::Request);
    let notification = frame(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert_eq!(
        (notification.kind(), notification.id(), notification.params()),
        (Kind::Notification, None, None)
    );
    let response = frame(r#"{"jsonrpc":"2.0","id":"a","result":{"_meta":{"k":1},"x":2}}"#);
    assert_eq!((response.kind(), response.method()), (Kind::Response, None));
    assert_eq!(response.result().unwrap(), r#"{"_meta":{"k":1},"x":2}"#);
    assert_eq!(response.result_member("x"), Some(b"2".as_slice()));
    assert_eq!((response.param("x"), response.params()), (None, None));
    assert_eq!(response.meta("k"), Some(b"1".as_slice()));
    let error = frame(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}"#);
    assert_eq!((error.kind(), error.id()), (Kind::ErrorResponse, None));
    assert_eq!(error.error().unwrap(), r#"{"code":-1,"message":"m"}"#);
}

#[test]
fn the_parts_of_a_call_are_the_bytes_that_were_sent() {
    let frame = frame(
        r#" { "params" : {"_meta":{"\u0070rogressToken": "t" , "x":[1]},"n\u0061me":"we\u0061ther",
              "arguments": { "z":1.10, "a":123456789012345678901234567890 } } ,"method":"tools\/call","id":"\u0031","jsonrpc":"2.0"} "#,
    );
    let call = frame.tool_call().unwrap();
    assert_eq!(call.name, "weather");
    assert_eq!(call.arguments, r#"{ "z":1.10, "a":123456789012345678901234567890 }"#);
    assert_eq!(frame.argument("z"), Some(b"1.10".as_slice()));
    assert_eq!(frame.meta("progressToken"), Some(b"\"t\"".as_slice()));
    assert_eq!(frame.meta("x"), Some(b"[1]".as_slice()));
    assert_eq!(frame.meta("y"), None);
    assert_eq!(frame.id(), Some(&RequestId::string("1").unwrap()));
    assert_eq!(frame.method(), Some("tools/call"));
}

#[test]
fn absent_arguments_are_an_empty_object() {
    for params in [r#"{"name":"t"}"#, r#"{"name":"t","arguments":null}"#, r#"{"arguments":{},"name":"t"}"#] {
        let frame = frame(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#));
        assert_eq!(frame.tool_call().unwrap().arguments, "{}");
    }
}

#[test]
fn m3_case_variants_and_look_alikes_of_members_are_refused() {
    assert_eq!(frame(CALL).tool_call().unwrap().name, "weather");
    let smuggled = [
        CALL.replacen("\"method\"", "\"Method\"", 1),
        CALL.replacen("\"params\"", "\"PARAMS\"", 1),
        CALL.replacen("\"params\"", "\"paramſ\"", 1),
        CALL.replacen("\"jsonrpc\"", "\"jsonRpc\"", 1),
        CALL.replacen('{', r#"{"Method":"tools/list","#, 1),
        CALL.replacen("\"name\"", "\"Name\":\"free\",\"name\"", 1),
        CALL.replacen("\"name\"", "\"n\\u0430me\":\"free\",\"name\"", 1),
        CALL.replacen("\"arguments\"", "\"Arguments\":{},\"arguments\"", 1),
        CALL.replacen("\"arguments\"", "\"_META\":{},\"arguments\"", 1),
        CALL.replacen("\"id\"", "\"ID\":2,\"id\"", 1),
    ];
    for body in smuggled {
        let error = refusal(&body);
        assert_eq!(error.code(), -32_600, "{error}: {body}");
    }
    assert!(frame(&CALL.replacen("\"name\"", "\"names\":1,\"город\":2,\"name\"", 1)).tool_call().is_some());
}

#[test]
fn m3_a_method_that_could_be_taken_for_a_call_is_refused() {
    assert!(frame(CALL).tool_call().is_some());
    for method in [
        "Tools/Call",
        "tools/call ",
        "tools/call\\u0000",
        "tool\\u017f/call",
        "t\u{43e}ols/call",
        "tools\u{2215}call",
    ] {
        let body = CALL.replacen("tools/call", method, 1);
        assert_ne!(body, CALL);
        let error = refusal(&body);
        assert_eq!(error.fault(), &FrameFault::LookAlike { reserved: TOOLS_CALL }, "{body}");
    }
    for method in ["tools/list", "tools/calls", "tool/call", "notifications/tools/call"] {
        assert_eq!(frame(&CALL.replacen("tools/call", method, 1)).method(), Some(method));
    }
}

#[test]
fn m4_what_has_two_readings_is_refused_in_the_arguments_too() {
    let with_arguments = |arguments: &str| CALL.replacen(r#"{"city":"Oslo"}"#, arguments, 1);
    assert!(frame(&with_arguments(r#"{"city":{"city":"Oslo"}}"#)).tool_call().is_some());
    let deep = format!("{}1{}", "[".repeat(63), "]".repeat(63));
    for arguments in [
        r#"{"city":"Oslo","city":"Rome"}"#,
        r#"{"city":{"a":1,"\u0061":2}}"#,
        r#"{"city":"\ud800"}"#,
        &format!(r#"{{"city":{deep}}}"#),
        &format!(r#"{{"city":{}}}"#, "1".repeat(1_000_000)),
    ] {
        let error = refusal(&with_arguments(arguments));
        assert_eq!((error.code(), error.id()), (-32_700, None), "{error}");
    }
    for body in
        [format!("{CALL}{CALL}"), format!("\u{feff}{CALL}"), CALL.replacen("}}", "}", 1), String::new()]
    {
        assert_eq!(refusal(&body).code(), -32_700, "{body}");
    }
    let twice = CALL.replacen("\"id\":1", "\"id\":1,\"id\":2", 1);
    assert!(matches!(refusal(&twice).fault(), FrameFault::Json(JsonError::DuplicateName { .. })));
}

#[test]
fn m5_a_batch_is_no_message() {
    let error = refusal(&format!("[{CALL}]"));
    assert_eq!((error.fault(), error.code(), error.id()), (&FrameFault::Batch, -32_600, None));
    assert!(frame(CALL).tool_call().is_some());
}

#[test]
fn m6_unusable_ids_are_refused() {
    let with_id = |id: &str| CALL.replacen("\"id\":1", &format!("\"id\":{id}"), 1);
    assert_eq!(frame(&with_id("\"1\"")).id(), Some(&RequestId::string("1").unwrap()));
    for id in [
        "null",
        "1.5",
        "1.0",
        "1e3",
        "99999999999999999999",
        "{}",
        "[]",
        "true",
        &format!("\"{}\"", "x".repeat(257)),
    ] {
        let error = refusal(&with_id(id));
        assert!(matches!(error.fault(), FrameFault::Id(_)), "{id}: {error}");
        assert_eq!((error.code(), error.id()), (-32_600, None));
    }
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    assert_eq!(frame(answer).kind(), Kind::Response);
    assert_eq!(refusal(&answer.replacen("\"id\":1,", "", 1)).fault(), &FrameFault::Id(IdError::Absent));
    assert_eq!(refusal(&answer.replacen(":1,", ":null,", 1)).fault(), &FrameFault::Id(IdError::Null));
}

#[test]
fn what_is_not_exactly_one_message_is_refused_with_its_id() {
    assert_eq!(frame(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#).kind(), Kind::Request);
    let refused = [
        r#"{"id":5,"method":"ping"}"#,
        r#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":5}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"ping","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":5,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":5,"result":{},"params":{}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"ping","params":[1]}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"ping","params":"x"}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"ping","params":{"_meta":[]}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":7}"#,
        r#"{"jsonrpc":"2.0","id":5,"error":"x"}"#,
    ];
    for body in refused {
        let error = refusal(body);
        assert_eq!((error.code(), error.id()), (-32_600, Some(&RequestId::integer(5))), "{body}: {error}");
    }
    assert_eq!(refusal(r#""x""#).fault(), &FrameFault::NotAnObject);
}

#[test]
fn a_call_that_not_every_reader_would_see_is_no_message() {
    assert!(frame(CALL).tool_call().is_some());
    assert_eq!(refusal(&CALL.replacen("\"id\":1,", "", 1)).fault(), &FrameFault::CallWithoutId);
    for params in [
        "",
        r#","params":null"#,
        r#","params":{}"#,
        r#","params":{"name":1}"#,
        r#","params":{"name":"t","arguments":[]}"#,
        r#","params":{"name":"t","arguments":"x"}"#,
    ] {
        let error = refusal(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call"{params}}}"#));
        assert_eq!((error.code(), error.id()), (-32_602, Some(&RequestId::integer(1))), "{params}");
    }
}

#[test]
fn removing_meta_keys_removes_nothing_else() {
    let body = |meta: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{ "_meta" :{meta}, "n": 1.0 }}}}"#)
    };
    let cases = [
        (r#"{"pay":{"a":[1]}}"#, "{}"),
        (r#"{ "pay" : 1 }"#, "{  }"),
        (r#"{"pay":1,"k":2}"#, r#"{"k":2}"#),
        (r#"{"k":2 , "pay":1}"#, r#"{"k":2}"#),
        (r#"{"a":1,"pay":1,"b":2}"#, r#"{"a":1,"b":2}"#),
        (r#"{"pay":1,"pay2":2}"#, "{}"),
        (r#"{"pay":1, "pay2":2, "k":3}"#, r#"{"k":3}"#),
        (r#"{"a":1,"pay":1,"pay2":2}"#, r#"{"a":1}"#),
        (r#"{"pay":1,"a":1,"pay2":2 , "b":3}"#, r#"{"a":1 , "b":3}"#),
        (r#"{"\u0070ay":1,"k":1e0}"#, r#"{"k":1e0}"#),
    ];
    for (before, after) in cases {
        let edited = frame(&body(before)).without_meta_keys(&["pay", "pay2"]);
        assert_eq!(text(&edited), body(after));
    }
}

#[test]
fn an_edit_without_effect_returns_the_same_bytes() {
    let frame = frame(CALL);
    for same in [
        frame.without_meta_keys(&["pay"]),
        frame.without_arguments_members(&["pay"]),
        frame.without_meta(|_| true),
    ] {
        assert_eq!(same.as_ptr(), frame.bytes().as_ptr());
        assert_eq!(same, frame.bytes());
    }
}

#[test]
fn arguments_lose_the_named_members_only() {
    let frame =
        frame(&CALL.replacen(r#"{"city":"Oslo"}"#, r#"{"token":"s","city":"Oslo", "deep":{"token":1}}"#, 1));
    assert_eq!(
        text(&frame.without_arguments_members(&["token"])),
        CALL.replacen(r#"{"city":"Oslo"}"#, r#"{"city":"Oslo", "deep":{"token":1}}"#, 1)
    );
}

#[test]
fn ids_and_values_are_set_in_their_place() {
    let call = frame(CALL);
    assert_eq!(
        text(&call.with_id(&RequestId::string("u\"1").unwrap())),
        CALL.replacen("\"id\":1", r#""id":"u\"1""#, 1)
    );
    assert_eq!(
        text(&call.with_meta_value("progressToken", "9")),
        CALL.replacen(r#""Oslo"}"#, r#""Oslo"},"_meta":{"progressToken":9}"#, 1)
    );
    let cases = [
        (r#","params":{"_meta":{}}"#, r#","params":{"_meta":{"k":1}}"#),
        (r#","params":{"_meta":{"k":0,"l":2}}"#, r#","params":{"_meta":{"k":1,"l":2}}"#),
        (r#","params":{"_meta":{"l":2 }}"#, r#","params":{"_meta":{"l":2,"k":1 }}"#),
        (r#","params":{"_meta":null}"#, r#","params":{"_meta":{"k":1}}"#),
        (r#","params":{}"#, r#","params":{"_meta":{"k":1}}"#),
        (r#","params":null"#, r#","params":{"_meta":{"k":1}}"#),
        ("", r#","params":{"_meta":{"k":1}}"#),
    ];
    for (before, after) in cases {
        let body = |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x"{params}}}"#);
        assert_eq!(text(&frame(&body(before)).with_meta_value("k", "1")), body(after));
    }
    let answer = frame(r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{}}}"#);
    assert_eq!(answer.with_meta_value("k", "1"), answer.bytes());
    let notification = frame(
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1.0}}"#,
    );
    assert_eq!(
        text(&notification.with_param("progressToken", "\"a\"")),
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a","progress":1.0}}"#
    );
    assert_eq!(notification.with_id(&RequestId::integer(1)), notification.bytes());
}

#[test]
fn a_message_leaves_under_another_id_and_without_what_pays() {
    let id = RequestId::integer(77);
    // In either order, and where there is nothing to take out.
    for (sent, left) in [
        (
            r#"{"id":1,"method":"x","params":{"_meta":{"pay":1,"k":2}}}"#,
            r#"{"id":77,"method":"x","params":{"_meta":{"k":2}}}"#,
        ),
        (
            r#"{"method":"x","params":{"_meta":{"k":2,"pay":1}},"id":1}"#,
            r#"{"method":"x","params":{"_meta":{"k":2}},"id":77}"#,
        ),
        (r#"{"id":1,"method":"x","params":{}}"#, r#"{"id":77,"method":"x","params":{}}"#),
    ] {
        let body = |text: &str| text.replacen('{', r#"{"jsonrpc":"2.0","#, 1);
        let frame = frame(&body(sent));
        let left = body(left);
        assert_eq!(text(&frame.with_id_without_meta(&id, |key| key == "pay")), left);
        let in_turn = Frame::parse(frame.with_id(&id)).unwrap().without_meta(|key| key == "pay");
        assert_eq!(text(&in_turn), left);
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        // The value is the absence of a panic; errors must be renderable.
        if let Err(error) = Frame::parse(bytes.into()) {
            prop_assert!(error.code() <= -32_600 && !error.to_string().is_empty());
        }
    }

    #[test]
    fn m4_nearly_valid_messages_are_refused_or_read_as_serde_json_reads_them(nearly in nearly_json()) {
        let body = [br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":"#, &*nearly, b"}}}"].concat();
        if let Ok(frame) = Frame::parse(body.clone().into()) {
            let raw: Value = match serde_json::from_slice(&body) {
                Ok(value) => value,
                Err(error) if error.to_string().contains("number out of range") => return Ok(()),
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            };
            let call = frame.tool_call().unwrap();
            prop_assert_eq!(&Value::from(call.name), &raw["params"]["name"]);
            prop_assert_eq!(&serde_json::from_slice::<Value>(&call.arguments).unwrap(), &raw["params"]["arguments"]);
        }
    }

    #[test]
    fn removing_keys_keeps_every_other_byte(meta in object_text(), arguments in object_text(), doomed in prop::collection::vec(any::<bool>(), 8)) {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"_meta":{meta},"arguments":{arguments},"name":"t"}}}}"#);
        let frame = frame(&body);
        let names: Vec<String> = frame.meta.as_ref().map(|meta| meta.names(frame.bytes())).unwrap_or_default();
        let gone: Vec<&str> = names.iter().zip(&doomed).filter(|(_, doomed)| **doomed).map(|(name, _)| name.as_str()).collect();
        let edited = Frame::parse(frame.without_meta_keys(&gone)).unwrap();
        for name in &names {
            let expected = if gone.contains(&name.as_str()) { None } else { frame.meta(name) };
            prop_assert_eq!(edited.meta(name), expected);
        }
        prop_assert_eq!(edited.tool_call(), frame.tool_call());
        let tail = body.split_once(r#","arguments":"#).unwrap().1;
        prop_assert!(text(edited.bytes()).ends_with(tail));
    }

    #[test]
    fn a_value_that_is_set_reads_back_and_nothing_else_moves(meta in object_text(), key in "[a-z/\"é]{1,5}", value in crate::testing::json_text()) {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"_meta":{meta},"z":1.10}}}}"#);
        let frame = frame(&body);
        let edited = Frame::parse(frame.with_meta_value(&key, &value)).unwrap();
        prop_assert_eq!(edited.meta(&key), Some(value.as_bytes()));
        for name in frame.meta.as_ref().unwrap().names(frame.bytes()) {
            if name != key {
                prop_assert_eq!(edited.meta(&name), frame.meta(&name));
            }
        }
        let back = edited.without_meta_keys(&[&key]);
        if frame.meta(&key).is_none() {
            prop_assert_eq!(text(&back), body);
        }
    }
}
