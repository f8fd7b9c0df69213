use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn x402() -> Value {
    json!({ "x402Version": 2, "accepts": [{ "scheme": "exact", "payTo": "0x00" }] })
}

fn error_text(text: &str) -> String {
    json!({ "isError": true, "content": [{ "type": "text", "text": text }] }).to_string()
}

#[test]
fn demands_are_recognised_wherever_clients_read_them() {
    let nested = json!({ "detail": x402().to_string() }).to_string();
    let challenge = json!({ "id": "i", "realm": "r", "method": "evm", "intent": "charge", "request": {} });
    for (what, raw) in [
        ("structured", json!({ "isError": true, "structuredContent": x402() }).to_string()),
        (
            "version 1",
            json!({ "structuredContent": { "x402Version": 1, "error": "e", "accepts": [] } }).to_string(),
        ),
        ("text", error_text(&x402().to_string())),
        ("text in a sentence", error_text(&format!("Error executing tool x: {}", x402()))),
        ("text in text", error_text(&nested)),
        ("the data of an error", json!({ "code": 402, "message": "m", "data": x402() }).to_string()),
        ("l402", json!({ "structuredContent": { "macaroon": "m", "invoice": "lnbc1" } }).to_string()),
        ("l402 as a header", error_text("L402 token=\"abc\", invoice=\"lnbc1\"")),
        ("mpp", json!({ "code": -32042, "message": "m", "data": { "challenges": [challenge] } }).to_string()),
        (
            "mpp as a header",
            error_text("Payment id=\"i\", realm=\"r\", method=\"evm\", intent=\"charge\", request=\"e30\""),
        ),
    ] {
        assert!(is_demand(raw.as_bytes()), "{what}: {raw}");
    }
}

#[test]
fn ordinary_errors_are_left_alone() {
    for text in [
        "the tool failed",
        "payment required: your plan has ended",
        "unknown x402Version",
        "failed to create invoice: macaroon lacks the permission",
        "this endpoint accepts: application/json",
        r#"{"error":"bad request","method":"GET","request":"r-1"}"#,
        r#"{"challenges":3}"#,
    ] {
        assert!(!is_demand(error_text(text).as_bytes()), "{text}");
    }
    let elicitation =
        json!({ "code": -32042, "message": "m", "data": { "elicitations": [{ "url": "https://a" }] } });
    assert!(!is_demand(elicitation.to_string().as_bytes()), "MCP's own use of this code");
}

#[test]
fn no_spelling_hides_a_name() {
    let spelled = |version: &str, accepts: &str| format!(r#"{{"{version}":2,"{accepts}":[]}}"#);
    for text in [
        spelled(r"\u0078402Version", "accepts"),
        spelled("x402version", "ACCEPTS"),
        spelled("x402Ver\u{17f}ion", "accept\u{17f}"),
        spelled("x402Version\" ", "accepts"),
    ] {
        let once = error_text(&text);
        assert!(is_demand(text.as_bytes()) && is_demand(once.as_bytes()), "{text}");
        assert!(is_demand(error_text(&once).as_bytes()), "twice: {text}");
    }
}

#[test]
fn headers_that_ask_for_payment_go_and_others_stay() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("payment-required", "e30="),
        ("payment-response", "e30="),
        ("www-authenticate", "L402 macaroon=\"m\", invoice=\"i\""),
        ("www-authenticate", "Bearer realm=\"tools\""),
        ("www-authenticate", "payment id=\"i\""),
        ("x-request-id", "7"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    assert!(strip_headers(&mut headers));
    let mut left: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    left.sort_unstable();
    assert_eq!(left, [("www-authenticate", "Bearer realm=\"tools\""), ("x-request-id", "7")]);
    assert!(!strip_headers(&mut headers), "nothing more to take");
}

#[test]
fn a_challenge_that_no_comma_stands_before_is_taken_away() {
    let left = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("www-authenticate", HeaderValue::from_static(value));
        strip_headers(&mut headers);
        headers.contains_key("www-authenticate")
    };
    assert!(!left(r#"Bearer realm="a" L402 macaroon="a", invoice="b""#));
    assert!(!left(r#"Bearer; Payment id="a""#));
    assert!(left(r#"Bearer realm="a L402 b", scope="payment""#), "control: words in quotes ask for nothing");
}

proptest! {
    #[test]
    fn any_escaping_of_a_demand_is_still_one(mask in prop::collection::vec(any::<bool>(), 19), levels in 0_usize..4) {
        let names = "x402Version accepts";
        let spelled: String = names
            .chars()
            .zip(mask)
            .map(|(c, escape)| if escape && c != ' ' { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() })
            .collect();
        let (version, accepts) = spelled.split_once(' ').unwrap();
        let mut text = format!(r#"{{"{version}":2,"{accepts}":[]}}"#);
        for _ in 0..levels {
            text = Value::String(text).to_string();
        }
        prop_assert!(is_demand(text.as_bytes()), "{}", text);
    }

    #[test]
    fn any_bytes_can_be_looked_at(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = is_demand(&raw);
    }
}
