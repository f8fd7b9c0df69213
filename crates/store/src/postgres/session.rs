//! One connection that writes: it knows who writes, and carries a batch from its first statement to its commit.

mod reading;

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::{Client, Error};
use tollgate_attest::{FIRST_PREVIOUS, Signer};
use tollgate_domain::CallId;
use tollgate_ledger::{Command, Outcome, Refusal};

use super::accounts::{Accounts, Turn, Written};
use super::books::{self, Decided, Head, Loaded, Wanted};
use super::convert::{self, ReadError};
use super::written::{self, Statements, WriteError};
use crate::writer::Hooks;
use reading::Queries;

/// Who writes: a gateway in the epoch that it took when it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) gateway: i32,
    pub(super) epoch: i64,
}

/// A connection of the writer.
pub(super) struct Session {
    client: Client,
    written: Statements,
    read: Queries,
    /// `None` beside a gateway.
    identity: Option<Identity>,
    /// The last batch of this identity that is in the database.
    batch: i64,
    /// The last receipt that is in the database.
    head: Head,
    accounts: Accounts,
}

/// What a batch came to.
#[derive(Debug)]
pub(super) enum Transacted {
    /// It is in the database, or there was nothing to write.
    Done(Outcomes),
    /// One of the commands, it is not said which, meets a unique key; nothing is in the database.
    Refused(Refusal),
}

/// The answer to each command.
pub(super) type Outcomes = Vec<Result<Outcome, Refusal>>;

/// Why a batch is not known to be in the database.
#[derive(Debug)]
pub(super) enum TransactError {
    /// Definitely not: the database said no, for a reason of its own.
    Not(String),
    /// Definitely not: others held it for too long.
    Busy,
    /// Definitely not: its disk is full.
    NoSpace,
    /// Definitely not: the connection was lost before the commit was sent.
    Lost(String),
    /// Definitely not, and never again: another process is this gateway by now.
    Deposed,
    /// The commit of batch `number` was sent and not answered. If it is in, `outcomes` are the answers.
    InDoubt { number: i64, outcomes: Outcomes, reason: String },
}

/// Every statement of a batch names its rows by a unique key. A plan that was made while the tables were small, or before they
/// were ever analysed, must find them by index all the same: a scan for each of 512 transfers is seconds of holding the shard.
const PLANS: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off";

impl Session {
    /// Makes a connection ready for batches, and finds where it goes on.
    pub(super) async fn begin(client: Client, identity: Option<Identity>) -> Result<Self, TransactError> {
        client.batch_execute(PLANS).await.map_err(|error| failed(&error))?;
        let (written, read) = tokio::try_join!(Statements::prepare(&client), Queries::prepare(&client))
            .map_err(|error| failed(&error))?;
        let mut session =
            Self { client, written, read, identity, batch: 0, head: first(), accounts: Accounts::default() };
        if let Some(identity) = identity {
            // Not while an earlier connection of ours still has its transaction open: what it does counts.
            session.start("SELECT seq FROM shards WHERE id = 1 FOR UPDATE").await?;
            let found = session.find(identity).await;
            session.client.batch_execute("COMMIT").await.map_err(|error| failed(&error))?;
            (session.batch, session.head) = found?;
        }
        Ok(session)
    }

    /// The last batch of this identity that is in the database.
    pub(super) fn batch(&self) -> i64 {
        self.batch
    }

    /// Opens a transaction and has it hold the shard.
    async fn start(&self, hold: &str) -> Result<(), TransactError> {
        let (begun, held) =
            tokio::join!(biased; self.client.batch_execute("BEGIN"), self.client.batch_execute(hold));
        begun.and(held).map_err(|error| failed(&error))
    }

