use super::*;

fn record(what: &str) -> AuditRecord {
    let nothing = || "null".to_owned();
    AuditRecord {
        at: UnixMillis::from_secs(1),
        admin: Some(AdminKeyId::from_bytes([1; 16])),
        what: what.to_owned(),
        target: "servers/up".to_owned(),
        before: nothing(),
        after: nothing(),
    }
}

#[tokio::test]
async fn a_change_of_an_older_version_changes_and_records_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = ControlStore::open(folder.path()).unwrap();
    assert_eq!(store.overlay().await.unwrap(), StoredOverlay { version: 0, text: "{}".to_owned() });
    assert!(store.change(0, "first".to_owned(), record("first")).await.unwrap());
    assert!(!store.change(0, "lost update".to_owned(), record("lost")).await.unwrap());
    assert!(store.change(1, "second".to_owned(), record("second")).await.unwrap(), "control");
    drop(store);
    let store = ControlStore::open(folder.path()).unwrap();
    assert_eq!(store.overlay().await.unwrap(), StoredOverlay { version: 2, text: "second".to_owned() });
    let entries = store.audit(None, 10).await.unwrap();
    let told: Vec<_> = entries.iter().map(|entry| (entry.seq, entry.record.what.as_str())).collect();
    assert_eq!(told, [(2, "second"), (1, "first")]);
    assert_eq!(store.audit(Some(2), 10).await.unwrap().len(), 1, "the page before");
}

#[tokio::test]
async fn the_audit_cannot_be_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let store = ControlStore::open(folder.path()).unwrap();
    store.record(record("reload")).await.unwrap();
    let beside = Connection::open(folder.path().join("control.db")).unwrap();
    for statement in ["UPDATE audit SET what = 'nothing'", "DELETE FROM audit"] {
        let refused = beside.execute(statement, []).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    beside.execute("UPDATE overlay SET version = 7", []).unwrap();
    assert_eq!(store.overlay().await.unwrap().version, 7, "control: the connection can write");
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_admin_key_that_was_taken_back_stays_known_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let store = ControlStore::open(folder.path()).unwrap();
    let key = AdminKeyRecord {
        id: AdminKeyId::from_bytes([2; 16]),
        name: "ops".to_owned(),
        hash: Digest::from_bytes([3; 32]),
        created: UnixMillis::from_secs(1),
        revoked: None,
    };
    store.create_admin_key(key.clone(), record("create")).await.unwrap();
    assert_eq!(store.admin_keys().await.unwrap().first(), Some(&key));
    let beside = ControlStore::open_shared(folder.path()).unwrap();
    assert!(beside.revoke_admin_key(key.id, record("revoke")).await.unwrap());
    assert!(!beside.revoke_admin_key(AdminKeyId::from_bytes([9; 16]), record("revoke")).await.unwrap());
    assert_eq!(store.admin_keys().await.unwrap()[0].revoked, Some(UnixMillis::from_secs(1)));
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 2, "nothing was done to the unknown one");
}
