//! The gateway under test: `tollgate dev` with several servers over one upstream, a key with credit, and its books.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tollgate_testkit::wrk::Request;
use tollgate_testkit::{cpu, http};

use crate::calls;
use crate::program::{ApiKey, Program, Running};

/// One atomic unit of the sandbox token, so that charges count calls.
const PRICE: &str = "0.000001USDC";
const CREDIT: &str = "100USDC";
/// What the call costs that proves, at the start, that calls are paid.
const PROVING: u64 = 1;
/// How long a held call stays so: longer than a slice takes, so that none ends within it.
const HELD_MS: u64 = 4_000;
/// How long all calls of a slice may take to end after that.
const END_MAX: Duration = Duration::from_secs(60);
/// The key of the gate API: a bench's gateway stands on loopback and dies with it.
const GATE_KEY: &str = "0123456789abcdef0123456789abcdef";

/// A running gateway. It dies with this value.
pub(crate) struct Gateway {
    running: Running,
    key: ApiKey,
}

/// What became of a key's credit, in atomic units: a call costs one. The proving call is left out.
pub(crate) struct Credit {
    pub(crate) spent: u64,
    pub(crate) held: u64,
}

/// Configuration, key and credit of a gateway that does not run yet.
pub(crate) struct Installed {
    program: Program,
    key: ApiKey,
}

impl Installed {
    pub(crate) fn new(binary: PathBuf, upstream: &str) -> Result<Self, Box<dyn Error>> {
        let program = Program::installed(binary, &configuration(upstream))?;
        let key = program.key("bench")?;
        program.run(&["credit", "add", &key.id, CREDIT, "--config", "tollgate.yaml"])?;
        Ok(Self { program, key })
    }

    /// Starts it, and does not wait.
    pub(crate) fn spawn(self) -> Result<Gateway, Box<dyn Error>> {
        Ok(Gateway { running: self.program.spawn()?, key: self.key })
    }
}

impl Gateway {
    pub(crate) async fn start(binary: PathBuf, upstream: &str) -> Result<Self, Box<dyn Error>> {
        let mut gateway = Installed::new(binary, upstream)?.spawn()?;
        gateway.running.until_ready().await?;
        gateway.prove_that_calls_are_paid().await?;
        gateway.prove_that_calls_are_checked().await?;
        gateway.prove_that_calls_are_held().await?;
        Ok(gateway)
    }

    /// It stands still: connections stay open, nothing runs.
    pub(crate) fn pause(&self) -> Result<(), Box<dyn Error>> {
        Ok(self.running.process.pause()?)
    }

    /// It goes on.
    pub(crate) fn resume(&self) -> Result<(), Box<dyn Error>> {
        Ok(self.running.process.resume()?)
    }

    /// The process group, for its account.
    pub(crate) fn group(&self) -> u32 {
        self.running.process.group()
    }

    /// The server without any policy.
    pub(crate) fn plain_url(&self) -> String {
        self.at("/servers/plain/mcp")
    }

    /// The server whose tool costs something.
    pub(crate) fn paid_url(&self) -> String {
        self.at("/servers/paid/mcp")
    }

    /// The same, where the tool runs while its claim is committed.
    pub(crate) fn paid_ahead_url(&self) -> String {
        self.at("/servers/ahead/mcp")
    }

    /// The server with a free tool that only keys may call.
    pub(crate) fn gated_url(&self) -> String {
        self.at("/servers/gated/mcp")
    }

    /// Two such servers as one.
    pub(crate) fn federated_url(&self) -> String {
        self.at("/servers/both/mcp")
    }

    pub(crate) fn at(&self, path: &str) -> String {
        self.running.at(path)
    }

    /// Where a program asks that runs the tool itself.
    pub(crate) fn holding_url(&self) -> String {
        self.at("/gate/v1/authorize")
    }

    /// The same call as such a program asks for it: its price is reserved durably, and nothing is run. The tool `look` may run ahead of
    /// that.
    pub(crate) fn held_call(&self, tool: &str) -> Request {
        let headers = [
            ("Content-Type", "application/json".to_owned()),
            ("Authorization", format!("Bearer {GATE_KEY}")),
        ];
        Request {
            headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            body: calls::held(tool, &self.key.secret),
        }
    }

    /// Waits until no call is held any more: nobody says how they ended, so they run out.
    pub(crate) async fn wait_for_held(&mut self) -> Result<(), Box<dyn Error>> {
        let metrics = self.at("/metrics");
        let ended = async || metric(&metrics, "tollgate_inflight ").await.is_ok_and(|held| held == 0);
        Ok(self.running.process.wait_until(END_MAX, ended).await?)
    }

    /// How many held calls have run out.
    pub(crate) async fn held_until_the_end(&self) -> Result<u64, Box<dyn Error>> {
        let mut ran_out = 0;
        for tool in ["echo", "look"] {
            let of_tool = format!(
                "tollgate_calls_total{{server=\"elsewhere\",tool=\"{tool}\",outcome=\"upstream_timed_out\"}} "
            );
            // A tool that was never called has no line.
            ran_out += metric(&self.at("/metrics"), &of_tool).await.unwrap_or(0);
        }
        Ok(ran_out)
    }

