//! What every store must do, over the port alone: one function per promise, run against each store.

use tempfile::TempDir;
use tollgate_domain::{Amount, Bps, Digest, PaymentKey, Rail, ReceiptId, ToolRef, TransferId};
use tollgate_ledger::{
    Advance, Booked, Claim, Claimed, Event, Grant, Granted, LedgerStore, PendingSettlements, Record, Refund,
    Refusal, Spent, State, StoreError, Transfer, TransferKind, expiry_id,
};

use crate::world::*;

/// Hands every promise to a macro.
macro_rules! every_promise {
    ($tests:ident) => {
        $tests! {
            a_paid_call_is_answered_again_to_the_same_proof
            a_running_call_is_in_progress_to_the_same_proof
            p3_a_proof_for_anything_else_is_refused_and_writes_nothing
            a_call_id_serves_one_claim
            a_failed_tool_costs_nothing_and_frees_the_proof
            a_failed_payment_stays_failed
            lightning_arrives_once_and_stays_credit_after_a_void
            credit_without_cover_writes_nothing
            a_late_step_of_a_replaced_call_is_refused
            an_illegal_step_changes_nothing
            a_step_of_nobody_is_refused
            open_settlements_are_those_that_have_not_ended
            what_waits_for_a_rail_is_counted_and_what_is_in_doubt_is_gone_through
            receipts_are_found_by_id_and_free_calls_have_them_too
            recent_calls_are_the_newest_paid_or_free
            standing_follows_settlements_and_failures
            a_grant_is_booked_once
            totals_balance_per_asset
            a_later_step_keeps_the_result
            linked_transfers_are_booked_together_and_once
            a_pending_transfer_is_resolved_once_over_commits
            what_expires_is_listed_until_it_is_resolved
            calls_and_spending_are_counted_from_what_did_not_come_to_nothing
            free_calls_are_given_so_often_and_come_back_with_what_came_to_nothing
            a_period_has_its_own_free_calls
            p15_of_five_hundred_spenders_exactly_what_the_budget_has_left_passes
            a_void_gives_back_what_its_claim_took
            what_is_settled_stays_spent_until_its_day_is_over
            a_free_call_takes_nothing_of_a_budget
            a_stop_holds_the_next_claim_and_is_foreseen
            stops_and_their_ends_at_once_leave_what_the_last_one_says
            p21_one_approval_lets_one_of_many_calls_at_once_pass
            an_approval_is_for_exactly_what_was_asked_and_comes_back_with_a_void
            a_caller_has_only_so_many_calls_wait
            counters_and_approvals_that_say_nothing_any_more_are_forgotten
            a_delivery_puts_the_money_into_an_escrow_and_acceptance_pays_the_server
            what_a_dispute_gives_back_is_credit_of_the_caller_and_a_silent_payer_loses
            a_failed_call_begins_no_escrow_and_is_paid_again_from_what_went_back
            what_several_share_is_shared_through_an_escrow_and_a_refund
            what_an_escrow_or_an_operator_gives_back_was_not_spent
            what_a_result_costs_is_charged_and_the_rest_is_released_or_goes_back
            an_operator_gives_back_at_most_what_a_result_was_charged
            an_escrow_holds_what_a_result_costs_and_the_rest_is_credit
        }
    };
}
#[cfg(feature = "postgres")]
pub(crate) use every_promise;

/// Runs each promise against a new file of its own, and has the auditor look at what it leaves.
macro_rules! embedded_store_tests {
    ($($promise:ident)*) => {$(
        #[tokio::test]
        async fn $promise() {
            let directory = TempDir::new().unwrap();
            let store = open(&directory);
            promises::$promise(&store).await;
            in_order(&store).await;
        }
    )*};
}

every_promise!(embedded_store_tests);

