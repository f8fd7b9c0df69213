use super::*;
use crate::memory::Memory;
use crate::{Claimed, Clearing, IllegalTransition, Refund};
use tollgate_domain::{Binding, Caller, Digest, KeyId, Period, Rail};

mod before;
mod entrusted;
mod measured;
mod sandbox;
mod splits;

impl Memory {
    /// Writes one decision, and has it audited.
    fn audited(&mut self, changes: Changes) {
        self.write_one(changes);
        assert_eq!(self.findings(), []);
    }

    fn claim(&mut self, claim: &Claim) -> Claimed {
        match super::claim(self, claim).unwrap() {
            ClaimDecision::Fresh { attempt, changes, .. } => {
                self.audited(*changes);
                Claimed::Fresh { attempt }
            }
            ClaimDecision::InProgress(row) => {
                Claimed::InProgress { call: row.call, state: row.state, since: row.claimed }
            }
            ClaimDecision::Answered(row) => Claimed::Answered { call: row.call },
            ClaimDecision::OtherRequest(differs) => Claimed::OtherRequest { differs },
            ClaimDecision::Failed(reason) => Claimed::Failed { reason },
            ClaimDecision::InDoubt(call) => Claimed::InDoubt { call },
            ClaimDecision::NoFreeCall => Claimed::NoFreeCall,
            ClaimDecision::InsufficientFunds(available) => Claimed::InsufficientFunds { available },
            ClaimDecision::Barred(barrier) => Claimed::Barred(barrier),
        }
    }

    fn advance(&mut self, claim: &Claim, events: impl IntoIterator<Item = Event>) -> Result<State, Refusal> {
        let advance = Advance {
            key: claim.key.clone(),
            call: claim.call,
            events: events.into_iter().collect(),
            result: None,
            private: None,
            statement: None,
            escrow: None,
            now: UnixMillis::new(2),
        };
        let changes = match super::advance(self, &advance) {
            Ok(changes) => changes,
            Err(EngineError::Refused(refusal)) => return Err(refusal),
        };
        let state = changes.settlement.as_ref().unwrap().state;
        self.audited(changes);
        Ok(state)
    }

    fn grant(&mut self, to: &Principal, units: u128) {
        let (granted, changes) = super::grant(self, &grant_of(to, units)).unwrap();
        assert!(granted.booked);
        self.audited(changes.unwrap());
    }

    fn available(&self, account: AccountName) -> Amount {
        self.totals[&(account, asset())].available().unwrap()
    }
}

fn asset() -> AssetId {
    "lightning:regtest/msat".parse().unwrap()
}

fn alice() -> Principal {
    Caller::ApiKey(KeyId::from_bytes([7; 16])).principal()
}

fn bob() -> Principal {
    Caller::Wallet([3; 20]).principal()
}

fn grant_of(to: &Principal, units: u128) -> Grant {
    Grant {
        from: Clearing::Manual,
        to: to.clone(),
        amount: Amount::new(units),
        asset: asset(),
        id: TransferId::from_bytes([9; 16]),
        note: "welcome".into(),
        now: UnixMillis::new(1),
    }
}

fn claim_of(rail: Rail, funds: Funds, call: u8) -> Claim {
    Claim {
        key: PaymentKey::new(rail, "proof").unwrap(),
        call: CallId::from_bytes([call; 16]),
        caller: alice(),
        payer: bob(),
        settle: Settle::After,
        reference: "ledger:1".into(),
        splits: Default::default(),
        binding: Binding {
            tool: ToolRef { server: "demo".parse().unwrap(), tool: "add".parse().unwrap() },
            args: Digest::of(b"{}"),
            price_version: 1,
            quote: None,
        },
        amount: Amount::new(10),
        asset: asset(),
        funds,
        proof: "a bearer secret".into(),
        expires: UnixMillis::new(1000),
        budget: budget::Ask::default(),
        now: UnixMillis::new(u64::from(call)),
    }
}

fn executed() -> Event {
    Event::Executed { result: Digest::of(b"42") }
}
fn settled() -> Event {
    Event::Settled { reference: "0xabc".into() }
}
fn voided() -> Event {
    Event::Voided { reason: "the tool failed".into() }
}

