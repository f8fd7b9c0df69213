//! Calls that are settled by escrow: what every store must do.

pub(crate) mod promises {
    use tollgate_domain::{Amount, Bps, Rail};
    use tollgate_ledger::escrow::{
        EscrowCommand, EscrowEvent, EscrowState, EscrowTerms, Mediator, MoveEscrow, Part, Proposal, Provider,
        Ruling, Timings, Who, escrow_of_call,
    };
    use tollgate_ledger::{
        AccountName, Advance, Claim, Command, Event, Funds, LedgerStore, Outcome, RefundCause, Refusal,
        Spent, State, StoreError,
    };
    use tollgate_store::Store;

    use crate::budgets::{ask, used};
    use crate::world::*;

    pub(crate) fn entrusting(proof: &str) -> Claim {
        let settle = tollgate_domain::Settle::Escrow;
        Claim { settle, reference: "ledger:1".to_owned(), ..claim(Rail::Credit, proof) }
    }

    pub(crate) fn terms(claim: &Claim) -> Proposal {
        Proposal {
            payer: claim.caller.clone(),
            provider: Provider::Server(tool().server),
            mediator: Mediator::Nobody,
            asset: asset(),
            amount: claim.amount,
            milestones: Vec::new(),
            description: None,
            timings: Timings::DEFAULT,
            dispute_stake: Amount::ZERO,
            mediator_stake: Amount::ZERO,
            confidence_min: Bps::ONE,
            splits: claim.splits.clone(),
            call: Some(claim.call),
        }
    }

    fn delivered(claim: &Claim, terms: Option<Proposal>) -> Advance {
        let escrow = terms.map(|terms| Box::new(EscrowTerms::new(terms).unwrap()));
        Advance { escrow, ..advance(claim, [executed()]) }
    }

    async fn moved(
        store: &impl LedgerStore,
        claim: &Claim,
        by: Who,
        event: EscrowEvent,
        now: u64,
    ) -> Result<EscrowState, StoreError> {
        let id = escrow_of_call(&claim.call);
        let step = MoveEscrow::new(id, by, event, at(now));
        match store.commit(Command::Escrow(Box::new(EscrowCommand::Move(step)))).await? {
            Outcome::Escrow(moved) => Ok(moved.row.state),
            other => panic!("{other:?}"),
        }
    }

    /// The payer of a call's escrow accepts a part of it.
    pub(crate) async fn accepted(store: &impl LedgerStore, claim: &Claim, part: Part) {
        let is_all = part == Part::Rest;
        let state =
            moved(store, claim, Who::Principal(alice()), EscrowEvent::Accept(part), 400).await.unwrap();
        assert_eq!(state == EscrowState::Released, is_all, "{state:?}");
    }

    async fn has(store: &impl LedgerStore, account: AccountName) -> u128 {
        balances(store, &account).await.available().unwrap().get()
    }

    fn unearned() -> AccountName {
        "unearned:demo".parse().unwrap()
    }

    pub(crate) async fn a_delivery_puts_the_money_into_an_escrow_and_acceptance_pays_the_server(
        store: &impl LedgerStore,
    ) {
        store.grant_credit(grant(&alice(), 20)).await.unwrap();
        let call = entrusting("a/1");
        fresh(store, &call).await;
        assert_eq!(has(store, unearned()).await, 10, "taken with the claim");
        let escrow = AccountName::Escrow(escrow_of_call(&call.call));

        // Without the terms of this very call, nothing is delivered.
        let other = Proposal { amount: Amount::new(9), ..terms(&call) };
        let stranger = Proposal { payer: wallet(), ..terms(&call) };
        for wrong in [None, Some(other), Some(stranger)] {
            let refused = store.advance(delivered(&call, wrong)).await;
            assert_eq!(refused, Err(StoreError::Refused(Refusal::WithoutTerms(call.call))));
        }
        assert_eq!((has(store, unearned()).await, has(store, escrow.clone()).await), (10, 0));

        let done = store.advance(delivered(&call, Some(terms(&call)))).await.unwrap();
        assert_eq!(done.state, State::Delivered);
        assert_eq!((has(store, unearned()).await, has(store, escrow.clone()).await), (0, 10));
        assert_eq!(has(store, payable()).await, 0, "not earned yet");

        // An operator gives nothing back while it is decided there.
        let back = |amount| refund_of(&call, "", amount, 0);
        let refused = store.refund(back(10)).await;
        let id = escrow_of_call(&call.call);
        assert_eq!(refused, Err(StoreError::Refused(Refusal::InEscrow { call: call.call, escrow: id })));

        // It was created, funded, locked and delivered in one commit; the payer accepts.
        accepted(store, &call, Part::Rest).await;
        assert_eq!((has(store, payable()).await, has(store, escrow).await), (10, 0));
        assert_eq!(store.refund(back(10)).await.unwrap().total, Amount::new(10), "released, and given back");
        assert_eq!(has(store, payable()).await, 0);
    }