pub(crate) mod promises {
    use super::*;
    pub(crate) use crate::budgets::promises::{
        a_caller_has_only_so_many_calls_wait, a_free_call_takes_nothing_of_a_budget,
        a_stop_holds_the_next_claim_and_is_foreseen, a_void_gives_back_what_its_claim_took,
        an_approval_is_for_exactly_what_was_asked_and_comes_back_with_a_void,
        counters_and_approvals_that_say_nothing_any_more_are_forgotten,
        p15_of_five_hundred_spenders_exactly_what_the_budget_has_left_passes,
        p21_one_approval_lets_one_of_many_calls_at_once_pass,
        stops_and_their_ends_at_once_leave_what_the_last_one_says,
        what_is_settled_stays_spent_until_its_day_is_over,
    };

    pub(crate) use crate::entrusted::promises::{
        a_delivery_puts_the_money_into_an_escrow_and_acceptance_pays_the_server,
        a_failed_call_begins_no_escrow_and_is_paid_again_from_what_went_back,
        what_a_dispute_gives_back_is_credit_of_the_caller_and_a_silent_payer_loses,
        what_an_escrow_or_an_operator_gives_back_was_not_spent,
        what_several_share_is_shared_through_an_escrow_and_a_refund,
    };

    pub(crate) use crate::measured::promises::{
        an_escrow_holds_what_a_result_costs_and_the_rest_is_credit,
        an_operator_gives_back_at_most_what_a_result_was_charged,
        what_a_result_costs_is_charged_and_the_rest_is_released_or_goes_back,
    };

    pub(crate) async fn calls_and_spending_are_counted_from_what_did_not_come_to_nothing(
        store: &impl LedgerStore,
    ) {
        store.grant_credit(grant(&alice(), 100)).await.unwrap();
        let (settled, void, open) =
            (claim(Rail::Credit, "a/1"), claim(Rail::Credit, "a/2"), claim(Rail::Credit, "a/3"));
        for claim in [&settled, &void, &open, &free("a/4", 9)] {
            fresh(store, claim).await;
        }
        let calls = async |since| store.calls(&alice(), &tool(), at(since), 100).await.unwrap();
        assert_eq!(calls(0).await, 4);
        store.advance(paid(&settled)).await.unwrap();
        store.advance(advance(&void, [voided()])).await.unwrap();
        assert_eq!(calls(0).await, 3, "what came to nothing is not counted");
        assert_eq!((calls(100).await, calls(101).await), (3, 0), "since the moment of the claim");
        let other = ToolRef { tool: "other".parse().unwrap(), ..tool() };
        assert_eq!(store.calls(&alice(), &other, at(0), 100).await, Ok(0));
        let spent = store.spent(&alice(), [at(100), at(101)]).await.unwrap();
        let [ten, nothing] = [10, 0].map(Amount::new);
        assert_eq!(spent, [Spent { asset: asset(), since: [ten, nothing], ever: ten, reserved: ten }]);
        assert_eq!(store.spent(&wallet(), [at(0); 2]).await, Ok(Vec::new()));
        // What an operator gives back days later was not spent, and what is kept was not spent that day.
        let later = at(3 * 86_400_000);
        store.refund(Refund { now: later, ..refund_of(&settled, "one", 4, 0) }).await.unwrap();
        let spent = store.spent(&alice(), [at(100), later]).await.unwrap();
        let six = Amount::new(6);
        assert_eq!(spent, [Spent { asset: asset(), since: [six, nothing], ever: six, reserved: ten }]);
    }

    pub(crate) async fn free_calls_are_given_so_often_and_come_back_with_what_came_to_nothing(
        store: &impl LedgerStore,
    ) {
        let [one, two, three, four] = ["a/1", "a/2", "a/3", "a/4"].map(|proof| free(proof, 2));
        fresh(store, &one).await;
        fresh(store, &two).await;
        assert_eq!(store.claim(three.clone()).await, Ok(Claimed::NoFreeCall));
        assert_eq!(store.settlement(&three.key).await, Ok(None), "nothing was written");
        store.advance(paid(&one)).await.unwrap();
        assert_eq!(store.claim(repeat(&one)).await, Ok(Claimed::Answered { call: one.call }), "not a third");
        store.advance(advance(&two, [voided()])).await.unwrap();
        fresh(store, &three).await;
        assert_eq!(store.claim(four.clone()).await, Ok(Claimed::NoFreeCall));
        let priced = Claim { amount: Amount::new(1), ..free("a/5", 9) };
        let refused = store.claim(priced).await;
        assert_eq!(refused, Err(StoreError::Refused(Refusal::FreeWithPrice)));
        assert!(store.trial_balance().await.unwrap().is_empty(), "no money moved");
        assert_eq!(store.standing(&alice()).await, Ok(Record::default()), "a good name is not free");
    }