/// An operator gives back so much of a call.
fn refund_of(claim: &Claim, id: u8, units: u128, before: u128) -> Refund {
    Refund {
        key: claim.key.clone(),
        call: claim.call,
        id: TransferId::from_bytes([id; 16]),
        amount: Amount::new(units),
        before: Amount::new(before),
        reason: "the answer was wrong".into(),
        statement: None,
        private: None,
        now: UnixMillis::new(9),
    }
}

fn give_back(books: &mut Memory, refund: &Refund) -> Result<Amount, Refusal> {
    match crate::refund::refund(books, refund) {
        Ok((total, changes)) => {
            changes.into_iter().for_each(|changes| books.audited(changes));
            Ok(total)
        }
        Err(EngineError::Refused(refusal)) => Err(refusal),
    }
}

#[test]
fn a_call_is_paid_from_hold_to_posting() {
    let mut books = Memory::default();
    let claim = claim_of(Rail::X402, Funds::OnSettlement, 1);
    assert_eq!(books.claim(&claim), Claimed::Fresh { attempt: 1 });
    let payable = (AccountName::Payable("demo".parse().unwrap()), asset());
    assert_eq!(books.totals[&payable].credits_pending, Amount::new(10));
    assert_eq!(books.advance(&claim, [executed(), Event::Submitted, settled()]), Ok(State::Settled));
    assert_eq!(books.totals[&payable].credits_posted, Amount::new(10));
    assert_eq!(books.totals[&payable].credits_pending, Amount::ZERO);
    let row = books.settlement(&claim.key).unwrap().unwrap();
    assert_eq!(row.reference.as_deref(), Some("0xabc"));
    assert_eq!(row.result, Some(Digest::of(b"42")));
}

#[test]
fn a_repeated_proof_meets_what_its_first_call_left() {
    let mut books = Memory::default();
    let first = claim_of(Rail::X402, Funds::OnSettlement, 1);
    let again = claim_of(Rail::X402, Funds::OnSettlement, 2);
    books.claim(&first);
    let meets = |state| Claimed::InProgress { call: first.call, state, since: UnixMillis::new(1) };
    assert_eq!(books.claim(&again), meets(State::Executing));
    books.advance(&first, [executed()]).unwrap();
    assert_eq!(books.claim(&again), meets(State::Executed));
    books.advance(&first, [Event::Submitted]).unwrap();
    assert_eq!(books.claim(&again), meets(State::Submitted));
    books.advance(&first, [Event::Unknown { evidence: "timeout".into() }]).unwrap();
    assert_eq!(books.claim(&again), meets(State::Unknown));
    books.advance(&first, [settled()]).unwrap();
    assert!(matches!(books.claim(&again), Claimed::Answered { call } if call == first.call));
    assert_eq!(books.rows.len(), 1, "nothing was written by any of them");
}

#[test]
fn a_proof_that_comes_back_with_anything_else_is_refused() {
    let mut books = Memory::default();
    let first = claim_of(Rail::X402, Funds::OnSettlement, 1);
    books.claim(&first);
    let with = |change: fn(&mut Claim)| {
        let mut claim = claim_of(Rail::X402, Funds::OnSettlement, 2);
        change(&mut claim);
        claim
    };
    for (claim, differs) in [
        (with(|claim| claim.binding.tool.tool = "sub".parse().unwrap()), "tool"),
        (with(|claim| claim.binding.tool.server = "other".parse().unwrap()), "tool"),
        (with(|claim| claim.binding.args = Digest::of(b"{ }")), "args"),
        (with(|claim| claim.binding.price_version = 2), "price_version"),
        (with(|claim| claim.caller = Caller::Anonymous.principal()), "caller"),
    ] {
        assert_eq!(books.claim(&claim), Claimed::OtherRequest { differs });
    }
    let control = with(|_| {});
    assert!(matches!(books.claim(&control), Claimed::InProgress { .. }), "control: the same request");
}

#[test]
fn a_voided_proof_may_be_used_again_and_the_old_call_is_fenced_off() {
    let mut books = Memory::default();
    let first = claim_of(Rail::X402, Funds::OnSettlement, 1);
    books.claim(&first);
    books.advance(&first, [voided()]).unwrap();
    let second = claim_of(Rail::X402, Funds::OnSettlement, 2);
    assert_eq!(books.claim(&second), Claimed::Fresh { attempt: 2 });
    let late = books.advance(&first, [executed()]);
    assert_eq!(late, Err(Refusal::OtherCall { current: second.call }));
    assert_eq!(books.advance(&second, [executed()]), Ok(State::Executed), "control");
}

