//! The catalogue and the pins: a listed tool may be called, and shown, only with a definition that is approved.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tollgate_domain::{ServerName, ToolName, ToolRef, UnixMillis};
use tollgate_exec::client::Announcements;
use tollgate_gate::{Listed, Withheld};
use tollgate_mcp::json;
use tollgate_mcp::tools::{self, ToolDefinition, ToolsError};
use tollgate_registry::{Definition, Drift};

use super::{Entry, ListError, ServerTools, Tools, shown};
use crate::clock;
use crate::pins::Seen;
use crate::reserved::is_reserved;

/// How often a list is read even though nothing was announced.
const LOOK_MS: u64 = 60_000;
/// How long a list is left alone after it was read for an announcement.
const REST_MS: u64 = 200;

/// What was found about one listed tool.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    pub(super) definition: Option<Definition>,
    pub(super) withheld: Option<Withheld>,
    pub(super) is_ambiguous: bool,
}

impl Judgement {
    /// Nothing is compared on this server.
    pub(super) const UNPINNED: Self = Self { definition: None, withheld: None, is_ambiguous: false };
}

impl ServerTools {
    pub(super) fn is_pinned(&self) -> bool {
        self.policy.has_policy() && !self.policy.pins.is_off()
    }

    /// Puts another list in the place of the one before, and tells who listens.
    pub(super) fn list(&self, entries: HashMap<ToolName, Entry>) {
        let entries = Arc::new(entries);
        self.listed.store(Some(Arc::clone(&entries)));
        shown::tell(&self.shown, &entries);
    }

    fn entry(&self, tool: &ToolName) -> Option<Entry> {
        self.listed.load().as_deref()?.get(tool).cloned()
    }
}

impl Tools {
    /// What the pins say of a list that was just read, by name; `None` where nothing is compared. A tool without a
    /// judgement is left out: nobody could approve it.
    pub(super) async fn judged(
        &self,
        name: &ServerName,
        server: &ServerTools,
        definitions: &[ToolDefinition],
        now: UnixMillis,
    ) -> Option<HashMap<String, Judgement>> {
        if !server.is_pinned() {
            return None;
        }
        let seen = self.seen(name, definitions);
        let withheld = self.pins.observe(name, server.policy.pins, &seen, now).await;
        let judged = seen.into_iter().zip(withheld).map(|(seen, withheld)| {
            (
                seen.tool.to_string(),
                Judgement { definition: Some(seen.definition), withheld, is_ambiguous: seen.is_ambiguous },
            )
        });
        Some(judged.collect())
    }

