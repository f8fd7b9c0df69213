//! The one thread that writes a file: group commit. Owns the order of commands, the transaction, and what a failed
//! commit means for everyone in it. Knows nothing of what the commands do.
//!
//! What is queued together is a step. A step is durable, and its commands are answered, when it is committed or, in a file with a redo
//! log, when it is in there: then the transaction stays open for the steps that follow, and is committed when nothing
//! follows, when the log is full, or when somebody wants to read.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::ffi::ErrorCode;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB};
use tokio::sync::oneshot;
use tollgate_ledger::{Refusal, StoreError};

use crate::redo_log::{self, RecoverError, RedoLog, STEP_BYTES_MAX};

/// How many commands share one step at most. The writer never waits for more: making a step durable itself gathers the next one.
pub const BATCH_COMMANDS_MAX: usize = 512;

/// How long an open transaction waits for another step.
const NEXT_STEP: Duration = Duration::from_millis(1);

/// How long the file is left to others after a transaction that ended because the log was full, and not because nothing
/// followed. Whoever waits for the file looks more often than that.
const OTHERS: Duration = Duration::from_micros(500);

/// From how many pages on the log is moved into the file: when nothing is waiting, and in any case. 4 and 16 MiB.
const LOG_PAGES_IDLE: i32 = 4_000;
const LOG_PAGES_MAX: i32 = 16_000;

/// What lives on the writer's thread between and within transactions.
pub(crate) trait Session: Send + 'static {
    /// A step begins: forget what the last one remembered. `is_first`: of its transaction.
    fn begin(&mut self, connection: &Connection, is_first: bool) -> rusqlite::Result<()>;

    /// Everything was applied: write what was kept back. A refusal is of one of the commands, it is not said which.
    fn flush(&mut self, connection: &Connection) -> Result<(), Failure>;

    /// What the step wrote, for the redo log, if that is everything that has changed `rows` rows.
    fn redo(&mut self, _rows: u64) -> Option<&[u8]> {
        None
    }

    /// The step is durable.
    fn committed(&mut self);
}

/// An open transaction and its session, as commands see them.
pub(crate) struct Batch<'a, S> {
    pub(crate) connection: &'a Connection,
    pub(crate) session: &'a mut S,
}

/// Why a command has no result.
pub(crate) enum Failure {
    /// This command alone is refused; it has written nothing.
    Refused(StoreError),
    /// The database failed; the transaction cannot go on.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(StoreError::Refused(refusal))
    }
}

/// The sending side of a writer thread, which ends with it.
pub(crate) struct Writer<S> {
    queue: Option<mpsc::SyncSender<Queued<S>>>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread says of itself.
#[derive(Debug, Default)]
struct State {
    /// Nothing is accepted any more.
    closed: AtomicBool,
    /// There may be durable steps that other connections do not see yet. Always so beside a gateway, which does not say.
    unseen: AtomicBool,
}

/// What waits for the thread.
enum Queued<S> {
    Job(Box<dyn Job<S>>),
    /// Commit the open transaction, and say so.
    Show(oneshot::Sender<()>),
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<S: Session> Writer<S> {
    /// Starts the thread that owns `connection` and `session`.
    pub(crate) fn start(
        name: &str,
        mut connection: Connection,
        session: S,
        redo: Option<RedoLog>,
        queue_commands_max: usize,
        hooks: Hooks,
    ) -> std::io::Result<Self> {
        let (queue, commands) = mpsc::sync_channel(queue_commands_max.max(1));
        let state = Arc::<State>::default();
        state.unseen.store(redo.as_ref().is_some_and(|log| !log.is_written()), Ordering::Release);
        // In place of SQLite's own checkpoint, which would swallow a failed sync.
        let log_pages = Arc::new(AtomicI32::new(0));
        let counted = Arc::clone(&log_pages);
        let count = move |_: &mut Wal, pages| {
            counted.store(pages, Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(count)).map_err(std::io::Error::other)?;
        let thread = WriterThread {
            connection,
            session,
            state: Arc::clone(&state),
            log_pages,
            hooks,
            redo,
            transaction: None,
            is_undone: false,
        };
        let thread =
            std::thread::Builder::new().name(name.to_owned()).spawn(move || thread.run(&commands))?;
        Ok(Self { queue: Some(queue), state, thread: Some(thread) })
    }

    /// Whether commands are accepted.
    pub(crate) fn is_open(&self) -> bool {
        !self.state.closed.load(Ordering::Acquire)
    }

    /// Makes every other connection see what was answered so far.
    ///
    /// # Errors
    /// [`StoreError::Busy`].
    pub(crate) async fn show(&self) -> Result<(), StoreError> {
        let Some(queue) = self.queue.as_ref().filter(|_| self.state.unseen.load(Ordering::Acquire)) else {
            return Ok(());
        };
        let (shown, is_shown) = oneshot::channel();
        match queue.try_send(Queued::Show(shown)) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Full(_)) => return Err(StoreError::Busy),
            Err(mpsc::TrySendError::Disconnected(_)) => return Ok(()),
        }
        // A writer that stopped shows nothing more than it has.
        is_shown.await.unwrap_or_default();
        Ok(())
    }

