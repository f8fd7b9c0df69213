//! A file with a redo log: steps that are durable before their transaction is committed.

use std::time::Duration;

use super::super::checkpoints::Checkpoints;
use super::super::thread::WriterThread;
use super::*;
use crate::redo::{Redo, Statement};
use crate::redo_log::{self, STEP_BYTES_MAX};

/// A session that notes what goes through it.
#[derive(Debug, Default)]
struct Noting(Redo);

impl Session for Noting {
    fn begin(&mut self, _connection: &Connection, is_first: bool) -> rusqlite::Result<()> {
        if is_first {
            self.0.begin();
        } else {
            self.0.next_step();
        }
        Ok(())
    }

    fn flush(&mut self, _connection: &Connection) -> Result<(), Failure> {
        Ok(())
    }

    fn redo(&mut self, rows: u64) -> Option<&[u8]> {
        self.0.take(rows)
    }

    fn committed(&mut self) {}
}

/// Faults to play, and a gate in front of the end of every transaction with steps.
#[derive(Debug, Default)]
struct Ends {
    faults: Mutex<Vec<DiskFault>>,
    end_faults: Mutex<Vec<DiskFault>>,
    /// While it is shut, no transaction with steps ends.
    is_shut: Mutex<bool>,
    changed: Condvar,
    ended: AtomicUsize,
}

impl Ends {
    fn shut(&self) {
        *self.is_shut.lock() = true;
    }

    fn open(&self) {
        *self.is_shut.lock() = false;
        self.changed.notify_all();
    }
}

/// Opens the gate whatever becomes of a test: a writer behind a shut one never ends.
struct OpensAtLast(Arc<Ends>);

impl Drop for OpensAtLast {
    fn drop(&mut self) {
        self.0.open();
    }
}

impl Failpoints for Ends {
    fn hit(&self, name: &str) {
        match name {
            "before_end" => self.changed.wait_while(&mut self.is_shut.lock(), |is_shut| *is_shut),
            "after_end" => drop(self.ended.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
    }

    fn disk_fault(&self) -> Option<DiskFault> {
        self.faults.lock().pop()
    }

    fn end_fault(&self) -> Option<DiskFault> {
        self.end_faults.lock().pop()
    }
}

struct World {
    directory: TempDir,
    ends: Arc<Ends>,
    writer: Option<Writer<Noting>>,
}

const FILE: &str = "notes.db";
const LOG: &str = "notes.redo";

fn connect(directory: &TempDir) -> Connection {
    let connection = Connection::open(directory.path().join(FILE)).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection
}

impl World {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let connection = connect(&directory);
        connection.execute_batch("CREATE TABLE notes (number INTEGER PRIMARY KEY) STRICT").unwrap();
        connection.execute_batch(include_str!("../../schema/ledger_12.sql")).unwrap();
        connection.execute_batch(include_str!("../../schema/ledger_17.sql")).unwrap();
        Self::on(directory)
    }

    /// A writer on a directory, after what its log has beyond the file was written into it: as a start does.
    fn on(directory: TempDir) -> Self {
        let connection = connect(&directory);
        let path = directory.path().join(LOG);
        redo_log::recover(&connection, &path, None).unwrap();
        let ends = Arc::<Ends>::default();
        let failpoints: Arc<dyn Failpoints> = Arc::<Ends>::clone(&ends);
        let hooks = Hooks { failpoints: Some(failpoints), ..Hooks::default() };
        let mut log = RedoLog::of_owner(path).unwrap();
        log.begin_run(&connection).unwrap();
        let writer =
            Writer::start("test-writer", connection, Noting::default(), Some(log), 64, hooks).unwrap();
        Self { directory, ends, writer: Some(writer) }
    }

    fn writer(&self) -> &Writer<Noting> {
        self.writer.as_ref().unwrap()
    }

    /// Writes a number; one that is there breaks the transaction.
    async fn note(&self, number: i64) -> Result<(), StoreError> {
        let work = move |batch: &mut Batch<'_, Noting>| {
            let insert = &mut Statement::of(batch.connection, "INSERT INTO notes VALUES (?1)")?;
            batch.session.0.execute(insert, &[&number])?;
            Ok(())
        };
        self.writer().write(work).await
    }

