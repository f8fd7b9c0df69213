use proptest::prelude::*;

use super::*;
use tollgate_domain::{Caller, EscrowId, KeyId};

#[test]
fn accounts_have_one_text_form() {
    let key = Caller::ApiKey(KeyId::from_bytes([3; 16])).principal();
    let holder = Caller::Preimage([0xab; 32]).principal();
    let escrow = EscrowId::from_bytes([4; 16]);
    for (account, text) in [
        (AccountName::Clearing(Clearing::X402), "clearing:x402".to_owned()),
        (AccountName::Clearing(Clearing::L402), "clearing:l402".to_owned()),
        (AccountName::Clearing(Clearing::Manual), "clearing:manual".to_owned()),
        (AccountName::Clearing(Clearing::Sandbox), "clearing:sandbox".to_owned()),
        (AccountName::Credit(key.clone()), format!("credit:{key}")),
        (AccountName::Credit(holder), format!("credit:lightning:{}", "ab".repeat(32))),
        (AccountName::Payable("demo".parse().unwrap()), "payable:demo".to_owned()),
        (AccountName::Escrow(escrow), format!("escrow:{escrow}")),
        (AccountName::Stake(escrow), format!("stake:{escrow}")),
    ] {
        assert_eq!(account.to_string(), text);
        assert_eq!(text.parse(), Ok(account));
    }
    for text in
        ["", "clearing", "clearing:", "clearing:X402", "credit:bob", "payable:", "payable:A", "fees:x", ":"]
    {
        assert!(text.parse::<AccountName>().is_err(), "{text:?} must be refused");
    }
}

#[test]
fn credit_escrows_and_stakes_are_limited_and_nothing_else_is() {
    let escrow = EscrowId::from_bytes([4; 16]);
    assert!(AccountName::Escrow(escrow).debits_must_not_exceed_credits());
    assert!(AccountName::Stake(escrow).debits_must_not_exceed_credits());
    let credit = AccountName::Credit(Caller::Anonymous.principal());
    assert!(credit.debits_must_not_exceed_credits());
    assert!(!AccountName::Clearing(Clearing::X402).debits_must_not_exceed_credits());
    assert!(!AccountName::Payable("demo".parse().unwrap()).debits_must_not_exceed_credits());
}

#[test]
fn a_reservation_counts_against_what_is_available() {
    let ten = Balances::default().credited(Movement::Post(Amount::new(10))).unwrap();
    let reserved = ten.debited(Movement::Reserve(Amount::new(7)), true).unwrap();
    assert_eq!(reserved.available(), Some(Amount::new(3)));
    let refused = reserved.debited(Movement::Reserve(Amount::new(4)), true);
    assert_eq!(refused, Err(BookingError::ExceedsCredits { available: Amount::new(3) }));
    // Control: exactly what is left, and the same on an account without the limit.
    assert!(reserved.debited(Movement::Post(Amount::new(3)), true).is_ok());
    assert!(reserved.debited(Movement::Reserve(Amount::new(4)), false).is_ok());
    // What is only pending on the credit side cannot be spent.
    let promised = Balances::default().credited(Movement::Reserve(Amount::new(10))).unwrap();
    assert!(promised.debited(Movement::Reserve(Amount::new(1)), true).is_err());
}

fn resolve(reserved: u128, posted: u128) -> Movement {
    Movement::Resolve { reserved: Amount::new(reserved), posted: Amount::new(posted) }
}

#[test]
fn a_resolution_releases_no_more_than_is_pending_and_posts_no_more_than_it_releases() {
    let five = Balances::default().debited(Movement::Reserve(Amount::new(5)), false).unwrap();
    for refused in [resolve(6, 6), resolve(6, 0), resolve(5, 6)] {
        assert_eq!(five.debited(refused, false), Err(BookingError::NotPending), "{refused:?}");
    }
    for posted in [0, 1, 5] {
        let resolved = five.debited(resolve(5, posted), false).unwrap();
        assert_eq!((resolved.debits_pending, resolved.debits_posted), (Amount::ZERO, Amount::new(posted)));
    }
}

#[test]
fn totals_do_not_wrap() {
    let full = Balances::default().credited(Movement::Post(Amount::new(u128::MAX))).unwrap();
    assert_eq!(full.credited(Movement::Post(Amount::new(1))), Err(BookingError::Overflow));
}

proptest! {
    #[test]
    fn reserving_and_releasing_leaves_everything_as_it_was(credits in 0_u128..1000, amount in 1_u128..1000) {
        let before = Balances { credits_posted: Amount::new(credits), ..Balances::default() };
        match before.debited(Movement::Reserve(Amount::new(amount)), true) {
            Ok(reserved) => {
                prop_assert!(amount <= credits);
                let released = reserved.debited(resolve(amount, 0), true).unwrap();
                prop_assert_eq!(released, before);
                let posted = reserved.debited(resolve(amount, amount), true).unwrap();
                prop_assert_eq!(posted.available(), Some(Amount::new(credits - amount)));
            }
            Err(error) => {
                prop_assert!(amount > credits);
                prop_assert_eq!(error, BookingError::ExceedsCredits { available: Amount::new(credits) });
            }
        }
    }

    #[test]
    fn reading_an_account_never_panics(text in ".{0,40}") {
        if let Ok(account) = text.parse::<AccountName>() {
            prop_assert_eq!(account.to_string(), text);
        }
    }
}
