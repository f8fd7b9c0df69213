//! What the mock upstream remembers.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::script::{Behaviour, Script, Tool};

/// Announcements that a slow listening stream may be behind; then it misses some.
const ANNOUNCEMENTS_MAX: usize = 16;

/// The protocol era of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// 2025-11-25 and earlier.
    Legacy,
    /// 2026-07-28.
    Modern,
}

/// One `tools/call` as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// `params.name`.
    pub tool: String,
    /// `params.arguments`, byte for byte; empty if there were none.
    pub arguments: String,
    /// The whole body, byte for byte.
    pub body: Bytes,
    /// All request headers.
    pub headers: HeaderMap,
    /// The era it was written in.
    pub era: Era,
}

impl Call {
    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A number that grows and can be waited for.
#[derive(Debug)]
pub(super) struct Counter {
    count: watch::Sender<u64>,
}

impl Counter {
    fn new() -> Self {
        Self { count: watch::Sender::new(0) }
    }

    pub(super) fn add(&self) {
        self.count.send_modify(|count| *count = count.saturating_add(1));
    }

    pub(super) fn now(&self) -> u64 {
        *self.count.borrow()
    }

    pub(super) async fn reach(&self, goal: u64) {
        // It cannot fail: the sender is `self`.
        let mut count = self.count.subscribe();
        let _reached = count.wait_for(|count| *count >= goal).await;
    }

    fn clear(&self) {
        self.count.send_replace(0);
    }
}

/// Everything that the connections of one mock upstream share.
pub(super) struct Shared {
    pub(super) script: Script,
    tools: Mutex<Vec<Tool>>,
    calls: Mutex<Vec<Call>>,
    messages: Mutex<Vec<String>>,
    pub(super) sessions: Mutex<HashSet<String>>,
    session_count: AtomicU64,
    pub(super) executions: Counter,
    pub(super) abandoned: Counter,
    pub(super) steps: Semaphore,
    pub(super) released: CancellationToken,
    pub(super) announcements: broadcast::Sender<()>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("script", &self.script).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(script: Script) -> Self {
        Self {
            tools: Mutex::new(script.tools.clone()),
            script,
            calls: Mutex::default(),
            messages: Mutex::default(),
            sessions: Mutex::default(),
            session_count: AtomicU64::new(0),
            executions: Counter::new(),
            abandoned: Counter::new(),
            steps: Semaphore::new(0),
            released: CancellationToken::new(),
            announcements: broadcast::Sender::new(ANNOUNCEMENTS_MAX),
        }
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    pub(super) fn messages(&self) -> Vec<String> {
        self.messages.lock().clone()
    }

    pub(super) fn record_message(&self, method: &str) {
        if self.script.recorded {
            self.messages.lock().push(method.to_owned());
        }
    }

    pub(super) fn record_call(&self, call: impl FnOnce() -> Call) {
        if self.script.recorded {
            self.calls.lock().push(call());
        }
    }

    pub(super) fn open_session(&self) -> String {
        let id = format!("session-{}", self.session_count.fetch_add(1, Ordering::Relaxed));
        self.sessions.lock().insert(id.clone());
        id
    }

    pub(super) fn behaviour(&self, tool: &str) -> Option<Behaviour> {
        self.tools.lock().iter().find(|known| known.name == tool).map(|known| known.behaviour.clone())
    }

    pub(super) fn definitions(&self) -> Vec<serde_json::Value> {
        self.tools.lock().iter().map(|tool| tool.definition.clone()).collect()
    }

    pub(super) fn replace_tools(&self, tools: Vec<Tool>) {
        *self.tools.lock() = tools;
        // Nobody may be listening.
        let _listeners = self.announcements.send(());
    }

    pub(super) fn clear(&self) {
        self.calls.lock().clear();
        self.messages.lock().clear();
        self.executions.clear();
        self.abandoned.clear();
    }
}
