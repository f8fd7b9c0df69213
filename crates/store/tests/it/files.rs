//! The store as files: reopening, sharing, refusing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tollgate_attest::Signer;
use tollgate_domain::{Amount, Rail};
use tollgate_ledger::audit::Finding;
use tollgate_ledger::{Claimed, LedgerStore, Refusal, State, StoreError};
use tollgate_store::{OpenError, Options, Store};

use crate::world::*;

/// The main file, opened beside the store, as an operator with a database tool would.
fn tool_on(directory: &TempDir) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.path().join("ledger.db")).unwrap()
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    store.grant_credit(grant(&alice(), 100)).await.unwrap();
    let (done, running) = (claim(Rail::X402, "0x1"), claim(Rail::Credit, "alice/1"));
    fresh(&store, &done).await;
    fresh(&store, &running).await;
    let receipt = store.advance(paid(&done)).await.unwrap().receipt.unwrap();
    let before = store.trial_balance().await.unwrap();
    drop(store);

    let store = open(&directory);
    assert_eq!(store.trial_balance().await.unwrap(), before);
    let answer = answered(&store, &done).await;
    assert_eq!((answer.result.as_deref(), answer.receipt), (Some(b"42".as_slice()), Some(receipt)));
    let open = store.open_settlements(None, 999).await.unwrap();
    assert_eq!(open.iter().map(|row| row.call).collect::<Vec<_>>(), [running.call]);
    assert_eq!(store.standing(&alice()).await.unwrap().settled, 1);
    // The chain of receipts goes on where it stopped.
    store.advance(paid(&running)).await.unwrap();
    in_order(&store).await;
}

#[tokio::test]
async fn each_signing_key_has_a_chain_of_its_own() {
    let directory = TempDir::new().unwrap();
    let seal = async |seed: u8| {
        let signer = Signer::from_seed(&[seed; 32]).unwrap();
        let store = Store::open(directory.path(), signer, Options::default()).unwrap();
        let call = call_id();
        store.record(call, statement(call)).await.unwrap();
    };
    for seed in [7, 7, 8, 7] {
        seal(seed).await;
    }
    let store = open(&directory);
    in_order(&store).await;
    let both = [7, 8].map(|seed| Signer::from_seed(&[seed; 32]).unwrap().public());
    assert_eq!(store.signers().await.unwrap(), both);
    // An envelope whose key is not known is no evidence.
    tool_on(&directory).execute("UPDATE signers SET key = randomblob(32) WHERE id = 2", []).unwrap();
    let findings = store.check().await.unwrap();
    assert!(matches!(findings.as_slice(), [Finding::ReceiptChain(_)]), "{findings:?}");
}

#[tokio::test]
async fn f13_a_second_gateway_on_one_directory_is_refused() {
    let directory = TempDir::new().unwrap();
    let first = open(&directory);
    let second = Store::open(directory.path(), signer(), Options::default());
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    fresh(&first, &claim(Rail::X402, "0x1")).await;
    drop(first);
    let second = open(&directory);
    assert_eq!(
        second.open_settlements(None, 999).await.unwrap().len(),
        1,
        "control: free once the first is gone"
    );
}

#[tokio::test]
async fn a_tool_works_beside_the_gateway() {
    let directory = TempDir::new().unwrap();
    let gateway = open(&directory);
    let call = claim(Rail::Credit, "alice/1");
    assert!(matches!(gateway.claim(call.clone()).await, Ok(Claimed::InsufficientFunds { .. })));
    let tool = Store::open_shared(directory.path(), Options::default()).unwrap();
    tool.grant_credit(grant(&alice(), 10)).await.unwrap();
    assert_eq!(gateway.claim(call).await, Ok(Claimed::Fresh { attempt: 1 }), "seen at once");
    assert_eq!(available(&tool, &alice()).await, Amount::ZERO);
    let seal = tool.record(call_id(), statement(call_id())).await;
    assert_eq!(seal, Err(StoreError::Refused(Refusal::NoSigner)));
}

