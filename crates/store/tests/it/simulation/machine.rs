//! What is simulated: a ledger with whoever writes it, and what is heard from there.

use tollgate_ledger::{Command, Outcome, StoreError};
use tollgate_store::Store;

use super::dice::Dice;

pub(super) type Answer = Result<Outcome, StoreError>;

/// A ledger whose writers can come to harm.
pub(super) trait Machine {
    /// Whether there is another gateway beside the one that has a batch.
    const HAS_OTHERS: bool;

    /// One of the next batches comes to harm.
    fn arm(&mut self, dice: &mut Dice);

    /// Has `commands` committed together behind `first`, which is committed alone, and those `beside` them at another gateway.
    ///
    /// # Errors
    /// What must never be.
    async fn batch(
        &mut self,
        first: Command,
        commands: &[Command],
        beside: &[Command],
    ) -> Result<Told, String>;

    /// The ledger as somebody sees it who lives.
    fn store(&self) -> &Store;

    /// How many settlements are not driven to their end yet, by whoever drives them.
    async fn open_settlements(&self) -> usize;
}

/// What was heard of a batch.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) first: Answer,
    /// Of a process that died: as far as it was heard.
    pub(super) answers: Vec<Answer>,
    pub(super) beside: Vec<Answer>,
    /// Whether what was beside it came before it.
    pub(super) beside_came_first: bool,
    /// When the process died: how many of its commands are there at least.
    pub(super) died: Option<usize>,
    /// What befell it, if anything did.
    pub(super) fault: Option<&'static str>,
}

impl Told {
    /// Nothing befell it.
    pub(super) fn of(first: Answer, answers: Vec<Answer>, beside: Vec<Answer>) -> Self {
        Self { first, answers, beside, beside_came_first: false, died: None, fault: None }
    }
}
