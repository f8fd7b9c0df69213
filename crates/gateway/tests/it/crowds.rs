//! More than there is room for: idle connections, bursts from many addresses, a tenant who floods, and no memory.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures_util::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::memory;

use crate::paid_calls::{api_key, until_known};
use crate::world::{PRICE, PRICED, World, call, call_body, delivered, modern_headers, soon, statement};

/// What F61 asks for.
const IDLE_CONNECTIONS: u64 = 10_000;
/// Descriptors that both processes need for something else.
const OTHER_DESCRIPTORS: u64 = 512;
const OPENED_AT_ONCE: usize = 64;
const MEMORY_BYTES_MAX: u64 = 512 << 20;

/// As many descriptors as this process may have; the gateway that it starts has as many.
pub(crate) fn descriptors() -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    hard
}

/// A call as bytes, on a connection that is kept.
pub(crate) fn raw_call(tool: &str, arguments: &Value, meta: &Value) -> Vec<u8> {
    let body = call_body(tool, arguments, meta).to_string();
    let mut head = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in modern_headers(tool) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// The head of the answer to a call, whose body is read and forgotten.
async fn asked(socket: &mut TcpStream, call: &[u8]) -> String {
    socket.write_all(call).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    socket.read_exact(&mut body).await.unwrap();
    head
}

/// A connection from one of the machine's own addresses.
async fn connected(from: Ipv4Addr, port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.unwrap()
}

/// Each ten connections have an address of their own, so that no limit of a caller is met.
fn source(number: u64) -> Ipv4Addr {
    let group = u32::try_from(number / 10).unwrap();
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + group)
}

