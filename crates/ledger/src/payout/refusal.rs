//! Why nothing is paid out.

use tollgate_domain::{Amount, PayoutId, UnixMillis};

use super::provider::ProviderName;
use super::state::PayoutState;

/// Why nothing is paid out, or a payout stays as it is. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayoutRefusal {
    /// There is none, or it is another provider's: to a stranger both look the same.
    #[error("there is no payout {0} for whoever asks")]
    NotFound(PayoutId),
    /// Whoever asks may not withdraw for this provider, or there is none of this name.
    #[error("there is no provider {0} for whoever asks")]
    NotAllowed(String),
    /// The destination is not listed for this provider.
    #[error("the destination is not on the list of {0}")]
    Unlisted(ProviderName),
    /// The destination was listed a short while ago.
    #[error("the destination can be used from {until} on")]
    CoolingOff {
        /// The moment.
        until: UnixMillis,
    },
    /// The amount is below what is paid out.
    #[error("the least that is paid out is {least}")]
    TooSmall {
        /// The least.
        least: Amount,
    },
    /// The amount is above a limit.
    #[error("{left} is left of what may be paid out {per}")]
    AboveLimit {
        /// `at once` or `per day`.
        per: &'static str,
        /// What is left of it.
        left: Amount,
    },
    /// The account does not cover it.
    #[error("{available} is available, {needed} is asked for")]
    Funds {
        /// What is available.
        available: Amount,
        /// What is asked for.
        needed: Amount,
    },
    /// What is asked for cannot be carried out on this rail.
    #[error("{0}")]
    Unpayable(String),
    /// The idempotency key, or the invoice, was used for another request.
    #[error("this idempotency key or invoice was used for another payout, {0}")]
    KeyReused(PayoutId),
    /// Nobody like this ever may.
    #[error("{event} is not for whoever asks")]
    WrongParty {
        /// What was asked for.
        event: &'static str,
    },
    /// Not where the payout stands.
    #[error("{event} is not possible while the payout is {state}")]
    WrongState {
        /// What was asked for.
        event: &'static str,
        /// Where it stands.
        state: PayoutState,
    },
    /// There is no room for more destinations, or for more payouts within a day.
    #[error("there is no room for more than {max} {what}")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
}
