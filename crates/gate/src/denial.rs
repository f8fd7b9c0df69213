//! A no that is the caller's turn: decided before any money moves, naming the next step.

mod words;

use std::sync::Arc;

use serde_json::{Value, json};
use tollgate_domain::{Asset, CallId, KyaTier, Money, PriceUnknown, ToolRef};
use tollgate_ledger::budget::{Approval, Exceeded, Target};
use tollgate_ledger::escrow::EscrowRefusal;
use tollgate_ledger::payout::PayoutRefusal;
use tollgate_rails::PaymentRefusal;
use tollgate_risk::{Label, Limited};
use tollgate_trust::TrustShortfall;

use crate::code::{self, Code};
use crate::demand::Demand;
use crate::escrow;
use crate::payout;
use crate::ports::Withheld;

/// Why a call is not carried out, where the caller can do something about it.
#[derive(Clone, Debug)]
pub enum Denial {
    /// A credential was presented and is not valid.
    Unauthenticated {
        /// What is wrong with it, without repeating it.
        reason: String,
    },
    /// Another credential is needed than what was presented, which may have been none.
    CredentialNeeded {
        /// What needs it, as a sentence.
        message: &'static str,
        /// Which one, and where it comes from.
        next: &'static str,
    },
    /// The caller's standing does not meet the tool's requirement.
    TrustInsufficient(TrustShortfall),
    /// No such tool on that server, or the caller may not know of it.
    UnknownTool(ToolRef),
    /// No server of this gateway lists a tool of that name; carries the name as it was asked for.
    UnlistedTool(String),
    /// The tool is there, but its definition is not an approved one.
    ToolNotApproved {
        /// Which tool.
        tool: ToolRef,
        /// Why not.
        why: Withheld,
    },
    /// No such server.
    UnknownServer(String),
    /// The arguments do not fit the tool's schema; one line per problem.
    InvalidArguments(Vec<String>),
    /// The arguments give no price: nothing is charged on a guess.
    PriceUnknown(PriceUnknown),
    /// The price is above the maximum that the caller named.
    PriceAboveMaximum {
        /// The price in the asset of the maximum.
        price: Box<Money>,
        /// The caller's maximum.
        maximum: Box<Money>,
    },
    /// The call costs something and nothing was paid.
    PaymentRequired(Box<Demand>),
    /// A payment was presented that does not pay for this call; with a fresh demand where one could be made.
    PaymentRefused {
        /// Why not.
        refusal: PaymentRefusal,
        /// What would.
        demand: Option<Box<Demand>>,
    },
    /// More than one payment was presented.
    PaymentAmbiguous(String),
    /// A payment came in a carrier that is not accepted.
    PaymentCarrierRefused(String),
    /// The proof was already used for another request, or its fate is in doubt: it never runs a tool again.
    PaymentReplayed {
        /// What differs from the first use, or why it cannot be used again.
        differs: String,
    },
    /// The same proof for the same request is being carried out or settled now.
    PaymentInFlight {
        /// The call that holds the proof.
        call: CallId,
        /// The state of its settlement.
        state: String,
    },
    /// The rail definitely refused to move the money; the result is withheld. In the sandbox, the payer has too little, and
    /// no tool has run.
    PaymentFailed {
        /// The rail's reason.
        reason: String,
        /// What would pay.
        demand: Option<Box<Demand>>,
    },
    /// No such authorization waits for this caller: never given, used, or run out.
    AuthorizationUnknown,
    /// The authorization was given by another of several gateways, and its call has not ended: it waits there, or runs.
    AuthorizationElsewhere,
    /// The authorization was given for another call; carries what differs.
    AuthorizationOtherCall(&'static str),
    /// What was asked for is somebody else's.
    NotYours,
    /// The caller is too fast.
    RateLimited {
        /// When to come back.
        retry_after_ms: u64,
        /// The limit that is reached.
        limit: Arc<Label>,
    },
    /// The price does not fit into a budget that the call belongs to.
    BudgetExceeded {
        /// Which limit, and what is used of it. A node is told by its path, never by whose counter it is.
        exceeded: Box<Exceeded>,
        /// The asset of its amounts.
        asset: Asset,
        /// When the window ends; never for what one call may cost.
        retry_after_ms: Option<u64>,
    },
    /// A call at this price waits for an operator's approval.
    ApprovalRequired {
        /// The approval that was asked for; none where nobody can be approved, or too many calls of this caller wait.
        approval: Option<Box<Approval>>,
        /// What the call costs.
        price: Box<Money>,
        /// Above which an approval is needed.
        above: Box<Money>,
        /// Whether the caller is somebody in particular.
        is_known: bool,
    },
    /// An operator has stopped this spending.
    SpendingStopped {
        /// What is stopped.
        target: Target,
    },
    /// The message is no acceptable JSON-RPC frame.
    MalformedFrame {
        /// -32700 or -32600.
        json_rpc: i32,
        /// What is wrong.
        reason: String,
    },
    /// A mirrored header is missing or differs from the body, or a required `_meta` member is missing.
    HeaderMismatch {
        /// -32020 or -32602.
        json_rpc: i32,
        /// What differs.
        reason: String,
    },
    /// A request of the era of sessions names none, and its server gives sessions out.
    SessionMissing,
    /// A stateless request (2026-07-28) for a tool whose server speaks only the era of sessions.
    SessionsOnly,
    /// A task, or the state of a call that waits for an answer, was not given to this caller for this.
    HandleUnknown,
    /// The result of a call that was sold is asked for, and is not kept any more.
    ResultExpired,
    /// `Host` or `Origin` is not one of ours.
    OriginRefused(String),
    /// The body is larger than the limit.
    BodyTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The body did not arrive in time.
    RequestTimedOut {
        /// The limit.
        body_ms_max: u64,
    },
    /// The bodies of requests, or the answers that are kept, take all the memory that they may.
    NoRoom {
        /// When to come back.
        retry_after_ms: u64,
    },
    /// A JSON-RPC batch is not accepted here, or not this one.
    BatchRefused {
        /// Why, as the end of a sentence.
        reason: String,
    },
    /// An escrow stays as it is.
    Escrow(Box<EscrowRefusal>),
    /// Nothing is paid out, or a payout stays as it is.
    Payout(Box<PayoutRefusal>),
}

impl From<PayoutRefusal> for Denial {
    fn from(refusal: PayoutRefusal) -> Self {
        Self::Payout(Box::new(refusal))
    }
}

impl From<EscrowRefusal> for Denial {
    fn from(refusal: EscrowRefusal) -> Self {
        Self::Escrow(Box::new(refusal))
    }
}

impl From<Limited> for Denial {
    fn from(limited: Limited) -> Self {
        Self::RateLimited { retry_after_ms: limited.retry_after_ms, limit: limited.limit }
    }
}

impl Denial {
    /// An API key is needed, and none was presented; `message` says what for.
    pub const fn no_key(message: &'static str) -> Self {
        let next = "Send an API key as `Authorization: Bearer tgk_…`: the operator of this gateway makes it with `tollgate keys create`.";
        Self::CredentialNeeded { message, next }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Unauthenticated { .. } | Self::CredentialNeeded { .. } => code::UNAUTHENTICATED,
            Self::TrustInsufficient(_) => code::TRUST_INSUFFICIENT,
            Self::UnknownTool(_) | Self::UnlistedTool(_) => code::UNKNOWN_TOOL,
            Self::ToolNotApproved { .. } => code::TOOL_NOT_APPROVED,
            Self::UnknownServer(_) => code::UNKNOWN_SERVER,
            Self::InvalidArguments(_) => code::INVALID_ARGUMENTS,
            Self::PriceUnknown(_) => code::PRICE_UNKNOWN,
            Self::PriceAboveMaximum { .. } => code::PRICE_ABOVE_MAXIMUM,
            Self::AuthorizationUnknown => code::AUTHORIZATION_UNKNOWN,
            Self::AuthorizationElsewhere => code::AUTHORIZATION_ELSEWHERE,
            Self::AuthorizationOtherCall(_) => code::AUTHORIZATION_OTHER_CALL,
            Self::NotYours => code::NOT_YOURS,
            Self::PaymentRequired(_) => code::PAYMENT_REQUIRED,
            Self::PaymentRefused { refusal, .. } => match refusal {
                PaymentRefusal::Unreadable(_) => code::PAYMENT_UNREADABLE,
                PaymentRefusal::Invalid(_) => code::PAYMENT_INVALID,
                PaymentRefusal::WrongTarget { .. } => code::PAYMENT_WRONG_TARGET,
                PaymentRefusal::WrongAmount { .. } => code::PAYMENT_WRONG_AMOUNT,
                PaymentRefusal::OtherCall(_) => code::PAYMENT_OTHER_CALL,
                PaymentRefusal::Expired(_) => code::PAYMENT_EXPIRED,
                PaymentRefusal::Window(_) => code::PAYMENT_WINDOW,
            },
            Self::PaymentAmbiguous(_) => code::PAYMENT_AMBIGUOUS,
            Self::PaymentCarrierRefused(_) => code::PAYMENT_CARRIER_REFUSED,
            Self::PaymentReplayed { .. } => code::PAYMENT_REPLAYED,
            Self::PaymentInFlight { .. } => code::PAYMENT_IN_FLIGHT,
            Self::PaymentFailed { .. } => code::PAYMENT_FAILED,
            Self::RateLimited { .. } => code::RATE_LIMITED,
            Self::BudgetExceeded { .. } => code::BUDGET_EXCEEDED,
            Self::ApprovalRequired { .. } => code::APPROVAL_REQUIRED,
            Self::SpendingStopped { .. } => code::SPENDING_STOPPED,
            Self::MalformedFrame { json_rpc, .. } => Code { json_rpc: *json_rpc, ..code::MALFORMED_FRAME },
            Self::HeaderMismatch { json_rpc, .. } => Code { json_rpc: *json_rpc, ..code::HEADER_MISMATCH },
            Self::SessionMissing => code::SESSION_MISSING,
            Self::SessionsOnly => code::SESSIONS_ONLY,
            Self::HandleUnknown => code::HANDLE_UNKNOWN,
            Self::ResultExpired => code::RESULT_EXPIRED,
            Self::OriginRefused(_) => code::ORIGIN_REFUSED,
            Self::BodyTooLarge { .. } => code::BODY_TOO_LARGE,
            Self::RequestTimedOut { .. } => code::REQUEST_TIMED_OUT,
            Self::NoRoom { .. } => code::NO_ROOM,
            Self::BatchRefused { .. } => code::BATCH_REFUSED,
            Self::Escrow(refusal) => escrow::code(refusal),
            Self::Payout(refusal) => payout::code(refusal),
        }
    }

