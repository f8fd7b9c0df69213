//! Calls whose price follows from the size of their result: what it left of what was held is never kept.

use proptest::prelude::*;
use tollgate_domain::{Bps, ServerName, Splits};

use super::*;

fn measured(due: u128) -> Event {
    Event::Measured { result: Digest::of(b"42"), due: Amount::new(due) }
}

fn has(books: &Memory, account: AccountName) -> i128 {
    let balances = books.totals.get(&(account, asset())).copied().unwrap_or_default();
    i128::try_from(balances.credits_posted.get()).unwrap()
        - i128::try_from(balances.debits_posted.get()).unwrap()
}

fn credit(of: Principal) -> AccountName {
    AccountName::Credit(of)
}

/// The events of a paid call that ends with `delivered`.
fn all(claim: &Claim, delivered: Event) -> Vec<Event> {
    match (claim.settle, claim.funds.settles_on_our_books()) {
        (Settle::After, _) => vec![delivered, Event::Submitted, settled()],
        (_, true) => vec![delivered],
        (_, false) => vec![Event::Submitted, settled(), delivered],
    }
}

fn holder() -> Principal {
    Caller::Preimage([9; 32]).principal()
}

/// A claim of so much, over one of the ways in which money comes.
fn claim_over(way: u8, settle: Settle, units: u128, splits: Splits) -> Claim {
    let (rail, funds) = match way {
        0 => (Rail::Credit, Funds::Credit(alice())),
        1 => (Rail::L402, Funds::Arrived { holder: holder() }),
        _ => (Rail::X402, Funds::OnSettlement),
    };
    Claim { settle, splits, amount: Amount::new(units), ..claim_of(rail, funds, 1) }
}

proptest! {
    /// Whoever pays has less by exactly what is due, whatever it pays with and whenever the money moves; the parts of those who earn
    /// are that sum; and no refund gives back more than was charged. Each write is audited.
    #[test]
    fn what_a_result_costs_is_all_that_is_charged(
        way in 0_u8..3,
        settle in prop::sample::select(&[Settle::After, Settle::Before][..]),
        shares in prop::collection::vec(1_u16..3_400, 0..4),
        units in 2_u128..100_000,
        share in 1_u128..1_000,
        pieces in prop::collection::vec(1_u128..60_000, 0..4),
    ) {
        let due = (units * share / 1_000).max(1);
        let named = shares.iter().enumerate().map(|(place, share)| {
            (format!("payee-{place}").parse::<ServerName>().unwrap(), Bps::new(*share))
        });
        let Ok(splits) = Splits::new(named) else { return Ok(()) };
        let mut books = Memory::default();
        books.grant(&alice(), units);
        let claim = claim_over(way, settle, units, splits.clone());
        prop_assert_eq!(books.claim(&claim), Claimed::Fresh { attempt: 1 });
        books.advance(&claim, all(&claim, measured(due))).unwrap();
        let row = books.rows[0].clone();
        prop_assert_eq!((row.due().get(), row.charged()), (due, true));
        let mut kept = due;
        for (number, piece) in (0_u8..).zip(pieces) {
            let refund = refund_of(&claim, 100 + number, piece, units - kept);
            match give_back(&mut books, &refund) {
                Ok(_) => kept -= piece,
                Err(_) => prop_assert!(piece > kept, "only more than what was charged is refused"),
            }
        }
        // Who paid: of what was there first, or came with the payment, all but what is kept.
        let left = match way {
            0 => has(&books, credit(alice())),
            1 => has(&books, credit(holder())),
            _ => has(&books, credit(bob())),
        };
        prop_assert_eq!(left, i128::try_from(units - kept).unwrap());
        let mut sum = has(&books, AccountName::Payable("demo".parse().unwrap()));
        for (payee, part) in splits.of(Amount::new(kept)) {
            let part = i128::try_from(part.get()).unwrap();
            prop_assert_eq!(has(&books, AccountName::Payable(payee.clone())), part);
            sum += part;
        }
        prop_assert_eq!(sum, i128::try_from(kept).unwrap());
    }
}

#[test]
fn what_is_only_held_is_released_and_what_was_taken_goes_back_in_the_same_step() {
    for (way, settle, moves) in [
        (0, Settle::After, vec![30]),
        (1, Settle::After, vec![100, 30]),
        (2, Settle::After, vec![100, 70]),
        (0, Settle::Before, vec![100, 30, 70]),
        (2, Settle::Before, vec![100, 30, 70]),
    ] {
        let mut books = Memory::default();
        books.grant(&alice(), 100);
        let claim = claim_over(way, settle, 100, Splits::default());
        books.claim(&claim);
        books.advance(&claim, all(&claim, measured(30))).unwrap();
        let moved = books.transfers.iter().filter(|transfer| transfer.call.is_some());
        let moved = moved.filter(|transfer| transfer.kind != TransferKind::Pending);
        let moved: Vec<u128> = moved.map(|transfer| transfer.amount.get()).collect();
        assert_eq!(moved, moves, "{way} {settle}");
    }
}

#[test]
fn a_payment_that_fails_after_its_result_was_measured_leaves_nothing_to_give_back() {
    let mut books = Memory::default();
    let claim = claim_over(2, Settle::After, 100, Splits::default());
    books.claim(&claim);
    books.advance(&claim, [measured(30), Event::Submitted]).unwrap();
    assert_eq!(books.rows[0].refunded, Amount::new(70), "known before the rail is asked: a crash finds it");
    books.advance(&claim, [Event::Unknown { evidence: "no answer".to_owned() }]).unwrap();
    books.advance(&claim, [Event::Failed { reason: "nonce used".to_owned() }]).unwrap();
    assert_eq!((books.rows[0].refunded, books.rows[0].charged()), (Amount::ZERO, false));
    assert_eq!(has(&books, credit(claim.payer)), 0);
}

#[test]
fn p8_a_result_costs_something_and_less_than_what_is_held() {
    for (due, is_taken) in [(0, false), (1, true), (99, true), (100, false), (101, false)] {
        let mut books = Memory::default();
        books.grant(&alice(), 100);
        let claim = claim_over(0, Settle::After, 100, Splits::default());
        books.claim(&claim);
        let answer = books.advance(&claim, all(&claim, measured(due)));
        let refusal = Refusal::Mismeasured { call: claim.call, due: Amount::new(due) };
        assert_eq!(answer, if is_taken { Ok(State::Settled) } else { Err(refusal) }, "{due}");
    }
}
