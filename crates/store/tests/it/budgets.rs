//! Budgets: what every store must do, and over two openings of the file and a restart.

use tempfile::TempDir;
use tokio::task::JoinSet;
use tollgate_domain::{Amount, ApprovalId, Rail, UnixMillis};
use tollgate_ledger::budget::{
    Approval, ApprovalEvent, ApprovalState, Ask, Barrier, Change, Changed, Counted, Counter, Node, NodeKey,
    Span, Stop, Target, Wanted,
};
use tollgate_ledger::{Claim, Claimed, LedgerStore};
use tollgate_store::{Options, Store};

use crate::world::*;

pub(crate) fn ask(limit: u128, approve_above: Option<u128>) -> Ask {
    let counted = Counted { span: Span::Day, limit: Some(Amount::new(limit)), warn: None };
    let node = |path: &str, counted| Node {
        key: NodeKey::new(path, None),
        per_call: None,
        approve_above: approve_above.map(Amount::new),
        counted,
    };
    Ask { nodes: vec![node("acme", vec![counted]), node("acme/research", Vec::new())], ..Ask::default() }
}

pub(crate) fn spend(number: u32, units: u128, ask: &Ask) -> Claim {
    Claim { amount: Amount::new(units), budget: ask.clone(), ..claim(Rail::X402, &format!("0x{number}")) }
}

pub(crate) async fn used(store: &Store) -> u128 {
    let counter = Counter { node: NodeKey::new("acme", None), asset: asset(), span: Span::Day };
    store.usages(vec![counter]).await.unwrap()[0].map_or(0, |usage| usage.used.get())
}

/// How many of these were claimed, all at once; the others were refused by a budget.
pub(crate) async fn claimed(store: &Store, claims: Vec<Claim>) -> usize {
    let mut tasks = JoinSet::new();
    for claim in claims {
        let store = store.clone();
        tasks.spawn(async move { store.claim(claim).await });
    }
    let is_fresh = |answer: &Result<Claimed, _>| match answer {
        Ok(Claimed::Fresh { .. }) => true,
        Ok(Claimed::Barred(Barrier::Exceeded(_) | Barrier::NeedsApproval { .. })) => false,
        other => panic!("{other:?}"),
    };
    tasks.join_all().await.iter().filter(|answer| is_fresh(answer)).count()
}

pub(crate) fn wanted(claim: &Claim) -> Wanted {
    Wanted {
        caller: claim.caller.clone(),
        tool: claim.binding.tool.clone(),
        args: claim.binding.args,
        asset: claim.asset.clone(),
        amount: claim.amount,
    }
}

/// Has a call that waits approved.
pub(crate) async fn approve(store: &Store, id: ApprovalId) {
    let event = ApprovalEvent::Approve { by: "eve".to_owned(), expires: at(10_000) };
    store.change_budget(Change::Decide { id, event, now: at(100) }).await.unwrap();
}

/// Has a call wait for an operator.
pub(crate) async fn ask_for(store: &Store, number: u8, call: &Claim) -> Option<Approval> {
    let asked = Approval::asked(ApprovalId::from_bytes([number; 16]), wanted(call), at(100), at(10_000));
    match store.change_budget(Change::Ask(asked)).await.unwrap() {
        Changed::Asked(approval) => approval,
        other => panic!("{other:?}"),
    }
}

pub(crate) mod promises {
    use super::*;

    pub(crate) async fn p15_of_five_hundred_spenders_exactly_what_the_budget_has_left_passes(store: &Store) {
        let ask = ask(137, None);
        let all = (0..500).map(|number| spend(number, 1, &ask)).collect();
        assert_eq!(claimed(store, all).await, 137);
        assert_eq!(used(store).await, 137);
        let foreseen = store.foresee(vec![(ask.clone(), wanted(&spend(500, 1, &ask)))], at(100)).await;
        assert!(matches!(foreseen.unwrap()[..], [Some(Barrier::Exceeded(_))]));
        // Control: where one more may be spent, one more passes.
        let more = super::ask(138, None);
        assert_eq!(
            store.foresee(vec![(more.clone(), wanted(&spend(500, 1, &more)))], at(100)).await,
            Ok(vec![None])
        );
        assert_eq!(claimed(store, vec![spend(500, 1, &more)]).await, 1);
    }

