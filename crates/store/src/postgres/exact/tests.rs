use proptest::prelude::*;

use super::*;

fn sent(amount: u128) -> Vec<u8> {
    let mut out = BytesMut::new();
    assert!(matches!(Exact(Amount::new(amount)).to_sql(&Type::NUMERIC, &mut out), Ok(IsNull::No)));
    out.to_vec()
}

fn read(raw: &[u8]) -> Option<u128> {
    Exact::from_sql(&Type::NUMERIC, raw).ok().map(|Exact(amount)| amount.get())
}

/// A number by its parts: weight, sign, scale and digits.
fn number(weight: i16, sign: i16, scale: i16, digits: &[i16]) -> Vec<u8> {
    let count = i16::try_from(digits.len()).unwrap();
    let parts = [count, weight, sign, scale];
    parts.iter().chain(digits).flat_map(|part| part.to_be_bytes()).collect()
}

#[test]
fn an_amount_is_the_digits_that_the_database_itself_would_send() {
    assert_eq!(sent(0), number(0, 0, 0, &[]));
    assert_eq!(sent(7), number(0, 0, 0, &[7]));
    assert_eq!(sent(10_000), number(1, 0, 0, &[1]));
    assert_eq!(sent(1_000_200_000_003), number(3, 0, 0, &[1, 2, 0, 3]));
    assert_eq!(sent(u128::MAX), number(9, 0, 0, &[340, 2823, 6692, 938, 4634, 6337, 4607, 4317, 6821, 1455]));
}

#[test]
fn what_is_no_amount_is_refused() {
    assert_eq!(read(&number(1, 0, 0, &[1])), Some(10_000), "control");
    for (raw, why) in [
        (number(1, 0x4000, 0, &[1]), "below zero"),
        (number(0, -0x4000, 0, &[]), "not a number"),
        (number(0, 0, 1, &[1, 5000]), "not whole"),
        (number(-1, 0, 1, &[5000]), "less than one"),
        (number(9, 0, 0, &[341]), "more than 128 bits"),
        (number(9, 0, 0, &[-1]), "a digit below zero"),
        (number(1, 0, 0, &[1])[..9].to_vec(), "cut short"),
        (Vec::new(), "nothing"),
    ] {
        assert_eq!(read(&raw), None, "{why}");
    }
}

proptest! {
    #[test]
    fn every_amount_is_read_as_it_was_sent(amount in any::<u128>(), shift in 0_u32..128) {
        let amount = amount >> shift;
        prop_assert_eq!(read(&sent(amount)), Some(amount));
    }

    #[test]
    fn no_bytes_are_too_strange(raw in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Some(amount) = read(&raw) {
            prop_assert_eq!(read(&sent(amount)), Some(amount));
        }
    }
}
