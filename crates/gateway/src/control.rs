//! How a running gateway gets another configuration: the file was changed, or an operator changes a server or a price over
//! the admin API.
//!
//! One change at a time, and each is a whole configuration that was checked like the file at a start, or nothing. What the
//! admin API was told lies over the file, is kept in the data directory, and is written there in one transaction with its
//! record in the audit, before it counts.

mod difference;
mod mask;
mod refused;
mod watch;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;
use tollgate_domain::{AdminKeyId, Digest};
use tollgate_store::AuditRecord;

use crate::assemble::assemble;
use crate::clock;
use crate::config::{Overlay, Settings, SettingsSource};
use crate::foundation::Foundation;
use crate::live::Live;

pub use difference::Difference;
pub use mask::{MASK, is_masked, masked};
pub use refused::Refused;
pub use watch::watch;

/// The configuration of a running gateway.
#[derive(Debug)]
pub struct Control {
    live: Arc<Live>,
    foundation: Foundation,
    /// `None`: it was started without a configuration that could be read again.
    source: Option<SettingsSource>,
    turn: Mutex<Turn>,
    background: TaskTracker,
}

/// What counts now. Held while it is being changed.
#[derive(Debug)]
struct Turn {
    settings: Settings,
    overlay: Overlay,
    /// The version of the overlay in the data directory.
    stored: u64,
}

/// A change over the admin API.
#[derive(Clone, Debug)]
pub enum Change {
    /// Puts a server in place of whatever there is under its name.
    PutServer(String, Value),
    /// Takes a server away.
    RemoveServer(String),
    /// Sets the price of a tool: server, tool, price.
    PutPrice(String, String, Value),
    /// Takes the price of a tool back.
    RemovePrice(String, String),
}

/// Who changes something over the admin API, and what they believe to change.
#[derive(Clone, Debug)]
pub struct Author {
    /// Their key.
    pub admin: AdminKeyId,
    /// The version that they have seen; `None`: whatever there is.
    pub expected: Option<String>,
}

/// What counts after a change.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its version.
    pub version: String,
    /// What is different.
    pub difference: Difference,
}

/// What counts now, for operators.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its version.
    pub version: String,
    /// The settings as they were written, secrets masked.
    pub written: Value,
    /// What lies over the file.
    pub overlay: Overlay,
}

impl Control {
    /// The control of a gateway that serves with these settings. Without a source nothing can be read again.
    pub fn new(
        live: Arc<Live>,
        foundation: Foundation,
        started: Started,
        background: TaskTracker,
    ) -> Arc<Self> {
        let Started { source, settings, overlay, stored } = started;
        let turn = Mutex::new(Turn { settings, overlay, stored });
        Arc::new(Self { live, foundation, source, turn, background })
    }

    /// The gateway that serves now.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// What the gateway stands on.
    pub fn foundation(&self) -> &Foundation {
        &self.foundation
    }

    /// The file that is read, if there is one.
    pub fn file(&self) -> Option<&std::path::Path> {
        self.source.as_ref()?.file.as_deref()
    }

    /// What counts now.
    pub async fn standing(&self) -> Standing {
        let turn = self.turn.lock().await;
        let written = masked(&turn.settings.written);
        Standing { version: version(&written, turn.stored), written, overlay: turn.overlay.clone() }
    }

    /// Reads the settings again; `admin` is whoever asked for it.
    ///
    /// # Errors
    /// [`Refused`]: everything stays as it was.
    pub async fn reload(self: &Arc<Self>, admin: Option<AdminKeyId>) -> Result<Applied, Refused> {
        let control = Arc::clone(self);
        // In a task of its own: whoever asked may hang up between what is written and what counts.
        let task = self.background.spawn(async move { control.read_again(admin).await });
        task.await.unwrap_or(Err(Refused::Interrupted))
    }

    /// Makes a change over the admin API.
    ///
    /// # Errors
    /// [`Refused`]: everything stays as it was.
    pub async fn change(self: &Arc<Self>, author: Author, change: Change) -> Result<Applied, Refused> {
        let control = Arc::clone(self);
        let task = self.background.spawn(async move { control.changed(&author, &change).await });
        task.await.unwrap_or(Err(Refused::Interrupted))
    }

    async fn read_again(&self, admin: Option<AdminKeyId>) -> Result<Applied, Refused> {
        let mut turn = self.turn.lock().await;
        let settings = self.read(&turn.overlay)?;
        let difference = Difference::between(&turn.settings, &settings);
        if difference.is_empty() {
            let version = version(&masked(&settings.written), turn.stored);
            return Ok(Applied { version, difference });
        }
        let next = self.assembled(&settings).await?;
        let record = AuditRecord {
            at: clock::now(),
            admin,
            what: "reload".to_owned(),
            target: self.file().map_or_else(|| "environment".to_owned(), |file| file.display().to_string()),
            before: masked(&turn.settings.written).to_string(),
            after: masked(&settings.written).to_string(),
        };
        self.foundation.control.record(record).await?;
        turn.settings = settings;
        Ok(self.applied(&turn, next, difference))
    }

