//! One queued command: what it does inside a step, and whom it answers.

use tokio::sync::oneshot;
use tollgate_ledger::StoreError;

use super::{Batch, Failure};

/// One queued command.
pub(super) trait Job<S>: Send {
    /// Does the work and keeps its outcome; a refusal is an outcome.
    fn apply(&mut self, batch: &mut Batch<'_, S>) -> rusqlite::Result<()>;

    /// Every command of the step is decided, and none is durable yet: answers whoever wanted to know no more than that.
    fn decided(&mut self);

    /// Answers: the kept outcome after a commit, else what became of the transaction.
    fn reply(self: Box<Self>, transaction: Result<(), StoreError>);
}

/// What whoever queued a command waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    /// That it is durable.
    Commit,
    /// That it is decided.
    Decision,
}

pub(super) struct Task<F, T> {
    work: F,
    outcome: Option<Result<T, StoreError>>,
    awaited: Awaited,
    /// Gone once it is answered.
    reply: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl<F, T> Task<F, T> {
    /// Work that is to be done, and who waits for it.
    pub(super) fn new(work: F, awaited: Awaited) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { work, outcome: None, awaited, reply: Some(reply) }, answer)
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

    fn decided(&mut self) {
        if self.awaited == Awaited::Decision
            && let Some(outcome) = self.outcome.take()
            && let Some(reply) = self.reply.take()
        {
            drop(reply.send(outcome));
        }
    }

    fn reply(self: Box<Self>, transaction: Result<(), StoreError>) {
        let Some(reply) = self.reply else { return };
        let outcome = match (transaction, self.outcome) {
            // Refused before anything was written: true whatever became of the others.
            (_, Some(Err(refusal))) => Err(refusal),
            (Ok(()), Some(done)) => done,
            (Ok(()), None) => Err(StoreError::Definite("the command was never applied".to_owned())),
            (Err(error), _) => Err(error),
        };
        // A caller that went away is no fault: what it asked for is in the books all the same.
        drop(reply.send(outcome));
    }
}

/// Answers everybody.
pub(super) fn reply_all<S>(jobs: Vec<Box<dyn Job<S>>>, transaction: &Result<(), StoreError>) {
    for job in jobs {
        job.reply(transaction.clone());
    }
}
