use proptest::prelude::*;

use super::*;

#[test]
fn a_result_is_returned_even_when_it_is_null() {
    assert_eq!(answer("m", br#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#), Ok(json!("0x1")));
    assert_eq!(answer("m", br#"{"jsonrpc":"2.0","id":1,"result":null}"#), Ok(Value::Null));
    assert_eq!(answer("m", br#"{"id":1,"result":7,"error":null}"#), Ok(json!(7)));
}

#[test]
fn an_error_is_an_error_even_beside_a_result() {
    let error = RpcError::Node { method: "m", code: -32000, message: "nonce too low".to_owned() };
    assert_eq!(
        answer("m", br#"{"id":1,"error":{"code":-32000,"message":"nonce too low"}}"#),
        Err(error.clone())
    );
    assert_eq!(
        answer("m", br#"{"id":1,"result":"0x1","error":{"code":-32000,"message":"nonce too low"}}"#),
        Err(error)
    );
}

#[test]
fn p5_what_is_no_answer_is_refused() {
    for body in
        ["", "[]", "null", "{}", r#"{"result":"0x1"} x"#, r#"{"error":"no"}"#, r#"{"error":{"code":"x"}}"#]
    {
        assert!(matches!(answer("m", body.as_bytes()), Err(RpcError::Answer { .. })), "{body}");
    }
}

#[test]
fn the_key_in_a_url_is_not_printed() {
    let client = Client::new(tollgate_egress::Policy::public(), tollgate_egress::Limits::default());
    let rpc = HttpRpc::new(client, Uri::from_static("https://node.example/v2/secret-key"));
    assert_eq!(format!("{rpc:?}"), "HttpRpc(node.example)");
}

proptest! {
    #[test]
    fn reading_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _read = answer("m", &body);
    }
}
