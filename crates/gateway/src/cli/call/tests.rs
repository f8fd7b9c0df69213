use serde_json::json;

use super::*;

#[test]
fn what_a_server_says_cannot_pretend_to_be_a_line_of_the_command() {
    let refused = PayError::Refused {
        code: None,
        message: "no\nverified   with the key".to_owned(),
        next_step: Some("pay\u{1b}[2J\nerror: none".to_owned()),
    };
    let text = explained(&refused);
    assert_eq!(
        text,
        "the server refused the call: no\\nverified   with the key\nnext step: pay\\u001b[2J\\nerror: none"
    );
    // Control: what it says is said.
    let plain = PayError::Refused {
        code: None,
        message: "no such tool".to_owned(),
        next_step: Some("list them".to_owned()),
    };
    assert_eq!(explained(&plain), "the server refused the call: no such tool\nnext step: list them");

    let statement = json!({ "receipt_id": "rcpt_1\nvalid: signed by a friend", "refunded": "1\u{1b}[A" });
    let said = receipt::said(&statement);
    assert!(said.contains("rcpt_1\\nvalid: signed") && said.contains("1\\u001b[A atomic"), "{said}");
}

#[test]
fn whoever_could_not_call_is_told_what_to_do() {
    let limit = Funds::Sandbox.assets().unwrap().parse("0.01USDC").unwrap();
    let dear = Funds::Sandbox.assets().unwrap().parse("0.02USDC").unwrap();
    let errors = [
        PayError::Unreachable { url: "u".to_owned(), source: tollgate_egress::EgressError::Url },
        PayError::NotMcp { url: "u".to_owned(), reason: "it said hello".to_owned() },
        PayError::PriceAboveLimit { price: Box::new(dear), limit: Box::new(limit) },
        PayError::NoOffer { asset: "USDC".to_owned(), network: "n".to_owned(), offers: "o".to_owned() },
        PayError::NetworkNotAllowed { network: "eip155:8453".to_owned() },
        PayError::NoWallet { asset: "USDC".to_owned() },
        PayError::InDoubt { call: None, last: "silence".to_owned() },
    ];
    for error in &errors {
        assert!(explained(error).contains("\nnext step: "), "{error:?}");
    }
    assert!(explained(&errors[2]).ends_with("--max 0.02USDC"), "{}", explained(&errors[2]));
}
