use tollgate_domain::KyaTier;

use super::*;
use crate::directory::{ApiKeys, KeyRecord};

fn keys(revoked: bool) -> (ApiKey, KeyId, ApiKeys) {
    let key = ApiKey::from_random([0x42; 32]);
    let id = KeyId::from_bytes([7; 16]);
    let record =
        KeyRecord { id, name: "agent".into(), revoked, tier: KyaTier::Sandbox, labels: Default::default() };
    let keys = ApiKeys::new([(key.hash(), record)]);
    (key, id, keys)
}

#[test]
fn a_valid_key_names_its_holder_whoever_pays() {
    let (key, id, keys) = keys(false);
    for payer in [None, Some(Caller::Wallet([1; 20])), Some(Caller::Preimage([2; 32]))] {
        assert_eq!(authenticate(Some(key.expose()), payer, &keys), Ok(Caller::ApiKey(id)));
    }
}

#[test]
fn without_a_key_the_payer_calls() {
    let (_, _, keys) = keys(false);
    let wallet = Caller::Wallet([1; 20]);
    assert_eq!(authenticate(None, Some(wallet), &keys), Ok(wallet));
    assert_eq!(authenticate(None, Some(Caller::Preimage([2; 32])), &keys), Ok(Caller::Preimage([2; 32])));
    assert_eq!(authenticate(None, None, &keys), Ok(Caller::Anonymous));
}

#[test]
fn a_key_that_is_not_valid_is_refused_and_never_ignored() {
    let (key, id, valid) = keys(false);
    let (_, _, revoked) = keys(true);
    let payer = Some(Caller::Wallet([1; 20]));
    assert_eq!(authenticate(Some(key.expose()), payer, &valid), Ok(Caller::ApiKey(id)), "control");

    assert_eq!(authenticate(Some(key.expose()), payer, &revoked), Err(AuthenticateError::Revoked(id)));
    let other = ApiKey::from_random([0x43; 32]);
    assert_eq!(authenticate(Some(other.expose()), payer, &valid), Err(AuthenticateError::Unknown));
    for text in ["", "tgk_", "secret"] {
        assert!(
            matches!(authenticate(Some(text), payer, &valid), Err(AuthenticateError::Malformed(_))),
            "{text:?}"
        );
    }
}

#[test]
fn c4_no_refusal_repeats_the_key() {
    let (key, _, revoked) = keys(true);
    let secret = &key.expose()[4..];
    for keys in [revoked, ApiKeys::default()] {
        let error = authenticate(Some(key.expose()), None, &keys).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret));
    }
}