    async fn changed(&self, author: &Author, change: &Change) -> Result<Applied, Refused> {
        let mut turn = self.turn.lock().await;
        let known = masked(&turn.settings.written);
        let current = version(&known, turn.stored);
        if author.expected.as_ref().is_some_and(|expected| *expected != current) {
            return Err(Refused::OtherVersion { current });
        }
        let overlay = self.overlaid(&turn, change)?;
        let settings = self.read(&overlay)?;
        let difference = Difference::between(&turn.settings, &settings);
        let next = self.assembled(&settings).await?;
        let (what, place) = change.place();
        let at = |written: &Value| masked(written).pointer(&place).cloned().unwrap_or_default().to_string();
        let record = AuditRecord {
            at: clock::now(),
            admin: Some(author.admin),
            what: what.to_owned(),
            target: place.trim_start_matches('/').to_owned(),
            before: at(&turn.settings.written),
            after: at(&settings.written),
        };
        let text = serde_json::to_string(&overlay).map_err(|error| Refused::Unusable(error.into()))?;
        if !self.foundation.control.change(turn.stored, text, record).await? {
            // Another process has written to the data directory of this one.
            return Err(Refused::OtherVersion { current });
        }
        *turn = Turn { settings, overlay, stored: turn.stored.saturating_add(1) };
        Ok(self.applied(&turn, next, difference))
    }

    /// The changes over the file with this one.
    fn overlaid(&self, turn: &Turn, change: &Change) -> Result<Overlay, Refused> {
        let mut overlay = turn.overlay.clone();
        let known = |server: &str| {
            let found = turn.settings.written.get("servers").and_then(|servers| servers.get(server));
            found.ok_or_else(|| Refused::Unknown(format!("server {server}")))
        };
        match change {
            Change::PutServer(name, server) => {
                let is_program = server.get("command").is_some_and(|command| *command != json!([]));
                if is_program && !turn.settings.config.admin.commands {
                    return Err(Refused::Command);
                }
                if is_masked(server) {
                    return Err(Refused::Masked);
                }
                overlay.put_server(name, server.clone());
            }
            Change::RemoveServer(name) => {
                known(name)?;
                let source = self.source.as_ref().ok_or(Refused::Fixed)?;
                let file = source.read(&Overlay::default())?.written;
                let in_file = file.get("servers").and_then(|servers| servers.get(name)).is_some();
                overlay.remove_server(name, in_file);
            }
            Change::PutPrice(server, tool, price) => {
                known(server)?;
                overlay.put_price(server, tool, price.clone());
            }
            Change::RemovePrice(server, tool) => {
                if !overlay.remove_price(server, tool) {
                    return Err(Refused::Unknown(format!("price that was set for {server}/{tool}")));
                }
            }
        }
        Ok(overlay)
    }

    fn read(&self, overlay: &Overlay) -> Result<Settings, Refused> {
        let source = self.source.as_ref().ok_or(Refused::Fixed)?;
        let settings = source.read(overlay)?;
        let now = self.live.snapshot();
        let fixed = difference::needing_restart(&now.config, &settings.config);
        if fixed.is_empty() { Ok(settings) } else { Err(Refused::NeedsRestart(fixed)) }
    }

    async fn assembled(&self, settings: &Settings) -> Result<crate::gateway::Gateway, Refused> {
        let before = self.live.snapshot();
        assemble(settings.config.clone(), &self.foundation, Some(&before)).await.map_err(Refused::Unusable)
    }

    /// Lets the next gateway serve. Nothing waits between what was written down and this.
    fn applied(&self, turn: &Turn, next: crate::gateway::Gateway, difference: Difference) -> Applied {
        self.live.replace(next);
        let version = version(&masked(&turn.settings.written), turn.stored);
        let Difference { added, removed, changed, settings } = &difference;
        tracing::info!(version, ?added, ?removed, ?changed, ?settings, "another configuration counts");
        Applied { version, difference }
    }
}

/// What a gateway was started with.
#[derive(Clone, Debug)]
pub struct Started {
    /// Where it can be read again.
    pub source: Option<SettingsSource>,
    /// The settings.
    pub settings: Settings,
    /// What lies over the file.
    pub overlay: Overlay,
    /// The version of what lies over it.
    pub stored: u64,
}

impl Change {
    /// The word for it, and the place that it changes.
    fn place(&self) -> (&'static str, String) {
        let price = |server: &str, tool: &str| format!("/servers/{server}/tools/{tool}/price");
        match self {
            Self::PutServer(name, _) => ("put_server", format!("/servers/{name}")),
            Self::RemoveServer(name) => ("remove_server", format!("/servers/{name}")),
            Self::PutPrice(server, tool, _) => ("put_price", price(server, tool)),
            Self::RemovePrice(server, tool) => ("remove_price", price(server, tool)),
        }
    }
}

/// The same settings have the same version, also after a restart.
fn version(masked: &Value, stored: u64) -> String {
    let digest = Digest::of(format!("{stored}:{masked}").as_bytes());
    hex::encode(digest.as_bytes().get(..8).unwrap_or_default())
}