#[tokio::test]
async fn a_tool_may_come_before_the_gateway() {
    let directory = TempDir::new().unwrap();
    let below = directory.path().join("not").join("there");
    let tool = Store::open_shared(&below, Options::default()).unwrap();
    tool.grant_credit(grant(&alice(), 10)).await.unwrap();
    let gateway = Store::open(&below, signer(), Options::default()).unwrap();
    assert_eq!(available(&gateway, &alice()).await, Amount::new(10));
}

#[tokio::test]
async fn f19_a_redo_log_beside_another_ledger_is_refused_and_not_a_byte_changes() {
    let (directory, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let ledger = directory.path().join("ledger.db");
    let first = claim(Rail::X402, "0x1");
    fresh(&open(&directory), &first).await;
    let earlier = std::fs::read(&ledger).unwrap();
    fresh(&open(&directory), &claim(Rail::X402, "0x2")).await;
    let own = std::fs::read(&ledger).unwrap();
    fresh(&open(&elsewhere), &claim(Rail::X402, "0x3")).await;
    let other = std::fs::read(elsewhere.path().join("ledger.db")).unwrap();
    for swapped in [Some(&other), Some(&earlier), None] {
        match swapped {
            Some(swapped) => std::fs::write(&ledger, swapped).unwrap(),
            None => std::fs::remove_file(&ledger).unwrap(),
        }
        let before = files(directory.path());
        let refused = Store::open(directory.path(), signer(), Options::default());
        let refused = refused.expect_err("a gateway");
        assert!(matches!(refused, OpenError::ForeignLog { .. }), "{refused}");
        assert!(refused.to_string().contains("move the log away"), "{refused}");
        let shared = Store::open_shared(directory.path(), Options::default());
        assert!(matches!(shared, Err(OpenError::ForeignLog { .. })), "{shared:?}");
        let after = files(directory.path());
        assert_eq!(after.get("ledger.redo"), before.get("ledger.redo"));
        assert_eq!(after.get("ledger.db"), before.get("ledger.db"));
    }
    std::fs::write(&ledger, own).unwrap();
    assert_eq!(open(&directory).open_settlements(None, 999).await.unwrap().len(), 2, "control: its own");
    std::fs::write(&ledger, earlier).unwrap();
    std::fs::rename(directory.path().join("ledger.redo"), directory.path().join("aside")).unwrap();
    let open_rows = open(&directory).open_settlements(None, 999).await.unwrap();
    assert_eq!(open_rows.iter().map(|row| row.call).collect::<Vec<_>>(), [first.call], "given up");
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_data_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let made = directory.path().join("data");
    let _store = Store::open(&made, signer(), Options::default()).unwrap();
    assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn f12_a_newer_schema_is_refused_and_not_a_byte_changes() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    fresh(&store, &claim(Rail::X402, "0x1")).await;
    drop(store);
    let known: u32 = tool_on(&directory).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    tool_on(&directory).pragma_update(None, "user_version", known + 1).unwrap();

    let before = files(directory.path());
    let open_again = || Store::open(directory.path(), signer(), Options::default());
    let refused = open_again().unwrap_err();
    assert!(
        matches!(refused, OpenError::NewerSchema { found, known: k, .. } if (found, k) == (known + 1, known))
    );
    assert!(refused.to_string().contains("start the newer version again"), "{refused}");
    let shared = Store::open_shared(directory.path(), Options::default());
    assert!(matches!(shared, Err(OpenError::NewerSchema { .. })), "{shared:?}");
    let after = files(directory.path());
    assert_eq!(before["ledger.db"], after["ledger.db"]);
    assert!(after.get("ledger.db-wal").is_none_or(Vec::is_empty), "no log is left behind");

    tool_on(&directory).pragma_update(None, "user_version", known).unwrap();
    let store = open_again().unwrap();
    assert_eq!(store.open_settlements(None, 999).await.unwrap().len(), 1, "control: its own version opens");
}

#[tokio::test]
async fn a_file_of_another_program_is_refused() {
    let directory = TempDir::new().unwrap();
    tool_on(&directory).execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    let refused = Store::open(directory.path(), signer(), Options::default());
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
    std::fs::write(directory.path().join("ledger.db"), [b'x'; 4096]).unwrap();
    let refused = Store::open(directory.path(), signer(), Options::default());
    assert!(matches!(refused, Err(OpenError::Sqlite { .. })), "{refused:?}");
}

#[tokio::test]
async fn tampering_with_the_file_is_found() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let call = claim(Rail::X402, "0x1");
    fresh(&store, &call).await;
    store.advance(paid(&call)).await.unwrap();
    in_order(&store).await;
    let tampered = async |sql: &str, undo: &str| {
        let tool = tool_on(&directory);
        tool.pragma_update(None, "foreign_keys", false).unwrap();
        assert_eq!(tool.execute(sql, []).unwrap(), 1, "{sql}");
        let findings = store.check().await.unwrap();
        tool.execute(undo, []).unwrap();
        in_order(&store).await;
        findings
    };
    let charged = tampered(
        "UPDATE accounts SET credits_posted = '11' WHERE name = 'payable:demo'",
        "UPDATE accounts SET credits_posted = '10' WHERE name = 'payable:demo'",
    );
    assert!(charged.await.iter().any(|finding| matches!(finding, Finding::TotalsDiffer { .. })));
    let voided =
        tampered("UPDATE settlements SET state = 'voided'", "UPDATE settlements SET state = 'settled'");
    assert_eq!(voided.await, [Finding::NotReleased(call.call)]);
    let receipt = tampered(
        "UPDATE receipts SET envelope = replace(envelope, '\"v\":1', '\"v\":2')",
        "UPDATE receipts SET envelope = replace(envelope, '\"v\":2', '\"v\":1')",
    );
    assert!(matches!(receipt.await.as_slice(), [Finding::ReceiptChain(_)]));
    let head = tampered("UPDATE receipts SET seq = 2", "UPDATE receipts SET seq = 1");
    assert!(matches!(head.await.as_slice(), [Finding::ReceiptChain(_)]));
    let missing = tampered(
        "UPDATE receipts SET call = zeroblob(16)",
        "UPDATE receipts SET call = (SELECT call FROM settlements)",
    );
    assert_eq!(missing.await, [Finding::ReceiptMissing(call.call)]);
    let unnamed = tampered(
        "UPDATE settlements SET receipt = NULL",
        "UPDATE settlements SET receipt = (SELECT id FROM receipts)",
    );
    assert_eq!(unnamed.await, [Finding::ReceiptMissing(call.call)]);
}

