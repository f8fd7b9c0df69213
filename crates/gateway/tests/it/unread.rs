//! Answers that nobody reads: what is held of them, one by one and all together, and who is served meanwhile.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tollgate_testkit::http::get;
use tollgate_testkit::journal_server::{Behaviour, Endless, Script};
use tollgate_testkit::{memory, queues};

use crate::crowds::{descriptors, raw_call};
use crate::world::{
    Gateway, PRICE, PRICED, START, World, call, code, delivered, soon, statement, when_released,
};

/// What the kernel keeps at a caller's end of a connection: as little as it can.
const UNREAD_BYTES: u32 = 4_096;
/// What it keeps at the server's end.
const UNSENT_BYTES: u32 = 32 * 1024;

/// A caller who asks, and reads nothing of the answer.
async fn unread(port: u16, request: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(UNREAD_BYTES).unwrap();
    let mut socket = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.unwrap();
    socket.write_all(request).await.unwrap();
    socket
}

/// A number on the page of metrics.
async fn metric(gateway: &Gateway, name: &str) -> usize {
    let page = get(&format!("{}/metrics", gateway.url), &[]).await.unwrap().text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

const LARGE_BYTES: usize = 3 << 20;

/// A world whose answers may take so much together, with three large ones that are held, and what they were asked with.
async fn with_three_unread(answers_bytes_max: usize) -> (World, Vec<TcpStream>, Vec<u8>) {
    let large = Behaviour::Huge { bytes: LARGE_BYTES };
    let script = Script::echo().tool("large", large.clone()).tool("dear", large);
    let limits = format!("limits: {{ answers_bytes_max: {answers_bytes_max}, unread_ms_max: 600000 }}\n");
    let tools = [("echo", PRICED), ("large", "{}"), ("dear", PRICED)];
    let world = World::with(script, &tools, &limits, &[]).await;
    let request = raw_call("large", &json!({}), &json!({}));
    let mut callers = Vec::new();
    for _ in 0..3 {
        callers.push(unread(world.gateway.port, &request).await);
    }
    soon(async { while metric(&world.gateway, "tollgate_answers_bytes").await < 3 * LARGE_BYTES {} }).await;
    (world, callers, request)
}

#[tokio::test]
async fn f9_answers_past_the_room_for_all_are_dropped_and_charged_nothing_and_small_ones_pass() {
    const CALLERS: u64 = 60;
    let (world, mut callers, request) = with_three_unread(10_000_000).await;
    let gateway = &world.gateway;
    let before = memory::of_group(gateway.group()).unwrap();

    // A crowd whose answers would be 180 MB: they are shed, one by one.
    for _ in 3..CALLERS {
        callers.push(unread(gateway.port, &request).await);
    }
    let shed = usize::try_from(CALLERS).unwrap() - 3;
    soon(async { while metric(gateway, "tollgate_answers_refused_total").await < shed {} }).await;
    assert_eq!(world.journal.executions(), CALLERS);
    let grown = memory::of_group(gateway.group()).unwrap().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    assert!(metric(gateway, "tollgate_answers_bytes").await <= 10_000_000);
    let mut told = vec![0; 4_000];
    let length = callers.last_mut().unwrap().read(&mut told).await.unwrap();
    let told = String::from_utf8_lossy(&told[..length]).to_ascii_lowercase();
    assert!(told.starts_with("http/1.1 503") && told.contains("retry-after: 1"), "{told}");

    // A paid one among them costs nothing, and its payment is not lost.
    let payment = json!({ "x402/payment": world.x402_payment("dear", &json!({})).await });
    let refused = world.call_with("dear", &json!({}), &payment).await;
    let said = refused.text();
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (503, "upstream_no_room"), "{said}");
    assert_eq!(refused.json().unwrap()["error"]["data"]["retryable"], true);
    assert_eq!(world.payer_balance().await, START);
    assert_eq!(gateway.account("payable:up"), [0; 4]);

    // Control: what is small is paid and served meanwhile, and once there is room so is the other.
    delivered(&world.paid_call("echo", &json!({})).await);
    drop(callers);
    soon(async { while metric(gateway, "tollgate_answers_bytes").await > 0 {} }).await;
    let answer = when_released(async || world.call_with("dear", &json!({}), &payment).await).await;
    assert_eq!(statement(&delivered(&answer))["charged"], true);
    assert_eq!(world.payer_balance().await, START - PRICE * 2);
    gateway.assert_books_in_order();
}

