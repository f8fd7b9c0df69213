use http::header::CONTENT_TYPE;
use proptest::prelude::*;

use super::*;

fn answer(status: u16, kind: &str, body: &str) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .expect("an answer")
}

fn result_of(heard: &Heard) -> Option<Bytes> {
    match heard {
        Heard::Result(frame) => frame.result(),
        Heard::Error(_) | Heard::Payment(_) | Heard::Nothing { .. } => None,
    }
}

fn id(number: i64) -> RequestId {
    RequestId::integer(number)
}

#[test]
fn a_result_is_kept_byte_for_byte() {
    let body = r#"{"jsonrpc":"2.0","id":3,"result":{ "z":1.10 , "a":1e3}}"#;
    let heard = hear(&answer(200, "application/json; charset=utf-8", body), &id(3));
    assert_eq!(result_of(&heard), Some(Bytes::from_static(br#"{ "z":1.10 , "a":1e3}"#)));
    assert!(
        matches!(hear(&answer(200, "application/json", body), &id(4)), Heard::Nothing { .. }),
        "another request's answer"
    );
}

#[test]
fn the_answer_in_a_stream_is_found_behind_notifications() {
    let body = concat!(
        ": hello\r\n\r\n",
        "event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\r\n\r\n",
        "id: 5\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":2,\"result\":{\"content\":[]}}\r\n\r\n",
    );
    let heard = hear(&answer(200, "text/event-stream", body), &id(2));
    assert_eq!(result_of(&heard), Some(Bytes::from_static(br#"{"content":[]}"#)));

    let cut = body.trim_end();
    assert!(
        matches!(hear(&answer(200, "text/event-stream", cut), &id(2)), Heard::Nothing { .. }),
        "a cut event is none"
    );
}

#[test]
fn errors_say_whether_they_are_about_our_request() {
    for (named, is_ours) in
        [("2", true), ("null", false), ("\"server-error\"", false), ("\"2\"", false), ("3", false)]
    {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{named},"error":{{"code":-32600,"message":"no"}}}}"#);
        match hear(&answer(400, "application/json", &body), &id(2)) {
            Heard::Error(error) => assert_eq!((error.code, error.is_ours), (-32600, is_ours), "{named}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_denial_that_comes_as_a_result_is_an_error_and_a_tools_failure_and_a_demand_are_not() {
    let meta = r#""_meta":{"tollgate/denial":{"error":"rate_limited","message":"Wait.","next_step":"Later.","retryable":true}}"#;
    let content = r#""content":[{"type":"text","text":"Wait."}]"#;
    let hear = |result: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":2,"result":{{{result}}}}}"#);
        super::hear(&answer(200, "application/json", &body), &id(2))
    };
    match hear(&format!(r#"{content},"isError":true,{meta}"#)) {
        Heard::Error(error) => {
            let facts = error.facts;
            assert_eq!((error.message.as_str(), error.is_ours), ("Wait.", true));
            assert_eq!((facts.error.as_deref(), facts.retryable), (Some("rate_limited"), Some(true)));
        }
        other => panic!("{other:?}"),
    }
    let challenge = r#""structuredContent":{"x402Version":2,"accepts":[]}"#;
    for result in [
        format!(r#"{content},"isError":true"#),
        format!(r#"{content},{meta}"#),
        format!(r#"{content},"isError":true,"_meta":{{"tollgate/denial":{{}}}}"#),
        format!(r#"{content},"isError":true,{challenge},{meta}"#),
    ] {
        assert!(matches!(hear(&result), Heard::Result(_)), "{result}");
    }
}

#[test]
fn what_is_no_answer_is_nothing() {
    for body in [
        "",
        "not json",
        "[]",
        "{}",
        r#"{"jsonrpc":"2.0","id":2}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{},"error":{"code":1,"message":"both"}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{"isError":true,"isError":false}}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{"#,
    ] {
        assert!(
            matches!(hear(&answer(200, "application/json", body), &id(2)), Heard::Nothing { .. }),
            "{body}"
        );
    }
}

proptest! {
    #[test]
    fn no_body_makes_the_reader_panic(body in any::<String>(), stream in any::<bool>()) {
        let kind = if stream { "text/event-stream" } else { "application/json" };
        let _heard = hear(&answer(200, kind, &body), &id(1));
    }
}
