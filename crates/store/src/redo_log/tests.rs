use tempfile::TempDir;

use super::*;
use crate::redo::{Redo, Statement};

fn log(directory: &TempDir) -> RedoLog {
    RedoLog::of_owner(directory.path().join("notes.redo")).unwrap()
}

fn bytes(directory: &TempDir) -> Vec<u8> {
    std::fs::read(directory.path().join("notes.redo")).unwrap()
}

#[test]
fn steps_are_read_in_order_and_only_those_of_the_transaction() {
    let directory = TempDir::new().unwrap();
    let mut log = log(&directory);
    log.begin(4);
    for step in [b"long ago".as_slice(), b"the second of them", b"and a third"] {
        log.append(step).unwrap();
    }
    log.begin(5);
    log.append(b"").unwrap();
    log.append(b"two").unwrap();
    assert_eq!(log.steps(), 2);
    assert_eq!(read(&bytes(&directory), 5), [b"".as_slice(), b"two"]);
    assert_eq!(read(&bytes(&directory), 6), Vec::<&[u8]>::new());
    assert_eq!(read(&bytes(&directory), 4), Vec::<&[u8]>::new(), "its beginning is written over");
}

#[test]
fn f15_a_torn_step_and_what_stands_behind_it_are_none() {
    let directory = TempDir::new().unwrap();
    let mut log = log(&directory);
    log.begin(1);
    log.append(b"one").unwrap();
    let whole = usize::try_from(log.end).unwrap();
    log.append(b"two").unwrap();
    let third = usize::try_from(log.end).unwrap();
    log.append(b"three").unwrap();
    let end = third + HEAD_BYTES + b"three".len();
    let bytes = bytes(&directory);
    assert_eq!(read(&bytes, 1).len(), 3, "control");
    for place in whole..whole + HEAD_BYTES + b"two".len() {
        let mut torn = bytes.clone();
        torn[place] ^= 1;
        assert_eq!(read(&torn, 1), [b"one".as_slice()], "byte {place}");
    }
    for length in whole..end {
        assert!(read(&bytes[..length], 1).len() < 3, "cut at {length}");
    }
}

#[test]
fn a_step_of_the_same_place_in_another_transaction_is_not_taken_for_it() {
    let directory = TempDir::new().unwrap();
    let mut log = log(&directory);
    for (transaction, steps) in [(1, 3), (2, 1)] {
        log.begin(transaction);
        for step in 0..steps {
            log.append(&[step; 10]).unwrap();
        }
    }
    // Behind the only step of the second transaction there are whole ones of the first.
    assert_eq!(read(&bytes(&directory), 2).len(), 1);
}

#[test]
fn the_file_is_longer_than_what_is_written_and_has_a_bound() {
    let directory = TempDir::new().unwrap();
    let mut log = log(&directory);
    log.begin(1);
    let mut steps = 0_u64;
    while !log.is_full() {
        log.append(&vec![7; STEP_BYTES_MAX]).unwrap();
        steps += 1;
        let length = std::fs::metadata(log.path()).unwrap().len();
        assert!(log.end <= length && length.is_multiple_of(GROWTH_BYTES) && length <= FILE_BYTES_MAX);
    }
    assert!(steps > 4);
    assert_eq!(read(&bytes(&directory), 1).len(), usize::try_from(steps).unwrap());
}

#[cfg(unix)]
#[test]
fn it_holds_payment_proofs_and_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let mode = std::fs::metadata(log(&directory).path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn durable_steps_are_written_again_once() {
    let directory = TempDir::new().unwrap();
    let mut log = log(&directory);
    let connection = Connection::open(directory.path().join("notes.db")).unwrap();
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 0, "an empty database keeps none");
    connection.execute_batch(include_str!("../schema/ledger_12.sql")).unwrap();
    connection.execute_batch("CREATE TABLE notes (number INTEGER) STRICT; BEGIN").unwrap();
    let mut redo = Redo::default();
    redo.begin();
    log.begin(next(&connection).unwrap().unwrap());
    for number in 1..=2 {
        redo.next_step();
        let mut insert = Statement::of(&connection, "INSERT INTO notes VALUES (?1)").unwrap();
        redo.execute(&mut insert, &[&number]).unwrap();
        log.append(redo.take(1).unwrap()).unwrap();
    }
    connection.execute_batch("ROLLBACK").unwrap();
    let notes =
        || -> i64 { connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0)).unwrap() };
    assert_eq!(notes(), 0);
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 2);
    assert_eq!(notes(), 2);
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 0, "they are in the file now");
    assert_eq!(notes(), 2);
}

#[test]
fn a_file_that_cannot_be_written_past_the_page_cache_is_written_through_it() {
    let directory = TempDir::new().unwrap();
    let mut log = log(&directory);
    log.begin(1);
    // No disk writes from the second byte on; what it says to that, a file system may say to every such write.
    log.end = 1;
    log.append(b"one").unwrap();
    let bytes = bytes(&directory);
    let (step, _) = first(&bytes[1..], 1, 0).unwrap();
    assert_eq!(step, b"one");
}

#[test]
fn f17_a_sync_that_finds_the_disk_full_is_a_failed_sync() {
    // Told apart by its kind: a full disk refuses definitely, and what is in doubt ends writing.
    let full = || Error::from(std::io::ErrorKind::StorageFull);
    assert_ne!(in_doubt(full()).kind(), full().kind());
    assert!(in_doubt(full()).to_string().contains(&full().to_string()));
}