    /// Writes a number past the redo log.
    async fn note_aside(&self, number: i64) -> Result<(), StoreError> {
        let work = move |batch: &mut Batch<'_, Noting>| {
            batch.connection.execute("INSERT INTO notes VALUES (?1)", [number])?;
            Ok(())
        };
        self.writer().write(work).await
    }

    /// What another connection sees.
    fn seen(&self) -> Vec<i64> {
        numbers(&connect(&self.directory))
    }

    /// What whoever starts on the files as they are now finds.
    fn durable(&self) -> Vec<i64> {
        let copy = TempDir::new().unwrap();
        for file in [FILE, "notes.db-wal", LOG] {
            std::fs::copy(self.directory.path().join(file), copy.path().join(file)).unwrap();
        }
        let connection = connect(&copy);
        redo_log::recover(&connection, &copy.path().join(LOG), None).unwrap();
        numbers(&connection)
    }
}

fn numbers(connection: &Connection) -> Vec<i64> {
    let mut query = connection.prepare("SELECT number FROM notes ORDER BY number").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn what_is_answered_is_durable_before_its_transaction_ends() {
    let world = World::new();
    for number in 1..=3 {
        world.ends.shut();
        assert_eq!(world.note(number).await, Ok(()));
        assert_eq!(world.durable(), (1..=number).collect::<Vec<_>>());
        assert_eq!(world.seen(), (1..number).collect::<Vec<_>>(), "control: it is in the redo log only");
        world.ends.open();
        world.writer().show().await.unwrap();
        assert_eq!(world.seen(), (1..=number).collect::<Vec<_>>());
        assert_eq!(world.durable(), (1..=number).collect::<Vec<_>>(), "and not twice");
    }
}

#[tokio::test]
async fn a_transaction_ends_by_itself_when_nothing_follows() {
    let world = World::new();
    assert_eq!(world.note(1).await, Ok(()));
    while world.ends.ended.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.seen(), [1]);
}