    pub(crate) async fn what_a_dispute_gives_back_is_credit_of_the_caller_and_a_silent_payer_loses(
        store: &impl LedgerStore,
    ) {
        store.grant_credit(grant(&alice(), 30)).await.unwrap();
        let dispute = || EscrowEvent::Dispute { stake: Amount::ZERO, reason: "it is empty".parse().unwrap() };
        let alice_asks = || Who::Principal(alice());
        for (proof, ruling, kept) in [("a/1", Ruling::Split(Bps::new(3_333)), 3), ("a/2", Ruling::Refund, 0)]
        {
            let call = entrusting(proof);
            fresh(store, &call).await;
            store.advance(delivered(&call, Some(terms(&call)))).await.unwrap();
            let before = (has(store, payable()).await, available(store, &alice()).await.get());
            moved(store, &call, alice_asks(), dispute(), 300).await.unwrap();
            let evidence = EscrowEvent::Submit { statement: "see there".parse().unwrap(), document: None };
            moved(store, &call, alice_asks(), evidence, 301).await.unwrap();
            let rule = EscrowEvent::Rule { ruling, confidence: Bps::ONE, stake: None, reason: None };
            moved(store, &call, Who::Operator(None), rule, 302).await.unwrap();
            let after = (has(store, payable()).await, available(store, &alice()).await.get());
            assert_eq!(after, (before.0 + kept, before.1 + 10 - kept), "{ruling:?}");
        }
        let silent = entrusting("a/3");
        fresh(store, &silent).await;
        store.advance(delivered(&silent, Some(terms(&silent)))).await.unwrap();
        moved(store, &silent, alice_asks(), dispute(), 300).await.unwrap();
        let late = 300 + Timings::DEFAULT.evidence_ms;
        let ended = moved(store, &silent, Who::Clock, EscrowEvent::Expire, late).await.unwrap();
        assert_eq!(ended, EscrowState::Resolved { ruling: Ruling::Release, by_default: true });
        assert_eq!(has(store, payable()).await, 13, "the signed receipt speaks for the server");
    }

    pub(crate) async fn what_an_escrow_or_an_operator_gives_back_was_not_spent(store: &Store) {
        store.grant_credit(grant(&alice(), 40)).await.unwrap();
        let spent = async || match &store.spent(&alice(), [at(100), at(101)]).await.unwrap()[..] {
            [Spent { since: [today, tomorrow], ever, reserved, .. }] => {
                assert_eq!((today, tomorrow.get()), (ever, 0));
                (ever.get(), reserved.get())
            }
            other => panic!("{other:?}"),
        };
        let calls = ["a/1", "a/2", "a/3"].map(|proof| Claim { budget: ask(40, None), ..entrusting(proof) });
        for call in &calls {
            fresh(store, call).await;
            store.advance(delivered(call, Some(terms(call)))).await.unwrap();
        }
        assert_eq!((spent().await, used(store).await), ((30, 0), 30), "in escrows");
        let rule = |ruling| EscrowEvent::Rule { ruling, confidence: Bps::ONE, stake: None, reason: None };
        for (call, ruling) in calls.iter().zip([Ruling::Split(Bps::new(3_333)), Ruling::Refund]) {
            let dispute = EscrowEvent::Dispute { stake: Amount::ZERO, reason: "empty".parse().unwrap() };
            moved(store, call, Who::Principal(alice()), dispute, 300).await.unwrap();
            let evidence = EscrowEvent::Submit { statement: "see there".parse().unwrap(), document: None };
            moved(store, call, Who::Principal(alice()), evidence, 301).await.unwrap();
            moved(store, call, Who::Operator(None), rule(ruling), 302).await.unwrap();
        }
        let [split, refunded, open] = &calls;
        assert_eq!(
            (spent().await, used(store).await),
            ((13, 0), 13),
            "three of one, none of one, all of one"
        );
        let exceeds = |left| Err(StoreError::Refused(Refusal::RefundExceeds { left: Amount::new(left) }));
        assert_eq!(store.refund(refund_of(split, "", 1, 0)).await, exceeds(3), "the escrow gave back seven");
        assert_eq!(store.refund(refund_of(refunded, "", 1, 10)).await, exceeds(0));
        let given = store.refund(refund_of(split, "", 2, 7)).await.unwrap();
        assert_eq!((given.total, given.again), (Amount::new(9), false));
        let again = store.refund(refund_of(split, "", 2, 7)).await.unwrap();
        assert_eq!((again.total, again.again), (Amount::new(9), true));
        assert_eq!((spent().await, used(store).await), ((11, 0), 11));
        // Of a plain call as well; control: one that is kept.
        let plain = Claim { budget: ask(40, None), ..claim(Rail::Credit, "a/4") };
        fresh(store, &plain).await;
        store.advance(paid(&plain)).await.unwrap();
        accepted(store, open, Part::Rest).await;
        assert_eq!((spent().await, used(store).await), ((21, 0), 21));
        store.refund(refund_of(&plain, "", 4, 0)).await.unwrap();
        assert_eq!((spent().await, used(store).await), ((17, 0), 17));
    }

