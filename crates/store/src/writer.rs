//! The one thread that writes a file: group commit. Owns the order of commands, the transaction, and what a failed
//! commit means for everyone in it. Knows nothing of what the commands do.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::JoinHandle;

use rusqlite::config::DbConfig;
use rusqlite::ffi::ErrorCode;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB};
use tokio::sync::{mpsc, oneshot};
use tollgate_ledger::{Refusal, StoreError};

/// How many commands share one transaction at most. The writer never waits for more: the commit itself gathers the
/// next batch.
pub const BATCH_COMMANDS_MAX: usize = 512;

/// From how many pages on the log is moved into the file: when nothing is waiting, and in any case. 4 and 16 MiB.
const LOG_PAGES_IDLE: i32 = 4_000;
const LOG_PAGES_MAX: i32 = 16_000;

/// What lives on the writer's thread between and within transactions.
pub(crate) trait Session: Send + 'static {
    /// A transaction begins: forget what the last one remembered.
    fn begin(&mut self);

    /// Everything was applied: write what was kept back, before the commit. A refusal is of one of the commands, it is not
    /// said which.
    fn flush(&mut self, connection: &Connection) -> Result<(), Failure>;

    /// The transaction is committed.
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
    queue: Option<mpsc::Sender<Box<dyn Job<S>>>>,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl<S: Session> Writer<S> {
    /// Starts the thread that owns `connection` and `session`.
    pub(crate) fn start(
        name: &str,
        mut connection: Connection,
        session: S,
        queue_commands_max: usize,
        hooks: Hooks,
    ) -> std::io::Result<Self> {
        let (queue, commands) = mpsc::channel(queue_commands_max.max(1));
        let closed = Arc::new(AtomicBool::new(false));
        // In place of SQLite's own checkpoint, which would swallow a failed sync.
        let log_pages = Arc::new(AtomicI32::new(0));
        let counted = Arc::clone(&log_pages);
        let count = move |_: &mut Wal, pages| {
            counted.store(pages, Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(count)).map_err(std::io::Error::other)?;
        let thread = WriterThread { connection, session, closed: Arc::clone(&closed), log_pages, hooks };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || thread.run(commands))?;
        Ok(Self { queue: Some(queue), closed, thread: Some(thread) })
    }

    /// Whether commands are accepted.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// Has `work` done inside a transaction, and answers after its commit. `work` may be called more than once, each
    /// time after a rollback of the time before; it must refuse before it writes.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Batch<'_, S>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let (reply, answer) = oneshot::channel();
        let task = Task { work, outcome: None, reply };
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.try_send(Box::new(task)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
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
    fn timed_commit(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Some(commits) = &self.commits else { return self.commit(connection) };
        commits.begins();
        let committed = self.commit(connection);
        commits.ended();
        committed
    }
}

#[cfg(not(any(test, feature = "failpoints")))]
impl Hooks {
    pub(crate) fn hit(&self, _name: &str) {}
    fn commit(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch("COMMIT")
    }
}

#[cfg(any(test, feature = "failpoints"))]
impl Hooks {
    pub(crate) fn hit(&self, name: &str) {
        if let Some(failpoints) = &self.failpoints {
            failpoints.hit(name);
        }
    }

    fn commit(&self, connection: &Connection) -> rusqlite::Result<()> {
        use crate::DiskFault;
        use rusqlite::ffi;

        let fault = self.failpoints.as_ref().and_then(|failpoints| failpoints.disk_fault());
        let (end, code) = match fault {
            None => return connection.execute_batch("COMMIT"),
            Some(DiskFault::SyncKept) => ("COMMIT", ffi::SQLITE_IOERR_FSYNC),
            Some(DiskFault::SyncLost) => ("ROLLBACK", ffi::SQLITE_IOERR_FSYNC),
            Some(DiskFault::Full) => ("ROLLBACK", ffi::SQLITE_FULL),
        };
        connection.execute_batch(end)?;
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
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

/// Where a transaction failed, which decides what is known about it.
enum Failed {
    /// Before the commit, because of one of the commands.
    Refused(StoreError),
    /// Before the commit: nothing of it is in the file.
    Before(rusqlite::Error),
    /// In the commit.
    Commit(rusqlite::Error),
}

struct WriterThread<S> {
    connection: Connection,
    session: S,
    closed: Arc<AtomicBool>,
    /// How long the log was after the last commit.
    log_pages: Arc<AtomicI32>,
    hooks: Hooks,
}

impl<S: Session> WriterThread<S> {
    fn run(mut self, mut commands: mpsc::Receiver<Box<dyn Job<S>>>) {
        let mut jobs = Vec::with_capacity(BATCH_COMMANDS_MAX);
        while commands.blocking_recv_many(&mut jobs, BATCH_COMMANDS_MAX) > 0 {
            self.carry_out(std::mem::take(&mut jobs));
            let pages = self.log_pages.load(Ordering::Relaxed);
            if pages >= LOG_PAGES_MAX || (pages >= LOG_PAGES_IDLE && commands.is_empty()) {
                self.checkpoint();
            }
        }
    }

    /// Moves the log into the file, as far as readers allow. Everything in it is durable already and everybody has been
    /// answered; what cannot be moved stays in the log.
    fn checkpoint(&mut self) {
        if self.closed.load(Ordering::Acquire) {
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

    /// Commits the jobs together; when one of them breaks the transaction, each alone, so that only that one fails.
    fn carry_out(&mut self, mut jobs: Vec<Box<dyn Job<S>>>) {
        if self.closed.load(Ordering::Acquire) {
            return reply_all(jobs, &Err(StoreError::Closed));
        }
        match self.transact(&mut jobs) {
            Ok(()) => reply_all(jobs, &Ok(())),
            Err(failed) => {
                let ours = match &failed {
                    Failed::Refused(_) => true,
                    Failed::Before(error) => !is_environment(error),
                    Failed::Commit(_) => false,
                };
                if ours && jobs.len() > 1 && self.rolled_back() {
                    return jobs.into_iter().for_each(|job| self.carry_out(vec![job]));
                }
                let answer = Err(match failed {
                    Failed::Refused(refusal) if self.rolled_back() => refusal,
                    Failed::Refused(_) => StoreError::Closed,
                    Failed::Before(error) => self.judge(error, false),
                    Failed::Commit(error) => self.judge(error, true),
                });
                reply_all(jobs, &answer);
            }
        }
    }

    fn transact(&mut self, jobs: &mut [Box<dyn Job<S>>]) -> Result<(), Failed> {
        let written = self.connection.total_changes();
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(Failed::Before)?;
        self.session.begin();
        for job in jobs {
            let mut batch = Batch { connection: &self.connection, session: &mut self.session };
            job.apply(&mut batch).map_err(Failed::Before)?;
        }
        self.session.flush(&self.connection).map_err(|failure| match failure {
            Failure::Refused(refusal) => Failed::Refused(refusal),
            Failure::Database(error) => Failed::Before(error),
        })?;
        if self.connection.total_changes() == written {
            return self.connection.execute_batch("COMMIT").map_err(Failed::Before);
        }
        self.hooks.hit("before_commit");
        self.hooks.timed_commit(&self.connection).map_err(Failed::Commit)?;
        self.session.committed();
        self.hooks.hit("after_commit");
        Ok(())
    }

    /// What a failed transaction means for its commands, and for the writer.
    fn judge(&mut self, error: rusqlite::Error, committing: bool) -> StoreError {
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
        if committing || is_storage_fault(code) || !self.rolled_back() {
            self.close(&error);
            return if committing { StoreError::Unknown(error.to_string()) } else { StoreError::Closed };
        }
        tracing::error!(%error, "a command could not be written");
        StoreError::Definite(error.to_string())
    }

    /// Ends the transaction, if SQLite has not done so. `false` when even that fails.
    fn rolled_back(&self) -> bool {
        self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok()
    }

    /// Never again, until the process is restarted: after a failed sync nobody knows what the disk holds, and a second
    /// sync that succeeds would prove nothing about the pages that the first one dropped.
    fn close(&self, error: &rusqlite::Error) {
        self.closed.store(true, Ordering::Release);
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
