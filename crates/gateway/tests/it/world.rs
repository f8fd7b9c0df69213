//! A world for one test: a mock upstream that keeps a journal, and the gateway in front of it, in dev mode.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_domain::UnixMillis;
use tollgate_rails::evm::SigningKey;
use tollgate_testkit::books::Books;
use tollgate_testkit::http::{Answer, get, send};
use tollgate_testkit::journal_server::{Journal, Script};
use tollgate_testkit::peers::port;
use tollgate_testkit::process::Guarded;

/// The binary under test.
pub(crate) const TOLLGATE: &str = env!("CARGO_BIN_EXE_tollgate");
const START_MAX: Duration = Duration::from_secs(30);

/// A gateway process.
#[derive(Debug)]
pub(crate) struct Gateway {
    process: Guarded,
    pub(crate) url: String,
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
    arguments: Vec<String>,
}

impl Gateway {
    /// Starts `tollgate dev` in `folder`, with `tollgate.yaml` there if it exists.
    pub(crate) async fn dev(folder: &Path) -> Self {
        Self::dev_with(folder, &[]).await
    }

    pub(crate) async fn dev_with(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut arguments = vec!["dev".to_owned(), "--data".to_owned(), "data".to_owned()];
        if folder.join("tollgate.yaml").exists() {
            arguments.extend(["--config".to_owned(), "tollgate.yaml".to_owned()]);
        }
        Self::start(folder, arguments, environment).await
    }

    /// Starts `tollgate dev --demo` in `folder`.
    pub(crate) async fn demo(folder: &Path) -> Self {
        Self::start(folder, ["dev", "--demo", "--data", "data"].map(str::to_owned).to_vec(), &[]).await
    }

    /// Starts `tollgate serve` in `folder` with the `tollgate.yaml` there.
    pub(crate) async fn serve(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let arguments = ["serve", "--config", "tollgate.yaml", "--data", "data"].map(str::to_owned).to_vec();
        Self::start(folder, arguments, environment).await
    }

    /// Starts `tollgate wrap` with these arguments.
    pub(crate) async fn wrap(folder: &Path, arguments: &[&str]) -> Self {
        let all = ["wrap", "--data", "data"].iter().chain(arguments);
        Self::start(folder, all.map(|argument| (*argument).to_owned()).collect(), &[]).await
    }

    async fn start(folder: &Path, arguments: Vec<String>, environment: &[(&str, &str)]) -> Self {
        let port = port::free().unwrap();
        Self::start_at(folder, arguments, environment, port).await
    }

    async fn start_at(
        folder: &Path,
        arguments: Vec<String>,
        environment: &[(&str, &str)],
        port: u16,
    ) -> Self {
        let url = format!("http://127.0.0.1:{port}");
        let mut command = command(folder);
        // Behind the name of the command: what follows `--` belongs to another program.
        let (name, rest) = arguments.split_first().unwrap();
        command.arg(name).args(["--listen", &format!("127.0.0.1:{port}")]).args(rest);
        for (name, value) in environment {
            command.env(name, value);
        }
        let mut process = Guarded::spawn(&command, &folder.join(format!("gateway-{port}.log"))).unwrap();
        let ready = format!("{url}/readyz");
        let listening = async || get(&ready, &[]).await.is_ok_and(|answer| answer.status == 200);
        process.wait_until(START_MAX, listening).await.unwrap();
        Self { process, url, port, folder: folder.to_owned(), arguments }
    }

    /// `kill -9`, then the same again on the same port and data.
    pub(crate) async fn killed_and_restarted(mut self) -> Self {
        self.process.kill();
        self.started_again().await
    }

    /// Another one in the place of this one, which is dead.
    pub(crate) async fn started_again(&self) -> Self {
        self.started_with(&[]).await
    }

