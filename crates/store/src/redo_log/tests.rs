use tempfile::TempDir;

use super::*;
use crate::redo::{Redo, Statement};

fn log(directory: &TempDir) -> RedoLog {
    RedoLog::of_owner(directory.path().join("notes.redo")).unwrap()
}

fn bytes(directory: &TempDir) -> Vec<u8> {
    std::fs::read(directory.path().join("notes.redo")).unwrap()
}

/// The steps of a transaction in bytes of a log that has begun no run.
fn read(log: &[u8], transaction: u64) -> Vec<&[u8]> {
    super::read(log, transaction, Named::By(Some([0; RUN_BYTES])))
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

const REDO: [&str; 2] = [include_str!("../schema/ledger_12.sql"), include_str!("../schema/ledger_17.sql")];

/// A database that keeps a log, as a schema of `versions` of it has it, and a table for notes.
fn database(directory: &TempDir, file: &str, versions: usize) -> Connection {
    let connection = Connection::open(directory.path().join(file)).unwrap();
    connection.execute_batch(&REDO[..versions].concat()).unwrap();
    connection.execute_batch("CREATE TABLE notes (number INTEGER) STRICT").unwrap();
    connection
}

fn notes(connection: &Connection) -> i64 {
    connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0)).unwrap()
}

/// A transaction of two steps, each of them durable in the log; rolled back, as by a crash.
fn two_steps(log: &mut RedoLog, connection: &Connection) -> Vec<Vec<u8>> {
    connection.execute_batch("BEGIN").unwrap();
    let mut redo = Redo::default();
    redo.begin();
    log.begin(next(connection).unwrap().unwrap());
    let mut steps = Vec::new();
    for number in 1..=2 {
        redo.next_step();
        let insert = &mut Statement::of(connection, "INSERT INTO notes VALUES (?1)").unwrap();
        redo.execute(insert, &[&number]).unwrap();
        let step = redo.take(1).unwrap();
        log.append(step).unwrap();
        steps.push(step.to_vec());
    }
    connection.execute_batch("ROLLBACK").unwrap();
    steps
}

fn is_foreign(connection: &Connection, log: &RedoLog) -> bool {
    matches!(recover(connection, log.path(), None), Err(RecoverError::Foreign))
}

#[test]
fn durable_steps_are_written_again_once() {
    let directory = TempDir::new().unwrap();
    let mut log = log(&directory);
    let empty = Connection::open_in_memory().unwrap();
    assert_eq!(recover(&empty, log.path(), None).unwrap(), 0, "an empty database keeps none");
    let connection = database(&directory, "notes.db", 2);
    log.begin_run(&connection).unwrap();
    two_steps(&mut log, &connection);
    assert_eq!(notes(&connection), 0);
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 2);
    assert_eq!(notes(&connection), 2);
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 0, "they are in the file now");
    assert_eq!(notes(&connection), 2);
    assert!(has_steps(log.path()).unwrap() && !has_steps(&directory.path().join("none")).unwrap());
}

#[test]
fn steps_are_written_into_no_other_database_and_into_no_other_state_of_their_own() {
    let directory = TempDir::new().unwrap();
    let mut log = log(&directory);
    let connection = database(&directory, "notes.db", 2);
    let never_started = database(&directory, "new.db", 2);
    log.begin_run(&connection).unwrap();
    let copied = |name: &str| {
        let path = directory.path().join(name);
        connection.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
        Connection::open(path).unwrap()
    };
    let before = copied("before.db");
    two_steps(&mut log, &connection);
    assert!(is_foreign(&never_started, &log));
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 2, "control");
    two_steps(&mut log, &connection);
    // The same numbers of transactions, of another gateway.
    let other = database(&directory, "other.db", 2);
    let mut elsewhere = RedoLog::of_owner(directory.path().join("other.redo")).unwrap();
    elsewhere.begin_run(&other).unwrap();
    committing(&other, 1).unwrap();
    assert!(is_foreign(&other, &log));
    // What happened between this copy and the steps is nowhere.
    assert!(is_foreign(&before, &log));
    assert_eq!([&other, &before].map(notes), [0, 0]);
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 2, "control");
    // What was copied in an earlier run is as foreign, however many transactions there were since.
    let earlier = copied("earlier.db");
    log.begin_run(&connection).unwrap();
    assert!(!has_steps(log.path()).unwrap(), "nothing of an earlier run is left");
    two_steps(&mut log, &connection);
    assert!(is_foreign(&earlier, &log));
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 2, "control");
}

#[test]
fn a_log_of_an_earlier_version_is_written_into_its_file_before_that_is_migrated() {
    let directory = TempDir::new().unwrap();
    let mut log = log(&directory);
    let connection = database(&directory, "notes.db", 1);
    let steps = two_steps(&mut log, &connection);
    // As that version wrote them: without a run.
    let mut written = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let mut fields = u32::try_from(step.len()).unwrap().to_le_bytes().to_vec();
        fields.extend(1_u64.to_le_bytes());
        fields.extend(u32::try_from(place).unwrap().to_le_bytes());
        let mut block = checksum(&fields, step).to_vec();
        block.extend(fields);
        block.extend(step);
        block.resize(block.len().next_multiple_of(BLOCK_BYTES), 0);
        written.extend(block);
    }
    std::fs::write(log.path(), &written).unwrap();
    assert!(has_steps(log.path()).unwrap());
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 2);
    assert_eq!(notes(&connection), 2);
    connection.execute_batch(REDO[1]).unwrap();
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 0, "a crash before the first run");
    log.begin_run(&connection).unwrap();
    two_steps(&mut log, &connection);
    assert_eq!(recover(&connection, log.path(), None).unwrap(), 2);
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
    assert_eq!(read(&bytes[1..], 1), [b"one".as_slice()]);
}

#[test]
fn f17_a_sync_that_finds_the_disk_full_is_a_failed_sync() {
    // Told apart by its kind: a full disk refuses definitely, and what is in doubt ends writing.
    let full = || Error::from(std::io::ErrorKind::StorageFull);
    assert_ne!(in_doubt(full()).kind(), full().kind());
    assert!(in_doubt(full()).to_string().contains(&full().to_string()));
}