    /// Has `work` done inside a transaction, and answers when it is durable. `work` may be called more than once, each
    /// time after a rollback of the time before; it must refuse before it writes.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Batch<'_, S>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        if !self.is_open() {
            return Err(StoreError::Closed);
        }
        let (reply, answer) = oneshot::channel();
        let task = Task { work, outcome: None, reply };
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.try_send(Queued::Job(Box::new(task))).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => StoreError::Busy,
            mpsc::TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Unknown("the writer stopped".to_owned())))
    }
}

impl<S> Drop for Writer<S> {
    /// Lets the thread finish what is queued, and waits for it: whoever opens the file next finds it at rest.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer thread panicked");
        }
    }
}

/// Who is told of commits, and what tests hang into a writer.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) commits: Option<Arc<dyn crate::Commits>>,
    #[cfg(any(test, feature = "failpoints"))]
    pub(crate) failpoints: Option<Arc<dyn crate::Failpoints>>,
}

impl Hooks {
    /// Has a step made durable, and tells who wants to know how long that takes.
    fn timing<T>(&self, make_durable: impl FnOnce() -> T) -> T {
        let Some(commits) = &self.commits else { return make_durable() };
        commits.begins();
        let made = make_durable();
        commits.ended();
        made
    }
}

#[cfg(not(any(test, feature = "failpoints")))]
impl Hooks {
    pub(crate) fn hit(&self, _name: &str) {}

    fn commit(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch("COMMIT")
    }

    fn append(&self, log: &mut RedoLog, step: &[u8]) -> std::io::Result<()> {
        log.append(step)
    }
}

#[cfg(any(test, feature = "failpoints"))]
impl Hooks {
    pub(crate) fn hit(&self, name: &str) {
        if let Some(failpoints) = &self.failpoints {
            failpoints.hit(name);
        }
    }

    fn fault(&self) -> Option<crate::DiskFault> {
        self.failpoints.as_ref().and_then(|failpoints| failpoints.disk_fault())
    }

