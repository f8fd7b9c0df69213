use serde_json::{Value, json};

use super::*;

#[test]
fn a_demand_has_the_shape_of_the_specification() {
    let accepts = [r#"{"scheme":"exact"}"#.to_owned(), r#"{"scheme":"upto"}"#.to_owned()];
    let text =
        payment_required("mcp://tool/weather", Some("the \"weather\""), "payment required", &accepts, None);
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({
            "x402Version": 2,
            "error": "payment required",
            "resource": {"url": "mcp://tool/weather", "description": "the \"weather\"", "mimeType": "application/json"},
            "accepts": [{"scheme": "exact"}, {"scheme": "upto"}],
        })
    );
    let bare: Value = serde_json::from_str(&payment_required("u", None, "e", &[], None)).unwrap();
    assert_eq!(bare["resource"], json!({"url": "u", "mimeType": "application/json"}), "no nulls");
    assert_eq!(bare["accepts"], json!([]));
}

#[test]
fn a_settle_response_has_the_shape_of_the_specification() {
    let settled =
        settle_response(true, "0xab", "eip155:84532", Some("0xcd"), Some(Amount::new(10_000)), None);
    assert_eq!(
        serde_json::from_str::<Value>(&settled).unwrap(),
        json!({"success": true, "transaction": "0xab", "network": "eip155:84532", "payer": "0xcd", "amount": "10000"})
    );
    let failed = settle_response(false, "", "eip155:84532", None, None, Some("invalid_exact_evm_signature"));
    assert_eq!(
        serde_json::from_str::<Value>(&failed).unwrap(),
        json!({
            "success": false,
            "errorReason": "invalid_exact_evm_signature",
            "transaction": "",
            "network": "eip155:84532",
        })
    );
}

#[test]
fn headers_are_padded_standard_base64() {
    assert_eq!(header("{}"), "e30=");
    assert_eq!(header("?>?>"), "Pz4/Pg==");
}
