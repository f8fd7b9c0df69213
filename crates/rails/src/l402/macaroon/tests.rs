use proptest::prelude::*;

use super::*;

// Vectors made with npm `macaroon` 3.0.4 (BSD-3-Clause) and PyPI `pymacaroons` 0.13.0 (MIT), which agree: root key 00…1f,
// identifier 0000 ‖ 11×32 ‖ 22×32. The one with the long caveat and the one with a third-party caveat are of pymacaroons alone.
const IDENTIFIER: &str = "0000111111111111111111111111111111111111111111111111111111111111111122222222222222222222\
    22222222222222222222222222222222222222222222";
const BARE: (&str, &str) = ("lsat", "7dee02e6d7aeff7a4f66523c165f78a5969bd91dbccf554d4bc7a26c3364991f");
const ONE_CAVEAT: &str = "9263e1448370b18785d0a02eae324bee35cbd2bdab12d00baf469985b989808f";
const THREE_CAVEATS: &str = "3cfb257aa4b223ba98cd0edab91451d3f405c2d06938d8794f336f274ca7e624";
const LONG_CAVEAT: &str = "e7785a45927f4165e6e6c55e84dd9594014b0b788a0fc2587b077b62eec7740f";
const THIRD_PARTY: &str = "020108746f6c6c676174650242000011111111111111111111111111111111111111111111111111111111111111\
    11222222222222222222222222222222222222222222222222222222222222222200021373657276696365733d746f6c6c676174653a300001\
    1468747470733a2f2f617574682e6578616d706c65020b74686972642070617274790448cc9ea0b0be36dde43ac40521ed6a662e959154f029\
    33035ede72c5ebd5c7d498a4151c6d665edcd2b7a828f5c9c8ad5af2ae149a0a29b99dd61c771f49c2c6857e7618f918315cc5000006201488\
    7d6dc2735a7462935ccd2bcd8a007a1cbe97675ffb9b3533e453f0cd2fa0";

fn root_key() -> [u8; 32] {
    std::array::from_fn(|place| u8::try_from(place).unwrap())
}

fn identifier() -> Vec<u8> {
    hex::decode(IDENTIFIER).unwrap()
}

fn minted(caveats: &[&str]) -> Macaroon {
    Macaroon::mint(&root_key(), &identifier(), "tollgate", caveats.iter().map(|caveat| caveat.as_bytes()))
        .unwrap()
}

#[test]
fn minted_macaroons_are_those_of_other_libraries_byte_for_byte() {
    let (location, signature) = BARE;
    let bare = Macaroon::mint(&root_key(), &identifier(), location, []).unwrap();
    assert_eq!(bare.to_hex(), format!("0201046c7361740242{IDENTIFIER}00000620{signature}"));

    let caveats = ["services=tollgate:0", "tollgate_tool=demo/weather", "tollgate_valid_until=1795219860"];
    let header = format!("020108746f6c6c676174650242{IDENTIFIER}00");
    let field = |text: &str| format!("02{:02x}{}00", text.len(), hex::encode(text));
    let one = minted(&caveats[..1]);
    assert_eq!(one.to_hex(), format!("{header}{}000620{ONE_CAVEAT}", field(caveats[0])));
    let three = minted(&caveats);
    let fields: String = caveats.iter().map(|text| field(text)).collect();
    assert_eq!(three.to_hex(), format!("{header}{fields}000620{THREE_CAVEATS}"));

    // Attenuating step by step gives the same bytes as minting at once.
    let stepwise = one.add_first_party_caveat(caveats[1].as_bytes()).unwrap();
    assert_eq!(stepwise.add_first_party_caveat(caveats[2].as_bytes()).unwrap(), three);
    assert_eq!(three.caveats().collect::<Vec<_>>(), caveats.map(str::as_bytes));
}

#[test]
fn a_long_caveat_has_a_two_byte_length_as_in_other_libraries() {
    let long = "x".repeat(200);
    let macaroon = Macaroon::mint(&root_key(), &identifier(), "", [long.as_bytes()]).unwrap();
    let expected = format!("0201000242{IDENTIFIER}0002c801{}00000620{LONG_CAVEAT}", hex::encode(&long));
    assert_eq!(macaroon.to_hex(), expected);
    assert_eq!(macaroon.location(), Some([].as_slice()));
}

