//! The port through which escrows are asked for.

use std::future::Future;

use tollgate_domain::{EscrowId, Principal, UnixMillis};

use super::command::{EscrowCommand, EscrowMoved};
use super::engine::EscrowRecord;
use super::row::EscrowRow;
use super::state::Role;
use crate::{Command, LedgerStore, Outcome, StoreError};

/// The place of an escrow in the order of creation; pages are cut with it.
pub type EscrowPlace = u64;

/// Everything that ever happened to an escrow, in order.
pub type EscrowHistory = Vec<EscrowRecord>;

/// An escrow, and when it is due.
pub type DueEscrow = (EscrowId, UnixMillis);

/// Which escrows are asked for. Everything that is said must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EscrowFilter {
    /// Where this principal is payer, provider or mediator.
    pub party: Option<Principal>,
    /// And is this of them.
    pub role: Option<Role>,
    /// Those in this state.
    pub state: Option<&'static str>,
    /// Disputes in this phase.
    pub phase: Option<&'static str>,
    /// Those that were created before the one at this place.
    pub before: Option<EscrowPlace>,
}

/// Some escrows, the newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EscrowPage {
    /// The escrows.
    pub rows: Vec<EscrowRow>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<EscrowPlace>,
}

/// The escrows of the books.
pub trait EscrowStore: LedgerStore {
    /// Carries out a command; answered after the commit.
    ///
    /// # Errors
    /// Any [`StoreError`].
    fn escrow_command(
        &self,
        command: EscrowCommand,
    ) -> impl Future<Output = Result<EscrowMoved, StoreError>> + Send {
        async move {
            match self.commit(Command::Escrow(Box::new(command))).await? {
                Outcome::Escrow(moved) => Ok(moved),
                _ => Err(StoreError::Unknown("the store gave the answer to another command".to_owned())),
            }
        }
    }

    /// One escrow.
    fn escrow(&self, id: &EscrowId) -> impl Future<Output = Result<Option<EscrowRow>, StoreError>> + Send;

    /// What happened to it.
    fn escrow_history(&self, id: &EscrowId)
    -> impl Future<Output = Result<EscrowHistory, StoreError>> + Send;

    /// At most `limit` escrows, the newest first.
    fn escrows(
        &self,
        filter: EscrowFilter,
        limit: u32,
    ) -> impl Future<Output = Result<EscrowPage, StoreError>> + Send;

    /// How many escrows have not ended, by the word of their state; a state without any is left out.
    fn open_escrows(&self) -> impl Future<Output = Result<Vec<(&'static str, u64)>, StoreError>> + Send;

    /// At most `limit` escrows whose deadline has passed, with it: the earliest first, of one moment the oldest first.
    fn due_escrows(
        &self,
        now: UnixMillis,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<DueEscrow>, StoreError>> + Send;
}
