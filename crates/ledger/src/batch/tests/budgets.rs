//! Budgets as the commands of one batch, and of batches one after the other, leave them.

use tollgate_domain::ApprovalId;

use super::*;
use crate::budget::{
    Approval, ApprovalEvent, Ask, Barrier, Change, Changed, Counted, Node, NodeKey, Span, WAITING_MAX,
    Warning,
};

fn ask(limit: u128, warn: Option<u128>, approve_above: Option<u128>) -> Ask {
    let counted = Counted { span: Span::Day, limit: Some(Amount::new(limit)), warn: warn.map(Amount::new) };
    let node = Node {
        key: NodeKey::new("acme", None),
        per_call: None,
        approve_above: approve_above.map(Amount::new),
        counted: vec![counted],
    };
    Ask { nodes: vec![node], ..Ask::default() }
}

fn budget_of(limit: u128, approve_above: u128) -> Ask {
    ask(limit, None, Some(approve_above))
}

/// A claim of money that comes in with it, by a payment of its own for each number: nothing but the budget bounds it.
fn spend(number: u8, units: u128, ask: &Ask) -> Command {
    let Command::Claim(claim) = claim(number, number, units) else { panic!() };
    let key = PaymentKey::new(Rail::X402, format!("k{number}")).unwrap();
    Command::Claim(Claim { key, funds: Funds::OnSettlement, budget: ask.clone(), ..claim })
}

fn void(number: u8) -> Command {
    Command::Advance(Advance {
        key: PaymentKey::new(Rail::X402, format!("k{number}")).unwrap(),
        call: CallId::from_bytes([number; 16]),
        events: vec![Event::Voided { reason: "the tool failed".into() }],
        result: None,
        private: None,
        statement: None,
        escrow: None,
        now: UnixMillis::new(2),
    })
}

fn is_fresh(outcome: &Result<Outcome, Refusal>) -> bool {
    matches!(outcome, Ok(Outcome::Claimed(Claimed::Fresh { .. } | Claimed::Warned { .. })))
}

fn used(books: &Memory) -> u128 {
    books.usages.values().map(|usage| usage.used.get()).sum()
}

#[test]
fn p15_in_one_commit_exactly_as_many_are_claimed_as_fit() {
    let (mut books, ask) = (Memory::default(), ask(7, None, None));
    let commands: Vec<Command> = (0..40).map(|number| spend(number, 1, &ask)).collect();
    let outcomes = books.commit(&commands);
    assert_eq!(outcomes.iter().filter(|outcome| is_fresh(outcome)).count(), 7);
    assert_eq!((used(&books), books.rows.len(), books.usages.len()), (7, 7, 1), "one row for all of them");
    assert_eq!(books.findings(), []);
}

#[test]
fn a_void_gives_back_in_its_own_commit_and_no_second_time() {
    let (mut books, ask) = (Memory::default(), ask(10, None, None));
    let outcomes = books.commit(&[spend(1, 10, &ask), void(1), spend(2, 10, &ask), spend(3, 1, &ask)]);
    let fresh: Vec<bool> = outcomes.iter().map(is_fresh).collect();
    assert_eq!(fresh, [true, false, true, false]);
    assert!(books.commit(&[void(1)])[0].is_err(), "a void is once");
    assert_eq!(used(&books), 10);
    assert_eq!(books.findings(), []);
    let mut lost = books.clone();
    lost.usages.values_mut().for_each(|usage| usage.used = Amount::new(9));
    let [crate::audit::Finding::BudgetDiffers(counter)] = &lost.findings()[..] else {
        panic!("a unit is lost")
    };
    assert_eq!(counter.node.as_str(), "acme");
    books.commit(&[void(2)]);
    assert_eq!(used(&books), 0);
}

#[test]
fn what_is_settled_stays_spent_and_its_repetition_is_answered_over_budget() {
    let (mut books, ask) = (Memory::default(), ask(10, None, None));
    let paid = |events| match advance(1, 1, events, None) {
        Command::Advance(advance) => {
            Command::Advance(Advance { key: PaymentKey::new(Rail::X402, "k1").unwrap(), ..advance })
        }
        other => other,
    };
    let executed = Event::Executed { result: Digest::of(b"42") };
    let settled = Event::Settled { reference: "0xabc".into() };
    books.commit(&[spend(1, 10, &ask), paid(vec![executed, Event::Submitted, settled])]);
    assert_eq!(used(&books), 10);
    let Command::Claim(again) = spend(1, 10, &ask) else { panic!() };
    let again = Claim { call: CallId::from_bytes([9; 16]), ..again };
    let [Ok(Outcome::Claimed(Claimed::Answered { .. }))] = books.commit(&[Command::Claim(again)])[..] else {
        panic!("the stored answer")
    };
}

