use std::pin::{Pin, pin};
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Waker};

use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

use super::thread::{is_environment, is_storage_fault};
use super::*;
use crate::{DiskFault, Failpoints};

mod log;
mod steps;

/// The session of a writer that remembers nothing.
#[derive(Debug)]
struct Stateless;

impl Session for Stateless {
    fn begin(&mut self, _connection: &Connection, _is_first: bool) -> rusqlite::Result<()> {
        Ok(())
    }

    fn flush(&mut self, _connection: &Connection) -> Result<(), Failure> {
        Ok(())
    }

    fn committed(&mut self) {}
}

/// Faults to play, and a gate in front of every commit.
#[derive(Debug, Default)]
struct Script {
    faults: Mutex<Vec<DiskFault>>,
    gate: Mutex<Gate>,
    changed: Condvar,
    commits: AtomicUsize,
}

#[derive(Debug, Default)]
struct Gate {
    shut: bool,
    waiting: bool,
}

impl Script {
    fn shut(&self) {
        self.gate.lock().shut = true;
    }

    /// Waits until the writer stands before the gate.
    fn reached(&self) {
        self.changed.wait_while(&mut self.gate.lock(), |gate| !gate.waiting);
    }

    fn open(&self) {
        self.gate.lock().shut = false;
        self.changed.notify_all();
    }
}

