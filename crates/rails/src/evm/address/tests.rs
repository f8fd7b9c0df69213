use proptest::prelude::*;

use super::*;

/// EIP-55, "Test Cases" (CC0).
const EIP_55: [&str; 8] = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
];

#[test]
fn addresses_are_written_with_the_checksum_of_eip_55() {
    for text in EIP_55 {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        assert_eq!(text.to_lowercase().parse::<Address>().unwrap().to_string(), text);
        assert_eq!(Address::parse_checked(text).unwrap().to_lower(), text.to_lowercase());
    }
}

#[test]
fn a_mistyped_digit_in_a_configuration_is_noticed() {
    let right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    assert!(Address::parse_checked(right).is_ok());
    assert!(Address::parse_checked(&right.to_lowercase()).is_ok());
    assert_eq!(
        Address::parse_checked("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAef"),
        Err(AddressError::Checksum)
    );
    assert_eq!(
        Address::parse_checked("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeaEd"),
        Err(AddressError::Checksum)
    );
}

#[test]
fn what_is_not_0x_and_40_digits_is_no_address() {
    for text in [
        "",
        "0x",
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
        "0xg0",
    ] {
        assert_eq!(text.parse::<Address>(), Err(AddressError::Shape), "{text}");
    }
}

proptest! {
    #[test]
    fn an_address_is_read_back_from_its_text(bytes: [u8; 20]) {
        let address = Address::from_bytes(bytes);
        prop_assert_eq!(address.to_string().parse(), Ok(address));
        prop_assert_eq!(Address::parse_checked(&address.to_string()), Ok(address));
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,60}") {
        let read = text.parse::<Address>();
        prop_assert!(read.is_err() || read.unwrap().to_lower() == text.to_lowercase());
    }
}
