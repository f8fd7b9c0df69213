//! The JSON form of a statement (the payload of a receipt), written and read by hand-matched structs.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tollgate_domain::{
    Amount, AssetId, Bps, CallId, Digest, EscrowId, KyaTier, Principal, Rail, ReceiptId, Requirement,
    ServerName, Standing, ToolName, ToolRef, UnixMillis,
};

use crate::statement::StatementDraft;
use crate::{moment, statement};

/// The version of this form. Members may be added under it; none changes its meaning or goes away.
const VERSION: u32 = 1;
/// Above 2^53 - 1 a JSON number is not exact everywhere (RFC 7493 section 2.2).
pub(crate) const EXACT_MAX: u64 = 9_007_199_254_740_991;

#[derive(Serialize, Deserialize)]
pub(crate) struct Statement<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount_charged: Option<Amount>,
    args_sha256: Digest,
    call_id: CallId,
    caller: Caller<'a>,
    charged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    escrow_id: Option<EscrowId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    mode: Cow<'a, str>,
    outcome: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_ref: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Price>,
    receipt_id: ReceiptId,
    received: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_sha256: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    settlement: Cow<'a, str>,
    tool: Tool,
    ts: String,
    v: u32,
}

#[derive(Serialize, Deserialize)]
struct Caller<'a> {
    kind: Cow<'a, str>,
    principal: Principal,
}

#[derive(Serialize, Deserialize)]
struct Tool {
    name: ToolName,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_sha256: Option<Digest>,
    server: ServerName,
}

#[derive(Serialize, Deserialize)]
struct Price {
    amount: Amount,
    asset: AssetId,
    rail: Rail,
}

#[derive(Serialize, Deserialize)]
struct Decision {
    requirement: Asked,
    standing: Judged,
}

#[derive(Serialize, Deserialize)]
struct Asked {
    api_key: bool,
    min_reputation: Bps,
}

#[derive(Serialize, Deserialize)]
struct Judged {
    reputation: Bps,
    settled_calls: u64,
    tier: KyaTier,
}

/// Why signed text is no statement of this version.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// A member is missing or malformed.
    #[error("{0}")]
    Shape(#[source] serde_json::Error),
    /// It is of a version that this program does not know.
    #[error("version {0} is not {VERSION}")]
    Version(u32),
    /// It is about something that this program does not know.
    #[error("it is about {0:?}")]
    Kind(String),
    /// It has no place in the chain: a draft was signed.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A moment is not in its one form.
    #[error("{member}: {reason}")]
    Moment {
        /// Which member.
        member: &'static str,
        /// Why.
        reason: String,
    },
    /// The kind of caller is not that of the principal.
    #[error("{principal} is no caller of the kind {kind:?}")]
    CallerKind {
        /// Who.
        principal: Principal,
        /// The kind as written.
        kind: String,
    },
}

impl<'a> Statement<'a> {
    /// The form of a draft, without a place in the chain.
    pub(crate) fn drafted(draft: &'a StatementDraft) -> Self {
        Self {
            amount_charged: amount_charged(draft),
            args_sha256: draft.args_sha256,
            call_id: draft.call_id,
            caller: Caller { kind: kind_of(&draft.caller).into(), principal: draft.caller.clone() },
            charged: draft.charged,
            decision: draft
                .decision
                .as_ref()
                .map(|(requirement, standing)| Decision::of(requirement, standing)),
            escrow_id: draft.escrow,
            gateway: None,
            mode: draft.mode.into(),
            outcome: draft.outcome.into(),
            payment_ref: draft.payment_ref.as_deref().map(Cow::Borrowed),
            prev: None,
            price: draft.price.clone().map(|(amount, asset, rail)| Price { amount, asset, rail }),
            receipt_id: draft.receipt_id,
            received: received(&draft.call_id).to_string(),
            refunded: draft.refunded,
            result_sha256: draft.result_sha256,
            seq: None,
            settlement: draft.settlement.into(),
            tool: Tool {
                name: draft.tool.tool.clone(),
                schema_sha256: draft.schema_sha256,
                server: draft.tool.server.clone(),
            },
            ts: draft.ts.to_string(),
            v: VERSION,
        }
    }

