//! A no that is our turn: a store, a rail or an upstream that is down. Nothing is forgotten: the settlement row says
//! where the money stands.

use tollgate_domain::{CallId, FailureKind};

use crate::code::{self, Code};
use crate::evidence::{Evidence, Refund};

/// When an answer may find room again.
const NO_ROOM_RETRY_MS: u64 = 1_000;

/// Why a call could not be carried out or finished, where the caller did nothing wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The tool's server gave no usable answer. Not charged.
    #[error("reach the tool's server: {kind:?}")]
    Upstream {
        /// How it failed.
        kind: FailureKind,
    },
    /// The tool's server failed too often and is given a rest. Nothing was sent. Not charged.
    #[error("reach the tool's server: it is given a rest of {retry_after_ms} ms more")]
    UpstreamResting {
        /// When to come back.
        retry_after_ms: u64,
    },
    /// The tool ran, and whether the money moved is not known yet. The result is kept until it is.
    #[error("settle call {call}: no definite answer yet")]
    SettlementPending {
        /// The call to ask about.
        call: CallId,
    },
    /// The payment was submitted and whether the money moved is not known yet. The tool was not asked.
    #[error("take the money for call {call}: no definite answer yet")]
    PaymentPending {
        /// The call to ask about.
        call: CallId,
    },
    /// No usable answer came, and what had been taken before was refunded.
    #[error("{fault}; refunded")]
    Refunded {
        /// Why no answer came.
        fault: Box<Fault>,
        /// What went back.
        refund: Refund,
    },
    /// The store's queue is full, or its disk.
    #[error("queue a ledger command: the store is busy, or has no space")]
    StoreBusy,
    /// The store does not accept money operations any more.
    #[error("book on the ledger: {0}")]
    StoreClosed(String),
    /// The Lightning wallet gave no invoice.
    #[error(transparent)]
    Wallet(#[from] tollgate_rails::OfferError),
    /// Anything that should not happen.
    #[error("{0}")]
    Internal(String),
}