#[test]
fn what_a_result_left_of_its_price_may_be_spent_again() {
    let (mut books, ask) = (Memory::default(), ask(10, None, None));
    let Command::Advance(end) = void(1) else { panic!() };
    let executed = Event::Measured { result: Digest::of(b"42"), due: Amount::new(4) };
    let then = |events| Command::Advance(Advance { events, ..end.clone() });
    books.commit(&[spend(1, 10, &ask), then(vec![executed, Event::Submitted])]);
    assert_eq!(used(&books), 10, "all of it until the money has moved");
    books.commit(&[then(vec![Event::Settled { reference: "0xabc".into() }])]);
    assert_eq!(used(&books), 4);
    let outcomes = books.commit(&[spend(2, 7, &ask), spend(3, 6, &ask)]);
    assert_eq!(outcomes.iter().map(is_fresh).collect::<Vec<_>>(), [false, true]);
    assert_eq!(books.findings(), []);
    let mut more = books.clone();
    more.usages.values_mut().for_each(|usage| usage.used = Amount::new(16));
    assert!(matches!(more.findings()[..], [crate::audit::Finding::BudgetDiffers(_)]), "not released");
}

/// An operator gives back so much of a call, of which so much is back already.
fn refund(number: u8, word: u8, amount: u128, before: u128) -> Command {
    Command::Refund(Refund {
        key: PaymentKey::new(Rail::X402, format!("k{number}")).unwrap(),
        call: CallId::from_bytes([number; 16]),
        id: TransferId::from_bytes([word; 16]),
        amount: Amount::new(amount),
        before: Amount::new(before),
        reason: "empty".into(),
        statement: None,
        private: None,
        now: UnixMillis::new(3),
    })
}

fn then(number: u8, events: Vec<Event>) -> Command {
    let Command::Advance(end) = void(number) else { panic!() };
    Command::Advance(Advance { events, ..end })
}

#[test]
fn what_an_operator_gives_back_may_be_spent_again_in_the_window_from_which_it_was_taken() {
    let (mut books, ask) = (Memory::default(), ask(10, None, None));
    let executed = Event::Measured { result: Digest::of(b"42"), due: Amount::new(9) };
    let settled = Event::Settled { reference: "0xabc".into() };
    books.commit(&[spend(1, 10, &ask), then(1, vec![executed, Event::Submitted, settled])]);
    assert_eq!(used(&books), 9);
    let given = books.commit(&[refund(1, 77, 4, 1), refund(1, 77, 4, 1), refund(1, 78, 6, 5)]);
    assert!(given[0].is_ok() && given[1].is_ok() && given[2].is_err(), "{given:?}");
    assert_eq!((used(&books), books.findings()), (5, vec![]), "once, and no more than was kept");
    let outcomes = books.commit(&[spend(2, 6, &ask), spend(3, 5, &ask)]);
    assert_eq!(outcomes.iter().map(is_fresh).collect::<Vec<_>>(), [false, true]);
    let mut kept = books.clone();
    kept.usages.values_mut().for_each(|usage| usage.used = Amount::new(14));
    assert!(matches!(kept.findings()[..], [crate::audit::Finding::BudgetDiffers(_)]), "not released");

    // Days later it makes no room in another day.
    let Command::Claim(claim) = spend(4, 10, &ask) else { panic!() };
    let day = UnixMillis::new(86_400_000);
    assert!(is_fresh(&books.commit(&[Command::Claim(Claim { now: day, ..claim })])[0]));
    assert!(books.commit(&[refund(1, 79, 5, 5)])[0].is_ok());
    assert_eq!((used(&books), books.findings()), (10, vec![]));
}

