//! How a gateway ends, and what does not end it: signals, a panic, no file descriptors, a log that nobody reads.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};
use tollgate_testkit::peers::port;

use crate::on_chain::until;
use crate::transport::Wire;
use crate::world::{PRICE, World, call, code, command, delivered, soon, statement, when_released};

/// A gateway that this test started itself: a child whose end can be waited for.
struct Own {
    process: Child,
    url: String,
    port: u16,
}

impl Own {
    async fn start(folder: &Path, shell: Option<&str>) -> Self {
        let port = port::free().unwrap();
        let plain = command(folder);
        let mut start = match shell {
            Some(script) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{script}; exec \"$@\""), "sh"]).arg(plain.get_program());
                shell.current_dir(folder).env_clear();
                shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
                shell
            }
            None => plain,
        };
        let listen = format!("127.0.0.1:{port}");
        start.args(["dev", "--data", "data", "--config", "tollgate.yaml", "--listen", &listen]);
        // Nobody reads what it says.
        start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let process = start.spawn().unwrap();
        let own = Self { process, url: format!("http://{listen}"), port };
        soon(async {
            while !own.is_ready().await {
                tokio::task::yield_now().await;
            }
        })
        .await;
        own
    }

    async fn is_ready(&self) -> bool {
        get(&format!("{}/readyz", self.url), &[]).await.is_ok_and(|answer| answer.status == 200)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    async fn exit_code(&mut self) -> Option<i32> {
        soon(async {
            loop {
                if let Some(status) = self.process.try_wait().unwrap() {
                    return status.code();
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop((self.process.kill(), self.process.wait()));
    }
}

/// A server with a tool that waits, and the configuration of a gateway before it.
async fn waiting(more: &str) -> (Journal, tempfile::TempDir) {
    let journal = Journal::start(Script::echo().tool("wait", Behaviour::Hang)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "servers: {{ up: {{ url: '{}', tools: {{ wait: {{ price: [0.01USDC] }}, echo: {{}} }} }} }}\n{more}",
        journal.url()
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    (journal, folder)
}

fn listening(session: &str) -> Vec<String> {
    [
        "GET /mcp HTTP/1.1",
        "host: localhost",
        "accept: text/event-stream",
        "mcp-protocol-version: 2025-11-25",
        &format!("mcp-session-id: {session}"),
    ]
    .map(str::to_owned)
    .to_vec()
}

async fn session(url: &str) -> String {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
    });
    let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    let opened = crate::world::post(url, &body, &[("accept", "application/json, text/event-stream")]).await;
    opened.header("mcp-session-id").unwrap().to_owned()
}

#[tokio::test]
async fn f10_sigterm_lets_two_hundred_calls_finish_and_ends_the_streams_that_are_only_listened_on() {
    let (journal, folder) =
        waiting("limits: { drain_ms: 120000, calls_per_minute: 60000, offers_per_minute: 60000 }\n").await;
    let mut own = Own::start(folder.path(), None).await;
    let mcp = format!("{}/mcp", own.url);
    let mut streams = Vec::new();
    let id = session(&mcp).await;
    for _ in 0..50 {
        let mut stream = Wire::open(own.port, &listening(&id), "").await;
        stream.until("text/event-stream").await;
        streams.push(stream);
    }
    let mut calls = JoinSet::new();
    let wallet = payer(folder.path());
    for n in 0..200 {
        let demanded = call(&mcp, "wait", &json!({ "n": n }), &json!({}), &[]).await;
        let payment = crate::world::Demand::read(&demanded).sign(&wallet);
        let mcp = mcp.clone();
        calls.spawn(async move {
            call(&mcp, "wait", &json!({ "n": n }), &json!({ "x402/payment": payment }), &[]).await
        });
    }
    soon(journal.wait_for_executions(200)).await;
    own.signal(Signal::SIGTERM);
    // Without this the drain would take all of its two minutes, which `soon` does not wait for.
    for stream in streams {
        assert!(soon(stream.rest()).await.contains("text/event-stream"));
    }
    assert!(!own.is_ready().await, "no new work");
    assert!(own.process.try_wait().unwrap().is_none(), "it waits for the calls");
    journal.release();
    let mut charged = 0;
    while let Some(done) = soon(calls.join_next()).await {
        charged += u128::from(statement(&delivered(&done.unwrap()))["charged"] == true);
    }
    assert_eq!((charged, own.exit_code().await), (200, Some(0)));
    let report =
        command(folder.path()).args(["ledger", "check", "--json", "--data", "data"]).output().unwrap();
    assert!(report.status.success());
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let earned =
        report["accounts"].as_array().unwrap().iter().find(|row| row["account"] == "payable:up").unwrap();
    assert_eq!(earned["credits_posted"], (200 * PRICE).to_string());
    assert_eq!(earned["credits_pending"], "0");
}

fn payer(folder: &Path) -> tollgate_rails::evm::SigningKey {
    let text = std::fs::read_to_string(folder.join("data/payer.key")).unwrap();
    let bytes: [u8; 32] = hex::decode(text.trim()).unwrap().try_into().unwrap();
    tollgate_rails::evm::SigningKey::from_bytes(&bytes).unwrap()
}

#[tokio::test]
async fn f11_a_second_signal_ends_it_at_once_and_what_was_open_is_finished_at_the_next_start() {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        let (journal, folder) = waiting("limits: { drain_ms: 120000 }\n").await;
        let mut own = Own::start(folder.path(), None).await;
        let mcp = format!("{}/mcp", own.url);
        let demanded = call(&mcp, "wait", &json!({}), &json!({}), &[]).await;
        let meta =
            json!({ "x402/payment": crate::world::Demand::read(&demanded).sign(&payer(folder.path())) });
        // A client that stays until the gateway is gone.
        let mut wire = open_call(own.port, &meta).await;
        journal.wait_for_executions(1).await;
        own.signal(Signal::SIGTERM);
        soon(async {
            while own.is_ready().await {
                tokio::task::yield_now().await;
            }
        })
        .await;
        own.signal(second);
        assert_eq!(own.exit_code().await, Some(0), "{second}");
        while wire.more().await {}

        let own = Own::start(folder.path(), None).await;
        let mcp = format!("{}/mcp", own.url);
        let doubted = call(&mcp, "wait", &json!({}), &meta, &[]).await;
        assert_eq!(code(&doubted), "payment_replayed", "in doubt: never run again with that payment");
        assert_eq!(journal.executions(), 1);
        journal.release();
        let echoed = call(&mcp, "echo", &json!({ "n": 1 }), &json!({}), &[]).await;
        assert_eq!(echoed.json().unwrap()["result"]["structuredContent"]["echo"]["n"], 1, "control");
        let checked = command(folder.path()).args(["ledger", "check", "--data", "data"]).output().unwrap();
        assert!(checked.status.success());
    }
}

async fn open_call(port: u16, meta: &Value) -> Wire {
    let mut head =
        vec!["POST /mcp HTTP/1.1".to_owned(), "host: localhost".to_owned(), "connection: close".to_owned()];
    head.extend(crate::world::modern_headers("wait").iter().map(|(name, value)| format!("{name}: {value}")));
    Wire::open(port, &head, &crate::world::call_body("wait", &json!({}), meta).to_string()).await
}

#[tokio::test]
async fn f8_a_panic_is_the_end_of_its_request_alone() {
    let environment = [("TOLLGATE_FAILPOINT", "panic mcp_door:2")];
    let world = World::with(Script::echo(), &[("echo", "{ price: [0.01USDC] }")], "", &environment).await;
    let arguments = json!({ "n": 1 });
    let payment = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    let broken = world.call_with("echo", &arguments, &payment).await;
    assert_eq!((broken.status.as_u16(), code(&broken).as_str()), (500, "internal"), "{}", broken.text());
    assert_eq!(broken.json().unwrap()["error"]["data"]["retryable"], true);
    assert!(!broken.text().contains("failpoint"), "nothing of the inside: {}", broken.text());
    world.assert_untouched("a panic").await;
    let metrics = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
    assert!(metrics.lines().any(|line| line == "tollgate_panics_total 1"), "{metrics}");
    let log = world.gateway.whole_log();
    assert!(log.contains("doors/mcp.rs") || log.contains("failpoint.rs"), "the place is in the log: {log}");

    let result = delivered(&world.call_with("echo", &arguments, &payment).await);
    assert_eq!(statement(&result)["charged"], true, "control: the same request again");
    assert_eq!(world.journal.executions(), 1);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f8_a_panic_in_the_task_of_a_held_call_leaves_nothing_open() {
    // Before the tool was asked, under a lock that every paid call takes, and after the tool had answered.
    for (point, asked_before) in
        [("panic after_claim", 0), ("panic mark_locked", 0), ("panic after_result", 1)]
    {
        let environment = [("TOLLGATE_FAILPOINT", point)];
        let world = World::with(Script::echo(), &[("echo", "{ price: [0.01USDC] }")], "", &environment).await;
        let arguments = json!({ "n": 1 });
        let payment = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
        let broken = world.call_with("echo", &arguments, &payment).await;
        assert_eq!((broken.status.as_u16(), code(&broken).as_str()), (500, "internal"), "{}", broken.text());
        assert_eq!(world.journal.executions(), asked_before, "{point}");

        // The gateway is not started again, and the payment is in flight no more.
        let again = when_released(async || world.call_with("echo", &arguments, &payment).await).await;
        if asked_before == 0 {
            assert_eq!(statement(&delivered(&again))["charged"], true, "{point}: it was released");
        } else {
            assert_eq!(
                code(&again),
                "payment_replayed",
                "{point}: in doubt, never run again with that payment"
            );
        }
        assert_eq!(world.journal.executions(), 1, "{point}");
        // It is said behind the commit that whoever asked again has seen.
        let said = "its settlement was driven on";
        until(said, async || world.gateway.whole_log().contains(said)).await;
        // Control: the next payment is taken as ever.
        let other = json!({ "n": 2 });
        delivered(&world.paid_call("echo", &other).await);
        world.gateway.assert_books_in_order();
    }
}

#[tokio::test]
async fn f10_at_the_limit_of_the_drain_a_call_ends_unpaid_and_its_caller_is_told() {
    let (journal, folder) = waiting("limits: { drain_ms: 3000 }\n").await;
    let mut own = Own::start(folder.path(), None).await;
    let mcp = format!("{}/mcp", own.url);
    let demanded = call(&mcp, "wait", &json!({}), &json!({}), &[]).await;
    let meta = json!({ "x402/payment": crate::world::Demand::read(&demanded).sign(&payer(folder.path())) });
    let calling = {
        let (mcp, meta) = (mcp.clone(), meta.clone());
        let mut calls = JoinSet::new();
        calls.spawn(async move { call(&mcp, "wait", &json!({}), &meta, &[]).await });
        calls
    };
    soon(journal.wait_for_executions(1)).await;
    own.signal(Signal::SIGTERM);
    let told = soon(calling.join_all()).await.pop().unwrap();
    assert_eq!(code(&told), "upstream_timed_out", "{}", told.text());
    assert_eq!(own.exit_code().await, Some(0));

    // Nothing was left for this start: the payment was released and can be used again.
    let own = Own::start(folder.path(), None).await;
    journal.release();
    let result = delivered(&call(&format!("{}/mcp", own.url), "wait", &json!({}), &meta, &[]).await);
    assert_eq!(statement(&result)["charged"], true);
    assert_eq!(journal.executions(), 2);
    let checked = command(folder.path()).args(["ledger", "check", "--data", "data"]).output().unwrap();
    assert!(checked.status.success());
}

/// How often a gateway has said that it could not accept a connection.
fn accept_failures(own: &mut Own) -> Arc<AtomicUsize> {
    let said = BufReader::new(own.process.stderr.take().unwrap());
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    std::thread::spawn(move || {
        for line in said.lines().map_while(Result::ok) {
            counted.fetch_add(usize::from(line.contains("could not accept a connection")), Ordering::SeqCst);
        }
    });
    failures
}

#[tokio::test]
async fn f62_without_file_descriptors_it_waits_without_spinning_and_recovers() {
    let (_journal, folder) = waiting("").await;
    let mut own = Own::start(folder.path(), Some("ulimit -n 128")).await;
    let failures = accept_failures(&mut own);
    let mcp = format!("{}/mcp", own.url);
    let echo = async || -> Answer { call(&mcp, "echo", &json!({}), &json!({}), &[]).await };
    assert_eq!(echo().await.status, 200, "control");
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(TcpStream::connect(("127.0.0.1", own.port)).await.unwrap());
    }
    let open = || std::fs::read_dir(format!("/proc/{}/fd", own.process.id())).unwrap().count();
    soon(async {
        while open() < 128 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // It rests a tenth of a second behind each failure; a loop that spins fails hundreds of times in that.
    let until = async |count: usize| {
        soon(async {
            while failures.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    until(1).await;
    let (begun, before) = (Instant::now(), failures.load(Ordering::SeqCst));
    until(before + 5).await;
    assert!(begun.elapsed() >= Duration::from_millis(400), "five failures within {:?}", begun.elapsed());
    drop(held);
    assert_eq!(soon(echo()).await.status, 200, "as soon as there are descriptors again");
}

#[tokio::test]
async fn f64_a_log_that_nobody_reads_holds_up_no_call_and_its_losses_are_counted() {
    let (_journal, folder) = waiting("").await;
    let mut own = Own::start(folder.path(), None).await;
    let mcp = format!("{}/mcp", own.url);
    let lost = async || -> u64 {
        let metrics = get(&format!("{}/metrics", own.url), &[]).await.unwrap().text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("tollgate_log_lines_lost_total "));
        line.unwrap().parse().unwrap()
    };
    assert_eq!(lost().await, 0);
    // Each call writes a line; a pipe holds 64 KiB of them.
    soon(async {
        while lost().await == 0 {
            for n in 0..50 {
                assert_eq!(call(&mcp, "echo", &json!({ "n": n }), &json!({}), &[]).await.status, 200);
            }
        }
    })
    .await;
    own.signal(Signal::SIGTERM);
    assert_eq!(own.exit_code().await, Some(0), "its end is not held up either");
    let mut said = String::new();
    own.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with('{')).collect();
    assert!(
        lines.len() > 50 && lines.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "whole lines"
    );
}