#[tokio::test]
async fn a_broken_command_takes_no_step_before_it_along() {
    let world = World::new();
    for number in 1..=3 {
        assert_eq!(world.note(number).await, Ok(()));
    }
    assert!(matches!(world.note(2).await, Err(StoreError::Definite(_))));
    world.writer().show().await.unwrap();
    assert_eq!(world.seen(), [1, 2, 3], "without another command");
    assert_eq!(world.note(4).await, Ok(()));
    world.writer().show().await.unwrap();
    assert_eq!(world.seen(), [1, 2, 3, 4]);
    assert_eq!(world.durable(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn what_goes_past_the_log_is_committed_with_every_step_before_it() {
    let world = World::new();
    assert_eq!(world.note(1).await, Ok(()));
    assert_eq!(world.note_aside(2).await, Ok(()));
    assert_eq!(world.seen(), [1, 2], "without being asked to show it");
    assert_eq!(world.note(3).await, Ok(()));
    assert_eq!(world.durable(), [1, 2, 3]);
}

#[tokio::test]
async fn f17_a_full_disk_refuses_one_step_and_keeps_those_before_it() {
    let world = World::new();
    assert_eq!(world.note(1).await, Ok(()));
    world.ends.faults.lock().push(DiskFault::Full);
    assert_eq!(world.note(2).await, Err(StoreError::NoSpace));
    assert_eq!(world.note(3).await, Ok(()), "when there is space again");
    world.writer().show().await.unwrap();
    assert_eq!(world.seen(), [1, 3]);
    assert_eq!(world.durable(), [1, 3]);
}

#[tokio::test]
async fn f17_what_follows_a_full_disk_at_once_can_be_read_from_the_log_alone() {
    let world = World::new();
    let _opens = OpensAtLast(Arc::clone(&world.ends));
    assert_eq!(world.note(1).await, Ok(()));
    world.ends.faults.lock().push(DiskFault::Full);
    assert_eq!(world.note(2).await, Err(StoreError::NoSpace));
    world.ends.shut();
    // Queued while the steps before the fault are put back.
    assert_eq!(world.note(3).await, Ok(()));
    assert_eq!(world.durable(), [1, 3]);
}

#[tokio::test]
async fn f16_after_a_failed_sync_what_was_answered_is_seen_and_what_was_not_is_given_up() {
    for fault in [DiskFault::SyncLost, DiskFault::SyncKept] {
        let mut world = World::new();
        assert_eq!(world.note(1).await, Ok(()));
        world.ends.faults.lock().push(fault);
        let answer = world.note(2).await;
        assert!(matches!(answer, Err(StoreError::Unknown(_))), "{fault:?}: {answer:?}");
        assert_eq!(world.note(3).await, Err(StoreError::Closed), "{fault:?}");
        world.writer().show().await.unwrap();
        assert_eq!(world.seen(), [1], "{fault:?}");
        world.writer = None;
        let world = World::on(world.directory);
        assert_eq!(world.seen(), [1], "{fault:?}: after a restart");
        assert_eq!(world.note(2).await, Ok(()), "{fault:?}");
    }
}

#[tokio::test]
async fn a_tool_beside_a_gateway_that_died_finds_its_steps_first() {
    let world = World::new();
    let copy = TempDir::new().unwrap();
    world.ends.shut();
    assert_eq!(world.note(1).await, Ok(()));
    for file in [FILE, "notes.db-wal"] {
        std::fs::copy(world.directory.path().join(file), copy.path().join(file)).unwrap();
    }
    // The tool has opened the file before the gateway died.
    let tool_connection = connect(&copy);
    std::fs::copy(world.directory.path().join(LOG), copy.path().join(LOG)).unwrap();
    world.ends.open();
    let guest = Some(RedoLog::of_guest(copy.path().join(LOG)));
    let tool = Writer::start("tool", tool_connection, Noting::default(), guest, 8, Hooks::default()).unwrap();
    let tool = World { directory: copy, ends: Arc::default(), writer: Some(tool) };
    assert!(tool.seen().is_empty(), "control");
    tool.writer().show().await.unwrap();
    assert_eq!(tool.seen(), [1]);
    assert_eq!(tool.note(2).await, Ok(()));
    assert_eq!(tool.seen(), [1, 2], "a tool commits at once");
    assert_eq!(tool.durable(), [1, 2]);
}

#[tokio::test]
async fn a_tool_waits_for_the_steps_of_a_gateway_that_lives() {
    let world = World::new();
    let log = Some(RedoLog::of_guest(world.directory.path().join(LOG)));
    let connection = connect(&world.directory);
    let tool = Writer::start("tool", connection, Noting::default(), log, 8, Hooks::default()).unwrap();
    for number in 1..=20 {
        assert_eq!(world.note(number).await, Ok(()));
        tool.show().await.unwrap();
        assert_eq!(world.seen().len(), usize::try_from(number).unwrap());
    }
}

#[test]
fn dropping_a_writer_ends_its_transaction() {
    let mut world = World::new();
    let mut notes: Vec<_> = (1..=3).map(|number| Box::pin(world.note(number))).collect();
    for note in &mut notes {
        polled(note.as_mut());
    }
    drop(notes);
    world.writer = None;
    assert_eq!(world.seen(), [1, 2, 3]);
}

#[tokio::test]
async fn a_full_log_ends_its_transaction() {
    let world = World::new();
    let large = |number: i64| {
        let work = move |batch: &mut Batch<'_, Noting>| {
            let filling = vec![0_u8; STEP_BYTES_MAX - 1_000];
            let text = "INSERT INTO notes SELECT ?1 WHERE length(?2) > 0";
            batch.session.0.execute(&mut Statement::of(batch.connection, text)?, &[&number, &filling])?;
            Ok(())
        };
        world.writer().write(work)
    };
    for number in 1..=40 {
        assert_eq!(large(number).await, Ok(()));
    }
    assert_eq!(world.durable().len(), 40);
    let length = std::fs::metadata(world.directory.path().join(LOG)).unwrap().len();
    assert!(length <= 1 << 22, "{length}: twice as much was written");
}

#[tokio::test]
async fn f16_a_transaction_whose_own_sync_fails_loses_none_of_its_steps() {
    for fault in [DiskFault::SyncLost, DiskFault::SyncKept] {
        let mut world = World::new();
        world.ends.end_faults.lock().push(fault);
        assert_eq!(world.note(1).await, Ok(()));
        while world.writer().is_open() {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.note(2).await, Err(StoreError::Closed), "{fault:?}");
        // Whatever else it does before it is gone, it leaves the step to whoever starts next.
        world.writer = None;
        let world = World::on(world.directory);
        assert_eq!(world.seen(), [1], "{fault:?}");
        assert_eq!(world.note(2).await, Ok(()), "{fault:?}: control");
        world.writer().show().await.unwrap();
        assert_eq!(world.seen(), [1, 2], "{fault:?}");
    }
}

#[tokio::test]
async fn f16_what_goes_past_the_log_and_fails_to_sync_takes_no_step_before_it_along() {
    for (fault, found) in [(DiskFault::SyncLost, vec![1]), (DiskFault::SyncKept, vec![1, 2])] {
        let mut world = World::new();
        assert_eq!(world.note(1).await, Ok(()));
        world.ends.faults.lock().push(fault);
        let answer = world.note_aside(2).await;
        assert!(matches!(answer, Err(StoreError::Unknown(_))), "{fault:?}: {answer:?}");
        world.writer = None;
        assert_eq!(World::on(world.directory).seen(), found, "{fault:?}");
    }
}

#[tokio::test]
async fn a_step_that_a_broken_file_cuts_short_is_not_there_by_half() {
    for aside in [false, true] {
        let mut world = World::new();
        assert_eq!(world.note(1).await, Ok(()));
        let breaks = move |batch: &mut Batch<'_, Noting>| -> Result<(), Failure> {
            let text = "INSERT INTO notes VALUES (2)";
            if aside {
                batch.connection.execute(text, [])?;
            } else {
                batch.session.0.execute(&mut Statement::of(batch.connection, text)?, &[])?;
            }
            let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            Err(Failure::Database(rusqlite::Error::SqliteFailure(corrupt, None)))
        };
        assert_eq!(world.writer().write(breaks).await, Err(StoreError::Closed));
        world.writer = None;
        assert_eq!(World::on(world.directory).seen(), [1], "past the log: {aside}");
    }
}

/// A writer's thread without a thread, to look into.
fn unstarted(world: &World, faults: Vec<DiskFault>, end_faults: Vec<DiskFault>) -> WriterThread<Noting> {
    let mut connection = connect(&world.directory);
    let ends = Ends { faults: Mutex::new(faults), end_faults: Mutex::new(end_faults), ..Ends::default() };
    let hooks = Hooks { failpoints: Some(Arc::new(ends)), ..Hooks::default() };
    WriterThread {
        checkpoints: Checkpoints::of(&mut connection, hooks.clone()).unwrap(),
        connection,
        session: Noting::default(),
        state: Arc::default(),
        hooks,
        redo: Some(RedoLog::of_owner(world.directory.path().join(LOG)).unwrap()),
        transaction: None,
        is_undone: false,
    }
}

#[test]
fn f16_a_writer_that_has_stopped_has_nothing_left_to_end() {
    let mut world = World::new();
    world.writer = None;
    let mut number = 0;
    for fault in [DiskFault::SyncLost, DiskFault::SyncKept] {
        // The sync of the log fails, or that of the transaction's end, or both.
        for (in_log, at_end) in [(true, false), (false, true), (true, true)] {
            let faults = in_log.then_some(fault).into_iter().collect();
            let mut thread = unstarted(&world, faults, at_end.then_some(fault).into_iter().collect());
            number += 1;
            let work = move |batch: &mut Batch<'_, Noting>| {
                let insert = &mut Statement::of(batch.connection, "INSERT INTO notes VALUES (?1)")?;
                batch.session.0.execute(insert, &[&number])?;
                Ok(())
            };
            thread.carry_out(vec![Box::new(Task::new(work, Awaited::Commit).0)]);
            if !thread.state.closed.load(Ordering::Acquire) {
                thread.end();
            }
            let case = format!("{fault:?}, in the log {in_log}, at the end {at_end}");
            assert!(thread.state.closed.load(Ordering::Acquire), "{case}");
            assert_eq!((thread.transaction, thread.connection.is_autocommit()), (None, true), "{case}");
        }
    }
}
