//! One queued command: what it does inside a step, and whom it answers.

use tokio::sync::oneshot;
use tollgate_ledger::StoreError;

use super::{Batch, Failure};

/// One queued command.
pub(super) trait Job<S>: Send {
    /// Does the work and keeps its outcome; a refusal is an outcome.
    fn apply(&mut self, batch: &mut Batch<'_, S>) -> rusqlite::Result<()>;

    /// Answers: the kept outcome after a commit, else what became of the transaction.
    fn reply(self: Box<Self>, transaction: Result<(), StoreError>);
}

pub(super) struct Task<F, T> {
    work: F,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Task<F, T> {
    /// Work that is to be done, and who waits for it.
    pub(super) fn new(work: F) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { work, outcome: None, reply }, answer)
    }
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

/// Answers everybody.
pub(super) fn reply_all<S>(jobs: Vec<Box<dyn Job<S>>>, transaction: &Result<(), StoreError>) {
    for job in jobs {
        job.reply(transaction.clone());
    }
}
