//! What several share: each its part, the server the remainder, whatever is given back in whatever pieces.

use proptest::prelude::*;
use tollgate_domain::{Bps, ServerName, Splits};

use super::*;

fn payee(place: usize) -> ServerName {
    format!("payee-{place}").parse().unwrap()
}

fn has(books: &Memory, account: AccountName) -> u128 {
    let balances = books.totals.get(&(account, asset())).copied().unwrap_or_default();
    balances.available().unwrap().get()
}

proptest! {
    /// Nothing is made or lost, no part is negative, and each payee has the floor of its share of what was kept.
    #[test]
    fn shares_always_sum_over_any_refunds(
        shares in prop::collection::vec(1_u16..3_400, 0..4),
        units in 1_u128..100_000,
        settle in prop::sample::select(&[Settle::After, Settle::Before][..]),
        is_credit in any::<bool>(),
        pieces in prop::collection::vec(1_u128..60_000, 0..6),
    ) {
        let named = shares.iter().enumerate().map(|(place, share)| (payee(place), Bps::new(*share)));
        let Ok(splits) = Splits::new(named) else { return Ok(()) };
        let mut books = Memory::default();
        let (rail, funds) = match is_credit {
            true => (Rail::Credit, Funds::Credit(alice())),
            false => (Rail::X402, Funds::OnSettlement),
        };
        books.grant(&alice(), units);
        let claim = Claim {
            settle,
            amount: Amount::new(units),
            splits: splits.clone(),
            ..claim_of(rail, funds, 1)
        };
        prop_assert_eq!(books.claim(&claim), Claimed::Fresh { attempt: 1 });
        let events = match (settle, is_credit) {
            (Settle::After, _) => vec![executed(), Event::Submitted, settled()],
            (_, true) => vec![executed()],
            (_, false) => vec![Event::Submitted, settled(), executed()],
        };
        books.advance(&claim, events).unwrap(); // each write is audited
        let before = has(&books, AccountName::Credit(claim.caller.clone()));
        let mut gone = 0;
        for (number, piece) in (0_u8..).zip(pieces) {
            let refund = refund_of(&claim, 100 + number, piece, gone);
            match give_back(&mut books, &refund) {
                Ok(total) => gone = total.get(),
                Err(refusal) => {
                    prop_assert!(matches!(refusal, Refusal::RefundExceeds { .. }), "{}", refusal);
                    prop_assert!(gone + piece > units, "control");
                }
            }
            let kept = Amount::new(units - gone);
            let server = has(&books, AccountName::Payable("demo".parse().unwrap()));
            let mut sum = server;
            for (payee, part) in splits.of(kept) {
                prop_assert_eq!(has(&books, AccountName::Payable(payee.clone())), part.get());
                sum += part.get();
            }
            prop_assert_eq!((sum, server), (kept.get(), splits.remainder(kept).get()));
            let refunded = has(&books, AccountName::Credit(claim_payer(&claim))) ;
            let base = if claim_payer(&claim) == claim.caller { before } else { 0 };
            prop_assert_eq!(refunded, base + gone);
        }
    }
}

#[test]
fn a_refund_by_which_the_remainder_grows_is_booked() {
    let two_fifths = |place| (payee(place), Bps::new(4_000));
    let mut books = Memory::default();
    books.grant(&alice(), 5);
    let splits = Splits::new([two_fifths(0), two_fifths(1)]).unwrap();
    let claim = Claim { amount: Amount::new(5), splits, ..claim_of(Rail::Credit, Funds::Credit(alice()), 1) };
    books.claim(&claim);
    books.advance(&claim, [executed(), Event::Submitted, settled()]).unwrap();
    let stands = |books: &Memory| {
        let payable = |name: ServerName| has(books, AccountName::Payable(name));
        (payable(payee(0)), payable(payee(1)), payable("demo".parse().unwrap()))
    };
    assert_eq!(stands(&books), (2, 2, 1));
    // Of four, the floors of two fifths are one each: two come back, and one of them is the server's.
    assert_eq!(give_back(&mut books, &refund_of(&claim, 100, 1, 0)), Ok(Amount::new(1)));
    assert_eq!(stands(&books), (1, 1, 2));
    assert_eq!(has(&books, AccountName::Credit(alice())), 1);
}

fn claim_payer(claim: &Claim) -> Principal {
    match &claim.funds {
        Funds::Credit(principal) => principal.clone(),
        _ => claim.payer.clone(),
    }
}

#[test]
fn a_share_that_is_not_there_is_found() {
    let splits = Splits::new([(payee(0), Bps::new(2_500))]).unwrap();
    let mut books = Memory::default();
    books.grant(&alice(), 10);
    let claim = Claim { splits, ..claim_of(Rail::Credit, Funds::Credit(alice()), 1) };
    books.claim(&claim);
    books.advance(&claim, [executed(), Event::Submitted, settled()]).unwrap();
    let found = |splits: Splits| {
        let shared = |row: &Arc<SettlementRow>| {
            Arc::new(SettlementRow { splits: splits.clone(), ..SettlementRow::clone(row) })
        };
        books.findings_in(&books.rows.iter().map(shared).collect::<Vec<_>>())
    };
    assert_eq!(found(claim.splits.clone()), [], "control");
    let other = Splits::new([(payee(0), Bps::new(5_000))]).unwrap();
    assert_eq!(found(other), [crate::audit::Finding::NotShared(claim.call)]);
}
