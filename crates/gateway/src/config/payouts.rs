//! Payouts as they are meant.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::{AssetId, KeyId, Principal, ServerName};
use tollgate_ledger::payout::{Destination, PayoutLimits, PayoutRail, ProviderName};
use tollgate_rails::evm::Address;
use tollgate_till::PayoutFunding;

use super::{Lightning, LightningBackend, Settling, X402};

/// What providers have earned, and how it is paid out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payouts {
    /// Who is paid out.
    pub providers: BTreeMap<ProviderName, Provider>,
    /// How much credit of wallets may go back to them, over all wallets; nothing of an asset without limits.
    pub wallet_credit: BTreeMap<AssetId, PayoutLimits>,
    /// What pays.
    pub funding: Option<PayoutFunding>,
}

/// Somebody who is paid what their servers earned.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// The servers whose earnings are theirs.
    pub servers: BTreeSet<ServerName>,
    /// Whose holders may withdraw.
    pub keys: BTreeSet<KeyId>,
    /// Where money may go, as far as the configuration lists it.
    pub destinations: Vec<Destination>,
    /// How much may go.
    pub limits: BTreeMap<AssetId, PayoutLimits>,
    /// Whose payments to their servers are no revenue, besides those of the keys.
    pub wallets: BTreeSet<Principal>,
    /// The label `org` of keys whose payments are none either.
    pub organisation: Option<String>,
}

/// Reads a destination; what it is says how money goes there.
///
/// # Errors
/// What would be right.
pub fn destination(
    x402: Option<&X402>,
    lightning: Option<&Lightning>,
    text: &str,
) -> Result<Destination, String> {
    if text.starts_with("0x") {
        let address: Address = text.parse().map_err(|error| format!("{error}"))?;
        let x402 = x402.ok_or("no payments on a chain are taken here, so none are made")?;
        let rail = match x402.settling {
            Settling::Sandbox => PayoutRail::Sandbox,
            Settling::Chain { .. } => PayoutRail::Evm,
        };
        let made = Destination::new(rail, x402.asset.id().clone(), &address.to_lower());
        return made.map_err(|error| error.to_string());
    }
    let is_key = text.len() == 66
        && (text.starts_with("02") || text.starts_with("03"))
        && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_key {
        return Err(format!(
            "{text:?} is neither an address (0x and 40 hexadecimal digits) nor the public key of a Lightning node (66 of them)"
        ));
    }
    let lightning = lightning.ok_or("no payments over Lightning are taken here, so none are made")?;
    if lightning.backend == LightningBackend::Dev {
        return Err("the dev wallet reaches no other node; pay out sandbox USDC".to_owned());
    }
    let made =
        Destination::new(PayoutRail::Lightning, lightning.asset.id().clone(), &text.to_ascii_lowercase());
    made.map_err(|error| error.to_string())
}
