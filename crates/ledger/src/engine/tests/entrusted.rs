//! What a tool delivers under `settle: escrow`: an escrow over exactly what was taken for the call, or nothing.

use tollgate_domain::{Amount, Bps};

use super::*;
use crate::escrow::{EscrowState, EscrowTerms, Mediator, Proposal, Provider, Timings, Who, escrow_of_call};

/// A call whose money was taken with its claim.
fn entrusting() -> (Memory, Claim) {
    let mut books = Memory::default();
    books.grant(&alice(), 20);
    let claim = Claim { settle: Settle::Escrow, ..claim_of(Rail::Credit, Funds::Credit(alice()), 1) };
    assert_eq!(books.claim(&claim), Claimed::Fresh { attempt: 1 });
    (books, claim)
}

fn terms(claim: &Claim) -> Proposal {
    Proposal {
        payer: alice(),
        provider: Provider::Server("demo".parse().unwrap()),
        mediator: Mediator::Nobody,
        asset: asset(),
        amount: claim.amount,
        milestones: Vec::new(),
        description: None,
        timings: Timings::DEFAULT,
        dispute_stake: Amount::ZERO,
        mediator_stake: Amount::ZERO,
        confidence_min: Bps::ONE,
        splits: Default::default(),
        call: Some(claim.call),
    }
}

fn delivered(books: &mut Memory, claim: &Claim, terms: Option<Proposal>) -> Result<Changes, Refusal> {
    let advance = Advance {
        key: claim.key.clone(),
        call: claim.call,
        events: vec![Event::Executed { result: Digest::of(b"42") }],
        result: None,
        private: None,
        statement: None,
        escrow: terms.map(|terms| Box::new(EscrowTerms::new(terms).unwrap())),
        now: UnixMillis::new(2),
    };
    match crate::engine::advance(books, &advance) {
        Ok(changes) => Ok(changes),
        Err(EngineError::Refused(refusal)) => Err(refusal),
    }
}

#[test]
fn only_the_terms_of_this_very_call_make_an_escrow_of_it() {
    let (mut books, claim) = entrusting();
    let right = || terms(&claim);
    let wrong = [
        None,
        Some(Proposal { payer: bob(), ..right() }),
        Some(Proposal { provider: Provider::Server("other".parse().unwrap()), ..right() }),
        Some(Proposal { amount: Amount::new(9), ..right() }),
        Some(Proposal { asset: "lightning:mainnet/msat".parse().unwrap(), ..right() }),
        Some(Proposal { splits: "reviewers:0.1".parse().unwrap(), ..right() }),
        Some(Proposal { call: Some(CallId::from_bytes([2; 16])), ..right() }),
    ];
    for wrong in wrong {
        let refused = delivered(&mut books, &claim, wrong.clone()).unwrap_err();
        assert_eq!(refused, Refusal::WithoutTerms(claim.call), "{wrong:?}");
    }
    assert!(delivered(&mut books, &claim, Some(right())).is_ok(), "control");
}

#[test]
fn what_was_taken_goes_into_the_escrow_of_the_call_which_is_delivered_by_its_server() {
    let (mut books, claim) = entrusting();
    let changes = delivered(&mut books, &claim, Some(terms(&claim))).unwrap();
    let id = escrow_of_call(&claim.call);
    let moved: Vec<_> = changes
        .transfers
        .iter()
        .map(|transfer| (transfer.debit.to_string(), transfer.credit.clone(), transfer.amount))
        .collect();
    assert_eq!(moved, [("unearned:demo".to_owned(), AccountName::Escrow(id), claim.amount)]);
    let told: Vec<_> = changes
        .escrow
        .iter()
        .map(|change| (change.row.id, change.record.by.clone(), change.record.state.as_str()))
        .collect();
    let payer = || Who::Principal(alice());
    let expected =
        [(payer(), "created"), (payer(), "funded"), (payer(), "locked"), (Who::Server, "delivered")];
    assert_eq!(told, expected.map(|(by, state)| (id, by, state)));
    let last = &changes.escrow.last().unwrap().row;
    let window_ends = UnixMillis::new(2 + Timings::DEFAULT.window_ms);
    assert_eq!((last.state, last.rest()), (EscrowState::Delivered { window_ends }, claim.amount));
}
