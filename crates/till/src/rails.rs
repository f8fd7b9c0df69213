//! The rails as configured, with what only sandbox money has.

use std::sync::Arc;

use tollgate_egress::{Client, Limits, Policy};
use tollgate_rails::PaymentRail;
use tollgate_rails::evm::{Chain, EvmSettler, EvmSettlerConfig, HttpRpc, SigningKey};
use tollgate_rails::l402::{GateSecret, L402, L402Config};
use tollgate_rails::lightning::LightningWallet;
use tollgate_rails::lightning::dev::{DevWallet, RandomnessError};
use tollgate_rails::lightning::lnbits::LnbitsWallet;
use tollgate_rails::mpp::Challenges;
use tollgate_rails::quote_seal::QuoteSealer;
use tollgate_rails::x402::{ExactEvm, ExactEvmConfig, Settling as Settles};
use tollgate_store::InvoiceStore;

use crate::clock;
use crate::data::DataDirectory;
use crate::payment::{Lightning, LightningBackend, Settling, X402};
use crate::payouts::PayoutRails;
use crate::sandbox::Dev;
use crate::till::{Funding, TillError};

/// The key that sends payments to their chain: only real money has it.
pub(crate) const RELAYER_KEY: &str = "relayer.key";

/// Why a rail cannot be built as configured.
#[derive(Debug, thiserror::Error)]
pub enum RailError {
    /// The dev wallet is configured beside real money.
    #[error("the dev wallet exists in dev mode only")]
    DevWalletAlone,
    /// The public URL is no URL.
    #[error("the public URL is not a URL: {0}")]
    PublicUrl(#[from] http::uri::InvalidUri),
    /// The host of the public URL cannot stand in a challenge.
    #[error(transparent)]
    Realm(#[from] tollgate_rails::mpp::RealmError),
    /// x402 cannot be offered like that.
    #[error(transparent)]
    X402(#[from] tollgate_rails::x402::ExactEvmConfigError),
    /// The relayer's or payer's key is no key.
    #[error(transparent)]
    SigningKey(#[from] tollgate_rails::evm::SigningKeyError),
    /// L402 cannot be offered like that.
    #[error(transparent)]
    L402(#[from] tollgate_rails::l402::L402ConfigError),
    /// The dev wallet's key is no key.
    #[error(transparent)]
    DevWallet(#[from] tollgate_rails::lightning::dev::KeyError),
    /// The LNbits wallet cannot be used like that.
    #[error(transparent)]
    Lnbits(#[from] tollgate_rails::lightning::lnbits::LnbitsConfigError),
    /// The LNbits key is not text.
    #[error("the LNbits key is not text")]
    LnbitsKey,
    /// A sandbox asset could not be named.
    #[error("name the sandbox assets: {0}")]
    SandboxAsset(#[from] tollgate_domain::AssetError),
}

/// How money arrives here.
pub(crate) struct Rails {
    /// In the order in which they are offered.
    pub(crate) offered: Vec<Arc<dyn PaymentRail>>,
    /// What only dev mode has.
    pub(crate) dev: Option<Dev>,
    /// What pays providers.
    pub(crate) payouts: PayoutRails,
}

pub(crate) fn rails(
    funding: &Funding<'_>,
    data: &DataDirectory,
    secret: &[u8; 32],
) -> Result<Rails, TillError> {
    let public: http::Uri = funding.public_url.parse().map_err(RailError::PublicUrl)?;
    let realm = public.host().unwrap_or("tollgate").to_owned();
    let mut offered: Vec<Arc<dyn PaymentRail>> = Vec::new();
    let mut payouts = PayoutRails::default();
    if let Some(x402) = funding.x402 {
        let (settling, settler) = settles(x402, data)?;
        payouts.add_tokens(funding.payouts, x402, settler, data)?;
        offered.push(Arc::new(exact(x402, settling, secret, &realm)?));
    }
    let sandbox = funding.x402.filter(|x402| matches!(x402.settling, Settling::Sandbox));
    let mut wallet = None;
    if let Some(lightning) = funding.lightning {
        let backend = lightning_wallet(lightning, funding, data, sandbox.is_some(), &mut wallet)?;
        let config = L402Config {
            asset: lightning.asset.clone(),
            secret: GateSecret::new(*secret),
            ttl_seconds: lightning.ttl_seconds,
            wallet: backend,
            realm,
        };
        payouts.add_lightning(funding.payouts, lightning)?;
        offered.push(Arc::new(L402::new(config).map_err(RailError::L402)?));
    }
    let dev = match (wallet, sandbox) {
        (Some(wallet), Some(x402)) => {
            let payer = SigningKey::from_bytes(&data.key("payer.key")?).map_err(RailError::SigningKey)?;
            Some(Dev { wallet, usdc: x402.asset.clone(), payer: payer.address() })
        }
        _ => None,
    };
    Ok(Rails { offered, dev, payouts })
}

type Settler = Arc<EvmSettler>;

fn settles(x402: &X402, data: &DataDirectory) -> Result<(Settles, Option<Settler>), TillError> {
    Ok(match &x402.settling {
        Settling::Sandbox => (Settles::Sandbox, None),
        Settling::Chain { rpc_url, chain_id, token } => {
            let node = chain(rpc_url);
            let relayer = SigningKey::from_bytes(&data.key(RELAYER_KEY)?).map_err(RailError::SigningKey)?;
            tracing::info!(relayer = %relayer.address(), chain_id, "payments are settled by this relayer; it needs gas");
            let config = EvmSettlerConfig::new(*chain_id, *token);
            let settler = Arc::new(EvmSettler::new(node, config, relayer));
            (Settles::Chain(Arc::clone(&settler) as _), Some(settler))
        }
    })
}

/// The chain behind a node.
pub(crate) fn chain(rpc_url: &http::Uri) -> Chain {
    Chain::new(Arc::new(HttpRpc::new(client(rpc_url), rpc_url.clone())))
}

fn exact(x402: &X402, settling: Settles, secret: &[u8; 32], realm: &str) -> Result<ExactEvm, RailError> {
    Ok(ExactEvm::new(ExactEvmConfig {
        asset: x402.asset.clone(),
        domain_name: x402.name.clone(),
        domain_version: x402.version.clone(),
        pay_to: x402.pay_to,
        max_timeout_seconds: x402.max_timeout_seconds,
        sealer: QuoteSealer::new(secret),
        challenges: Some(Challenges::new(secret, realm)?),
        settling,
    })?)
}

fn lightning_wallet(
    lightning: &Lightning,
    funding: &Funding<'_>,
    data: &DataDirectory,
    is_sandbox: bool,
    dev_wallet: &mut Option<Arc<DevWallet<InvoiceStore>>>,
) -> Result<Arc<dyn LightningWallet>, TillError> {
    Ok(match (&lightning.backend, is_sandbox) {
        (LightningBackend::Dev, true) => {
            let randomness = Arc::new(|| clock::random().map_err(|error| RandomnessError(Box::new(error))));
            let dev = DevWallet::new(
                &data.key("lightning.key")?,
                Arc::new(InvoiceStore::open(funding.data)?),
                randomness,
            );
            let dev = Arc::new(dev.map_err(RailError::DevWallet)?);
            *dev_wallet = Some(Arc::clone(&dev));
            dev
        }
        (LightningBackend::Dev, false) => return Err(RailError::DevWalletAlone.into()),
        (LightningBackend::Lnbits { url, invoice_key }, _) => {
            let key = std::str::from_utf8(&invoice_key.0).map_err(|_| RailError::LnbitsKey)?;
            Arc::new(LnbitsWallet::new(&url.to_string(), key, client(url)).map_err(RailError::Lnbits)?)
        }
    })
}

/// The operator wrote this endpoint into the configuration: it may be reached wherever it is.
pub(crate) fn client(url: &http::Uri) -> Client {
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
    let policy = Policy::public().allow_endpoint(url.host().unwrap_or_default(), port);
    Client::new(policy, Limits::default())
}