impl Fault {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Upstream { kind: FailureKind::Unreachable } | Self::UpstreamResting { .. } => {
                code::UPSTREAM_UNREACHABLE
            }
            Self::Upstream { kind: FailureKind::TimedOut } => code::UPSTREAM_TIMED_OUT,
            Self::Upstream { kind: FailureKind::Broken | FailureKind::Abandoned } => code::UPSTREAM_BROKEN,
            Self::Upstream { kind: FailureKind::DemandedPayment } => code::UPSTREAM_DEMANDS_PAYMENT,
            Self::Upstream { kind: FailureKind::Suspicious } => code::UPSTREAM_RESULT_WITHHELD,
            Self::Upstream { kind: FailureKind::NoRoom } => code::UPSTREAM_NO_ROOM,
            Self::SettlementPending { .. } | Self::PaymentPending { .. } => code::SETTLEMENT_PENDING,
            Self::Refunded { fault, .. } => fault.code(),
            Self::StoreBusy => code::STORE_BUSY,
            Self::StoreClosed(_) => code::STORE_CLOSED,
            Self::Wallet(_) => code::WALLET_UNAVAILABLE,
            Self::Internal(_) => code::INTERNAL,
        }
    }

    /// What happened, without inner detail: a stranger learns nothing of our insides.
    pub fn message(&self) -> &'static str {
        match self {
            Self::Upstream { kind: FailureKind::Unreachable } => {
                "The tool's server cannot be reached; nothing was charged."
            }
            Self::UpstreamResting { .. } => {
                "The tool's server failed several times in a row and is given a rest; nothing was charged."
            }
            Self::Upstream { kind: FailureKind::TimedOut } => {
                "The tool did not answer in time; nothing was charged."
            }
            Self::Upstream { kind: FailureKind::Broken | FailureKind::Abandoned } => {
                "The tool's answer broke off or was no answer; nothing was charged."
            }
            Self::Upstream { kind: FailureKind::DemandedPayment } => {
                "The tool's server demanded a payment of its own; the gateway withheld the demand, and nothing was charged."
            }
            Self::Upstream { kind: FailureKind::Suspicious } => {
                "The tool's answer contains hidden text, orders to a model, an access key or personal data; the gateway withheld it, and nothing was charged."
            }
            Self::Upstream { kind: FailureKind::NoRoom } => {
                "The gateway holds as many answers as it may, so this one was not kept; nothing was charged."
            }
            Self::SettlementPending { .. } => {
                "The tool ran; whether the payment arrived is not known yet. The result is kept until it is."
            }
            Self::PaymentPending { .. } => {
                "The tool is paid before it runs, and whether the payment arrived is not known yet; it was not asked."
            }
            Self::Refunded { fault, .. } => match fault.as_ref() {
                Self::Upstream { kind: FailureKind::Unreachable } => {
                    "The tool's server cannot be reached; what was taken is credit again."
                }
                Self::Upstream { kind: FailureKind::TimedOut } => {
                    "The tool did not answer in time; what was taken is credit again."
                }
                Self::UpstreamResting { .. } => {
                    "The tool's server failed several times in a row and is given a rest; what was taken is credit again."
                }
                Self::Upstream { kind: FailureKind::NoRoom } => {
                    "The gateway holds as many answers as it may, so this one was not kept; what was taken is credit again."
                }
                _ => "The tool gave no usable answer; what was taken is credit again.",
            },
            Self::StoreBusy => "The gateway is at its limit; nothing was charged.",
            Self::StoreClosed(_) => {
                "The gateway has stopped taking money until an operator looks at its disk."
            }
            Self::Wallet(_) => "The Lightning wallet gives no invoice now; nothing was charged.",
            Self::Internal(_) => "Something went wrong inside the gateway; its log knows this call's id.",
        }
    }

    /// The same fault, with what went back after it.
    #[must_use]
    pub fn with_refund(self, evidence: &Evidence) -> Self {
        match evidence.refund() {
            Some(refund) => Self::Refunded { fault: Box::new(self), refund: refund.clone() },
            None => self,
        }
    }

    /// The structured facts of this fault beyond code and message: a JSON object.
    pub fn facts(&self) -> serde_json::Value {
        match self {
            Self::Refunded { refund, .. } => serde_json::json!({ "refund": refund.to_json() }),
            _ => serde_json::json!({}),
        }
    }

    /// When to come back, where that is known.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::UpstreamResting { retry_after_ms } => Some(*retry_after_ms),
            Self::Refunded { fault, .. } => fault.retry_after_ms(),
            Self::Upstream { kind: FailureKind::NoRoom } => Some(NO_ROOM_RETRY_MS),
            Self::Upstream { .. }
            | Self::SettlementPending { .. }
            | Self::PaymentPending { .. }
            | Self::StoreBusy
            | Self::StoreClosed(_)
            | Self::Wallet(_)
            | Self::Internal(_) => None,
        }
    }

    /// What to do next.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Upstream { kind: FailureKind::DemandedPayment } => {
                "Do not pay the server: what this tool costs is demanded by the gateway alone. Tell the operator of the gateway."
            }
            Self::Upstream { kind: FailureKind::Suspicious } => {
                "Ask for something else, or tell the operator of the gateway, who can let answers of this tool pass."
            }
            Self::Upstream { kind: FailureKind::NoRoom } => {
                "Wait a moment, then send the same request with the same payment again if the tool may run twice, or ask for less at once."
            }
            Self::Upstream { .. } | Self::UpstreamResting { .. } => {
                "Send the same request with the same payment again later."
            }
            Self::SettlementPending { .. } => {
                "Read `GET /api/v1/calls/{call_id}`, or send the same request with the same payment again. Do not pay anew."
            }
            Self::PaymentPending { .. } => {
                "Read `GET /api/v1/calls/{call_id}` until it is final, then send the same request with the same payment again: if it \
                 arrived, it is credit that pays for it. Do not pay anew before."
            }
            Self::Refunded { .. } => {
                "Send the same request with the same payment again later: the refunded credit pays for it."
            }
            Self::StoreBusy | Self::Wallet(_) => "Wait a moment, then send the same request again.",
            Self::StoreClosed(_) | Self::Internal(_) => {
                "Send the same request with the same payment again later; report the call id if it persists."
            }
        }
    }
}
