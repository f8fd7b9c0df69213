//! What a receipt says of one call, gathered from the call in flight or from its settlement row after a restart.

use tollgate_attest::{StatementDraft, salted_digest};
use tollgate_domain::{
    Amount, AssetId, CallId, Digest, EscrowId, Principal, Rail, ReceiptId, Requirement, Standing, ToolRef,
    UnixMillis,
};

use crate::ports::Mode;

/// The facts of one ended call.
#[derive(Clone, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) receipt: ReceiptId,
    pub(crate) call: CallId,
    pub(crate) at: UnixMillis,
    pub(crate) caller: &'a Principal,
    pub(crate) tool: &'a ToolRef,
    pub(crate) schema: Option<Digest>,
    pub(crate) args: Digest,
    pub(crate) result: Option<Digest>,
    pub(crate) outcome: &'static str,
    pub(crate) charged: bool,
    pub(crate) price: Option<(Amount, &'a AssetId, Rail)>,
    pub(crate) payment_ref: Option<String>,
    pub(crate) settlement: &'static str,
    pub(crate) escrow: Option<EscrowId>,
    pub(crate) refunded: Option<Amount>,
    pub(crate) decision: Option<(Requirement, Standing)>,
    pub(crate) mode: Mode,
}

/// A statement ready to be sealed, and the salts that only the parties of the call are given.
#[derive(Clone, Debug)]
pub(crate) struct Drafted {
    pub(crate) statement: String,
    pub(crate) salts: String,
}

impl Told<'_> {
    /// Writes the statement. `random` salts the digests of arguments and result: a digest of a city name would otherwise
    /// be guessed in no time.
    pub(crate) fn draft(self, random: [u8; 32]) -> Drafted {
        let [args_salt, result_salt] = halves(random);
        let draft = StatementDraft {
            receipt_id: self.receipt,
            call_id: self.call,
            ts: self.at,
            caller: self.caller.clone(),
            tool: self.tool.clone(),
            schema_sha256: self.schema,
            args_sha256: salted_digest(&args_salt, self.args.as_bytes()),
            result_sha256: self.result.map(|digest| salted_digest(&result_salt, digest.as_bytes())),
            outcome: self.outcome,
            charged: self.charged,
            price: self.price.map(|(amount, asset, rail)| (amount, asset.clone(), rail)),
            payment_ref: self.payment_ref,
            settlement: self.settlement,
            escrow: self.escrow,
            refunded: self.refunded,
            decision: self.decision,
            mode: self.mode.word(),
        };
        let [args_salt, result_salt] = [args_salt, result_salt].map(hex::encode);
        let salts = format!(r#"{{"args":"{args_salt}","result":"{result_salt}"}}"#);
        Drafted { statement: draft.to_text(), salts }
    }
}

fn halves(random: [u8; 32]) -> [[u8; 16]; 2] {
    let (halves, _) = random.as_chunks::<16>();
    [0, 1].map(|half| halves.get(half).copied().unwrap_or_default())
}
