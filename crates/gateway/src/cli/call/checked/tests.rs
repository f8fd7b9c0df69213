use serde_json::{Value, json};
use tollgate_attest::{FIRST_PREVIOUS, Signer, StatementDraft, jwks, salted_digest, seal};
use tollgate_domain::{CallId, Caller, Digest, ReceiptId, ToolRef, UnixMillis};
use tollgate_egress::Policy;

use super::*;

const ARGUMENTS: &str = r#"{"city":"Oslo"}"#;
const RESULT: &str = r#"{"content":[],"_meta":{"tollgate/receipt":{}}}"#;

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32]).unwrap()
}

fn keys(signer: &Signer) -> Result<Vec<PublicKey>, String> {
    Ok(keys_from_jwks(&jwks(&[signer.public()])).unwrap())
}

/// The receipt of a call with [`ARGUMENTS`] that came to [`RESULT`].
fn receipt(signer: &Signer) -> String {
    let now = UnixMillis::from_secs(1_795_219_200);
    let draft = StatementDraft {
        receipt_id: ReceiptId::new(now, [1; 10]),
        call_id: CallId::new(now, [2; 10]),
        ts: now,
        caller: Caller::Anonymous.principal(),
        tool: ToolRef { server: "demo".parse().unwrap(), tool: "weather".parse().unwrap() },
        schema_sha256: None,
        args_sha256: salted_digest(&[9; 16], Digest::of(ARGUMENTS.as_bytes()).as_bytes()),
        result_sha256: Some(salted_digest(&[8; 16], Digest::of(br#"{"content":[]}"#).as_bytes())),
        outcome: "delivered",
        charged: false,
        price: None,
        payment_ref: None,
        refunded: None,
        settlement: "free",
        escrow: None,
        decision: None,
        mode: "sandbox",
    };
    let sealed = seal(&draft.to_text(), 1, &FIRST_PREVIOUS, signer).unwrap();
    let envelope: Value = serde_json::from_str(&sealed.envelope).unwrap();
    let salts = json!({ "args": hex::encode([9; 16]), "result": hex::encode([8; 16]) });
    json!({ "envelope": envelope, "salts": salts }).to_string()
}

fn changed(receipt: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(receipt).unwrap();
    change(&mut value);
    value.to_string()
}

#[test]
fn a_receipt_is_verified_only_by_the_keys_that_are_published_and_for_the_very_call() {
    let (own, stranger) = (signer(7), signer(8));
    let given = receipt(&own);
    let of = Checked::of;
    let Checked::Valid(valid) = of(&given, keys(&own), r#"{ "city": "Oslo" }"#, RESULT) else {
        panic!("the control does not verify")
    };
    assert!(valid.is_of_result && valid.gateway.starts_with("did:key:"), "{valid:?}");

    let wrong = |checked: Checked, word: &str| match checked {
        Checked::Wrong(reason) => assert!(reason.contains(word), "{reason}"),
        other => panic!("{word}: {other:?}"),
    };
    wrong(of(&given, keys(&stranger), ARGUMENTS, RESULT), "none of which is among");
    wrong(of(&given, Ok(Vec::new()), ARGUMENTS, RESULT), "none of which is among");
    wrong(of(&given, keys(&own), r#"{"city":"Bergen"}"#, RESULT), "other arguments");
    let forged = changed(&given, |value| {
        let payload = value["envelope"]["payload"].as_str().unwrap().replacen('e', "f", 1);
        value["envelope"]["payload"] = json!(payload);
    });
    wrong(of(&forged, keys(&own), ARGUMENTS, RESULT), "does not verify");
    let unsalted = changed(&given, |value| value["salts"] = Value::Null);
    wrong(of(&unsalted, keys(&own), ARGUMENTS, RESULT), "no salts");
    wrong(of("{}", keys(&own), ARGUMENTS, RESULT), "cannot be read");

    let other = of(&given, keys(&own), ARGUMENTS, r#"{"content":[1]}"#);
    assert!(matches!(other, Checked::Valid(OfCall { is_of_result: false, .. })), "{other:?}");
    let silent = of(&given, Err("HTTP status 404".to_owned()), ARGUMENTS, RESULT);
    assert_eq!(silent, Checked::Unchecked("HTTP status 404".to_owned()));
}

#[tokio::test]
async fn what_came_of_the_check_is_said_in_its_first_word() {
    let client = Client::new(Policy::public().allow_loopback(), Limits::default());
    let beside = |endpoint: &str| Published::beside(&endpoint.parse().unwrap(), &client);
    for (endpoint, keys) in [
        ("http://127.0.0.1:9/mcp", "http://127.0.0.1:9/.well-known/jwks.json"),
        ("http://127.0.0.1:9/servers/x/mcp?key=s3cret", "http://127.0.0.1:9/.well-known/jwks.json"),
        ("https://example.com/gate/servers/x/mcp", "https://example.com/gate/.well-known/jwks.json"),
        ("https://example.com/gate/mcp", "https://example.com/gate/.well-known/jwks.json"),
        ("https://example.com/other", "https://example.com/.well-known/jwks.json"),
    ] {
        assert_eq!(beside(endpoint).url, keys, "{endpoint}");
    }
    let published = beside("http://127.0.0.1:9/mcp");
    let own = signer(7);
    let words = |checked: &Checked| checked.in_words(&published);
    let valid = Checked::of(&receipt(&own), keys(&own), ARGUMENTS, RESULT);
    assert!(words(&valid).starts_with("verified   with the key"), "{}", words(&valid));
    let wrong = words(&Checked::Wrong("a\nverified".to_owned()));
    assert!(wrong.starts_with("NOT VERIFIED: a\\nverified (") && wrong.contains("\nnext step: "), "{wrong}");
    let unchecked = words(&Checked::Unchecked("HTTP status 404".to_owned()));
    assert!(unchecked.starts_with("not verified: ") && unchecked.contains("receipt verify"), "{unchecked}");
}