    pub(crate) async fn a_void_gives_back_what_its_claim_took(store: &Store) {
        let ask = ask(10, None);
        let first = spend(1, 10, &ask);
        fresh(store, &first).await;
        assert_eq!(claimed(store, vec![spend(2, 1, &ask)]).await, 0);
        let row = store.settlement(&first.key).await.unwrap().unwrap();
        assert_eq!(row.reserved.taken.len(), 1, "one counter was taken from");
        store.advance(advance(&first, [voided()])).await.unwrap();
        assert_eq!(used(store).await, 0);
        assert_eq!(claimed(store, vec![spend(2, 10, &ask), spend(3, 1, &ask)]).await, 1);
    }

    pub(crate) async fn what_is_settled_stays_spent_until_its_day_is_over(store: &Store) {
        let ask = ask(10, None);
        let first = spend(1, 10, &ask);
        fresh(store, &first).await;
        store.advance(paid(&first)).await.unwrap();
        assert_eq!(claimed(store, vec![spend(2, 1, &ask)]).await, 0);
        let tomorrow = Claim { now: at(86_400_000), expires: at(90_000_000), ..spend(3, 10, &ask) };
        assert_eq!(claimed(store, vec![tomorrow]).await, 1);
        assert_eq!(used(store).await, 10);
    }

    pub(crate) async fn a_free_call_takes_nothing_of_a_budget(store: &Store) {
        let ask = ask(0, None);
        let first = Claim { budget: ask.clone(), ..free("a/1", 2) };
        fresh(store, &first).await;
        assert_eq!(claimed(store, vec![spend(1, 1, &ask)]).await, 0, "control: what costs something does");
        let row = store.settlement(&first.key).await.unwrap().unwrap();
        assert!(row.reserved.taken.is_empty() && used(store).await == 0);
    }

    pub(crate) async fn a_stop_holds_the_next_claim_and_is_foreseen(store: &Store) {
        let ask = ask(10, None);
        let target = Target::Node("acme/research".into());
        assert_eq!(claimed(store, vec![spend(1, 1, &ask)]).await, 1, "control");
        let stop = Stop { reason: "runaway".to_owned(), by: "eve".to_owned(), at: at(200) };
        for changes in [true, false] {
            let change = Change::Stop { target: target.clone(), stop: stop.clone() };
            assert_eq!(store.change_budget(change).await, Ok(Changed::Stopped(changes)));
        }
        let held = store.claim(spend(2, 1, &ask)).await;
        assert_eq!(held, Ok(Claimed::Barred(Barrier::Stopped(target.clone()))));
        let foreseen = store.foresee(vec![(ask.clone(), wanted(&spend(2, 1, &ask)))], at(200)).await;
        assert_eq!(foreseen, Ok(vec![Some(Barrier::Stopped(target.clone()))]));
        assert_eq!(store.stops().await.unwrap().0, [(target.clone(), stop)].into());
        for changes in [true, false] {
            let change = Change::Resume(target.clone());
            assert_eq!(store.change_budget(change).await, Ok(Changed::Stopped(changes)));
        }
        assert_eq!(claimed(store, vec![spend(2, 1, &ask)]).await, 1);
        assert!(store.stops().await.unwrap().0.is_empty());
    }

