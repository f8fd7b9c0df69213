//! Which offer may be paid: the one place that says yes. Everything that is not exactly what the payer allowed is refused.
//!
//! Pure: judges what was sent against a limit, an asset and the networks allowed. Never takes an offer for its position.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tollgate_domain::{Amount, Asset, Money, Rail, UnixMillis};
use tollgate_rails::evm::Address;
use tollgate_rails::lightning::InvoiceFacts;

use crate::PayError;
use crate::demand::{Demand, L402Challenge, PaymentRequired};

/// What a chosen offer asks, for people and for records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// How much of what.
    pub money: Money,
    /// The network the money moves on: `eip155:84532`, `lightning:regtest`.
    pub network: String,
    /// The rail.
    pub rail: Rail,
    /// Who gets it: an address, or the payment hash of an invoice.
    pub recipient: String,
    /// Whether it is sandbox money, as the server says: it has the ids of a test network and never reaches it.
    pub is_sandbox: bool,
}

/// A chosen offer with what paying it needs.
#[derive(Debug)]
pub(crate) enum Offer {
    /// x402, scheme `exact`, EIP-3009.
    X402(Box<X402Offer>),
    /// A Lightning invoice and its token.
    L402(L402Offer),
}

/// One entry of `accepts` that was judged sound.
#[derive(Debug)]
pub(crate) struct X402Offer {
    /// The entry, as sent: echoed byte for byte.
    pub(crate) entry: Box<RawValue>,
    /// The demand it stood in: its resource and extensions are echoed.
    pub(crate) required: PaymentRequired,
}

/// An invoice that was judged sound.
#[derive(Debug)]
pub(crate) struct L402Offer {
    pub(crate) macaroon: String,
    pub(crate) bolt11: String,
    pub(crate) payment_hash: [u8; 32],
}

/// An `accepts` entry (x402 specification v2, section 5.1.2), read tolerantly: a missing field makes the entry unpayable,
/// not the demand unreadable.
#[derive(Deserialize)]
struct Entry {
    scheme: String,
    network: String,
    amount: String,
    asset: String,
    #[serde(rename = "payTo")]
    pay_to: String,
    #[serde(default)]
    extra: Option<Extra>,
}

#[derive(Deserialize)]
struct Extra {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(rename = "assetTransferMethod", default)]
    transfer_method: Option<String>,
    #[serde(rename = "paymentFlow", default)]
    flow: Option<String>,
    /// `true`: a Tollgate's sandbox. Of others it may be anything, and must not make the entry unreadable.
    #[serde(default)]
    sandbox: Option<Value>,
}

/// What a payer allows for one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed<'a> {
    /// The most it may cost, and in which asset.
    pub(crate) limit: &'a Money,
    /// The networks that may be paid on.
    pub(crate) networks: &'a BTreeSet<String>,
    /// The time of the call.
    pub(crate) now: UnixMillis,
}

/// Picks the offer that may be paid.
///
/// # Errors
/// [`PayError`]: why none may.
pub(crate) fn choose(demand: &Demand, allowed: Allowed<'_>) -> Result<(Terms, Offer), PayError> {
    let network = allowed.limit.asset.id().network();
    if !allowed.networks.contains(network) {
        return Err(PayError::NetworkNotAllowed { network: network.to_owned() });
    }
    let offers = shown(demand);
    let no_offer = || PayError::NoOffer {
        asset: allowed.limit.asset.symbol().to_owned(),
        network: network.to_owned(),
        offers: if offers.is_empty() {
            "nothing that this client reads".to_owned()
        } else {
            offers.join(", ")
        },
    };
    if network.starts_with("lightning:") {
        let challenge = demand.l402.as_ref().ok_or_else(no_offer)?;
        return choose_l402(challenge, demand.facts.sandbox == Some(true), allowed);
    }
    let required = demand.x402.as_ref().ok_or_else(&no_offer)?;
    choose_x402(required, allowed, no_offer)
}

fn choose_x402(
    required: &PaymentRequired,
    allowed: Allowed<'_>,
    no_offer: impl Fn() -> PayError,
) -> Result<(Terms, Offer), PayError> {
    let limit = allowed.limit;
    let token = token(&limit.asset).ok_or_else(&no_offer)?;
    let mut dearer: Option<Amount> = None;
    let mut chosen: Option<(Entry, Box<RawValue>, Address, Amount)> = None;
    for raw in &required.accepts {
        let Ok(entry) = serde_json::from_str::<Entry>(raw.get()) else {
            continue;
        };
        if !entry.is_plain_exact()
            || entry.network != limit.asset.id().network()
            || entry.asset.parse() != Ok(token)
        {
            continue;
        }
        let amount: Amount = entry.amount.parse().map_err(|error| {
            PayError::UnsoundOffer(format!("the amount {:?} is none: {error}", entry.amount))
        })?;
        if amount.is_zero() {
            return Err(PayError::UnsoundOffer("the amount is zero".to_owned()));
        }
        let pay_to: Address = entry
            .pay_to
            .parse()
            .map_err(|error| PayError::UnsoundOffer(format!("the recipient is none: {error}")))?;
        if amount > limit.amount {
            dearer = Some(dearer.map_or(amount, |cheapest| cheapest.min(amount)));
            continue;
        }
        // Of several fitting entries the cheapest: a dearer twin must not win by its position.
        if chosen.as_ref().is_none_or(|(_, _, _, cheapest)| amount < *cheapest) {
            chosen = Some((entry, raw.clone(), pay_to, amount));
        }
    }
    let Some((entry, raw, pay_to, amount)) = chosen else {
        return Err(match dearer {
            Some(amount) => PayError::PriceAboveLimit {
                price: Box::new(Money { amount, asset: limit.asset.clone() }),
                limit: Box::new(limit.clone()),
            },
            None => no_offer(),
        });
    };
    if !entry.names_its_domain() {
        return Err(PayError::UnsoundOffer("the token's EIP-712 name and version are missing".to_owned()));
    }
    let terms = Terms {
        money: Money { amount, asset: limit.asset.clone() },
        is_sandbox: entry.extra.as_ref().and_then(|extra| extra.sandbox.as_ref()) == Some(&Value::Bool(true)),
        network: entry.network,
        rail: Rail::X402,
        recipient: pay_to.to_string(),
    };
    let offer = X402Offer { entry: raw, required: required.clone() };
    Ok((terms, Offer::X402(Box::new(offer))))
}

