use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::statement::tests::{ARGUMENTS, ARGUMENTS_SALT, RESULT, RESULT_SALT, bare, full};
use crate::{FIRST_PREVIOUS, Signer, jwks, keys_from_jwks, seal};

fn signer() -> Signer {
    Signer::from_seed(&[7; 32]).unwrap()
}

fn stranger() -> Signer {
    Signer::from_seed(&[8; 32]).unwrap()
}

fn sealed() -> String {
    seal(&full().to_text(), 1, &FIRST_PREVIOUS, &signer()).unwrap().envelope
}

/// The payload of an envelope as a JSON tree.
fn payload(envelope: &str) -> Value {
    let envelope: Value = serde_json::from_str(envelope).unwrap();
    serde_json::from_slice(&STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

/// An envelope around these bytes, signed by `signer` now.
fn signed_anew(payload: &[u8], signer: &Signer) -> String {
    let signed = dsse::pre_authentication_encoding(PAYLOAD_TYPE, payload);
    dsse::envelope(PAYLOAD_TYPE, payload, signer.key_id(), signer.sign(&signed).unwrap().as_ref())
}

/// The envelope with its payload exchanged, under the old signature.
fn with_payload(envelope: &str, payload: &[u8]) -> String {
    let mut envelope: Value = serde_json::from_str(envelope).unwrap();
    envelope["payload"] = STANDARD.encode(payload).into();
    envelope.to_string()
}

/// Every pointer to a value that is no object.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| leaves(value, &format!("{at}/{name}"), found))
        }
        _ => found.push(at.to_owned()),
    }
}

/// The same kind of value with other contents.
fn altered(value: &Value) -> Value {
    match value {
        Value::Bool(bool) => (!bool).into(),
        Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
        Value::String(text) => match text.strip_suffix('0') {
            Some(rest) => format!("{rest}1").into(),
            None => {
                let mut chars: Vec<char> = text.chars().collect();
                chars.pop();
                format!("{}0", chars.into_iter().collect::<String>()).into()
            }
        },
        other => unreachable!("{other} in a statement"),
    }
}

#[test]
fn a_receipt_is_checked_with_the_published_keys_alone() {
    let published = jwks(&[stranger().public(), signer().public()]);
    let receipt = verify(&sealed(), &keys_from_jwks(&published).unwrap()).unwrap();
    assert_eq!(receipt.key_id(), signer().key_id());
    assert_eq!(receipt.place().receipt_id, full().receipt_id);
}

#[test]
fn tampering_with_any_member_of_the_statement_is_refused() {
    let (envelope, keys) = (sealed(), [signer().public()]);
    assert!(verify(&envelope, &keys).is_ok(), "control");
    let genuine = payload(&envelope);
    let mut members = Vec::new();
    leaves(&genuine, "", &mut members);
    assert!(members.len() >= 26, "{members:?}");
    for member in members {
        let mut edited = genuine.clone();
        let value = edited.pointer_mut(&member).unwrap();
        *value = altered(value);
        assert_ne!(edited, genuine, "{member}");
        let edited = serde_json_canonicalizer::to_vec(&edited).unwrap();
        let result = verify(&with_payload(&envelope, &edited), &keys);
        assert!(matches!(result, Err(VerifyError::Signature(_))), "{member}: {result:?}");
    }
    for name in genuine.as_object().unwrap().keys() {
        let mut edited = genuine.clone();
        edited.as_object_mut().unwrap().remove(name);
        let edited = serde_json_canonicalizer::to_vec(&edited).unwrap();
        assert!(
            matches!(verify(&with_payload(&envelope, &edited), &keys), Err(VerifyError::Signature(_))),
            "{name}"
        );
    }
}