    /// One sighting per name. Of several with one name, one that is not approved counts.
    fn seen(&self, server: &ServerName, definitions: &[ToolDefinition]) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::with_capacity(definitions.len());
        let mut places = HashMap::<ToolName, usize>::new();
        for listed in definitions {
            // A name that cannot be ours is left out by `list`, with a word in the log.
            let Ok(tool) = listed.name.parse::<ToolName>() else { continue };
            let definition = match Definition::read(&listed.raw, is_reserved) {
                Ok(definition) => definition,
                Err(error) => {
                    tracing::warn!(%server, %tool, %error, "a listed tool is left out");
                    continue;
                }
            };
            let approved = || self.pins.approved(&ToolRef { server: server.clone(), tool: tool.clone() });
            match places.get(&tool).and_then(|place| seen.get_mut(*place)) {
                Some(first) if first.definition == definition => {}
                Some(first) => {
                    first.is_ambiguous = true;
                    if approved() == Some(first.definition.hash()) {
                        first.definition = definition;
                    }
                }
                None => {
                    places.insert(tool.clone(), seen.len());
                    seen.push(Seen { tool, definition, is_ambiguous: false });
                }
            }
        }
        seen
    }

    /// Compares all lists with the pins again, after these were changed by somebody else.
    pub async fn judge_again(&self, now: UnixMillis) {
        for (name, server) in self.servers.iter().filter(|(_, server)| server.is_pinned()) {
            // Held meanwhile: a list that is being read would be judged by the older pins.
            let _asked = server.asked.lock().await;
            let Some(listed) = server.listed.load_full() else { continue };
            let mut entries: HashMap<ToolName, Entry> = listed.as_ref().clone();
            let seen: Vec<Seen> = entries
                .iter()
                .filter_map(|(tool, entry)| {
                    let definition = entry.definition.clone()?;
                    Some(Seen { tool: tool.clone(), definition, is_ambiguous: entry.is_ambiguous })
                })
                .collect();
            let judged = self.pins.observe(name, server.policy.pins, &seen, now).await;
            for (seen, withheld) in seen.iter().zip(judged) {
                if let Some(entry) = entries.get_mut(&seen.tool) {
                    entry.listed = Arc::new(Listed { withheld, ..entry.listed.as_ref().clone() });
                }
            }
            server.list(entries);
        }
    }

    /// Reads a server's list, unless that was begun after `since`.
    ///
    /// # Errors
    /// When the server gives no list.
    pub async fn read_again(&self, name: &ServerName, since: UnixMillis) -> Result<(), ListError> {
        let Some(server) = self.servers.get(name) else { return Ok(()) };
        let mut asked = server.asked.lock().await;
        if asked.is_some_and(|asked| asked > since) {
            return Ok(());
        }
        self.read(name, server, &mut asked, clock::now()).await
    }

    /// The servers whose definitions are compared with what was approved.
    pub fn pinned(&self) -> impl Iterator<Item = &ServerName> {
        self.servers.iter().filter(|(_, server)| server.is_pinned()).map(|(name, _)| name)
    }

    /// Reads a server's list whenever it says that this changed, and every [`LOOK_MS`] in any case, until `stop` is
    /// cancelled: a server need not say what it changes.
    pub async fn follow(&self, name: &ServerName, stop: &CancellationToken) {
        let Some(client) = self.client(name).cloned() else { return };
        let following = async {
            loop {
                let announcements = client.listen().await;
                // Whatever was announced while nobody listened is in the list.
                self.look(name).await;
                match announcements {
                    Ok(announcements) => self.follow_stream(name, announcements).await,
                    Err(error) => tracing::debug!(server = %name, %error, "no stream of announcements"),
                }
                sleep(Duration::from_millis(LOOK_MS)).await;
            }
        };
        stop.run_until_cancelled(following).await;
    }

    async fn follow_stream(&self, name: &ServerName, mut announcements: Announcements) {
        loop {
            let changed = timeout(Duration::from_millis(LOOK_MS), announcements.tools_changed()).await;
            if let Ok(Err(error)) = changed {
                tracing::debug!(server = %name, %error, "the stream of announcements is over");
                return;
            }
            self.look(name).await;
            // A server that announces without end is read no faster than this.
            sleep(Duration::from_millis(REST_MS)).await;
        }
    }

    async fn look(&self, name: &ServerName) {
        if let Err(error) = self.read_again(name, clock::now()).await {
            tracing::warn!(server = %name, %error, "could not read the server's tools again");
        }
    }

    /// A server's `tools/list` response with only the tools that a client may be shown. A definition that this gateway
    /// has not seen itself makes it read the list on its own session first.
    ///
    /// # Errors
    /// When the list cannot be read, and so cannot be compared. Without pins every list passes.
    pub async fn admitted(
        &self,
        name: &ServerName,
        response: &Bytes,
        now: UnixMillis,
    ) -> Result<Bytes, ToolsError> {
        let Some(server) = self.servers.get(name) else { return Ok(response.clone()) };
        if !server.is_pinned() {
            self.learn_unpinned(name, server, response, now).await;
            return Ok(response.clone());
        }
        let mut shown = Vec::new();
        tools::retain(response, |raw| {
            shown.push(Shown::read(raw));
            true
        })?;
        let is_news = shown.iter().flatten().any(|shown| {
            !shown.is_listed(server) && !self.pins.is_noticed(&shown.of(name), shown.definition.hash())
        });
        let mut heard = match is_news {
            true => self.read_again(name, now).await,
            false => Ok(()),
        };
        let unknown: Vec<&str> = shown
            .iter()
            .flatten()
            .filter(|shown| !shown.is_listed(server))
            .map(|shown| shown.tool.as_str())
            .collect();
        if heard.is_ok() && !unknown.is_empty() {
            heard = self.learn(name, server, response, |tool| unknown.contains(&tool)).await;
        }
        for shown in shown.iter().flatten().filter(|shown| !shown.is_listed(server)) {
            match &heard {
                // This gateway has just looked, and is shown something else, or nothing.
                Ok(()) => self.pins.notice(&shown.of(name), shown.definition.hash()),
                Err(error) => {
                    tracing::warn!(server = %name, %error, "could not read the server's tools again");
                }
            }
        }
        let mut shown = shown.into_iter();
        tools::retain(response, |_| {
            shown.next().flatten().is_some_and(|shown| self.may_be_shown(name, server, &shown))
        })
    }

    /// Where nothing is compared: what a client is shown may be called.
    async fn learn_unpinned(
        &self,
        name: &ServerName,
        server: &ServerTools,
        response: &Bytes,
        now: UnixMillis,
    ) {
        let learning = async {
            if server.listed.load().is_none() {
                self.refresh(name, now).await?;
            }
            let is_unknown = |tool: &str| tool.parse().is_ok_and(|tool| server.entry(&tool).is_none());
            self.learn(name, server, response, is_unknown).await
        };
        if let Err(error) = learning.await {
            tracing::warn!(server = %name, %error, "could not read the server's tools again");
        }
    }

    fn may_be_shown(&self, name: &ServerName, server: &ServerTools, shown: &Shown) -> bool {
        if server.entry(&shown.tool).is_none_or(|entry| entry.listed.withheld.is_some()) {
            return false;
        }
        let policy = server.policy.pins;
        shown.is_listed(server)
            || policy.drift != Drift::Block
                && !self.pins.is_suspicious(&shown.of(name), &shown.definition, policy)
    }
}

/// One tool in a list on its way to a client.
struct Shown {
    tool: ToolName,
    definition: Definition,
}

impl Shown {
    /// What could be called and approved; nothing else is shown.
    fn read(raw: &Bytes) -> Option<Self> {
        let name = json::lookup(raw, &["name"]).ok().flatten().and_then(json::string)?;
        Some(Self { tool: name.parse().ok()?, definition: Definition::read(raw, is_reserved).ok()? })
    }

    fn of(&self, server: &ServerName) -> ToolRef {
        ToolRef { server: server.clone(), tool: self.tool.clone() }
    }

    /// Whether the server lists it like this on the gateway's own session too.
    fn is_listed(&self, server: &ServerTools) -> bool {
        server.entry(&self.tool).is_some_and(|entry| entry.definition.as_ref() == Some(&self.definition))
    }
}
