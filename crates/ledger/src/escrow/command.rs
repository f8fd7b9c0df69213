//! What can be asked of an escrow, by whom, and the answer.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{AdminKeyId, Digest, EscrowId, Principal, UnixMillis};

use super::event::EscrowEvent;
use super::row::EscrowRow;
use super::terms::EscrowTerms;
use crate::budget::{Ask, Warning};

/// Who asks. Written as the principal, `operator`, `operator:<admin key>`, `service`, `server` or `clock`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Who {
    /// A caller.
    Principal(Principal),
    /// The operator: with an admin key, or on the command line.
    Operator(Option<AdminKeyId>),
    /// The operator's mediation service.
    Service,
    /// The server whose tool delivered: the gateway speaks for it, in the commit of the delivery and never again.
    Server,
    /// The sweeper of deadlines.
    Clock,
}

/// Why a text is no [`Who`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of a principal, operator, operator:<admin key>, service, server, clock")]
pub struct WhoError(String);

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(principal) => fmt::Display::fmt(principal, f),
            Self::Operator(None) => f.write_str("operator"),
            Self::Operator(Some(key)) => write!(f, "operator:{key}"),
            Self::Service => f.write_str("service"),
            Self::Server => f.write_str("server"),
            Self::Clock => f.write_str("clock"),
        }
    }
}

impl FromStr for Who {
    type Err = WhoError;

    fn from_str(text: &str) -> Result<Self, WhoError> {
        let refused = || WhoError(text.chars().take(96).collect());
        match text {
            "operator" => Ok(Self::Operator(None)),
            "service" => Ok(Self::Service),
            "server" => Ok(Self::Server),
            "clock" => Ok(Self::Clock),
            _ => match text.strip_prefix("operator:") {
                Some(key) => key.parse().map(|key| Self::Operator(Some(key))).map_err(|_| refused()),
                None => text.parse().map(Self::Principal).map_err(|_| refused()),
            },
        }
    }
}

/// What can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EscrowCommand {
    /// Agree on an escrow.
    Open(OpenEscrow),
    /// Move one along.
    Move(MoveEscrow),
}

/// Agrees on an escrow, in the name of its payer. The same id with the same terms is the same escrow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenEscrow {
    /// Its id: fresh, or [`id_for_key`].
    pub id: EscrowId,
    /// What is agreed on.
    pub terms: EscrowTerms,
    /// Now.
    pub now: UnixMillis,
}

/// Moves an escrow along.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MoveEscrow {
    /// Which.
    pub id: EscrowId,
    /// Who asks.
    pub by: Who,
    /// What for.
    pub event: EscrowEvent,
    /// A key of the asker's own: with the same key, the same request is carried out once.
    pub key: Option<String>,
    /// The version that the asker has looked at; another one refuses.
    pub expected: Option<u64>,
    /// A deadline that the clock jumped over and whose time has not passed: it stops nobody. `None`: the clock ran as it should.
    pub held: Option<UnixMillis>,
    /// Everything that bounds what the payer spends, where it pays the amount in. `None`: only what is on the books does.
    pub budget: Option<Arc<Ask>>,
    /// Whether the money is real, as the receipt of what moves says it: `sandbox` or `live`. `None`: nothing is sealed.
    pub mode: Option<&'static str>,
    /// Now.
    pub now: UnixMillis,
}

impl MoveEscrow {
    /// A step with nothing but what every step has.
    pub const fn new(id: EscrowId, by: Who, event: EscrowEvent, now: UnixMillis) -> Self {
        Self { id, by, event, key: None, expected: None, held: None, budget: None, mode: None, now }
    }
}

/// The answer: the escrow as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EscrowMoved {
    /// The escrow.
    pub row: Arc<EscrowRow>,
    /// Whether the request had been carried out before, and nothing was done now.
    pub replayed: bool,
    /// The sealed envelope of the receipt, where money moved now.
    pub receipt: Option<String>,
    /// Soft limits of budgets that were passed now.
    pub warnings: Vec<Warning>,
}

/// An idempotency key that was used on an escrow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UsedKey {
    /// Of whose key, and which.
    pub key: Digest,
    /// What for.
    pub event: Digest,
}

impl UsedKey {
    /// The use of somebody's key for an event. Another's key of the same text is another key.
    pub(super) fn of(by: &Who, key: &str, event: &EscrowEvent) -> Self {
        Self { key: Digest::of(format!("{by}\0{key}").as_bytes()), event: event.digest() }
    }
}

/// The id of the escrow that a payer opens with this idempotency key: the same key meets the same escrow.
pub fn id_for_key(payer: &Principal, key: &str) -> EscrowId {
    let digest = Digest::of(format!("escrow/{payer}/{key}").as_bytes());
    let mut bytes = [0; 16];
    for (slot, byte) in bytes.iter_mut().zip(digest.as_bytes()) {
        *slot = *byte;
    }
    EscrowId::from_bytes(bytes)
}