    /// The demand that belongs to this denial, if any.
    pub fn demand(&self) -> Option<&Demand> {
        match self {
            Self::PaymentRequired(demand) => Some(demand),
            Self::PaymentRefused { demand, .. } | Self::PaymentFailed { demand, .. } => demand.as_deref(),
            Self::Unauthenticated { .. }
            | Self::CredentialNeeded { .. }
            | Self::TrustInsufficient(_)
            | Self::UnknownTool(_)
            | Self::UnlistedTool(_)
            | Self::ToolNotApproved { .. }
            | Self::UnknownServer(_)
            | Self::InvalidArguments(_)
            | Self::PriceUnknown(_)
            | Self::PriceAboveMaximum { .. }
            | Self::AuthorizationUnknown
            | Self::AuthorizationElsewhere
            | Self::AuthorizationOtherCall(_)
            | Self::NotYours
            | Self::PaymentAmbiguous(_)
            | Self::PaymentCarrierRefused(_)
            | Self::PaymentReplayed { .. }
            | Self::PaymentInFlight { .. }
            | Self::RateLimited { .. }
            | Self::BudgetExceeded { .. }
            | Self::ApprovalRequired { .. }
            | Self::SpendingStopped { .. }
            | Self::MalformedFrame { .. }
            | Self::HeaderMismatch { .. }
            | Self::SessionMissing
            | Self::SessionsOnly
            | Self::HandleUnknown
            | Self::ResultExpired
            | Self::OriginRefused(_)
            | Self::BodyTooLarge { .. }
            | Self::RequestTimedOut { .. }
            | Self::NoRoom { .. }
            | Self::BatchRefused { .. }
            | Self::Escrow(_)
            | Self::Payout(_) => None,
        }
    }

