use proptest::prelude::*;
use serde_json::json;

use super::*;

const EXPIRES: UnixMillis = UnixMillis::from_secs(1_795_219_320);

fn challenges() -> Challenges {
    Challenges::new(&[5; 32], "gate.example").unwrap()
}

fn challenge() -> Challenge {
    let request = json!({"recipient": "r", "amount": "10000", "methodDetails": {"chainId": 84532}});
    challenges().challenge("evm", "charge", request, EXPIRES, "sealed text")
}

fn credential(challenge: &Value) -> Result<Credential, PaymentRefusal> {
    Credential::parse(&json!({"challenge": challenge, "payload": {"preimage": "00"}}).to_string())
}

/// What an MCP client echoes: the object it was given.
fn native() -> Value {
    serde_json::from_str(&challenge().mcp_json()).unwrap()
}

/// What an HTTP client echoes: the parameters of the header line.
fn from_header() -> Value {
    let line = challenge().www_authenticate();
    let parameters = line.strip_prefix("Payment ").unwrap().split(", ").map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap();
        (name.to_owned(), json!(value.trim_matches('"')))
    });
    Value::Object(parameters.collect())
}

#[test]
fn a_challenge_is_recognised_from_both_of_its_forms() {
    for echoed in [native(), from_header()] {
        let credential = credential(&echoed).unwrap();
        assert_eq!(challenges().recognise(&credential), Ok(()), "{echoed}");
        assert_eq!(credential.challenge(), &challenge());
        assert_eq!(credential.challenge().seal().as_deref(), Some("sealed text"));
        assert_eq!(credential.payload_text("preimage"), Some("00"));
    }
    assert!(from_header()["request"].is_string() && native()["request"].is_object());
}

#[test]
fn nulls_key_order_and_expanded_opaque_maps_are_taken() {
    let mut echoed = native();
    echoed["digest"] = Value::Null;
    echoed["description"] = Value::Null;
    echoed["opaque"] = json!({ OPAQUE_QUOTE_KEY: "sealed text" });
    assert_eq!(challenges().recognise(&credential(&echoed).unwrap()), Ok(()));
    let request = base64_text::encode_url(
        br#"{ "methodDetails":{"chainId":84532}, "amount":"10000","recipient":"r" }"#,
    );
    echoed["request"] = json!(request);
    assert_eq!(challenges().recognise(&credential(&echoed).unwrap()), Ok(()));
}