    /// Reads a whole statement.
    pub(crate) fn read(payload: &str) -> Result<statement::Statement, StatementError> {
        let wire: Statement<'_> = serde_json::from_str(payload).map_err(StatementError::Shape)?;
        if wire.v != VERSION {
            return Err(StatementError::Version(wire.v));
        }
        let (kind, principal) = (wire.caller.kind, wire.caller.principal);
        if kind != kind_of(&principal) {
            return Err(StatementError::CallerKind { principal, kind: kind.into_owned() });
        }
        Ok(statement::Statement {
            receipt_id: wire.receipt_id,
            seq: wire.seq.ok_or(StatementError::Missing("seq"))?,
            prev: wire.prev.ok_or(StatementError::Missing("prev"))?,
            gateway: wire.gateway.ok_or(StatementError::Missing("gateway"))?,
            call_id: wire.call_id,
            received: read_moment("received", &wire.received)?,
            ts: read_moment("ts", &wire.ts)?,
            caller: principal,
            tool: ToolRef { server: wire.tool.server, tool: wire.tool.name },
            schema_sha256: wire.tool.schema_sha256,
            args_sha256: wire.args_sha256,
            result_sha256: wire.result_sha256,
            outcome: wire.outcome.into_owned(),
            charged: wire.charged,
            price: wire.price.map(|price| (price.amount, price.asset, price.rail)),
            payment_ref: wire.payment_ref.map(Cow::into_owned),
            refunded: wire.refunded,
            amount_charged: wire.amount_charged,
            settlement: wire.settlement.into_owned(),
            escrow: wire.escrow_id,
            decision: wire.decision.map(Decision::read),
            mode: wire.mode.into_owned(),
        })
    }
}

impl Decision {
    fn of(requirement: &Requirement, standing: &Standing) -> Self {
        Self {
            requirement: Asked { api_key: requirement.api_key, min_reputation: requirement.min_reputation },
            standing: Judged {
                reputation: standing.reputation,
                settled_calls: standing.settled_calls.min(EXACT_MAX),
                tier: standing.tier,
            },
        }
    }

    fn read(self) -> (Requirement, Standing) {
        let (asked, judged) = (self.requirement, self.standing);
        (
            Requirement { api_key: asked.api_key, min_reputation: asked.min_reputation },
            Standing {
                tier: judged.tier,
                reputation: judged.reputation,
                settled_calls: judged.settled_calls,
            },
        )
    }
}

/// What of the price was charged in the end, where it was not all of it.
fn amount_charged(draft: &StatementDraft) -> Option<Amount> {
    let (amount, _, _) = draft.price.as_ref().filter(|_| draft.charged)?;
    amount.checked_sub(draft.refunded?)
}

/// The kind of a caller, as the text form of its principal shows it.
fn kind_of(principal: &Principal) -> &'static str {
    match principal.as_str().split_once([':', '_']) {
        Some(("key", _)) => "api_key",
        Some(("eip155", _)) => "wallet",
        Some(("lightning", _)) => "preimage",
        Some(_) | None => "anonymous",
    }
}

/// When a call was received: the leading 48 bits of its id are the Unix milliseconds at which it was made.
fn received(call: &CallId) -> UnixMillis {
    let [t0, t1, t2, t3, t4, t5, ..] = *call.as_bytes();
    UnixMillis::new(u64::from_be_bytes([0, 0, t0, t1, t2, t3, t4, t5]))
}

fn read_moment(member: &'static str, text: &str) -> Result<UnixMillis, StatementError> {
    moment::parse(text).map_err(|error| StatementError::Moment { member, reason: error.to_string() })
}
