use proptest::prelude::*;

use super::*;

#[test]
fn a_key_is_found_in_either_header() {
    assert_eq!(presented_key(["Bearer tgk_abc"], []), Ok(Some("tgk_abc")));
    assert_eq!(presented_key(["bearer   tgk_abc "], []), Ok(Some("tgk_abc")));
    assert_eq!(presented_key([], [" tgk_abc "]), Ok(Some("tgk_abc")));
    assert_eq!(
        presented_key(["Bearer tgk_abc"], ["tgk_abc"]),
        Ok(Some("tgk_abc")),
        "the same key twice is one key"
    );
    assert_eq!(presented_key([], []), Ok(None));
}

#[test]
fn payments_and_strange_tokens_are_no_api_keys() {
    for value in
        ["L402 AgEE:00ff", "Payment eyJ9", "Bearer eyJhbGciOi", "Basic dGdrX2FiYw==", "tgk_abc", "Bearer", ""]
    {
        assert_eq!(presented_key([value], []), Ok(None), "{value:?}");
        assert_eq!(
            presented_key([value, "Bearer tgk_abc"], []),
            Ok(Some("tgk_abc")),
            "control beside {value:?}"
        );
    }
}

#[test]
fn a_mistyped_key_in_our_own_header_is_presented_and_not_ignored() {
    assert_eq!(presented_key([], ["not a key"]), Ok(Some("not a key")));
    assert_eq!(presented_key([], [""]), Ok(Some("")));
}

#[test]
fn p6_two_different_keys_are_refused_and_none_is_first() {
    assert_eq!(presented_key(["Bearer tgk_abc"], ["tgk_abd"]), Err(PresentedKeyError::Several));
    assert_eq!(presented_key([], ["tgk_abc", "tgk_abd"]), Err(PresentedKeyError::Several));
    assert_eq!(presented_key(["Bearer tgk_abc", "Bearer tgk_abd"], []), Err(PresentedKeyError::Several));
    assert_eq!(presented_key(["Bearer tgk_abc", "L402 x:y"], ["tgk_abc"]), Ok(Some("tgk_abc")), "control");
}

proptest! {
    #[test]
    fn what_is_found_stood_in_a_header(
        values in proptest::collection::vec("(Bearer )?(tgk_)?.{0,20}", 0..4),
        keys in proptest::collection::vec(".{0,20}", 0..3),
    ) {
        match presented_key(values.iter().map(String::as_str), keys.iter().map(String::as_str)) {
            Ok(Some(key)) => prop_assert!(values.iter().chain(&keys).any(|value| value.contains(key))),
            Ok(None) => prop_assert!(keys.is_empty()),
            Err(PresentedKeyError::Several) => prop_assert!(values.len() + keys.len() > 1),
        }
    }
}
