//! Payouts as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What providers have earned, and how it is paid out. Without providers and `wallet_credit` nothing is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPayouts {
    /// Who is paid out, by a name of the operator's choice.
    pub providers: BTreeMap<String, RawProvider>,
    /// How much credit of wallets (what went back of payments on a chain) operators may send back to the wallets themselves, over all
    /// wallets together. Default: none.
    pub wallet_credit: Vec<RawPayoutLimits>,
    /// How long a destination must have been listed before money goes there, in seconds, counted from when this gateway first saw
    /// it. Default: 86400.
    pub cool_off_seconds: Option<u64>,
    /// How many blocks must stand on a payout on a chain before it counts. Default: 12.
    pub confirmations: Option<u64>,
    /// The admin key of the LNbits wallet at `payment.lightning.lnbits_url` that pays invoices, such as `${LNBITS_ADMIN_KEY}`.
    /// Without it nothing is paid out over Lightning.
    pub lnbits_admin_key: Option<String>,
}

/// Somebody who is paid what their servers earned.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawProvider {
    /// The servers whose earnings are theirs; each belongs to one provider at most.
    pub servers: Vec<String>,
    /// The API keys whose holders may withdraw: key_1…
    pub keys: Vec<String>,
    /// Where money may go: an address (0x…) on the network of `payment.x402`, or the public key of a Lightning node (66
    /// hexadecimal digits). More can be listed over the admin API.
    pub destinations: Vec<String>,
    /// How much may go, for each asset; nothing of an asset without limits.
    pub limits: Vec<RawPayoutLimits>,
    /// Their own wallets (0x…), besides the destinations: what these pay to their own servers is no revenue.
    pub wallets: Vec<String>,
    /// Their organisation, as the label `org` of API keys names it: what its keys pay to their own servers is no revenue.
    pub organisation: Option<String>,
}

/// How much may be paid out of one asset.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPayoutLimits {
    /// The most at once, such as 100USDC.
    pub per_payout: String,
    /// The most in any 24 hours.
    pub per_day: String,
    /// The least. Default: one atomic unit.
    pub minimum: Option<String>,
    /// What is above this waits for an operator's word. Default: nothing does.
    pub approve_above: Option<String>,
}
