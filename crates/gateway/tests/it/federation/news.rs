//! That tools have changed is said where it is news: when what a door shows of them is something else than before.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tollgate_testkit::journal_server::{Behaviour, Script, Tool};

use super::{Session, Two};
use crate::transport::Wire;
use crate::world::soon;

const CHANGED: &str = "notifications/tools/list_changed";

/// Somebody who listens at a door.
struct Listener {
    door: &'static str,
    wire: Wire,
}

impl Listener {
    /// On the GET stream of a session.
    async fn in_session(two: &Two, door: &'static str) -> Self {
        let session = Session::open(&format!("{}{door}", two.gateway.url)).await;
        let id = format!("mcp-session-id: {}", session.id);
        let head = [&format!("GET {door} HTTP/1.1"), "mcp-protocol-version: 2025-11-25", &id];
        Self::open(two, door, &head, "").await
    }

    /// With a stateless subscription.
    async fn subscribed(two: &Two, door: &'static str) -> Self {
        let params = json!({ "notifications": { "toolsListChanged": true }, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        } });
        let asked =
            json!({ "jsonrpc": "2.0", "id": door, "method": "subscriptions/listen", "params": params });
        let line = format!("POST {door} HTTP/1.1");
        let head = [&line, "mcp-protocol-version: 2026-07-28", "mcp-method: subscriptions/listen"];
        let mut listener = Self::open(two, door, &head, &asked.to_string()).await;
        soon(listener.wire.until("notifications/subscriptions/acknowledged")).await;
        listener
    }

    async fn open(two: &Two, door: &'static str, head: &[&str], body: &str) -> Self {
        let common = [
            "host: localhost",
            "connection: close",
            "content-type: application/json",
            "accept: application/json, text/event-stream",
        ];
        let head: Vec<String> = head.iter().chain(&common).map(|line| (*line).to_owned()).collect();
        let mut wire = Wire::open(two.gateway.port, &head, body).await;
        soon(wire.until("text/event-stream")).await;
        Self { door, wire }
    }

    fn heard(&self) -> Vec<Value> {
        self.wire.messages().into_iter().filter(|message| message["method"] == CHANGED).collect()
    }

    async fn until_heard(&mut self, times: usize) {
        soon(async {
            while self.heard().len() < times {
                assert!(self.wire.more().await, "{}: closed after {:?}", self.door, self.wire.messages());
            }
        })
        .await;
    }
}

/// Waits until a server holds a stream for each of so many listeners, the gateway's own included.
async fn until_listened_to(two: &Two, streams: usize) {
    let listens = |message: &&String| ["GET", "subscriptions/listen"].contains(&message.as_str());
    soon(async {
        while two.a.messages().iter().filter(listens).count() < streams {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_approval_is_announced_at_every_door_that_shows_the_tool_and_what_waits_for_one_at_none() {
    let pinned = ", every_tool: {}";
    let more = "virtual:\n  sel: { tools: [a/echo, b/echo] }\n";
    let two = Two::new([Script::echo(), Script::echo()], [pinned, pinned], more).await;
    let mut all = vec![
        Listener::in_session(&two, "/servers/a/mcp").await,
        Listener::subscribed(&two, "/servers/a/mcp").await,
        Listener::in_session(&two, "/mcp").await,
        Listener::subscribed(&two, "/mcp").await,
    ];
    let mut selected = vec![
        Listener::in_session(&two, "/servers/sel/mcp").await,
        Listener::subscribed(&two, "/servers/sel/mcp").await,
    ];
    until_listened_to(&two, 1 + all.len() + selected.len()).await;
    let echo = || Tool::new("echo", Behaviour::Echo);
    let held = || Tool::new("held", Behaviour::Echo).with_member("description", json!("Adds.\u{202e}"));

    two.a.replace_tools(vec![echo(), held()]);
    let waits = || two.gateway.cli(&["pins", "list"]).status.code() == Some(1);
    soon(async {
        while !waits() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // By another process: all that this one sees of it is the version of the pins.
    assert!(two.gateway.cli(&["pins", "approve", "--all"]).status.success());
    for listener in &mut all {
        listener.until_heard(1).await;
    }
    two.a.replace_tools(vec![held()]);
    for listener in &mut all {
        listener.until_heard(2).await;
    }
    for listener in &mut selected {
        listener.until_heard(1).await;
    }

    kill(Pid::from_raw(two.gateway.pid().try_into().unwrap()), Signal::SIGTERM).unwrap();
    for (mut listener, times) in all.into_iter().map(|l| (l, 2)).chain(selected.into_iter().map(|l| (l, 1))) {
        soon(async { while listener.wire.more().await {} }).await;
        let heard = listener.heard();
        assert_eq!(heard.len(), times, "{}: {heard:?}", listener.door);
        for message in heard.iter().filter(|message| message["params"].is_object()) {
            let subscription = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
            assert_eq!(subscription, listener.door, "under the client's own id");
        }
    }
}
