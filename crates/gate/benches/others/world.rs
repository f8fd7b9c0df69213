//! A gateway with a limit for each caller, three of them, and a mock upstream on a thread of its own.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tollgate_testkit::http;
use tollgate_testkit::journal_server::{Behaviour, Endless, Journal, Script};
use tollgate_testkit::peers::port;
use tollgate_testkit::process::Guarded;
use tollgate_testkit::wrk::Request;

const START_MAX: Duration = Duration::from_secs(30);
/// What each caller may, a second: more than the one who behaves well asks, and a fifth of what the greedy one does.
pub(crate) const CALLS_PER_SECOND: u32 = 1_000;

pub(crate) struct World {
    process: Guarded,
    url: String,
    pub(crate) keys: Keys,
    _upstream: Journal,
    _folder: TempDir,
}

/// The secrets of callers.
pub(crate) struct Keys {
    pub(crate) good: String,
    pub(crate) greedy: String,
    pub(crate) slow: String,
}

impl World {
    pub(crate) async fn start(tollgate: &Path) -> Result<Self, Box<dyn Error>> {
        let script = Script::bench().tool("endless", Behaviour::Endless(Endless::Events));
        let upstream = Journal::start_on_own_thread(script)?;
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        std::fs::write(folder.path().join("tollgate.yaml"), configuration(&upstream.url()))?;
        let key = |name: &str| -> Result<String, Box<dyn Error>> {
            let mut command = command(tollgate, folder.path());
            let output =
                command.args(["keys", "create", "--name", name, "--json", "--data", "data"]).output()?;
            let key: serde_json::Value = serde_json::from_slice(&output.stdout)?;
            Ok(key.get("secret").and_then(serde_json::Value::as_str).ok_or("a key has a secret")?.to_owned())
        };
        let keys = Keys { good: key("good")?, greedy: key("greedy")?, slow: key("slow")? };
        let address = format!("127.0.0.1:{}", port::free()?);
        let mut command = command(tollgate, folder.path());
        command.args(["dev", "--config", "tollgate.yaml", "--listen", &address, "--data", "data"]);
        let mut process = Guarded::spawn(&command, &folder.path().join("gateway.log"))?;
        let url = format!("http://{address}");
        let ready = format!("{url}/readyz");
        process
            .wait_until(START_MAX, async || {
                http::get(&ready, &[]).await.is_ok_and(|answer| answer.status == 200)
            })
            .await?;
        Ok(Self { process, url, keys, _upstream: upstream, _folder: folder })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/servers/up/mcp", self.url)
    }

    /// A call of a tool by the holder of a key.
    pub(crate) fn call(&self, tool: &str, key: &str) -> Request {
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2025-11-25"),
            ("X-Api-Key", key),
        ];
        Request {
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"text":"hello"}}}}}}"#
            ),
        }
    }

    pub(crate) fn stop(mut self) -> Result<(), Box<dyn Error>> {
        self.process.kill();
        Ok(())
    }
}

fn configuration(upstream: &str) -> String {
    format!(
        "servers:
  up:
    url: {upstream}
    every_tool: {{ api_key: true }}
limits:
  connections_max: 4096
  calls_per_minute: 4000000000
  calls_at_once: 1000000
  head_ms_max: 60000
  body_ms_max: 60000
  rates: [{{ rate: {CALLS_PER_SECOND}/second, burst: {CALLS_PER_SECOND}, per: caller }}]
"
    )
}

fn command(binary: &Path, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("TOKIO_WORKER_THREADS", "1")
        .env("TOLLGATE_LOG", "warn")
        .current_dir(folder);
    command
}