#[test]
fn p4_a_third_party_caveat_is_read_but_never_verifies() {
    let third = Macaroon::from_text(THIRD_PARTY).unwrap();
    assert_eq!(third.caveats().collect::<Vec<_>>(), [b"services=tollgate:0".as_slice(), b"third party"]);
    assert_eq!(third.verify_signature(&root_key()), Err(VerifyError::ThirdParty));
    assert_eq!(minted(&["services=tollgate:0"]).verify_signature(&root_key()), Ok(()));
}

#[test]
fn p4_a_changed_signature_key_identifier_or_order_does_not_verify() {
    let good = minted(&["a=1", "b=2"]);
    assert_eq!(good.verify_signature(&root_key()), Ok(()));
    assert_eq!(good.verify_signature(&[9; 32]), Err(VerifyError::Signature));
    let text = good.to_hex();
    let (a, b) = (hex::encode("a=1"), hex::encode("b=2"));
    let other_signature =
        format!("{}{}", &text[..text.len() - 2], if text.ends_with("00") { "01" } else { "00" });
    for forged in [
        other_signature,
        text.replacen("1111", "1112", 1),
        text.replacen(&b, &a, 1),
        text.replacen(&a, "ff", 1).replacen(&b, &a, 1).replacen("0203ff", &format!("0203{b}"), 1),
        text.replacen(&format!("0203{a}00"), "", 1),
        text.replacen(&format!("0203{b}00"), "", 1),
        text.replacen(&format!("0203{b}00"), &format!("0203{b}000203{b}00"), 1),
        text.replacen(&format!("0203{b}00"), &format!("0203{b}00020a{}00", hex::encode("admin=true")), 1),
    ] {
        assert_ne!(forged, text);
        let forged = Macaroon::from_text(&forged).unwrap();
        assert_eq!(forged.verify_signature(&root_key()), Err(VerifyError::Signature), "{}", forged.to_hex());
    }
}

#[test]
fn the_location_is_a_hint_and_not_signed() {
    let good = minted(&["a=1"]);
    let moved = Macaroon::from_text(&good.to_hex().replacen("020108746f6c6c67617465", "02", 1)).unwrap();
    assert_eq!(moved.location(), None);
    assert_eq!(moved.verify_signature(&root_key()), Ok(()));
}

#[test]
fn only_the_strict_form_is_read() {
    let good = minted(&["a=1"]).as_bytes().to_vec();
    assert!(Macaroon::parse(good.clone()).is_ok());
    let spliced = |at: usize, remove: usize, insert: &[u8]| {
        let mut bytes = good.clone();
        bytes.splice(at..at + remove, insert.iter().copied());
        Macaroon::parse(bytes)
    };
    let end = good.len();
    for (result, expected) in [
        (Macaroon::parse(Vec::new()), MacaroonError::Truncated),
        (spliced(0, 1, &[1]), MacaroonError::Version),
        (spliced(0, 1, b"0"), MacaroonError::Version),
        (spliced(end, 0, &[0]), MacaroonError::TrailingBytes),
        (spliced(end - 1, 1, &[]), MacaroonError::Truncated),
        // The signature one byte short, with its length telling so.
        (spliced(end - 33, 2, &[31]), MacaroonError::SignatureLength),
        // No signature at all.
        (spliced(end - 35, 35, &[]), MacaroonError::Truncated),
        (spliced(end - 34, 34, &[]), MacaroonError::Truncated),
        // Identifier before location, two locations, a length in two bytes where one does.
        (spliced(1, 10, &[]).and_then(|_| spliced(1, 1, &[3])), MacaroonError::FieldOrder),
        (spliced(1, 0, &[1, 0]), MacaroonError::FieldOrder),
        (spliced(2, 1, &[0x88, 0]), MacaroonError::FieldOrder),
        (spliced(2, 1, &[0x88, 0x80, 0]), MacaroonError::Truncated),
        (spliced(2, 1, &[0xff, 0x7f]), MacaroonError::Truncated),
        (Macaroon::parse(vec![2; MACAROON_BYTES_MAX + 1]), MacaroonError::TooLong),
    ] {
        assert_eq!(result.unwrap_err(), expected);
    }
}

