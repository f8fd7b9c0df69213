use super::*;
use crate::frame::{Frame, Kind};

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn errors_carry_the_id_as_it_was_spelled() {
    let id = RequestId::from_raw(r#""\u0061""#).unwrap();
    assert_eq!(
        text(&error(Some(&id), -32_602, "no \"tool\"\n", Some(r#"{"a":1.0}"#))),
        r#"{"jsonrpc":"2.0","id":"\u0061","error":{"code":-32602,"message":"no \"tool\"\n","data":{"a":1.0}}}"#
    );
    let anonymous = error(None, code::PARSE_ERROR, "bad", None);
    assert_eq!(text(&anonymous), r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"bad"}}"#);
    assert_eq!(Frame::parse(anonymous).unwrap().kind(), Kind::ErrorResponse);
}

#[test]
fn only_a_modern_result_says_its_type() {
    let write = |era| {
        tool_result(era, &["{\"p\":1}", "Pay first."], Some(r#"{"p":1}"#), &[("x402/error", "{}")], true)
    };
    let legacy = r#"{"content":[{"type":"text","text":"{\"p\":1}"},{"type":"text","text":"Pay first."}],"structuredContent":{"p":1},"isError":true,"_meta":{"x402/error":{}}}"#;
    assert_eq!(text(&write(Era::Legacy)), legacy);
    assert_eq!(text(&write(Era::Modern)), legacy.replacen('{', r#"{"resultType":"complete","#, 1));
    assert_eq!(text(&tool_result(Era::Legacy, &[], None, &[], false)), r#"{"content":[],"isError":false}"#);
}

#[test]
fn messages_of_our_own_parse() {
    let id = RequestId::integer(-3);
    let response = Frame::parse(result(
        &id,
        tool_result(Era::Modern, &["\u{0}\u{2028}\""], None, &[("k\"", "1")], false),
    ))
    .unwrap();
    assert_eq!((response.kind(), response.id()), (Kind::Response, Some(&id)));
    assert_eq!(response.meta("k\""), Some(b"1".as_slice()));
    let cancelled =
        Frame::parse(notification("notifications/cancelled", Some(r#"{"requestId":1}"#))).unwrap();
    assert_eq!((cancelled.kind(), cancelled.param("requestId")), (Kind::Notification, Some(b"1".as_slice())));
    let listing = Frame::parse(request(&id, "tools/list", None)).unwrap();
    assert_eq!((listing.kind(), listing.method()), (Kind::Request, Some("tools/list")));
}