#[test]
fn what_the_escrow_of_a_call_gives_back_may_be_spent_again_and_what_it_released_stays_spent() {
    use crate::escrow::{
        EscrowEvent, EscrowTerms, Mediator, Proposal, Provider, Ruling, Timings, Who, escrow_of_call,
    };
    let ask = ask(10, None, Some(9));
    let mut books = Memory::default();
    let Command::Claim(claim) = spend(1, 10, &ask) else { panic!() };
    let claim = Claim { settle: tollgate_domain::Settle::Escrow, ..claim };
    let terms = EscrowTerms::new(Proposal {
        payer: alice(),
        provider: Provider::Server("demo".parse().unwrap()),
        mediator: Mediator::Nobody,
        asset: asset(),
        amount: Amount::new(8),
        milestones: Vec::new(),
        description: None,
        timings: Timings::DEFAULT,
        dispute_stake: Amount::ZERO,
        mediator_stake: Amount::ZERO,
        confidence_min: tollgate_domain::Bps::ONE,
        splits: Default::default(),
        call: Some(claim.call),
    });
    let measured = Event::Measured { result: Digest::of(b"42"), due: Amount::new(8) };
    let Command::Advance(delivered) = then(1, vec![measured]) else { panic!() };
    let delivered = Command::Advance(Advance { escrow: Some(Box::new(terms.unwrap())), ..delivered });
    let taken = vec![Event::Submitted, Event::Settled { reference: "0xabc".into() }];
    let asked = books.commit(&[asked(1, 10, 1), approve(1)]);
    assert!(asked.iter().all(Result::is_ok), "{asked:?}");
    books.commit(&[Command::Claim(claim.clone()), then(1, taken), delivered]);
    assert_eq!((used(&books), books.findings()), (8, vec![]), "what is in the escrow is spent");
    let step = |by, event| {
        let step = MoveEscrow::new(escrow_of_call(&claim.call), by, event, UnixMillis::new(3));
        Command::Escrow(Box::new(EscrowCommand::Move(step)))
    };
    let dispute = EscrowEvent::Dispute { stake: Amount::ZERO, reason: "empty".parse().unwrap() };
    let evidence = EscrowEvent::Submit { statement: "see there".parse().unwrap(), document: None };
    let ruling = Ruling::Split(tollgate_domain::Bps::new(2_500));
    let rule = EscrowEvent::Rule { ruling, confidence: tollgate_domain::Bps::ONE, stake: None, reason: None };
    let payer = || Who::Principal(alice());
    let outcomes = books.commit(&[
        step(payer(), dispute),
        step(payer(), evidence),
        spend(2, 3, &ask),
        step(Who::Operator(None), rule),
        spend(3, 8, &ask),
        refund(1, 77, 1, 8),
    ]);
    assert!(outcomes[3].is_ok() && outcomes[5].is_ok(), "{outcomes:?}");
    assert!(!is_fresh(&outcomes[2]) && is_fresh(&outcomes[4]), "{outcomes:?}");
    assert_eq!((used(&books), books.findings()), (1 + 8, vec![]));
    let approval = &books.approvals[&ApprovalId::from_bytes([1; 16])];
    assert_eq!(approval.state, budget::ApprovalState::Used, "it let one call pass");
    let mut kept = books.clone();
    kept.usages.values_mut().for_each(|usage| usage.used = Amount::new(10 + 8));
    assert!(matches!(kept.findings()[..], [crate::audit::Finding::BudgetDiffers(_)]), "not released");
}

#[test]
fn a_stop_holds_from_the_next_command_on() {
    let (mut books, ask) = (Memory::default(), ask(10, None, None));
    let target = Target::Node("acme".into());
    let stop = Stop { reason: "runaway".into(), by: "eve".into(), at: UnixMillis::new(1) };
    let stop = Command::Budget(Change::Stop { target: target.clone(), stop });
    let resume = Command::Budget(Change::Resume(target.clone()));
    let outcomes =
        books.commit(&[spend(1, 1, &ask), stop.clone(), stop, spend(2, 1, &ask), resume, spend(3, 1, &ask)]);
    let stopped = |changed| Ok(Outcome::Budget(Changed::Stopped(changed)));
    assert!(is_fresh(&outcomes[0]) && is_fresh(&outcomes[5]), "{outcomes:?}");
    assert_eq!((&outcomes[1], &outcomes[2]), (&stopped(true), &stopped(false)));
    assert_eq!(outcomes[3], Ok(Outcome::Claimed(Claimed::Barred(Barrier::Stopped(target)))));
    assert!(books.stops.is_empty());
}

fn wanted(number: u8, units: u128) -> budget::Wanted {
    let Command::Claim(claim) = spend(number, units, &Ask::default()) else { panic!() };
    budget::Wanted {
        caller: claim.caller,
        tool: claim.binding.tool,
        args: claim.binding.args,
        asset: claim.asset,
        amount: claim.amount,
    }
}

fn asked(id: u8, units: u128, now: u64) -> Command {
    let (now, expires) = (UnixMillis::new(now), UnixMillis::new(now + 100));
    let approval = Approval::asked(ApprovalId::from_bytes([id; 16]), wanted(1, units), now, expires);
    Command::Budget(Change::Ask(approval))
}

