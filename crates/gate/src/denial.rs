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

    /// What happened, in a sentence for people and models.
    pub fn message(&self) -> String {
        match self {
            Self::Unauthenticated { reason } => format!("The credential was not accepted: {reason}."),
            Self::CredentialNeeded { message, .. } => (*message).to_owned(),
            Self::TrustInsufficient(TrustShortfall::ApiKey { current, .. }) => {
                format!("This tool requires an API key. Current reputation: {}.", current.reputation)
            }
            Self::TrustInsufficient(TrustShortfall::Reputation { required, current }) => format!(
                "This tool requires a reputation of {}. Current reputation: {}.",
                required.min_reputation, current.reputation
            ),
            Self::UnknownTool(tool) => format!("Unknown tool: {}.", tool.tool),
            Self::UnlistedTool(name) => format!("Unknown tool: {name}."),
            Self::ToolNotApproved { tool, why: Withheld::Drifted(_) } => format!(
                "The tool {} is blocked: its server changed its definition, and nobody has approved the new one.",
                tool.tool
            ),
            Self::ToolNotApproved { tool, why: Withheld::Unapproved(_) } => {
                format!("The tool {} is blocked: nobody has approved its definition yet.", tool.tool)
            }
            Self::UnknownServer(name) => format!("Unknown server: {name}."),
            Self::InvalidArguments(problems) => {
                format!("The arguments do not fit the tool's schema: {}.", problems.join("; "))
            }
            Self::PriceUnknown(why) => format!("This call has no price: {why}."),
            Self::AuthorizationUnknown => {
                "No such authorization of this caller: it was never given, has been used, or has run out."
                    .to_owned()
            }
            Self::AuthorizationElsewhere => {
                "The authorization was given by another gateway, which alone executes it: its price is still reserved there.".to_owned()
            }
            Self::AuthorizationOtherCall(differs) => {
                format!("The authorization was given for another call: {differs} differs.")
            }
            Self::NotYours => "This belongs to somebody else.".to_owned(),
            Self::PriceAboveMaximum { price, maximum } => {
                format!("The price is {price}, above the maximum of {maximum} that this request allows.")
            }
            Self::PaymentRequired(demand) => demand.sentence(),
            Self::PaymentRefused { refusal, .. } => format!("Payment refused: {refusal}."),
            Self::PaymentAmbiguous(carriers) => {
                format!("More than one payment was presented ({carriers}); none was used.")
            }
            Self::PaymentCarrierRefused(carrier) => format!("A payment is not accepted in {carrier}."),
            Self::PaymentReplayed { differs } => {
                format!("This payment cannot be used for this request: {differs}.")
            }
            Self::PaymentInFlight { call, state } => {
                format!("This payment is already being used by call {call} (state {state}).")
            }
            Self::PaymentFailed { reason, .. } => {
                format!(
                    "The payment could not be settled ({reason}); nothing was charged and the result is withheld."
                )
            }
            Self::RateLimited { retry_after_ms, limit } => {
                format!(
                    "Too many requests: the limit {} is reached; try again in {retry_after_ms} ms.",
                    limit.name
                )
            }
            Self::BudgetExceeded { exceeded, asset, .. } => over_budget(exceeded, asset),
            Self::ApprovalRequired { approval: Some(approval), price, above, .. } => match approval.state {
                ApprovalState::Rejected => {
                    format!(
                        "An operator has rejected this call, which costs {price} (approval {}).",
                        approval.id
                    )
                }
                ApprovalState::Waiting | ApprovalState::Approved | ApprovalState::Used => format!(
                    "This call costs {price}; above {above} an operator has to approve it (approval {}).",
                    approval.id
                ),
            },
            Self::ApprovalRequired { is_known: false, price, above, .. } => format!(
                "This call costs {price}; above {above} an operator has to approve it, and only a caller with an API key can be approved."
            ),
            Self::ApprovalRequired { price, above, .. } => format!(
                "This call costs {price}; above {above} an operator has to approve it, and too many of your calls wait for that already."
            ),
            Self::SpendingStopped { target } => match target {
                Target::Everything => "An operator has stopped all spending.".to_owned(),
                Target::Node(path) => format!("An operator has stopped the spending of {path}."),
                Target::Caller(_) => "An operator has stopped the spending of this caller.".to_owned(),
            },
            Self::MalformedFrame { reason, .. } | Self::BatchRefused { reason } => {
                format!("The message was not accepted: {reason}.")
            }
            Self::HeaderMismatch { reason, .. } => format!("The headers do not fit the message: {reason}."),
            Self::SessionMissing => {
                "The Mcp-Session-Id header is missing, and this server gives sessions out.".to_owned()
            }
            Self::SessionsOnly => {
                "This server speaks only protocol versions up to 2025-11-25.".to_owned()
            }
            Self::HandleUnknown => {
                "This task or requestState was not given to this caller for this request.".to_owned()
            }
            Self::ResultExpired => {
                "The result of this call was delivered, and is not kept any more.".to_owned()
            }
            Self::OriginRefused(reason) => format!("The request's origin is not accepted: {reason}."),
            Self::BodyTooLarge { bytes_max } => format!("The body is larger than {bytes_max} bytes."),
            Self::RequestTimedOut { body_ms_max } => {
                format!("The body of the request did not arrive within {body_ms_max} ms.")
            }
            Self::NoRoom { .. } => {
                "The gateway holds as many bodies as it may; nothing was charged.".to_owned()
            }
            Self::Escrow(refusal) => format!("The escrow stays as it is: {refusal}."),
            Self::Payout(refusal) => format!("Nothing is paid out: {refusal}."),
        }
    }

    /// What to do next.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Unauthenticated { .. } => {
                "Send a valid API key as `Authorization: Bearer tgk_…`, or none at all."
            }
            Self::CredentialNeeded { next, .. } => next,
            Self::TrustInsufficient(_) => {
                "Call with an API key, or earn reputation with settled calls to tools that ask less."
            }
            Self::UnknownTool(_) => "Read `tools/list` and call one of its names.",
            Self::UnlistedTool(_) => "Read `GET /api/v1/tools` and call one of its names.",
            Self::ToolNotApproved { .. } => {
                "Use another tool, or ask the operator to review this one with `tollgate pins diff`; nothing was charged."
            }
            Self::UnknownServer(_) => "Read `GET /api/v1/tools` for the servers and tools of this gateway.",
            Self::InvalidArguments(_) => "Correct the arguments; nothing was charged.",
            Self::PriceUnknown(_) => "Correct the arguments that the price depends on; nothing was charged.",
            Self::AuthorizationUnknown => {
                "Ask for a new one at `POST /api/v1/payments/authorize`; what the old one reserved was released unless it was used."
            }
            Self::AuthorizationElsewhere => {
                "Execute at the gateway that gave it, or send the same request again until it gets there; unused, it runs out and the credit comes back."
            }
            Self::AuthorizationOtherCall(_) => {
                "Send the tool and the arguments that were authorized; the authorization is still good."
            }
            Self::NotYours => "Ask with the API key of the agent itself, or with an admin key.",
            Self::PriceAboveMaximum { .. } => {
                "Raise the maximum or choose another tool; nothing was charged."
            }
            Self::PaymentRequired(_) => {
                "Pay one of the offers and send the same request again with the payment."
            }
            Self::PaymentRefused { .. } => "Pay one of the fresh offers; the refused payment was not used.",
            Self::PaymentAmbiguous(_) => "Send exactly one payment in one carrier.",
            Self::PaymentCarrierRefused(_) => {
                "Send the payment in a header or in `params._meta`, never in the URL, a cookie or the arguments."
            }
            Self::PaymentReplayed { .. } => "Make a new payment for this request.",
            Self::PaymentInFlight { .. } => {
                "Wait, then send the same request with the same payment, or read `GET /api/v1/calls/{call_id}`."
            }
            Self::PaymentFailed { .. } => "Check the payer's balance and pay one of the fresh offers.",
            Self::RateLimited { .. } => "Wait, then send the same request again.",
            Self::BudgetExceeded { retry_after_ms: Some(_), .. } => {
                "Wait until the window ends, call a cheaper tool, or ask the operator to raise the limit; nothing was charged."
            }
            Self::BudgetExceeded { retry_after_ms: None, .. } => {
                "Call a cheaper tool, or ask the operator to raise the limit of one call; nothing was charged."
            }
            Self::ApprovalRequired { is_known: false, .. } => "Call with an API key; nothing was charged.",
            Self::ApprovalRequired { approval: Some(approval), .. }
                if approval.state == ApprovalState::Rejected =>
            {
                "Call another tool, or ask the operator why; nothing was charged."
            }
            Self::ApprovalRequired { .. } => {
                "Ask the operator for the approval, then send the same request again; nothing was charged."
            }
            Self::SpendingStopped { .. } => {
                "Ask the operator; the same request passes once spending is resumed. Nothing was charged."
            }
            Self::MalformedFrame { .. } => {
                "Correct the request as the message says; what this address takes is described at `/api/docs`, and MCP in its specification."
            }
            Self::HeaderMismatch { .. } => {
                "Send plain JSON in UTF-8, with its mirrored headers and `_meta` as MCP 2026-07-28 asks."
            }
            Self::SessionMissing => {
                "Send `initialize` first, then every request with the Mcp-Session-Id of its answer; nothing was charged."
            }
            Self::SessionsOnly => {
                "Open a session with `initialize`, and call the tool in it; nothing was charged."
            }
            Self::HandleUnknown => {
                "Send back what you were given, unchanged and with the same credential, or make the call anew; nothing was charged."
            }
            Self::ResultExpired => "Make a new call; the receipt of this one still verifies.",
            Self::OriginRefused(_) => "Call the gateway by a host name that its configuration lists.",
            Self::BodyTooLarge { .. } => "Send a smaller request.",
            Self::RequestTimedOut { .. } => "Send the whole request at once; nothing was charged.",
            Self::NoRoom { .. } => "Wait a moment, then send the same request again.",
            Self::BatchRefused { .. } => "Send each request on its own.",
            Self::Escrow(refusal) => escrow::next_step(refusal),
            Self::Payout(refusal) => payout::next_step(refusal),
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
