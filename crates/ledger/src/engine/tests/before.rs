//! `settle: before`: what is taken before the tool runs is earned, or goes back to whoever paid.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn before(rail: Rail, funds: Funds, call: u8) -> Claim {
    Claim { settle: Settle::Before, ..claim_of(rail, funds, call) }
}

fn server(account: fn(tollgate_domain::ServerName) -> AccountName) -> AccountName {
    account("demo".parse().unwrap())
}

/// What an account has earned and may spend: posted credits less debits.
fn has(books: &Memory, account: AccountName) -> u128 {
    let balances = books.totals.get(&(account, asset())).copied().unwrap_or_default();
    balances.available().unwrap().get()
}

fn refund(cause: RefundCause) -> [Event; 2] {
    [Event::RefundDue { cause }, Event::Refunded]
}

#[test]
fn money_that_a_rail_moves_is_taken_before_and_earned_with_the_answer() {
    let mut books = Memory::default();
    let claim = before(Rail::X402, Funds::OnSettlement, 1);
    assert_eq!(books.claim(&claim), Claimed::Fresh { attempt: 1 });
    assert_eq!(books.settlement(&claim.key).unwrap().unwrap().state, State::Claimed);
    assert_eq!(books.advance(&claim, [Event::Submitted]), Ok(State::Submitted));
    assert_eq!(books.advance(&claim, [settled()]), Ok(State::Executing));
    assert_eq!(has(&books, server(AccountName::Unearned)), 10, "taken, and not earned yet");
    assert_eq!(has(&books, server(AccountName::Payable)), 0);
    assert_eq!(books.advance(&claim, [executed()]), Ok(State::Delivered));
    assert_eq!(has(&books, server(AccountName::Unearned)), 0);
    assert_eq!(has(&books, server(AccountName::Payable)), 10);
    let again = books.claim(&before(Rail::X402, Funds::OnSettlement, 2));
    assert_eq!(again, Claimed::Answered { call: claim.call });
}

#[test]
fn money_that_is_here_moves_with_the_claim() {
    let mut books = Memory::default();
    let holder = Caller::Preimage([5; 32]).principal();
    books.grant(&alice(), 10);
    for (call, rail, funds) in
        [(1, Rail::Credit, Funds::Credit(alice())), (2, Rail::L402, Funds::Arrived { holder })]
    {
        let claim = before(rail, funds, call);
        assert_eq!(books.claim(&claim), Claimed::Fresh { attempt: 1 });
        let row = books.settlement(&claim.key).unwrap().unwrap();
        assert_eq!((row.state, row.reference.as_deref()), (State::Executing, Some("ledger:1")), "{rail}");
        assert_eq!(has(&books, server(AccountName::Unearned)), 10, "{rail}");
        assert_eq!(books.advance(&claim, [executed()]), Ok(State::Delivered), "{rail}");
    }
    let unfunded = Claim {
        key: PaymentKey::new(Rail::Credit, "more").unwrap(),
        ..before(Rail::Credit, Funds::Credit(alice()), 3)
    };
    assert_eq!(books.claim(&unfunded), Claimed::InsufficientFunds { available: Amount::ZERO });
}

