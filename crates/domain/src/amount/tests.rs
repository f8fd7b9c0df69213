use proptest::prelude::*;

use super::*;

#[test]
fn p8_spellings_other_than_plain_digits_are_refused() {
    assert_eq!("10000".parse(), Ok(Amount::new(10_000)), "control: the canonical form");
    assert_eq!(
        "0".parse(),
        Ok(Amount::ZERO),
        "control: zero is an amount; whether it is a payment is decided elsewhere"
    );
    for text in ["", "+7", "-1", "007", "00", "1.0", "0x7", "1e3", "NaN", " 1", "1 ", "１", "1_000"] {
        assert!(text.parse::<Amount>().is_err(), "{text:?} must be refused");
    }
    let beyond = "340282366920938463463374607431768211456";
    assert_eq!(beyond.parse::<Amount>(), Err(AmountError::TooLarge));
}

proptest! {
    #[test]
    fn text_form_round_trips(units: u128) {
        let amount = Amount::new(units);
        prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
        prop_assert_eq!(serde_json::from_str::<Amount>(&serde_json::to_string(&amount).unwrap()).unwrap(), amount);
    }

    #[test]
    fn p13_a_coarser_unit_never_undercuts(units in 0..u128::MAX / 2, per_unit in 1..1_000_000u128) {
        let coarse = Amount::new(units).div_ceil(per_unit).unwrap();
        prop_assert!(coarse * per_unit >= units);
        prop_assert!(coarse == 0 || (coarse - 1) * per_unit < units);
    }
}
