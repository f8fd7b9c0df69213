//! The load generator `wrk`: prepared requests in, requests per second and latencies out.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;

use crate::nginx::installed;
use crate::peers::PeerError;

/// Sends prepared requests as they are and prints its account as one line of JSON.
const SCRIPT: &str = include_str!("wrk/load.lua");

/// Digits of a request's length in the file that the script reads.
const LENGTH_DIGITS: usize = 10;

/// How long `wrk` may take beyond the time of the load.
const SPARE_SECONDS: u64 = 60;

/// What happens after the last prepared request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// It begins again: for requests that may be repeated.
    #[default]
    Around,
    /// The connections fall silent until the time is over: for paid requests, of which none may be sent twice. Prepare
    /// more than the time can take.
    Once,
}

/// A POST request before it is prepared.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Headers besides `Host` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// A load on one URL, by one thread.
#[derive(Clone, Debug)]
pub struct Load {
    authority: String,
    path: String,
    connections: u32,
    seconds: u32,
    order: Order,
    prepared: String,
}

/// What `wrk` measured. Latencies are microseconds.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// Whole answers.
    pub requests: u64,
    /// How long the load ran.
    pub duration_us: u64,
    /// The median latency.
    pub p50_us: f64,
    /// 90 % were faster.
    pub p90_us: f64,
    /// 99 % were faster.
    pub p99_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// Answers with a status of 400 or more.
    pub failed: u64,
    /// Connections that were refused, broke or timed out.
    pub broken: u64,
    /// Whether the requests of [`Order::Once`] ran out before the time: then the rate says nothing.
    pub exhausted: bool,
}

impl Report {
    /// Whole answers per second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a bench's counts are far below 2^52")]
    #[expect(clippy::as_conversions, reason = "there is no other way to a float")]
    pub fn requests_per_second(&self) -> f64 {
        self.requests as f64 * 1_000_000.0 / self.duration_us.max(1) as f64
    }

    /// Whether every request got an answer below 400.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed == 0 && self.broken == 0 && self.requests > 0
    }
}

impl Load {
    /// POSTs `requests` in turn to `url` (`http://host:port/path`) over `connections` kept connections.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when the URL has another form.
    pub fn new(url: &str, requests: &[Request]) -> Result<Self, PeerError> {
        let rest = url.strip_prefix("http://").ok_or_else(|| PeerError::refused("read a url", url))?;
        let (authority, path) = rest.split_once('/').ok_or_else(|| PeerError::refused("read a url", url))?;
        let path = format!("/{path}");
        let mut prepared = String::new();
        for request in requests {
            let text = prepare(authority, &path, request);
            prepared.push_str(&format!("{:0LENGTH_DIGITS$}{text}", text.len()));
        }
        let authority = authority.to_owned();
        Ok(Self { authority, path, connections: 1, seconds: 1, order: Order::default(), prepared })
    }

    /// How many connections are kept busy (1 unless said).
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// How long (1 s unless said).
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds.max(1);
        self
    }

    /// What happens after the last request.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Runs the load.
    ///
    /// # Errors
    /// [`PeerError::Skip`] when `wrk` is not installed, [`PeerError::Refused`] when it cannot connect at all.
    pub async fn run(&self) -> Result<Report, PeerError> {
        let program = installed("wrk", &["wrk"], "-v")?;
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("load.lua");
        let requests = folder.path().join("requests");
        std::fs::write(&script, SCRIPT)?;
        std::fs::write(&requests, &self.prepared)?;
        let output = self.command(program, &script, &requests).output();
        let limit = Duration::from_secs(SPARE_SECONDS.saturating_add(self.seconds.into()));
        let output = tokio::time::timeout(limit, output)
            .await
            .map_err(|_elapsed| PeerError::refused("end wrk", "nothing in time"))??;
        let printed = String::from_utf8_lossy(&output.stdout);
        let report = printed.lines().find_map(|line| line.strip_prefix("REPORT "));
        let refused =
            || PeerError::refused("run wrk", format!("{printed}{}", String::from_utf8_lossy(&output.stderr)));
        serde_json::from_str(report.ok_or_else(refused)?)
            .map_err(|error| PeerError::refused("read what wrk printed", error))
    }

    fn command(&self, program: &str, script: &Path, requests: &Path) -> tokio::process::Command {
        let order = match self.order {
            Order::Around => "around",
            Order::Once => "once",
        };
        let mut command = tokio::process::Command::new(program);
        command
            .args(["--threads", "1", "--latency", "--timeout", "30s"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", self.seconds)])
            .arg("--script")
            .arg(script)
            .arg(format!("http://{}{}", self.authority, self.path))
            .arg("--")
            .arg(requests)
            .arg(order)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

fn prepare(authority: &str, path: &str, request: &Request) -> String {
    let mut text =
        format!("POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {}\r\n", request.body.len());
    for (name, value) in &request.headers {
        // Writing to a string cannot fail.
        let _written = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text.push_str(&request.body);
    text
}

#[cfg(test)]
mod tests;