/// Its tool came to be paid after it has run.
#[test]
fn what_went_back_pays_also_behind_an_attempt_that_was_voided_and_its_rail_is_asked_no_more() {
    let mut books = Memory::default();
    let first = before(Rail::X402, Funds::OnSettlement, 1);
    books.claim(&first);
    books.advance(&first, [settled()]).unwrap();
    books.advance(&first, refund(RefundCause::ToolFailed)).unwrap();
    for call in 2..=4 {
        let again = claim_of(Rail::X402, Funds::OnSettlement, call);
        assert_eq!(books.claim(&again), Claimed::Fresh { attempt: u32::from(call) });
        let row = books.settlement(&again.key).unwrap().unwrap();
        assert_eq!(row.funds, Funds::Credit(bob()), "attempt {call}: its signature has moved the money");
        assert_eq!(has(&books, AccountName::Credit(bob())), 0);
        books.advance(&again, [voided()]).unwrap();
        assert_eq!(has(&books, AccountName::Credit(bob())), 10);
    }

    // Control: what was paid with a wallet's credit in place of its signature, which is not kept then, may be paid with the signature.
    let mut books = Memory::default();
    books.grant(&bob(), 10);
    let credit = Claim { proof: "".into(), ..claim_of(Rail::X402, Funds::Credit(bob()), 1) };
    books.claim(&credit);
    books.advance(&credit, [voided()]).unwrap();
    let signed = claim_of(Rail::X402, Funds::OnSettlement, 2);
    assert_eq!(books.claim(&signed), Claimed::Fresh { attempt: 2 });
    assert_eq!(books.settlement(&signed.key).unwrap().unwrap().funds, Funds::OnSettlement);
}

#[test]
fn what_a_failed_tool_was_paid_goes_back_and_pays_for_the_same_request_once_more() {
    let mut books = Memory::default();
    let first = before(Rail::X402, Funds::OnSettlement, 1);
    books.claim(&first);
    books.advance(&first, [settled()]).unwrap();
    assert_eq!(books.advance(&first, refund(RefundCause::ToolFailed)), Ok(State::Refunded));
    assert_eq!(has(&books, AccountName::Credit(bob())), 10, "with whoever paid, not with whoever called");
    assert_eq!(has(&books, server(AccountName::Unearned)), 0);
    let second = before(Rail::X402, Funds::OnSettlement, 2);
    assert_eq!(books.claim(&second), Claimed::Fresh { attempt: 2 });
    let row = books.settlement(&second.key).unwrap().unwrap();
    assert_eq!(
        (row.state, row.funds.clone()),
        (State::Executing, Funds::Credit(bob())),
        "its rail is not asked again"
    );
    assert_eq!(has(&books, AccountName::Credit(bob())), 0);
    assert_eq!(books.advance(&second, [executed()]), Ok(State::Delivered));
    assert_eq!(has(&books, server(AccountName::Payable)), 10, "paid once");
    let other = Claim { caller: Caller::Anonymous.principal(), ..before(Rail::X402, Funds::OnSettlement, 3) };
    assert_eq!(books.claim(&other), Claimed::OtherRequest { differs: "caller" });
}

#[test]
fn p3_what_went_back_is_spent_with_the_quote_of_the_first_time_only() {
    let quoted = |quote: Option<&[u8]>, call| {
        let mut claim = before(Rail::X402, Funds::OnSettlement, call);
        claim.binding.quote = quote.map(Digest::of);
        claim
    };
    let mut books = Memory::default();
    let first = quoted(Some(b"mine"), 1);
    books.claim(&first);
    books.advance(&first, [settled()]).unwrap();
    books.advance(&first, refund(RefundCause::ToolFailed)).unwrap();
    for (call, other) in [(2, Some(b"thief".as_slice())), (3, None)] {
        assert_eq!(books.claim(&quoted(other, call)), Claimed::OtherRequest { differs: "quote" });
        assert_eq!(has(&books, AccountName::Credit(bob())), 10);
    }
    assert_eq!(books.claim(&quoted(Some(b"mine"), 4)), Claimed::Fresh { attempt: 2 }, "control");
}

#[test]
fn what_went_back_and_was_spent_elsewhere_does_not_pay_again() {
    let mut books = Memory::default();
    let first = before(Rail::X402, Funds::OnSettlement, 1);
    books.claim(&first);
    books.advance(&first, [settled()]).unwrap();
    books.advance(&first, refund(RefundCause::NotAsked)).unwrap();
    let key = PaymentKey::new(Rail::Credit, "elsewhere").unwrap();
    let spent = Claim { key, ..claim_of(Rail::Credit, Funds::Credit(bob()), 2) };
    assert_eq!(books.claim(&spent), Claimed::Fresh { attempt: 1 });
    let again = books.claim(&before(Rail::X402, Funds::OnSettlement, 3));
    assert_eq!(again, Claimed::InsufficientFunds { available: Amount::ZERO });
}

