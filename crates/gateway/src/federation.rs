//! Several servers as one: who belongs to it, and what this process has learned about them.
//!
//! Nothing here is needed to answer a request: another gateway with the same secret and servers would answer it as well.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tollgate_domain::{Digest, ServerName, UnixMillis};
use tollgate_federation::{Features, Keys, Names, Pattern, Separator};

use crate::carrier::Carrier;
use crate::config::Config;

/// How long it is believed that a server speaks the modern era, and that it does not.
const MODERN_MS_MAX: u64 = 300_000;
const NOT_MODERN_MS_MAX: u64 = 60_000;
/// How many ended sessions are remembered. Their servers know them no more anyway, but for those without sessions.
const ENDED_MAX: usize = 10_000;

/// One federated door.
#[derive(Debug)]
pub struct Federation {
    /// What its sessions are bound to.
    pub door: String,
    /// The names.
    pub names: Names,
    /// The keys of sessions and tasks.
    pub keys: Arc<Keys>,
    /// How long one server may take for its part of a list.
    pub list_ms_max: u64,
    /// Whether stateless requests are answered.
    pub stateless: bool,
    /// How long a session lasts.
    pub session_ttl_ms: u64,
    /// Sessions that their clients have ended.
    pub ended: Arc<Ended>,
    /// What those who listen at the door are told.
    news: Arc<watch::Sender<News>>,
    separator: Separator,
    plain: Option<ServerName>,
    members: BTreeMap<ServerName, Arc<Carrier>>,
    selection: Option<Vec<Pattern>>,
    eras: Arc<EraBook>,
}

/// What became of a door since it was opened to a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct News {
    /// How often its tools or their prices may have changed.
    pub changes: u64,
    /// It has other servers or names by now: whoever listens has to come back.
    pub is_over: bool,
}

/// The federated doors of a gateway.
#[derive(Debug, Default)]
pub struct Federations {
    /// `/mcp`, where there are several servers.
    pub all: Option<Arc<Federation>>,
    /// The virtual servers.
    pub virtual_servers: BTreeMap<ServerName, Arc<Federation>>,
}

impl Federations {
    /// The doors as configured. What a client has ended at a door of `previous` stays ended.
    pub fn new(
        config: &Config,
        carriers: &BTreeMap<ServerName, Arc<Carrier>>,
        keys: Arc<Keys>,
        previous: Option<&Self>,
    ) -> Self {
        let eras = Arc::new(EraBook::default());
        let federation = |door: &str, selection: Option<Vec<Pattern>>| {
            let selected = |name: &ServerName| match &selection {
                Some(patterns) => patterns.iter().any(|pattern| pattern.server() == name),
                None => true,
            };
            let members: BTreeMap<ServerName, Arc<Carrier>> = carriers
                .iter()
                .filter(|(name, _)| selected(name))
                .map(|(name, carrier)| (name.clone(), Arc::clone(carrier)))
                .collect();
            let names = Names::new(
                config.federation.separator.clone(),
                members.keys().cloned(),
                config.federation.plain.clone(),
            );
            let before = previous.and_then(|previous| previous.doors().find(|before| before.door == door));
            let is_alike = |before: &&Arc<Federation>| {
                before.selection == selection
                    && before.separator == config.federation.separator
                    && before.plain == config.federation.plain
                    && before.stateless == config.federation.stateless
                    && before.members.len() == members.len()
                    && before
                        .members
                        .iter()
                        .zip(&members)
                        .all(|(before, member)| before.1.is_way_of(member.1))
            };
            let news = before.filter(is_alike).map(|before| Arc::clone(&before.news)).unwrap_or_default();
            Arc::new(Federation {
                door: door.to_owned(),
                names,
                news,
                separator: config.federation.separator.clone(),
                plain: config.federation.plain.clone(),
                keys: Arc::clone(&keys),
                list_ms_max: config.federation.list_ms_max,
                stateless: config.federation.stateless,
                session_ttl_ms: config.federation.session_ttl_ms,
                ended: before.map(|before| Arc::clone(&before.ended)).unwrap_or_default(),
                members,
                selection,
                eras: Arc::clone(&eras),
            })
        };
        let virtual_servers = config.virtual_servers.iter().map(|(name, patterns)| {
            (name.clone(), federation(&format!("virtual/{name}"), Some(patterns.clone())))
        });
        Self {
            all: (carriers.len() > 1).then(|| federation("mcp", None)),
            virtual_servers: virtual_servers.collect(),
        }
    }