impl Failpoints for Script {
    fn hit(&self, name: &str) {
        if name == "before_commit" {
            let mut gate = self.gate.lock();
            gate.waiting = true;
            self.changed.notify_all();
            self.changed.wait_while(&mut gate, |gate| gate.shut);
            gate.waiting = false;
        } else {
            assert_eq!(name, "after_commit");
            self.commits.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn disk_fault(&self) -> Option<DiskFault> {
        self.faults.lock().pop()
    }
}

/// A file with one table, its writer, and the script that its commits follow.
struct World {
    directory: TempDir,
    script: Arc<Script>,
    writer: Option<Writer<Stateless>>,
}

type Answer = Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

impl World {
    fn new(queue_commands_max: usize) -> Self {
        let directory = TempDir::new().unwrap();
        let connection = Connection::open(directory.path().join("notes.db")).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.busy_timeout(std::time::Duration::ZERO).unwrap();
        connection.execute_batch("CREATE TABLE notes (number INTEGER PRIMARY KEY) STRICT").unwrap();
        let script = Arc::<Script>::default();
        let failpoints: Arc<dyn Failpoints> = Arc::<Script>::clone(&script);
        let hooks = Hooks { failpoints: Some(failpoints), ..Hooks::default() };
        let writer =
            Writer::start("test-writer", connection, Stateless, None, queue_commands_max, hooks).unwrap();
        Self { directory, script, writer: Some(writer) }
    }

    /// Writes a number. 13 is refused; a number that is there breaks the transaction.
    async fn note(&self, number: i64) -> Result<(), StoreError> {
        self.writer.as_ref().unwrap().write(noting(number)).await
    }

    /// The same, answered once it is decided.
    async fn note_ahead(&self, number: i64) -> Result<(), StoreError> {
        self.writer.as_ref().unwrap().decide(noting(number)).await
    }

    /// What another connection sees.
    fn notes(&self) -> Vec<i64> {
        let connection = Connection::open(self.directory.path().join("notes.db")).unwrap();
        let mut query = connection.prepare("SELECT number FROM notes ORDER BY number").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Commits 0 alone, and the numbers together behind it.
    async fn together(&self, numbers: impl IntoIterator<Item = i64>) -> Vec<Result<(), StoreError>> {
        self.script.shut();
        let mut first = pin!(self.note(0));
        assert_eq!(polled(first.as_mut()), None);
        self.script.reached();
        let mut queued = Vec::new();
        for number in numbers {
            let mut note = Box::pin(self.note(number));
            assert_eq!(polled(note.as_mut()), None, "{number} is queued");
            queued.push(note);
        }
        self.script.open();
        first.await.unwrap();
        let mut answers = Vec::new();
        for note in queued {
            answers.push(note.await);
        }
        answers
    }
}

fn noting(number: i64) -> impl Fn(&mut Batch<'_, Stateless>) -> Result<(), Failure> {
    move |batch| {
        if number == 13 {
            return Err(Failure::Refused(StoreError::Definite("unlucky".to_owned())));
        }
        batch.connection.execute("INSERT INTO notes VALUES (?1)", [number])?;
        Ok(())
    }
}

/// Polls once, which is what queues a command.
fn polled<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn what_is_queued_during_a_commit_shares_the_next_one() {
    let world = World::new(2_000);
    let most = i64::try_from(BATCH_COMMANDS_MAX).unwrap();
    let answers = world.together((1..=most).map(|number| number + 100)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.script.commits.load(Ordering::SeqCst), 2);
    assert_eq!(world.notes().len(), BATCH_COMMANDS_MAX + 1);
}

#[tokio::test]
async fn a_batch_has_a_bound() {
    let world = World::new(2_000);
    let one_more = i64::try_from(BATCH_COMMANDS_MAX).unwrap() + 1;
    let answers = world.together((1..=one_more).map(|number| number + 100)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.script.commits.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn nothing_is_answered_or_seen_before_its_commit() {
    let world = World::new(8);
    world.script.shut();
    let mut note = pin!(world.note(1));
    assert_eq!(polled(note.as_mut()), None);
    world.script.reached();
    assert_eq!(polled(note.as_mut()), None, "written, but not durable");
    assert!(world.notes().is_empty());
    world.script.open();
    assert_eq!(note.await, Ok(()));
    assert_eq!(world.notes(), [1]);
}

#[tokio::test]
async fn what_is_awaited_ahead_is_answered_when_it_is_decided_and_durable_no_later_than_what_follows() {
    let world = World::new(8);
    world.script.shut();
    assert_eq!(world.note_ahead(1).await, Ok(()), "its commit stands before a gate that is shut");
    assert!(world.notes().is_empty(), "nothing of it is durable");
    world.script.reached();
    let mut behind = pin!(world.note(2));
    assert_eq!(polled(behind.as_mut()), None, "control: whoever waits for the commit waits");
    world.script.open();
    assert_eq!(behind.await, Ok(()));
    assert_eq!(world.notes(), [1, 2]);
    assert!(matches!(world.note_ahead(13).await, Err(StoreError::Definite(_))), "a refusal is said as well");
}

#[tokio::test]
async fn whoever_reads_what_was_answered_ahead_waits_for_its_commit() {
    let world = World::new(8);
    world.script.shut();
    assert_eq!(world.note_ahead(1).await, Ok(()));
    let mut shown = pin!(world.writer.as_ref().unwrap().show());
    assert_eq!(polled(shown.as_mut()), None);
    assert!(world.notes().is_empty(), "control: the others do not see it yet");
    world.script.open();
    assert_eq!(shown.await, Ok(()));
    assert_eq!(world.notes(), [1]);
    assert_eq!(
        polled(pin!(world.writer.as_ref().unwrap().show())),
        Some(Ok(())),
        "there is nothing to wait for"
    );
}

#[tokio::test]
async fn what_was_answered_ahead_is_taken_back_by_a_disk_that_fails() {
    let world = World::new(8);
    world.script.faults.lock().push(DiskFault::Full);
    assert_eq!(world.note_ahead(1).await, Ok(()));
    assert_eq!(world.note(2).await, Ok(()), "there is space again");
    assert_eq!(world.notes(), [2]);

    let world = World::new(8);
    world.script.faults.lock().push(DiskFault::SyncLost);
    assert_eq!(world.note_ahead(1).await, Ok(()));
    assert_eq!(world.note(2).await, Err(StoreError::Closed), "what would end it is not answered");
    assert!(world.notes().is_empty());
}

#[tokio::test]
async fn nobody_is_answered_ahead_in_a_step_that_another_command_breaks() {
    let world = World::new(8);
    world.script.shut();
    let mut first = pin!(world.note(0));
    assert_eq!(polled(first.as_mut()), None);
    world.script.reached();
    let (mut ahead, mut breaks) = (pin!(world.note_ahead(1)), pin!(world.note(0)));
    assert_eq!(polled(ahead.as_mut()), None);
    assert_eq!(polled(breaks.as_mut()), None);
    world.script.open();
    assert_eq!((first.await, ahead.await), (Ok(()), Ok(())));
    assert!(matches!(breaks.await, Err(StoreError::Definite(_))));
    assert_eq!(world.notes(), [0, 1]);
}

#[tokio::test]
async fn refused_and_broken_commands_fail_alone() {
    let world = World::new(8);
    let unlucky = Err(StoreError::Definite("unlucky".to_owned()));
    let answers = world.together([1, 13, 2]).await;
    assert_eq!(answers, [Ok(()), unlucky.clone(), Ok(())]);
    assert_eq!(world.script.commits.load(Ordering::SeqCst), 2, "a refusal costs nobody a commit");

    assert_eq!(world.note(13).await, unlucky);
    assert_eq!(world.script.commits.load(Ordering::SeqCst), 2, "nor does it cost one of its own");

    let world = World::new(8);
    let answers = world.together([1, 1, 13, 2]).await;
    assert!(
        matches!(answers.as_slice(), [Ok(()), Err(StoreError::Definite(_)), refused, Ok(())] if *refused == unlucky)
    );
    assert_eq!(world.notes(), [0, 1, 2]);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_nothing_of_it_is_done() {
    let world = World::new(2);
    world.script.shut();
    let mut notes: Vec<_> = (1..=4).map(|number| Box::pin(world.note(number))).collect();
    assert_eq!(polled(notes[0].as_mut()), None);
    world.script.reached();
    assert_eq!(polled(notes[1].as_mut()), None);
    assert_eq!(polled(notes[2].as_mut()), None);
    assert_eq!(polled(notes[3].as_mut()), Some(Err(StoreError::Busy)));
    world.script.open();
    notes.pop();
    for note in notes {
        assert_eq!(note.await, Ok(()));
    }
    assert_eq!(world.notes(), [1, 2, 3]);
    assert_eq!(world.note(5).await, Ok(()), "control: there is room again");
}

#[tokio::test]
async fn a_command_whose_caller_went_away_is_carried_out() {
    let world = World::new(8);
    world.script.shut();
    let mut leaving: Answer = {
        let writer = world.writer.as_ref().unwrap();
        let work = |batch: &mut Batch<'_, Stateless>| {
            Ok(batch.connection.execute("INSERT INTO notes VALUES (7)", [])?)
        };
        let (task, answer) = Task::new(work, Awaited::Commit);
        let queue = writer.queue.as_ref().unwrap();
        queue.try_send(Queued::Job(Box::new(task))).ok().unwrap();
        Box::pin(async move { answer.await.unwrap().map(drop) })
    };
    assert_eq!(polled(leaving.as_mut()), None);
    world.script.reached();
    drop(leaving);
    world.script.open();
    assert_eq!(world.note(8).await, Ok(()));
    assert_eq!(world.notes(), [7, 8]);
}

#[tokio::test]
async fn f16_a_failed_sync_leaves_everyone_uncertain_and_ends_writing() {
    for (fault, kept) in [(DiskFault::SyncLost, vec![]), (DiskFault::SyncKept, vec![1])] {
        let mut world = World::new(8);
        world.script.faults.lock().push(fault);
        let answer = world.note(1).await;
        assert!(matches!(answer, Err(StoreError::Unknown(_))), "{fault:?}: {answer:?}");
        assert_eq!(world.note(2).await, Err(StoreError::Closed), "{fault:?}: not even tried");
        // Only who looks again after a restart learns which it was.
        world.writer = None;
        assert_eq!(world.notes(), kept, "{fault:?}");
    }
    let world = World::new(8);
    assert_eq!(world.note(1).await, Ok(()), "control: without the fault");
    assert_eq!(world.note(2).await, Ok(()));
}

#[tokio::test]
async fn f16_what_is_queued_behind_a_failed_sync_is_not_done_and_a_refusal_stays_a_refusal() {
    let world = World::new(8);
    world.script.faults.lock().push(DiskFault::SyncLost);
    world.script.shut();
    let mut first = pin!(world.note(1));
    assert_eq!(polled(first.as_mut()), None);
    world.script.reached();
    let mut behind = pin!(world.note(2));
    assert_eq!(polled(behind.as_mut()), None);
    world.script.open();
    assert!(matches!(first.await, Err(StoreError::Unknown(_))));
    assert_eq!(behind.await, Err(StoreError::Closed));
    assert!(world.notes().is_empty());
}

#[tokio::test]
async fn f17_a_full_disk_refuses_definitely_and_recovers() {
    let world = World::new(8);
    world.script.faults.lock().push(DiskFault::Full);
    assert_eq!(world.note(1).await, Err(StoreError::NoSpace));
    assert!(world.notes().is_empty());
    assert_eq!(world.note(1).await, Ok(()), "when there is space again");
}

#[tokio::test]
async fn another_process_that_writes_for_too_long_makes_it_busy() {
    let world = World::new(8);
    let other = Connection::open(world.directory.path().join("notes.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(world.note(1).await, Err(StoreError::Busy));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(world.note(1).await, Ok(()), "control");
}

#[tokio::test]
async fn f8_a_writer_that_panics_says_that_it_takes_nothing_any_more() {
    let mut world = World::new(8);
    assert_eq!(world.note(1).await, Ok(()));
    let writer = world.writer.as_ref().unwrap();
    assert!(writer.is_open(), "control");
    let panics = |_: &mut Batch<'_, Stateless>| -> Result<(), Failure> { panic!("as a test asked") };
    assert!(matches!(writer.write(panics).await, Err(StoreError::Unknown(_))));
    while writer.is_open() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.note(2).await, Err(StoreError::Closed));
    world.writer = None;
    assert_eq!(world.notes(), [1]);
}

#[test]
fn dropping_a_writer_finishes_what_is_queued() {
    let mut world = World::new(8);
    let mut notes: Vec<_> = (1..=3).map(|number| Box::pin(world.note(number))).collect();
    for note in &mut notes {
        polled(note.as_mut());
    }
    drop(notes);
    world.writer = None;
    assert_eq!(world.notes(), [1, 2, 3]);
}

#[test]
fn only_the_environment_is_blamed_on_everybody() {
    use rusqlite::ffi;
    let error = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
    for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
        assert!(is_storage_fault(error(code).sqlite_error_code()), "{code} closes the store");
        assert!(is_environment(&error(code)), "{code}");
    }
    for code in [ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_READONLY] {
        assert!(!is_storage_fault(error(code).sqlite_error_code()), "{code} passes");
        assert!(is_environment(&error(code)), "{code}");
    }
    assert!(!is_environment(&error(ffi::SQLITE_CONSTRAINT_UNIQUE)), "that is one command's own fault");
}
