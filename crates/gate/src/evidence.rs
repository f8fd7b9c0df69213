//! What the gateway itself adds to an answer: the receipt with its salts, the rail's receipt, and what became of the money.

use http::HeaderMap;
use serde_json::json;
use tollgate_domain::{Amount, AssetId, Principal, Rail};
use tollgate_ledger::StoredAnswer;
use tollgate_rails::mpp;
use tollgate_rails::x402::wire;

use crate::answer::insert;
use crate::charge::Charge;
use crate::entrust::Entrusted;

/// The gateway's own part of an answer: the receipt with its salts, and the rail's receipt.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub(crate) receipt: Option<String>,
    pub(crate) salts: Option<String>,
    pub(crate) payment: Option<String>,
    pub(crate) mpp: Option<String>,
    pub(crate) note: Option<&'static str>,
    pub(crate) refund: Option<Refund>,
    pub(crate) escrow: Option<Box<Entrusted>>,
    pub(crate) charge: Option<Box<Charge>>,
}

/// What of a payment went back, and where it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refund {
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// Whose prepaid credit it is.
    pub to: Principal,
}

impl Refund {
    /// `{"amount","asset","as":"credit","to"}`.
    pub fn to_json(&self) -> serde_json::Value {
        json!({ "amount": self.amount, "asset": self.asset, "as": "credit", "to": self.to })
    }
}

impl Evidence {
    /// What is kept beside the stored answer of a repeated payment.
    pub fn stored(stored: &StoredAnswer) -> Self {
        Self {
            receipt: stored.receipt.clone(),
            salts: stored.private.clone(),
            payment: stored.receipt.as_deref().and_then(payment_of),
            mpp: None,
            refund: None,
            escrow: None,
            charge: None,
            note: None,
        }
    }

    /// The receipt as `{"envelope":…,"salts":…}`, if the call has one.
    pub fn receipt_json(&self) -> Option<String> {
        self.receipt.as_ref().map(|envelope| match &self.salts {
            Some(salts) => format!("{{\"envelope\":{envelope},\"salts\":{salts}}}"),
            None => format!("{{\"envelope\":{envelope}}}"),
        })
    }

    /// The members to merge into the `_meta` of an MCP result: raw JSON by key.
    pub fn meta(&self) -> Vec<(&'static str, String)> {
        let mut entries = Vec::with_capacity(4);
        if let Some(receipt) = self.receipt_json() {
            entries.push(("tollgate/receipt", receipt));
        }
        if let Some(payment) = &self.payment {
            entries.push(("x402/payment-response", payment.clone()));
        }
        if let Some(receipt) = &self.mpp {
            entries.push((mpp::RECEIPT_META_KEY, receipt.clone()));
        }
        if let Some(refund) = &self.refund {
            entries.push(("tollgate/refund", refund.to_json().to_string()));
        }
        if let Some(escrow) = &self.escrow {
            entries.push(("tollgate/escrow", escrow.to_json().to_string()));
        }
        if let Some(charge) = &self.charge {
            entries.push(("tollgate/charge", charge.to_json().to_string()));
        }
        if let Some(note) = self.note {
            entries.push(("tollgate/note", json!(note).to_string()));
        }
        entries
    }

    /// What went back, if anything.
    pub fn refund(&self) -> Option<&Refund> {
        self.refund.as_ref()
    }

    /// What of the price was charged, where it was not all of it.
    pub fn charge(&self) -> Option<&Charge> {
        self.charge.as_deref()
    }

    /// What became of the payment, as a sentence, where the rest does not say it.
    pub fn note(&self) -> Option<&'static str> {
        self.note
    }

    /// The escrow that the money is in, if it is in one.
    pub fn escrow(&self) -> Option<&Entrusted> {
        self.escrow.as_deref()
    }

    /// Marks an HTTP answer as paid: not for shared caches, with the rail's receipt in its header.
    pub fn mark(&self, headers: &mut HeaderMap) {
        insert(
            headers,
            "cache-control",
            if self.payment.is_some() || self.receipt.is_some() { "private, no-store" } else { "no-store" },
        );
        insert(headers, "vary", "authorization, payment-signature, x-payment, x-api-key");
        if let Some(payment) = &self.payment {
            insert(headers, "payment-response", &wire::header(payment));
        }
        if let Some(receipt) = &self.mpp {
            insert(headers, "payment-receipt", &mpp::receipt_header(receipt));
        }
        if let Some(refund) = &self.refund {
            insert(headers, "tollgate-refund", &refund.to_json().to_string());
        }
        if let Some(charge) = &self.charge {
            insert(headers, "tollgate-charge", &charge.to_json().to_string());
        }
        if let Some(escrow) = &self.escrow {
            insert(headers, "tollgate-escrow", &escrow.escrow.to_string());
        }
        // A tool's JSON-RPC error has no `_meta`: there it stands here alone.
        if let Some(note) = self.note {
            insert(headers, "tollgate-note", note);
        }
    }
}

/// The `SettleResponse` of a call as its receipt tells it. Whoever was told to come again, because it was not known whether the payment
/// had arrived, is told with the stored answer.
fn payment_of(receipt: &str) -> Option<String> {
    let said = tollgate_attest::kept_statement(receipt)?;
    let (quoted, asset, rail) = said.price?;
    let reference = said.payment_ref.filter(|_| said.charged && rail == Rail::X402)?;
    let payer = said.caller.as_str().strip_prefix("eip155:");
    // Where less than the price was charged, a receipt does not say whether the rest moved and came back, or never moved.
    let amount = said.amount_charged.is_none().then_some(quoted);
    Some(wire::settle_response(true, &reference, asset.network(), payer, amount, None))
}