    /// The same in this environment.
    pub(crate) async fn started_with(&self, environment: &[(&str, &str)]) -> Self {
        Self::start_at(&self.folder, self.arguments.clone(), environment, self.port).await
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn log(&self) -> String {
        self.process.log_tail()
    }

    /// Everything that the gateway has said so far.
    pub(crate) fn whole_log(&self) -> String {
        std::fs::read_to_string(self.folder.join(format!("gateway-{}.log", self.port))).unwrap()
    }

    /// Its process group.
    pub(crate) fn group(&self) -> u32 {
        self.process.group()
    }

    /// The process id of the gateway itself, which runs in the group of its watching shell.
    pub(crate) fn pid(&self) -> u32 {
        let group = self.process.group().to_string();
        let processes = std::fs::read_dir("/proc").unwrap();
        let found =
            processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                // "pid (name) state parent group …": the name alone may hold spaces.
                let (name, rest) = stat.rsplit_once(") ").unwrap_or_default();
                name.ends_with("(tollgate") && rest.split(' ').nth(2) == Some(&group)
            });
        found.expect("the gateway runs")
    }

    pub(crate) fn mcp(&self) -> String {
        format!("{}/mcp", self.url)
    }

    /// Runs a command of the binary on this gateway's data directory.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        command(&self.folder).args(arguments).args(["--data", "data"]).output().unwrap()
    }

    /// Asserts that the books of this gateway are in order: by its own check, and added up from outside.
    pub(crate) fn assert_books_in_order(&self) {
        let rows = |arguments: &[&str]| -> Vec<Value> {
            let done = self.cli(arguments);
            let (said, errors) =
                (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
            assert!(done.status.success(), "{arguments:?}: {said}{errors}");
            said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let export = |what| rows(&["ledger", "export", what, "--format", "jsonl"]);
        let look = || {
            let checked = rows(&["ledger", "check", "--json"]);
            let accounts = checked[0]["accounts"].as_array().unwrap().clone();
            let (transfers, settlements) = (export("transfers"), export("settlements"));
            Books { transfers, settlements, accounts }.findings()
        };
        let mut findings = look();
        // Each part is of a moment of its own: what moved in between is in order a moment later.
        for _again in 0..20 {
            if findings.is_empty() {
                return;
            }
            findings = look();
        }
        panic!("the books, added up from outside: {findings:#?}");
    }

    /// What an account has: (debits, credits) posted, and (debits, credits) pending.
    pub(crate) fn account(&self, name: &str) -> [u128; 4] {
        let checked = self.cli(&["ledger", "check", "--json"]);
        let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
        let rows = report["accounts"].as_array().unwrap();
        let Some(row) = rows.iter().find(|row| row["account"] == name) else { return [0; 4] };
        ["debits_posted", "credits_posted", "debits_pending", "credits_pending"]
            .map(|field| row[field].as_str().unwrap().parse().unwrap())
    }

    /// The sandbox balance of an address, in atomic units.
    pub(crate) async fn sandbox_balance(&self, address: &str) -> u128 {
        let answer = get(&format!("{}/dev/sandbox/balances/{address}", self.url), &[]).await.unwrap();
        answer.json().unwrap()["amount"].as_str().unwrap().parse().unwrap()
    }
}

/// The binary in `folder`, with an environment of nothing but what it needs to find programs.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(TOLLGATE);
    // Nothing of the developer's own set-up may leak into a test.
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .current_dir(folder);
    command
}

/// Upstream, gateway and a funded payer.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) journal: Journal,
    pub(crate) gateway: Gateway,
    pub(crate) folder: TempDir,
}

/// The policy of a tool in `tollgate.yaml`.
pub(crate) const PRICED: &str = "{ price: [0.01USDC, 10sat] }";
/// 0.01 USDC in atomic units.
pub(crate) const PRICE: u128 = 10_000;
/// What the payer of a new data directory has: 100 USDC.
pub(crate) const START: u128 = 100_000_000;

impl World {
    /// A world whose upstream offers `script`, with these tool policies; the server is called `up`.
    pub(crate) async fn new(script: Script, policies: &[(&str, &str)]) -> Self {
        Self::with(script, policies, "", &[]).await
    }

