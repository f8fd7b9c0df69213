use tollgate_domain::{
    Amount, AssetId, CallId, Digest, EscrowId, Principal, Rail, ReceiptId, Requirement, Standing, ToolRef,
    UnixMillis,
};

use crate::wire;

/// What a receipt is to say of one ended call, before it has its place in the chain.
///
/// The words (`outcome`, `settlement`, `mode`) are those of the engines that own them, and static: none can come from a
/// stranger. What does not exist is left out, never `null`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatementDraft {
    /// The receipt's id.
    pub receipt_id: ReceiptId,
    /// The call. Its id holds when it was received; the statement writes that out.
    pub call_id: CallId,
    /// When the statement was made: the call had ended.
    pub ts: UnixMillis,
    /// Who called.
    pub caller: Principal,
    /// What was called.
    pub tool: ToolRef,
    /// The digest of the tool's input schema as it was then.
    pub schema_sha256: Option<Digest>,
    /// The salted digest of the canonical arguments; see [`crate::salted_digest`].
    pub args_sha256: Digest,
    /// The salted digest of the canonical result, if there was one.
    pub result_sha256: Option<Digest>,
    /// How the carrying out ended: `delivered`, `failed`, `unreachable`, `timed_out`, `broken` or `abandoned`; `not_asked`
    /// when it was not begun.
    pub outcome: &'static str,
    /// Whether the caller was charged.
    pub charged: bool,
    /// What the call was quoted at and how it was to be paid; absent for a free call.
    pub price: Option<(Amount, AssetId, Rail)>,
    /// The rail's reference of the settlement, such as a transaction hash.
    pub payment_ref: Option<String>,
    /// How much of the price is not kept: what the size of the result left of it, and what went back since; absent where that is
    /// nothing.
    pub refunded: Option<Amount>,
    /// Where the settlement stands: a state of the settlement machine, `escrowed`, `refunded_in_part`, or `free`.
    pub settlement: &'static str,
    /// The escrow that the money is in, where it is in one.
    pub escrow: Option<EscrowId>,
    /// What the tool asked and how the caller was judged; absent where that is no longer known (after a crash).
    pub decision: Option<(Requirement, Standing)>,
    /// `sandbox` or `live`.
    pub mode: &'static str,
}

impl StatementDraft {
    /// The draft as text, for [`crate::seal`]: canonical JSON (RFC 8785), with gaps for what only sealing knows.
    pub fn to_text(&self) -> String {
        wire::write(self)
    }
}

/// What a verified receipt says. Texts are as the gateway wrote them; members of a later version are passed over here and
/// stand in [`crate::Verified::payload`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// The receipt's id.
    pub receipt_id: ReceiptId,
    /// Its place in the chain of its key, from 1.
    pub seq: u64,
    /// The hash of the receipt before it; [`crate::FIRST_PREVIOUS`] for the first.
    pub prev: Digest,
    /// The gateway: the `did:key` of the key that signed.
    pub gateway: String,
    /// The call.
    pub call_id: CallId,
    /// When the call was received.
    pub received: UnixMillis,
    /// When the statement was made.
    pub ts: UnixMillis,
    /// Who called.
    pub caller: Principal,
    /// What was called.
    pub tool: ToolRef,
    /// The digest of the tool's input schema as it was then.
    pub schema_sha256: Option<Digest>,
    /// The salted digest of the canonical arguments.
    pub args_sha256: Digest,
    /// The salted digest of the canonical result.
    pub result_sha256: Option<Digest>,
    /// How the carrying out ended.
    pub outcome: String,
    /// Whether the caller was charged.
    pub charged: bool,
    /// What the call was quoted at.
    pub price: Option<(Amount, AssetId, Rail)>,
    /// The rail's reference of the settlement.
    pub payment_ref: Option<String>,
    /// How much of the price is not kept: what the size of the result left of it, and what went back since.
    pub refunded: Option<Amount>,
    /// How much was charged in the end, where it was not all of the price.
    pub amount_charged: Option<Amount>,
    /// Where the settlement stood.
    pub settlement: String,
    /// The escrow that the money was put into.
    pub escrow: Option<EscrowId>,
    /// What the tool asked and how the caller was judged.
    pub decision: Option<(Requirement, Standing)>,
    /// `sandbox` or `live`.
    pub mode: String,
}

#[cfg(test)]
pub(crate) mod tests;
