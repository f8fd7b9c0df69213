use serde_json::{Map, json};
use tollgate_domain::Digest;

use super::*;
use crate::l402::terms::PriceTerm;

const PREIMAGE: Preimage = Preimage::new([0xab; 32]);

fn challenges() -> Challenges {
    Challenges::new(&[5; 32], "gate.example").unwrap()
}

fn terms() -> Terms {
    Terms {
        tool: "demo/weather".to_owned(),
        args: Digest::of(b"{}"),
        price: PriceTerm::parse("1:10000:lightning:regtest/msat").unwrap(),
        valid_until: 1_795_219_860,
        caller: None,
    }
}

fn sealed(terms: &Terms) -> Challenge {
    let invoice = Invoice { bolt11: "lnbcrt100n1x".to_owned(), payment_hash: PREIMAGE.payment_hash() };
    challenge(&challenges(), "regtest", 10, &invoice, terms)
}

fn credential() -> Value {
    let challenge: Value = serde_json::from_str(&sealed(&terms()).mcp_json()).unwrap();
    json!({"challenge": challenge, "payload": {"preimage": PREIMAGE.to_hex()}, "source": "did:key:z6Mk"})
}

fn opens(credential: &Value) -> Result<Opened, PaymentRefusal> {
    open(&challenges(), &credential.to_string())
}

#[test]
fn the_challenge_says_what_the_method_asks_for() {
    let challenge: Value = serde_json::from_str(&sealed(&terms()).mcp_json()).unwrap();
    assert_eq!(
        challenge["request"],
        json!({
            "amount": "10",
            "currency": "sat",
            "methodDetails": {
                "invoice": "lnbcrt100n1x",
                "network": "regtest",
                "paymentHash": hex::encode(PREIMAGE.payment_hash()),
            },
        })
    );
    assert_eq!((&challenge["method"], &challenge["intent"]), (&json!("lightning"), &json!("charge")));
    assert_eq!(challenge["expires"], "2026-11-21T00:11:00.000Z");
    // A flat map of texts, as the core draft demands of `opaque`.
    let opaque = crate::base64_text::decode_any(challenge["opaque"].as_str().unwrap()).unwrap();
    let opaque: Map<String, Value> = serde_json::from_slice(&opaque).unwrap();
    assert!(opaque.values().all(Value::is_string));
}

#[test]
fn a_paid_challenge_opens_with_its_terms_over_mcp_and_over_http() {
    let opened = opens(&credential()).unwrap();
    assert_eq!(opened, Opened::proven(PREIMAGE.payment_hash(), &PREIMAGE, terms()).unwrap());
    // Over HTTP the request is echoed as the text that was sent.
    let line = sealed(&terms()).www_authenticate();
    let found = crate::l402::www_authenticate::challenges(&line);
    let [challenge] = found.as_slice() else { panic!("one challenge") };
    let echo: Map<String, Value> =
        challenge.params.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let over_http = json!({"challenge": echo, "payload": {"preimage": PREIMAGE.to_hex()}});
    assert_eq!(opens(&over_http).unwrap(), opened);
}

#[test]
fn p2_p4_an_echo_that_was_changed_is_refused() {
    let good = credential();
    let dearer = json!({"tollgateQuote": "services=tollgate:0"});
    for (pointer, value) in [
        ("/challenge/id", json!("x")),
        ("/challenge/realm", json!("other.example")),
        ("/challenge/method", json!("evm")),
        ("/challenge/method", json!("lightning|charge")),
        ("/challenge/intent", json!("session")),
        ("/challenge/request/amount", json!("1")),
        ("/challenge/request/methodDetails/paymentHash", json!("00".repeat(32))),
        ("/challenge/request/methodDetails/network", json!("mainnet")),
        ("/challenge/expires", json!("2036-11-21T00:11:00.000Z")),
        ("/challenge/opaque", json!("")),
        ("/challenge/opaque", Value::Null),
        ("/challenge/opaque", dearer),
        ("/payload/preimage", json!("ab".repeat(31))),
        ("/payload/preimage", json!("AB".repeat(32))),
        ("/payload/preimage", json!("00".repeat(32))),
        ("/payload/preimage", json!(1)),
        ("/payload", json!([])),
        ("/challenge", json!({})),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert!(opens(&changed).is_err(), "{pointer}");
        assert!(opens(&good).is_ok());
    }
    let other_secret = Challenges::new(&[6; 32], "gate.example").unwrap();
    assert!(open(&other_secret, &good.to_string()).is_err());
}

#[test]
fn a_challenge_of_another_method_under_the_same_key_is_refused() {
    let invoice = sealed(&terms());
    let seal = invoice.seal().unwrap();
    let expires = UnixMillis::from_secs(terms().valid_until);
    for (method, intent, is_ours) in
        [("lightning", "charge", true), ("evm", "charge", false), ("lightning", "session", false)]
    {
        let made = challenges().challenge(method, intent, invoice.request().clone(), expires, &seal);
        let challenge: Value = serde_json::from_str(&made.mcp_json()).unwrap();
        let credential = json!({"challenge": challenge, "payload": {"preimage": PREIMAGE.to_hex()}});
        assert_eq!(opens(&credential).is_ok(), is_ours, "{method} {intent}");
        assert_eq!(is_lightning(&credential.to_string()), method == "lightning");
    }
}
