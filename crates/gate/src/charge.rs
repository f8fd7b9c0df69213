//! What a call is charged, where its price follows from the size of the result: known once the tool has answered, and at most what
//! was quoted.

use serde_json::json;
use tollgate_domain::{Amount, AssetId, Digest, Principal, Settle};
use tollgate_ledger::Event;
use tollgate_mcp::canonical;
use tollgate_mcp::result::result_type;
use tollgate_rails::{Funds, Payment};

use crate::call::{Call, Ready};
use crate::complete::ToolAnswer;

/// What of a quoted maximum was charged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// What the result costs.
    pub charged: Amount,
    /// What was quoted.
    pub quoted: Amount,
    /// Of what.
    pub asset: AssetId,
    /// Whose prepaid credit the rest is. `None`: it was never taken.
    pub rest_to: Option<Principal>,
}

impl Charge {
    /// `{"charged","quoted","asset","rest"}`; `rest` is `{"amount","as","to"}` where it had been taken, and missing where it was only
    /// held.
    pub fn to_json(&self) -> serde_json::Value {
        let Self { charged, quoted, asset, rest_to } = self;
        let mut told = json!({ "charged": charged, "quoted": quoted, "asset": asset });
        if let (Some(to), Some(told)) = (rest_to, told.as_object_mut()) {
            told.insert("rest".to_owned(), json!({ "amount": self.rest(), "as": "credit", "to": to }));
        }
        told
    }

    /// What is not charged of what was quoted.
    pub(crate) fn rest(&self) -> Amount {
        self.quoted.checked_sub(self.charged).unwrap_or_default()
    }
}

impl Call<Ready> {
    /// What is charged for this answer; `None`: all of the price.
    pub(crate) fn charge(&self, payment: &Payment, answer: &ToolAnswer) -> Option<Charge> {
        let rule = self.stage.held.hold.as_ref()?.by_result.as_ref()?;
        let (asset, quoted) = (payment.asset.clone(), payment.amount);
        let charged = rule.of(&asset, size(answer)?)?;
        if charged >= quoted {
            return None;
        }
        let is_taken = self.settle().takes_first() || !payment.funds.settles_on_our_books();
        Some(Charge { charged, quoted, asset, rest_to: is_taken.then(|| self.refund_to(payment)) })
    }

    /// Whose credit it is when money goes back.
    pub(crate) fn refund_to(&self, payment: &Payment) -> Principal {
        match &payment.funds {
            // What would have gone into an escrow belongs to whoever would have been its payer.
            _ if self.settle() == Settle::Escrow => self.principal().clone(),
            Funds::Credit(principal) => principal.clone(),
            Funds::OnSettlement | Funds::Arrived | Funds::Sandbox | Funds::Free(_) => {
                payment.payer.principal()
            }
        }
    }
}

/// The bytes of a result in canonical form without its `_meta`, so that no server is paid for spaces and each caller can count again.
/// `None`: it is not known. Of a result that is only announced, or told by its digest, all of the price is charged.
fn size(answer: &ToolAnswer) -> Option<u64> {
    let ToolAnswer::Result(raw) = answer else { return None };
    if result_type(raw).is_some_and(|kind| kind != "complete") {
        return None;
    }
    let form = canonical::canonical_without(raw, &["_meta"]).ok()?;
    u64::try_from(form.len()).ok()
}

/// What became known with an answer: that it is there, and what it costs where that is not all of the price.
pub(crate) fn executed(result: Digest, charge: Option<&Charge>) -> Event {
    match charge {
        Some(charge) => Event::Measured { result, due: charge.charged },
        None => Event::Executed { result },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn of(raw: &str) -> Option<u64> {
        size(&ToolAnswer::Result(Bytes::copy_from_slice(raw.as_bytes())))
    }

    #[test]
    fn p8_spaces_order_and_meta_make_no_result_larger() {
        let plain = of(r#"{"a":"x","content":[]}"#);
        assert_eq!(plain, Some(22));
        assert_eq!(of("{ \"content\" : [ ],\n  \"_meta\":{\"pad\":\"xxxxxxxx\"}, \"a\":\"\\u0078\"}"), plain);
        assert_eq!(of(r#"{"a":"xy","content":[]}"#), Some(23), "control");
    }

    #[test]
    fn what_is_announced_or_told_by_its_digest_has_no_size() {
        assert_eq!(of(r#"{"resultType":"task","taskId":"1"}"#), None);
        assert!(of(r#"{"resultType":"complete","content":[]}"#).is_some(), "control");
        assert_eq!(size(&ToolAnswer::Digest(Digest::of(b""))), None);
        assert_eq!(size(&ToolAnswer::Error(Bytes::from_static(b"{}"))), None);
        assert_eq!(of("no JSON"), None);
    }
}
