//! What the paying commands pay with: the networks they may pay on, the key in the data directory, the dev wallet.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use tollgate_domain::{Asset, Assets};
use tollgate_egress::{Client, Limits, Policy};
use tollgate_payer::{DevLightning, EvmWallet, NoRandomness, Randomness, Wallets};

use crate::{clock, dev};

/// USDC on Base, by Circle.
const LIVE_USDC: &str = "eip155:8453/erc20:0x833589fcd6edb6e08f4c7c32d4f71b54bda02913";

/// Whose money is spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Funds {
    /// That of dev mode and test networks: USDC of Base Sepolia and its sandbox, sat of regtest.
    Sandbox,
    /// Real money: USDC on Base.
    Live,
}

impl Funds {
    /// The assets that may be paid with.
    pub(crate) fn assets(self) -> anyhow::Result<Assets> {
        Ok(match self {
            Self::Sandbox => dev::assets()?,
            Self::Live => Assets::new([Asset::new(LIVE_USDC, "USDC", 6)?]),
        })
    }

    /// The wallets of a payer: the key in the data directory where there is one, and in dev mode the wallet of the gateway at
    /// `url`, which pays nothing but its own regtest invoices.
    pub(crate) fn wallets(self, url: &http::Uri, data: &Path, client: Client) -> anyhow::Result<Wallets> {
        let key = data.join("payer.key");
        let evm = if key.exists() { Some(EvmWallet::open(&key)?) } else { None };
        let lightning = match (self, url.scheme_str(), url.authority()) {
            (Self::Sandbox, Some(scheme), Some(authority)) => {
                Some(Arc::new(DevLightning::new(client, &format!("{scheme}://{authority}"))) as _)
            }
            _ => None,
        };
        Ok(Wallets { evm, lightning })
    }
}

/// Whose money moves on a network, for people. Sandbox money has the ids of a test network, and never reaches it.
pub(crate) fn kind_of_money(network: &str, is_sandbox: bool) -> &'static str {
    if is_sandbox {
        return "SANDBOX";
    }
    match network {
        "eip155:84532" => "test network: Base Sepolia",
        "lightning:regtest" | "lightning:signet" => "test network",
        "eip155:8453" => "LIVE: real money on Base",
        _ => "LIVE",
    }
}

/// The operating system's randomness for the payer.
pub(crate) fn randomness() -> impl Randomness {
    || clock::random().map_err(|_| NoRandomness)
}

/// An absolute URL.
pub(crate) fn endpoint(url: &str) -> anyhow::Result<http::Uri> {
    let shown = || tollgate_egress::shown_url(url);
    let parsed: http::Uri = url.parse().with_context(|| format!("{:?} is no URL", shown()))?;
    if parsed.scheme_str().is_none() || parsed.authority().is_none() {
        bail!("{:?} is no absolute URL such as http://127.0.0.1:3100/mcp", shown());
    }
    Ok(parsed)
}

/// The guarded client: public addresses, this machine, and the endpoint that the user named.
pub(crate) fn client(url: &http::Uri, timeout_ms_max: u64) -> Client {
    let limits = Limits { timeout_ms_max, response_bytes_max: 16 * 1024 * 1024 };
    Client::new(Policy::public().allow_loopback().allow_url(url), limits)
}

#[cfg(test)]
mod tests {
    use super::kind_of_money;

    #[test]
    fn only_sandbox_money_is_called_so() {
        assert_eq!(kind_of_money("eip155:84532", true), "SANDBOX");
        assert_eq!(kind_of_money("lightning:regtest", true), "SANDBOX");
        for test in ["eip155:84532", "lightning:regtest", "lightning:signet"] {
            assert!(kind_of_money(test, false).starts_with("test network"), "{test}");
        }
        for live in ["eip155:8453", "lightning:mainnet", "eip155:1"] {
            assert!(kind_of_money(live, false).starts_with("LIVE"), "{live}");
        }
    }
}
