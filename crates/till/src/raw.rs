//! What an operator writes about money: the shape of `payment` in a settings file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How money arrives.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPayment {
    /// x402 on an EVM chain.
    pub x402: Option<RawX402>,
    /// Lightning.
    pub lightning: Option<RawLightning>,
    /// How long a quoted price is honoured, in seconds. Default: 300, or the life of a Lightning credential where that is longer.
    pub quote_ttl_seconds: Option<u64>,
}

/// x402, scheme `exact` (EIP-3009).
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawX402 {
    /// The network: base-sepolia, base, or CAIP-2 such as eip155:84532. Default: base-sepolia.
    pub network: Option<String>,
    /// The JSON-RPC URL of a node of that network.
    pub rpc_url: Option<String>,
    /// The address that is paid.
    pub pay_to: Option<String>,
    /// The token. Default: the network's USDC.
    pub asset: Option<RawAsset>,
    /// How long a payment stays valid, in seconds. Default: 120.
    pub max_timeout_seconds: Option<u64>,
}

/// An ERC-20 token with EIP-3009.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawAsset {
    /// The token's contract address.
    pub address: Option<String>,
    /// Its symbol in prices. Default: USDC.
    pub symbol: Option<String>,
    /// Its decimals. Default: 6 for the network's own USDC; any other token needs them.
    pub decimals: Option<u8>,
    /// The name of its EIP-712 domain. Default: that of the network's own USDC; any other token needs it.
    pub name: Option<String>,
    /// The version of its EIP-712 domain. Default: 2.
    pub version: Option<String>,
}

/// L402 over a Lightning wallet.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLightning {
    /// The URL of an LNbits instance.
    pub lnbits_url: Option<String>,
    /// Its invoice/read key; never an admin key.
    pub lnbits_invoice_key: Option<String>,
    /// The Lightning network in asset ids: mainnet, signet or regtest. Default: mainnet.
    pub network: Option<String>,
    /// How long a credential can be used, in seconds. Default: 600.
    pub ttl_seconds: Option<u64>,
}
