use tollgate_domain::Caller;
use tollgate_ledger::Verdict;

use super::*;

fn principal(number: u32) -> Principal {
    let mut address = [0; 20];
    address[..4].copy_from_slice(&number.to_be_bytes());
    Caller::Wallet(address).principal()
}

#[test]
fn what_was_read_before_a_commit_does_not_replace_what_was_committed() {
    let (cache, alice) = (StandingCache::default(), principal(1));
    let read = Record::default();
    let version = cache.get(&alice).unwrap_err();
    let committed = read.after(Verdict::Settled);
    cache.committed(&mut vec![(alice.clone(), committed)]);
    cache.read(alice.clone(), read, version);
    assert_eq!(cache.get(&alice), Ok(committed));

    // Control: nothing was committed in between.
    let bob = principal(2);
    let version = cache.get(&bob).unwrap_err();
    cache.read(bob.clone(), read, version);
    assert_eq!(cache.get(&bob), Ok(read));
}

#[test]
fn the_memory_has_a_bound() {
    let cache = StandingCache::default();
    let most = u32::try_from(PRINCIPALS_MAX).unwrap();
    for number in 0..=most {
        let version = cache.get(&principal(number)).unwrap_err();
        cache.read(principal(number), Record::default(), version);
    }
    assert_eq!(cache.0.lock().records.len(), 1);
    assert!(cache.get(&principal(most)).is_ok());
}
