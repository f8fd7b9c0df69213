//! Calls whose price follows from the size of their result: what every store must do.

pub(crate) mod promises {
    use tollgate_domain::{Amount, Digest, Rail, Settle};
    use tollgate_ledger::{
        AccountName, Advance, Claim, Event, LedgerStore, Refusal, Spent, State, StoreError,
    };
    use tollgate_store::Store;

    use crate::budgets::{ask, used};
    use crate::world::*;

    fn measured(due: u128) -> Event {
        Event::Measured { result: Digest::of(b"42"), due: Amount::new(due) }
    }

    fn hundred(rail: Rail, proof: &str, settle: Settle) -> Claim {
        let reference = "ledger:1".to_owned();
        Claim { amount: Amount::new(100), budget: ask(500, None), settle, reference, ..claim(rail, proof) }
    }

    async fn has(store: &impl LedgerStore, account: AccountName) -> u128 {
        balances(store, &account).await.available().unwrap().get()
    }

    async fn spent(store: &Store) -> u128 {
        match &store.spent(&alice(), [at(0); 2]).await.unwrap()[..] {
            [Spent { ever, .. }] => ever.get(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn what_a_result_costs_is_charged_and_the_rest_is_released_or_goes_back(store: &Store) {
        store.grant_credit(grant(&alice(), 300)).await.unwrap();
        // From credit, after the tool: the rest never moves.
        let call = hundred(Rail::Credit, "a/1", Settle::After);
        fresh(store, &call).await;
        assert_eq!(
            (available(store, &alice()).await.get(), used(store).await),
            (200, 100),
            "all of it is held"
        );
        step(store, &call, [measured(30), Event::Submitted, settled()]).await.unwrap();
        assert_eq!(
            (available(store, &alice()).await.get(), used(store).await, spent(store).await),
            (270, 30, 30)
        );
        assert_eq!(has(store, payable()).await, 30);
        let row = store.settlement(&call.key).await.unwrap().unwrap();
        assert_eq!((row.amount.get(), row.due().get(), row.state), (100, 30, State::Settled));

        // From credit, before it: the rest is credit again.
        let call = hundred(Rail::Credit, "a/2", Settle::Before);
        fresh(store, &call).await;
        step(store, &call, [measured(45)]).await.unwrap();
        assert_eq!(
            (available(store, &alice()).await.get(), used(store).await, spent(store).await),
            (225, 75, 75)
        );
        assert_eq!(has(store, payable()).await, 75);

        // By a rail, in the steps that a crash may part: what was found out with the result is not forgotten.
        let call = Claim { payer: wallet(), ..hundred(Rail::X402, "0x1", Settle::After) };
        fresh(store, &call).await;
        step(store, &call, [measured(60), Event::Submitted]).await.unwrap();
        assert_eq!((used(store).await, available(store, &wallet()).await), (175, Amount::ZERO));
        step(store, &call, [settled()]).await.unwrap();
        assert_eq!((used(store).await, available(store, &wallet()).await), (135, Amount::new(40)));
        assert_eq!(has(store, payable()).await, 135);

        // And what fails costs nothing, whatever was measured.
        let call = Claim { payer: wallet(), ..hundred(Rail::X402, "0x2", Settle::After) };
        fresh(store, &call).await;
        step(store, &call, [measured(60), Event::Submitted]).await.unwrap();
        step(store, &call, [failed()]).await.unwrap();
        assert_eq!((used(store).await, available(store, &wallet()).await), (135, Amount::new(40)));
    }

    pub(crate) async fn an_operator_gives_back_at_most_what_a_result_was_charged(store: &Store) {
        store.grant_credit(grant(&alice(), 100)).await.unwrap();
        let call = hundred(Rail::Credit, "a/1", Settle::After);
        fresh(store, &call).await;
        step(store, &call, [measured(30), Event::Submitted, settled()]).await.unwrap();
        let back = |amount, before| refund_of(&call, "", amount, before);
        let exceeds = Err(StoreError::Refused(Refusal::RefundExceeds { left: Amount::new(30) }));
        assert_eq!(store.refund(back(31, 70)).await, exceeds);
        assert_eq!(store.refund(back(30, 0)).await, exceeds, "whoever decided did not know what is left");
        assert_eq!(store.refund(back(30, 70)).await.unwrap().total, Amount::new(100));
        assert!(store.refund(back(0, 100)).await.unwrap().again, "asked for again, whatever it was");
        assert_eq!(available(store, &alice()).await, Amount::new(100));
        assert_eq!(has(store, payable()).await, 0);
    }

    pub(crate) async fn an_escrow_holds_what_a_result_costs_and_the_rest_is_credit(store: &Store) {
        use crate::entrusted::promises::{accepted, entrusting, terms};
        store.grant_credit(grant(&alice(), 100)).await.unwrap();
        let call = Claim { amount: Amount::new(100), ..entrusting("a/1") };
        fresh(store, &call).await;
        let delivered = |amount| {
            let terms = tollgate_ledger::escrow::Proposal { amount: Amount::new(amount), ..terms(&call) };
            let escrow = Some(Box::new(tollgate_ledger::escrow::EscrowTerms::new(terms).unwrap()));
            Advance { escrow, ..advance(&call, [measured(30)]) }
        };
        let refused = store.advance(delivered(100)).await;
        assert_eq!(refused, Err(StoreError::Refused(Refusal::WithoutTerms(call.call))), "of what it costs");
        store.advance(delivered(30)).await.unwrap();
        let escrow = AccountName::Escrow(tollgate_ledger::escrow::escrow_of_call(&call.call));
        assert_eq!((has(store, escrow).await, available(store, &alice()).await.get()), (30, 70));
        accepted(store, &call, tollgate_ledger::escrow::Part::Rest).await;
        assert_eq!(has(store, payable()).await, 30);
        // What was released may be given back by hand, and no more.
        let back = |amount| refund_of(&call, "", amount, 70);
        let exceeds = Err(StoreError::Refused(Refusal::RefundExceeds { left: Amount::new(30) }));
        assert_eq!(store.refund(back(31)).await, exceeds);
        store.refund(back(30)).await.unwrap();
        assert_eq!(available(store, &alice()).await.get(), 100);
    }
}