#[tokio::test]
async fn results_of_ended_calls_are_forgotten_after_a_while_and_settlements_are_not() {
    let directory = TempDir::new().unwrap();
    let options = Options { results_kept: Duration::from_millis(1_000), ..Options::default() };
    let store = Store::open(directory.path(), signer(), options).unwrap();
    let (done, open) = (claim(Rail::X402, "0x1"), claim(Rail::X402, "0x2"));
    for call in [&done, &open] {
        fresh(&store, call).await;
    }
    let sealed = store.advance(paid(&done)).await.unwrap().receipt;
    let mut kept = advance(&open, [executed()]);
    kept.result = Some(b"43".to_vec());
    store.advance(kept).await.unwrap();

    assert_eq!(store.prune(at(1_200)).await, Ok(0), "stored at 200, kept for 1,000");
    assert_eq!(store.prune(at(1_201)).await, Ok(1));
    let answer = answered(&store, &done).await;
    assert_eq!((answer.state, answer.result, answer.private), (State::Settled, None, None));
    assert_eq!(answer.receipt, sealed);
    let still = store.answer(&open.call).await.unwrap().unwrap();
    assert_eq!(still.result.as_deref(), Some(b"43".as_slice()), "not over, so not forgotten");
    in_order(&store).await;
}

#[tokio::test]
async fn a_proof_is_found_whether_it_is_new_or_was_moved_and_its_latest_attempt_counts() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let first = claim(Rail::X402, "0x1");
    fresh(&store, &first).await;
    store.advance(advance(&first, [voided()])).await.unwrap();
    let move_all = "INSERT INTO proofs SELECT * FROM proofs_lately; DELETE FROM proofs_lately";
    drop(store);
    tool_on(&directory).execute_batch(move_all).unwrap();

    let store = open(&directory);
    let second = repeat(&first);
    let claimed = store.claim(second.clone()).await.unwrap();
    assert_eq!(claimed, Claimed::Fresh { attempt: 2 }, "the first was void");
    let third = store.claim(repeat(&first)).await.unwrap();
    assert!(matches!(third, Claimed::InProgress { call, .. } if call == second.call), "{third:?}");
    store.advance(paid(&second)).await.unwrap();
    in_order(&store).await;
    drop(store);
    tool_on(&directory).execute_batch(move_all).unwrap();
    let store = open(&directory);
    assert_eq!(answered(&store, &second).await.call, second.call);
    in_order(&store).await;

    // Control: without its entry a proof could be spent again, which the check says.
    tool_on(&directory).execute("DELETE FROM proofs WHERE attempt = 2", []).unwrap();
    let found = store.check().await.unwrap();
    assert!(
        matches!(&found[..], [Finding::Storage(what)] if what.contains("could be spent again")),
        "{found:?}"
    );
}

