//! What lives as long as the process, whatever its configuration says by now: keys, store, rails, counters, and the work
//! that is under way.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::task::TaskTracker;
use tollgate_attest::{PublicKey, Signer};
use tollgate_domain::Digest;
use tollgate_egress::{Client, Limits};
use tollgate_federation::Keys;
use tollgate_gate::Mode;
use tollgate_payer::EvmWallet;
use tollgate_rails::PaymentRail;
use tollgate_rails::evm::{Chain, EvmSettler, EvmSettlerConfig, HttpRpc, SigningKey};
use tollgate_rails::l402::{GateSecret, L402, L402Config};
use tollgate_rails::lightning::LightningWallet;
use tollgate_rails::lightning::dev::{DevWallet, RandomnessError};
use tollgate_rails::lightning::lnbits::LnbitsWallet;
use tollgate_rails::mpp::Challenges;
use tollgate_rails::quote_seal::QuoteSealer;
use tollgate_rails::x402::{ExactEvm, ExactEvmConfig, Settling as Settles};
use tollgate_store::{ControlStore, InvoiceStore, Options, Store};

use crate::assemble::endpoint_policy;
use crate::config::{Config, LightningBackend, Settling};
use crate::data::DataDirectory;
use crate::dev::Dev;
use crate::dispatch::DispatchMarks;
use crate::lease::Leases;
use crate::pins::Pins;
use crate::ports::KeySnapshot;
use crate::server::Readiness;
use crate::telemetry::{CommitTimes, Telemetry};
use crate::tls::Tls;
use crate::{clock, keys};

/// What lives as long as the process.
#[derive(Clone, Debug)]
pub struct Foundation {
    /// Whether the money is real.
    pub mode: Mode,
    /// The ledger.
    pub store: Store,
    /// Admin keys, changes over the configuration file, the audit.
    pub control: ControlStore,
    /// API keys.
    pub keys: Arc<KeySnapshot>,
    /// What was approved of the tools' definitions.
    pub pins: Arc<Pins>,
    /// Which paid calls were sent.
    pub marks: Arc<DispatchMarks>,
    /// Calls that a program outside carries out.
    pub leases: Arc<Leases>,
    /// The rails, in the order in which they are offered.
    pub rails: Vec<Arc<dyn PaymentRail>>,
    /// The keys of federated sessions.
    pub sessions: Arc<Keys>,
    /// The public keys of receipts.
    pub receipt_keys: Vec<PublicKey>,
    /// Calls being carried out: each must be completed before the process ends.
    pub calls: TaskTracker,
    /// What runs for the servers (child processes, relays): ended once no call needs it.
    pub tasks: TaskTracker,
    /// TLS on the listener.
    pub tls: Option<Arc<Tls>>,
    /// What operators see.
    pub telemetry: Arc<Telemetry>,
    /// Whether new work is taken.
    pub readiness: Arc<Readiness>,
    /// What only dev mode has.
    pub dev: Option<Arc<Dev>>,
}

impl Foundation {
    /// Opens everything that a gateway with this configuration stands on.
    ///
    /// # Errors
    /// What is missing or cannot be opened, as a sentence for the operator.
    pub async fn open(config: &Config, mode: Mode) -> anyhow::Result<Self> {
        let data = DataDirectory::open(&config.data)?;
        let signer = Signer::from_seed(&data.key("receipts.key")?)?;
        let receipt_keys = vec![signer.public()];
        let commits = Arc::new(CommitTimes::default());
        let options = Options {
            commits: Some(Arc::clone(&commits) as _),
            results_kept: Duration::from_millis(config.receipts.result_ttl_ms),
            #[cfg(feature = "failpoints")]
            failpoints: Some(Arc::new(crate::failpoint::StorePoints)),
            ..Options::default()
        };
        let store = Store::open(&config.data, signer, options)?;
        let control = ControlStore::open(&config.data)?;
        let marks = Arc::new(DispatchMarks::open(&data.path("dispatch.marks"))?);
        let keys = Arc::new(KeySnapshot::default());
        keys::reload(&store, &keys).await?;
        let secret = match &config.secret {
            Some(secret) => *Digest::of(&secret.0).as_bytes(),
            None => data.key("gate.key")?,
        };
        let Rails { offered, dev } = rails(config, &data, &secret)?;
        let sessions = Keys::derive(&secret).context("derive the keys of federated sessions")?;
        Ok(Self {
            mode,
            pins: Arc::new(Pins::open(store.clone()).await?),
            store,
            control,
            keys,
            marks,
            leases: Arc::default(),
            rails: offered,
            sessions: Arc::new(sessions),
            receipt_keys,
            calls: TaskTracker::new(),
            tasks: TaskTracker::new(),
            tls: config.tls.clone().map(Tls::read).transpose()?.map(Arc::new),
            telemetry: Arc::new(Telemetry::new(commits)),
            readiness: Arc::default(),
            dev: dev.map(Arc::new),
        })
    }
}

