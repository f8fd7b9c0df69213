//! What can be asked about payouts, by whom, and the answer.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{AdminKeyId, Amount, Digest, PayoutId, Principal, UnixMillis};

use super::destination::Destination;
use super::provider::ProviderName;
use super::row::{ListedBy, PayeeRow, PayoutRow};
use super::source::Source;
use super::state::PayoutEvent;

/// Who acts on a payout. Written `provider`, `operator`, `operator:<admin key>`, `gateway`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// Somebody who may withdraw for this provider.
    Provider {
        /// For whom.
        provider: ProviderName,
        /// Who.
        principal: Principal,
    },
    /// The operator: with an admin key, or on the command line.
    Operator(Option<AdminKeyId>),
    /// The gateway that carries it out.
    Gateway,
}

/// Why a text names no actor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of operator, operator:<admin key>, gateway")]
pub struct ActorError(String);

impl Actor {
    /// What kind of actor.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Provider { .. } => "provider",
            Self::Operator(_) => "operator",
            Self::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider { principal, .. } => fmt::Display::fmt(principal, f),
            Self::Operator(Some(key)) => write!(f, "operator:{key}"),
            Self::Operator(None) | Self::Gateway => f.write_str(self.word()),
        }
    }
}

impl FromStr for Actor {
    type Err = ActorError;

    fn from_str(text: &str) -> Result<Self, ActorError> {
        let refused = || ActorError(text.chars().take(64).collect());
        match (text, text.strip_prefix("operator:")) {
            ("operator", _) => Ok(Self::Operator(None)),
            ("gateway", _) => Ok(Self::Gateway),
            (_, Some(key)) => key.parse().map(|key| Self::Operator(Some(key))).map_err(|_| refused()),
            (_, None) => Err(refused()),
        }
    }
}

/// What can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PayoutCommand {
    /// Ask for a payout.
    Request(RequestPayout),
    /// Move one along.
    Move(MovePayout),
    /// Change where a provider's money may go.
    List(ChangeList),
}

/// How much may be paid out of an asset, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayoutLimits {
    /// How long a destination must have been listed, in milliseconds.
    pub cool_off_ms: u64,
    /// The least that is paid out.
    pub least: Amount,
    /// The most that is paid out at once.
    pub per_payout: Amount,
    /// The most that is paid out in any 24 hours.
    pub per_day: Amount,
    /// What is above this waits for the operator; `None`: nothing does.
    pub approve_above: Option<Amount>,
}

/// Asks for a payout. The same id with the same request is the same payout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestPayout {
    /// Its id, see [`payout_id_for`] and [`credit_payout_id_for`].
    pub id: PayoutId,
    /// Whose money it takes, and who asks.
    pub source: Source,
    /// Where it goes.
    pub destination: Destination,
    /// How much.
    pub amount: Amount,
    /// What the rail pays, where the request brings it.
    pub invoice: Option<Arc<str>>,
    /// The id that its idempotency key alone would give it: a key is used for one payout, whichever invoice it comes with. `None`: the
    /// id follows from the key.
    pub of_key: Option<PayoutId>,
    /// Within which limits.
    pub limits: PayoutLimits,
    /// Now.
    pub now: UnixMillis,
}

/// Moves a payout along.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovePayout {
    /// Which.
    pub id: PayoutId,
    /// Who asks.
    pub by: Actor,
    /// What happened.
    pub event: PayoutEvent,
    /// The version that whoever asks has looked at; another one refuses.
    pub expected: Option<u64>,
    /// Now.
    pub now: UnixMillis,
}

/// Changes where a provider's money may go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeList {
    /// Whose.
    pub provider: ProviderName,
    /// What changes.
    pub change: ListChange,
    /// Now.
    pub now: UnixMillis,
}

/// What changes on a list of destinations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListChange {
    /// One is added; one that is there keeps its moment.
    Add(Destination, ListedBy),
    /// One is taken off, whoever put it there.
    Remove(Destination),
    /// What the configuration lists now: what is new is added, and what only the configuration had listed before is taken off.
    Configured(Vec<Destination>),
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PayoutAnswer {
    /// The payout as it stands.
    Payout {
        /// It.
        row: Arc<PayoutRow>,
        /// Whether this had been asked for before, and nothing was done now.
        replayed: bool,
    },
    /// The provider's list as it stands.
    Listed(Arc<PayeeRow>),
}

/// The id of the payout of a wallet's credit that operators ask for under a key of their own.
pub fn credit_payout_id_for(wallet: &Principal, key: &str) -> PayoutId {
    // Whoever else asks is an API key, never a wallet; the prefix keeps them apart all the same.
    cut(Digest::of(format!("payout/credit/{wallet}\n{key}").as_bytes()))
}

/// The id of the payout that somebody asks for under an idempotency key, or with an invoice, which is paid once whoever brings it.
pub fn payout_id_for(by: &Principal, key: &str, payment_hash: Option<&[u8; 32]>) -> PayoutId {
    cut(match payment_hash {
        Some(hash) => Digest::of(&[b"payout/invoice/".as_slice(), hash].concat()),
        // A principal holds no line break.
        None => Digest::of(format!("payout/{by}\n{key}").as_bytes()),
    })
}

fn cut(digest: Digest) -> PayoutId {
    let mut bytes = [0; 16];
    for (slot, byte) in bytes.iter_mut().zip(digest.as_bytes()) {
        *slot = *byte;
    }
    PayoutId::from_bytes(bytes)
}
