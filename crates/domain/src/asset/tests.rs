use proptest::prelude::*;

use super::*;

fn assets() -> Assets {
    Assets::new([
        Asset::new("eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC", 6).unwrap(),
        Asset::new("lightning:regtest/msat", "sat", 3).unwrap(),
    ])
}

#[test]
fn money_reads_as_people_write_it() {
    for (text, units, shown) in [
        ("0.01USDC", 10_000, "0.01 USDC"),
        ("0.01 usdc", 10_000, "0.01 USDC"),
        ("10sat", 10_000, "10 sat"),
        ("1.5sat", 1_500, "1.5 sat"),
        ("0.000001USDC", 1, "0.000001 USDC"),
        ("0USDC", 0, "0 USDC"),
    ] {
        let money = assets().parse(text).unwrap();
        assert_eq!(money.amount, Amount::new(units), "{text}");
        assert_eq!(money.to_string(), shown, "{text}");
    }
}

#[test]
fn p8_other_notations_and_finer_amounts_are_refused() {
    assert!(assets().parse("0.5USDC").is_ok(), "control");
    for text in
        ["", "USDC", ".5USDC", "1.USDC", "-1USDC", "1e3USDC", "0.0000001USDC", "1DOGE", "1,5USDC", "NaNUSDC"]
    {
        assert!(assets().parse(text).is_err(), "{text:?} must be refused");
    }
}

#[test]
fn an_asset_id_has_one_form() {
    assert!("eip155:84532/erc20:0x036c".parse::<AssetId>().is_ok(), "control");
    for text in
        ["", "eip155", "eip155:1", "/x", "eip155:1/", "EIP155:1/erc20:0xAB", "a:b/c/d", "a:/c", "a b:c/d"]
    {
        assert!(text.parse::<AssetId>().is_err(), "{text:?} must be refused");
    }
}

proptest! {
    #[test]
    fn p13_display_and_parse_are_inverse(units: u128, decimals in 0u8..=18) {
        let asset = Asset::new("a:b/c", "X", decimals).unwrap();
        prop_assert_eq!(asset.parse(&asset.decimal(Amount::new(units))), Ok(Amount::new(units)));
    }
}