    fn commit(&self, connection: &Connection) -> rusqlite::Result<()> {
        use crate::DiskFault;
        use rusqlite::ffi;

        let (end, code) = match self.fault() {
            None => return connection.execute_batch("COMMIT"),
            Some(DiskFault::SyncKept) => ("COMMIT", ffi::SQLITE_IOERR_FSYNC),
            Some(DiskFault::SyncLost) => ("ROLLBACK", ffi::SQLITE_IOERR_FSYNC),
            Some(DiskFault::Full) => ("ROLLBACK", ffi::SQLITE_FULL),
        };
        connection.execute_batch(end)?;
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    fn append(&self, log: &mut RedoLog, step: &[u8]) -> std::io::Result<()> {
        use std::io::{Error, ErrorKind};

        use crate::DiskFault;

        let fault = match self.fault() {
            None => return log.append(step),
            Some(DiskFault::Full) => return Err(Error::from(ErrorKind::StorageFull)),
            Some(fault) => fault,
        };
        log.append_unsynced(step, fault == DiskFault::SyncKept)?;
        Err(Error::other("the sync failed"))
    }
}

/// One queued command.
trait Job<S>: Send {
    /// Does the work and keeps its outcome; a refusal is an outcome.
    fn apply(&mut self, batch: &mut Batch<'_, S>) -> rusqlite::Result<()>;

    /// Answers: the kept outcome after a commit, else what became of the transaction.
    fn reply(self: Box<Self>, transaction: Result<(), StoreError>);
}

struct Task<F, T> {
    work: F,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<S, T, F> Job<S> for Task<F, T>
where
    T: Send,
    F: Fn(&mut Batch<'_, S>) -> Result<T, Failure> + Send,
{
    fn apply(&mut self, batch: &mut Batch<'_, S>) -> rusqlite::Result<()> {
        self.outcome = Some(match (self.work)(batch) {
            Ok(done) => Ok(done),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Database(error)) => return Err(error),
        });
        Ok(())
    }

    fn reply(self: Box<Self>, transaction: Result<(), StoreError>) {
        let outcome = match (transaction, self.outcome) {
            // Refused before anything was written: true whatever became of the others.
            (_, Some(Err(refusal))) => Err(refusal),
            (Ok(()), Some(done)) => done,
            (Ok(()), None) => Err(StoreError::Definite("the command was never applied".to_owned())),
            (Err(error), _) => Err(error),
        };
        // A caller that went away is no fault: what it asked for is in the books all the same.
        drop(self.reply.send(outcome));
    }
}

/// Where a step failed, which decides what is known about it.
enum Failed {
    /// Before it was made durable, because of one of the commands.
    Refused(StoreError),
    /// Before it was made durable: nothing of it is on the disk.
    Before(rusqlite::Error),
    /// In the commit.
    Commit(rusqlite::Error),
    /// The redo log cannot be read, or the step not be written to it.
    Log(std::io::Error),
}

impl From<RecoverError> for Failed {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::Log(error) => Self::Log(error),
            RecoverError::Database(error) => Self::Before(error),
        }
    }
}

struct WriterThread<S> {
    connection: Connection,
    session: S,
    state: Arc<State>,
    /// How long SQLite's log was after the last commit.
    log_pages: Arc<AtomicI32>,
    hooks: Hooks,
    redo: Option<RedoLog>,
    /// The open transaction's number; 0 without a redo log.
    transaction: Option<u64>,
    /// A transaction with durable steps was rolled back: they are in the redo log only.
    is_undone: bool,
}

impl<S: Session> WriterThread<S> {
    fn run(mut self, queue: &mpsc::Receiver<Queued<S>>) {
        let mut jobs = Vec::with_capacity(BATCH_COMMANDS_MAX);
        loop {
            let first = match self.transaction {
                None => queue.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
                Some(_) => queue.recv_timeout(NEXT_STEP),
            };
            let mut next = match first {
                Ok(queued) => Some(queued),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.end();
                    self.checkpoint(LOG_PAGES_IDLE);
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            };
            let mut shown = None;
            while let Some(queued) = next.take() {
                match queued {
                    Queued::Job(job) => jobs.push(job),
                    Queued::Show(show) => {
                        shown = Some(show);
                        break;
                    }
                }
                if jobs.len() < BATCH_COMMANDS_MAX {
                    next = queue.try_recv().ok();
                }
            }
            if !jobs.is_empty() {
                self.carry_out(std::mem::take(&mut jobs));
            }
            self.restore();
            if let Some(shown) = shown {
                self.show();
                // Whoever asked may have gone away.
                let _gone = shown.send(());
            } else if self.redo.as_ref().is_some_and(RedoLog::is_full) && self.transaction.is_some() {
                self.end();
                std::thread::sleep(OTHERS);
            }
            if self.transaction.is_none() {
                self.checkpoint(LOG_PAGES_MAX);
            }
        }
        self.end();
    }

    /// Puts the steps of a transaction that was rolled back into the file, if there are some.
    fn restore(&mut self) {
        let is_due = self.is_undone && self.transaction.is_none();
        if is_due
            && !self.state.closed.load(Ordering::Acquire)
            && let Err(failed) = self.begin()
        {
            self.judge(failed);
        }
    }

    /// Has other connections see every durable step.
    fn show(&mut self) {
        match &self.redo {
            // A gateway's steps are seen once it has let go of the file, or was found dead.
            Some(log) if !log.is_written() && !self.state.closed.load(Ordering::Acquire) => {
                if let Err(failed) = self.begin() {
                    self.judge(failed);
                }
                self.rolled_back();
            }
            Some(_) | None => self.end(),
        }
    }

    /// Moves SQLite's log into the file, as far as readers allow, once it has so many pages. Everything in it is durable already
    /// and everybody has been answered; what cannot be moved stays in the log.
    fn checkpoint(&mut self, pages: i32) {
        if self.log_pages.load(Ordering::Relaxed) < pages || self.state.closed.load(Ordering::Acquire) {
            return;
        }
        self.log_pages.store(0, Ordering::Relaxed);
        match self.connection.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::PASSIVE) {
            Ok(_) => {}
            Err(error) if is_storage_fault(error.sqlite_error_code()) => self.close(&error),
            Err(error) => {
                tracing::warn!(%error, "the log could not be moved into the file; it goes on growing")
            }
        }
    }

