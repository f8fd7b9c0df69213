//! What a receipt says of money that an escrow moved: the payload of its own kind, in the chain of the receipts of calls.

use serde::Deserialize;
use tollgate_domain::{Amount, AssetId, CallId, EscrowId, Principal, ReceiptId, UnixMillis};

use crate::draft::{Draft, GAP};
use crate::moment;
use crate::wire::StatementError;

/// The version of this form. Members may be added under it; none changes its meaning or goes away.
const VERSION: u32 = 1;
/// What tells it from the statement of a call.
pub(crate) const KIND: &str = "escrow";

/// What a receipt is to say of one event of an escrow, before it has its place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EscrowDraft {
    /// The receipt's id.
    pub receipt_id: ReceiptId,
    /// When it happened.
    pub ts: UnixMillis,
    /// The escrow.
    pub escrow_id: EscrowId,
    /// The call that began it, if one did.
    pub call_id: Option<CallId>,
    /// The version of the escrow after it.
    pub version: u64,
    /// What happened.
    pub event: &'static str,
    /// By whom: a principal, `operator`, `operator:<admin key>`, `service` or `clock`.
    pub by: String,
    /// Where the escrow stands after it.
    pub state: &'static str,
    /// Who pays.
    pub payer: Principal,
    /// Who is paid: a principal, or `server:<server>`.
    pub provider: String,
    /// The mediator, where it is a principal.
    pub mediator: Option<Principal>,
    /// Of what.
    pub asset: AssetId,
    /// Over how much the escrow is.
    pub amount: Amount,
    /// What moved, in order.
    pub movements: Vec<Moved>,
    /// What the provider has got by now.
    pub released: Amount,
    /// What the payer has got back by now, without stakes.
    pub refunded: Amount,
    /// `sandbox` or `live`.
    pub mode: &'static str,
}

/// One movement of money. The purses are `payer`, `provider`, `mediator`, `escrow` and `stake`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Moved {
    /// How much.
    pub amount: Amount,
    /// Whence.
    pub from: String,
    /// Where to.
    pub to: String,
}

/// What a verified receipt of an escrow says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EscrowStatement {
    /// When it happened.
    pub ts: UnixMillis,
    /// The escrow.
    pub escrow_id: EscrowId,
    /// The call that began it, if one did.
    pub call_id: Option<CallId>,
    /// The version of the escrow after it.
    pub version: u64,
    /// What happened.
    pub event: String,
    /// By whom.
    pub by: String,
    /// Where the escrow stood after it.
    pub state: String,
    /// Who pays.
    pub payer: Principal,
    /// Who is paid.
    pub provider: String,
    /// The mediator, where it is a principal.
    pub mediator: Option<Principal>,
    /// Of what.
    pub asset: AssetId,
    /// Over how much the escrow is.
    pub amount: Amount,
    /// What moved, in order.
    pub movements: Vec<Moved>,
    /// What the provider had got.
    pub released: Amount,
    /// What the payer had got back.
    pub refunded: Amount,
    /// `sandbox` or `live`.
    pub mode: String,
}

/// What is read of the JSON form, beside what every statement has.
#[derive(Deserialize)]
struct Wire {
    amount: Amount,
    asset: AssetId,
    by: String,
    call_id: Option<CallId>,
    escrow_id: EscrowId,
    event: String,
    mediator: Option<Principal>,
    mode: String,
    movements: Vec<Moved>,
    payer: Principal,
    provider: String,
    refunded: Amount,
    released: Amount,
    state: String,
    ts: String,
    v: u32,
    version: u64,
}

impl EscrowDraft {
    /// The draft as text, for [`crate::seal`].
    pub fn to_text(&self) -> String {
        Draft::of(|draft| {
            draft.plain("amount", self.amount);
            draft.text("asset", self.asset.as_str());
            draft.text("by", &self.by);
            if let Some(call) = self.call_id {
                draft.plain("call_id", call);
            }
            draft.plain("escrow_id", self.escrow_id);
            draft.text("event", self.event);
            draft.plain("gateway", GAP);
            draft.text("kind", KIND);
            if let Some(mediator) = &self.mediator {
                draft.text("mediator", mediator.as_str());
            }
            draft.text("mode", self.mode);
            draft.objects("movements", &self.movements, |draft, moved| {
                draft.plain("amount", moved.amount);
                draft.text("from", &moved.from);
                draft.text("to", &moved.to);
            });
            draft.text("payer", self.payer.as_str());
            draft.plain("prev", GAP);
            draft.text("provider", &self.provider);
            draft.plain("receipt_id", self.receipt_id);
            draft.plain("refunded", self.refunded);
            draft.plain("released", self.released);
            draft.bare("seq", GAP);
            draft.text("state", self.state);
            draft.plain("ts", self.ts);
            draft.bare("v", VERSION);
            draft.bare("version", self.version);
        })
    }
}

