//! Sandbox money: a wallet's signed payments, taken from its account on these books. Whatever happens in whatever order,
//! there is as much of it as was made.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const WALLETS: u8 = 3;

#[derive(Clone, Debug)]
enum Step {
    Mint { wallet: u8, units: u128 },
    Claim { key: u8, wallet: u8, units: u128 },
    End { key: u8, ending: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..WALLETS, 0_u128..40).prop_map(|(wallet, units)| Step::Mint { wallet, units }),
        5 => (0_u8..6, 0..WALLETS, 1_u128..30)
            .prop_map(|(key, wallet, units)| Step::Claim { key, wallet, units }),
        4 => (0_u8..6, 0_u8..6).prop_map(|(key, ending)| Step::End { key, ending }),
    ];
    proptest::collection::vec(step, 1..60)
}

fn wallet(number: u8) -> Principal {
    Caller::Wallet([number; 20]).principal()
}

fn ending(number: u8) -> Vec<Event> {
    match number {
        0 | 1 => vec![executed(), Event::Submitted, settled()],
        2 => vec![voided()],
        3 => vec![executed(), Event::Submitted, Event::Failed { reason: "expired".into() }],
        4 => vec![Event::FoundInDoubt],
        _ => vec![executed()],
    }
}

/// A claim of a wallet's payment, with a call id that no other claim has.
fn signed(key: u8, from: u8, units: u128, call: u8) -> Claim {
    let mut claim = claim_of(Rail::X402, Funds::Credit(wallet(from)), call);
    claim.key = PaymentKey::new(Rail::X402, format!("network/token/{from}/{key}")).unwrap();
    claim.caller = wallet(from);
    claim.amount = Amount::new(units);
    claim
}

fn mint(books: &mut Memory, number: u8, to: u8, units: u128) -> Result<(), Refusal> {
    let grant = Grant {
        from: Clearing::Sandbox,
        id: TransferId::from_bytes([number; 16]),
        ..grant_of(&wallet(to), units)
    };
    match super::super::grant(books, &grant) {
        Ok((_, changes)) => books.audited(changes.unwrap()),
        Err(EngineError::Refused(refusal)) => return Err(refusal),
    }
    Ok(())
}

/// What was made, and what all wallets and servers have of it.
fn made_and_held(books: &Memory) -> (u128, u128) {
    let (mut made, mut held) = (0, 0);
    for ((account, _), balances) in &books.totals {
        let (debits, credits) = (balances.debits_posted.get(), balances.credits_posted.get());
        match account {
            AccountName::Clearing(Clearing::Sandbox) => made += debits - credits,
            AccountName::Clearing(other) => panic!("{other:?} has nothing to do with the sandbox"),
            AccountName::Credit(_)
            | AccountName::Payable(_)
            | AccountName::Unearned(_)
            | AccountName::Escrow(_)
            | AccountName::Stake(_) => held += credits - debits,
        }
    }
    (made, held)
}

proptest! {
    #[test]
    fn the_sum_of_sandbox_money_is_what_was_minted(steps in steps()) {
        let mut books = Memory::default();
        let (mut minted, mut latest) = (0, BTreeMap::new());
        for (number, step) in (1_u8..).zip(steps) {
            match step {
                Step::Mint { wallet, units } => match mint(&mut books, number, wallet, units) {
                    Ok(()) => minted += units,
                    Err(refusal) => prop_assert_eq!((refusal, units), (Refusal::Booking(BookingError::Zero), 0)),
                },
                Step::Claim { key, wallet: from, units } => {
                    let had = books.balances(&AccountName::Credit(wallet(from)), &asset()).unwrap();
                    let claim = signed(key, from, units, number);
                    match books.claim(&claim) {
                        Claimed::Fresh { .. } => {
                            prop_assert!(had.available().unwrap() >= claim.amount);
                            latest.insert(key, claim);
                        }
                        Claimed::InsufficientFunds { available } => {
                            prop_assert_eq!(Some(available), had.available());
                            prop_assert!(available < claim.amount);
                        }
                        _ => {}
                    }
                }
                // A step that is illegal by now is refused and changes nothing.
                Step::End { key, ending: how } => {
                    if let Some(claim) = latest.get(&key) {
                        drop(books.advance(claim, ending(how)));
                    }
                }
            }
            prop_assert_eq!(made_and_held(&books), (minted, minted));
        }
    }
}

#[test]
fn a_wallets_money_is_held_by_its_claim_moved_by_the_settlement_and_released_by_a_void() {
    let mut books = Memory::default();
    let account = AccountName::Credit(wallet(1));
    let short = books.claim(&signed(1, 1, 10, 1));
    assert_eq!(short, Claimed::InsufficientFunds { available: Amount::ZERO });
    mint(&mut books, 2, 1, 15).unwrap();
    let first = signed(1, 1, 10, 3);
    assert_eq!(books.claim(&first), Claimed::Fresh { attempt: 1 }, "control: nothing was burned");
    let second = books.claim(&signed(2, 1, 10, 4));
    assert_eq!(second, Claimed::InsufficientFunds { available: Amount::new(5) }, "what is held is not there");
    books.advance(&first, [voided()]).unwrap();
    assert_eq!(books.available(account.clone()), Amount::new(15));
    let again = signed(1, 1, 10, 5);
    assert_eq!(books.claim(&again), Claimed::Fresh { attempt: 2 }, "a voided proof may come back");
    books.advance(&again, [executed(), Event::Submitted, settled()]).unwrap();
    assert_eq!(books.available(account), Amount::new(5));
    assert!(matches!(books.claim(&signed(1, 1, 10, 6)), Claimed::Answered { .. }), "and is spent once");
}