#[tokio::test]
async fn f61_ten_thousand_idle_connections_and_a_burst_are_borne_and_what_is_paid_is_answered() {
    const BURST: usize = 20;
    let count = descriptors().saturating_sub(OTHER_DESCRIPTORS).min(IDLE_CONNECTIONS);
    if count < IDLE_CONNECTIONS {
        eprintln!("only {count} connections: the hard limit of descriptors allows no more");
    }
    let script = Script::echo().tool("wait", Behaviour::Hang);
    let limits = format!(
        "limits: {{ connections_max: {}, head_ms_max: 600000, rates: [{{ rate: 60/hour, burst: {BURST}, per: caller }}] }}\n",
        count + OTHER_DESCRIPTORS / 2
    );
    let world = World::with(script, &[("echo", "{}"), ("wait", PRICED)], &limits, &[]).await;
    let (port, echo) = (world.gateway.port, Arc::new(raw_call("echo", &json!({}), &json!({}))));
    let group = world.gateway.group();
    let before = memory::of_group(group).unwrap();

    let at_once = Arc::new(Semaphore::new(OPENED_AT_ONCE));
    let mut opening = JoinSet::new();
    for number in 0..count {
        let turn = Arc::clone(&at_once).acquire_owned().await.unwrap();
        let echo = Arc::clone(&echo);
        opening.spawn(async move {
            let mut socket = connected(source(number), port).await;
            let head = asked(&mut socket, &echo).await;
            assert!(head.starts_with("http/1.1 200"), "{head}");
            drop(turn);
            socket
        });
    }
    let mut idle = opening.join_all().await;
    let held = memory::of_group(group).unwrap();
    eprintln!("{} bytes for each of {count} idle connections", held.saturating_sub(before) / count);
    assert!(held < MEMORY_BYTES_MAX, "{held} bytes");

    // A paid call under way, and five callers who come five times as often as they may.
    let payment = world.x402_payment("wait", &json!({ "paid": true })).await;
    let (url, meta) = (world.gateway.mcp(), json!({ "x402/payment": payment }));
    let mut paid = JoinSet::new();
    paid.spawn(async move { call(&url, "wait", &json!({ "paid": true }), &meta, &[]).await });
    soon(async {
        while world.journal.calls_to("wait").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let bursts = (2..7).map(|last| {
        let echo = Arc::clone(&echo);
        async move {
            let from = Ipv4Addr::new(127, 2, 0, last);
            let each = (0..5 * BURST).map(|_| async { asked(&mut connected(from, port).await, &echo).await });
            join_all(each).await
        }
    });
    for heads in join_all(bursts).await {
        let (served, shed): (Vec<_>, Vec<_>) =
            heads.into_iter().partition(|head| head.starts_with("http/1.1 200"));
        assert_eq!((served.len(), shed.len()), (BURST, 4 * BURST));
        for head in shed {
            assert!(head.starts_with("http/1.1 429") && head.contains("\r\nretry-after: "), "{head}");
        }
    }
    let other = asked(&mut connected(Ipv4Addr::new(127, 2, 0, 9), port).await, &echo).await;
    assert!(other.starts_with("http/1.1 200"), "another caller is answered: {other}");
    for socket in idle.iter_mut().step_by(100) {
        let head = soon(asked(socket, &echo)).await;
        assert!(head.starts_with("http/1.1 200"), "an idle connection serves on: {head}");
    }
    world.journal.release();
    let answer = soon(paid.join_all()).await.pop().unwrap();
    assert_eq!(statement(&delivered(&answer))["charged"], true);
    assert_eq!(world.gateway.account("payable:up")[1], PRICE);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f63_a_tenant_who_floods_takes_nothing_from_the_others() {
    const BURST: usize = 200;
    let script = Script::echo().tool("wait", Behaviour::Hang);
    let limits = format!("limits: {{ rates: [{{ rate: 60/hour, burst: {BURST}, per: caller }}] }}\n");
    let world = World::with(script, &[("echo", "{}"), ("wait", "{}")], &limits, &[]).await;
    let url = world.gateway.mcp();
    let tenant = async || {
        let (_, secret) = api_key(&world.gateway);
        let bearer = format!("Bearer {secret}");
        let asking = bearer.clone();
        let url = url.clone();
        until_known(async || call(&url, "echo", &json!({}), &json!({}), &[("authorization", &asking)]).await)
            .await;
        bearer
    };
    let (greedy, other) = (tenant().await, tenant().await);
    let flooding = |tool: &'static str, calls: usize| {
        let mut flood = JoinSet::new();
        for n in 0..calls {
            let (url, bearer) = (url.clone(), greedy.clone());
            flood.spawn(async move {
                call(&url, tool, &json!({ "n": n }), &json!({}), &[("authorization", &bearer)]).await
            });
        }
        flood
    };
    // Half of what it may, all waiting at the server; then far more than it may.
    let waiting = flooding("wait", BURST / 2);
    soon(async {
        while world.journal.calls_to("wait").len() < BURST / 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut flood = flooding("echo", 2 * BURST);
    let (mut answers, mut served) = (Vec::new(), 0);
    while !flood.is_empty() || served < 20 {
        if served < BURST / 2 {
            let answer = call(&url, "echo", &json!({}), &json!({}), &[("authorization", &other)]).await;
            delivered(&answer);
            served += 1;
        }
        while let Some(answer) = flood.try_join_next() {
            answers.push(answer.unwrap());
        }
        if served >= BURST / 2
            && let Some(answer) = flood.join_next().await
        {
            answers.push(answer.unwrap());
        }
    }
    let (through, refused): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(through.len(), BURST / 2 - 1, "control: what it may, it has; one was its first call");
    assert!(refused.iter().all(|answer| answer.status == 429 && answer.header("retry-after").is_some()));
    world.journal.release();
    let waited = soon(waiting.join_all()).await;
    assert!(waited.iter().all(|answer| answer.status == 200), "and what was under way is finished");
}

/// A gateway whose end can be looked at, always at the same port.
struct Bounded(Child);

impl Bounded {
    async fn start(world: &World, limit: &str) -> Self {
        let port = world.gateway.port;
        let plain = crate::world::command(world.folder.path());
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{limit}exec \"$@\""), "sh"]).arg(plain.get_program());
        shell.current_dir(world.folder.path()).env_clear();
        shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.args(["dev", "--data", "data", "--config", "tollgate.yaml"]);
        shell.args(["--listen", &format!("127.0.0.1:{port}")]);
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let own = Self(shell.spawn().unwrap());
        let ready = format!("{}/readyz", world.gateway.url);
        soon(async {
            while !get(&ready, &[]).await.is_ok_and(|answer| answer.status == 200) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        own
    }

    fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

#[tokio::test]
async fn f9_bodies_past_the_room_for_all_are_refused_and_charged_nothing_and_small_calls_pass() {
    const LARGE_BYTES: usize = 300_000;
    let script = Script::echo().tool("wait", Behaviour::Hang);
    let limits = "limits: { body_bytes_max: 400000, bodies_bytes_max: 1000000 }\n";
    let world = World::with(script, &[("echo", PRICED), ("wait", "{}")], limits, &[]).await;
    let large = json!({ "text": "x".repeat(LARGE_BYTES) });

    // Three large bodies are held, because their calls wait for their tool.
    let mut waiting = JoinSet::new();
    for _ in 0..3 {
        let (url, large) = (world.gateway.mcp(), large.clone());
        waiting.spawn(async move { call(&url, "wait", &large, &json!({}), &[]).await });
    }
    soon(async {
        while world.journal.calls_to("wait").len() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let held = async || {
        let metrics = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
        let held = metrics.lines().find_map(|line| line.strip_prefix("tollgate_bodies_bytes "));
        held.unwrap().parse::<usize>().unwrap()
    };
    assert!(held().await >= 3 * LARGE_BYTES);

    let payment = world.x402_payment("echo", &json!({ "small": true })).await;
    let meta = json!({ "x402/payment": payment });
    let refused = call(&world.gateway.mcp(), "echo", &large, &meta, &[]).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (503, Some("1")),
        "{}",
        refused.text()
    );
    assert_eq!(refused.json().unwrap()["error"]["data"]["error"], "no_room");
    assert!(world.journal.calls_to("echo").is_empty());
    assert_eq!(world.payer_balance().await, crate::world::START);

    // Control: a small call is paid and served meanwhile, and once there is room a large one is too.
    delivered(&call(&world.gateway.mcp(), "echo", &json!({ "small": true }), &meta, &[]).await);
    world.journal.release();
    while let Some(answer) = waiting.join_next().await {
        delivered(&answer.unwrap());
    }
    soon(async { while held().await > 0 {} }).await;
    delivered(&world.paid_call("echo", &large).await);
    assert_eq!(world.payer_balance().await, crate::world::START - PRICE * 2);
    world.gateway.assert_books_in_order();
}

/// A caller who sends nearly all of a large call, and waits.
async fn hoards(port: u16) -> Option<TcpStream> {
    const BODY_BYTES: usize = 3 << 20;
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    let mut head = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BODY_BYTES}\r\n");
    for (name, value) in modern_headers("echo") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    socket.write_all(format!("{head}\r\n").as_bytes()).await.ok()?;
    socket.write_all(&vec![b' '; BODY_BYTES - 1]).await.ok()?;
    Some(socket)
}

#[tokio::test]
async fn f9_a_gateway_that_dies_for_want_of_memory_has_lost_nothing_and_charged_nothing_twice() {
    const HOARDERS: usize = 200;
    // Without a bound below the machine's own, which would refuse them.
    let limits = "limits: { body_ms_max: 600000, bodies_bytes_max: 4294967296 }\n";
    let mut world = World::with(Script::echo(), &[("echo", PRICED)], limits, &[]).await;
    world.gateway.kill();
    let mut own = Bounded::start(&world, "ulimit -d 262144; ").await;
    let port = world.gateway.port;

    // It answers paid calls until the memory of 256 MiB is hoarded.
    let mut hoarding = None;
    let mut payments: Vec<(Value, Value)> = Vec::new();
    let mut told = 0;
    soon(async {
        while !own.is_over() {
            let arguments = json!({ "n": payments.len() });
            let url = world.gateway.mcp();
            let Some(demand) = try_call(&url, &arguments, &json!({})).await else { continue };
            if !demand.text().contains("x402Version") {
                continue;
            }
            let payment = crate::world::Demand::read(&demand).sign(&world.payer());
            let meta = json!({ "x402/payment": payment });
            payments.push((arguments.clone(), meta.clone()));
            if let Some(answer) = try_call(&url, &arguments, &meta).await {
                delivered(&answer);
                told += 1;
                let hoard =
                    || tokio::spawn(async move { join_all((0..HOARDERS).map(|_| hoards(port))).await });
                hoarding.get_or_insert_with(hoard);
            }
        }
    })
    .await;
    drop((hoarding, own));

    // As after any other death: what was told stands, and whoever was not told asks again.
    let own = Bounded::start(&world, "").await;
    let mut charged = 0;
    for (arguments, meta) in &payments {
        let answer = crate::world::when_released(async || {
            call(&world.gateway.mcp(), "echo", arguments, meta, &[]).await
        })
        .await;
        if answer.status == 409 {
            assert!(answer.text().contains("and may have run; it was not charged"), "{}", answer.text());
        } else {
            assert_eq!(statement(&delivered(&answer))["charged"], true);
            charged += 1;
        }
    }
    assert!(charged >= told, "{charged} of {told}");
    assert_eq!(world.payer_balance().await, crate::world::START - PRICE * charged);
    world.gateway.assert_books_in_order();

    // Control: where there is memory, as many hoarders are borne, and others served.
    let hoarders = soon(join_all((0..HOARDERS).map(|_| hoards(port)))).await;
    assert!(hoarders.iter().all(Option::is_some));
    delivered(&world.paid_call("echo", &json!({ "last": true })).await);
    drop((hoarders, own));
}

async fn try_call(url: &str, arguments: &Value, meta: &Value) -> Option<Answer> {
    let headers = modern_headers("echo");
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = call_body("echo", arguments, meta).to_string();
    tollgate_testkit::http::send(http::Method::POST, url, &headers, bytes::Bytes::from(body)).await.ok()
}