#[test]
fn tampering_with_the_envelope_is_refused() {
    let (envelope, keys) = (sealed(), [signer().public(), stranger().public()]);
    assert!(verify(&envelope, &keys).is_ok(), "control");
    let change = |change: &dyn Fn(&mut Value)| {
        let mut edited: Value = serde_json::from_str(&envelope).unwrap();
        change(&mut edited);
        verify(&edited.to_string(), &keys)
    };
    assert!(change(&|_| ()).is_ok(), "control: printed anew it is the same envelope");

    let result = change(&|envelope| envelope["payloadType"] = "application/json".into());
    assert!(matches!(result, Err(VerifyError::PayloadType(_))), "{result:?}");
    let result = change(&|envelope| envelope["payload"] = "?".into());
    assert!(matches!(result, Err(VerifyError::PayloadEncoding)), "{result:?}");
    let result = change(&|envelope| envelope["signatures"][0]["keyid"] = stranger().key_id().into());
    assert!(matches!(result, Err(VerifyError::Signature(_))), "{result:?}");
    let result = change(&|envelope| envelope["signatures"][0]["keyid"] = "somebody".into());
    assert!(matches!(result, Err(VerifyError::UnknownKey(who)) if who == "somebody"));
    let result = change(&|envelope| {
        let mut sig = STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
        sig[10] ^= 1;
        envelope["signatures"][0]["sig"] = STANDARD.encode(sig).into();
    });
    assert!(matches!(result, Err(VerifyError::Signature(_))), "{result:?}");
    let result = change(&|envelope| envelope["signatures"] = json!([]));
    assert!(matches!(result, Err(VerifyError::UnknownKey(who)) if who == "nobody"));
    let result = change(&|envelope| drop(envelope.as_object_mut().unwrap().remove("signatures")));
    assert!(matches!(result, Err(VerifyError::Envelope(_))), "{result:?}");
}

#[test]
fn another_key_cannot_sign_for_this_gateway() {
    let genuine = serde_json_canonicalizer::to_vec(&payload(&sealed())).unwrap();
    let both = [signer().public(), stranger().public()];
    assert!(verify(&signed_anew(&genuine, &signer()), &both).is_ok(), "control");

    let forged = signed_anew(&genuine, &stranger());
    assert!(
        matches!(verify(&forged, &both), Err(VerifyError::Gateway { .. })),
        "trusted, but another gateway"
    );
    assert!(matches!(verify(&forged, &both[..1]), Err(VerifyError::UnknownKey(_))));
    assert!(matches!(verify(&forged, &[]), Err(VerifyError::UnknownKey(_))));
}