impl Entry {
    /// Scheme `exact` by EIP-3009: the one form this client signs. Another transfer method would need another signature. In flow
    /// `upfront` the money moves before the work, as it does over Lightning: what may be lost is what the budget allows for one
    /// call.
    fn is_plain_exact(&self) -> bool {
        let extra = self.extra.as_ref();
        let method = extra.and_then(|extra| extra.transfer_method.as_deref()).unwrap_or("eip3009");
        let flow = extra.and_then(|extra| extra.flow.as_deref()).unwrap_or("authorization");
        self.scheme == "exact" && method == "eip3009" && matches!(flow, "authorization" | "upfront")
    }

    /// Whether it says what the token's signatures are made for (EIP-712 `name` and `version`).
    fn names_its_domain(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.name.is_some() && extra.version.is_some())
    }
}

fn choose_l402(
    challenge: &L402Challenge,
    is_sandbox: bool,
    allowed: Allowed<'_>,
) -> Result<(Terms, Offer), PayError> {
    let limit = allowed.limit;
    let unsound = |reason: String| PayError::UnsoundOffer(reason);
    let facts = InvoiceFacts::read(&challenge.invoice).map_err(|error| unsound(error.to_string()))?;
    let network = format!("lightning:{}", facts.network.word());
    if network != limit.asset.id().network() {
        return Err(PayError::NoOffer {
            asset: limit.asset.symbol().to_owned(),
            network: limit.asset.id().network().to_owned(),
            offers: format!("an invoice on {network}"),
        });
    }
    // Without an amount the payer's wallet would have to invent one.
    let amount = facts.amount.filter(|amount| !amount.is_zero());
    let amount = amount.ok_or_else(|| unsound("the invoice names no amount".to_owned()))?;
    if challenge.payment_hash.as_ref().is_some_and(|hash| *hash != hex::encode(facts.payment_hash)) {
        return Err(unsound("the challenge names another payment hash than its invoice".to_owned()));
    }
    if !is_header_safe(&challenge.macaroon) {
        return Err(unsound("the token is no macaroon text".to_owned()));
    }
    if allowed.now >= facts.expires {
        return Err(unsound(format!("the invoice expired at {}", facts.expires)));
    }
    let money = Money { amount, asset: limit.asset.clone() };
    if amount > limit.amount {
        return Err(PayError::PriceAboveLimit { price: Box::new(money), limit: Box::new(limit.clone()) });
    }
    let recipient = hex::encode(facts.payment_hash);
    let terms = Terms { money, network, rail: Rail::L402, recipient, is_sandbox };
    let offer = L402Offer {
        macaroon: challenge.macaroon.clone(),
        bolt11: challenge.invoice.clone(),
        payment_hash: facts.payment_hash,
    };
    Ok((terms, Offer::L402(offer)))
}

/// Base64 or hexadecimal of a reasonable length: what may stand in an `Authorization` header before the colon.
fn is_header_safe(token: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b',');
    (1..=16_384).contains(&token.len()) && token.bytes().all(allowed)
}

/// The token of an asset such as `eip155:84532/erc20:0x036c…`.
fn token(asset: &Asset) -> Option<Address> {
    let (network, kind) = asset.id().as_str().split_once('/')?;
    network.strip_prefix("eip155:")?;
    kind.strip_prefix("erc20:")?.parse().ok()
}

/// What a demand offers, for people, bounded: a server must not write our error text.
fn shown(demand: &Demand) -> Vec<String> {
    let short = |text: &str| text.chars().filter(|c| c.is_ascii_graphic()).take(64).collect::<String>();
    let mut offers: Vec<String> = demand
        .x402
        .iter()
        .flat_map(|required| &required.accepts)
        .filter_map(|raw| serde_json::from_str::<Entry>(raw.get()).ok())
        .take(8)
        .map(|entry| {
            let (amount, asset) = (short(&entry.amount), short(&entry.asset));
            format!("x402 {} of {amount} units of {asset} on {}", short(&entry.scheme), short(&entry.network))
        })
        .collect();
    if demand.l402.is_some() {
        offers.push("a Lightning invoice (L402)".to_owned());
    }
    offers
}

#[cfg(test)]
mod tests;
