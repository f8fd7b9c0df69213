//! Messages: what is accepted reads everywhere as it reads here, and an edit changes what it names.

use bytes::Bytes;
use serde_json::Value;
use tollgate_mcp::batch::{BatchError, is_batch};
use tollgate_mcp::{Frame, FrameFault, JsonError, Kind, RequestId};

use super::json::Once;

pub(crate) const WORDS: &[&str] = &[
    "\"jsonrpc\":\"2.0\",",
    "\"id\":1,",
    "\"id\":\"a\",",
    "\"id\":null,",
    "\"method\":\"tools/call\",",
    "\"Method\":",
    "\"params\":{",
    "\"name\":\"t\",",
    "\"arguments\":{}",
    "\"_meta\":{\"x402/payment\":1}",
    "\"result\":{}",
    "\"error\":{\"code\":1,\"message\":\"\"}",
    "\"param\u{17f}\":",
    "\\u0069d",
    "1e2",
    "9007199254740993",
    "\"method\":\"ping\"",
    "}",
    "{",
    ",",
];
/// Methods that take anything.
const PLAIN_METHODS: [&str; 2] = ["ping", "tools/list"];

/// The parts of a frame are those that `serde_json` finds; a plain message is never refused.
pub(crate) fn frame(input: &[u8]) {
    let frame = match Frame::parse(Bytes::copy_from_slice(input)) {
        Ok(frame) => frame,
        Err(error) => {
            assert!(error.code() <= -32_600 && !error.to_string().is_empty());
            assert!(!is_plain(input) || is_a_bound(error.fault()), "refused: {error}");
            return;
        }
    };
    assert_eq!(frame.bytes(), input, "the bytes that passed are the bytes that came");
    let Ok(read) = serde_json::from_slice::<Value>(input) else {
        let out_of_range = serde_json::from_slice::<Once>(input).err();
        assert!(out_of_range.is_some_and(|error| super::json::is_out_of_range(&error)), "not JSON");
        return;
    };
    assert_eq!(read.get("jsonrpc").and_then(Value::as_str), Some("2.0"));
    assert_eq!(frame.method(), read.get("method").and_then(Value::as_str));
    assert_eq!(
        frame.id().map(|id| value(id.raw().as_bytes())),
        read.get("id").filter(|id| !id.is_null()).cloned()
    );
    parts(&frame, &read);
    edits(&frame, &read);
}

/// How many messages a batch of this target may have.
const MESSAGES_MAX: usize = 8;

/// A batch is the messages that `serde_json` finds in its array, each read as one that stands alone; a plain one is never refused.
pub(crate) fn batch(input: &[u8]) {
    let body = Bytes::copy_from_slice(input);
    assert!(!is_batch(input) || Frame::parse(body.clone()).is_err(), "no message is a batch");
    let messages = match tollgate_mcp::batch::parse(&body, MESSAGES_MAX) {
        Ok(messages) => messages,
        Err(error) => {
            assert!(!is_plain_batch(input) || matches!(error, BatchError::Json(_)), "refused: {error}");
            return;
        }
    };
    assert!(is_batch(input) && (1..=MESSAGES_MAX).contains(&messages.len()));
    let mut ids = Vec::new();
    for frame in messages.iter().flatten() {
        let alone = Frame::parse(frame.bytes().clone());
        assert!(alone.is_ok_and(|alone| alone.kind() == frame.kind() && alone.id() == frame.id()));
        ids.extend(frame.id().map(|id| (frame.kind() == Kind::Request, id)));
    }
    for (place, id) in ids.iter().enumerate() {
        assert!(!ids.iter().skip(place + 1).any(|other| other == id), "an id stands for one message");
    }
    let Ok(read) = serde_json::from_slice::<Vec<Value>>(input) else {
        let out_of_range = serde_json::from_slice::<Once>(input).err();
        assert!(out_of_range.is_some_and(|error| super::json::is_out_of_range(&error)), "not JSON");
        return;
    };
    assert_eq!(messages.len(), read.len());
    for (message, read) in messages.iter().zip(&read) {
        assert!(!read.is_array(), "a batch inside");
        match message {
            Ok(frame) => assert_eq!(value(frame.bytes()), *read),
            Err(_) => {
                assert!(read.get("method").is_none_or(|method| method != "ping") || !is_plain_value(read))
            }
        }
    }
}