    /// When to come back, where that is known.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_ms, .. } | Self::NoRoom { retry_after_ms } => {
                Some(*retry_after_ms)
            }
            Self::BudgetExceeded { retry_after_ms, .. } => *retry_after_ms,
            Self::PaymentInFlight { .. } => Some(1_000),
            _ => None,
        }
    }

    /// Where an operator decides what this call waits for, below the gateway's base URL.
    pub fn approval_path(&self) -> Option<String> {
        match self {
            Self::ApprovalRequired { approval: Some(approval), .. } => {
                Some(format!("/admin/v1/approvals/{}", approval.id))
            }
            _ => None,
        }
    }

    /// The structured facts of this denial beyond code and message: a JSON object.
    pub fn facts(&self) -> Value {
        match self {
            Self::TrustInsufficient(shortfall) => {
                let (required, current) = (shortfall.required(), shortfall.current());
                json!({
                    "required_kya_level": KyaTier::default().level(),
                    "current_kya_level": current.tier.level(),
                    "required_reputation": required.min_reputation,
                    "current_reputation": current.reputation,
                    "requires_api_key": required.api_key,
                })
            }
            Self::ToolNotApproved { why, .. } => {
                let (reason, definition) = match why {
                    Withheld::Drifted(definition) => ("drifted", definition),
                    Withheld::Unapproved(definition) => ("unapproved", definition),
                };
                json!({ "reason": reason, "definition": definition })
            }
            Self::InvalidArguments(problems) => json!({ "problems": problems }),
            Self::PriceAboveMaximum { price, maximum } => json!({
                "price": price.amount, "maximum": maximum.amount, "asset": price.asset.id(),
            }),
            Self::PaymentInFlight { call, state } => json!({ "holding_call_id": call, "state": state }),
            Self::RateLimited { limit, .. } => {
                json!({ "limit": limit.name, "rate": limit.rate, "per": limit.per })
            }
            Self::Escrow(refusal) => escrow::facts(refusal),
            Self::Payout(refusal) => payout::facts(refusal),
            Self::BudgetExceeded { exceeded, asset, .. } => json!({
                "node": exceeded.node.path(),
                "window": exceeded.kind.word(),
                "limit": exceeded.limit,
                "used": exceeded.used,
                "price": exceeded.asked,
                "asset": asset.id(),
                "resets_at": exceeded.resets.map(|moment| moment.to_string()),
            }),
            Self::ApprovalRequired { approval, price, above, .. } => json!({
                "approval_id": approval.as_ref().map(|approval| approval.id),
                "state": approval.as_ref().map(|approval| approval.state.word()),
                "expires_at": approval.as_ref().map(|approval| approval.expires.to_string()),
                "price": price.amount,
                "approve_above": above.amount,
                "asset": price.asset.id(),
            }),
            Self::SpendingStopped { target } => json!({
                "stopped": match target {
                    Target::Everything => "everything",
                    Target::Node(path) => path,
                    Target::Caller(_) => "caller",
                },
            }),
            _ => json!({}),
        }
    }
}
