//! What is asked of a caller who has not paid: the offers of all rails, in the shapes that clients in the field read.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_domain::{Price, Pricing, ToolRef};
use tollgate_rails::Offer;

use crate::pricing::pricing;

/// How much of a tool's description a demand shows, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 200;

/// The beginning of a tool's description, as a demand shows it. Descriptions are written for models and have pages; a demand travels in
/// headers, and whoever reads them takes no more than some 8 or 16 KB of all together.
pub(crate) fn brief(description: &str) -> String {
    const CUT: &str = "…";
    if description.len() <= DESCRIPTION_BYTES_MAX {
        return description.to_owned();
    }
    let end = description.floor_char_boundary(DESCRIPTION_BYTES_MAX.saturating_sub(CUT.len()));
    format!("{}{CUT}", description.get(..end).unwrap_or_default().trim_end())
}

/// The offers for one quoted call.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The tool that is asked for.
    pub tool: ToolRef,
    /// Its description, shown to whoever approves the payment: no more than its beginning.
    pub description: Option<String>,
    /// The price of this call, for people.
    pub price: Price,
    /// The rules that it follows from.
    pub rules: Pricing,
    /// One or more ways to pay.
    pub offers: Vec<Offer>,
    /// Whether this is sandbox money; said in every text.
    pub sandbox: bool,
    /// Whether the tool has a schema of its results, which the demand does not fit.
    pub has_output_schema: bool,
    /// Why an earlier payment was not taken; replaces the plain sentence.
    pub reason: Option<String>,
    /// How the rail refused the payment of this very call: x402's `SettleResponse`, where it was x402.
    pub refused: Option<String>,
}

impl Demand {
    /// The demand in a sentence: what it costs, and how it can be paid.
    pub fn sentence(&self) -> String {
        if let Some(reason) = &self.reason {
            return reason.clone();
        }
        let prices: Vec<String> = self.price.options().iter().map(ToString::to_string).collect();
        let sandbox = if self.sandbox { " (SANDBOX: no real money)" } else { "" };
        let call = if self.rules.per_call().is_some() { "per call" } else { "for this call" };
        let most = if self.rules.reads_result() { "at most " } else { "" };
        let (tool, prices) = (&self.tool.tool, prices.join(" or "));
        format!("Payment required: {tool} costs {most}{prices} {call}{sandbox}.")
    }

    /// x402 `PaymentRequired` (specification v2, section 5), or `None` when no offer takes x402.
    pub fn payment_required(&self, resource_url: &str) -> Option<String> {
        let accepts: Vec<String> =
            self.offers.iter().flat_map(|offer| offer.forms.x402_accepts.iter().cloned()).collect();
        (!accepts.is_empty()).then(|| {
            tollgate_rails::x402::wire::payment_required(
                resource_url,
                self.description.as_deref(),
                &self.sentence(),
                &accepts,
                self.refused.as_deref(),
            )
        })
    }

    /// The L402 challenge object, if a rail offers one.
    pub fn l402(&self) -> Option<&str> {
        self.offers.iter().find_map(|offer| offer.forms.l402.as_deref())
    }

    /// MPP challenges for MCP: `{"httpStatus":402,"challenges":[…]}` (draft-payment-transport-mcp), if any.
    pub fn mpp(&self) -> Option<String> {
        let challenges: Vec<&RawValue> = self
            .offers
            .iter()
            .flat_map(|offer| &offer.forms.mpp_challenges)
            .filter_map(|text| serde_json::from_str(text).ok())
            .collect();
        (!challenges.is_empty())
            .then(|| serde_json::to_string(&MppDemand { http_status: 402, challenges }).unwrap_or_default())
    }

    /// `WWW-Authenticate` values, L402 first: deployed clients read the first value only.
    pub fn www_authenticate(&self) -> Vec<&str> {
        let mut values: Vec<&str> =
            self.offers.iter().flat_map(|offer| &offer.forms.www_authenticate).map(String::as_str).collect();
        values.sort_by_key(|value| !value.starts_with("L402"));
        values
    }

    /// The facts that every form carries: `amount` and `recipient` of the first offer, the offers of all rails.
    pub fn facts(&self, resource_url: &str) -> Value {
        let x402: Option<Value> =
            self.payment_required(resource_url).and_then(|text| serde_json::from_str(&text).ok());
        let l402: Option<Value> = self.l402().and_then(|text| serde_json::from_str(text).ok());
        let first = self.offers.first();
        let recipient = x402
            .as_ref()
            .and_then(|demand| demand.pointer("/accepts/0/payTo"))
            .or_else(|| l402.as_ref().and_then(|challenge| challenge.get("invoice")))
            .cloned();
        let mut facts = json!({
            "amount": first.map(|offer| offer.amount),
            "asset": first.map(|offer| &offer.asset),
            "recipient": recipient,
            "price": self.price.options().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "sandbox": self.sandbox,
            "pricing": pricing(&self.rules),
        });
        if let Some(object) = facts.as_object_mut() {
            if let Some(x402) = x402 {
                object.insert("x402".to_owned(), x402);
            }
            if let Some(l402) = l402 {
                object.insert("l402".to_owned(), l402);
            }
        }
        facts
    }
}

#[derive(serde::Serialize)]
struct MppDemand<'a> {
    #[serde(rename = "httpStatus")]
    http_status: u16,
    challenges: Vec<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_shows_the_beginning_of_a_long_description_and_the_whole_of_a_short_one() {
        for whole in ["", "Echoes.", &"a".repeat(DESCRIPTION_BYTES_MAX)] {
            assert_eq!(brief(whole), whole);
        }
        for (long, begins) in [("word ".repeat(5_000), "word word"), ("日本".repeat(5_000), "日本日本")]
        {
            let shown = brief(&long);
            assert!(shown.len() <= DESCRIPTION_BYTES_MAX, "{}", shown.len());
            assert!(shown.starts_with(begins) && shown.ends_with('…'), "{shown}");
            assert!(!shown.contains(" …"), "{shown}");
        }
    }
}