/// How money arrives here.
struct Rails {
    /// In the order in which they are offered.
    offered: Vec<Arc<dyn PaymentRail>>,
    /// What only dev mode has.
    dev: Option<Dev>,
}

fn rails(config: &Config, data: &DataDirectory, secret: &[u8; 32]) -> anyhow::Result<Rails> {
    let realm = config.public_url.parse::<http::Uri>()?.host().unwrap_or("tollgate").to_owned();
    let mut offered: Vec<Arc<dyn PaymentRail>> = Vec::new();
    if let Some(x402) = &config.x402 {
        let settling = match &x402.settling {
            Settling::Sandbox => Settles::Sandbox,
            Settling::Chain { rpc_url, chain_id, token } => {
                let node = Chain::new(Arc::new(HttpRpc::new(client(rpc_url), rpc_url.clone())));
                let relayer = SigningKey::from_bytes(&data.key("relayer.key")?)?;
                tracing::info!(relayer = %relayer.address(), chain_id, "payments are settled by this relayer; it needs gas");
                let settler = EvmSettler::new(node, EvmSettlerConfig::new(*chain_id, *token), relayer);
                Settles::Chain(Arc::new(settler))
            }
        };
        offered.push(Arc::new(ExactEvm::new(ExactEvmConfig {
            asset: x402.asset.clone(),
            domain_name: x402.name.clone(),
            domain_version: x402.version.clone(),
            pay_to: x402.pay_to,
            max_timeout_seconds: x402.max_timeout_seconds,
            sealer: QuoteSealer::new(secret),
            challenges: Some(Challenges::new(secret, &realm)?),
            settling,
        })?));
    }
    let sandbox = config.x402.as_ref().filter(|x402| matches!(x402.settling, Settling::Sandbox));
    let mut wallet = None;
    if let Some(lightning) = &config.lightning {
        let backend: Arc<dyn LightningWallet> = match &lightning.backend {
            LightningBackend::Dev if sandbox.is_none() => {
                anyhow::bail!("the dev wallet exists in dev mode only")
            }
            LightningBackend::Dev => {
                let randomness =
                    Arc::new(|| clock::random().map_err(|error| RandomnessError(Box::new(error))));
                let dev = Arc::new(DevWallet::new(
                    &data.key("lightning.key")?,
                    Arc::new(InvoiceStore::open(&config.data)?),
                    randomness,
                )?);
                wallet = Some(Arc::clone(&dev));
                dev
            }
            LightningBackend::Lnbits { url, invoice_key } => {
                let key = std::str::from_utf8(&invoice_key.0)?;
                Arc::new(LnbitsWallet::new(&url.to_string(), key, client(url))?)
            }
        };
        offered.push(Arc::new(L402::new(L402Config {
            asset: lightning.asset.clone(),
            secret: GateSecret::new(*secret),
            ttl_seconds: lightning.ttl_seconds,
            wallet: backend,
            realm,
        })?));
    }
    let dev = match (wallet, sandbox) {
        (Some(wallet), Some(x402)) => {
            let payer = EvmWallet::open(&data.path("payer.key"))?.address();
            Some(Dev { wallet, usdc: x402.asset.clone(), payer })
        }
        _ => None,
    };
    Ok(Rails { offered, dev })
}

fn client(url: &http::Uri) -> Client {
    Client::new(endpoint_policy(url), Limits::default())
}