    /// A call with the API key of somebody who has credit.
    pub(crate) fn prepaid_call(&self) -> Request {
        self.with_key(calls::call(None))
    }

    /// A stateless call of one of two servers with that key.
    pub(crate) fn federated_call(&self) -> Request {
        self.with_key(calls::modern("gated__echo"))
    }

    fn with_key(&self, mut request: Request) -> Request {
        request.headers.push(("Authorization".to_owned(), format!("Bearer {}", self.key.secret)));
        request
    }

    pub(crate) fn cpu_time(&self) -> std::io::Result<Duration> {
        cpu::of_group(self.group())
    }

    /// Stops the gateway, has its books checked, and says what became of the key's credit.
    pub(crate) fn stop_and_audit(self) -> Result<Credit, Box<dyn Error>> {
        let report = self.running.stop().run(&["ledger", "check", "--json"])?;
        let report: Value = serde_json::from_str(&report)?;
        let account = format!("credit:{}", self.key.id);
        let rows =
            report.pointer("/accounts").and_then(Value::as_array).ok_or("the books have no accounts")?;
        let named = |row: &&Value| row.get("account").and_then(Value::as_str) == Some(&account);
        let row = rows.iter().find(named).ok_or("the key has no account")?;
        let debits = |field| -> Result<u64, Box<dyn Error>> {
            Ok(row.get(field).and_then(Value::as_str).ok_or("the account has no debits")?.parse()?)
        };
        let spent =
            debits("debits_posted")?.checked_sub(PROVING).ok_or("the proving call was not charged")?;
        Ok(Credit { spent, held: debits("debits_pending")? })
    }

    /// Without a key, the free tools are refused; with one, they answer.
    async fn prove_that_calls_are_checked(&self) -> Result<(), Box<dyn Error>> {
        let gated = (self.gated_url(), calls::call(None), self.prepaid_call());
        let federated = (self.federated_url(), calls::modern("gated__echo"), self.federated_call());
        for (url, without, with) in [gated, federated] {
            let refused = calls::send(&url, &without).await?;
            let answered = calls::send(&url, &with).await?;
            let (refused, answered) = (refused.text(), answered.text());
            if !refused.contains("trust_insufficient") || !answered.contains("0123456789abcdef") {
                return Err(format!("{url} without a key: {refused}, with one: {answered}").into());
            }
        }
        Ok(())
    }

    /// With credit a call is held; without, it is to be paid.
    async fn prove_that_calls_are_held(&self) -> Result<(), Box<dyn Error>> {
        let held = self.held_call("echo");
        let unpaid = Request { body: held.body.replace(&self.key.secret, ""), ..held.clone() };
        let url = self.holding_url();
        let (unpaid, held) =
            (calls::send(&url, &unpaid).await?.text(), calls::send(&url, &held).await?.text());
        if unpaid.contains("\"decision\":\"allow\"") || !held.contains("\"decision\":\"allow\"") {
            return Err(format!("{url} without credit: {unpaid}, with it: {held}").into());
        }
        Ok(())
    }

    /// The same request without credit is refused, with credit it is answered with a receipt.
    async fn prove_that_calls_are_paid(&self) -> Result<(), Box<dyn Error>> {
        let unpaid = calls::send(&self.paid_url(), &calls::call(None)).await?;
        let paid = calls::send(&self.paid_url(), &self.prepaid_call()).await?;
        let paid_text = paid.text();
        if unpaid.status != 402 || paid.status != 200 || !paid_text.contains("tollgate/receipt") {
            return Err(format!("unpaid: {}, paid: {} {paid_text}", unpaid.status, paid.status).into());
        }
        Ok(())
    }
}

fn configuration(upstream: &str) -> String {
    // A refused payment must be an HTTP status, which the load generator counts.
    format!(
        "servers:
  plain:
    url: {upstream}
  paid:
    url: {upstream}
    payment_as_http: true
    tools:
      echo: {{ price: [{PRICE}] }}
  ahead:
    url: {upstream}
    payment_as_http: true
    tools:
      echo: {{ price: [{PRICE}], overlap: true }}
  gated:
    url: {upstream}
    every_tool: {{ api_key: true }}
  beside:
    url: {upstream}
    every_tool: {{ api_key: true }}
  elsewhere:
    gate: true
    tools:
      echo: {{ price: [{PRICE}], deadline_ms: {HELD_MS} }}
      look: {{ price: [{PRICE}], deadline_ms: {HELD_MS}, overlap: true }}
gate_api: {{ key: {GATE_KEY}, leases_max: 1000000 }}
virtual:
  both:
    tools: ['gated/*', 'beside/*']
limits:
  connections_max: 12000
  calls_per_minute: 4000000000
  offers_per_minute: 1000000
  calls_at_once: 1000000
"
    )
}

/// What one line of the metrics says; `name` is all of it before the number.
async fn metric(url: &str, name: &str) -> Result<u64, Box<dyn Error>> {
    let metrics = http::get(url, &[]).await?.text();
    let said = metrics.lines().find_map(|line| line.strip_prefix(name));
    Ok(said.ok_or_else(|| format!("no metric {name}"))?.parse()?)
}
