//! The tools behind this gateway: what each upstream lists, joined with the operator's policy.
//!
//! Lists are kept in memory and read by the gateway's own session to each server, so that a call never waits for one. A
//! server that lists nothing yet is asked again when it is called.

mod beside;
mod elsewhere;
mod following;
mod pinned;
mod schema;
mod shown;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tollgate_domain::{
    Assets, Digest, FailureKind, Money, Pricing, ServerName, ToolName, ToolRef, UnixMillis,
};
use tollgate_exec::McpClient;
use tollgate_exec::breaker::Resting;
use tollgate_exec::client::ClientError;
use tollgate_gate::{Catalog, Denial, Fault, Listed, Viewer};
use tollgate_mcp::headers::{MirroredParam, mirrored_params};
use tollgate_mcp::tools::ToolDefinition;
use tollgate_registry::{Definition, Drift};

use crate::carrier::fault_of;
use crate::config::{Server, ToolPolicy};
use crate::pins::Pins;
pub(crate) use schema::Compiled;
pub(crate) use shown::ShownTools;

use beside::Beside;
use pinned::Judgement;

/// A tool that is not in a list may have been added since: the list is read again, but not more often than this.
const REFRESH_MS_MIN: u64 = 2_000;
const DEADLINE_MS: u64 = 60_000;

/// All servers and their tools.
#[derive(Debug)]
pub struct Tools {
    servers: BTreeMap<ServerName, Arc<ServerTools>>,
    pins: Arc<Pins>,
    /// Tools that this gateway cannot carry out itself: they are known to the gate API only.
    elsewhere: HashMap<ToolRef, Arc<Listed>>,
}

#[derive(Debug)]
struct ServerTools {
    policy: Server,
    client: Arc<McpClient>,
    listed: ArcSwapOption<HashMap<ToolName, Entry>>,
    /// When the list was last asked for; held while it is, so that one question serves all who wait.
    asked: Mutex<Option<UnixMillis>>,
    /// Who listens is told here what may be shown.
    shown: shown::Teller,
    /// What only clients are shown.
    beside: Arc<parking_lot::Mutex<Beside>>,
    /// The tools with a policy that the last list did not have, as the log was told of them.
    missing: parking_lot::Mutex<Vec<ToolName>>,
}

/// One listed tool.
#[derive(Clone, Debug)]
struct Entry {
    listed: Arc<Listed>,
    /// Arguments that modern clients mirror in headers.
    mirrored: Arc<[MirroredParam]>,
    /// Its definition, where it is compared with what was approved.
    definition: Option<Definition>,
    /// Whether its server lists it more than once, with different definitions.
    is_ambiguous: bool,
}

