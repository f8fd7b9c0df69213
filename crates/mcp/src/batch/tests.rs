use super::*;

const FREE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const PAID: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"t"}}"#;

fn batch(text: &str) -> Result<Vec<Frame>, BatchError> {
    parse(&Bytes::copy_from_slice(text.as_bytes()), 3)
}

#[test]
fn m5_every_message_of_a_batch_is_seen() {
    let frames = batch(&format!("[ {FREE} ,{PAID}]")).unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].bytes(), FREE);
    assert_eq!(frames[1].tool_call().unwrap().name, "t");
}

#[test]
fn m5_batches_that_hide_something_are_refused() {
    assert!(batch(&format!("[{FREE},{FREE},{PAID}]")).is_ok());
    assert_eq!(
        batch(&format!("[{FREE},{FREE},{FREE},{PAID}]")).unwrap_err(),
        BatchError::TooMany { messages_max: 3 }
    );
    assert_eq!(batch("[]").unwrap_err(), BatchError::Empty);
    assert_eq!(batch(PAID).unwrap_err(), BatchError::NotABatch);
    assert!(matches!(batch(&format!("[{FREE},{FREE}")).unwrap_err(), BatchError::Json(_)));
    let nested = batch(&format!("[{FREE},[{PAID}]]")).unwrap_err();
    assert!(matches!(nested, BatchError::Message { index: 1, .. }));
    assert_eq!(FrameError::from(nested).code(), -32_600);
    let variant = batch(&format!("[{FREE},{}]", PAID.replacen("name", "Name", 1))).unwrap_err();
    assert_eq!(FrameError::from(variant).id(), Some(&crate::RequestId::integer(2)));
}
