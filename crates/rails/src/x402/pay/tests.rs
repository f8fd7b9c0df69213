use serde_json::{Value, json};

use super::*;
use crate::x402::testing::{NOW, PAY_TO, payer};

fn entry() -> Value {
    json!({
        "scheme": "exact", "network": "eip155:84532", "amount": "10000",
        "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "payTo": PAY_TO, "maxTimeoutSeconds": 60,
        "extra": {"name": "USDC", "version": "2", "other": {"kept": [1, 2.50]}},
    })
}

fn sign(entry: &Value) -> Result<String, SignPaymentError> {
    sign_payment(&entry.to_string(), None, &payer(), [3; 32], NOW)
}

#[test]
fn an_entry_is_echoed_as_it_is_and_signed_by_the_wallet() {
    let entry = entry();
    let resource = r#"{"url":"mcp://tool/weather"}"#;
    let text = sign_payment(&entry.to_string(), Some(resource), &payer(), [3; 32], NOW).unwrap();
    assert!(text.contains(&entry.to_string()) && text.contains(resource), "{text}");
    let payment: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(payment["x402Version"], 2);
    let signed = SignedAuthorization::from_proof_text(&payment["payload"].to_string()).unwrap();
    let domain =
        Domain::new("USDC", "2", 84_532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e".parse().unwrap());
    assert_eq!(signed.check(&domain), Ok(true));
    assert_eq!(
        signed.authorization,
        Authorization {
            from: payer().address(),
            to: PAY_TO.parse().unwrap(),
            value: Amount::new(10_000),
            valid_after: 0,
            valid_before: NOW.secs() + 60,
            nonce: [3; 32],
        }
    );
}

#[test]
fn only_what_is_understood_is_signed() {
    assert!(sign(&entry()).is_ok());
    for (field, value) in [
        ("scheme", json!("upto")),
        ("network", json!("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp")),
        ("network", json!("eip155:x")),
        ("amount", json!(10_000)),
        ("amount", json!("1e4")),
        ("asset", json!("USDC")),
        ("payTo", json!("0x1")),
        ("extra", Value::Null),
        ("extra", json!({"name": "USDC"})),
        ("extra", json!({"name": "", "version": "2"})),
        ("extra", json!({"name": "USDC", "version": "2", "assetTransferMethod": "permit2"})),
    ] {
        let mut changed = entry();
        changed[field] = value;
        assert!(sign(&changed).is_err(), "{changed}");
    }
}

#[test]
fn no_authorization_is_valid_for_more_than_an_hour() {
    let mut long = entry();
    long["maxTimeoutSeconds"] = json!(10_000_000);
    let payment: Value = serde_json::from_str(&sign(&long).unwrap()).unwrap();
    assert_eq!(payment["payload"]["authorization"]["validBefore"], (NOW.secs() + 3_600).to_string());
}
