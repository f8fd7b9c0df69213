//! The books of a database as a file, and back.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tollgate_domain::Rail;
use tollgate_ledger::LedgerStore;
use tollgate_store::{BooksCopyError, NewKey, copy_books, write_books};
use tollgate_testkit::peers::postgres::{self, Database};

use super::{VERSION_1, database, every_row, gateway, mixed_commands};
use crate::keys::new_key;
use crate::world::*;

/// A copy of books with something in most tables.
struct Copied {
    file: PathBuf,
    _folder: TempDir,
}

async fn copied(database: &Database) -> Copied {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("books.sql");
    copy_books(&database.url().parse().unwrap(), &file).await.unwrap();
    Copied { file, _folder: folder }
}

/// Tries to write a file into a new database, and says whether there is anything in it then.
async fn written(file: &std::path::Path) -> (Result<u32, BooksCopyError>, bool) {
    let database = database().await.unwrap();
    let written = write_books(file, &database.url().parse().unwrap()).await;
    let is_there = database.psql("SELECT to_regnamespace('tollgate') IS NOT NULL").unwrap() == "t";
    (written, is_there)
}

#[tokio::test]
async fn books_that_are_copied_into_another_database_are_the_same_and_go_on() {
    let Some(one) = database().await else { return };
    let before = gateway(&one, 7).await;
    for command in mixed_commands() {
        drop(before.store.commit(command).await);
    }
    let name = "a \\ and a\tand\na line".to_owned();
    before.store.create_key(NewKey { name, ..new_key(1) }).await.unwrap();
    let copied = copied(&one).await;
    let rows = every_row(&before.store).await;
    // What comes after it is not in it.
    before.store.grant_credit(grant(&alice(), 1)).await.unwrap();

    let Some(other) = database().await else { return };
    let url = other.url().parse().unwrap();
    write_books(&copied.file, &url).await.unwrap();
    let after = gateway(&other, 7).await;
    assert_eq!(every_row(&after.store).await, rows);
    assert_eq!(after.store.keys().await, before.store.keys().await);
    let again = write_books(&copied.file, &url).await;
    assert!(matches!(again, Err(BooksCopyError::NotEmpty { .. })), "{again:?}");
    // Rows are numbered on, and the chain of receipts goes on.
    let next = claim(Rail::X402, "after");
    fresh(&after.store, &next).await;
    after.store.advance(paid(&next)).await.unwrap();
    in_order(&after.store).await;
    assert!(copy_books(&url, &copied.file).await.is_err(), "no file is written over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_changes_the_tables_while_they_are_copied() {
    let Some(one) = database().await else { return };
    let _gateway = gateway(&one, 7).await;
    let (server, name) = (postgres::shared().await.unwrap(), one.name().to_owned());
    // Somebody who keeps the copy from going on.
    let holding = std::thread::spawn(move || {
        server
            .psql(&name, "BEGIN; LOCK TABLE tollgate.accounts IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)")
    });
    let locks = |granted: &str| {
        let locks = "SELECT count(*) FROM pg_locks WHERE relation = 'tollgate.accounts'::regclass";
        one.psql(&format!("{locks} AND mode = {granted}")).unwrap()
    };
    while locks("'AccessExclusiveLock' AND granted") != "1" {
        tokio::task::yield_now().await;
    }
    let mut copying = JoinSet::new();
    let (url, folder) = (one.url().parse().unwrap(), TempDir::new().unwrap());
    copying.spawn(async move { copy_books(&url, &folder.path().join("books.sql")).await });
    while locks("'AccessShareLock' AND NOT granted") != "1" {
        tokio::task::yield_now().await;
    }
    // As a gateway of a newer version does first.
    let migrate = "BEGIN; LOCK TABLE tollgate.schema_version IN ACCESS EXCLUSIVE MODE NOWAIT; ROLLBACK";
    let refused = one.psql(migrate).unwrap_err().to_string();
    assert!(refused.contains("could not obtain lock"), "{refused}");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE mode = 'AccessExclusiveLock' \
         AND relation = 'tollgate.accounts'::regclass";
    server.psql(one.name(), end).unwrap();
    holding.join().unwrap().unwrap_err();
    copying.join_next().await.unwrap().unwrap().unwrap();
    one.psql(migrate).unwrap();
}

#[tokio::test]
async fn a_copy_that_is_not_the_one_that_was_written_leaves_nothing_in_the_database() {
    let Some(one) = database().await else { return };
    let before = gateway(&one, 7).await;
    before.store.grant_credit(grant(&alice(), 50)).await.unwrap();
    let copied = copied(&one).await;
    let text = std::fs::read_to_string(&copied.file).unwrap();
    let refused = async |spoiled: &str| {
        let file = copied.file.with_extension("spoiled");
        std::fs::write(&file, spoiled).unwrap();
        let (written, is_there) = written(&file).await;
        assert!(!is_there, "{written:?}");
        written.unwrap_err().to_string()
    };
    let half = &text[..text.len() / 2];
    assert!(refused(half).await.contains("cut short"));
    assert!(refused(text.trim_end_matches("-- end\n")).await.contains("cut short"));
    assert!(refused("nothing\n").await.contains("line 1: this is no copy of books"));
    let version: u32 = one.psql("SELECT version FROM tollgate.schema_version").unwrap().parse().unwrap();
    let newer = text.replacen(&format!("schema {version}\n"), "schema 99\n", 1);
    assert!(refused(&newer).await.contains("99"));
    let strange = text.replacen("COPY tollgate.pins (", "COPY pg_catalog.pg_authid (", 1);
    assert!(refused(&strange).await.contains("this is no table of this version"));
    let program = text.replacen("FROM stdin;", "FROM PROGRAM 'true';", 1);
    assert!(refused(&program).await.contains("this is no table of this version"));
    let begin = text.find("COPY tollgate.pins (").unwrap();
    let end = begin + text[begin..].find("\\.\n").unwrap() + 3;
    let without = format!("{}{}", &text[..begin], &text[end..]);
    assert!(refused(&without).await.contains("pins is missing"));
    let twice = text.replacen(&text[begin..end], &text[begin..end].repeat(2), 1);
    assert!(refused(&twice).await.contains("it was there before"));
    // Somebody gave themselves more.
    let richer = text.replacen("\t50\t", "\t5000\t", 1);
    assert_ne!(richer, text);
    assert!(refused(&richer).await.contains("not in order"));
    let (control, is_there) = written(&copied.file).await;
    assert!(control.is_ok() && is_there, "{control:?}");
}

#[tokio::test]
async fn books_of_an_older_version_are_brought_up_to_date_and_no_books_are_no_copy() {
    let Some(one) = database().await else { return };
    let folder = TempDir::new().unwrap();
    let (url, file) = (one.url().parse().unwrap(), folder.path().join("books.sql"));
    let none = copy_books(&url, &file).await;
    assert!(matches!(none, Err(BooksCopyError::NoBooks { .. })) && !file.exists(), "{none:?}");
    one.psql(&format!("SET ROLE tollgate; {VERSION_1}")).unwrap();
    one.psql(
        "INSERT INTO tollgate.accounts (asset, name, debits_pending, debits_posted, credits_pending, credits_posted) \
         VALUES ('lightning:regtest/msat', 'payable:demo', 0, 0, 0, 0)",
    )
    .unwrap();
    assert_eq!(copy_books(&url, &file).await.unwrap(), 1);
    let Some(other) = database().await else { return };
    assert_eq!(write_books(&file, &other.url().parse().unwrap()).await.unwrap(), 1);
    let after = gateway(&other, 7).await;
    after.store.grant_credit(grant(&alice(), 1)).await.unwrap();
    assert_eq!(after.store.trial_balance().await.unwrap().len(), 3, "with the one that was copied");
    in_order(&after.store).await;
}
