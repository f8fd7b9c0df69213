//! What a denial says to people and models: what happened, and what to do next.

use tollgate_domain::Asset;
use tollgate_ledger::budget::{ApprovalState, Exceeded, LimitKind, PER_CALLER, Target};
use tollgate_trust::TrustShortfall;

use super::Denial;
use crate::ports::Withheld;
use crate::{escrow, payout};

impl Denial {
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
}

/// A limit that is reached, for people. What the limit of every caller says is about the caller alone.
fn over_budget(exceeded: &Exceeded, asset: &Asset) -> String {
    let Exceeded { node, kind, limit, used, asked, resets } = exceeded;
    let whose = if node.path() == PER_CALLER { "this caller".to_owned() } else { node.path().to_owned() };
    let (asked, limit) = (asset.display(*asked), asset.display(*limit));
    match kind {
        LimitKind::Call => {
            format!("The price of {asked} is above the {limit} that one call of {whose} may cost.")
        }
        LimitKind::Window(span) => {
            let until = resets.map_or_else(String::new, |moment| format!("; it is renewed at {moment}"));
            format!(
                "The price of {asked} does not fit into the budget of {whose}: {} of {limit} per {span} are used{until}.",
                asset.display(*used)
            )
        }
    }
}
