//! The one thread of this process that writes the ledger: group commit as with SQLite. Owns the order of commands, the connection,
//! and what a lost connection means for everyone in a batch.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tollgate_attest::Signer;
use tollgate_ledger::{Command, Outcome, Refusal, StoreError};

use super::connect::Connector;
use super::session::{self, Identity, Outcomes, Session, TransactError, Transacted};
use crate::writer::{BATCH_COMMANDS_MAX, Hooks};

/// How often a new connection is tried before a batch that is definitely not in the database is refused.
const CONNECTS_MAX: u32 = 4;
/// How long to wait before the second try; doubled for each further one.
const BACK_OFF_FIRST: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// How often a batch is begun: once more after a connection was lost on the way.
const ATTEMPTS_MAX: u32 = 3;

type Answer = Result<Outcome, StoreError>;

/// One queued command.
struct Asked {
    command: Command,
    reply: oneshot::Sender<Answer>,
}

/// The sending side of the writer's thread, which ends with it.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Asked>>,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// What the thread starts with.
pub(super) struct Start {
    pub(super) connector: Connector,
    pub(super) identity: Option<Identity>,
    pub(super) signer: Option<Signer>,
    pub(super) queue_commands_max: usize,
    pub(super) answer_max: Duration,
    pub(super) hooks: Hooks,
}

impl Writer {
    pub(super) fn start(start: Start) -> std::io::Result<Self> {
        let Start { connector, identity, signer, queue_commands_max, answer_max, hooks } = start;
        let (queue, commands) = mpsc::channel(queue_commands_max.max(1));
        let closed = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let writing = Writing {
            connector,
            identity,
            signer,
            answer_max,
            hooks,
            closed: Arc::clone(&closed),
            session: None,
        };
        let thread = std::thread::Builder::new().name("ledger-writer".to_owned());
        let thread = thread.spawn(move || runtime.block_on(writing.run(commands)))?;
        Ok(Self { queue: Some(queue), closed, thread: Some(thread) })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// Has a command carried out, which is queued at once; answered after its commit.
    pub(super) fn commit(&self, command: Command) -> impl Future<Output = Answer> + Send + use<> {
        let queued = self.queue(command);
        async move { queued?.await.unwrap_or_else(|_| Err(StoreError::Unknown("the writer stopped".to_owned()))) }
    }

    fn queue(&self, command: Command) -> Result<oneshot::Receiver<Answer>, StoreError> {
        if !self.is_open() {
            return Err(StoreError::Closed);
        }
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.try_send(Asked { command, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        Ok(answer)
    }
}

impl Drop for Writer {
    /// Lets the thread finish what is queued, and waits for it.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer thread panicked");
        }
    }
}

/// What one batch came to.
enum Batched {
    Done(Outcomes),
    /// A unique key stands for this refusal of one of the commands.
    Refused(Refusal),
    Failed(StoreError),
}

struct Writing {
    connector: Connector,
    identity: Option<Identity>,
    signer: Option<Signer>,
    /// How long the database may leave something unanswered.
    answer_max: Duration,
    hooks: Hooks,
    closed: Arc<AtomicBool>,
    /// `None` until it is needed, and after it was lost.
    session: Option<Session>,
}

impl Writing {
    async fn run(mut self, mut queue: mpsc::Receiver<Asked>) {
        let _closes = ClosesAtLast(Arc::clone(&self.closed));
        let mut asked = Vec::with_capacity(BATCH_COMMANDS_MAX);
        while queue.recv_many(&mut asked, BATCH_COMMANDS_MAX).await > 0 {
            let (commands, replies): (Vec<_>, Vec<_>) =
                asked.drain(..).map(|Asked { command, reply }| (command, reply)).unzip();
            let answers = self.carry_out(&commands, &mut queue).await;
            for (reply, answer) in replies.into_iter().zip(answers) {
                // A caller that went away is no fault: what it asked for is in the books all the same.
                drop(reply.send(answer));
            }
        }
    }

    /// Commits the commands together; when one of them meets a unique key, each alone, so that only that one is refused.
    async fn carry_out(&mut self, commands: &[Command], queue: &mut mpsc::Receiver<Asked>) -> Vec<Answer> {
        match self.batch(commands, queue).await {
            Batched::Refused(_) if commands.len() > 1 => {
                let mut answers = Vec::with_capacity(commands.len());
                for command in commands {
                    let alone = self.batch(std::slice::from_ref(command), queue).await;
                    answers.append(&mut answers_of(alone, 1));
                }
                answers
            }
            batched => answers_of(batched, commands.len()),
        }
    }

