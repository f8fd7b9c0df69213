//! Many callers at once. The order in which they come is the scheduler's; what may be true afterwards is not.

use std::collections::BTreeMap;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tollgate_domain::{Amount, Rail};
use tollgate_ledger::{Claim, Claimed, LedgerStore, StoreError};
use tollgate_store::{Options, Store};

use crate::world::*;

/// Every claim in a task of its own, over `store`; how many met each kind of answer.
pub(crate) async fn all_at_once(
    store: &Store,
    claims: impl IntoIterator<Item = Claim>,
) -> BTreeMap<&'static str, usize> {
    let mut tasks = JoinSet::new();
    for claim in claims {
        let store = store.clone();
        tasks.spawn(async move { store.claim(claim).await });
    }
    let mut met = BTreeMap::new();
    for answer in tasks.join_all().await {
        let word = match answer {
            Ok(Claimed::Fresh { .. }) => "fresh",
            Ok(Claimed::InProgress { .. }) => "in progress",
            Ok(Claimed::InsufficientFunds { .. }) => "insufficient",
            Ok(Claimed::Barred(_)) => "barred",
            Ok(Claimed::NoFreeCall) => "none free",
            other => panic!("{other:?}"),
        };
        *met.entry(word).or_default() += 1;
    }
    met
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p3_two_hundred_copies_of_one_proof_are_claimed_once() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let one = claim(Rail::X402, "0x1");
    let met = all_at_once(&store, (0..200).map(|_| repeat(&one))).await;
    assert_eq!(met, [("fresh", 1), ("in progress", 199)].into());
    assert_eq!(balances(&store, &payable()).await.credits_pending, Amount::new(10));
    // Control: as many different proofs are all claimed.
    let met = all_at_once(&store, (0..200).map(|number| claim(Rail::X402, &format!("0xa{number}")))).await;
    assert_eq!(met, [("fresh", 200)].into());
    in_order(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p3_one_proof_over_two_openings_of_the_file_is_claimed_once() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let beside = Store::open_shared(directory.path(), Options::default()).unwrap();
    let one = claim(Rail::X402, "0x1");
    let (here, there) = tokio::join!(
        all_at_once(&store, (0..100).map(|_| repeat(&one))),
        all_at_once(&beside, (0..100).map(|_| repeat(&one))),
    );
    let fresh = |met: &BTreeMap<&str, usize>| met.get("fresh").copied().unwrap_or(0);
    assert_eq!(fresh(&here) + fresh(&there), 1, "{here:?} {there:?}");
    in_order(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p15_of_five_hundred_spenders_exactly_a_hundred_succeed() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    store.grant_credit(grant(&alice(), 100)).await.unwrap();
    let spend = |number| Claim { amount: Amount::new(1), ..claim(Rail::Credit, &format!("alice/{number}")) };
    let met = all_at_once(&store, (0..500).map(spend)).await;
    assert_eq!(met, [("fresh", 100), ("insufficient", 400)].into());
    assert_eq!(available(&store, &alice()).await, Amount::ZERO);
    in_order(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p15_of_five_hundred_callers_at_once_exactly_a_hundred_are_free() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let free = |number| free(&format!("alice/{number}"), 100);
    let met = all_at_once(&store, (0..500).map(free)).await;
    assert_eq!(met, [("fresh", 100), ("none free", 400)].into());
    let since = at(0);
    assert_eq!(store.calls(&alice(), &tool(), since, 1_000).await, Ok(100));
    assert_eq!(store.calls(&alice(), &tool(), since, 7).await, Ok(7), "counted no further than asked");
    in_order(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refused_command_fails_alone_among_many() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let mut tasks = JoinSet::new();
    for number in 0..200 {
        let store = store.clone();
        tasks.spawn(async move {
            let claim = claim(Rail::X402, &format!("0x{number}"));
            fresh(&store, &claim).await;
            let step = if number % 4 == 0 { advance(&claim, [settled()]) } else { paid(&claim) };
            (number, store.advance(step).await)
        });
    }
    for (number, answer) in tasks.join_all().await {
        let refused = matches!(answer, Err(StoreError::Refused(_)));
        assert_eq!(refused, number % 4 == 0, "{number}: {answer:?}");
    }
    assert_eq!(balances(&store, &payable()).await.credits_posted, Amount::new(1_500));
    in_order(&store).await;
}
