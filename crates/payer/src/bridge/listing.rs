//! What the server's tool list says about calling and buying: arguments to mirror into headers, and prices.
//!
//! A listed price binds the server in one direction only: a demand that asks for more, or for something that was listed as
//! free, is not paid (the list was read by whoever chose the tool).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use tollgate_domain::{Amount, AssetId, Money};
use tollgate_mcp::headers::{MirroredParam, mirrored_params};
use tollgate_mcp::{json, tools};

/// How many tools are remembered; calls of the others are sent without mirrored arguments and bought without a listed price.
const TOOLS_MAX: usize = 4_096;

/// Everything that was listed.
#[derive(Debug, Default)]
pub(super) struct Listing(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    tools: HashMap<String, Tool>,
    /// Whether the server puts prices into its list: then a tool without one is free.
    has_prices: bool,
}

#[derive(Debug)]
struct Tool {
    mirrored: Arc<[MirroredParam]>,
    price: Option<Pricing>,
}

/// `_meta["tollgate/pricing"]` of a listed tool.
#[derive(Debug, Deserialize)]
struct Pricing {
    options: Vec<PriceOption>,
}

#[derive(Debug, Deserialize)]
struct PriceOption {
    amount: Amount,
    asset: AssetId,
}

impl Listing {
    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the raw result of a `tools/list`. The first page begins the list anew.
    pub(super) fn learn(&self, result: &Bytes, is_first_page: bool) {
        let Ok(page) = tools::parse(result) else { return };
        let mut listed = self.listed();
        if is_first_page {
            *listed = Listed::default();
        }
        for tool in page.tools {
            if listed.tools.len() >= TOOLS_MAX && !listed.tools.contains_key(&tool.name) {
                continue;
            }
            let price = json::lookup(&tool.raw, &["_meta", "tollgate/pricing"])
                .ok()
                .flatten()
                .and_then(|raw| serde_json::from_slice(raw).ok());
            listed.has_prices |= price.is_some();
            let mirrored = mirrored_params(&tool.input_schema).unwrap_or_default().into();
            listed.tools.insert(tool.name, Tool { mirrored, price });
        }
    }

    /// Which arguments of a tool are mirrored into headers.
    pub(super) fn mirrored(&self, tool: &str) -> Arc<[MirroredParam]> {
        self.listed().tools.get(tool).map(|tool| Arc::clone(&tool.mirrored)).unwrap_or_default()
    }

    /// Why a demand contradicts the list; `None` where it does not.
    pub(super) fn objection(&self, tool: &str, asked: &Money) -> Option<String> {
        let listed = self.listed();
        let known = listed.tools.get(tool)?;
        let Some(price) = &known.price else {
            return listed.has_prices.then(|| "the server lists it as free".to_owned());
        };
        let option = price.options.iter().find(|option| option.asset == *asked.asset.id());
        match option {
            Some(option) if asked.amount <= option.amount => None,
            Some(option) => Some(format!("the server lists it for {}", asked.asset.display(option.amount))),
            None => Some(format!("the server lists no price in {}", asked.asset.symbol())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tollgate_domain::Asset;

    use super::*;

    const USDC: &str = "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e";

    fn usdc(units: u128) -> Money {
        Money { amount: Amount::new(units), asset: Asset::new(USDC, "USDC", 6).unwrap() }
    }

    fn learned(tools: &serde_json::Value) -> Listing {
        let listing = Listing::default();
        listing.learn(&json!({ "tools": tools }).to_string().into(), true);
        listing
    }

    fn priced(name: &str, amount: &str) -> serde_json::Value {
        let pricing = json!({ "type": "per_call", "options": [{ "amount": amount, "asset": USDC }] });
        json!({ "name": name, "inputSchema": {}, "_meta": { "tollgate/pricing": pricing } })
    }

    #[test]
    fn p19_a_demand_above_the_listed_price_is_objected_to() {
        let listing = learned(&json!([priced("weather", "10000"), { "name": "echo", "inputSchema": {} }]));
        assert!(listing.objection("weather", &usdc(10_001)).is_some());
        assert_eq!(listing.objection("weather", &usdc(10_000)), None, "positive control: as listed");
        assert_eq!(listing.objection("weather", &usdc(9_999)), None, "positive control: cheaper");
        let sat = Asset::new("lightning:regtest/msat", "sat", 3).unwrap();
        assert!(listing.objection("weather", &Money { amount: Amount::new(1), asset: sat }).is_some());
        assert!(listing.objection("echo", &usdc(1)).is_some(), "listed as free beside priced tools");
        assert_eq!(listing.objection("unknown", &usdc(1)), None, "nothing was said about it");
        let silent = learned(&json!([{ "name": "echo", "inputSchema": {} }]));
        assert_eq!(silent.objection("echo", &usdc(1)), None, "a server that lists no prices says nothing");
    }

    #[test]
    fn a_first_page_begins_the_list_anew_and_a_later_one_goes_on() {
        let listing = learned(&json!([priced("a", "1")]));
        listing.learn(&json!({ "tools": [priced("b", "1")] }).to_string().into(), false);
        assert!(listing.objection("a", &usdc(2)).is_some() && listing.objection("b", &usdc(2)).is_some());
        listing.learn(&json!({ "tools": [priced("b", "1")] }).to_string().into(), true);
        assert!(listing.objection("a", &usdc(2)).is_none());
    }
}