    pub(crate) async fn with(
        script: Script,
        policies: &[(&str, &str)],
        more: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), script, policies, more, environment).await
    }

    /// The same in a folder that may hold data already.
    pub(crate) async fn in_folder(
        folder: TempDir,
        script: Script,
        policies: &[(&str, &str)],
        more: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let journal = Journal::start(script).await.unwrap();
        let mut yaml = format!("servers:\n  up:\n    url: {}\n    tools:\n", journal.url());
        for (tool, policy) in policies {
            writeln!(yaml, "      {tool}: {policy}").unwrap();
        }
        std::fs::write(folder.path().join("tollgate.yaml"), yaml + more).unwrap();
        let gateway = Gateway::dev_with(folder.path(), environment).await;
        Self { journal, gateway, folder }
    }

    /// An echo tool that costs 0.01 USDC or 10 sat.
    pub(crate) async fn paid_echo() -> Self {
        Self::new(Script::echo(), &[("echo", PRICED)]).await
    }

    pub(crate) fn payer(&self) -> SigningKey {
        let text = std::fs::read_to_string(self.folder.path().join("data/payer.key")).unwrap();
        let bytes: [u8; 32] = hex::decode(text.trim()).unwrap().try_into().unwrap();
        SigningKey::from_bytes(&bytes).unwrap()
    }

    pub(crate) fn payer_address(&self) -> String {
        self.payer().address().to_string()
    }

    /// What stands on the account of the payer's sandbox money, as [`Gateway::account`] tells it.
    pub(crate) fn payer_account(&self) -> [u128; 4] {
        self.gateway.account(&format!("credit:eip155:{}", self.payer_address().to_lowercase()))
    }

    pub(crate) async fn payer_balance(&self) -> u128 {
        self.gateway.sandbox_balance(&self.payer_address()).await
    }

    /// The stateless (2026-07-28) `tools/call` of a tool.
    pub(crate) async fn call(&self, tool: &str, arguments: &Value) -> Answer {
        self.call_with(tool, arguments, &json!({})).await
    }

    /// The same with more members in `params._meta`.
    pub(crate) async fn call_with(&self, tool: &str, arguments: &Value, meta: &Value) -> Answer {
        call(&self.gateway.mcp(), tool, arguments, meta, &[]).await
    }

    /// The demand to pay for a call.
    pub(crate) async fn demand(&self, tool: &str, arguments: &Value) -> Demand {
        Demand::read(&self.call(tool, arguments).await)
    }

    /// A signed x402 payment for a call, as a `PaymentPayload`.
    pub(crate) async fn x402_payment(&self, tool: &str, arguments: &Value) -> Value {
        self.demand(tool, arguments).await.sign(&self.payer())
    }

    /// Calls and pays by x402; asserts nothing.
    pub(crate) async fn paid_call(&self, tool: &str, arguments: &Value) -> Answer {
        let payment = self.x402_payment(tool, arguments).await;
        self.call_with(tool, arguments, &json!({ "x402/payment": payment })).await
    }

    /// A paid L402 credential `macaroon:preimage` for a call.
    pub(crate) async fn l402_credential(&self, tool: &str, arguments: &Value) -> String {
        self.l402_credential_of(&self.demand(tool, arguments).await).await
    }

    /// The same where the demand is there already.
    pub(crate) async fn l402_credential_of(&self, demand: &Demand) -> String {
        let challenge = &demand.l402;
        let preimage = self.pay_invoice(challenge["invoice"].as_str().unwrap()).await;
        format!("{}:{preimage}", challenge["macaroon"].as_str().unwrap())
    }

    /// Pays an invoice from the dev wallet; returns the preimage.
    pub(crate) async fn pay_invoice(&self, bolt11: &str) -> String {
        let url = format!("{}/dev/lightning/pay", self.gateway.url);
        let answer = post(&url, &json!({ "bolt11": bolt11 }), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().unwrap()["preimage"].as_str().unwrap().to_owned()
    }

    /// Asserts that nothing happened: no call upstream, nothing on the books, the payer's balance whole.
    pub(crate) async fn assert_untouched(&self, why: &str) {
        assert_eq!(self.journal.executions(), 0, "{why}: the upstream was called");
        assert_eq!(self.gateway.account("payable:up"), [0; 4], "{why}: something was booked");
        assert_eq!(self.payer_balance().await, 100_000_000, "{why}: the payer was charged");
    }
}

