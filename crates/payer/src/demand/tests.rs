use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn required() -> Value {
    json!({
        "x402Version": 2, "error": "Payment required", "resource": { "url": "mcp://tool/weather", "description": null },
        "accepts": [{ "scheme": "exact", "network": "eip155:84532" }], "extensions": null,
    })
}

fn parts(result: &Value) -> ResultParts {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
    ResultParts::read(&Frame::parse_upstream(body.into()).expect("a frame"))
}

#[test]
fn a_demand_is_read_from_structured_content_or_from_the_text() {
    let text = required().to_string();
    for result in [
        json!({ "isError": true, "structuredContent": required(), "content": [] }),
        json!({ "isError": true, "content": [{ "type": "text", "text": text }] }),
        json!({ "isError": true, "structuredContent": { "other": 1 }, "content": [{ "type": "text", "text": text }] }),
    ] {
        let demand = parts(&result).demand.expect("a demand");
        assert_eq!(demand.carrier, Carrier::Meta);
        assert_eq!(demand.message(), "Payment required");
        let required = demand.x402.expect("x402");
        assert_eq!(required.accepts.len(), 1);
        assert!(required.extensions.is_none(), "null is absent");
    }
}

#[test]
fn an_l402_challenge_is_read_beside_x402_and_alone() {
    let challenge =
        json!({ "macaroon": "AgE=", "invoice": "lnbcrt1", "payment_hash": "00", "price_sats": 10 });
    let beside = json!({
        "isError": true, "structuredContent": required(), "content": [],
        "_meta": { "l402/challenge": challenge, "tollgate/denial": { "error": "payment_required", "message": "Pay." } },
    });
    let demand = parts(&beside).demand.expect("a demand");
    assert!(demand.x402.is_some());
    assert_eq!(demand.l402.as_ref().expect("l402").invoice, "lnbcrt1");
    assert_eq!(demand.facts.error.as_deref(), Some("payment_required"));
    assert_eq!(demand.message(), "Pay.");

    let alone = json!({ "isError": true, "structuredContent": challenge, "content": [] });
    let demand = parts(&alone).demand.expect("a demand");
    assert!(demand.x402.is_none());
    assert_eq!(demand.l402.expect("l402").macaroon, "AgE=");
}

#[test]
fn an_ordinary_result_is_no_demand() {
    let demanding = json!({ "isError": true, "structuredContent": required(), "content": [] });
    assert!(parts(&demanding).demand.is_some(), "positive control");
    let mut version_1 = required();
    version_1["x402Version"] = json!(1);
    for result in [
        json!({ "isError": false, "structuredContent": required(), "content": [] }),
        json!({ "structuredContent": required(), "content": [] }),
        json!({ "isError": true, "content": [{ "type": "text", "text": "the city is unknown" }] }),
        json!({ "isError": true, "structuredContent": version_1, "content": [] }),
        json!({ "isError": true, "content": null, "_meta": null }),
        json!("text"),
    ] {
        assert!(parts(&result).demand.is_none(), "{result}");
    }
}

#[test]
fn receipt_and_transaction_are_read_from_the_result() {
    let result = json!({
        "content": [],
        "_meta": {
            "tollgate/receipt": { "envelope": {}, "salts": {} },
            "x402/payment-response": { "success": true, "transaction": "0xabc", "network": "eip155:84532" },
        },
    });
    let parts = parts(&result);
    assert_eq!(parts.receipt.as_deref(), Some(r#"{"envelope":{},"salts":{}}"#));
    assert_eq!(parts.transaction.as_deref(), Some("0xabc"));
    assert!(!parts.is_error);
}

fn http_402(headers: &[(&str, &str)]) -> Option<Demand> {
    let headers = headers.iter().map(|(name, value)| {
        let name: http::HeaderName = name.parse().expect("a name");
        (name, value.parse().expect("a value"))
    });
    Demand::of_http(&headers.collect())
}

#[test]
fn a_plain_http_402_is_read_from_its_headers() {
    let padded = STANDARD.encode(required().to_string());
    for encoded in [padded.as_str(), padded.trim_end_matches('=')] {
        let demand = http_402(&[("payment-required", encoded)]).expect("a demand");
        assert_eq!(demand.carrier, Carrier::Header);
        assert_eq!(demand.x402.expect("x402").accepts.len(), 1);
    }
    assert!(http_402(&[("payment-required", "%%%")]).is_none());
    assert!(http_402(&[]).is_none());
}

#[test]
fn l402_challenges_of_all_dialects_are_read() {
    for header in [
        r#"L402 macaroon="M", invoice="I", version="0", token="M""#,
        r#"L402 version="0", token="M", invoice="I""#,
        r#"LSAT macaroon="M", invoice="I""#,
        r#"l402 invoice="I",macaroon="M""#,
        r#"L402 macaroon=M, invoice=I"#,
    ] {
        let demand = http_402(&[
            ("www-authenticate", r#"Bearer resource_metadata="https://a""#),
            ("www-authenticate", header),
        ]);
        let challenge = demand.and_then(|demand| demand.l402).unwrap_or_else(|| panic!("{header}"));
        assert_eq!((challenge.macaroon.as_str(), challenge.invoice.as_str()), ("M", "I"), "{header}");
    }
    for header in [
        "Bearer",
        r#"Payment id="x", invoice="I", macaroon="M""#,
        r#"L402 macaroon="M""#,
        r#"L402 macaroon="M"#,
    ] {
        assert!(http_402(&[("www-authenticate", header)]).is_none(), "{header}");
    }
}

proptest! {
    #[test]
    fn no_challenge_makes_the_reader_panic(text in any::<String>()) {
        let _challenge = L402Challenge::of_header(&format!("L402 {text}"));
        let _parameters = parameters(&text);
    }

    #[test]
    fn quoted_parameters_read_back(values in proptest::collection::vec("[a-zA-Z0-9+/= ]{0,20}", 1..6)) {
        let text: Vec<String> = values.iter().enumerate().map(|(index, value)| format!("k{index}=\"{value}\"")).collect();
        let read: Vec<String> = parameters(&text.join(", ")).into_iter().map(|(_, value)| value).collect();
        prop_assert_eq!(read, values);
    }
}
