//! The house behind every toll of one data directory.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tollgate_attest::PublicKey;
use tollgate_domain::{Assets, ServerName, UnixMillis};
use tollgate_gate::{Gate, GateLimits, Listed, Mode};
use tollgate_risk::Room;
use tollgate_till::dispatch::DispatchMarks;
use tollgate_till::unfinished::Completes;
use tollgate_till::{FINALITY_MS, Funding, Till, clock, keys, limits, spending};

use crate::catalog::Goods;
use crate::error::{OpenError, PriceError};
use crate::ports::OwnPorts;
use crate::settings::{Limits, Settings};
use crate::terms::Terms;

/// How often settlements without a definite answer are looked up again, reservations whose time is over released, and stored results pruned.
const UPKEEP_MS: u64 = 2_000;

/// Everything that the tolls of one data directory share.
pub(crate) struct House {
    pub(crate) gate: Gate<OwnPorts>,
    pub(crate) limits: Limits,
    /// What the bodies of all requests take together.
    pub(crate) bodies: Arc<Room>,
    /// What all answers take together, until their callers have read them.
    pub(crate) answers: Arc<Room>,
    pub(crate) receipt_keys: Vec<PublicKey>,
    /// What only sandbox money has; its routes pay from it.
    #[cfg(feature = "axum")]
    pub(crate) dev: Option<tollgate_till::sandbox::Dev>,
    /// Calls being carried out: each must be completed before the process ends.
    pub(crate) calls: TaskTracker,
    server: ServerName,
    pub(crate) assets: Assets,
    public_url: Option<String>,
    /// Cancelled when the server ends: what the books do not take by then waits for the next start.
    closing: CancellationToken,
    /// Ends the upkeep when the last toll is gone.
    _stop: DropGuard,
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House")
            .field("server", &self.server)
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}

impl House {
    pub(crate) async fn open(settings: &Settings) -> Result<Arc<Self>, OpenError> {
        let understood = settings.understood()?;
        let till = Till::open(Funding {
            payouts: None,
            data: &settings.data,
            database: None,
            public_url: settings.public_url.as_deref().unwrap_or("http://localhost"),
            x402: understood.x402.as_ref(),
            lightning: understood.lightning.as_ref(),
            secret: understood.secret.as_ref(),
            result_ttl_ms: settings.result_ttl_ms,
            commits: None,
        })
        .await?;
        if let Some(dev) = &till.dev {
            dev.fund_once(&till.store, clock::now()).await?;
        }
        let x402 = understood.x402.iter().map(|x402| x402.asset.clone());
        let lightning = understood.lightning.iter().map(|lightning| lightning.asset.clone());
        let assets = Assets::new(x402.chain(lightning));
        let ports = OwnPorts {
            goods: Goods::default(),
            store: till.store.clone(),
            keys: Arc::clone(&till.keys),
            rails: till.rails,
            limits: limits(settings.limits.calls_per_minute, settings.limits.offers_per_minute),
            budgets: spending::default_plan(&assets),
            marks: till.marks,
        };
        let limits = GateLimits {
            quote_ttl_ms: understood.quote_ttl_ms,
            receipts_for_free_calls: settings.receipts_for_free_calls,
            finality_ms: FINALITY_MS,
            mode: settings.mode,
            escrows: Default::default(),
        };
        let gate = Gate::new(ports, limits);
        // Before any call is taken: what a crash left open is finished first.
        let recovered = gate.recover().await.map_err(OpenError::Recover)?;
        gate.ports().marks.forget().map_err(OpenError::Marks)?;
        if recovered.ended > 0 || recovered.open > 0 {
            tracing::info!(ended = recovered.ended, open = recovered.open, "settlements of the last run");
        }
        let stop = CancellationToken::new();
        let house = Arc::new(Self {
            gate,
            limits: settings.limits,
            bodies: Room::new(settings.limits.bodies_bytes_max.max(settings.limits.body_bytes_max)),
            answers: Room::new(settings.limits.answers_bytes_max.max(settings.limits.answer_bytes_max)),
            receipt_keys: till.receipt_keys,
            #[cfg(feature = "axum")]
            dev: till.dev,
            calls: TaskTracker::new(),
            server: understood.server,
            assets,
            public_url: settings.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned()),
            closing: CancellationToken::new(),
            _stop: stop.clone().drop_guard(),
        });
        let background = TaskTracker::new();
        background.spawn(keys::watch(till.store, till.keys, stop.clone()));
        background.spawn(upkeep(Arc::downgrade(&house), stop));
        Ok(house)
    }

    pub(crate) fn mode(&self) -> Mode {
        self.gate.limits().mode
    }

    pub(crate) fn offer(&self, terms: &Terms) -> Result<Arc<Listed>, PriceError> {
        self.gate.ports().goods.offer(terms.listed(&self.server, &self.assets)?)
    }

    pub(crate) fn offer_with(
        &self,
        terms: &Terms,
        change: impl FnOnce(&mut Listed),
    ) -> Result<Arc<Listed>, PriceError> {
        let mut listed = terms.listed(&self.server, &self.assets)?;
        change(&mut listed);
        self.gate.ports().goods.offer(listed)
    }

    /// The base URL of answers: the configured one, else the host that this caller used.
    pub(crate) fn base_url(&self, host: Option<&str>) -> String {
        match (&self.public_url, host) {
            (Some(url), _) => url.clone(),
            (None, Some(host)) => format!("http://{host}"),
            (None, None) => "http://localhost".to_owned(),
        }
    }

    /// Waits for the calls that are being carried out.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.calls.close();
        self.calls.wait().await;
    }
}

impl Completes for House {
    type Ports = OwnPorts;

    fn gate(&self) -> &Gate<OwnPorts> {
        &self.gate
    }

    fn marks(&self) -> &DispatchMarks {
        &self.gate.ports().marks
    }

    fn calls(&self) -> &TaskTracker {
        &self.calls
    }

    fn takes_money(&self) -> bool {
        self.gate.ports().store.is_open()
    }

    async fn given_up(&self) {
        self.closing.cancelled().await;
    }
}

/// Looks up settlements whose rail was silent, releases what was reserved for too long, and prunes old results, until the last toll is gone.
async fn upkeep(house: Weak<House>, stop: CancellationToken) {
    let mut released = UnixMillis::new(0);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(UPKEEP_MS)) => {}
        }
        let Some(house) = house.upgrade() else { return };
        if let Err(error) = house.gate.reconcile().await {
            tracing::error!(%error, "could not look up open settlements");
        }
        match house.gate.release_expired(released).await {
            Ok(until) => released = until,
            Err(error) => tracing::error!(%error, "could not release what was reserved until now"),
        }
        if let Err(error) = house.gate.ports().store.prune(clock::now()).await {
            tracing::error!(%error, "could not prune old results");
        }
    }
}