/// Why a server's tools are not known.
#[derive(Debug, thiserror::Error)]
#[error("read the server's list of tools")]
pub struct ListError(#[source] ClientError);

impl ListError {
    /// The failure as the caller is told of it.
    pub fn fault(&self) -> Fault {
        match &self.0 {
            ClientError::Upstream(error) => fault_of(error),
            _ => Fault::Upstream { kind: FailureKind::Broken },
        }
    }
}

impl Tools {
    /// The tools of these servers; nothing is listed until [`Tools::refresh`].
    pub fn new(
        servers: impl IntoIterator<Item = (ServerName, Server, Arc<McpClient>)>,
        pins: Arc<Pins>,
    ) -> Self {
        let servers = servers.into_iter().map(|(name, policy, client)| {
            let (listed, asked, shown) = (ArcSwapOption::empty(), Mutex::default(), Arc::default());
            let (beside, missing) = (Arc::default(), parking_lot::Mutex::default());
            (name, Arc::new(ServerTools { policy, client, listed, asked, shown, beside, missing }))
        });
        Self { servers: servers.collect(), pins, elsewhere: HashMap::new() }
    }

    /// Makes sure that a tool of a server can be looked up: reads the server's list if it has none, or if the tool is not in
    /// it and the list is not fresh.
    ///
    /// # Errors
    /// When the server has no list yet and gives none now.
    pub async fn ready(&self, tool: &ToolRef, now: UnixMillis) -> Result<(), ListError> {
        let Some(server) = self.servers.get(&tool.server) else { return Ok(()) };
        match server.listed.load().as_deref() {
            Some(listed) if listed.contains_key(&tool.tool) => Ok(()),
            Some(_) => {
                // The tool is unknown, but the server has been heard: an unknown tool is the answer if asking fails.
                if let Err(error) = self.refresh(&tool.server, now).await {
                    tracing::warn!(server = %tool.server, %error, "could not read the server's tools again");
                }
                Ok(())
            }
            None => self.refresh(&tool.server, now).await,
        }
    }

    /// Reads a server's list, unless it was read a moment ago.
    ///
    /// # Errors
    /// When the server gives no list.
    pub async fn refresh(&self, name: &ServerName, now: UnixMillis) -> Result<(), ListError> {
        let Some(server) = self.servers.get(name) else { return Ok(()) };
        let mut asked = server.asked.lock().await;
        let fresh = asked.is_some_and(|asked| now.millis_since(asked) < REFRESH_MS_MIN);
        if fresh && server.listed.load().is_some() {
            return Ok(());
        }
        self.read(name, server, &mut asked, now).await
    }

    async fn read(
        &self,
        name: &ServerName,
        server: &ServerTools,
        asked: &mut Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<(), ListError> {
        let own = server.client.list_tools().await.map_err(ListError)?;
        let definitions = server.beside.lock().joined(own);
        *asked = Some(now);
        let mut judged = self.judged(name, server, &definitions, now).await;
        let listed = definitions.iter().filter_map(|definition| {
            let judgement = judged.as_mut().map(|judged| judged.remove(definition.name.as_str()));
            list(name, &server.policy, definition, judgement.unwrap_or(Some(Judgement::UNPINNED))?)
        });
        server.tell_missing(name, &definitions);
        server.list(listed.collect());
        Ok(())
    }

    /// Whether a server's list was ever read.
    pub fn is_listed(&self, name: &ServerName) -> bool {
        self.servers.get(name).is_some_and(|server| server.listed.load().is_some())
    }

    /// Every listed tool that may be called, by server and name.
    pub fn all(&self) -> Vec<Arc<Listed>> {
        let mut all: Vec<Arc<Listed>> = self
            .servers
            .values()
            .filter_map(|server| server.listed.load_full())
            .flat_map(|listed| listed.values().map(|entry| Arc::clone(&entry.listed)).collect::<Vec<_>>())
            .filter(|listed| listed.withheld.is_none())
            .collect();
        all.sort_by(|a, b| a.tool.cmp(&b.tool));
        all
    }

    /// Every listed tool of one server, those included that may not be called.
    pub fn of(&self, server: &ServerName) -> Vec<Arc<Listed>> {
        let listed = self.servers.get(server).and_then(|server| server.listed.load_full());
        let listed = listed.iter().flat_map(|listed| listed.values().map(|entry| &entry.listed));
        let elsewhere = self.elsewhere.values().filter(|listed| listed.tool.server == *server);
        let mut all: Vec<Arc<Listed>> = listed.chain(elsewhere).map(Arc::clone).collect();
        all.sort_by(|a, b| a.tool.cmp(&b.tool));
        all
    }

    fn entry(&self, tool: &ToolRef) -> Option<Entry> {
        self.servers.get(&tool.server)?.listed.load().as_deref()?.get(&tool.tool).cloned()
    }

    /// The arguments of a tool that modern clients mirror in headers.
    pub fn mirrored(&self, tool: &ToolRef) -> Option<Arc<[MirroredParam]>> {
        self.entry(tool).map(|entry| entry.mirrored)
    }

    /// What the operator asks for a tool, whether or not its server lists it yet.
    pub fn price(&self, tool: &ToolRef) -> Option<Pricing> {
        Some(self.servers.get(&tool.server)?.policy.policy(&tool.tool).price)
    }

    /// Whether a call of this tool may cost anything.
    pub fn has_price(&self, tool: &ToolRef) -> bool {
        self.price(tool).is_some_and(|price| !price.is_free())
    }

    /// The most that a call of this tool may cost, as its caller says in `_meta`.
    ///
    /// # Errors
    /// As [`tollgate_gate::maximum`].
    pub fn most(
        &self,
        tool: &ToolRef,
        said: Option<&[u8]>,
        assets: &Assets,
    ) -> Result<Option<Money>, Denial> {
        let elsewhere = || self.elsewhere(tool).map(|listed| listed.price.clone());
        let price = self.price(tool).or_else(elsewhere);
        price.map_or(Ok(None), |price| tollgate_gate::maximum(said, &price, assets))
    }

    /// Whether a server's lists show each caller only what they may call.
    pub fn lists_callable_only(&self, server: &ServerName) -> bool {
        self.servers.get(server).is_some_and(|server| server.policy.list_callable_only)
    }

    /// Whether a list shows a tool to whoever asks for it.
    pub fn is_shown_to(&self, viewer: &Viewer, tool: &ToolRef) -> bool {
        self.servers.get(&tool.server).is_none_or(|server| {
            let requirement = server.policy.policy(&tool.tool).requirement;
            !server.policy.list_callable_only || viewer.may_call(&requirement)
        })
    }

    /// The names of all servers.
    pub fn servers(&self) -> impl Iterator<Item = &ServerName> {
        self.servers.keys()
    }

    /// Whether a server takes calls just now.
    ///
    /// # Errors
    /// The fault to answer with.
    pub fn takes_calls(&self, name: &ServerName) -> Result<(), Fault> {
        let resting = self.servers.get(name).and_then(|server| server.client.health().resting().err());
        resting.map_or(Ok(()), |Resting { retry_after_ms }| Err(Fault::UpstreamResting { retry_after_ms }))
    }

    /// The gateway's own client of a server.
    pub fn client(&self, name: &ServerName) -> Option<&Arc<McpClient>> {
        self.servers.get(name).map(|server| &server.client)
    }

    /// The tool that a name without its server means: `server/tool`, or a bare name that only one server lists.
    ///
    /// # Errors
    /// The servers among which the caller has to choose; empty when none lists it.
    pub fn resolve(&self, name: &str) -> Result<ToolRef, Vec<ServerName>> {
        if let Some((server, tool)) = name.split_once('/')
            && let (Ok(server), Ok(tool)) = (server.parse::<ServerName>(), tool.parse())
            && self.servers.contains_key(&server)
        {
            return Ok(ToolRef { server, tool });
        }
        let Ok(tool) = name.parse::<ToolName>() else { return Err(Vec::new()) };
        let lists = |server: &Arc<ServerTools>| {
            server.listed.load().as_deref().is_some_and(|l| l.contains_key(&tool))
        };
        let found: Vec<&ServerName> =
            self.servers.iter().filter(|(_, server)| lists(server)).map(|(name, _)| name).collect();
        match (found.as_slice(), self.servers.len()) {
            ([server], _) => Ok(ToolRef { server: (*server).clone(), tool }),
            // The only server may list it by the time it is asked.
            ([], 1) => self
                .servers
                .keys()
                .next()
                .map(|server| ToolRef { server: server.clone(), tool })
                .ok_or_else(Vec::new),
            (several, _) => Err(several.iter().map(|name| (*name).clone()).collect()),
        }
    }
}

impl ServerTools {
    /// Says which tools have a policy and are in no list, whenever others are missing than before: where a name is misspelt, the tool that
    /// was meant goes out under another policy, or for nothing.
    fn tell_missing(&self, name: &ServerName, definitions: &[ToolDefinition]) {
        let is_listed =
            |tool: &ToolName| definitions.iter().any(|definition| definition.name == tool.as_str());
        let missing: Vec<ToolName> =
            self.policy.tools.keys().filter(|tool| !is_listed(tool)).cloned().collect();
        let mut told = self.missing.lock();
        if *told == missing {
            return;
        }
        for tool in missing.iter().filter(|tool| !told.contains(tool)) {
            tracing::warn!(
                server = %name, %tool,
                "a tool has a price or a requirement, and its server does not list it to this gateway: is it called something else? \
                 `tollgate server probe` shows what the server lists"
            );
        }
        *told = missing;
    }
}

impl Catalog for Tools {
    fn tool(&self, tool: &ToolRef) -> Option<Arc<Listed>> {
        self.entry(tool).map(|entry| entry.listed).or_else(|| self.elsewhere(tool).cloned())
    }
}

/// A listed tool with its policy. A name that cannot be ours is left out: it cannot be called through the gateway.
fn list(
    server: &ServerName,
    policy: &Server,
    definition: &ToolDefinition,
    judgement: Judgement,
) -> Option<(ToolName, Entry)> {
    let name: ToolName = match definition.name.parse() {
        Ok(name) => name,
        Err(error) => {
            tracing::warn!(%server, %error, "a listed tool is left out");
            return None;
        }
    };
    let ToolPolicy { price, settle, overlaps, splits, requirement, deadline_ms, .. } = policy.policy(&name);
    let schema_digest = Digest::of(&definition.input_schema);
    let listed = Listed {
        tool: ToolRef { server: server.clone(), tool: name.clone() },
        description: definition.description.clone(),
        requirement,
        price_version: price_version(
            &price,
            judgement.definition.as_ref().filter(|_| policy.pins.drift != Drift::Off),
        ),
        price,
        settle,
        overlaps,
        splits,
        schema: Some(Arc::new(schema::Compiled::new(&definition.input_schema))),
        schema_digest,
        deadline_ms: if deadline_ms == 0 { DEADLINE_MS } else { deadline_ms },
        withheld: judgement.withheld,
    };
    // A tool with unusable annotations is one that modern clients drop; for legacy ones nothing is mirrored.
    let mirrored = mirrored_params(&definition.input_schema).unwrap_or_default().into();
    Some((
        name,
        Entry {
            listed: Arc::new(listed),
            mirrored,
            definition: judgement.definition,
            is_ambiguous: judgement.is_ambiguous,
        },
    ))
}

/// The version of an offer: the same price for the same definition has the same version on every gateway and after every
/// restart. The lower half is of the price; the upper half is of the definition, so that a quote for what a tool was before
/// is void.
fn price_version(price: &Pricing, definition: Option<&Definition>) -> u32 {
    let [c, d] = price.version().to_be_bytes();
    let [a, b] = match definition.map(Definition::hash) {
        None => [0, 0],
        Some(hash) => {
            let [a, b, ..] = *hash.as_bytes();
            [a, b]
        }
    };
    u32::from_be_bytes([a, b, c, d])
}
