//! Money as configured: what an operator wrote ([`raw`](crate::raw)), understood, with every default filled in.

use tollgate_domain::Asset;
use tollgate_rails::evm::Address;

use crate::environment::Environment;
use crate::raw::{RawAsset, RawLightning, RawX402};

/// The default life of a quote where Lightning asks for no longer one.
pub const QUOTE_TTL_SECONDS: u64 = 300;

/// The token of a network that has one here by default.
const USDC: &str = "USDC";
const USDC_DECIMALS: u8 = 6;

/// A value that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// Where it stands: `payment.x402.pay_to`.
    pub at: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Complaint {
    fn new(at: &str, message: impl Into<String>) -> Self {
        Self { at: at.to_owned(), message: message.into() }
    }
}

/// A secret that is never printed.
#[derive(Clone, PartialEq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The rails of dev mode.
#[derive(Clone, Debug)]
pub struct SandboxRails {
    /// x402 in the sandbox token ledger.
    pub x402: X402,
    /// The dev Lightning wallet.
    pub lightning: Lightning,
}

/// x402 as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct X402 {
    /// The token.
    pub asset: Asset,
    /// Its EIP-712 domain name.
    pub name: String,
    /// Its EIP-712 domain version.
    pub version: String,
    /// Who is paid.
    pub pay_to: Address,
    /// How long a payment stays valid.
    pub max_timeout_seconds: u64,
    /// Where payments are settled.
    pub settling: Settling,
}

/// Where x402 payments are settled.
#[derive(Clone, Debug, PartialEq)]
pub enum Settling {
    /// In the built-in sandbox token ledger.
    Sandbox,
    /// On a chain, through the node at this JSON-RPC endpoint.
    Chain {
        /// The node.
        rpc_url: http::Uri,
        /// The chain that it must serve.
        chain_id: u64,
        /// The token's contract.
        token: Address,
    },
}

/// Lightning as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Lightning {
    /// The asset of prices in sat.
    pub asset: Asset,
    /// The wallet.
    pub backend: LightningBackend,
    /// How long a credential can be used.
    pub ttl_seconds: u64,
}

/// A Lightning wallet.
#[derive(Clone, Debug, PartialEq)]
pub enum LightningBackend {
    /// The built-in regtest wallet of dev mode.
    Dev,
    /// LNbits.
    Lnbits {
        /// Its base URL.
        url: http::Uri,
        /// Its invoice/read key.
        invoice_key: Secret,
    },
}

impl X402 {
    /// Reads x402 settings.
    ///
    /// # Errors
    /// The first value that cannot be used.
    pub fn understand(raw: &RawX402) -> Result<Self, Complaint> {
        let named = raw.network.as_deref().unwrap_or("base-sepolia");
        let chain: Option<u64> = match named {
            "base-sepolia" => Some(84_532),
            "base" => Some(8_453),
            other => other.strip_prefix("eip155:").and_then(|id| id.parse().ok()),
        };
        let chain = chain.ok_or_else(|| {
            Complaint::new(
                "payment.x402.network",
                format!("{named:?} is not base-sepolia, base or eip155:<chain id>"),
            )
        })?;
        let empty = RawAsset::default();
        let Token { asset, address, name, version } = token(chain, raw.asset.as_ref().unwrap_or(&empty))?;
        let pay_to = raw.pay_to.as_deref().ok_or_else(|| {
            Complaint::new("payment.x402.pay_to", "name the address that is paid (or set PAY_TO)")
        })?;
        let pay_to = evm_address("payment.x402.pay_to", pay_to)?;
        let rpc_url = raw.rpc_url.as_deref().or((chain == 84_532).then_some("https://sepolia.base.org"));
        let rpc_url = rpc_url.ok_or_else(|| {
            let message = "name the JSON-RPC URL of a node of this network (or set RPC_URL)";
            Complaint::new("payment.x402.rpc_url", message)
        })?;
        Ok(Self {
            asset,
            name,
            version,
            pay_to,
            max_timeout_seconds: raw.max_timeout_seconds.unwrap_or(120),
            settling: Settling::Chain {
                rpc_url: url("payment.x402.rpc_url", rpc_url)?,
                chain_id: chain,
                token: address,
            },
        })
    }
}

/// A token, with the domain that payers sign for.
struct Token {
    asset: Asset,
    address: Address,
    name: String,
    version: String,
}

