use super::*;

const FREE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const PAID: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"t"}}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

fn batch(text: &str) -> Result<Vec<Result<Frame, FrameError>>, BatchError> {
    parse(&Bytes::copy_from_slice(text.as_bytes()), 3)
}

#[test]
fn m5_every_message_of_a_batch_is_seen() {
    let messages = batch(&format!("[ {FREE} ,{PAID}\n,{NOTE}]")).unwrap();
    let frames: Vec<Frame> = messages.into_iter().map(Result::unwrap).collect();
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0].bytes(), FREE);
    assert_eq!(frames[1].tool_call().unwrap().name, "t");
    assert_eq!(frames[2].kind(), Kind::Notification);
}

#[test]
fn m5_batches_that_hide_something_are_refused() {
    assert!(batch(&format!("[{FREE},{NOTE},{PAID}]")).is_ok());
    assert_eq!(
        batch(&format!("[{FREE},{NOTE},{NOTE},{PAID}]")).unwrap_err(),
        BatchError::TooMany { messages_max: 3 }
    );
    assert_eq!(batch("[]").unwrap_err(), BatchError::Empty);
    assert_eq!(batch(PAID).unwrap_err(), BatchError::NotABatch);
    assert!(matches!(batch(&format!("[{FREE},{NOTE}")).unwrap_err(), BatchError::Json(_)));
    assert!(matches!(batch(&format!("[{FREE}][{PAID}]")).unwrap_err(), BatchError::Json(_)));
    assert_eq!(batch(&format!("[{FREE},[{PAID}]]")).unwrap_err(), BatchError::Nested);
}

#[test]
fn an_id_stands_for_one_request_of_a_batch() {
    assert_eq!(batch(&format!("[{FREE},{}]", PAID.replace(":2", ":1"))).unwrap_err(), BatchError::IdTwice);
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    assert_eq!(batch(&format!("[{answer},{answer}]")).unwrap_err(), BatchError::IdTwice);
    let text = FREE.replace(":1", ":\"1\"");
    // An answer is to a request of the server, which has ids of its own.
    for other in [PAID, answer, &text] {
        assert_eq!(batch(&format!("[{FREE},{other},{NOTE}]")).unwrap().len(), 3, "{other}");
    }
}

#[test]
fn m3_m4_a_message_of_a_batch_is_read_as_one_that_stands_alone() {
    for (bad, code, id) in [
        (PAID.replacen("name", "Name", 1), -32_600, Some(2)),
        (PAID.replace("\"t\"", "\"t\",\"arguments\":{\"a\":1,\"a\":2}"), -32_700, None),
        (PAID.replace("\"id\":2,", ""), -32_600, None),
        ("1".to_owned(), -32_600, None),
        (r#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#.to_owned(), -32_600, Some(5)),
    ] {
        let alone = Frame::parse(Bytes::copy_from_slice(bad.as_bytes())).unwrap_err();
        assert_eq!((alone.code(), alone.id().cloned()), (code, id.map(crate::RequestId::integer)), "{bad}");
        // In a batch what is no JSON with one reading spoils all of it: an object cannot be told from what follows it.
        match batch(&format!("[{FREE},{bad}]")) {
            Ok(messages) => {
                assert!(messages[0].is_ok());
                assert_eq!(messages[1].as_ref().unwrap_err(), &alone, "{bad}");
            }
            Err(error) => assert!(code == -32_700 && matches!(error, BatchError::Json(_)), "{bad}: {error}"),
        }
    }
}

#[test]
fn an_array_is_known_by_its_first_character() {
    assert!(
        is_batch(b" \r\n\t[]") && !is_batch(b"{\"a\":[]}") && !is_batch(b"") && !is_batch(b"\xef\xbb\xbf[]")
    );
}
