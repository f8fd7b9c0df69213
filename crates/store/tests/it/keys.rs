//! API keys in the store.

use tempfile::TempDir;
use tollgate_domain::{Digest, KeyId, KyaTier};
use tollgate_ledger::StoreError;
use tollgate_store::{KeyRecord, NewKey, Options, Store};

use crate::world::*;

pub(crate) fn new_key(byte: u8) -> NewKey {
    NewKey {
        id: KeyId::from_bytes([byte; 16]),
        name: format!("agent {byte}"),
        hash: Digest::of(&[byte]),
        tier: KyaTier::Auditable,
        labels: "org=acme,team=research".parse().unwrap(),
        now: at(u64::from(byte)),
    }
}

#[tokio::test]
async fn keys_are_found_by_the_digest_of_their_secret_until_and_after_they_are_revoked() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let created = store.create_key(new_key(1)).await.unwrap();
    let NewKey { id, name, hash, tier, labels, now } = new_key(1);
    assert_eq!(created, KeyRecord { id, name, hash, tier, labels, created: now, revoked: None });
    assert_eq!(store.key_by_hash(hash).await, Ok(Some(created.clone())));
    assert_eq!(store.key_by_hash(Digest::of(b"guess")).await, Ok(None));

    let revoked = KeyRecord { revoked: Some(at(50)), ..created };
    assert_eq!(store.revoke_key(id, at(50)).await, Ok(Some(revoked.clone())));
    assert_eq!(store.revoke_key(id, at(60)).await, Ok(Some(revoked.clone())), "the first moment stays");
    assert_eq!(store.key_by_hash(hash).await, Ok(Some(revoked)));
    assert_eq!(store.revoke_key(KeyId::from_bytes([9; 16]), at(1)).await, Ok(None));
}

#[tokio::test]
async fn one_id_and_one_secret_make_one_key() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    store.create_key(new_key(1)).await.unwrap();
    let same_id = NewKey { id: new_key(1).id, ..new_key(2) };
    let same_secret = NewKey { hash: new_key(1).hash, ..new_key(2) };
    for double in [same_id, same_secret] {
        assert!(matches!(store.create_key(double).await, Err(StoreError::Definite(_))));
    }
    store.create_key(new_key(2)).await.unwrap();
    let names: Vec<_> = store.keys().await.unwrap().into_iter().map(|key| key.name).collect();
    assert_eq!(names, ["agent 1", "agent 2"]);
}

#[tokio::test]
async fn whoever_keeps_keys_in_memory_notices_a_change_by_another_process() {
    let directory = TempDir::new().unwrap();
    let gateway = open(&directory);
    let tool = Store::open_shared(directory.path(), Options::default()).unwrap();
    let before = gateway.keys_version().await.unwrap();
    tool.create_key(new_key(1)).await.unwrap();
    let created = gateway.keys_version().await.unwrap();
    assert_ne!(before, created);
    tool.revoke_key(new_key(1).id, at(9)).await.unwrap();
    let revoked = gateway.keys_version().await.unwrap();
    assert_ne!(created, revoked);
    // What does not touch keys leaves them in memory.
    tool.revoke_key(new_key(1).id, at(9)).await.unwrap();
    tollgate_ledger::LedgerStore::grant_credit(&tool, grant(&alice(), 1)).await.unwrap();
    assert_eq!(gateway.keys_version().await.unwrap(), revoked);
}