    pub(crate) async fn a_failed_call_begins_no_escrow_and_is_paid_again_from_what_went_back(
        store: &impl LedgerStore,
    ) {
        // A wallet pays, and whoever called has the money back: the escrow would have been the caller's.
        let call = Claim {
            funds: Funds::OnSettlement,
            payer: wallet(),
            reference: String::new(),
            settle: tollgate_domain::Settle::Escrow,
            ..claim(Rail::X402, "0x1")
        };
        fresh(store, &call).await;
        step(store, &call, [Event::Submitted]).await.unwrap();
        step(store, &call, [settled()]).await.unwrap();
        let events = [Event::RefundDue { cause: RefundCause::ToolFailed }, Event::Refunded];
        assert_eq!(step(store, &call, events).await.unwrap().state, State::Refunded);
        assert_eq!(available(store, &alice()).await, Amount::new(10));
        let again = repeat(&call);
        fresh(store, &again).await;
        assert_eq!(available(store, &alice()).await, Amount::ZERO, "what went back pays");
        store.advance(delivered(&again, Some(terms(&again)))).await.unwrap();
        assert_eq!(has(store, AccountName::Escrow(escrow_of_call(&again.call))).await, 10);
        assert_eq!(has(store, AccountName::Escrow(escrow_of_call(&call.call))).await, 0);
    }

    pub(crate) async fn what_several_share_is_shared_through_an_escrow_and_a_refund(
        store: &impl LedgerStore,
    ) {
        let splits: tollgate_domain::Splits = "reviewers:0.3333,platform:0.05".parse().unwrap();
        let account = |name: &str| -> AccountName { format!("payable:{name}").parse().unwrap() };
        let parts = async || {
            let parts = ["demo", "reviewers", "platform"].map(account);
            let [server, reviewers, platform] = &parts;
            [
                has(store, server.clone()).await,
                has(store, reviewers.clone()).await,
                has(store, platform.clone()).await,
            ]
        };
        store.grant_credit(grant(&alice(), 4_000)).await.unwrap();
        let thousand = |claim: Claim| Claim { amount: Amount::new(1_001), splits: splits.clone(), ..claim };
        // Through an escrow, in two releases: the second gives each what the first one left of its share of both.
        let call = thousand(entrusting("a/1"));
        fresh(store, &call).await;
        let without = Proposal { splits: Default::default(), ..terms(&call) };
        let refused = store.advance(delivered(&call, Some(without))).await;
        assert_eq!(refused, Err(StoreError::Refused(Refusal::WithoutTerms(call.call))));
        store.advance(delivered(&call, Some(terms(&call)))).await.unwrap();
        let part = EscrowEvent::Accept(Part::Amount(Amount::new(4)));
        moved(store, &call, Who::Principal(alice()), part, 300).await.unwrap();
        assert_eq!(parts().await, [3, 1, 0]);
        let rest = EscrowEvent::Accept(Part::Rest);
        moved(store, &call, Who::Principal(alice()), rest, 301).await.unwrap();
        assert_eq!(parts().await, [1_001 - 333 - 50, 333, 50]);

        // After the tool, and back in two pieces.
        let call = thousand(claim(Rail::Credit, "a/2"));
        fresh(store, &call).await;
        store.advance(paid(&call)).await.unwrap();
        assert_eq!(store.settlement(&call.key).await.unwrap().unwrap().splits, splits, "as it was claimed");
        assert_eq!(parts().await, [2 * 618, 666, 100]);
        for (word, before, amount, left) in
            [("one", 0, 4, [2 * 618 - 2, 665, 99]), ("two", 4, 997, [618, 333, 50])]
        {
            let refund = refund_of(&call, word, amount, before);
            store.refund(refund.clone()).await.unwrap();
            assert!(store.refund(refund).await.unwrap().again, "booked once");
            assert_eq!(parts().await, left, "{word}");
        }
        assert_eq!(available(store, &alice()).await, Amount::new(4_000 - 1_001));
    }
}
