use proptest::prelude::*;

use super::*;
use crate::evm::{SigningKey, keccak256};

fn domain() -> Domain {
    Domain::new("USDC", "2", 84_532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e".parse().unwrap())
}

fn key() -> SigningKey {
    let secret = hex::decode("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80").unwrap();
    SigningKey::from_bytes(&secret.try_into().unwrap()).unwrap()
}

fn authorization() -> Authorization {
    Authorization {
        from: key().address(),
        to: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".parse().unwrap(),
        value: Amount::new(10_000),
        valid_after: 0,
        valid_before: 1_795_219_260,
        nonce: [0x1f; 32],
    }
}

fn signed() -> SignedAuthorization {
    SignedAuthorization {
        authorization: authorization(),
        signature: key().sign(&authorization().digest(&domain())),
    }
}

#[test]
fn the_type_hash_is_that_of_the_type() {
    let kind = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,\
                bytes32 nonce)";
    assert_eq!(TRANSFER_TYPE_HASH, keccak256(kind.as_bytes()));
}

/// The domain separator is what the USDC contract of Base Sepolia returns; digest and signature were made with viem 2.57.0
/// (`hashTypedData`, `signTypedData`; MIT) from account 0 of the public test mnemonic.
#[test]
fn domain_digest_and_signature_agree_with_the_chain_and_with_viem() {
    assert_eq!(
        hex::encode(domain().separator()),
        "71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818"
    );
    let digest = authorization().digest(&domain());
    assert_eq!(hex::encode(digest), "45fa87b8d21f2641b9c7154735d118eed5f7107e2ad2930027df5ab5a1950fa1");
    assert_eq!(
        key().sign(&digest).to_hex(),
        "0xf2d040f42f240ff37cbade3c7e9752fda071db7f674d67aab892211a2fd48d51\
         27af8a60302fd19fe1c5d82b10936342d634f1aaa899cd67af437ec32fb8ce371c"
    );
}

#[test]
fn p2_a_signature_holds_for_one_authorization_in_one_domain() {
    assert_eq!(signed().check(&domain()), Ok(true));
    let token = "0x036CbD53842c5426634e7929541eC2318f3dCF7e".parse().unwrap();
    for other in [
        Domain::new("USD Coin", "2", 84_532, token),
        Domain::new("USDC", "1", 84_532, token),
        Domain::new("USDC", "2", 8_453, token),
        Domain::new("USDC", "2", 84_532, Address::ZERO),
    ] {
        assert_ne!(signed().check(&other), Ok(true));
    }
    let original = authorization();
    for changed in [
        Authorization { from: Address::ZERO, ..original },
        Authorization { to: Address::ZERO, ..original },
        Authorization { value: Amount::new(10_001), ..original },
        Authorization { valid_after: 1, ..original },
        Authorization { valid_before: 1_795_219_261, ..original },
        Authorization { nonce: [0x20; 32], ..original },
    ] {
        let forged = SignedAuthorization { authorization: changed, ..signed() };
        assert_ne!(forged.check(&domain()), Ok(true), "{changed:?}");
    }
}

#[test]
fn p8_amounts_and_times_are_plain_decimal_digits() {
    let text = signed().to_payload_json();
    assert_eq!(SignedAuthorization::from_proof_text(&text), Ok(signed()));
    let too_large = format!("\"value\":\"{}0\"", u128::MAX);
    for value in [
        "\"value\":10000",
        "\"value\":\"-1\"",
        "\"value\":\"1e4\"",
        "\"value\":\"0x2710\"",
        "\"value\":\"10000.0\"",
        "\"value\":\"NaN\"",
        "\"value\":\"\"",
        "\"value\":\"010000\"",
        "\"value\":null",
        &too_large,
    ] {
        let changed = text.replace("\"value\":\"10000\"", value);
        assert_ne!(changed, text);
        assert!(SignedAuthorization::from_proof_text(&changed).is_err(), "{value}");
    }
    let late = text.replace("\"1795219260\"", "\"18446744073709551616\"");
    assert!(SignedAuthorization::from_proof_text(&late).is_err());
    let twice = text.replace("\"value\":\"10000\"", "\"value\":\"10000\",\"value\":\"1\"");
    assert!(SignedAuthorization::from_proof_text(&twice).is_err(), "two parsers could read two amounts");
}

#[test]
fn a_packed_proof_of_another_length_or_with_another_end_is_refused() {
    let text = signed().to_proof_text();
    assert_eq!(SignedAuthorization::from_proof_text(&text), Ok(signed()), "control");
    let encoded = text.strip_prefix(PROOF_PREFIX).unwrap();
    let bytes = base64_text::decode_any(encoded).unwrap();
    assert_eq!(bytes.len(), PROOF_BYTES);
    let packed = |bytes: &[u8]| format!("{PROOF_PREFIX}{}", base64_text::encode_url(bytes));
    for changed in [
        packed(&bytes[1..]),
        packed(&[&bytes[..], &[0]].concat()),
        packed(&[]),
        format!("{text}%"),
        text.to_uppercase(),
        encoded.to_owned(),
    ] {
        assert!(SignedAuthorization::from_proof_text(&changed).is_err(), "{changed}");
    }
    let mut recovery = bytes;
    recovery[PROOF_BYTES - 1] = 29;
    assert_eq!(
        SignedAuthorization::from_proof_text(&packed(&recovery)),
        Err(ProofTextError::Signature(SignatureError::Recovery(29)))
    );
}

proptest! {
    #[test]
    fn reading_never_panics(text in "(eip3009:)?\\PC{0,300}") {
        prop_assert!(SignedAuthorization::from_proof_text(&text).is_err());
    }

    #[test]
    fn the_proof_text_is_read_back(
        to: [u8; 20],
        value: u128,
        valid_after: u64,
        valid_before: u64,
        nonce: [u8; 32],
    ) {
        let authorization = Authorization {
            from: key().address(),
            to: Address::from_bytes(to),
            value: Amount::new(value),
            valid_after,
            valid_before,
            nonce,
        };
        let signature = key().sign(&authorization.digest(&domain()));
        let signed = SignedAuthorization { authorization, signature };
        prop_assert_eq!(signed.check(&domain()), Ok(true));
        prop_assert_eq!(SignedAuthorization::from_proof_text(&signed.to_proof_text()), Ok(signed));
        // As earlier versions stored it.
        prop_assert_eq!(SignedAuthorization::from_proof_text(&signed.to_payload_json()), Ok(signed));
    }
}
