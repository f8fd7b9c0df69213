//! The JSON form of a statement (the payload of a receipt): written member by member, read by hand-matched structs.

use std::borrow::Cow;

use serde::Deserialize;
use tollgate_domain::{
    Amount, AssetId, Bps, CallId, Digest, EscrowId, KyaTier, Principal, Rail, ReceiptId, Requirement,
    ServerName, Standing, ToolName, ToolRef, UnixMillis,
};

use crate::draft::{Draft, GAP};
use crate::statement::StatementDraft;
use crate::{moment, statement};

/// The version of this form. Members may be added under it; none changes its meaning or goes away.
const VERSION: u32 = 1;
/// Above 2^53 - 1 a JSON number is not exact everywhere (RFC 7493 section 2.2).
pub(crate) const EXACT_MAX: u64 = 9_007_199_254_740_991;

#[derive(Deserialize)]
pub(crate) struct Statement<'a> {
    amount_charged: Option<Amount>,
    args_sha256: Digest,
    call_id: CallId,
    caller: Caller<'a>,
    charged: bool,
    decision: Option<Decision>,
    escrow_id: Option<EscrowId>,
    gateway: Option<String>,
    mode: Cow<'a, str>,
    outcome: Cow<'a, str>,
    payment_ref: Option<Cow<'a, str>>,
    prev: Option<Digest>,
    price: Option<Price>,
    receipt_id: ReceiptId,
    received: String,
    refunded: Option<Amount>,
    result_sha256: Option<Digest>,
    seq: Option<u64>,
    settlement: Cow<'a, str>,
    tool: Tool,
    ts: String,
    v: u32,
}

#[derive(Deserialize)]
struct Caller<'a> {
    kind: Cow<'a, str>,
    principal: Principal,
}

#[derive(Deserialize)]
struct Tool {
    name: ToolName,
    schema_sha256: Option<Digest>,
    server: ServerName,
}

#[derive(Deserialize)]
struct Price {
    amount: Amount,
    asset: AssetId,
    rail: Rail,
}

#[derive(Deserialize)]
struct Decision {
    requirement: Asked,
    standing: Judged,
}

#[derive(Deserialize)]
struct Asked {
    api_key: bool,
    min_reputation: Bps,
}

#[derive(Deserialize)]
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

/// Writes a draft: the members of [`Statement`], in its order.
pub(crate) fn write(said: &StatementDraft) -> String {
    Draft::of(|draft| {
        if let Some(amount) = amount_charged(said) {
            draft.plain("amount_charged", amount);
        }
        draft.plain("args_sha256", said.args_sha256);
        draft.plain("call_id", said.call_id);
        draft.object("caller", |caller| {
            caller.text("kind", kind_of(&said.caller));
            caller.text("principal", said.caller.as_str());
        });
        draft.bare("charged", said.charged);
        if let Some((requirement, standing)) = &said.decision {
            draft.object("decision", |draft| {
                draft.object("requirement", |asked| {
                    asked.bare("api_key", requirement.api_key);
                    asked.plain("min_reputation", requirement.min_reputation);
                });
                draft.object("standing", |judged| {
                    judged.plain("reputation", standing.reputation);
                    judged.bare("settled_calls", standing.settled_calls.min(EXACT_MAX));
                    judged.text("tier", standing.tier.word());
                });
            });
        }
        if let Some(escrow) = said.escrow {
            draft.plain("escrow_id", escrow);
        }
        draft.plain("gateway", GAP);
        draft.text("mode", said.mode);
        draft.text("outcome", said.outcome);
        if let Some(reference) = &said.payment_ref {
            draft.text("payment_ref", reference);
        }
        draft.plain("prev", GAP);
        if let Some((amount, asset, rail)) = &said.price {
            draft.object("price", |price| {
                price.plain("amount", amount);
                price.text("asset", asset.as_str());
                price.plain("rail", rail);
            });
        }
        draft.plain("receipt_id", said.receipt_id);
        draft.plain("received", received(&said.call_id));
        if let Some(amount) = said.refunded {
            draft.plain("refunded", amount);
        }
        if let Some(digest) = said.result_sha256 {
            draft.plain("result_sha256", digest);
        }
        draft.bare("seq", GAP);
        draft.text("settlement", said.settlement);
        draft.object("tool", |tool| {
            tool.text("name", said.tool.tool.as_str());
            if let Some(digest) = said.schema_sha256 {
                tool.plain("schema_sha256", digest);
            }
            tool.text("server", said.tool.server.as_str());
        });
        draft.plain("ts", said.ts);
        draft.bare("v", VERSION);
    })
}

impl Statement<'_> {
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