#[tokio::test]
async fn f9_control_where_there_is_room_a_crowd_of_answers_is_held() {
    const CALLERS: usize = 30;
    let (world, mut callers, request) = with_three_unread(1 << 30).await;
    for _ in 3..CALLERS {
        callers.push(unread(world.gateway.port, &request).await);
    }
    let held = async || metric(&world.gateway, "tollgate_answers_bytes").await;
    // What is counted is there, as soon as all of it has come.
    soon(async {
        let counted = CALLERS * LARGE_BYTES;
        let memory = || memory::of_group(world.gateway.group()).unwrap();
        while held().await < counted || memory() < u64::try_from(counted).unwrap() {}
    })
    .await;
    assert_eq!(metric(&world.gateway, "tollgate_answers_refused_total").await, 0);
    // Whoever reads after all gets all of it.
    let mut first = callers.swap_remove(0);
    let mut head = vec![0; 64 * 1024];
    let mut read = 0;
    while read < LARGE_BYTES {
        read += first.read(&mut head).await.unwrap();
    }
    drop((first, callers));
    soon(async { while held().await > 0 {} }).await;
}

/// How many callers do not read: `TOLLGATE_UNREAD`, for F59 two thousand.
fn unread_count() -> u64 {
    std::env::var("TOLLGATE_UNREAD").map_or(200, |number| number.parse().unwrap())
}

/// Endless answers of one kind to callers who read nothing, and what the gateway holds for each.
async fn held_for_each(tool: &str, servers: &str) -> u64 {
    let script = Script::echo()
        .tool("events", Behaviour::Endless(Endless::Events))
        .tool("text", Behaviour::Endless(Endless::Json))
        .unsent(UNSENT_BYTES);
    let count = unread_count();
    assert!(descriptors() > 3 * count, "{count} callers have two connections here and two in the gateway");
    let journal = tollgate_testkit::journal_server::Journal::start(script).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let limits = format!(
        "limits: {{ connections_max: {}, calls_at_once: {count}0, unread_ms_max: 600000 }}\n",
        count * 2
    );
    let server = format!("{{ url: '{}'{servers} }}", journal.url());
    std::fs::write(folder.path().join("tollgate.yaml"), format!("servers: {{ up: {server} }}\n{limits}"))
        .unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let echo = async || {
        let answer = call(&gateway.mcp(), "echo", &json!({}), &json!({}), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    echo().await;
    let before = memory::of_group(gateway.group()).unwrap();
    let request = raw_call(tool, &json!({}), &json!({}));
    let mut callers = Vec::new();
    for number in 1..=count {
        callers.push(unread(gateway.port, &request).await);
        soon(journal.wait_for_executions(number + 1)).await;
    }
    // Others are answered meanwhile, and nobody is given up.
    for _ in 0..20 {
        soon(echo()).await;
    }
    assert_eq!(journal.abandoned(), 0);
    let held = memory::of_group(gateway.group()).unwrap().saturating_sub(before);
    drop(callers);
    soon(journal.wait_for_abandoned(count)).await;
    held / count
}

#[tokio::test]
async fn f59_streams_that_nobody_reads_hold_a_bounded_buffer_each_and_others_are_answered() {
    // Passed on unparsed; and a call whose answer is waited for, with all that comes before it.
    for (what, tool, servers) in [
        ("a text, without a policy", "text", ""),
        ("events, without a policy", "events", ""),
        ("events, free", "events", ", tools: { '*': {} }"),
    ] {
        let held = held_for_each(tool, servers).await;
        eprintln!("{held} bytes for each of {} callers who do not read: {what}", unread_count());
        assert!(held < 1 << 20, "{what}: {held} bytes each");
    }
}

/// More than the kernel may keep of an answer that nobody reads, and far less than it keeps by itself.
const QUEUE_BYTES_MAX: u64 = 512 * 1024;

/// What waits in the kernel at the end of a connection that the port serves.
fn queued(port: u16, caller: &TcpStream) -> u64 {
    let caller = caller.local_addr().unwrap().port();
    queues::unsent_bytes(port, caller).unwrap().expect("the connection is open")
}

#[tokio::test]
async fn f59_of_an_answer_that_nobody_reads_the_kernel_keeps_little() {
    const LOOKS: u32 = 20;
    let script = Script::echo().tool("events", Behaviour::Endless(Endless::Events));
    let journal = tollgate_testkit::journal_server::Journal::start(script).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config =
        format!("servers: {{ up: {{ url: '{}' }} }}\nlimits: {{ unread_ms_max: 600000 }}\n", journal.url());
    std::fs::write(folder.path().join("tollgate.yaml"), config).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let request = raw_call("events", &json!({}), &json!({}));

    // Until nothing moves any more, however often others are answered meanwhile: more will not come.
    let caller = unread(gateway.port, &request).await;
    let (mut settled, mut looks) = (0, 0);
    soon(async {
        while looks < LOOKS {
            let answer = call(&gateway.mcp(), "echo", &json!({}), &json!({}), &[]).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let now = queued(gateway.port, &caller);
            looks = if now > 0 && now == settled { looks + 1 } else { 0 };
            settled = now;
        }
    })
    .await;
    assert!(settled < QUEUE_BYTES_MAX, "{settled} bytes");

    // Control: the same request, the same answer and the same reader, at a listener as the system makes it.
    let control = unread(journal.address().port(), &request).await;
    soon(async {
        while queued(journal.address().port(), &control) < 2 * QUEUE_BYTES_MAX {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(journal.abandoned(), 0, "nobody was given up");
}