#[test]
fn a_failed_payment_is_worth_nothing() {
    let mut books = Memory::default();
    let first = claim_of(Rail::X402, Funds::OnSettlement, 1);
    books.claim(&first);
    let failed = Event::Failed { reason: "nonce used".into() };
    books.advance(&first, [executed(), Event::Submitted, failed]).unwrap();
    let again = books.claim(&claim_of(Rail::X402, Funds::OnSettlement, 2));
    assert_eq!(again, Claimed::Failed { reason: "nonce used".into() });
}

#[test]
fn a_proof_in_doubt_is_not_charged_and_never_claims_again() {
    let mut books = Memory::default();
    let first = claim_of(Rail::X402, Funds::OnSettlement, 1);
    books.claim(&first);
    books.advance(&first, [Event::FoundInDoubt]).unwrap();
    let again = books.claim(&claim_of(Rail::X402, Funds::OnSettlement, 2));
    assert_eq!(again, Claimed::InDoubt { call: first.call });
}

#[test]
fn lightning_arrives_once_and_stays_with_its_holder_when_the_call_is_voided() {
    let mut books = Memory::default();
    let holder = Caller::Preimage([5; 32]).principal();
    let funds = Funds::Arrived { holder: holder.clone() };
    let credit = AccountName::Credit(holder);
    let first = claim_of(Rail::L402, funds.clone(), 1);
    books.claim(&first);
    assert_eq!(books.available(credit.clone()), Amount::ZERO, "arrived and reserved");
    books.advance(&first, [voided()]).unwrap();
    assert_eq!(books.available(credit.clone()), Amount::new(10));
    assert_eq!(books.claim(&claim_of(Rail::L402, funds.clone(), 2)), Claimed::Fresh { attempt: 2 });
    let arrivals =
        books.transfers.iter().filter(|transfer| transfer.debit == AccountName::Clearing(Clearing::L402));
    assert_eq!(arrivals.count(), 1);

    // What the holder has spent as credit in the meantime is gone.
    books.advance(&claim_of(Rail::L402, funds.clone(), 2), [voided()]).unwrap();
    let mut spent = claim_of(Rail::Credit, Funds::Credit(Caller::Preimage([5; 32]).principal()), 3);
    spent.amount = Amount::new(4);
    assert_eq!(books.claim(&spent), Claimed::Fresh { attempt: 1 });
    let short = books.claim(&claim_of(Rail::L402, funds, 4));
    assert_eq!(short, Claimed::InsufficientFunds { available: Amount::new(6) });
}

#[test]
fn credit_cannot_be_overdrawn() {
    let mut books = Memory::default();
    let unfunded = claim_of(Rail::Credit, Funds::Credit(alice()), 1);
    assert_eq!(books.claim(&unfunded), Claimed::InsufficientFunds { available: Amount::ZERO });
    assert!(books.rows.is_empty() && books.transfers.is_empty(), "nothing was written");
    books.grant(&alice(), 10);
    assert_eq!(books.claim(&unfunded), Claimed::Fresh { attempt: 1 });
    let mut second = claim_of(Rail::Credit, Funds::Credit(alice()), 2);
    second.key = PaymentKey::new(Rail::Credit, "another").unwrap();
    assert_eq!(
        books.claim(&second),
        Claimed::InsufficientFunds { available: Amount::ZERO },
        "reserved is not available"
    );
}

#[test]
fn a_grant_is_booked_once_under_its_id() {
    let mut books = Memory::default();
    books.grant(&alice(), 10);
    let later = Grant { now: UnixMillis::new(99), ..grant_of(&alice(), 10) };
    let again = super::grant(&mut books, &later).unwrap();
    assert_eq!(again, (Granted { booked: false, available: Amount::new(10) }, None));
    let other = super::grant(&mut books, &grant_of(&alice(), 11));
    assert_eq!(other, Err(EngineError::Refused(Refusal::TransferReused(TransferId::from_bytes([9; 16])))));
}

#[test]
fn events_apply_together_or_not_at_all() {
    let mut books = Memory::default();
    let claim = claim_of(Rail::X402, Funds::OnSettlement, 1);
    books.claim(&claim);
    let illegal = IllegalTransition { settle: Settle::After, state: State::Executed, event: "settled" };
    assert_eq!(books.advance(&claim, [executed(), settled()]), Err(Refusal::Illegal(illegal)));
    assert_eq!(books.settlement(&claim.key).unwrap().unwrap().state, State::Executing);
    assert_eq!(
        books.advance(&claim, [executed(), Event::Submitted, settled()]),
        Ok(State::Settled),
        "control"
    );
}