#[test]
fn in_doubt_the_money_goes_back_and_the_tool_never_runs_again() {
    let mut books = Memory::default();
    let first = before(Rail::X402, Funds::OnSettlement, 1);
    books.claim(&first);
    books.advance(&first, [settled()]).unwrap();
    assert_eq!(books.advance(&first, [Event::FoundInDoubt, Event::Refunded]), Ok(State::Refunded));
    assert_eq!(has(&books, AccountName::Credit(bob())), 10);
    let again = books.claim(&before(Rail::X402, Funds::OnSettlement, 2));
    assert_eq!(again, Claimed::InDoubt { call: first.call });
}

#[test]
fn a_payment_that_fails_before_the_tool_says_nothing_about_the_caller() {
    let judged = |events: &[Event]| verdict(Settle::Before, events);
    assert_eq!(judged(&[settled()]), None, "paid is not delivered");
    assert_eq!(judged(&[Event::Failed { reason: String::new() }]), None);
    assert_eq!(judged(&refund(RefundCause::ToolFailed)), None);
    assert_eq!(judged(&[executed()]), Some(Verdict::Settled), "control");
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(executed()),
        Just(Event::Submitted),
        Just(settled()),
        Just(Event::RefundDue { cause: RefundCause::ToolFailed }),
        Just(Event::RefundDue { cause: RefundCause::NotAsked }),
        Just(Event::Refunded),
        Just(voided()),
        Just(Event::Failed { reason: "no".into() }),
        Just(Event::Unknown { evidence: "timeout".into() }),
        Just(Event::FoundInDoubt),
        Just(Event::HandedOver { reason: "look".into() }),
    ]
}

proptest! {
    /// Any claims and events over three payments, in both modes: after each step the audit finds nothing, and all that came
    /// in is owed to the server, back with a payer, or due.
    #[test]
    fn what_was_taken_is_earned_back_or_due(
        steps in prop::collection::vec((0_u8..3, any::<bool>(), any::<bool>(), any_event()), 1..60),
    ) {
        let mut books = Memory::default();
        let mut latest: BTreeMap<u8, Claim> = BTreeMap::new();
        for (call, (payment, claims, is_before, event)) in (1_u8..).zip(steps) {
            if claims {
                let (rail, funds) = match payment {
                    0 => (Rail::L402, Funds::Arrived { holder: bob() }),
                    _ => (Rail::X402, Funds::OnSettlement),
                };
                let settle = if is_before { Settle::Before } else { Settle::After };
                let key = PaymentKey::new(rail, format!("proof {payment}").replace(' ', "-")).unwrap();
                let claim = Claim { key, settle, ..claim_of(rail, funds, call) };
                if matches!(books.claim(&claim), Claimed::Fresh { .. }) {
                    latest.insert(payment, claim);
                }
            } else if let Some(claim) = latest.get(&payment) {
                // A step that is illegal by now is refused and changes nothing.
                drop(books.advance(claim, [event]));
            }
            let (mut came, mut held) = (0, 0);
            for ((account, _), balances) in &books.totals {
                let (debits, credits) = (balances.debits_posted.get(), balances.credits_posted.get());
                match account {
                    AccountName::Clearing(_) => came += debits - credits,
                    AccountName::Credit(_)
                    | AccountName::Payable(_)
                    | AccountName::Unearned(_)
                    | AccountName::Escrow(_)
                    | AccountName::Stake(_) => held += credits - debits,
                }
            }
            prop_assert_eq!(came, held);
            let due: u128 = books
                .rows
                .iter()
                .filter(|row| row.settle == Settle::Before && matches!(row.state, State::Executing | State::RefundDue))
                .map(|row| row.amount.get())
                .sum();
            prop_assert_eq!(has(&books, server(AccountName::Unearned)), due);
        }
    }
}

