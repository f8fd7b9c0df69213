//! Limits that all gateways on one database count together.

use tokio::task::JoinSet;
use tollgate_domain::{Digest, UnixMillis};
use tollgate_store::{SharedTake, SharedWait, Store};

const HOUR_NANOS: u128 = 3_600_000_000_000;

/// One call of so many an hour that come back one after the other.
pub(crate) fn one_of(name: &str, an_hour: u128) -> SharedTake {
    SharedTake { key: Digest::of(name.as_bytes()), cost_nanos: HOUR_NANOS / an_hour, full_nanos: HOUR_NANOS }
}

/// How many of a hundred calls at once pass, from each of these stores in turn.
async fn passed(stores: &[&Store], takes: &[SharedTake]) -> usize {
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let (store, mut takes) = (stores[number % stores.len()].clone(), takes.to_vec());
        // In any order, as two configurations may have them.
        if number % 3 == 0 {
            takes.reverse();
        }
        tasks.spawn(async move { store.take_shared(&takes).await.unwrap().is_none() });
    }
    tasks.join_all().await.into_iter().filter(|passed| *passed).count()
}

/// Over two gateways as many pass as over one, from all buckets or from none, and what is full is forgotten.
pub(crate) async fn count_together(one: &Store, other: &Store, rows: impl Fn() -> usize) {
    let both = [one, other];
    assert_eq!(passed(&both, &[one_of("a", 10)]).await, 10);
    assert_eq!(passed(&both, &[one_of("a", 10)]).await, 0);
    assert_eq!(passed(&both, &[one_of("b", 10)]).await, 10, "control: another bucket");

    let refused = other.take_shared(&[one_of("a", 10)]).await.unwrap().unwrap();
    assert!(refused.place == 0 && (1..=360_000).contains(&refused.wait_ms), "{refused:?}");
    assert_eq!(passed(&both, &[one_of("c", 7), one_of("d", 20)]).await, 7);
    let third = [one_of("e", 20), one_of("c", 7), one_of("d", 20)];
    let refused = one.take_shared(&third).await.unwrap();
    assert!(matches!(refused, Some(SharedWait { place: 1, .. })), "{refused:?}");
    assert_eq!(passed(&both, &[one_of("d", 20)]).await, 13, "what was refused for c took nothing from d");
    assert_eq!(passed(&both, &[one_of("e", 20)]).await, 20, "nor from e");

    assert_eq!(rows(), 5);
    let at_once = SharedTake { key: Digest::of(b"f"), cost_nanos: 1, full_nanos: 1_000 };
    assert_eq!(one.take_shared(&[at_once]).await.unwrap(), None);
    assert_eq!(rows(), 6);
    one.prune(UnixMillis::from_secs(1_795_219_200)).await.unwrap();
    assert_eq!(rows(), 6, "what was full a moment ago may be about to be taken from");
}