#[test]
fn p2_a_changed_challenge_is_not_recognised() {
    assert_eq!(challenges().recognise(&credential(&native()).unwrap()), Ok(()));
    for (path, value) in [
        ("/id", json!("")),
        ("/id", json!("AAAA")),
        ("/realm", json!("other.example")),
        ("/method", json!("lightning")),
        ("/intent", json!("session")),
        ("/request/amount", json!("1")),
        ("/request/added", json!("1")),
        ("/expires", json!("2030-01-01T00:00:00Z")),
        ("/expires", Value::Null),
        ("/digest", json!("sha-256=x")),
        ("/opaque", json!(base64_text::encode_url(br#"{"tollgateQuote":"other"}"#))),
        ("/opaque", Value::Null),
    ] {
        let mut changed = native();
        match changed.pointer_mut(path) {
            Some(place) => *place = value,
            None if path == "/digest" => changed["digest"] = value,
            None => changed["request"]["added"] = value,
        }
        assert!(challenges().recognise(&credential(&changed).unwrap()).is_err(), "{path}");
    }
}

#[test]
fn p2_a_challenge_of_another_gateway_or_realm_is_not_recognised() {
    let credential = credential(&native()).unwrap();
    assert_eq!(challenges().recognise(&credential), Ok(()));
    let other_secret = Challenges::new(&[6; 32], "gate.example").unwrap();
    assert!(matches!(other_secret.recognise(&credential), Err(PaymentRefusal::Invalid(_))));
    let other_realm = Challenges::new(&[5; 32], "other.example").unwrap();
    assert!(matches!(other_realm.recognise(&credential), Err(PaymentRefusal::WrongTarget { .. })));
}

#[test]
fn p2_a_bar_cannot_shift_the_slots_of_an_id() {
    // "evm|charge|REQUEST" in the place of the method would make the same MAC input, were bars let through.
    let mut shifted = native();
    let expires = shifted["expires"].as_str().unwrap().to_owned();
    let opaque = shifted["opaque"].as_str().unwrap().to_owned();
    shifted["expires"] = json!(format!("{expires}||{opaque}"));
    shifted["opaque"] = Value::Null;
    assert!(challenges().recognise(&credential(&shifted).unwrap()).is_err());
}

#[test]
fn the_id_is_the_mac_over_seven_slots() {
    let request =
        base64_text::encode_url(br#"{"amount":"10000","methodDetails":{"chainId":84532},"recipient":"r"}"#);
    let opaque = base64_text::encode_url(br#"{"tollgateQuote":"sealed text"}"#);
    let input = format!("gate.example|evm|charge|{request}|2026-11-21T00:02:00.000Z||{opaque}");
    let mac =
        derived_mac(&[5; 32], b"tollgate mpp challenge id v1").chain_update(input).finalize().into_bytes();
    assert_eq!(challenge().id(), base64_text::encode_url(&mac));
}

#[test]
fn p1_garbage_is_no_credential() {
    let mut no_request = native();
    no_request["request"] = json!("%%%");
    let mut number = native();
    number["expires"] = json!(7);
    for (text, why) in [
        (String::new(), "empty"),
        ("[]".to_owned(), "list"),
        (json!({"challenge": native()}).to_string(), "no payload"),
        (json!({"payload": {}}).to_string(), "no challenge"),
        (json!({"challenge": {}, "payload": {}}).to_string(), "no id"),
        (json!({"challenge": no_request, "payload": {}}).to_string(), "request"),
        (json!({"challenge": number, "payload": {}}).to_string(), "expires"),
        (" ".repeat(CREDENTIAL_BYTES_MAX + 1), "too long"),
    ] {
        assert!(matches!(Credential::parse(&text), Err(PaymentRefusal::Unreadable(_))), "{why}");
    }
}

#[test]
fn a_realm_that_cannot_stand_in_a_header_is_refused() {
    assert!(Challenges::new(&[5; 32], "gate.example:3100").is_ok());
    for realm in ["", "a\"b", "a|b", "a b", "a\r\nb", "ä"] {
        assert!(Challenges::new(&[5; 32], realm).is_err(), "{realm}");
    }
}

#[test]
fn a_receipt_has_the_shape_of_the_draft() {
    let text = receipt("evm", EXPIRES, "0xabc", "id");
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({
            "status": "success",
            "method": "evm",
            "timestamp": "2026-11-21T00:02:00.000Z",
            "reference": "0xabc",
            "challengeId": "id",
        })
    );
    assert_eq!(base64_text::decode_any(&receipt_header(&text)).unwrap(), text.as_bytes());
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?} {:?}", challenges(), credential(&native()).unwrap());
    assert_eq!(printed, "Challenges(gate.example, [redacted]) Credential(evm, [redacted])");
}

proptest! {
    #[test]
    fn reading_never_panics(text in "\\PC{0,200}") {
        prop_assert!(Credential::parse(&text).is_err());
        let _method = method_of(&text);
    }

    #[test]
    fn any_request_is_recognised_again(amount: u128, text in "\\PC{0,40}", seal in "\\PC{0,60}") {
        let request = json!({"amount": amount.to_string(), "note": text});
        let challenge = challenges().challenge("evm", "charge", request, EXPIRES, &seal);
        let echoed: Value = serde_json::from_str(&challenge.mcp_json()).unwrap();
        let credential = credential(&echoed).unwrap();
        prop_assert_eq!(challenges().recognise(&credential), Ok(()));
        prop_assert_eq!(credential.challenge().seal(), Some(seal));
    }
}
