//! Several servers as one at `/mcp`: names, sessions, lists, streams, and what each server sees of it.

mod batches;
mod callers;
mod calls;
mod clients;
mod eras;
mod frames;
mod keys;
mod limits;
mod lists;
mod news;
mod sessions;
mod streams;
mod virtual_servers;

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::{Journal, Script};

use crate::world::{Gateway, World};

/// A gateway in front of two journaling servers, `a` and `b`.
struct Two {
    a: Journal,
    b: Journal,
    gateway: Gateway,
    folder: TempDir,
}

impl Two {
    /// `policy` is what the configuration says of each server beside its URL; `more` follows all servers.
    async fn new(scripts: [Script; 2], policies: [&str; 2], more: &str) -> Self {
        let [a, b] = scripts;
        let (a, b) = (Journal::start(a).await.unwrap(), Journal::start(b).await.unwrap());
        let folder = tempfile::tempdir().unwrap();
        let [of_a, of_b] = policies;
        let yaml = format!(
            "servers:\n  a: {{ url: '{}'{of_a} }}\n  b: {{ url: '{}'{of_b} }}\n{more}",
            a.url(),
            b.url()
        );
        std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
        let gateway = Gateway::dev(folder.path()).await;
        Self { a, b, gateway, folder }
    }

    /// Two servers with an `echo` each and no policy.
    async fn echoes() -> Self {
        Self::new([Script::echo(), Script::echo()], ["", ""], "").await
    }

    fn mcp(&self) -> String {
        self.gateway.mcp()
    }

    /// The world of `b` alone, for what the payer does.
    fn into_world(self) -> (World, Journal) {
        (World { journal: self.b, gateway: self.gateway, folder: self.folder }, self.a)
    }
}

/// A stateless request.
async fn modern(url: &str, method: &str, params: &Value) -> Answer {
    modern_with(url, method, params, &[]).await
}

async fn modern_with(url: &str, method: &str, params: &Value, more: &[(&str, &str)]) -> Answer {
    let mut params = params.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ];
    let mirrored = ["name", "uri", "taskId"].iter().find_map(|name| params[name].as_str());
    if let Some(name) = mirrored.filter(|_| method != "completion/complete") {
        headers.push(("mcp-name", name));
    }
    headers.extend(more);
    send(Method::POST, url, &headers, body.to_string()).await.unwrap()
}

/// The answer in a response, whatever carries it.
pub(crate) fn message(answer: &Answer) -> Value {
    let text = answer.text();
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).rfind(|data| !data.is_empty());
    serde_json::from_str(last.unwrap_or(&text))
        .unwrap_or_else(|_| panic!("no message: {} {text}", answer.status))
}

fn result(answer: &Answer) -> Value {
    let body = message(answer);
    assert!(body["result"].is_object(), "{} {body}", answer.status);
    body["result"].clone()
}

fn names(list: &Value) -> Vec<String> {
    list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// A session of the era of sessions.
#[derive(Clone, Debug)]
struct Session {
    url: String,
    id: String,
    opened: Value,
    more: Vec<(String, String)>,
}

impl Session {
    async fn open(url: &str) -> Self {
        Self::open_with(url, &[]).await
    }

    async fn open_with(url: &str, more: &[(&str, &str)]) -> Self {
        let params = json!({ "protocolVersion": "2025-11-25",
            "capabilities": { "sampling": {}, "elicitation": {}, "roots": {} },
            "clientInfo": { "name": "test", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let mut headers =
            vec![("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        headers.extend(more);
        let opened = send(Method::POST, url, &headers, body.to_string()).await.unwrap();
        assert_eq!(opened.status, 200, "{}", opened.text());
        let id = opened.header("mcp-session-id").unwrap().to_owned();
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let session = Self { url: url.to_owned(), id, opened: result(&opened), more };
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(session.send(Method::POST, &initialized.to_string()).await.status, 202);
        session
    }

    async fn send(&self, method: Method, body: &str) -> Answer {
        let mut headers = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-session-id", self.id.as_str()),
            ("mcp-protocol-version", "2025-11-25"),
        ];
        headers.extend(self.more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        send(method, &self.url, &headers, Bytes::copy_from_slice(body.as_bytes())).await.unwrap()
    }

    async fn ask(&self, method: &str, params: &Value) -> Answer {
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        self.send(Method::POST, &body.to_string()).await
    }

    async fn call(&self, tool: &str, arguments: &Value) -> Answer {
        self.ask("tools/call", &json!({ "name": tool, "arguments": arguments })).await
    }
}

/// A configuration in a folder of its own.
fn configured(yaml: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), yaml);
    folder
}

fn write(folder: &Path, yaml: &str) {
    std::fs::write(folder.join("tollgate.yaml"), yaml).unwrap();
}
