use super::*;
use crate::x402::testing::{MemoryBook, NOW, PAY_TO, payer, ready};

fn signed(value: u128, nonce: u8) -> SignedAuthorization {
    let authorization = Authorization {
        from: payer().address(),
        to: PAY_TO.parse().unwrap(),
        value: Amount::new(value),
        valid_after: 0,
        valid_before: NOW.secs() + 60,
        nonce: [nonce; 32],
    };
    SignedAuthorization { authorization, signature: payer().sign(&[1; 32]) }
}

fn funded(amount: u128) -> (Arc<MemoryBook>, SandboxSettler<MemoryBook>) {
    let book = Arc::new(MemoryBook::default());
    ready(book.mint(payer().address(), Amount::new(amount))).unwrap();
    (Arc::clone(&book), SandboxSettler::new(book))
}

fn balances(book: &MemoryBook) -> (u128, u128) {
    let of = |owner| ready(book.balance(owner)).unwrap().get();
    (of(payer().address()), of(PAY_TO.parse().unwrap()))
}

#[test]
fn a_settlement_moves_the_money_once_and_answers_alike_again() {
    let (book, settler) = funded(25_000);
    let first = ready(settler.settle(&signed(10_000, 1), NOW));
    let SettlementAnswer::Settled { reference } = &first else { panic!("{first:?}") };
    assert!(
        reference.starts_with("sandbox:0x") && reference.len() < 64,
        "never like a transaction hash: {reference}"
    );
    assert_eq!(ready(settler.settle(&signed(10_000, 1), NOW)), first);
    assert_eq!(ready(settler.look_up(&signed(10_000, 1), NOW)), first);
    assert_eq!(balances(&book), (15_000, 10_000));
    // Even after it has expired: it happened.
    assert_eq!(ready(settler.settle(&signed(10_000, 1), NOW.plus_millis(3_600_000))), first);
    let second = ready(settler.settle(&signed(10_000, 2), NOW));
    assert!(matches!(&second, SettlementAnswer::Settled { reference: other } if other != reference));
    assert_eq!(balances(&book), (5_000, 20_000));
}

#[test]
fn what_the_token_refuses_moves_nothing() {
    let (book, settler) = funded(10_000);
    let refused = |signed: &SignedAuthorization| match ready(settler.settle(signed, NOW)) {
        SettlementAnswer::Failed { reason } => reason,
        other => panic!("{other:?}"),
    };
    let with = |change: fn(&mut Authorization)| {
        let mut signed = signed(10_000, 1);
        change(&mut signed.authorization);
        signed
    };
    assert_eq!(refused(&with(|it| it.value = Amount::new(10_001))), reason::INSUFFICIENT_BALANCE);
    assert_eq!(refused(&with(|it| it.valid_after = NOW.secs())), reason::VALID_AFTER);
    assert_eq!(refused(&with(|it| it.valid_before = NOW.secs())), reason::VALID_BEFORE);
    assert_eq!(balances(&book), (10_000, 0));
    assert!(matches!(ready(settler.settle(&signed(9_999, 1), NOW)), SettlementAnswer::Settled { .. }));
    // The payer signed another transfer with the same nonce: the first one counts.
    assert_eq!(refused(&signed(1, 1)), reason::NONCE_ALREADY_USED);
    assert_eq!(
        ready(settler.look_up(&signed(1, 1), NOW)),
        SettlementAnswer::Failed { reason: reason::NONCE_ALREADY_USED.to_owned() }
    );
    assert_eq!(balances(&book), (1, 9_999));
}

#[test]
fn a_look_up_sends_nothing() {
    let (book, settler) = funded(10_000);
    assert_eq!(ready(settler.look_up(&signed(10_000, 1), NOW)), SettlementAnswer::Absent);
    assert_eq!(balances(&book), (10_000, 0));
}

#[test]
fn a_book_that_is_down_is_unknown_not_failed() {
    let (book, settler) = funded(10_000);
    book.break_down();
    assert!(matches!(ready(settler.settle(&signed(10_000, 1), NOW)), SettlementAnswer::Unknown { .. }));
    assert!(matches!(ready(settler.look_up(&signed(10_000, 1), NOW)), SettlementAnswer::Unknown { .. }));
}
