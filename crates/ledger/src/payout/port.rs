//! The port through which payouts are asked for.

use std::future::Future;

use tollgate_domain::PayoutId;

use super::command::{PayoutAnswer, PayoutCommand};
use super::provider::ProviderName;
use super::row::{PayeeRow, PayoutRow};
use super::state::PayoutState;
use crate::{Command, LedgerStore, Outcome, StoreError};

/// The place of a payout in the order in which they were asked for; pages are cut with it.
pub type PayoutPlace = u64;

/// Which payouts are asked for. Everything that is said must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PayoutFilter {
    /// Those of this provider.
    pub provider: Option<ProviderName>,
    /// Those in this state.
    pub state: Option<PayoutState>,
    /// Those that were asked for before the one at this place.
    pub before: Option<PayoutPlace>,
}

/// Some payouts, the newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayoutPage {
    /// The payouts.
    pub rows: Vec<PayoutRow>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<PayoutPlace>,
}

/// The payouts of the books.
pub trait PayoutStore: LedgerStore {
    /// Carries out a command; answered after the commit.
    ///
    /// # Errors
    /// Any [`StoreError`].
    fn payout_command(
        &self,
        command: PayoutCommand,
    ) -> impl Future<Output = Result<PayoutAnswer, StoreError>> + Send {
        async move {
            match self.commit(Command::Payout(Box::new(command))).await? {
                Outcome::Payout(answer) => Ok(answer),
                _ => Err(StoreError::Unknown("the store gave the answer to another command".to_owned())),
            }
        }
    }

    /// One payout.
    fn payout(&self, id: &PayoutId) -> impl Future<Output = Result<Option<PayoutRow>, StoreError>> + Send;

    /// At most `limit` payouts, the newest first.
    fn payouts(
        &self,
        filter: PayoutFilter,
        limit: u32,
    ) -> impl Future<Output = Result<PayoutPage, StoreError>> + Send;

    /// Every payout that the gateway has to carry out or to look up (held, submitted, unknown), the oldest first, those asked for after
    /// the one `after`, at most `limit`.
    fn open_payouts(
        &self,
        after: Option<PayoutId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<PayoutRow>, StoreError>> + Send;

    /// What is remembered of a provider; `None`: nothing.
    fn payee(
        &self,
        provider: &ProviderName,
    ) -> impl Future<Output = Result<Option<PayeeRow>, StoreError>> + Send;
}
