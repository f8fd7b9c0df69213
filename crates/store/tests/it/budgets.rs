//! Budgets over the port: at any concurrency, over two openings of the file, and over a restart.

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

fn spend(number: u32, units: u128, ask: &Ask) -> Claim {
    Claim { amount: Amount::new(units), budget: ask.clone(), ..claim(Rail::X402, &format!("0x{number}")) }
}

async fn used(store: &Store) -> u128 {
    let counter = Counter { node: NodeKey::new("acme", None), asset: asset(), span: Span::Day };
    store.usages(vec![counter]).await.unwrap()[0].map_or(0, |usage| usage.used.get())
}

async fn claimed(store: &Store, claims: Vec<Claim>) -> usize {
    let mut tasks = JoinSet::new();
    for claim in claims {
        let store = store.clone();
        tasks.spawn(async move { store.claim(claim).await });
    }
    let is_fresh = |answer: &Result<Claimed, _>| match answer {
        Ok(Claimed::Fresh { .. }) => true,
        Ok(Claimed::Barred(Barrier::Exceeded(_))) => false,
        other => panic!("{other:?}"),
    };
    tasks.join_all().await.iter().filter(|answer| is_fresh(answer)).count()
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

fn wanted(claim: &Claim) -> Wanted {
    Wanted {
        caller: claim.caller.clone(),
        tool: claim.binding.tool.clone(),
        args: claim.binding.args,
        asset: claim.asset.clone(),
        amount: claim.amount,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p21_one_approval_lets_one_of_many_calls_at_once_pass() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let ask = ask(10_000, Some(100));
    let (id, call) = (ApprovalId::from_bytes([1; 16]), spend(1, 150, &ask));
    let approval = Approval::asked(id, wanted(&call), at(100), at(10_000));
    assert_eq!(
        store.change_budget(Change::Ask(approval.clone())).await.unwrap(),
        Changed::Asked(Some(approval))
    );
    let event = ApprovalEvent::Approve { by: "eve".to_owned(), expires: at(10_000) };
    store.change_budget(Change::Decide { id, event, now: at(100) }).await.unwrap();
    assert_eq!(store.foresee(vec![(ask.clone(), wanted(&call))], at(100)).await.unwrap(), [None]);
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let (store, claim) = (store.clone(), spend(number, 150, &ask));
        tasks.spawn(async move { store.claim(claim).await.unwrap() });
    }
    let answers = tasks.join_all().await;
    let fresh = answers.iter().filter(|answer| matches!(answer, Claimed::Fresh { .. })).count();
    let needs = |answer: &&Claimed| matches!(answer, Claimed::Barred(Barrier::NeedsApproval { .. }));
    assert_eq!((fresh, answers.iter().filter(needs).count()), (1, 49));
    let kept = store.approval(&id).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.by.as_deref()), (ApprovalState::Used, Some("eve")));
    assert_eq!(store.approvals(10).await.unwrap(), [kept]);
    in_order(&store).await;
}

#[tokio::test]
async fn counters_and_approvals_that_say_nothing_any_more_are_forgotten() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let ask = ask(10, None);
    fresh(&store, &spend(1, 10, &ask)).await;
    let approval =
        Approval::asked(ApprovalId::from_bytes([1; 16]), wanted(&spend(1, 1, &ask)), at(100), at(200));
    store.change_budget(Change::Ask(approval)).await.unwrap();
    let day = 86_400_000;
    store.prune(UnixMillis::new(31 * day)).await.unwrap();
    assert_eq!((used(&store).await, store.approvals(9).await.unwrap().len()), (10, 1), "control");
    store.prune(UnixMillis::new(33 * day)).await.unwrap();
    assert_eq!((used(&store).await, store.approvals(9).await.unwrap().len()), (0, 0));
}