#[test]
fn claims_that_contradict_themselves_are_refused() {
    let mut books = Memory::default();
    let refused = |books: &mut Memory, claim: &Claim| match super::claim(books, claim) {
        Err(EngineError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let no_clearing = claim_of(Rail::Credit, Funds::OnSettlement, 1);
    assert_eq!(refused(&mut books, &no_clearing), Refusal::NoClearing(Rail::Credit));
    let mut nothing = claim_of(Rail::X402, Funds::OnSettlement, 1);
    nothing.amount = Amount::ZERO;
    assert_eq!(refused(&mut books, &nothing), Refusal::Booking(BookingError::Zero));
}

#[test]
fn only_the_ends_that_concern_the_payer_move_a_standing() {
    let judged = |events: Vec<Event>| {
        let mut books = Memory::default();
        let claim = claim_of(Rail::X402, Funds::OnSettlement, 1);
        books.claim(&claim);
        let (key, call) = (claim.key, claim.call);
        let advance = Advance {
            key,
            call,
            events,
            result: None,
            private: None,
            statement: None,
            escrow: None,
            now: UnixMillis::new(2),
        };
        super::advance(&mut books, &advance).unwrap().judged
    };
    assert_eq!(judged(vec![executed(), Event::Submitted, settled()]), Some((alice(), Verdict::Settled)));
    let failed = Event::Failed { reason: String::new() };
    assert_eq!(judged(vec![executed(), Event::Submitted, failed]), Some((alice(), Verdict::Failed)));
    assert_eq!(judged(vec![voided()]), None);
    assert_eq!(judged(vec![executed()]), None);
}

#[test]
fn secrets_are_not_printed() {
    let claim = claim_of(Rail::X402, Funds::OnSettlement, 1);
    let row = new_row(&claim, 1, claim.funds.clone());
    assert!(!format!("{claim:?}").contains("bearer"), "{claim:?}");
    assert!(!format!("{row:?}").contains("bearer"), "{row:?}");
    assert!(format!("{row:?}").contains("executing"), "control: it prints something");
}

#[test]
fn a_free_call_moves_nothing_and_earns_nothing_and_comes_back_when_it_came_to_nothing() {
    let mut books = Memory::default();
    let free = Funds::Free(FreeCall { calls: 1, per: Period::Day });
    let free = |key: &str, call| Claim {
        key: PaymentKey::new(Rail::Credit, key).unwrap(),
        amount: Amount::ZERO,
        ..claim_of(Rail::Credit, free.clone(), call)
    };
    assert_eq!(books.claim(&free("a", 1)), Claimed::Fresh { attempt: 1 });
    assert_eq!(books.claim(&free("b", 2)), Claimed::NoFreeCall, "an open one counts");
    let end = |call, events| Advance {
        key: free("a", call).key,
        call: CallId::from_bytes([call; 16]),
        events,
        result: None,
        private: None,
        statement: None,
        escrow: None,
        now: UnixMillis::new(9),
    };
    let changes = super::advance(&mut books, &end(1, vec![voided()])).unwrap();
    books.audited(changes);
    assert_eq!(
        books.claim(&free("a", 3)),
        Claimed::Fresh { attempt: 2 },
        "control: the tool failed, so it came back"
    );
    let changes = super::advance(&mut books, &end(3, vec![executed(), Event::Submitted, settled()])).unwrap();
    assert_eq!(changes.judged, None, "what cost nothing earns no reputation");
    books.audited(changes);
    assert_eq!(books.claim(&free("b", 4)), Claimed::NoFreeCall);
    let tomorrow = Claim { now: UnixMillis::new(86_400_000), ..free("b", 5) };
    assert_eq!(books.claim(&tomorrow), Claimed::Fresh { attempt: 1 }, "control: another day");
    assert_eq!((books.transfers.len(), books.totals.len()), (0, 0));
    let priced = Claim { amount: Amount::new(1), ..free("c", 6) };
    let refused = super::claim(&mut books, &priced);
    assert_eq!(refused, Err(EngineError::Refused(Refusal::FreeWithPrice)));
}