fn approve(id: u8) -> Command {
    let event = ApprovalEvent::Approve { by: "eve".into(), expires: UnixMillis::new(1_000) };
    let (id, now) = (ApprovalId::from_bytes([id; 16]), UnixMillis::new(2));
    Command::Budget(Change::Decide { id, event, now })
}

#[test]
fn p21_an_approval_is_asked_for_once_and_used_once() {
    let (mut books, ask) = (Memory::default(), ask(1_000, None, Some(100)));
    let needs = |outcome: &Result<Outcome, Refusal>| {
        matches!(outcome, Ok(Outcome::Claimed(Claimed::Barred(Barrier::NeedsApproval { .. }))))
    };
    let outcomes =
        books.commit(&[spend(1, 150, &ask), asked(1, 150, 1), asked(2, 150, 1), spend(1, 150, &ask)]);
    assert!(needs(&outcomes[0]) && needs(&outcomes[3]), "{outcomes:?}");
    assert_eq!(outcomes[1], outcomes[2], "the one that waits is named again");
    assert_eq!(books.approvals.len(), 1);
    let outcomes = books.commit(&[approve(1), spend(1, 150, &ask), spend(2, 150, &ask)]);
    assert!(is_fresh(&outcomes[1]) && needs(&outcomes[2]), "{outcomes:?}");
    assert!(needs(&books.commit(&[spend(3, 150, &ask)])[0]), "nor in a later commit");
    books.commit(&[void(1)]);
    assert!(is_fresh(&books.commit(&[spend(4, 150, &ask)])[0]), "nothing was spent with it");
    let unknown = books.commit(&[approve(9)]);
    assert_eq!(unknown, [Ok(Outcome::Budget(Changed::Decided(None)))]);
    assert!(matches!(books.commit(&[approve(1)])[0], Err(Refusal::Approval(_))), "it is used");
}

#[test]
fn p21_one_that_comes_back_does_not_hide_a_newer_decision_in_the_same_commit() {
    let spending = ask(1_000, None, Some(100));
    let reject = || {
        let event = ApprovalEvent::Reject { by: "eve".into() };
        Command::Budget(Change::Decide {
            id: ApprovalId::from_bytes([2; 16]),
            event,
            now: UnixMillis::new(2),
        })
    };
    let mut books = Memory::default();
    let first = [asked(1, 150, 1), approve(1), spend(1, 150, &spending), asked(2, 150, 2)];
    assert!(is_fresh(&books.commit(&first)[2]));
    let mut undecided = books.clone();
    books.commit(&[reject()]);
    let mut apart = books.clone();
    apart.commit(&[void(1)]);
    let alone = apart.commit(&[spend(2, 150, &spending)]);
    assert!(matches!(alone[0], Ok(Outcome::Claimed(Claimed::Barred(Barrier::NeedsApproval { .. })))));
    assert_eq!(books.commit(&[void(1), spend(2, 150, &spending)])[1], alone[0], "rejected is rejected");
    let decided = undecided.commit(&[void(1), approve(2), spend(2, 150, &spending)]);
    assert!(is_fresh(&decided[2]), "control: {decided:?}");
}

#[test]
fn p20_one_caller_does_not_fill_the_queue_of_approvals() {
    let mut books = Memory::default();
    let count = |outcomes: Vec<Result<Outcome, Refusal>>| {
        let asked = |outcome: &&Result<Outcome, Refusal>| {
            matches!(outcome, Ok(Outcome::Budget(Changed::Asked(Some(_)))))
        };
        outcomes.iter().filter(asked).count()
    };
    let commands: Vec<Command> = (0..40).map(|number| asked(number, 1_000 + u128::from(number), 1)).collect();
    assert_eq!(count(books.commit(&commands[..10])), 10);
    assert_eq!(count(books.commit(&commands[10..])), usize::try_from(WAITING_MAX).unwrap() - 10);
    assert_eq!(count(books.commit(&[asked(50, 5_000, 100)])), 0, "control: they still wait");
    assert_eq!(count(books.commit(&[asked(50, 5_000, 101)])), 1, "once they have expired there is room");
}