    /// Makes the jobs durable together; when one of them breaks the transaction, each alone, so that only that one fails.
    fn carry_out(&mut self, mut jobs: Vec<Box<dyn Job<S>>>) {
        if self.state.closed.load(Ordering::Acquire) {
            return reply_all(jobs, &Err(StoreError::Closed));
        }
        match self.step(&mut jobs) {
            Ok(()) => reply_all(jobs, &Ok(())),
            Err(failed) => {
                let ours = match &failed {
                    Failed::Refused(_) => true,
                    Failed::Before(error) => !is_environment(error),
                    Failed::Commit(_) | Failed::Log(_) => false,
                };
                if ours && jobs.len() > 1 && self.rolled_back() {
                    return jobs.into_iter().for_each(|job| self.carry_out(vec![job]));
                }
                let answer = Err(match failed {
                    Failed::Refused(refusal) if self.rolled_back() => refusal,
                    Failed::Refused(_) => StoreError::Closed,
                    failed => self.judge(failed),
                });
                reply_all(jobs, &answer);
            }
        }
    }

    fn step(&mut self, jobs: &mut [Box<dyn Job<S>>]) -> Result<(), Failed> {
        let is_first = self.transaction.is_none();
        if is_first {
            self.begin()?;
        }
        let written = self.connection.total_changes();
        self.session.begin(&self.connection, is_first).map_err(Failed::Before)?;
        for job in jobs {
            let mut batch = Batch { connection: &self.connection, session: &mut self.session };
            job.apply(&mut batch).map_err(Failed::Before)?;
        }
        self.session.flush(&self.connection).map_err(|failure| match failure {
            Failure::Refused(refusal) => Failed::Refused(refusal),
            Failure::Database(error) => Failed::Before(error),
        })?;
        let rows = self.connection.total_changes().wrapping_sub(written);
        if rows == 0 {
            if is_first {
                self.transaction = None;
                return self.connection.execute_batch("COMMIT").map_err(Failed::Before);
            }
            return Ok(());
        }
        self.hooks.hit("before_commit");
        let log = self.redo.as_mut().filter(|log| log.is_written());
        let step = self.session.redo(rows).filter(|step| step.len() <= STEP_BYTES_MAX);
        match log.zip(step) {
            Some((log, step)) => {
                self.hooks.timing(|| self.hooks.append(log, step)).map_err(Failed::Log)?;
                self.state.unseen.store(true, Ordering::Release);
            }
            None => self.commit()?,
        }
        self.session.committed();
        self.hooks.hit("after_commit");
        Ok(())
    }

    /// Begins a transaction, behind whatever is durable and not in the file yet.
    fn begin(&mut self) -> Result<(), Failed> {
        const BEGIN: &str = "BEGIN IMMEDIATE";
        self.connection.execute_batch(BEGIN).map_err(Failed::Before)?;
        self.transaction = Some(0);
        let Some(log) = &mut self.redo else { return Ok(()) };
        // Beside a gateway, that may have died since it was looked at last.
        let known = log.is_written().then(|| log.steps());
        if (self.is_undone || known.is_none()) && redo_log::recover(&self.connection, log.path(), known)? > 0
        {
            self.connection.execute_batch("COMMIT").map_err(Failed::Commit)?;
            self.connection.execute_batch(BEGIN).map_err(Failed::Before)?;
        }
        self.is_undone = false;
        let next = redo_log::next(&self.connection).map_err(Failed::Before)?.unwrap_or(0);
        log.begin(next);
        self.transaction = Some(next);
        Ok(())
    }

    /// Commits the open transaction with all of its steps.
    fn commit(&mut self) -> Result<(), Failed> {
        if let (Some(_), Some(transaction)) = (&self.redo, self.transaction) {
            redo_log::committing(&self.connection, transaction).map_err(Failed::Before)?;
        }
        self.hooks.timing(|| self.hooks.commit(&self.connection)).map_err(Failed::Commit)?;
        self.transaction = None;
        self.all_is_seen();
        Ok(())
    }