    /// Many at once, so that some stand in one commit.
    pub(crate) async fn stops_and_their_ends_at_once_leave_what_the_last_one_says(store: &Store) {
        let target = || Target::Node("acme/research".into());
        let stop = |number: u32| {
            let stop = Stop { reason: number.to_string(), by: "eve".to_owned(), at: at(200) };
            Change::Stop { target: target(), stop }
        };
        for ends in [true, false] {
            let many = (0..12_u32).flat_map(|number| [stop(number), Change::Resume(target())]);
            let last = (!ends).then(|| stop(99));
            let all = many.chain(last).map(|change| store.change_budget(change));
            for answered in futures_util::future::join_all(all).await {
                assert_eq!(answered, Ok(Changed::Stopped(true)));
            }
            let reasons: Vec<String> =
                store.stops().await.unwrap().0.into_values().map(|stop| stop.reason).collect();
            assert_eq!(reasons, if ends { vec![] } else { vec!["99".to_owned()] });
        }
        // Ended and begun anew: the latest stop is the one that is told.
        let anew = [Change::Resume(target()), stop(100), Change::Resume(target()), stop(101)];
        let anew = anew.map(|change| store.change_budget(change));
        for answered in futures_util::future::join_all(anew).await {
            assert_eq!(answered, Ok(Changed::Stopped(true)));
        }
        assert_eq!(store.stops().await.unwrap().0[&target()].reason, "101");
    }

    pub(crate) async fn p21_one_approval_lets_one_of_many_calls_at_once_pass(store: &Store) {
        let ask = ask(10_000, Some(100));
        let call = spend(1, 150, &ask);
        let asked = ask_for(store, 1, &call).await.unwrap();
        assert_eq!(ask_for(store, 2, &call).await, Some(asked.clone()), "it waits once");
        approve(store, asked.id).await;
        assert_eq!(store.foresee(vec![(ask.clone(), wanted(&call))], at(100)).await, Ok(vec![None]));
        let copies = (0..50).map(|number| spend(number, 150, &ask)).collect();
        assert_eq!(claimed(store, copies).await, 1);
        let kept = store.approval(&asked.id).await.unwrap().unwrap();
        assert_eq!((kept.state, kept.by.as_deref()), (ApprovalState::Used, Some("eve")));
        assert_eq!(store.approvals(10).await, Ok(vec![kept]));
    }

    pub(crate) async fn an_approval_is_for_exactly_what_was_asked_and_comes_back_with_a_void(store: &Store) {
        let ask = ask(10_000, Some(100));
        let call = spend(1, 150, &ask);
        let id = ask_for(store, 1, &call).await.unwrap().id;
        assert_eq!(claimed(store, vec![call.clone()]).await, 0, "nobody has decided");
        approve(store, id).await;
        let mut other = spend(2, 150, &ask);
        other.binding.args = tollgate_domain::Digest::of(b"other");
        let dearer = spend(3, 151, &ask);
        let stranger = Claim { caller: wallet(), ..spend(4, 150, &ask) };
        assert_eq!(claimed(store, vec![other, dearer, stranger]).await, 0);
        fresh(store, &call).await;
        assert_eq!(claimed(store, vec![spend(5, 150, &ask)]).await, 0, "it is used");
        store.advance(advance(&call, [voided()])).await.unwrap();
        assert_eq!(claimed(store, vec![spend(5, 150, &ask)]).await, 1, "it came back");
        let reject = ApprovalEvent::Reject { by: "eve".to_owned() };
        let late = store.change_budget(Change::Decide { id, event: reject, now: at(100) }).await;
        assert!(matches!(late, Err(tollgate_ledger::StoreError::Refused(_))), "{late:?}");
    }

    pub(crate) async fn a_caller_has_only_so_many_calls_wait(store: &Store) {
        let ask = ask(10_000, Some(100));
        for number in 0..32 {
            let call = spend(u32::from(number), 200 + u128::from(number), &ask);
            assert!(ask_for(store, number, &call).await.is_some());
        }
        assert_eq!(ask_for(store, 32, &spend(32, 999, &ask)).await, None);
        let other = Claim { caller: wallet(), ..spend(33, 999, &ask) };
        assert!(ask_for(store, 33, &other).await.is_some(), "control: another caller's call waits");
        assert_eq!(store.approvals(100).await.unwrap().len(), 33);
        assert_eq!(store.approvals(5).await.unwrap().len(), 5);
        // One that is decided waits no more, for what comes behind it in the same commit neither.
        let wave = (0..16_u8).map(async |number| {
            let event = ApprovalEvent::Reject { by: "eve".to_owned() };
            let reject = Change::Decide { id: ApprovalId::from_bytes([number; 16]), event, now: at(101) };
            let call = spend(u32::from(number), 500 + u128::from(number), &ask);
            let (rejected, asked) = tokio::join!(
                biased;
                store.change_budget(reject),
                ask_for(store, 100 + number, &call)
            );
            rejected.is_ok() && asked.is_some()
        });
        let passed = futures_util::future::join_all(wave).await;
        assert_eq!(passed, [true; 16]);
        assert_eq!(ask_for(store, 200, &spend(34, 998, &ask)).await, None, "control: there is no more room");
    }

