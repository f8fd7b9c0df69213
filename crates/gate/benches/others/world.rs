//! A gateway with a limit for each caller, three of them, and a mock upstream on a thread of its own.

use std::error::Error;
use std::path::PathBuf;

use tollgate_testkit::journal_server::{Behaviour, Endless, Journal, Script};
use tollgate_testkit::wrk::Request;

use crate::program::{Program, Running};

/// What each caller may, a second: more than the one who behaves well asks, and a fifth of what the greedy one does.
pub(crate) const CALLS_PER_SECOND: u32 = 1_000;

pub(crate) struct World {
    running: Running,
    pub(crate) keys: Keys,
    _upstream: Journal,
}

/// The secrets of callers.
pub(crate) struct Keys {
    pub(crate) good: String,
    pub(crate) greedy: String,
    pub(crate) slow: String,
}

impl World {
    pub(crate) async fn start(tollgate: PathBuf) -> Result<Self, Box<dyn Error>> {
        let script = Script::bench().tool("endless", Behaviour::Endless(Endless::Events));
        let upstream = Journal::start_on_own_thread(script)?;
        let program = Program::installed(tollgate, &configuration(&upstream.url()))?;
        let key = |name: &str| Ok::<_, Box<dyn Error>>(program.key(name)?.secret);
        let keys = Keys { good: key("good")?, greedy: key("greedy")?, slow: key("slow")? };
        let mut running = program.spawn()?;
        running.until_ready().await?;
        Ok(Self { running, keys, _upstream: upstream })
    }

    pub(crate) fn url(&self) -> String {
        self.running.at("/servers/up/mcp")
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