#[test]
fn p20_those_that_a_commit_decides_or_uses_wait_no_more_in_it() {
    let is_asked =
        |outcome: &Result<Outcome, Refusal>| matches!(outcome, Ok(Outcome::Budget(Changed::Asked(Some(_)))));
    let ask = |id: u8| asked(id, 1_000 + u128::from(id), 1);
    let reject = |id: u8| {
        let event = ApprovalEvent::Reject { by: "eve".into() };
        let (id, now) = (ApprovalId::from_bytes([id; 16]), UnixMillis::new(2));
        Command::Budget(Change::Decide { id, event, now })
    };
    let most = u8::try_from(WAITING_MAX).unwrap();
    let full: Vec<Command> = (0..most).map(ask).collect();
    // Those that the books have waiting, and those of the same commit.
    let decisions = || [reject(0), approve(1), ask(100), ask(101), ask(102)];
    let mut books = Memory::default();
    books.commit(&full);
    let outcomes = books.commit(&decisions());
    assert_eq!(outcomes.iter().map(is_asked).collect::<Vec<_>>(), [false, false, true, true, false]);
    let mut books = Memory::default();
    let outcomes = books.commit(&[full.clone(), decisions().to_vec()].concat());
    let last: Vec<bool> = outcomes.iter().skip(usize::from(most)).map(is_asked).collect();
    assert_eq!(last, [false, false, true, true, false]);

    // One that is used, or comes back, waited for nobody.
    let spending = budget_of(100_000, 100);
    let mut books = Memory::default();
    books.commit(&full);
    books.commit(&[approve(0)]);
    let outcomes = books.commit(&[spend(1, 1_000, &spending), ask(100), ask(101)]);
    assert!(is_fresh(&outcomes[0]), "{outcomes:?}");
    assert_eq!(outcomes.iter().map(is_asked).collect::<Vec<_>>(), [false, true, false]);
    let outcomes = books.commit(&[void(1), reject(1), ask(101), ask(102)]);
    assert_eq!(outcomes.iter().map(is_asked).collect::<Vec<_>>(), [false, false, true, false]);
}

#[test]
fn soft_limits_are_told_with_the_claim_that_passes_them() {
    let (mut books, ask) = (Memory::default(), ask(100, Some(5), None));
    let outcomes = books.commit(&[spend(1, 4, &ask), spend(2, 4, &ask), spend(3, 4, &ask)]);
    let warned: Vec<Vec<Warning>> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(Outcome::Claimed(Claimed::Warned { warnings, .. })) => warnings,
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(warned.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!((warned[1][0].warn, warned[1][0].used), (Amount::new(5), Amount::new(8)));
}

#[test]
fn what_was_taken_before_and_went_back_is_given_back_and_what_was_earned_stays_spent() {
    let (mut books, ask) = (Memory::default(), ask(10, None, None));
    let before = |number| {
        let Command::Claim(claim) = spend(number, 10, &ask) else { panic!() };
        Command::Claim(Claim { settle: tollgate_domain::Settle::Before, ..claim })
    };
    let moved = |number, events: Vec<Event>| match void(number) {
        Command::Advance(advance) => Command::Advance(Advance { events, ..advance }),
        other => other,
    };
    let taken = || vec![Event::Submitted, Event::Settled { reference: "0xabc".into() }];
    let cause = crate::RefundCause::ToolFailed;
    let refunded = vec![Event::RefundDue { cause }, Event::Refunded];
    let outcomes = books.commit(&[before(1), moved(1, taken()), before(2), moved(1, refunded)]);
    let fresh: Vec<bool> = outcomes.iter().map(is_fresh).collect();
    assert_eq!(fresh, [true, false, false, false], "nothing is free while it is taken: {outcomes:?}");
    assert_eq!((used(&books), books.findings()), (0, vec![]));
    let earned = vec![Event::Executed { result: Digest::of(b"42") }];
    let outcomes = books.commit(&[before(3), moved(3, taken()), moved(3, earned), before(4)]);
    assert!(is_fresh(&outcomes[0]) && outcomes[2].is_ok() && !is_fresh(&outcomes[3]), "{outcomes:?}");
    assert_eq!((used(&books), books.findings()), (10, vec![]));
}

#[test]
fn stops_have_a_bound_and_what_is_stopped_already_fits() {
    use crate::budget::Stops;
    let stop = Stop { reason: "too dear".to_owned(), by: "eve".to_owned(), at: UnixMillis::new(1) };
    let node = |number: usize| Target::Node(format!("acme/{number}").into());
    let mut books = Memory::default();
    let halt = |target: &Target| Command::Budget(Change::Stop { target: target.clone(), stop: stop.clone() });
    let all: Vec<Command> = (0..Stops::MAX).map(|number| halt(&node(number))).collect();
    assert!(books.commit(&all).iter().all(Result::is_ok));
    let words = books.commit(&[halt(&Target::Everything), halt(&node(0))]);
    assert!(matches!(words[0], Err(Refusal::TooManyStops)), "{:?}", words[0]);
    assert!(words[1].is_ok(), "control: it is stopped already");
}