    async fn batch(&mut self, commands: &[Command], queue: &mut mpsc::Receiver<Asked>) -> Batched {
        if self.closed.load(Ordering::Acquire) {
            return Batched::Failed(StoreError::Closed);
        }
        for _ in 0..ATTEMPTS_MAX {
            let mut session = match self.session.take() {
                Some(session) => session,
                None => match self.connect(CONNECTS_MAX, queue).await {
                    Ok(session) => session,
                    Err(error) => return Batched::Failed(error),
                },
            };
            let transacted = session.transact(self.signer.as_ref(), commands, &self.hooks, self.answer_max);
            match Box::pin(transacted).await {
                Ok(Transacted::Done(outcomes)) => {
                    self.session = Some(session);
                    return Batched::Done(outcomes);
                }
                Ok(Transacted::Refused(refusal)) => {
                    self.session = Some(session);
                    return Batched::Refused(refusal);
                }
                Err(TransactError::Busy) => {
                    tracing::warn!("other writers have held the database for too long");
                    self.session = Some(session);
                    return Batched::Failed(StoreError::Busy);
                }
                Err(TransactError::NoSpace) => {
                    tracing::error!("the disk of the database is full");
                    self.session = Some(session);
                    return Batched::Failed(StoreError::NoSpace);
                }
                Err(TransactError::Not(reason)) => {
                    tracing::error!(reason, "a batch could not be written");
                    self.session = Some(session);
                    return Batched::Failed(StoreError::Definite(reason));
                }
                Err(TransactError::Deposed) => return Batched::Failed(self.depose()),
                // Definitely not done: it may be begun again on another connection.
                Err(TransactError::Lost(reason)) => {
                    tracing::warn!(reason, "the connection to the database was lost");
                }
                Err(TransactError::InDoubt { number, outcomes, reason }) => {
                    tracing::warn!(reason, "the connection was lost in a commit; it is looked up");
                    drop(session);
                    match self.look_up(number, reason, queue).await {
                        Ok(true) => return Batched::Done(outcomes),
                        Ok(false) => {}
                        Err(error) => return Batched::Failed(error),
                    }
                }
            }
        }
        Batched::Failed(StoreError::Busy)
    }

    /// Whether the batch of this number was committed. Asked until the database answers or nobody is left who waits.
    async fn look_up(
        &mut self,
        number: i64,
        reason: String,
        queue: &mut mpsc::Receiver<Asked>,
    ) -> Result<bool, StoreError> {
        if self.identity.is_none() {
            return Err(StoreError::Unknown(reason));
        }
        match self.connect(u32::MAX, queue).await {
            Ok(session) => {
                let is_in = session.batch() >= number;
                self.session = Some(session);
                Ok(is_in)
            }
            Err(error) => {
                // The row is driven on by the next start of this gateway.
                tracing::error!(%error, reason, "it stays unknown whether a batch was committed");
                self.closed.store(true, Ordering::Release);
                Err(StoreError::Unknown(reason))
            }
        }
    }

    /// A connection that is ready for batches.
    async fn connect(
        &mut self,
        connects_max: u32,
        queue: &mut mpsc::Receiver<Asked>,
    ) -> Result<Session, StoreError> {
        let mut back_off = BACK_OFF_FIRST;
        for tried in 1_u32.. {
            // Boxed: connecting is rare, and large.
            let reason = match Box::pin(self.connect_once()).await {
                Ok(session) => return Ok(session),
                Err(TransactError::Deposed) => return Err(self.depose()),
                Err(TransactError::Busy) => "it is held by another writer".to_owned(),
                Err(TransactError::NoSpace) => "its disk is full".to_owned(),
                Err(
                    TransactError::Not(reason)
                    | TransactError::Lost(reason)
                    | TransactError::InDoubt { reason, .. },
                ) => reason,
            };
            tracing::warn!(reason, tried, "the database cannot be reached");
            if tried >= CONNECTS_MAX {
                refuse_waiting(queue);
            }
            // The queue is closed when the gateway ends: then nobody is kept waiting for a database that is gone.
            if tried >= connects_max || (queue.is_closed() && tried >= CONNECTS_MAX) {
                break;
            }
            tokio::time::sleep(back_off).await;
            back_off = back_off.saturating_mul(2).min(BACK_OFF_MAX);
        }
        Err(StoreError::Busy)
    }

    async fn connect_once(&self) -> Result<Session, TransactError> {
        let client =
            self.connector.connect().await.map_err(|error| TransactError::Lost(error.to_string()))?;
        session::in_time(self.answer_max, async {
            if let Some(Identity { gateway, .. }) = self.identity {
                let lost =
                    |error: tokio_postgres::Error| TransactError::Lost(super::connect::described(&error));
                // The connection before this one may not have ended yet; then the lock goes with it, and the epoch stays.
                let _is_held: bool = session::claim_session(&client, gateway).await.map_err(lost)?;
            }
            Box::pin(Session::begin(client, self.identity)).await
        })
        .await
    }

    /// Another process is this gateway by now.
    fn depose(&self) -> StoreError {
        tracing::error!(
            "another process has started as this gateway: this one takes no money any more; give each gateway a data directory of \
             its own"
        );
        self.closed.store(true, Ordering::Release);
        StoreError::Closed
    }
}

/// Says that nothing is accepted any more, however the thread ends.
struct ClosesAtLast(Arc<AtomicBool>);

impl Drop for ClosesAtLast {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        if std::thread::panicking() {
            tracing::error!(
                "the writer panicked: no money operation is accepted until the gateway is restarted"
            );
        }
    }
}

/// Nobody waits behind a batch for a database that is away: nothing of what they ask for was begun.
fn refuse_waiting(queue: &mut mpsc::Receiver<Asked>) {
    while let Ok(Asked { reply, .. }) = queue.try_recv() {
        drop(reply.send(Err(StoreError::Busy)));
    }
}

fn answers_of(batched: Batched, commands: usize) -> Vec<Answer> {
    match batched {
        Batched::Done(outcomes) => {
            outcomes.into_iter().map(|outcome| outcome.map_err(StoreError::Refused)).collect()
        }
        Batched::Refused(refusal) => vec![Err(StoreError::Refused(refusal)); commands],
        Batched::Failed(error) => vec![Err(error); commands],
    }
}
