//! `tollgate connect`: the real binary as a stdio server of clients that only know stdio, paying within a budget.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::peers::available;
use tollgate_testkit::peers::mcp_python::{McpPython, Mode, ToolCall};

use crate::world::{Gateway, PRICE, PRICED, TOLLGATE, World, call_body, command};

/// What the payer of a new data directory has.
const FUNDS: u128 = 100_000_000;

/// A bridge, and the two ends of its pipes. It is killed with this value.
struct Bridge {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Bridge {
    /// Starts a bridge to `gateway` in its folder, with its data directory.
    fn start(gateway: &Gateway, arguments: &[&str]) -> Self {
        let mut started = command(&gateway.folder);
        started.args(["connect", &gateway.mcp(), "--data", "data"]).args(arguments);
        Self::spawn(started)
    }

    fn spawn(mut started: Command) -> Self {
        let mut child = started.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take(), output, child }
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    /// The next line, which is a JSON-RPC message like everything on this side.
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    /// Calls a tool and waits for its answer.
    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        self.say(&call_body(tool, arguments, &json!({})));
        self.hear()["result"].clone()
    }

    /// Closes the input; what the bridge still says, and whether it ended well.
    fn end(&mut self) -> (Vec<String>, bool) {
        drop(self.input.take());
        let rest = (&mut self.output).lines().map(Result::unwrap).collect();
        (rest, self.child.wait().unwrap().success())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What `connect --budget` says about USDC: spent in all, spent today, and without an answer.
fn budget(gateway: &Gateway) -> [u128; 3] {
    let shown = gateway.cli(&["connect", "--budget", "--json"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = rows.iter().find(|row| row["symbol"] == "USDC").unwrap();
    ["spent_total", "spent_today", "without_answer"]
        .map(|field| row[field].as_str().unwrap().parse().unwrap())
}

async fn paid_by(gateway: &Gateway) -> u128 {
    let key = std::fs::read_to_string(gateway.folder.join("data/payer.key")).unwrap();
    let key: [u8; 32] = hex::decode(key.trim()).unwrap().try_into().unwrap();
    let payer = tollgate_rails::evm::SigningKey::from_bytes(&key).unwrap().address().to_string();
    FUNDS - gateway.sandbox_balance(&payer).await
}

/// The sentence of a refused call.
fn refusal(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().unwrap()
}

fn weather(city: &str) -> ToolCall {
    ToolCall { tool: "weather".to_owned(), arguments: json!({ "city": city }) }
}

/// The block that `tollgate dev` prints for Claude Desktop, as program and arguments. It is printed once the gateway serves.
async fn printed_block(gateway: &Gateway) -> Vec<String> {
    let printed = async {
        loop {
            let log = gateway.whole_log();
            let whole_lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(block) = whole_lines.filter_map(|line| line.strip_prefix("Claude Desktop ")).next() {
                return serde_json::from_str::<Value>(block.trim()).unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    let block = crate::world::soon(printed).await;
    let server = &block["mcpServers"]["tollgate"];
    let arguments = server["args"].as_array().unwrap().iter();
    let words = std::iter::once(&server["command"]).chain(arguments);
    words.map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_official_python_client_over_stdio_pays_for_a_call_with_the_printed_block() {
    let Some(client) = available(McpPython::install().await) else { return };
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let block = printed_block(&gateway).await;
    assert_eq!(Path::new(&block[0]), Path::new(TOLLGATE));
    let block: Vec<&str> = block.iter().map(String::as_str).collect();
    // Such a client starts its servers in a folder of its own.
    let elsewhere = tempfile::tempdir().unwrap();
    for (round, mode) in [(1, Mode::Auto), (2, Mode::Legacy)] {
        let echo = ToolCall { tool: "echo".to_owned(), arguments: json!({ "text": "free" }) };
        let calls = [weather("Oslo"), echo];
        let session = client.stdio(mode, elsewhere.path(), &block, &calls).await.unwrap();
        assert_eq!(session.noise, [] as [&str; 0], "nothing but MCP on standard output");
        assert!(session.tools.contains(&"weather".to_owned()), "{:?}", session.tools);
        let [paid, free] = session.results.as_slice() else { panic!("{session:?}") };
        assert_eq!(paid["isError"], false, "{paid}");
        assert_eq!(paid["structuredContent"]["city"], "Oslo", "{paid}");
        assert!(paid["_meta"]["tollgate/receipt"].is_object(), "the receipt came through: {paid}");
        assert_eq!(free["content"][0]["text"], "free");

        // Three records of the same money: the payer's budget, the gateway's books, the token's ledger.
        let spent = PRICE * round;
        assert_eq!(budget(&gateway), [spent, spent, 0]);
        assert_eq!(gateway.account("payable:demo"), [0, spent, 0, 0]);
        assert_eq!(paid_by(&gateway).await, spent);
    }
    gateway.assert_books_in_order();
}

#[tokio::test]
async fn of_twenty_calls_at_once_a_budget_for_seven_pays_seven() {
    let Some(client) = available(McpPython::install().await) else { return };
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let url = gateway.mcp();
    let server =
        [TOLLGATE, "connect", &url, "--data", "data", "--max-total", "0.07USDC", "--max-per-call", "0sat"];
    // Twelve different calls, and some of them twice.
    let calls: Vec<ToolCall> = (0..20)
        .map(|number| {
            let arguments = json!({ "city": "Oslo", "month": number % 12 + 1 });
            ToolCall { tool: "weather".to_owned(), arguments }
        })
        .collect();
    let session = client.stdio(Mode::Auto, folder.path(), &server, &calls).await.unwrap();
    let (paid, refused): (Vec<&Value>, Vec<&Value>) =
        session.results.iter().partition(|result| result["isError"] == false);
    assert_eq!((paid.len(), refused.len()), (7, 13), "{:?}", session.results);
    for result in refused {
        assert!(refusal(result).contains("0.07 USDC in all"), "{result}");
    }
    assert_eq!(budget(&gateway), [7 * PRICE, 7 * PRICE, 0]);
    assert_eq!(gateway.account("payable:demo"), [0, 7 * PRICE, 0, 0]);
    assert_eq!(paid_by(&gateway).await, 7 * PRICE);
    gateway.assert_books_in_order();
}

#[tokio::test]
async fn over_the_limit_nothing_is_spent_and_a_restart_keeps_the_count() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let oslo = json!({ "city": "Oslo" });
    let no_sat = ["--max-per-call", "0sat"];

    let mut small = Bridge::start(&gateway, &["--max-per-call", "0.005USDC", "--max-per-call", "0sat"]);
    let refused = small.call("weather", &oslo);
    let text = refusal(&refused);
    let words = ["0.01 USDC", "0.005 USDC per call", "--max-per-call 0.01USDC", "Nothing was paid"];
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert_eq!((budget(&gateway), paid_by(&gateway).await), ([0, 0, 0], 0));
    assert_eq!(small.end(), (Vec::new(), true));

    let once = [&["--max-total", "0.015USDC"], no_sat.as_slice()].concat();
    let mut first = Bridge::start(&gateway, &once);
    assert_eq!(first.call("weather", &oslo)["isError"], false, "positive control: within the limit");
    assert!(refusal(&first.call("weather", &oslo)).contains("0.01 USDC of that are spent"));
    drop(first);
    let mut second = Bridge::start(&gateway, &once);
    assert!(
        refusal(&second.call("weather", &oslo)).contains("0.01 USDC of that are spent"),
        "after a restart"
    );
    assert_eq!(second.call("echo", &json!({ "text": "free" }))["isError"], false, "what is free goes on");
    assert_eq!((budget(&gateway), paid_by(&gateway).await), ([PRICE, PRICE, 0], PRICE));

    let mut raised = Bridge::start(&gateway, &[&["--max-total", "0.02USDC"], no_sat.as_slice()].concat());
    assert_eq!(raised.call("weather", &oslo)["isError"], false, "positive control: the owner raised it");
    assert_eq!((budget(&gateway), paid_by(&gateway).await), ([2 * PRICE, 2 * PRICE, 0], 2 * PRICE));
}

#[tokio::test]
async fn of_two_processes_that_race_for_the_last_money_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    for round in 1..=3 {
        let total = format!("0.0{round}USDC");
        let mut bridges =
            [0, 1].map(|_| Bridge::start(&gateway, &["--max-total", &total, "--max-per-call", "0sat"]));
        for bridge in &mut bridges {
            bridge.say(&call_body("weather", &json!({ "city": "Oslo" }), &json!({})));
        }
        let paid = bridges
            .iter_mut()
            .filter_map(|bridge| (bridge.hear()["result"]["isError"] == false).then_some(()));
        assert_eq!(paid.count(), 1, "round {round}");
        assert_eq!(budget(&gateway), [round * PRICE, round * PRICE, 0]);
        assert_eq!(paid_by(&gateway).await, round * PRICE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_dies_after_it_paid_leaves_its_money_counted() {
    let script = Script::new().tool("hang", Behaviour::Hang);
    let world = World::new(script, &[("hang", PRICED)]).await;
    let limits = ["--max-total", "0.01USDC", "--max-per-call", "0sat"];
    let mut bridge = Bridge::start(&world.gateway, &limits);
    bridge.say(&call_body("hang", &json!({}), &json!({})));
    crate::world::soon(world.journal.wait_for_executions(1)).await;
    // kill -9: nothing is cleaned up.
    bridge.child.kill().unwrap();
    bridge.child.wait().unwrap();
    assert_eq!(budget(&world.gateway), [PRICE, PRICE, PRICE], "it may have been spent");
    let mut next = Bridge::start(&world.gateway, &limits);
    assert!(refusal(&next.call("hang", &json!({ "n": 2 }))).contains("--max-total"));
    world.journal.release();
    let mut raised = Bridge::start(&world.gateway, &["--max-total", "0.02USDC", "--max-per-call", "0sat"]);
    let result = raised.call("hang", &json!({ "n": 3 }));
    assert_eq!(result["structuredContent"]["echo"]["n"], 3, "positive control: {result}");
    assert_eq!(budget(&world.gateway), [2 * PRICE, 2 * PRICE, PRICE]);
}

#[tokio::test]
async fn standard_output_is_mcp_alone_and_no_log_holds_arguments_or_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let log = folder.path().join("bridge.log");
    let mut started = command(&gateway.folder);
    started
        .args(["connect", &gateway.mcp(), "--data", "data", "--header", "X-Secret: ${SECRET_HEADER}"])
        .env("SECRET_HEADER", "s3cret-header")
        .env("TOLLGATE_LOG", "trace")
        .stderr(std::fs::File::create(&log).unwrap());
    let mut bridge = Bridge::spawn(started);
    let result = bridge.call("digest", &json!({ "text": "s3cret-argument" }));
    assert_eq!(result["isError"], false, "{result}");
    bridge.say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }));
    bridge.hear();
    let (rest, ended_well) = bridge.end();
    assert_eq!((rest, ended_well), (Vec::new(), true), "the end of the input ends it");

    let log = std::fs::read_to_string(log).unwrap();
    let key = std::fs::read_to_string(folder.path().join("data/payer.key")).unwrap();
    assert!(log.contains("paid"), "positive control: the log tells of the payment: {log}");
    for secret in ["s3cret-argument", "s3cret-header", key.trim(), "\"signature\""] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

#[tokio::test]
async fn a_signal_ends_it_although_its_client_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut bridge = Bridge::start(&gateway, &[]);
        assert_eq!(bridge.call("echo", &json!({ "text": "up" }))["isError"], false);
        let pid = Pid::from_raw(i32::try_from(bridge.child.id()).unwrap());
        kill(pid, signal).unwrap();
        assert!(bridge.child.wait().unwrap().success(), "{signal}: with its input still open");
    }
}

#[tokio::test]
async fn a_wrong_command_line_says_what_is_wrong_and_connects_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let wrong: [&[&str]; 5] = [
        &["ftp-like"],
        &["--max-total", "5EUR"],
        &["--header", "Host: elsewhere"],
        &["--header", "Authorization: Bearer ${NOT_SET}"],
        &["--json"],
    ];
    for arguments in wrong {
        let output =
            command(folder.path()).arg("connect").args(arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    let output = command(folder.path()).args(["connect"]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "positive control: {output:?}");
}

#[tokio::test]
async fn a_key_in_the_url_is_not_said_where_clients_keep_what_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let urls = [("http://user:canary-key@127.0.0.1:9/mcp?key=canary-key", 0), ("http://127.0.0.1:9/mcp", 1)];
    for (url, whole) in urls {
        let mut started = command(folder.path());
        // Its input is at its end at once.
        started.args(["connect", url, "--data", "data"]).stdin(Stdio::null());
        let ended = tokio::task::spawn_blocking(move || started.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains("127.0.0.1:9/mcp") && !said.contains("canary"), "{said}");
        assert_eq!(said.matches(url).count(), whole, "control: what is no secret is said: {said}");
    }
}
