//! The one thread that writes a file: group commit. Owns the order of commands, the transaction, and what a failed
//! commit means for everyone in it. Knows nothing of what the commands do.
//!
//! What is queued together is a step. A step is durable, and its commands are answered, when it is committed or, in a file with a redo
//! log, when it is in there: then the transaction stays open for the steps that follow, and is committed when nothing
//! follows, when the log is full, or when somebody wants to read.

mod checkpoints;
mod hooks;
mod job;
mod thread;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use tokio::sync::oneshot;
use tollgate_ledger::{Refusal, StoreError};

use crate::redo_log::RedoLog;
use crate::sync::thread::{self as threads, JoinHandle};
use crate::sync::{AtomicBool, mpsc};
use checkpoints::Checkpoints;
pub(crate) use hooks::Hooks;
use job::{Awaited, Job, Task};
use thread::WriterThread;

/// How many commands share one step at most. The writer never waits for more: making a step durable itself gathers the next one.
pub const BATCH_COMMANDS_MAX: usize = 512;

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

    /// The transaction is about to be committed; everything in it is in the redo log, if there is one.
    fn ending(&mut self, _connection: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }

    /// The transaction was undone. Steps of it that are durable will be written again from the redo log.
    fn undone(&mut self) {}

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
    /// Something may be answered, or be durable, that other connections do not see yet. Always so beside a gateway, which does not say.
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
        let checkpoints = Checkpoints::of(&mut connection, hooks.clone()).map_err(std::io::Error::other)?;
        let thread = WriterThread {
            connection,
            session,
            state: Arc::clone(&state),
            checkpoints,
            hooks,
            redo,
            transaction: None,
            is_undone: false,
        };
        let thread = threads::Builder::new().name(name.to_owned()).spawn(move || thread.run(&commands))?;
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

    /// Has `work` done inside a transaction, and answers when it is durable. `work` is queued at once, and may be called more than
    /// once, each time after a rollback of the time before; it must refuse before it writes.
    pub(crate) fn write<T, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<S, T, W>
    where
        T: Send + 'static,
        W: Fn(&mut Batch<'_, S>) -> Result<T, Failure> + Send + 'static,
    {
        // What waits is part of every future above it: no more than the receiver of an answer.
        answered(self.queue(work, Awaited::Commit))
    }

    /// As [`Self::write`], and answers when it is decided. It is durable no later than anything that is queued after the answer;
    /// until then a failure of its step takes it back, of which only the log is told.
    pub(crate) fn decide<T, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<S, T, W>
    where
        T: Send + 'static,
        W: Fn(&mut Batch<'_, S>) -> Result<T, Failure> + Send + 'static,
    {
        answered(self.queue(work, Awaited::Decision))
    }

    fn queue<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Batch<'_, S>) -> Result<T, Failure> + Send + 'static,
        awaited: Awaited,
    ) -> Result<Answer<T>, StoreError> {
        if !self.is_open() {
            return Err(StoreError::Closed);
        }
        let (task, answer) = Task::new(work, awaited);
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.try_send(Queued::Job(Box::new(task))).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => StoreError::Busy,
            mpsc::TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        Ok(answer)
    }
}

type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

async fn answered<T>(queued: Result<Answer<T>, StoreError>) -> Result<T, StoreError> {
    queued?.await.unwrap_or_else(|_| Err(StoreError::Unknown("the writer stopped".to_owned())))
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

#[cfg(test)]
mod tests;
