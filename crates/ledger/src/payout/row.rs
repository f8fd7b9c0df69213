//! One payout, and one provider, as they stand in the store.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{AdminKeyId, Amount, Digest, PayoutId, TransferId, UnixMillis};

use super::destination::Destination;
use super::source::{Payee, Source};
use super::state::PayoutState;

/// One payout as it stands in the store.
#[derive(Clone, PartialEq, Eq)]
pub struct PayoutRow {
    /// Its id.
    pub id: PayoutId,
    /// Whose money it takes.
    pub source: Source,
    /// Where it goes.
    pub destination: Destination,
    /// How much, in atomic units of the destination's asset.
    pub amount: Amount,
    /// What the rail pays, where the request brings it: a BOLT 11 invoice.
    pub invoice: Option<Arc<str>>,
    /// Where it stands.
    pub state: PayoutState,
    /// How it is carried out, from its submission on. May hold a bearer secret.
    pub instruction: Option<Arc<str>>,
    /// Where it is found on the rail, once it is settled.
    pub reference: Option<String>,
    /// What the rail said last, or why it failed.
    pub evidence: Option<String>,
    /// Who approved it, where it needed an approval.
    pub approved: Option<String>,
    /// How often something happened to it, its request included. Grows with each.
    pub version: u64,
    /// When it was asked for.
    pub created: UnixMillis,
    /// When something happened to it last.
    pub updated: UnixMillis,
}

impl fmt::Debug for PayoutRow {
    /// Without the instruction: it may be a bearer secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, source, destination, amount, state, version, .. } = self;
        write!(f, "PayoutRow({id} v{version} {state}: {amount} from {source} to {destination})")
    }
}

/// The id of the transfer that reserves a payout.
pub fn hold_of(id: &PayoutId) -> TransferId {
    cut(id, b"hold")
}

/// The id of the transfer that posts or releases the reservation of a payout. One id for both: they exclude each other.
pub fn release_of(id: &PayoutId) -> TransferId {
    cut(id, b"resolution")
}

fn cut(id: &PayoutId, role: &[u8]) -> TransferId {
    let digest = Digest::of(&[b"payout/".as_slice(), id.as_bytes(), role].concat());
    let mut bytes = [0; 16];
    for (slot, byte) in bytes.iter_mut().zip(digest.as_bytes()) {
        *slot = *byte;
    }
    TransferId::from_bytes(bytes)
}

/// Who put a destination on a list. Written `config`, `operator` or `operator:<admin key>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListedBy {
    /// The configuration, which takes it off again.
    Config,
    /// An operator, with an admin key.
    Operator(Option<AdminKeyId>),
}

/// Why a text names no [`ListedBy`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of config, operator, operator:<admin key>")]
pub struct ListedByError(String);

impl fmt::Display for ListedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config => f.write_str("config"),
            Self::Operator(None) => f.write_str("operator"),
            Self::Operator(Some(key)) => write!(f, "operator:{key}"),
        }
    }
}

impl FromStr for ListedBy {
    type Err = ListedByError;

    fn from_str(text: &str) -> Result<Self, ListedByError> {
        let refused = || ListedByError(text.chars().take(64).collect());
        match (text, text.strip_prefix("operator:")) {
            ("config", _) => Ok(Self::Config),
            ("operator", _) => Ok(Self::Operator(None)),
            (_, Some(key)) => key.parse().map(|key| Self::Operator(Some(key))).map_err(|_| refused()),
            (_, None) => Err(refused()),
        }
    }
}

/// A destination on the list of a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedDestination {
    /// Where.
    pub destination: Destination,
    /// Since when: the cool-off counts from here. A destination that was taken off and comes back begins anew.
    pub added: UnixMillis,
    /// By whom.
    pub by: ListedBy,
}

/// A payout that counts in the limit per day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    /// Which.
    pub payout: PayoutId,
    /// The id that its idempotency key alone would have given it, where that is another one.
    pub of_key: Option<PayoutId>,
    /// How much of its asset.
    pub amount: Amount,
    /// Of what.
    pub asset: tollgate_domain::AssetId,
    /// When it was asked for.
    pub at: UnixMillis,
}

/// What is remembered of a provider, or of the credit of wallets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayeeRow {
    /// Who.
    pub payee: Payee,
    /// Where its money may go; credit of a wallet needs no list.
    pub destinations: Vec<ListedDestination>,
    /// What was asked for within two days and neither failed nor was given up; what is older than a day counts no more.
    pub counted: Vec<Counted>,
    /// How often it changed.
    pub version: u64,
}

impl PayeeRow {
    /// A payee of whom nothing is remembered.
    pub const fn new(payee: Payee) -> Self {
        Self { payee, destinations: Vec::new(), counted: Vec::new(), version: 0 }
    }

    /// The destination as it is listed.
    pub fn listed(&self, destination: &Destination) -> Option<&ListedDestination> {
        self.destinations.iter().find(|listed| listed.destination == *destination)
    }
}