/// A few plain messages with ids of their own.
fn is_plain_batch(input: &[u8]) -> bool {
    let Ok(read) = serde_json::from_slice::<Vec<Value>>(input) else { return false };
    let mut ids: Vec<&Value> = read.iter().filter_map(|message| message.get("id")).collect();
    let (count, all) = (ids.len(), read.len());
    ids.sort_by_key(|id| id.to_string());
    ids.dedup();
    serde_json::from_slice::<Once>(input).is_ok()
        && (1..=MESSAGES_MAX).contains(&all)
        && ids.len() == count
        && read.iter().all(is_plain_value)
}

fn is_plain_value(message: &Value) -> bool {
    is_plain(message.to_string().as_bytes())
}

fn parts(frame: &Frame, read: &Value) {
    let params = read.get("params").filter(|params| params.is_object());
    for (name, expected) in params.and_then(Value::as_object).into_iter().flatten() {
        if frame.method().is_some() {
            assert_eq!(frame.param(name).map(value).as_ref(), Some(expected), "params.{name}");
        }
    }
    let content = if frame.method().is_some() { params } else { read.get("result") };
    let meta = content.and_then(|content| content.get("_meta")).and_then(Value::as_object);
    for (key, expected) in meta.into_iter().flatten() {
        assert_eq!(frame.meta(key).map(value).as_ref(), Some(expected), "_meta.{key}");
    }
    assert_eq!(frame.result().as_deref().map(value).as_ref(), read.get("result"));
    let called =
        read.get("method").and_then(Value::as_str) == Some("tools/call") && frame.kind() == Kind::Request;
    if let Some(call) = frame.tool_call() {
        let arguments =
            params.and_then(|params| params.get("arguments")).filter(|arguments| !arguments.is_null());
        assert_eq!(
            Some(call.name.as_str()),
            params.and_then(|params| params.get("name")).and_then(Value::as_str)
        );
        assert_eq!(
            value(&call.arguments),
            arguments.cloned().unwrap_or_else(|| Value::Object(Default::default()))
        );
    } else {
        assert!(!called, "a call that is none to the gateway");
    }
}

fn edits(frame: &Frame, read: &Value) {
    let renamed = RequestId::integer(77);
    let mut expected = read.clone();
    if let (Some(_), Some(id)) = (frame.id(), expected.get_mut("id")) {
        *id = Value::from(77);
        assert_eq!(value(&frame.with_id(&renamed)), expected, "with another id");
    }
    let mut expected = read.clone();
    let place = if frame.method().is_some() { "/params/_meta" } else { "/result/_meta" };
    if let Some(meta) = expected.pointer_mut(place).and_then(Value::as_object_mut) {
        meta.remove("x402/payment");
    }
    assert_eq!(value(&frame.without_meta_keys(&["x402/payment"])), expected, "without a key of _meta");
}

fn value(raw: &[u8]) -> Value {
    let read = serde_json::from_slice(raw);
    assert!(read.is_ok(), "a part is no JSON: {:?}", String::from_utf8_lossy(raw));
    read.unwrap_or_default()
}

/// A message that every reader takes: nothing in it is unusual but the values.
fn is_plain(input: &[u8]) -> bool {
    if serde_json::from_slice::<Once>(input).is_err() {
        return false;
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(input) else { return false };
    let is_id = |id: &Value| {
        id.as_str().is_some_and(|id| id.len() < 32 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            || id.as_u64().is_some_and(|id| id < 1_000_000)
    };
    let is_params = |params: &Value| {
        params
            .as_object()
            .is_some_and(|params| params.keys().all(|name| ["cursor", "x"].contains(&name.as_str())))
    };
    members.iter().all(|(name, value)| match name.as_str() {
        "jsonrpc" => value == "2.0",
        "id" => is_id(value),
        "method" => value.as_str().is_some_and(|method| PLAIN_METHODS.contains(&method)),
        "params" => is_params(value),
        _ => false,
    }) && members.contains_key("jsonrpc")
        && members.contains_key("method")
}

fn is_a_bound(fault: &FrameFault) -> bool {
    matches!(fault, FrameFault::Json(JsonError::TooDeep { .. } | JsonError::NumberTooLong { .. }))
}
