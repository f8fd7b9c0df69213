use proptest::prelude::*;

use super::*;

#[test]
fn a_key_is_the_prefix_and_43_digits() {
    assert_eq!(ApiKey::from_random([0; 32]).expose(), format!("tgk_{}", "0".repeat(43)));
    let mut one = [0; 32];
    one[31] = 1;
    assert_eq!(ApiKey::from_random(one).expose(), format!("tgk_{}1", "0".repeat(42)));
    one[31] = 62;
    assert_eq!(ApiKey::from_random(one).expose(), format!("tgk_{}10", "0".repeat(41)));
}

#[test]
fn other_texts_are_no_keys() {
    let good = ApiKey::from_random([0xa5; 32]);
    assert!(good.expose().parse::<ApiKey>().is_ok(), "control");
    let digits = &good.expose()[4..];
    for (text, expected) in [
        (digits.to_owned(), ApiKeyError::Prefix),
        (format!("TGK_{digits}"), ApiKeyError::Prefix),
        (format!("tgk_{digits}0"), ApiKeyError::Digits),
        (format!("tgk_{}", &digits[1..]), ApiKeyError::Digits),
        (format!("tgk_{}-", &digits[1..]), ApiKeyError::Digits),
        (format!("tgk_{}é", &digits[2..]), ApiKeyError::Digits),
        (format!(" tgk_{digits}"), ApiKeyError::Prefix),
        (String::new(), ApiKeyError::Prefix),
    ] {
        assert_eq!(text.parse::<ApiKey>().unwrap_err(), expected, "{text:?}");
    }
}

#[test]
fn c4_a_key_is_never_printed() {
    let key = ApiKey::from_random([3; 32]);
    assert_eq!(format!("{key:?}"), "ApiKey([redacted])");
    let error = format!("{}x", key.expose()).parse::<ApiKey>().unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&key.expose()[4..20]));
}

proptest! {
    #[test]
    fn print_then_parse_is_the_same_key(random: [u8; 32]) {
        let key = ApiKey::from_random(random);
        let read: ApiKey = key.expose().parse().unwrap();
        prop_assert_eq!(read.hash(), key.hash());
        prop_assert_eq!(read.expose().len(), 47);
    }

    #[test]
    fn different_randomness_is_a_different_key(one: [u8; 32], other: [u8; 32]) {
        let (first, second) = (ApiKey::from_random(one), ApiKey::from_random(other));
        prop_assert_eq!(one == other, first.expose() == second.expose());
    }

    #[test]
    fn only_the_one_spelling_of_a_key_is_read(text in ".{0,64}", digits in "tgk_[0-9A-Za-z]{40,46}") {
        for text in [text, digits] {
            if let Ok(key) = text.parse::<ApiKey>() {
                prop_assert_eq!(key.expose(), text);
            }
        }
    }
}
