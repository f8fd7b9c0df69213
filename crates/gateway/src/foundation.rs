//! What lives as long as the process, whatever its configuration says by now: keys, store, rails, counters, and the work
//! that is under way.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::task::TaskTracker;
use tollgate_attest::PublicKey;
use tollgate_federation::Keys;
use tollgate_gate::Mode;
use tollgate_rails::PaymentRail;
use tollgate_risk::Room;
use tollgate_store::{ControlStore, Store};
use tollgate_till::dispatch::DispatchMarks;
use tollgate_till::sandbox::Dev;
use tollgate_till::{Funding, KeySnapshot, PayoutRails, Till};

use crate::authorizations::Authorizations;
use crate::begun::Begun;
use crate::clock::{self, KeptSteps};
use crate::cohort::Cohort;
use crate::config::Config;
use crate::lease::Leases;
use crate::pins::Pins;
use crate::server::Readiness;
use crate::telemetry::{CommitTimes, Telemetry, Traces};
use crate::tls::Tls;

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
    /// Calls that are authorized and wait for their execution.
    pub authorizations: Arc<Authorizations>,
    /// The rails, in the order in which they are offered.
    pub rails: Vec<Arc<dyn PaymentRail>>,
    /// The keys of federated sessions that follow from the gateway's own secret.
    pub sessions: Keys,
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
    /// What pays providers.
    pub payouts: PayoutRails,
    /// What bodies of requests take together.
    pub room: Arc<Room>,
    /// What answers and messages that are held take together.
    pub answers: Arc<Room>,
    /// Which tasks callers have begun.
    pub begun: Arc<Begun>,
    /// The requests whose steps are taken together.
    pub cohort: Arc<Cohort>,
}

impl Foundation {
    /// Opens everything that a gateway with this configuration stands on.
    ///
    /// # Errors
    /// What is missing or cannot be opened, as a sentence for the operator.
    pub async fn open(config: &Config, mode: Mode) -> anyhow::Result<Self> {
        let commits = Arc::new(CommitTimes::default());
        let Till { data, store, keys, rails, marks, receipt_keys, secret, dev, payouts } =
            Till::open(Funding {
                data: &config.data,
                database: config.database.as_ref().map(|database| &database.url),
                public_url: &config.public_url,
                x402: config.x402.as_ref(),
                lightning: config.lightning.as_ref(),
                payouts: config.payouts.funding.as_ref(),
                secret: config.secret.as_ref(),
                result_ttl_ms: config.receipts.result_ttl_ms,
                commits: Some(Arc::clone(&commits) as _),
            })
            .await?;
        let clock_steps = KeptSteps::open(&data, clock::now(), Duration::ZERO)?;
        let control = ControlStore::open(&config.data)?;
        let sessions = Keys::derive(&secret).context("derive the keys of federated sessions")?;
        Ok(Self {
            mode,
            pins: Arc::new(Pins::open(store.clone()).await?),
            store,
            control,
            keys,
            marks,
            leases: Arc::default(),
            authorizations: Arc::default(),
            rails,
            sessions,
            receipt_keys,
            calls: TaskTracker::new(),
            tasks: TaskTracker::new(),
            tls: config.tls.clone().map(Tls::read).transpose()?.map(Arc::new),
            telemetry: Arc::new(Telemetry::new(commits, Traces::of(config.otlp.as_ref()), clock_steps)),
            readiness: Arc::default(),
            dev: dev.map(Arc::new),
            payouts,
            room: Room::new(config.limits.bodies_bytes_max),
            answers: Room::new(config.limits.answers_bytes_max),
            begun: Arc::default(),
            cohort: Arc::default(),
        })
    }
}