#[tokio::test]
async fn amounts_are_exact_to_128_bits() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    store.grant_credit(grant(&alice(), u128::MAX)).await.unwrap();
    drop(store);
    let store = open(&directory);
    assert_eq!(available(&store, &alice()).await, Amount::new(u128::MAX));
    let more = store.grant_credit(grant(&alice(), 1)).await;
    assert!(matches!(more, Err(StoreError::Refused(Refusal::Booking(_)))), "{more:?}");
    in_order(&store).await;
}

#[tokio::test]
async fn writes_build_no_tables_of_their_own_and_recovery_uses_its_index() {
    let directory = TempDir::new().unwrap();
    let _store = open(&directory);
    let tool = tool_on(&directory);
    let explain = |sql: &str, column: usize| -> Vec<String> {
        let mut query = tool.prepare(sql).unwrap();
        query.query_map([], |row| row.get(column)).unwrap().map(Result::unwrap).collect()
    };
    // A condition with a list of words costs an ephemeral table with every row written.
    let temporary = |sql: &str| explain(&format!("EXPLAIN {sql}"), 1).contains(&"OpenEphemeral".to_owned());
    assert!(!temporary("UPDATE settlements SET state = 'x', updated = 1 WHERE id = 1 AND state = 'y'"));
    assert!(!temporary(
        "INSERT INTO transfers (id, kind, debit, credit, amount, note, at) VALUES (x'00', 'x', 1, 2, '1', '', 1)"
    ));
    assert!(temporary("SELECT 1 FROM settlements WHERE state NOT IN ('a', 'b', 'c')"), "control");

    let open = "WHERE state <> 'settled' AND state <> 'delivered' AND state <> 'refunded' AND state <> 'voided' \
                AND state <> 'failed' AND state <> 'in_doubt'";
    let plan = explain(&format!("EXPLAIN QUERY PLAN SELECT key FROM settlements {open} ORDER BY id"), 3);
    assert!(plan.iter().all(|step| step.contains("settlements_open")), "{plan:?}");
    for (condition, index) in [
        ("id = x'00' AND (call IS NULL OR kind = 'posted')", "transfers_named"),
        ("resolves = x'00' AND call IS NULL", "transfers_resolutions"),
        ("expires > 1 AND expires <= 2 AND call IS NULL", "transfers_expiring"),
    ] {
        let plan = explain(&format!("EXPLAIN QUERY PLAN SELECT amount FROM transfers WHERE {condition}"), 3);
        assert!(plan.iter().all(|step| step.contains(index)), "{plan:?}");
    }
}

#[tokio::test]
async fn attempts_are_found_by_age_and_reference_in_a_file() {
    let directory = TempDir::new().unwrap();
    attempts_are_found_by_age_and_reference(&open(&directory)).await;
}
