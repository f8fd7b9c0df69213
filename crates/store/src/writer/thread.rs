//! The thread itself: gathers steps, makes them durable, and judges what a failure means.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::ffi::ErrorCode;
use tollgate_ledger::StoreError;

use super::checkpoints::Checkpoints;
use super::hooks::Hooks;
use super::job::{Job, reply_all};
use super::{BATCH_COMMANDS_MAX, Batch, Failure, Queued, Session, State};
use crate::redo_log::{self, RecoverError, RedoLog, STEP_BYTES_MAX};
use crate::sync::mpsc;

/// How long an open transaction waits for another step.
const NEXT_STEP: Duration = Duration::from_millis(1);

/// How long the file is left to others after a transaction that ended because the log was full, and not because nothing
/// followed. Whoever waits for the file looks more often than that, and for seconds: so it is done after some of them only.
const OTHERS: Duration = Duration::from_micros(500);
const OTHERS_AFTER: u64 = 4;

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
            RecoverError::Foreign => Self::Log(std::io::Error::other("the redo log is that of another file")),
            RecoverError::Database(error) => Self::Before(error),
        }
    }
}

pub(super) struct WriterThread<S> {
    pub(super) connection: Connection,
    pub(super) session: S,
    pub(super) state: Arc<State>,
    pub(super) checkpoints: Checkpoints,
    pub(super) hooks: Hooks,
    pub(super) redo: Option<RedoLog>,
    /// The open transaction's number; 0 without a redo log.
    pub(super) transaction: Option<u64>,
    /// A transaction with durable steps was rolled back: they are in the redo log only.
    pub(super) is_undone: bool,
}

impl<S: Session> WriterThread<S> {
    pub(super) fn run(mut self, queue: &mpsc::Receiver<Queued<S>>) {
        let _closes = ClosesAtLast(Arc::clone(&self.state));
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
                    self.tend_log();
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            };
            self.tend_log();
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
                let ended = self.transaction.unwrap_or_default();
                self.end();
                if ended.is_multiple_of(OTHERS_AFTER) {
                    std::thread::sleep(OTHERS);
                }
            }
        }
        self.end();
        let finished = self.checkpoints.finish();
        self.judge_pass(finished);
    }

    /// Puts the steps of a transaction that was rolled back into the file, if there are some. The next step is the first of its own.
    fn restore(&mut self) {
        let is_due = self.is_undone && self.transaction.is_none();
        if !is_due || self.state.closed.load(Ordering::Acquire) {
            return;
        }
        match self.begin() {
            Ok(()) => self.end(),
            Err(failed) => drop(self.judge(failed)),
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

    /// Looks after SQLite's log, unless a transaction is open. Everything in it is durable already, and everybody has been answered.
    fn tend_log(&mut self) {
        if self.transaction.is_none() && !self.state.closed.load(Ordering::Acquire) {
            let tended = self.checkpoints.tend(&self.connection);
            self.judge_pass(tended);
        }
    }

    fn judge_pass(&mut self, pass: rusqlite::Result<()>) {
        match pass {
            Ok(()) => {}
            Err(error) if is_storage_fault(error.sqlite_error_code()) => self.close(&error),
            Err(error) => {
                tracing::warn!(%error, "the log could not be moved into the file; it goes on growing");
            }
        }
    }

    /// Makes the jobs durable together; when one of them breaks the transaction, each alone, so that only that one fails.
    pub(super) fn carry_out(&mut self, mut jobs: Vec<Box<dyn Job<S>>>) {
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
        for job in &mut *jobs {
            let mut batch = Batch { connection: &self.connection, session: &mut self.session };
            job.apply(&mut batch).map_err(Failed::Before)?;
        }
        self.session.flush(&self.connection).map_err(|failure| match failure {
            Failure::Refused(refusal) => Failed::Refused(refusal),
            Failure::Database(error) => Failed::Before(error),
        })?;
        // First of all: whoever is told now, and reads, waits for this step.
        self.state.unseen.store(true, Ordering::Release);
        jobs.iter_mut().for_each(|job| job.decided());
        let rows = self.connection.total_changes().wrapping_sub(written);
        let step = self.session.redo(rows);
        if rows == 0 && step.is_none_or(<[u8]>::is_empty) {
            if is_first {
                self.transaction = None;
                self.connection.execute_batch("COMMIT").map_err(Failed::Before)?;
                self.all_is_seen();
            }
            return Ok(());
        }
        self.hooks.hit("before_commit");
        let log = self.redo.as_mut().filter(|log| log.is_written());
        match log.zip(step.filter(|step| step.len() <= STEP_BYTES_MAX)) {
            Some((log, step)) => self.hooks.timing(|| self.hooks.append(log, step)).map_err(Failed::Log)?,
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
        self.session.ending(&self.connection).map_err(Failed::Before)?;
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
    pub(super) fn end(&mut self) {
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
        self.session.ending(&self.connection).map_err(Failed::Before)?;
        self.hooks.end(&self.connection).map_err(Failed::Commit)?;
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
                    return StoreError::NoSpace;
                }
                self.close(&error);
                self.show_what_is_durable();
                return StoreError::Unknown(error.to_string());
            }
            Failed::Before(error) => (error, false),
            Failed::Commit(error) => (error, true),
        };
        // First of all: whatever is left of a transaction that has failed, nobody may commit any more, neither half a step nor the
        // number of a transaction whose steps are in the redo log only.
        let is_rolled_back = self.rolled_back();
        let code = error.sqlite_error_code();
        if code == Some(ErrorCode::DiskFull) && is_rolled_back {
            // SQLite has written no commit frame, so there is nothing that a restart could find.
            tracing::error!(%error, "the disk is full");
            return StoreError::NoSpace;
        }
        if code == Some(ErrorCode::DatabaseBusy) && is_rolled_back {
            tracing::warn!("another process has held the database for too long");
            return StoreError::Busy;
        }
        if is_in_doubt || is_storage_fault(code) || !is_rolled_back {
            self.close(&error);
            return if is_in_doubt { StoreError::Unknown(error.to_string()) } else { StoreError::Closed };
        }
        tracing::error!(%error, "a command could not be written");
        StoreError::Definite(error.to_string())
    }

    /// Ends the transaction, if SQLite has not done so. `false` when even that fails.
    fn rolled_back(&mut self) -> bool {
        if self.transaction.take().is_some() {
            self.session.undone();
            self.is_undone |= self.redo.as_ref().is_some_and(|log| log.steps() > 0);
        }
        self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok()
    }

    /// The last thing that a writer does whose redo log has failed: what was answered before is shown to whoever reads. The steps of
    /// which nobody knows whether they are in the log are given up with that.
    fn show_what_is_durable(&mut self) {
        self.is_undone = true;
        let is_shown = self.rolled_back() && self.begin().is_ok() && self.end_steps().is_ok();
        if is_shown {
            self.transaction = None;
            return;
        }
        tracing::error!("what was paid last can be read after a restart only");
        self.rolled_back();
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

/// Says that nothing is accepted any more, however the thread ends: whoever asks whether money is taken is not told yes by a writer
/// that has panicked.
struct ClosesAtLast(Arc<State>);

impl Drop for ClosesAtLast {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        if std::thread::panicking() {
            tracing::error!(
                "the writer panicked: no money operation is accepted until the gateway is restarted"
            );
        }
    }
}

/// Whether the medium or the file is broken.
pub(super) fn is_storage_fault(code: Option<ErrorCode>) -> bool {
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
pub(super) fn is_environment(error: &rusqlite::Error) -> bool {
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