    /// Tells those who listen at these doors that others have taken their place.
    pub fn tell(&self, next: &Self) {
        for before in self.doors() {
            let stays = next.doors().any(|door| Arc::ptr_eq(&door.news, &before.news));
            before.news.send_modify(|news| {
                news.changes = news.changes.wrapping_add(1);
                news.is_over |= !stays;
            });
        }
    }

    /// Every federated door.
    pub fn doors(&self) -> impl Iterator<Item = &Arc<Federation>> {
        self.all.iter().chain(self.virtual_servers.values())
    }
}

impl Federation {
    /// What a listener is told from now on.
    pub fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    /// The ways to its servers, in the order of every list.
    pub fn carriers(&self) -> impl Iterator<Item = &Arc<Carrier>> {
        self.members.values()
    }

    /// The way to one of its servers.
    pub fn carrier(&self, server: &ServerName) -> Option<&Arc<Carrier>> {
        self.members.get(server)
    }

    /// Whether it offers nothing but a selection of tools.
    pub const fn tools_only(&self) -> bool {
        self.selection.is_some()
    }

    /// Whether a server's tool is offered here.
    pub fn offers(&self, server: &ServerName, tool: &str) -> bool {
        self.selection.as_ref().is_none_or(|patterns| patterns.iter().any(|p| p.selects(server, tool)))
    }

    /// What is known about a server in the modern era; `None`: it has to be asked.
    pub fn modern(&self, server: &ServerName, now: UnixMillis) -> Option<Modern> {
        let seen = self.eras.0.lock().get(server).cloned()?;
        let age_max = if seen.0 == Modern::No { NOT_MODERN_MS_MAX } else { MODERN_MS_MAX };
        (now.millis_since(seen.1) < age_max).then_some(seen.0)
    }

    /// Remembers what a server has said about the modern era. Where some of this door speak it and others do not, the log says once whose
    /// tools a client of that era is not offered: to its user they are gone.
    pub fn learn(&self, server: &ServerName, modern: Modern, now: UnixMillis) {
        let mut seen = self.eras.0.lock();
        let before = seen.insert(server.clone(), (modern, now));
        let speaks = |server: &ServerName| seen.get(server).map(|(modern, _)| *modern != Modern::No);
        if before.map(|(before, _)| before != Modern::No) == speaks(server) {
            return;
        }
        let that = |spoken: bool| self.members.keys().filter(move |member| speaks(member) == Some(spoken));
        let unheard: Vec<&ServerName> = match (speaks(server), that(true).count()) {
            (Some(false), 1..) => vec![server],
            (Some(true), 1) => that(false).collect(),
            _ => Vec::new(),
        };
        for server in unheard {
            tracing::warn!(
                %server, door = self.door,
                "speaks the era of sessions only, so clients that speak 2026-07-28 are not offered it here, beside servers that do; \
                 with `federation: {{ stateless: false }}` those that speak both eras open sessions"
            );
        }
    }
}

/// Whether a server speaks the modern era.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Modern {
    /// It does not.
    No,
    /// It does.
    Yes {
        /// In these versions.
        versions: Arc<[String]>,
        /// It offers this.
        features: Features,
    },
}

/// What servers have said about the modern era, and when.
#[derive(Debug, Default)]
struct EraBook(Mutex<HashMap<ServerName, (Modern, UnixMillis)>>);

/// Sessions that their clients have ended, by their digests.
#[derive(Debug, Default)]
pub struct Ended(Mutex<(HashSet<Digest>, VecDeque<Digest>)>);

impl Ended {
    /// Remembers that a session is over.
    pub fn add(&self, id: &str) {
        let digest = Digest::of(id.as_bytes());
        let (known, order) = &mut *self.0.lock();
        if known.insert(digest) {
            order.push_back(digest);
        }
        if order.len() > ENDED_MAX
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
    }

    /// Whether a session is known to be over.
    pub fn contains(&self, id: &str) -> bool {
        self.0.lock().0.contains(&Digest::of(id.as_bytes()))
    }
}