#[test]
fn what_has_a_second_reading_is_refused_even_when_signed() {
    let keys = [signer().public()];
    let genuine = serde_json_canonicalizer::to_string(&payload(&sealed())).unwrap();
    assert!(verify(&signed_anew(genuine.as_bytes(), &signer()), &keys).is_ok(), "control");
    for other in [
        genuine.replacen(r#""charged":true"#, r#""charged":true,"charged":false"#, 1),
        genuine.replacen(':', ": ", 1),
        genuine.replacen(r#""seq":1"#, r#""seq":1.0"#, 1),
        genuine.replacen(r#""mode":"s"#, r#""mode":"\u0073"#, 1),
        format!("{genuine}\n"),
    ] {
        assert_ne!(other, genuine);
        let result = verify(&signed_anew(other.as_bytes(), &signer()), &keys);
        assert!(matches!(result, Err(VerifyError::NotCanonical)), "{other}: {result:?}");
    }
    assert!(matches!(verify(&signed_anew(b"\xff", &signer()), &keys), Err(VerifyError::NotCanonical)));
}

#[test]
fn signed_text_that_is_no_statement_is_refused() {
    let keys = [signer().public()];
    let change = |change: &dyn Fn(&mut Value)| {
        let mut edited = payload(&sealed());
        change(&mut edited);
        verify(&signed_anew(&serde_json_canonicalizer::to_vec(&edited).unwrap(), &signer()), &keys)
    };
    assert!(change(&|_| ()).is_ok(), "control");
    assert!(change(&|said| said["added_later"] = 1.into()).is_ok(), "control: a later member is passed over");

    let refused = |result| match result {
        Err(VerifyError::Statement(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(change(&|said| said["v"] = 2.into())), StatementError::Version(2)));
    for name in ["seq", "prev", "gateway"] {
        let error = refused(change(&|said| drop(said.as_object_mut().unwrap().remove(name))));
        assert!(matches!(error, StatementError::Missing(missing) if missing == name));
    }
    let error = refused(change(&|said| said["ts"] = "yesterday".into()));
    assert!(matches!(error, StatementError::Moment { member: "ts", .. }));
    let error = refused(change(&|said| said["caller"]["kind"] = "api_key".into()));
    assert!(matches!(error, StatementError::CallerKind { .. }));
    let error = refused(change(&|said| said["price"]["amount"] = 10_000.into()));
    assert!(matches!(error, StatementError::Shape(_)), "an amount is text");
    assert!(matches!(refused(change(&|said| *said = json!([]))), StatementError::Shape(_)));
}

#[test]
fn further_signatures_do_not_disturb() {
    let mut envelope: Value = serde_json::from_str(&sealed()).unwrap();
    let witness = json!({ "keyid": "witness", "sig": "AAAA" });
    envelope["signatures"].as_array_mut().unwrap().insert(0, witness.clone());
    assert!(verify(&envelope.to_string(), &[signer().public()]).is_ok());

    envelope["signatures"] = vec![witness; SIGNATURES_MAX].into();
    envelope["signatures"].as_array_mut().unwrap().push(json!({ "keyid": signer().key_id(), "sig": "AAAA" }));
    assert!(matches!(verify(&envelope.to_string(), &[signer().public()]), Err(VerifyError::UnknownKey(_))));
}

#[test]
fn either_alphabet_of_base64_is_read() {
    let mut envelope: Value = serde_json::from_str(&sealed()).unwrap();
    for text in ["/payload", "/signatures/0/sig"] {
        let value = envelope.pointer_mut(text).unwrap();
        *value = URL_SAFE.encode(STANDARD.decode(value.as_str().unwrap()).unwrap()).into();
    }
    assert!(verify(&envelope.to_string(), &[signer().public()]).is_ok());
}

#[test]
fn an_envelope_past_the_limit_is_not_parsed() {
    let padded = |bytes: usize| format!("{}{}", sealed(), " ".repeat(bytes - sealed().len()));
    assert!(verify(&padded(ENVELOPE_BYTES_MAX), &[signer().public()]).is_ok(), "control");
    assert!(matches!(
        verify(&padded(ENVELOPE_BYTES_MAX + 1), &[signer().public()]),
        Err(VerifyError::TooLarge)
    ));
}

#[test]
fn the_parties_can_show_what_was_said() {
    let receipt = verify(&sealed(), &[signer().public()]).unwrap();
    assert!(receipt.matches_arguments(&ARGUMENTS_SALT, ARGUMENTS));
    assert!(receipt.matches_result(&RESULT_SALT, RESULT));

    assert!(!receipt.matches_arguments(&ARGUMENTS_SALT, br#"{"city":"Bergen"}"#));
    assert!(!receipt.matches_arguments(&RESULT_SALT, ARGUMENTS), "without the salt nothing is shown");
    assert!(!receipt.matches_result(&RESULT_SALT, ARGUMENTS));
    assert!(!receipt.payload().contains("Oslo"), "the receipt itself does not tell");

    let lost = seal(&bare().to_text(), 1, &FIRST_PREVIOUS, &signer()).unwrap().envelope;
    assert!(
        !verify(&lost, &[signer().public()]).unwrap().matches_result(&RESULT_SALT, RESULT),
        "there was none"
    );
}

proptest! {
    /// Any one changed byte is noticed, or changed nothing of what is said.
    #[test]
    fn no_changed_byte_changes_what_is_said(at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        let (genuine, keys) = (sealed(), [signer().public()]);
        let mut bytes = genuine.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(receipt) = verify(std::str::from_utf8(&bytes).unwrap(), &keys) {
            prop_assert_eq!(receipt, verify(&genuine, &keys).unwrap());
        }
    }

    #[test]
    fn reading_strangers_texts_never_panics(text in ".{0,200}", payload in proptest::collection::vec(any::<u8>(), 0..64)) {
        let keys = [signer().public()];
        prop_assert!(verify(&text, &keys).is_err());
        prop_assert!(verify(&signed_anew(&payload, &signer()), &keys).is_err());
    }
}