#[test]
fn an_operator_gives_back_at_most_what_was_kept_and_once_under_each_id() {
    // What is in an escrow is given back there: `escrow::entrusted::tests`.
    for settle in [Settle::After, Settle::Before] {
        let mut books = Memory::default();
        let claim = Claim { settle, ..claim_of(Rail::X402, Funds::OnSettlement, 1) };
        books.claim(&claim);
        let early = give_back(&mut books, &refund_of(&claim, 40, 10, 0));
        assert!(matches!(early, Err(Refusal::NothingKept { .. })), "{settle}: {early:?}");
        let paid = match settle {
            Settle::After => vec![executed(), Event::Submitted, settled()],
            Settle::Before | Settle::Escrow => vec![Event::Submitted, settled(), executed()],
        };
        books.advance(&claim, paid).unwrap();
        let part = refund_of(&claim, 41, 4, 0);
        assert_eq!(give_back(&mut books, &part), Ok(Amount::new(4)), "{settle}");
        let later = Refund { now: UnixMillis::new(99), ..part.clone() };
        assert_eq!(give_back(&mut books, &later), Ok(Amount::new(4)), "{settle}: asked again, booked once");
        let whatever_it_was = Refund { amount: Amount::ZERO, ..part.clone() };
        assert_eq!(
            give_back(&mut books, &whatever_it_was),
            Ok(Amount::new(4)),
            "{settle}: without its amount"
        );
        let row = books.settlement(&claim.key).unwrap().unwrap();
        assert_eq!((row.charged(), row.updated), (true, part.now), "{settle}: for the rest");
        let other = Refund { reason: "another".into(), ..part.clone() };
        assert_eq!(give_back(&mut books, &other), Err(Refusal::TransferReused(part.id)), "{settle}");
        let left = Amount::new(6);
        for refused in [refund_of(&claim, 42, 7, 4), refund_of(&claim, 42, 6, 0)] {
            let answer = give_back(&mut books, &refused);
            assert_eq!(
                answer,
                Err(Refusal::RefundExceeds { left }),
                "{settle}: too much, or decided too early"
            );
        }
        assert_eq!(give_back(&mut books, &refund_of(&claim, 42, 6, 4)), Ok(Amount::new(10)), "{settle}");
        assert_eq!(has(&books, AccountName::Credit(bob())), 10, "{settle}");
        assert_eq!(has(&books, server(AccountName::Payable)), 0, "{settle}");
        let row = books.settlement(&claim.key).unwrap().unwrap();
        assert!(row.state.is_terminal() && !row.charged(), "{settle}: the state stays, the charge is gone");
        assert!(!row.may_be_repeated(), "{settle}: a result that was given is not paid for once more");
    }
}

#[test]
fn a_row_says_why_its_money_went_back_and_only_where_it_was_taken_before() {
    let mut books = Memory::default();
    let taken = before(Rail::X402, Funds::OnSettlement, 1);
    books.claim(&taken);
    books.advance(&taken, [settled()]).unwrap();
    assert_eq!(books.advance(&taken, [Event::FoundInDoubt, Event::Refunded]), Ok(State::Refunded));
    let row = books.settlement(&taken.key).unwrap().unwrap();
    assert_eq!((row.refund, row.may_be_repeated()), (Some(RefundCause::InDoubt), false));
    assert_eq!(books.transfers.last().unwrap().note, "refunded: in doubt after a crash");
    assert!(!row.charged());

    let key = PaymentKey::new(Rail::X402, "another").unwrap();
    let reserved = Claim { key, ..claim_of(Rail::X402, Funds::OnSettlement, 2) };
    books.claim(&reserved);
    books.advance(&reserved, [Event::FoundInDoubt]).unwrap();
    let row = books.settlement(&reserved.key).unwrap().unwrap();
    assert_eq!((row.state, row.refund), (State::InDoubt, None), "nothing was taken, nothing went back");
}
