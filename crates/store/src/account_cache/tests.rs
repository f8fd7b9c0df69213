use super::*;
use tollgate_domain::Amount;

fn place(units: u128) -> Place {
    let balances = Balances { credits_posted: Amount::new(units), ..Balances::default() };
    Place { id: 1, balances }
}

#[test]
fn it_is_forgotten_when_somebody_else_has_written_or_the_transaction_came_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Connection::open(folder.path().join("file.db")).unwrap();
    let (ours, other) = (open(), open());
    ours.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
    let (name, asset) = ("payable:demo".parse().unwrap(), "lightning:regtest/msat".parse().unwrap());
    let mut cache = AccountCache::default();
    cache.begin(&ours, true).unwrap();
    cache.put(&name, &asset, place(5));
    // Our own commit changes nothing.
    ours.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    cache.begin(&ours, true).unwrap();
    assert_eq!(cache.get(&name, &asset), Some(place(5)));
    cache.put(&name, &asset, place(6));
    assert_eq!(cache.get(&name, &asset), Some(place(6)));
    // Another connection's does.
    other.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    ours.execute_batch("BEGIN IMMEDIATE").unwrap();
    cache.begin(&ours, true).unwrap();
    assert_eq!(cache.get(&name, &asset), None);
    cache.put(&name, &asset, place(7));
    ours.execute_batch("ROLLBACK").unwrap();
    cache.begin(&ours, false).unwrap();
    assert_eq!(cache.get(&name, &asset), None, "rolled back");
}