    async fn find(&self, identity: Identity) -> Result<(i64, Head), TransactError> {
        let gateway = "SELECT epoch, batch FROM gateways WHERE id = $1";
        let gateway =
            self.client.query_one(gateway, &[&identity.gateway]).await.map_err(|error| failed(&error))?;
        if gateway.get::<_, i64>(0) != identity.epoch {
            return Err(TransactError::Deposed);
        }
        let last = "SELECT seq, hash FROM receipts WHERE signer = $1 ORDER BY seq DESC LIMIT 1";
        let last = self.client.query_opt(last, &[&identity.gateway]).await.map_err(|error| failed(&error))?;
        let head =
            last.map(|row| Ok(Head { seq: convert::count(&row, 0)?, hash: convert::digest(&row, 1)? }));
        let head = head.transpose().map_err(|error: ReadError| TransactError::Not(error.to_string()))?;
        Ok((gateway.get(1), head.unwrap_or_else(first)))
    }

    /// Decides and commits a batch. After an error other than [`TransactError::Not`], [`TransactError::Busy`] and
    /// [`TransactError::NoSpace`] this connection is of no use any more.
    pub(super) async fn transact(
        &mut self,
        signer: Option<&Signer>,
        commands: &[Command],
        hooks: &Hooks,
        answer_max: Duration,
    ) -> Result<Transacted, TransactError> {
        let number = self.batch.saturating_add(1);
        // Until its commit is sent nothing of it counts, whatever the server does once it is heard of again.
        let prepared = in_time(answer_max, self.prepare_afresh(number, signer, commands, hooks)).await;
        match prepared {
            Ok(Prepared::Nothing(outcomes)) => Ok(Transacted::Done(outcomes)),
            Ok(Prepared::Written { outcomes, head, accounts }) => {
                hooks.hit("before_commit");
                let commit = tokio::time::timeout(answer_max, self.client.batch_execute("COMMIT"));
                let reason = match hooks.timed(commit).await {
                    Ok(Ok(())) => None,
                    // An error is a no. A server that ends the connection may have committed before.
                    Ok(Err(error)) if is_error(&error) => return Err(failed(&error)),
                    Ok(Err(error)) => Some(super::connect::described(&error)),
                    Err(_elapsed) => Some(SILENT.to_owned()),
                };
                if let Some(reason) = reason {
                    return Err(TransactError::InDoubt { number, outcomes, reason });
                }
                hooks.hit("after_commit");
                (self.batch, self.head) = (number, head);
                self.accounts.committed(accounts);
                Ok(Transacted::Done(outcomes))
            }
            Ok(Prepared::Refused(refusal)) => {
                in_time(answer_max, self.roll_back()).await?;
                Ok(Transacted::Refused(refusal))
            }
            Ok(Prepared::Outdated) => {
                in_time(answer_max, self.roll_back()).await?;
                Err(TransactError::Busy)
            }
            Err(error @ (TransactError::Not(_) | TransactError::Busy | TransactError::NoSpace)) => {
                in_time(answer_max, self.roll_back()).await?;
                // Whatever it was: the next batch begins with what it reads itself.
                self.accounts.forget();
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Everything up to the commit; once more where accounts were changed by somebody else than a gateway.
    async fn prepare_afresh(
        &mut self,
        number: i64,
        signer: Option<&Signer>,
        commands: &[Command],
        hooks: &Hooks,
    ) -> Result<Prepared, TransactError> {
        let mut is_afresh = false;
        loop {
            let prepared = self.prepare(number, signer, commands, hooks).await;
            if is_afresh || !matches!(prepared, Ok(Prepared::Outdated)) {
                return prepared;
            }
            is_afresh = true;
            tracing::warn!("an account was changed, and not by a gateway: the accounts are read again");
            self.roll_back().await?;
            self.accounts.forget();
        }
    }

    /// Everything up to the commit.
    async fn prepare(
        &mut self,
        number: i64,
        signer: Option<&Signer>,
        commands: &[Command],
        hooks: &Hooks,
    ) -> Result<Prepared, TransactError> {
        self.accounts.make_ready();
        let mut loaded = Loaded::default();
        let wanted = Wanted::by(commands, &self.accounts);
        // One round trip. The reads are statements of their own behind the lock, so that they see what the last holder of the
        // lock committed.
        let (begun, held, fenced, read) = tokio::join!(
            biased;
            self.client.batch_execute("BEGIN"),
            self.client.query_one(&self.read.hold, &[]),
            self.fence(number),
            self.load(&wanted),
        );
        begun.map_err(|error| failed(&error))?;
        let held = held.map_err(|error| failed(&error))?;
        fenced?;
        let turn = Turn::of(&held).map_err(unread)?;
        let is_outdated = self.accounts.begin(turn);
        self.put(read.map_err(unread)?, &mut loaded, &wanted);
        if is_outdated {
            let Wanted { accounts, .. } = Wanted::by(commands, &self.accounts);
            let wanted = Wanted { accounts, ..Wanted::default() };
            let read = self.load(&wanted).await.map_err(unread)?;
            self.put(read, &mut loaded, &wanted);
        }
        let decided = loop {
            match books::decide(&loaded, &self.accounts, (signer, self.head), commands) {
                Ok(decided) => break decided,
                Err(wanted) => {
                    let read = self.load(&wanted).await.map_err(unread)?;
                    self.put(read, &mut loaded, &wanted);
                }
            }
        };
        let Decided { outcomes, changes, head } = decided;
        if changes.is_empty() {
            self.roll_back().await?;
            return Ok(Prepared::Nothing(outcomes));
        }
        let owner = match self.identity {
            Some(identity) => identity.gateway,
            None if changes.claimed.is_empty() && changes.receipts.is_empty() => 0,
            None => return Ok(Prepared::Refused(Refusal::NoSigner)),
        };
        hooks.hit("before_write");
        match written::write(&self.client, &self.written, owner, &changes, &self.accounts).await {
            Ok(rows) => {
                let accounts = Written::new(turn, changes.balances, rows);
                Ok(Prepared::Written { outcomes, head, accounts })
            }
            Err(WriteError::Outdated) => Ok(Prepared::Outdated),
            Err(WriteError::Database(error)) => match taken(&error, &changes) {
                Some(refusal) => Ok(Prepared::Refused(refusal)),
                None => Err(failed(&error)),
            },
            Err(WriteError::Malformed(reason)) => Err(TransactError::Not(reason)),
            Err(WriteError::Rows { table, expected, written }) => Err(TransactError::Not(format!(
                "{written} rows of {table} would have been written in place of {expected}"
            ))),
        }
    }

    /// Counts this batch as the gateway's next, which only the process of the newest epoch may.
    async fn fence(&self, number: i64) -> Result<(), TransactError> {
        let Some(Identity { gateway, epoch }) = self.identity else { return Ok(()) };
        let counted = self.client.execute(&self.read.fence, &[&gateway, &epoch, &number]).await;
        match counted.map_err(|error| failed(&error))? {
            1 => Ok(()),
            _ => Err(TransactError::Deposed),
        }
    }

    async fn roll_back(&self) -> Result<(), TransactError> {
        self.client.batch_execute("ROLLBACK").await.map_err(|error| failed(&error))
    }
}

/// A batch before its commit.
enum Prepared {
    /// It writes nothing, and the transaction has ended.
    Nothing(Outcomes),
    /// It is written, and with the commit this is the last receipt.
    Written {
        outcomes: Outcomes,
        head: Head,
        accounts: Written,
    },
    Refused(Refusal),
    /// It was decided on accounts that are not any more as they were read.
    Outdated,
}

/// What is said of a server that does not say no either.
const SILENT: &str = "the database does not answer";

/// Asks within a time: a server that has stopped, or that a network in between hides, refuses nothing.
pub(super) fn in_time<T>(
    answer_max: Duration,
    asked: impl Future<Output = Result<T, TransactError>>,
) -> impl Future<Output = Result<T, TransactError>> {
    // Not an `async fn`, which would hold what it awaits twice.
    tokio::time::timeout(answer_max, asked)
        .map(|answered| answered.unwrap_or_else(|_elapsed| Err(TransactError::Lost(SILENT.to_owned()))))
}

/// Where a chain begins.
fn first() -> Head {
    Head { seq: 0, hash: FIRST_PREVIOUS }
}

/// Whether the server refused, and goes on.
fn is_error(error: &Error) -> bool {
    error.as_db_error().is_some_and(|said| said.parsed_severity() == Some(Severity::Error))
}

/// What an error before the commit means: the transaction is not in the database in any case.
fn failed(error: &Error) -> TransactError {
    let reason = super::connect::described(error);
    let Some(said) = error.as_db_error() else { return TransactError::Lost(reason) };
    match said.code() {
        &SqlState::LOCK_NOT_AVAILABLE
        | &SqlState::QUERY_CANCELED
        | &SqlState::T_R_SERIALIZATION_FAILURE
        | &SqlState::T_R_DEADLOCK_DETECTED => TransactError::Busy,
        &SqlState::DISK_FULL => TransactError::NoSpace,
        &SqlState::ADMIN_SHUTDOWN
        | &SqlState::CRASH_SHUTDOWN
        | &SqlState::CANNOT_CONNECT_NOW
        | &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => TransactError::Lost(reason),
        _ => TransactError::Not(reason),
    }
}

fn unread(error: ReadError) -> TransactError {
    match error {
        ReadError::Database(error) => failed(&error),
        malformed @ ReadError::Malformed { .. } => TransactError::Not(malformed.to_string()),
    }
}

/// The refusal that a unique key stands for, if it is one of those that a command from outside can meet.
fn taken(error: &Error, changes: &tollgate_ledger::BatchChanges) -> Option<Refusal> {
    let said: &DbError = error.as_db_error().filter(|said| *said.code() == SqlState::UNIQUE_VIOLATION)?;
    match said.constraint()? {
        "settlements_call" => {
            // With several claims it is not said whose; each is tried alone then, and this answer is given to none.
            let call: CallId = changes.claimed.first()?.call;
            Some(Refusal::CallReused(call))
        }
        "receipts_id" => {
            let id = changes.receipts.first()?.sealed.id;
            Some(Refusal::Seal(format!("{id} is the id of another receipt")))
        }
        _ => None,
    }
}

/// The identity of the gateway with this key, in a new epoch; `None` while another process is that gateway.
pub(super) async fn take(client: &Client, key: &[u8]) -> Result<Option<Identity>, Error> {
    let named = "INSERT INTO gateways (key, epoch, batch) VALUES ($1, 0, 0) ON CONFLICT (key) DO NOTHING";
    client.execute(named, &[&key]).await?;
    let gateway: i32 = client.query_one("SELECT id FROM gateways WHERE key = $1", &[&key]).await?.get(0);
    if !claim_session(client, gateway).await? {
        return Ok(None);
    }
    let next = "UPDATE gateways SET epoch = epoch + 1, batch = 0 WHERE id = $1 RETURNING epoch";
    let epoch = client.query_one(next, &[&gateway]).await?.get(0);
    Ok(Some(Identity { gateway, epoch }))
}

/// The first half of the key of each gateway's lock; the second is its id.
pub(super) const GATEWAY_LOCK: i32 = i32::from_be_bytes(*b"Toll");

/// Whether this session is now the one of the gateway: it ends with the connection, however the process ends. The lock keeps a
/// second process from starting by mistake; what it may write is decided by the epoch alone.
pub(super) async fn claim_session(client: &Client, gateway: i32) -> Result<bool, Error> {
    let row = client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&GATEWAY_LOCK, &gateway]).await?;
    row.try_get(0)
}