/// A demand to pay, from an MCP tool result.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    /// x402 `PaymentRequired`.
    pub(crate) required: Value,
    /// The L402 challenge object.
    pub l402: Value,
    /// The whole result.
    pub(crate) result: Value,
}

impl Demand {
    pub(crate) fn read(answer: &Answer) -> Self {
        let body = answer.json().unwrap();
        let result = body["result"].clone();
        assert_eq!(result["isError"], true, "no demand: {body}");
        // A tool with an output schema is demanded for without structured content, which would not fit.
        let places = [&result["structuredContent"], &result["_meta"]["x402/error"]];
        let required = places.into_iter().find(|place| !place.is_null()).cloned().unwrap_or_default();
        assert_eq!(required["x402Version"], 2, "no x402 demand: {body}");
        Self { required, l402: result["_meta"]["l402/challenge"].clone(), result }
    }

    /// The offer of x402.
    pub(crate) fn entry(&self) -> &Value {
        &self.required["accepts"][0]
    }

    pub(crate) fn sign(&self, wallet: &SigningKey) -> Value {
        self.sign_entry(wallet, self.entry())
    }

    /// Signs an entry, which a test may have tampered with.
    pub(crate) fn sign_entry(&self, wallet: &SigningKey, entry: &Value) -> Value {
        let signed = tollgate_rails::x402::sign_payment(
            &entry.to_string(),
            Some(&self.required["resource"].to_string()),
            wallet,
            rand_32(),
            now(),
        );
        serde_json::from_str(&signed.unwrap()).unwrap()
    }
}

/// A stateless `tools/call` at an MCP endpoint.
pub(crate) async fn call(
    url: &str,
    tool: &str,
    arguments: &Value,
    meta: &Value,
    headers: &[(&str, &str)],
) -> Answer {
    let body = call_body(tool, arguments, meta);
    let mut all = modern_headers(tool);
    all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    send(Method::POST, url, &all, Bytes::from(body.to_string())).await.unwrap()
}

/// The headers of a stateless `tools/call`.
pub(crate) fn modern_headers(tool: &str) -> Vec<(String, String)> {
    [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The body of a stateless `tools/call`.
pub(crate) fn call_body(tool: &str, arguments: &Value, meta: &Value) -> Value {
    let mut members = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    members.as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments, "_meta": members },
    })
}

/// POSTs JSON.
pub(crate) async fn post(url: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    send(Method::POST, url, &all, Bytes::from(body.to_string())).await.unwrap()
}

/// The result of a call that was delivered.
pub(crate) fn delivered(answer: &Answer) -> Value {
    let body = answer.json().unwrap();
    let result = body["result"].clone();
    assert!(result["isError"] != true && !result.is_null(), "not delivered: {} {body}", answer.status);
    result
}

/// The receipt statement in a delivered result.
pub(crate) fn statement(result: &Value) -> Value {
    let payload = result["_meta"]["tollgate/receipt"]["envelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&base64_decode(payload)).unwrap()
}

pub(crate) fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

pub(crate) fn base64_encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The code of a refusal, wherever the answer's form puts it.
pub(crate) fn code(answer: &Answer) -> String {
    let body = answer.json().unwrap_or_default();
    let places = ["/error/code", "/error/data/error", "/result/_meta/tollgate~1denial/error"];
    let found = places.iter().filter_map(|place| body.pointer(place)).find_map(Value::as_str);
    found.unwrap_or_else(|| panic!("no code in {} {}", answer.status, answer.text())).to_owned()
}

/// Waits for what must happen; a test that would wait for ever fails instead.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(START_MAX, event).await.expect("this must happen")
}

/// Repeats a call while its payment is still held: the call before it ends a moment after its caller hung up.
pub(crate) async fn when_released(call: impl AsyncFn() -> Answer) -> Answer {
    soon(async {
        loop {
            let answer = call().await;
            if !answer.text().contains("payment_in_flight") {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

pub(crate) fn now() -> UnixMillis {
    tollgate_gateway::clock::now()
}

pub(crate) fn rand_32() -> [u8; 32] {
    tollgate_gateway::clock::random().unwrap()
}
