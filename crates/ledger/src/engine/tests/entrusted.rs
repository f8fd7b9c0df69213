//! What a tool delivers under `settle: escrow`: an escrow over exactly what was taken for the call, or nothing.

use tollgate_domain::{Amount, Bps};

use super::*;
use crate::Command;
use crate::escrow::{
    EscrowCommand, EscrowEvent, EscrowState, EscrowTerms, Mediator, MoveEscrow, Part, Proposal, Provider,
    Timings, Who, escrow_of_call,
};

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

fn delivery(claim: &Claim, terms: Option<Proposal>) -> Advance {
    Advance {
        key: claim.key.clone(),
        call: claim.call,
        events: vec![Event::Executed { result: Digest::of(b"42") }],
        result: None,
        private: None,
        statement: None,
        escrow: terms.map(|terms| Box::new(EscrowTerms::new(terms).unwrap())),
        now: UnixMillis::new(2),
    }
}

fn delivered(books: &mut Memory, claim: &Claim, terms: Option<Proposal>) -> Result<Changes, Refusal> {
    match crate::engine::advance(books, &delivery(claim, terms)) {
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

#[test]
fn what_would_have_gone_into_an_escrow_goes_back_to_whoever_called_and_not_to_the_wallet_that_paid() {
    let mut books = Memory::default();
    let claim = Claim { settle: Settle::Escrow, ..claim_of(Rail::X402, Funds::OnSettlement, 1) };
    books.claim(&claim);
    books.advance(&claim, [Event::Submitted, settled()]).unwrap();
    books.advance(&claim, [Event::RefundDue { cause: RefundCause::ToolFailed }, Event::Refunded]).unwrap();
    assert_eq!(books.available(AccountName::Credit(alice())), Amount::new(10));
    assert!(!books.totals.contains_key(&(AccountName::Credit(bob()), asset())));
}

#[test]
fn what_an_escrow_releases_to_a_server_is_shared_as_the_call_was_promised() {
    let mut books = Memory::default();
    books.grant(&alice(), 20);
    let claim = Claim {
        settle: Settle::Escrow,
        splits: "reviewers:0.25".parse().unwrap(),
        ..claim_of(Rail::Credit, Funds::Credit(alice()), 1)
    };
    books.claim(&claim);
    let shared = Proposal { splits: claim.splits.clone(), ..terms(&claim) };
    let moved = books.commit(&[Command::Advance(delivery(&claim, Some(shared)))]);
    assert!(moved[0].is_ok(), "{moved:?}");
    let has = |books: &Memory, name: &str| {
        let account = AccountName::Payable(name.parse().unwrap());
        books.totals.get(&(account, asset())).and_then(Balances::available).unwrap_or_default().get()
    };
    // Of three the floor of a quarter is nothing yet, of ten it is two.
    for (part, server, reviewers) in [(Part::Amount(Amount::new(3)), 3, 0), (Part::Rest, 8, 2)] {
        let (id, by) = (escrow_of_call(&claim.call), Who::Principal(alice()));
        let accept = MoveEscrow::new(id, by, EscrowEvent::Accept(part), UnixMillis::new(3));
        let moved = books.commit(&[Command::Escrow(Box::new(EscrowCommand::Move(accept)))]);
        assert!(moved[0].is_ok(), "{moved:?}");
        assert_eq!((has(&books, "demo"), has(&books, "reviewers")), (server, reviewers));
        assert_eq!(books.findings(), []);
    }
}