impl EscrowStatement {
    /// Reads a whole statement.
    pub(crate) fn read(payload: &str) -> Result<Self, StatementError> {
        let wire: Wire = serde_json::from_str(payload).map_err(StatementError::Shape)?;
        if wire.v != VERSION {
            return Err(StatementError::Version(wire.v));
        }
        let ts = moment::parse(&wire.ts)
            .map_err(|error| StatementError::Moment { member: "ts", reason: error.to_string() })?;
        Ok(Self {
            ts,
            escrow_id: wire.escrow_id,
            call_id: wire.call_id,
            version: wire.version,
            event: wire.event,
            by: wire.by,
            state: wire.state,
            payer: wire.payer,
            provider: wire.provider,
            mediator: wire.mediator,
            asset: wire.asset,
            amount: wire.amount,
            movements: wire.movements,
            released: wire.released,
            refunded: wire.refunded,
            mode: wire.mode,
        })
    }
}

#[cfg(test)]
mod tests {
    use tollgate_domain::{Caller, KeyId};

    use super::*;
    use crate::{FIRST_PREVIOUS, Said, Signer, seal, verify, verify_chain};

    fn who(byte: u8) -> Principal {
        Caller::ApiKey(KeyId::from_bytes([byte; 16])).principal()
    }

    fn draft(call_id: Option<CallId>, mediator: Option<Principal>) -> EscrowDraft {
        let moved = |from: &str, to: &str, units| Moved {
            amount: Amount::new(units),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        EscrowDraft {
            receipt_id: ReceiptId::from_bytes([3; 16]),
            ts: UnixMillis::from_secs(1_795_219_200),
            escrow_id: EscrowId::from_bytes([4; 16]),
            call_id,
            version: 7,
            event: "resolve",
            by: "operator:adm_10000000000000000000001".to_owned(),
            state: "resolved",
            payer: who(1),
            provider: if call_id.is_some() { "server:demo".to_owned() } else { who(2).to_string() },
            mediator,
            asset: "lightning:regtest/msat".parse().unwrap(),
            amount: Amount::new(1_000),
            movements: vec![moved("escrow", "provider", 333), moved("escrow", "payer", 667)],
            released: Amount::new(333),
            refunded: Amount::new(667),
            mode: "sandbox",
        }
    }

    #[test]
    fn a_receipt_of_an_escrow_says_what_was_drafted_and_stands_in_the_chain_of_calls() {
        let signer = Signer::from_seed(&[7; 32]).unwrap();
        let keys = [signer.public()];
        let call = Some(CallId::from_bytes([5; 16]));
        let mut envelopes = Vec::new();
        let first = crate::statement::tests::full().to_text();
        let mut last = seal(&first, 1, &FIRST_PREVIOUS, &signer).unwrap();
        envelopes.push(last.envelope.clone());
        for (seq, draft) in [(2, draft(call, None)), (3, draft(None, Some(who(3))))] {
            last = seal(&draft.to_text(), seq, &last.hash, &signer).unwrap();
            assert_eq!(last.receipt_id, draft.receipt_id);
            envelopes.push(last.envelope.clone());
            let verified = verify(&last.envelope, &keys).unwrap();
            assert_eq!((verified.place().seq, verified.call()), (seq, None));
            let Said::Escrow(said) = verified.said() else { panic!("{verified:?}") };
            assert_eq!((&said.movements, said.call_id), (&draft.movements, draft.call_id));
            assert_eq!((&said.provider, &said.mediator), (&draft.provider, &draft.mediator));
            assert_eq!((said.event.as_str(), said.version, said.ts), (draft.event, 7, draft.ts));
            assert_eq!((said.released, said.refunded), (draft.released, draft.refunded));
        }
        assert_eq!(verify_chain(&envelopes, &keys).unwrap()[0].last_seq, 3);
        envelopes.remove(1);
        assert!(verify_chain(&envelopes, &keys).is_err(), "one that is left out is missed");
    }

    #[test]
    fn what_moved_cannot_be_changed_afterwards() {
        let signer = Signer::from_seed(&[7; 32]).unwrap();
        let sealed = seal(&draft(None, None).to_text(), 1, &FIRST_PREVIOUS, &signer).unwrap();
        assert!(verify(&sealed.envelope, &[signer.public()]).is_ok(), "control");
        let mut envelope: serde_json::Value = serde_json::from_str(&sealed.envelope).unwrap();
        let payload = crate::dsse::decode(envelope["payload"].as_str().unwrap()).unwrap();
        let edited = String::from_utf8(payload).unwrap().replace("\"333\"", "\"933\"");
        use base64::Engine as _;
        envelope["payload"] = base64::engine::general_purpose::STANDARD.encode(edited).into();
        assert!(verify(&envelope.to_string(), &[signer.public()]).is_err());
    }
}