    pub(crate) async fn a_period_has_its_own_free_calls(store: &impl LedgerStore) {
        const DAY: u64 = 86_400_000;
        let on = |proof, day: u64| Claim { now: at(day * DAY + 100), ..free(proof, 1) };
        fresh(store, &on("a/1", 1)).await;
        assert_eq!(store.claim(on("a/2", 1)).await, Ok(Claimed::NoFreeCall));
        fresh(store, &on("a/2", 2)).await;
        let other = ToolRef { tool: "other".parse().unwrap(), ..tool() };
        let mut of_other = on("a/3", 2);
        of_other.binding.tool = other;
        fresh(store, &of_other).await;
    }

    pub(crate) async fn a_paid_call_is_answered_again_to_the_same_proof(store: &impl LedgerStore) {
        let first = claim(Rail::X402, "0x1");
        assert_eq!(store.claim(first.clone()).await, Ok(Claimed::Fresh { attempt: 1 }));
        let advanced = store.advance(paid(&first)).await.unwrap();
        assert_eq!(advanced.state, State::Settled);
        let answer = answered(store, &first).await;
        assert_eq!((answer.call, answer.state), (first.call, State::Settled));
        assert_eq!(answer.result.as_deref(), Some(b"42".as_slice()));
        assert_eq!(answer.private.as_deref(), Some(r#"{"salt":"00"}"#));
        assert_eq!(answer.receipt, advanced.receipt, "the same receipt");
        assert_eq!(store.answer(&first.call).await, Ok(Some(answer)));

        let row = store.settlement(&first.key).await.unwrap().unwrap();
        assert_eq!((row.state, row.reference.as_deref()), (State::Settled, Some("0xabc")));
        assert_eq!((row.claimed, row.updated, row.result), (at(100), at(200), Some(Digest::of(b"42"))));
        assert_eq!(&*row.proof, "bearer secret");
        assert_eq!(store.settlement_by_call(&first.call).await, Ok(Some(row)));
        assert_eq!(balances(store, &payable()).await.credits_posted, Amount::new(10));
    }

    pub(crate) async fn a_running_call_is_in_progress_to_the_same_proof(store: &impl LedgerStore) {
        let first = claim(Rail::X402, "0x1");
        fresh(store, &first).await;
        let unknown = Event::Unknown { evidence: "timeout".to_owned() };
        let steps = [
            (vec![], State::Executing),
            (vec![executed()], State::Executed),
            (vec![Event::Submitted], State::Submitted),
            (vec![unknown], State::Unknown),
            (vec![Event::HandedOver { reason: "ask the operator".to_owned() }], State::Manual),
        ];
        for (events, state) in steps {
            step(store, &first, events).await.unwrap();
            let expected = Claimed::InProgress { call: first.call, state, since: at(100) };
            assert_eq!(store.claim(repeat(&first)).await, Ok(expected));
        }
    }

    pub(crate) async fn p3_a_proof_for_anything_else_is_refused_and_writes_nothing(store: &impl LedgerStore) {
        let mut first = claim(Rail::X402, "0x1");
        first.binding.quote = Some(Digest::of(b"the quote it answers"));
        fresh(store, &first).await;
        store.advance(paid(&first)).await.unwrap();
        let before = store.trial_balance().await.unwrap();
        let changed = |change: fn(&mut Claim)| {
            let mut claim = repeat(&first);
            change(&mut claim);
            claim
        };
        for (claim, differs) in [
            (changed(|claim| claim.binding.tool.tool = "sub".parse().unwrap()), "tool"),
            (changed(|claim| claim.binding.quote = Some(Digest::of(b"a quote of somebody else"))), "quote"),
            (changed(|claim| claim.binding.quote = None), "quote"),
            (changed(|claim| claim.binding.args = Digest::of(b"other")), "args"),
            (changed(|claim| claim.binding.price_version = 2), "price_version"),
            (changed(|claim| claim.caller = wallet()), "caller"),
        ] {
            assert_eq!(store.claim(claim).await, Ok(Claimed::OtherRequest { differs }));
        }
        assert_eq!(store.trial_balance().await.unwrap(), before);
        assert!(
            matches!(store.claim(repeat(&first)).await, Ok(Claimed::Answered { .. })),
            "control: the same request"
        );
    }

    pub(crate) async fn a_failed_tool_costs_nothing_and_frees_the_proof(store: &impl LedgerStore) {
        let first = claim(Rail::X402, "0x1");
        fresh(store, &first).await;
        step(store, &first, [voided()]).await.unwrap();
        assert_eq!(balances(store, &payable()).await, tollgate_ledger::Balances::default());
        let second = repeat(&first);
        assert_eq!(store.claim(second.clone()).await, Ok(Claimed::Fresh { attempt: 2 }));
        store.advance(paid(&second)).await.unwrap();
        assert_eq!(balances(store, &payable()).await.credits_posted, Amount::new(10), "charged once");
        // The first attempt can still be looked at, by its call.
        let row = store.settlement_by_call(&first.call).await.unwrap().unwrap();
        assert_eq!(
            (row.attempt, row.state, row.reason.as_deref()),
            (1, State::Voided, Some("the tool failed"))
        );
    }

    pub(crate) async fn a_failed_payment_stays_failed(store: &impl LedgerStore) {
        let first = claim(Rail::X402, "0x1");
        fresh(store, &first).await;
        step(store, &first, [executed(), Event::Submitted, failed()]).await.unwrap();
        let reason = "nonce used".to_owned();
        assert_eq!(store.claim(repeat(&first)).await, Ok(Claimed::Failed { reason }));
        assert_eq!(balances(store, &payable()).await.credits_posted, Amount::ZERO);
    }

    pub(crate) async fn lightning_arrives_once_and_stays_credit_after_a_void(store: &impl LedgerStore) {
        let first = claim(Rail::L402, "aa");
        fresh(store, &first).await;
        assert_eq!(available(store, &holder()).await, Amount::ZERO, "arrived, and reserved");
        step(store, &first, [voided()]).await.unwrap();
        assert_eq!(available(store, &holder()).await, Amount::new(10), "the value is the holder's");
        let second = repeat(&first);
        fresh(store, &second).await;
        store.advance(paid(&second)).await.unwrap();
        assert_eq!(available(store, &holder()).await, Amount::ZERO);
        let clearing = balances(store, &"clearing:l402".parse().unwrap()).await;
        assert_eq!(clearing.debits_posted, Amount::new(10), "it arrived once");
    }

    pub(crate) async fn credit_without_cover_writes_nothing(store: &impl LedgerStore) {
        let call = claim(Rail::Credit, "alice/1");
        let short = |units| Ok(Claimed::InsufficientFunds { available: Amount::new(units) });
        assert_eq!(store.claim(call.clone()).await, short(0));
        store.grant_credit(grant(&alice(), 9)).await.unwrap();
        assert_eq!(store.claim(call.clone()).await, short(9));
        assert_eq!(store.settlement(&call.key).await, Ok(None));
        store.grant_credit(grant(&alice(), 1)).await.unwrap();
        assert_eq!(store.claim(call).await, Ok(Claimed::Fresh { attempt: 1 }), "control");
    }

    pub(crate) async fn a_late_step_of_a_replaced_call_is_refused(store: &impl LedgerStore) {
        let first = claim(Rail::X402, "0x1");
        fresh(store, &first).await;
        step(store, &first, [voided()]).await.unwrap();
        let second = repeat(&first);
        fresh(store, &second).await;
        let refused = step(store, &first, [executed()]).await;
        assert_eq!(refused, Err(StoreError::Refused(Refusal::OtherCall { current: second.call })));
        assert!(step(store, &second, [executed()]).await.is_ok(), "control");
    }

    pub(crate) async fn an_illegal_step_changes_nothing(store: &impl LedgerStore) {
        let first = claim(Rail::X402, "0x1");
        fresh(store, &first).await;
        let refused = store.advance(Advance { events: vec![executed(), settled()], ..paid(&first) }).await;
        assert!(matches!(refused, Err(StoreError::Refused(Refusal::Illegal(_)))), "{refused:?}");
        let row = store.settlement(&first.key).await.unwrap().unwrap();
        assert_eq!((row.state, row.receipt), (State::Executing, None));
        assert_eq!(store.answer(&first.call).await.unwrap().unwrap().result, None);
        assert!(store.advance(paid(&first)).await.is_ok(), "control");
    }

    pub(crate) async fn a_call_id_serves_one_claim(store: &impl LedgerStore) {
        let first = claim(Rail::X402, "0x1");
        fresh(store, &first).await;
        let before = store.trial_balance().await;
        let reused = Claim { call: first.call, ..claim(Rail::X402, "0x2") };
        let refused = store.claim(reused.clone()).await;
        assert_eq!(refused, Err(StoreError::Refused(Refusal::CallReused(first.call))));
        assert_eq!(store.settlement(&reused.key).await, Ok(None));
        assert_eq!(store.trial_balance().await, before);
        fresh(store, &Claim { call: call_id(), ..reused }).await; // control
    }

    pub(crate) async fn a_step_of_nobody_is_refused(store: &impl LedgerStore) {
        let nobody = claim(Rail::X402, "0x1");
        let refused = step(store, &nobody, [executed()]).await;
        assert_eq!(refused, Err(StoreError::Refused(Refusal::NoSuchSettlement(nobody.key.clone()))));
        assert_eq!(store.settlement(&nobody.key).await, Ok(None));
        assert_eq!(store.settlement_by_call(&nobody.call).await, Ok(None));
        assert_eq!(store.answer(&nobody.call).await, Ok(None));
    }

    pub(crate) async fn open_settlements_are_those_that_have_not_ended(store: &impl LedgerStore) {
        // The order is that of the claims, which here is not that of the calls.
        let (unknown, ended, running) =
            (claim(Rail::X402, "0x1"), claim(Rail::X402, "0x2"), claim(Rail::X402, "0x3"));
        assert!(unknown.call < running.call);
        for claim in [&running, &ended, &unknown] {
            fresh(store, claim).await;
        }
        store.advance(paid(&ended)).await.unwrap();
        let evidence = Event::Unknown { evidence: "timeout".to_owned() };
        step(store, &unknown, [executed(), Event::Submitted, evidence]).await.unwrap();
        let open = async |after, limit| {
            let open = store.open_settlements(after, limit).await.unwrap();
            open.iter().map(|row| (row.call, row.state)).collect::<Vec<_>>()
        };
        let (first, last) = ((running.call, State::Executing), (unknown.call, State::Unknown));
        assert_eq!(open(None, 9).await, [first, last]);
        // In pages, whether or not what was on the page before has ended since.
        assert_eq!(open(None, 1).await, [first]);
        assert_eq!(open(Some(running.call), 9).await, [last]);
        assert_eq!(open(Some(ended.call), 9).await, [last]);
        step(store, &running, [voided()]).await.unwrap();
        assert_eq!(open(Some(running.call), 9).await, [last]);
        assert_eq!(open(Some(unknown.call), 9).await, []);
    }

    pub(crate) async fn what_waits_for_a_rail_is_counted_and_what_is_in_doubt_is_gone_through(
        store: &impl LedgerStore,
    ) {
        assert_eq!(store.pending_settlements().await, Ok(PendingSettlements::default()));
        let claims: Vec<Claim> = (1..=7_u64)
            .map(|number| Claim { now: at(100 * number), ..claim(Rail::X402, &format!("0x{number}")) })
            .collect();
        let [running, executed_only, submitted, ended, unknown @ ..] = claims.as_slice() else { panic!() };
        for claim in &claims {
            fresh(store, claim).await;
        }
        step(store, executed_only, [executed()]).await.unwrap();
        step(store, submitted, [executed(), Event::Submitted]).await.unwrap();
        store.advance(paid(ended)).await.unwrap();
        for claim in unknown {
            let evidence = Event::Unknown { evidence: "timeout".to_owned() };
            step(store, claim, [executed(), Event::Submitted, evidence]).await.unwrap();
        }
        let pending = PendingSettlements { count: 5, oldest: Some(at(200)) };
        assert_eq!(store.pending_settlements().await, Ok(pending), "neither {running:?} nor {ended:?}");

        let after = async |after, limit| {
            let rows = store.unknown_settlements(after, limit).await.unwrap();
            assert!(rows.iter().all(|row| row.state == State::Unknown));
            rows.iter().map(|row| row.call).collect::<Vec<_>>()
        };
        let mut in_doubt: Vec<_> = unknown.iter().map(|claim| claim.call).collect();
        in_doubt.sort();
        assert_eq!(after(None, 9).await, in_doubt);
        assert_eq!(after(None, 2).await, in_doubt[..2]);
        assert_eq!(after(Some(in_doubt[1]), 2).await, in_doubt[2..]);
        assert_eq!(after(Some(in_doubt[2]), 2).await, []);
        step(store, &unknown[0], [settled()]).await.unwrap();
        let left: Vec<_> = in_doubt.into_iter().filter(|call| *call != unknown[0].call).collect();
        assert_eq!(after(None, 9).await, left);
        assert_eq!(store.pending_settlements().await.unwrap().count, 4);
    }

    pub(crate) async fn receipts_are_found_by_id_and_free_calls_have_them_too(store: &impl LedgerStore) {
        let free = call_id();
        let envelope = store.record(free, statement(free)).await.unwrap();
        let receipt = tollgate_attest::verify(&envelope, &keys()).unwrap();
        let id = receipt.place().receipt_id;
        assert_eq!(store.receipt(&id).await, Ok(Some(envelope)));
        assert_eq!(store.receipt(&ReceiptId::from_bytes([0xff; 16])).await, Ok(None));
        assert_eq!(store.settlement_by_call(&free).await, Ok(None), "a free call has no settlement");

        let paid_call = claim(Rail::X402, "0x1");
        fresh(store, &paid_call).await;
        let sealed = store.advance(paid(&paid_call)).await.unwrap().receipt.unwrap();
        let next = tollgate_attest::verify(&sealed, &keys()).unwrap();
        assert_eq!(next.place().seq, receipt.place().seq + 1);
        assert_eq!(next.place().prev, *receipt.hash());

        let unreadable = store.record(call_id(), "no JSON".to_owned()).await;
        assert!(matches!(unreadable, Err(StoreError::Refused(Refusal::Seal(_)))), "{unreadable:?}");
        let twice = statement(free);
        store.record(free, twice.clone()).await.unwrap();
        let taken = store.record(free, twice).await;
        assert!(matches!(taken, Err(StoreError::Refused(Refusal::Seal(_)))), "{taken:?}");
    }

    pub(crate) async fn recent_calls_are_the_newest_paid_or_free(store: &impl LedgerStore) {
        let mut calls = Vec::new();
        for number in 0..3 {
            let paid_call = claim(Rail::X402, &format!("0x{number}"));
            fresh(store, &paid_call).await;
            let free = call_id();
            store.record(free, statement(free)).await.unwrap();
            calls.extend([(paid_call.call, true), (free, false)]);
        }
        calls.reverse();
        for limit in [0, 1, 4, 100] {
            let recent = store.recent_calls(u32::try_from(limit).unwrap()).await.unwrap();
            let recent: Vec<_> = recent.iter().map(|recent| (recent.call, recent.paid.is_some())).collect();
            assert_eq!(recent, calls[..limit.min(calls.len())]);
        }
        let newest = store.recent_calls(2).await.unwrap();
        assert!(newest[0].receipt.is_some() && newest[1].receipt.is_none());
        assert_eq!(newest[1].paid.as_ref().unwrap().state, State::Executing);
    }

    pub(crate) async fn standing_follows_settlements_and_failures(store: &impl LedgerStore) {
        let beginner = Record { reputation: Bps::new(5_000), settled: 0, failed: 0 };
        assert_eq!(store.standing(&alice()).await, Ok(beginner));
        let good = claim(Rail::X402, "0x1");
        fresh(store, &good).await;
        store.advance(paid(&good)).await.unwrap();
        let lifted = Record { reputation: Bps::new(5_500), settled: 1, failed: 0 };
        assert_eq!(store.standing(&alice()).await, Ok(lifted));
        let bad = claim(Rail::X402, "0x2");
        fresh(store, &bad).await;
        step(store, &bad, [executed(), Event::Submitted, failed()]).await.unwrap();
        let lowered = Record { reputation: Bps::new(4_950), settled: 1, failed: 1 };
        assert_eq!(store.standing(&alice()).await, Ok(lowered));
        let void = claim(Rail::X402, "0x3");
        fresh(store, &void).await;
        step(store, &void, [voided()]).await.unwrap();
        assert_eq!(store.standing(&alice()).await, Ok(lowered), "a failed tool is not the caller's fault");

        let passing = Claim { caller: holder(), ..claim(Rail::L402, "aa") };
        fresh(store, &passing).await;
        store.advance(paid(&passing)).await.unwrap();
        assert_eq!(store.standing(&holder()).await, Ok(beginner), "kept only for those who can come back");
    }

    pub(crate) async fn a_grant_is_booked_once(store: &impl LedgerStore) {
        let gift = grant(&alice(), 10);
        let granted = |booked| Ok(Granted { booked, available: Amount::new(10) });
        assert_eq!(store.grant_credit(gift.clone()).await, granted(true));
        assert_eq!(store.grant_credit(gift.clone()).await, granted(false));
        let mut other = gift.clone();
        other.amount = Amount::new(11);
        assert_eq!(
            store.grant_credit(other).await,
            Err(StoreError::Refused(Refusal::TransferReused(gift.id)))
        );
        assert_eq!(available(store, &alice()).await, Amount::new(10));
    }

    pub(crate) async fn totals_balance_per_asset(store: &impl LedgerStore) {
        store.grant_credit(grant(&alice(), 100)).await.unwrap();
        for (number, rail) in [Rail::X402, Rail::L402, Rail::Credit].into_iter().enumerate() {
            let call = claim(rail, &format!("{number}"));
            fresh(store, &call).await;
            if number != 1 {
                store.advance(paid(&call)).await.unwrap();
            }
        }
        let accounts = store.trial_balance().await.unwrap();
        let sum = |part: fn(&tollgate_ledger::Balances) -> Amount| {
            accounts.iter().map(|account| part(&account.balances).get()).sum::<u128>()
        };
        assert_eq!((sum(|b| b.debits_posted), sum(|b| b.credits_posted)), (130, 130));
        assert_eq!((sum(|b| b.debits_pending), sum(|b| b.credits_pending)), (10, 10));
        assert!(accounts.is_sorted_by_key(|account| (account.asset.clone(), account.account.to_string())));
    }

    pub(crate) async fn a_later_step_keeps_the_result(store: &impl LedgerStore) {
        let call = claim(Rail::X402, "0x1");
        fresh(store, &call).await;
        let private = Some("first".to_owned());
        let kept = Advance { result: Some(b"42".to_vec()), private, ..advance(&call, [executed()]) };
        store.advance(kept).await.unwrap();
        let later = Some("second".to_owned());
        store
            .advance(Advance { private: later.clone(), ..advance(&call, [Event::Submitted]) })
            .await
            .unwrap();
        let sealed = step(store, &call, [settled()]).await.unwrap().receipt;
        let answer = store.answer(&call.call).await.unwrap().unwrap();
        assert_eq!((answer.result, answer.private, answer.receipt), (Some(b"42".to_vec()), later, sealed));
        let another = PaymentKey::new(Rail::X402, "0x2").unwrap();
        assert_eq!(store.settlement(&another).await, Ok(None));
    }

    /// From Alice to the operator of the server.
    fn transfer(number: u8, units: u128) -> Transfer {
        Transfer {
            id: TransferId::from_bytes([number; 16]),
            kind: TransferKind::Posted,
            debit: credit(&alice()),
            credit: payable(),
            asset: asset(),
            amount: Amount::new(units),
            call: None,
            note: "test".to_owned(),
            at: at(5),
            expires: None,
        }
    }

    pub(crate) async fn linked_transfers_are_booked_together_and_once(store: &impl LedgerStore) {
        store.grant_credit(grant(&alice(), 10)).await.unwrap();
        let chain = || vec![transfer(1, 7), transfer(2, 3)];
        let too_much = store.book(vec![transfer(1, 7), transfer(2, 4)]).await;
        assert!(matches!(too_much, Err(StoreError::Refused(Refusal::Booking(_)))), "{too_much:?}");
        assert_eq!(available(store, &alice()).await, Amount::new(10));
        assert_eq!(store.book(chain()).await, Ok(Booked { again: false }));
        assert_eq!(store.book(chain()).await, Ok(Booked { again: true }));
        assert_eq!(available(store, &alice()).await, Amount::ZERO);
        let other = store.book(vec![transfer(1, 6)]).await;
        assert_eq!(other, Err(StoreError::Refused(Refusal::TransferReused(transfer(1, 6).id))));
        let granted = store.grant_credit(Grant { id: transfer(1, 7).id, ..grant(&alice(), 1) }).await;
        assert_eq!(granted, Err(StoreError::Refused(Refusal::TransferReused(transfer(1, 7).id))));
    }

    pub(crate) async fn a_pending_transfer_is_resolved_once_over_commits(store: &impl LedgerStore) {
        store.grant_credit(grant(&alice(), 10)).await.unwrap();
        let pending = Transfer { kind: TransferKind::Pending, ..transfer(1, 8) };
        store.book(vec![pending.clone()]).await.unwrap();
        assert_eq!(available(store, &alice()).await, Amount::new(2));
        let part = Transfer { kind: TransferKind::PostPending(pending.id), ..transfer(2, 5) };
        assert_eq!(store.book(vec![part.clone()]).await, Ok(Booked { again: false }));
        assert_eq!(store.book(vec![part]).await, Ok(Booked { again: true }));
        assert_eq!(available(store, &alice()).await, Amount::new(5));
        let void = Transfer { kind: TransferKind::VoidPending(pending.id), ..transfer(3, 8) };
        let refused = Refusal::AlreadyResolved { pending: pending.id, by: "post_pending" };
        assert_eq!(store.book(vec![void]).await, Err(StoreError::Refused(refused)));
    }

    pub(crate) async fn what_expires_is_listed_until_it_is_resolved(store: &impl LedgerStore) {
        store.grant_credit(grant(&alice(), 10)).await.unwrap();
        let pending = |number, expires: Option<u64>| Transfer {
            kind: TransferKind::Pending,
            expires: expires.map(at),
            ..transfer(number, 1)
        };
        let chain = vec![pending(1, Some(30)), pending(2, Some(20)), pending(3, Some(40)), pending(4, None)];
        store.book(chain).await.unwrap();
        let expired = async |since, now, limit| {
            let found = store.expired(at(since), at(now), limit).await.unwrap();
            found.iter().map(|transfer| transfer.id.as_bytes()[0]).collect::<Vec<_>>()
        };
        assert!(expired(0, 19, 9).await.is_empty());
        assert_eq!(expired(0, 30, 9).await, [2, 1]);
        assert_eq!(expired(0, 30, 1).await, [2]);
        assert_eq!(expired(20, 40, 9).await, [1, 3]);
        let of = transfer(2, 1).id;
        let void = Transfer {
            id: expiry_id(&of),
            kind: TransferKind::VoidPending(of),
            at: at(30),
            ..transfer(9, 1)
        };
        store.book(vec![void]).await.unwrap();
        assert_eq!(expired(0, 40, 9).await, [1, 3]);
    }
}