/// The token that is taken on a chain. Nothing is guessed of one that is not the network's own USDC: with other decimals every price would
/// mean something else, and with another name no signature would ever pay.
fn token(chain: u64, raw: &RawAsset) -> Result<Token, Complaint> {
    let default = default_token(chain);
    let symbol = raw.symbol.as_deref().unwrap_or(USDC);
    let address = match (raw.address.as_deref(), default) {
        (Some(address), _) => address,
        (None, Some((address, _))) if symbol == USDC => address,
        (None, Some(_)) => {
            let message = format!("this network's own token is {USDC}: name the address of {symbol}");
            return Err(Complaint::new("payment.x402.asset.address", message));
        }
        (None, None) => {
            let message = "this network has no default token: name its address";
            return Err(Complaint::new("payment.x402.asset.address", message));
        }
    };
    let address = evm_address("payment.x402.asset.address", address)?;
    let default_name =
        default.filter(|(known, _)| known.parse() == Ok(address)).map(|(_, name)| name.to_owned());
    let decimals = raw.decimals.or(default_name.as_ref().map(|_| USDC_DECIMALS)).ok_or_else(|| {
        let message = "this is not the network's own USDC: say how many decimals it has (its `decimals()`)";
        Complaint::new("payment.x402.asset.decimals", message)
    })?;
    let name = raw.name.clone().or(default_name).ok_or_else(|| {
        let message =
            "this is not the network's own USDC: give the name of its EIP-712 domain, most often its `name()`";
        Complaint::new("payment.x402.asset.name", message)
    })?;
    let id = format!("eip155:{chain}/erc20:{}", address.to_string().to_ascii_lowercase());
    let asset = Asset::new(&id, symbol, decimals);
    let asset = asset.map_err(|error| Complaint::new("payment.x402.asset", error.to_string()))?;
    let version = raw.version.clone().unwrap_or_else(|| "2".to_owned());
    Ok(Token { asset, address, name, version })
}

impl Lightning {
    /// Reads Lightning settings.
    ///
    /// # Errors
    /// The first value that cannot be used.
    pub fn understand(raw: &RawLightning) -> Result<Self, Complaint> {
        let network = raw.network.as_deref().unwrap_or("mainnet");
        if !["mainnet", "signet", "regtest"].contains(&network) {
            return Err(Complaint::new(
                "payment.lightning.network",
                format!("{network:?} is not mainnet, signet or regtest"),
            ));
        }
        let (Some(lnbits_url), Some(key)) = (&raw.lnbits_url, &raw.lnbits_invoice_key) else {
            return Err(Complaint::new("payment.lightning", "needs `lnbits_url` and `lnbits_invoice_key`"));
        };
        let url = url("payment.lightning.lnbits_url", lnbits_url)?;
        let asset = Asset::new(&format!("lightning:{network}/msat"), "sat", 3);
        Ok(Self {
            asset: asset.map_err(|error| Complaint::new("payment.lightning", error.to_string()))?,
            backend: LightningBackend::Lnbits { url, invoice_key: Secret(key.clone().into_bytes()) },
            ttl_seconds: raw.ttl_seconds.unwrap_or(600),
        })
    }
}

/// `GATE_HMAC_SECRET`, if it is set: long enough not to be guessed, and not an example's.
///
/// # Errors
/// When it is too weak.
pub fn gate_secret(environment: &Environment) -> Result<Option<Secret>, Complaint> {
    let Some(secret) = environment.get("GATE_HMAC_SECRET") else { return Ok(None) };
    if secret.len() < 32 || ["change", "secret", "example"].iter().any(|word| secret.contains(word)) {
        let message = "needs at least 32 random characters (openssl rand -hex 32)";
        return Err(Complaint::new("GATE_HMAC_SECRET", message));
    }
    Ok(Some(Secret(secret.as_bytes().to_vec())))
}

/// An http or https URL without user information.
///
/// # Errors
/// When it is none.
pub fn url(at: &str, text: &str) -> Result<http::Uri, Complaint> {
    let url: Option<http::Uri> = text.parse().ok();
    let url = url.filter(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    url.ok_or_else(|| {
        let shown = tollgate_egress::shown_url(text);
        Complaint::new(at, format!("{shown:?} is not an http or https URL (without user information)"))
    })
}

/// Address and EIP-712 name of a network's own USDC.
fn default_token(chain: u64) -> Option<(&'static str, &'static str)> {
    match chain {
        84_532 => Some(("0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC")),
        8_453 => Some(("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin")),
        _ => None,
    }
}

fn evm_address(at: &str, text: &str) -> Result<Address, Complaint> {
    text.parse().map_err(|_| Complaint::new(at, format!("{text:?} is not an EVM address")))
}
