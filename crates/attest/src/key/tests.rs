use super::*;

fn bytes(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// RFC 8032 section 7.1 (IETF Trust licence): seed, public key, message, signature.
const RFC_8032: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn signatures_are_those_of_rfc_8032() {
    for [seed, public, message, signature] in RFC_8032 {
        let signer = Signer::from_seed(&bytes(seed)).unwrap();
        assert_eq!(signer.public().as_bytes(), &bytes(public));
        let message = hex::decode(message).unwrap();
        assert_eq!(hex::encode(signer.sign(&message).unwrap()), signature);
        assert!(signer.public().verifies(&message, &hex::decode(signature).unwrap()));
    }
}

#[test]
fn c2_a_malleable_signature_is_refused() {
    let [seed, _, message, signature] = RFC_8032[1];
    let public = Signer::from_seed(&bytes(seed)).unwrap().public();
    let (message, good) = (hex::decode(message).unwrap(), hex::decode(signature).unwrap());
    assert!(public.verifies(&message, &good), "control");
    // s + L verifies in implementations that do not check s < L (RFC 8032 section 5.1.7, step 1).
    let order = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut same = good.clone();
    let mut carry = 0u16;
    for (byte, add) in same[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = u8::try_from(carry & 0xff).unwrap();
        carry >>= 8;
    }
    assert_ne!(same, good);
    assert!(!public.verifies(&message, &same));
    assert!(!public.verifies(&message, &good[..63]));
}

#[test]
fn a_key_id_is_the_published_thumbprint() {
    // RFC 8037 appendix A.2 and A.3 (IETF Trust licence).
    let public =
        PublicKey::from_bytes(bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
            .unwrap();
    assert_eq!(public.key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert!(public.jwk().contains(r#""x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#));
}

#[test]
fn c4_a_signing_key_is_never_printed() {
    let signer = Signer::from_seed(&[0x5a; 32]).unwrap();
    let printed = format!("{signer:?} {:?}", signer.public());
    assert!(printed.contains(signer.key_id()), "control: the public id is printed");
    assert!(!printed.contains("5a5a"));
    assert!(!printed.contains("90, 90"));
}
