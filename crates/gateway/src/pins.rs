//! Pins in a running gateway: what was approved, kept in memory as the store says it, and what servers say now.
//!
//! The rules stand in `tollgate_registry`, the rows in `tollgate_store`; here is when they are asked, and what the log
//! says. A definition is written by a stranger: the log names places and hashes, never its words.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tollgate_domain::{Digest, ServerName, ToolName, ToolRef, UnixMillis};
use tollgate_gate::Withheld;
use tollgate_ledger::StoreError;
use tollgate_registry::{
    Definition, Findings, Observed, PinPolicy, PinRecord, Report, Sighting, Standing, diff, observe, scan,
};
use tollgate_store::Store;

use crate::clock;
use crate::live::Live;

/// An approval by `tollgate pins approve` takes effect within this time.
const WATCH_MS: u64 = 500;
/// How many sightings are written at once, so that pins never hold calls up for long.
const SIGHTINGS_MAX: usize = 128;
/// How many definitions that only clients were shown are remembered.
const NOTICED_MAX: usize = 4_096;

/// The pins of all servers.
#[derive(Debug)]
pub struct Pins {
    store: Store,
    known: Mutex<HashMap<ToolRef, PinRecord>>,
    noticed: Mutex<HashSet<(ToolRef, Digest)>>,
}

/// One tool as its server lists it now.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its name.
    pub tool: ToolName,
    /// Its definition.
    pub definition: Definition,
    /// Whether the server lists it more than once, with different definitions: which of them runs, only it knows.
    pub is_ambiguous: bool,
}

impl Pins {
    /// All pins of a store.
    ///
    /// # Errors
    /// When they cannot be read: without them nothing could be compared.
    pub async fn open(store: Store) -> Result<Self, StoreError> {
        let pins = Self { store, known: Mutex::default(), noticed: Mutex::default() };
        pins.reload().await?;
        Ok(pins)
    }

    async fn reload(&self) -> Result<(), StoreError> {
        let records = self.store.pins().await?;
        *self.known.lock() = records.into_iter().map(|record| (record.tool.clone(), record)).collect();
        Ok(())
    }

    /// The hash of the approved definition of a tool.
    pub fn approved(&self, tool: &ToolRef) -> Option<Digest> {
        self.known.lock().get(tool).and_then(PinRecord::approved_hash)
    }

    /// Compares what a server lists with what was approved, and keeps what changed. The answer says why a tool may not be
    /// used, in the order of `seen`.
    pub async fn observe(
        &self,
        server: &ServerName,
        policy: PinPolicy,
        seen: &[Seen],
        now: UnixMillis,
    ) -> Vec<Option<Withheld>> {
        let mut withheld = Vec::with_capacity(seen.len());
        let mut news = Vec::new();
        let others = self.tools_of_others(server);
        for Seen { tool, definition, is_ambiguous } in seen {
            let tool = ToolRef { server: server.clone(), tool: tool.clone() };
            let known = self.known.lock().get(&tool).cloned();
            let is_as_approved = known.as_ref().and_then(PinRecord::approved_hash) == Some(definition.hash());
            let report = match policy.findings {
                Findings::Block | Findings::Warn if !is_as_approved => scan(definition, &others),
                Findings::Block | Findings::Warn | Findings::Off => Report::default(),
            };
            let is_suspicious = *is_ambiguous || report.is_serious();
            let sighting = Sighting { tool, definition: definition.clone(), is_suspicious };
            let observed = observe(known.as_ref(), &sighting, policy, now);
            withheld.push(withheld_for(observed.standing, definition.hash()));
            if known.as_ref() != Some(&observed.record) {
                news.push(News { place: withheld.len() - 1, sighting, observed, report });
            }
        }
        for chunk in chunks(news) {
            self.keep(chunk, policy, now, &mut withheld).await;
        }
        withheld
    }

    async fn keep(
        &self,
        mut news: Vec<News>,
        policy: PinPolicy,
        now: UnixMillis,
        withheld: &mut [Option<Withheld>],
    ) {
        let sightings: Vec<Sighting> = news.iter().map(|news| news.sighting.clone()).collect();
        match self.store.observe_pins(sightings, policy, now).await {
            // Decided anew on the rows: an approval beside this process may have come in between.
            Ok(observed) => {
                for (news, observed) in news.iter_mut().zip(observed) {
                    news.observed = observed;
                }
            }
            // Kept in memory then: as long as this process lives, what was seen is compared all the same.
            Err(error) => tracing::error!(%error, "pins could not be written"),
        }
        for News { place, sighting, observed, report } in news {
            tell(&sighting, &observed, &report);
            if let Some(withheld) = withheld.get_mut(place) {
                *withheld = withheld_for(observed.standing, sighting.definition.hash());
            }
            self.known.lock().insert(sighting.tool, observed.record);
        }
    }

