//! The MCP doors as a transport: who may knock, which messages are messages, what passes unchanged and what never does.

mod batches;
mod frames;
mod handed;
mod headers;
mod legacy;
mod origin;
mod passing;
mod streams;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_testkit::http::{Answer, send};

use crate::world::{World, call_body, modern_headers};

/// POSTs these very bytes with the headers of a stateless call of `tool`.
async fn post_modern(url: &str, tool: &str, body: impl Into<Bytes>) -> Answer {
    let headers = modern_headers(tool);
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    send(Method::POST, url, &headers, body).await.unwrap()
}

/// A session of the era of sessions.
#[derive(Clone)]
struct Session {
    url: String,
    id: String,
    /// The API key that each request shows; empty for none.
    key: String,
    /// The version that each request names in its header, where it names one.
    version: Option<&'static str>,
}

impl Session {
    /// The handshake.
    async fn open(url: &str) -> Self {
        Self::of(url, "").await
    }

    /// The handshake of whoever holds this API key.
    async fn of(url: &str, key: &str) -> Self {
        Self::speaking(url, key, "2025-11-25", Some("2025-11-25")).await
    }

    /// The handshake of a client of this revision, whose requests name this version.
    async fn speaking(url: &str, key: &str, revision: &str, version: Option<&'static str>) -> Self {
        let params = json!({
            "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        });
        let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let mut headers =
            vec![("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        headers.extend((!key.is_empty()).then_some(("x-api-key", key)));
        let opened = send(Method::POST, url, &headers, body.to_string()).await.unwrap();
        assert_eq!(opened.status, 200, "{}", opened.text());
        let id = opened.header("mcp-session-id").unwrap().to_owned();
        let session = Self { url: url.to_owned(), id, key: key.to_owned(), version };
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(session.post(initialized.to_string()).await.status, 202);
        session
    }

    async fn post(&self, body: impl Into<Bytes>) -> Answer {
        self.post_with(body, &[]).await
    }

    async fn post_with(&self, body: impl Into<Bytes>, more: &[(&str, &str)]) -> Answer {
        let mut headers = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-session-id", self.id.as_str()),
        ];
        if more.iter().all(|(name, _)| *name != "mcp-protocol-version") {
            headers.extend(self.version.map(|version| ("mcp-protocol-version", version)));
        }
        headers.extend((!self.key.is_empty()).then_some(("x-api-key", self.key.as_str())));
        headers.extend(more);
        send(Method::POST, &self.url, &headers, body).await.unwrap()
    }

    async fn call(&self, tool: &str, arguments: &Value, meta: &Value) -> Answer {
        self.post(legacy_call(tool, arguments, meta).to_string()).await
    }
}

/// The body of a `tools/call` in a session.
fn legacy_call(tool: &str, arguments: &Value, meta: &Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments, "_meta": meta });
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params })
}

/// One exchange written by hand and read as it comes: what a client library would not send, or would not show.
pub(crate) struct Wire {
    socket: TcpStream,
    received: String,
}

impl Wire {
    /// Sends a head (its lines, without the empty one) and a body in one piece.
    pub(crate) async fn open(port: u16, head: &[String], body: &str) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let length = format!("content-length: {}", body.len());
        let text = format!("{}\r\n{length}\r\n\r\n{body}", head.join("\r\n"));
        socket.write_all(text.as_bytes()).await.unwrap();
        Self { socket, received: String::new() }
    }

    /// Opens a stateless call and leaves its answer to be read.
    pub(crate) async fn call(world: &World, tool: &str, meta: &Value) -> Self {
        let mut head = vec!["POST /mcp HTTP/1.1".to_owned(), "host: localhost".to_owned()];
        head.extend(modern_headers(tool).iter().map(|(name, value)| format!("{name}: {value}")));
        Self::open(world.gateway.port, &head, &call_body(tool, &json!({}), meta).to_string()).await
    }

    /// Reads until `end` has come; everything so far.
    pub(crate) async fn until(&mut self, end: &str) -> &str {
        while !self.received.contains(end) {
            assert!(self.more().await, "closed before {end:?}: {}", self.received);
        }
        &self.received
    }

    /// Whether anything more came.
    pub(crate) async fn more(&mut self) -> bool {
        let mut part = vec![0; 16 * 1024];
        let length = self.socket.read(&mut part).await.unwrap();
        self.received.push_str(std::str::from_utf8(&part[..length]).unwrap());
        length > 0
    }

    /// Everything up to the end of the connection, which the head must have asked for.
    pub(crate) async fn rest(mut self) -> String {
        while self.more().await {}
        self.received
    }

    /// The messages of the server-sent events so far.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let data = self.received.lines().filter_map(|line| line.strip_prefix("data: "));
        // The event that a stream opens with says nothing.
        let data = data.filter(|message| !message.is_empty());
        data.map(|message| serde_json::from_str(message).unwrap()).collect()
    }
}