    fn all_is_seen(&self) {
        let is_owner = self.redo.as_ref().is_none_or(RedoLog::is_written);
        self.state.unseen.store(!is_owner, Ordering::Release);
    }

    /// Commits the open transaction, if there is one. All of its steps were answered; when it fails, they are in the redo log.
    fn end(&mut self) {
        if self.transaction.is_none() {
            return;
        }
        let committed = match self.redo.as_ref().map_or(0, RedoLog::steps) {
            0 => self.connection.execute_batch("COMMIT").map_err(Failed::Commit),
            _ => self.end_steps(),
        };
        match committed {
            Ok(()) => self.transaction = None,
            Err(failed) => drop(self.judge(failed)),
        }
    }

    fn end_steps(&mut self) -> Result<(), Failed> {
        self.hooks.hit("before_end");
        if let Some(transaction) = self.transaction {
            redo_log::committing(&self.connection, transaction).map_err(Failed::Before)?;
        }
        self.connection.execute_batch("COMMIT").map_err(Failed::Commit)?;
        self.hooks.hit("after_end");
        self.all_is_seen();
        Ok(())
    }

    /// What a failed step means for its commands, and for the writer.
    fn judge(&mut self, failed: Failed) -> StoreError {
        let (error, is_in_doubt) = match failed {
            Failed::Refused(refusal) => return refusal,
            Failed::Log(error) => {
                let is_full = error.kind() == std::io::ErrorKind::StorageFull;
                if is_full && self.rolled_back() {
                    tracing::error!(%error, "the disk is full");
                    return StoreError::Definite("the disk is full".to_owned());
                }
                self.close(&error);
                self.show_what_is_durable();
                return StoreError::Unknown(error.to_string());
            }
            Failed::Before(error) => (error, false),
            Failed::Commit(error) => (error, true),
        };
        let code = error.sqlite_error_code();
        if code == Some(ErrorCode::DiskFull) && self.rolled_back() {
            // SQLite has written no commit frame, so there is nothing that a restart could find.
            tracing::error!(%error, "the disk is full");
            return StoreError::Definite("the disk is full".to_owned());
        }
        if code == Some(ErrorCode::DatabaseBusy) && self.rolled_back() {
            tracing::warn!("another process has held the database for too long");
            return StoreError::Busy;
        }
        if is_in_doubt || is_storage_fault(code) || !self.rolled_back() {
            self.close(&error);
            return if is_in_doubt { StoreError::Unknown(error.to_string()) } else { StoreError::Closed };
        }
        tracing::error!(%error, "a command could not be written");
        StoreError::Definite(error.to_string())
    }

    /// Ends the transaction, if SQLite has not done so. `false` when even that fails.
    fn rolled_back(&mut self) -> bool {
        if self.transaction.take().is_some() {
            self.is_undone |= self.redo.as_ref().is_some_and(|log| log.steps() > 0);
        }
        self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok()
    }

    /// The last thing that a writer does whose redo log has failed: what was answered before is shown to whoever reads. The steps of
    /// which nobody knows whether they are in the log are given up with that.
    fn show_what_is_durable(&mut self) {
        self.is_undone = true;
        let is_shown = self.rolled_back() && self.begin().is_ok() && self.end_steps().is_ok();
        if !is_shown && !self.rolled_back() {
            tracing::error!("what was paid last can be read after a restart only");
        }
    }

    /// Never again, until the process is restarted: after a failed sync nobody knows what the disk holds, and a second
    /// sync that succeeds would prove nothing about the pages that the first one dropped.
    fn close(&mut self, error: &dyn fmt::Display) {
        self.state.closed.store(true, Ordering::Release);
        tracing::error!(%error, "storage failed: no money operation is accepted until the gateway is restarted");
        // Closing the connection must not move the log into the file either.
        if let Err(error) = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::error!(%error, "could not switch off the checkpoint on close");
        }
    }
}

fn reply_all<S>(jobs: Vec<Box<dyn Job<S>>>, transaction: &Result<(), StoreError>) {
    for job in jobs {
        job.reply(transaction.clone());
    }
}

/// Whether the medium or the file is broken.
fn is_storage_fault(code: Option<ErrorCode>) -> bool {
    matches!(
        code,
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::OutOfMemory
        )
    )
}

/// Whether an error comes from around the database, so that every other command would meet it as well.
fn is_environment(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    is_storage_fault(code)
        || matches!(
            code,
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::ReadOnly
            )
        )
}

#[cfg(test)]
mod tests;