    /// Whether a scan by this policy finds something serious in a definition that only a client was shown.
    pub fn is_suspicious(&self, tool: &ToolRef, definition: &Definition, policy: PinPolicy) -> bool {
        policy.findings == Findings::Block
            && scan(definition, &self.tools_of_others(&tool.server)).is_serious()
    }

    /// Whether it is known that clients are shown this definition and this gateway is not.
    pub fn is_noticed(&self, tool: &ToolRef, hash: Digest) -> bool {
        self.noticed.lock().contains(&(tool.clone(), hash))
    }

    /// Says once, and remembers, that clients are shown another definition than this gateway.
    pub fn notice(&self, tool: &ToolRef, hash: Digest) {
        let mut noticed = self.noticed.lock();
        if noticed.len() >= NOTICED_MAX {
            noticed.clear();
        }
        if noticed.insert((tool.clone(), hash)) {
            tracing::warn!(%tool, %hash, "a client is shown another definition than this gateway");
        }
    }

    fn tools_of_others(&self, server: &ServerName) -> BTreeSet<String> {
        let known = self.known.lock();
        let others = known.keys().filter(|tool| tool.server != *server);
        others.map(|tool| tool.tool.to_string()).collect()
    }
}

/// A sighting that changes its record.
struct News {
    /// Its place among all sightings.
    place: usize,
    sighting: Sighting,
    observed: Observed,
    report: Report,
}

fn chunks(mut news: Vec<News>) -> Vec<Vec<News>> {
    let mut chunks = Vec::new();
    while !news.is_empty() {
        let rest = news.split_off(news.len().min(SIGHTINGS_MAX));
        chunks.push(std::mem::replace(&mut news, rest));
    }
    chunks
}

fn withheld_for(standing: Standing, hash: Digest) -> Option<Withheld> {
    match standing {
        Standing::Approved => None,
        Standing::Drifted => Some(Withheld::Drifted(hash)),
        Standing::Unapproved => Some(Withheld::Unapproved(hash)),
    }
}

/// Says once what became of a definition.
fn tell(sighting: &Sighting, observed: &Observed, report: &Report) {
    let (tool, hash) = (&sighting.tool, sighting.definition.hash());
    let places: Vec<String> = match &observed.record.approved {
        Some(pin) => {
            diff(&pin.definition, &sighting.definition).into_iter().map(|change| change.pointer).collect()
        }
        None => Vec::new(),
    };
    let (places, findings) = (places.join(" "), report.explained());
    match (observed.standing, &observed.record.pending) {
        (Standing::Drifted, _) => tracing::warn!(
            %tool, %hash, changed = places, findings,
            "a tool is blocked: its definition changed; review it with `tollgate pins diff`"
        ),
        (Standing::Unapproved, _) => tracing::warn!(
            %tool, %hash, findings, "a tool is blocked: its definition waits for an approval; see `tollgate pins diff`"
        ),
        (Standing::Approved, Some(_)) => {
            tracing::warn!(%tool, %hash, changed = places, findings, "the definition of a tool changed");
        }
        (Standing::Approved, None) if report.is_serious() => {
            tracing::warn!(%tool, %hash, findings, "a definition was pinned in which the scan found something");
        }
        (Standing::Approved, None) => tracing::debug!(%tool, %hash, "a definition was pinned"),
    }
}

/// Watches for approvals by other processes until `stop` is cancelled.
pub async fn watch(pins: Arc<Pins>, live: Arc<Live>, stop: CancellationToken) {
    let mut known = pins.store.pins_version().await.ok();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(WATCH_MS)) => {}
        }
        let version = pins.store.pins_version().await.ok();
        if version == known {
            continue;
        }
        match pins.reload().await {
            Ok(()) => {
                known = version;
                let tools = Arc::clone(&live.snapshot().tools);
                tools.judge_again(clock::now()).await;
            }
            Err(error) => tracing::warn!(%error, "could not read the pins again"),
        }
    }
}
