use proptest::prelude::*;

use super::*;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[0x11; 32]).unwrap()
}

#[test]
fn a_signature_recovers_to_its_signer_and_to_nobody_else() {
    let signature = key().sign(&[5; 32]);
    assert_eq!(signature.recover(&[5; 32]), Ok(key().address()));
    assert_ne!(signature.recover(&[6; 32]), Ok(key().address()));
}

#[test]
fn the_last_byte_may_be_a_parity_or_that_plus_27() {
    let text = key().sign(&[5; 32]).to_hex();
    let (rest, v) = text.split_at(130);
    let parity = if v == "1b" { "00" } else { "01" };
    assert_eq!(Signature::from_hex(&text), Signature::from_hex(&format!("{rest}{parity}")));
    assert_eq!(Signature::from_hex(&format!("{rest}1d")), Err(SignatureError::Recovery(29)));
}

#[test]
fn the_malleable_twin_of_a_signature_is_refused() {
    // n - s with the other parity signs the same digest; contracts of OpenZeppelin refuse it, so do we.
    let signature = key().sign(&[5; 32]);
    let s = secp256k1::SecretKey::from_slice(&signature.s()).unwrap().negate().secret_bytes();
    let mut twin = [0; 65];
    twin[..32].copy_from_slice(&signature.r());
    twin[32..64].copy_from_slice(&s);
    twin[64] = if signature.is_odd() { 27 } else { 28 };
    assert_eq!(Signature::from_bytes(&twin), Err(SignatureError::HighS));
    assert!(Signature::from_hex(&signature.to_hex()).is_ok());
}

#[test]
fn a_signature_of_a_contract_wallet_says_why_it_is_refused() {
    let error = Signature::from_hex(&format!("0x{}", "ab".repeat(97))).unwrap_err();
    assert_eq!(error, SignatureError::Length(97));
    assert!(error.to_string().contains("ERC-1271"), "{error}");
    assert_eq!(Signature::from_hex("0xzz"), Err(SignatureError::Hex));
    assert_eq!(Signature::from_hex(""), Err(SignatureError::Hex));
}

#[test]
fn neither_keys_nor_signatures_are_printed() {
    let key = key();
    let printed = format!("{key:?} {:?}", key.sign(&[5; 32]));
    assert!(printed.contains(&key.address().to_string()));
    assert!(
        !printed.contains("1111") && !printed.contains(&hex::encode(key.sign(&[5; 32]).r())),
        "{printed}"
    );
}

#[test]
fn a_key_out_of_range_is_refused() {
    assert_eq!(SigningKey::from_bytes(&[0; 32]).map(|key| key.address()), Err(SigningKeyError));
    assert_eq!(SigningKey::from_bytes(&[0xff; 32]).map(|key| key.address()), Err(SigningKeyError));
}

proptest! {
    #[test]
    fn reading_never_panics(text in "(0x)?[0-9a-fA-F]{0,140}|\\PC{0,140}") {
        if let Ok(signature) = Signature::from_hex(&text) {
            prop_assert_eq!(Signature::from_hex(&signature.to_hex()), Ok(signature));
        }
    }

    #[test]
    fn any_digest_is_signed_and_recovered(digest: [u8; 32], secret in 1_u8..) {
        let key = SigningKey::from_bytes(&[secret; 32]).unwrap_or_else(|_| key());
        let signature = key.sign(&digest);
        prop_assert_eq!(signature.recover(&digest), Ok(key.address()));
        prop_assert_eq!(Signature::from_hex(&signature.to_hex()), Ok(signature));
    }
}