#[test]
fn caveats_are_bounded() {
    let caveats = vec!["a=1"; CAVEATS_MAX];
    let full = minted(&caveats);
    assert_eq!(full.verify_signature(&root_key()), Ok(()));
    assert_eq!(full.add_first_party_caveat(b"a=1"), Err(MacaroonError::TooManyCaveats));
    let long = vec![b'x'; MACAROON_BYTES_MAX];
    assert_eq!(minted(&[]).add_first_party_caveat(&long), Err(MacaroonError::TooLong));
}

#[test]
fn every_text_form_is_read_and_one_is_written() {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

    // A caveat that needs `/` in the standard alphabet, and a length that needs padding.
    let good = Macaroon::mint(&root_key(), &identifier(), "", [[0xff; 6].as_slice()]).unwrap();
    let bytes = good.as_bytes();
    let text = good.to_base64();
    assert!(text.contains('/') && text.ends_with('='));
    let hex = good.to_hex();
    for form in [
        &text,
        &hex,
        &hex.to_uppercase(),
        &STANDARD_NO_PAD.encode(bytes),
        &URL_SAFE.encode(bytes),
        &URL_SAFE_NO_PAD.encode(bytes),
    ] {
        assert_eq!(Macaroon::from_text(form).as_ref(), Ok(&good), "{form}");
    }
    for wrong in ["", "!", "02zz", "020", &format!(" {text}"), &text.replacen('A', "-+", 1)] {
        assert!(Macaroon::from_text(wrong).is_err(), "{wrong}");
    }
    assert_eq!(Macaroon::from_text(&"A".repeat(2 * MACAROON_BYTES_MAX + 1)), Err(MacaroonError::TooLong));
}

#[test]
fn a_macaroon_is_not_printed() {
    assert_eq!(format!("{:?}", minted(&["a=1"])), "Macaroon([redacted], 1 caveats)");
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(macaroon) = Macaroon::parse(bytes.clone()) {
            prop_assert_eq!(macaroon.as_bytes(), bytes);
        }
    }

    #[test]
    fn no_damage_to_a_macaroon_makes_the_parser_panic(at in 0usize..160, byte: u8, cut in 0usize..160) {
        let mut bytes = minted(&["services=tollgate:0", "a=1"]).as_bytes().to_vec();
        let place = at % bytes.len();
        bytes[place] = byte;
        bytes.truncate(bytes.len() - cut % bytes.len());
        if let Ok(macaroon) = Macaroon::parse(bytes.clone()) {
            prop_assert_eq!(macaroon.as_bytes(), bytes);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,120}") {
        if let Ok(macaroon) = Macaroon::from_text(&text) {
            prop_assert_eq!(Macaroon::from_text(&macaroon.to_base64()), Ok(macaroon));
        }
    }

    #[test]
    fn what_is_minted_is_read_back_and_verifies(
        root_key: [u8; 32],
        identifier in prop::collection::vec(any::<u8>(), 0..200),
        location in "[ -~]{0,40}",
        caveats in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
    ) {
        let minted = Macaroon::mint(&root_key, &identifier, &location, caveats.iter().map(Vec::as_slice)).unwrap();
        let read = Macaroon::from_text(&minted.to_base64()).unwrap();
        prop_assert_eq!(&read, &minted);
        prop_assert_eq!(read.identifier(), identifier);
        prop_assert_eq!(read.location(), Some(location.as_bytes()));
        prop_assert_eq!(read.caveats().map(<[u8]>::to_vec).collect::<Vec<_>>(), caveats);
        prop_assert_eq!(read.verify_signature(&root_key), Ok(()));
    }

    #[test]
    fn one_changed_bit_never_verifies(bit in 0usize..8, at in 0usize..1000) {
        let mut bytes = minted(&["services=tollgate:0", "a=1"]).as_bytes().to_vec();
        let place = 11 + at % (bytes.len() - 11); // behind the location, which is not signed
        bytes[place] ^= 1 << bit;
        let verifies = Macaroon::parse(bytes).is_ok_and(|macaroon| macaroon.verify_signature(&root_key()).is_ok());
        prop_assert!(!verifies);
    }
}