    pub(crate) async fn counters_and_approvals_that_say_nothing_any_more_are_forgotten(store: &Store) {
        let ask = ask(10, None);
        fresh(store, &spend(1, 10, &ask)).await;
        ask_for(store, 1, &spend(1, 1, &ask)).await.unwrap();
        let day = 86_400_000;
        store.prune(UnixMillis::new(31 * day)).await.unwrap();
        assert_eq!((used(store).await, store.approvals(9).await.unwrap().len()), (10, 1), "control");
        store.prune(UnixMillis::new(33 * day)).await.unwrap();
        assert_eq!((used(store).await, store.approvals(9).await.unwrap().len()), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p15_of_five_hundred_spenders_at_once_exactly_as_many_pass_as_the_budget_has_left() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let beside = Store::open_shared(directory.path(), Options::default()).unwrap();
    let ask = ask(137, None);
    let half = |from: u32| (from..from + 250).map(|number| spend(number, 1, &ask)).collect();
    let (here, there) = tokio::join!(claimed(&store, half(0)), claimed(&beside, half(250)));
    assert_eq!(here + there, 137, "over two openings of the file");
    assert_eq!(used(&store).await, 137);
    in_order(&store).await;
}

#[tokio::test]
async fn a_void_gives_back_what_its_claim_took_also_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let ask = ask(10, None);
    let first = spend(1, 10, &ask);
    {
        let store = open(&directory);
        fresh(&store, &first).await;
        assert_eq!(claimed(&store, vec![spend(2, 1, &ask)]).await, 0);
    }
    let store = open(&directory);
    let row = store.settlement(&first.key).await.unwrap().unwrap();
    assert_eq!(row.reserved.taken.len(), 1, "one counter was taken from");
    store.advance(advance(&first, [voided()])).await.unwrap();
    assert_eq!(used(&store).await, 0);
    assert_eq!(claimed(&store, vec![spend(2, 10, &ask), spend(3, 1, &ask)]).await, 1);
    in_order(&store).await;
}

#[tokio::test]
async fn a_stop_by_another_process_holds_at_once_and_survives_a_restart() {
    let directory = TempDir::new().unwrap();
    let ask = ask(10, None);
    let target = Target::Node("acme/research".into());
    {
        let store = open(&directory);
        assert_eq!(claimed(&store, vec![spend(1, 1, &ask)]).await, 1, "control");
        let beside = Store::open_shared(directory.path(), Options::default()).unwrap();
        let stop = Stop { reason: "runaway".to_owned(), by: "eve".to_owned(), at: at(200) };
        let stopped = beside.change_budget(Change::Stop { target: target.clone(), stop }).await.unwrap();
        assert_eq!(stopped, Changed::Stopped(true));
        let held = store.claim(spend(2, 1, &ask)).await.unwrap();
        assert_eq!(held, Claimed::Barred(Barrier::Stopped(target.clone())));
    }
    let store = open(&directory);
    let foreseen = store.foresee(vec![(ask.clone(), wanted(&spend(2, 1, &ask)))], at(200)).await.unwrap();
    assert_eq!(foreseen, [Some(Barrier::Stopped(target.clone()))]);
    assert_eq!(store.change_budget(Change::Resume(target)).await.unwrap(), Changed::Stopped(true));
    assert_eq!(claimed(&store, vec![spend(2, 1, &ask)]).await, 1);
    assert!(store.stops().await.unwrap().0.is_empty());
}
