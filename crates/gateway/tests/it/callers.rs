//! Callers who are slow, who smuggle, who flood or stop reading: they cost their own connection and nobody else's.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_testkit::http::{get, send};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};

use crate::world::{
    Gateway, PRICE, PRICED, World, call, call_body, code, delivered, modern_headers, soon, statement,
};

/// What one raw exchange got back, up to the end of the connection.
async fn exchange(port: u16, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // A gateway that has refused may close before everything was sent.
    drop(socket.write_all(bytes).await);
    until_closed(&mut socket).await
}

async fn until_closed(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    soon(async {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = socket.read(&mut part).await {
            answer.extend_from_slice(&part[..length]);
        }
    })
    .await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A call of `echo` as bytes, with these lines in its head beside the usual ones.
fn raw_call(more: &str, body: &[u8]) -> Vec<u8> {
    let mut head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\n".to_owned();
    for (name, value) in modern_headers("echo") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), more.as_bytes(), b"\r\n", body].concat()
}

fn body() -> Vec<u8> {
    call_body("echo", &json!({}), &json!({})).to_string().into_bytes()
}

/// A gateway before a server with a free tool, and one before the same server without any policy.
async fn two_gateways(limits: &str) -> [(Journal, Gateway, tempfile::TempDir); 2] {
    let start = async |policy: &str| {
        let journal = Journal::start(Script::echo()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let yaml = format!("servers: {{ up: {{ url: '{}'{policy} }} }}\n{limits}", journal.url());
        std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
        let gateway = Gateway::dev(folder.path()).await;
        (journal, gateway, folder)
    };
    [start(", tools: { echo: {} }").await, start("").await]
}

#[tokio::test]
async fn d2_f60_a_slow_head_and_a_slow_body_end_within_their_limits_and_nobody_else_notices() {
    for (journal, gateway, _folder) in two_gateways("limits: { head_ms_max: 400, body_ms_max: 400 }\n").await
    {
        let body = body();
        let length = format!("content-length: {}\r\nconnection: close\r\n", body.len());
        let head = raw_call(&length, b"");
        let half_head = exchange(gateway.port, &head[..head.len() / 2]).await;
        assert!(half_head.is_empty() || half_head.starts_with("HTTP/1.1 408"), "{half_head}");
        let half_body = exchange(gateway.port, &raw_call(&length, &body[..body.len() / 2])).await;
        assert!(half_body.starts_with("HTTP/1.1 408"), "{half_body}");
        assert!(half_body.contains("\"error\":\"request_timed_out\""), "{half_body}");
        assert!(exchange(gateway.port, b"").await.is_empty(), "a connection without a request ends too");
        assert_eq!(journal.executions(), 0);

        // While a slow caller drips on, another one is answered.
        let mut slow = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
        slow.write_all(&raw_call(&length, &body[..1])).await.unwrap();
        let whole = exchange(gateway.port, &raw_call(&length, &body)).await;
        assert!(whole.starts_with("HTTP/1.1 200"), "control: {whole}");
        assert_eq!(journal.executions(), 1);
        assert!(until_closed(&mut slow).await.starts_with("HTTP/1.1 408"));
    }
}

#[tokio::test]
async fn d2_a_slow_body_is_refused_at_the_plain_http_doors_and_is_no_failure_of_the_server() {
    let world = World::with(Script::echo(), &[("echo", PRICED)], "limits: { body_ms_max: 400 }\n", &[]).await;
    for path in ["/api/v1/execute", "/v1/execute"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        );
        let answer = exchange(world.gateway.port, head.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 408") && answer.contains("request_timed_out"),
            "{path}: {answer}"
        );
    }
    let ready = get(&format!("{}/readyz", world.gateway.url), &[]).await.unwrap().json().unwrap();
    assert_eq!(ready["servers"]["up"]["failures_in_a_row"], 0);
    world.assert_untouched("slow bodies").await;
    delivered(&world.paid_call("echo", &json!({})).await);
}

#[tokio::test]
async fn f59_a_caller_who_stops_reading_is_dropped_and_its_answer_waits_at_its_server() {
    let script = Script::echo().tool("flood", Behaviour::Huge { bytes: 32 * 1024 * 1024 });
    let journal = Journal::start(script).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml =
        format!("servers: {{ up: {{ url: '{}' }} }}\nlimits: {{ unread_ms_max: 400 }}\n", journal.url());
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let flood = call_body("flood", &json!({}), &json!({})).to_string();
    let request = {
        let mut head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\n".to_owned();
        for (name, value) in modern_headers("flood") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        format!("{head}content-length: {}\r\n\r\n{flood}", flood.len())
    };
    let read = call(&gateway.mcp(), "flood", &json!({}), &json!({}), &[]).await;
    assert!(
        read.status == 200 && read.body.len() > 32 * 1024 * 1024,
        "control: whoever reads gets all of it"
    );
    let before = memory_kb(gateway.pid());
    let mut unread = Vec::new();
    for _ in 0..20 {
        let mut socket = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        unread.push(socket);
    }
    journal.wait_for_executions(21).await;
    // Nothing is read: 640 MB wait at their server, and never here.
    let control = call(&gateway.mcp(), "echo", &json!({}), &json!({}), &[]).await;
    assert_eq!(control.status, 200, "another caller is answered meanwhile");
    let grown = memory_kb(gateway.pid()).saturating_sub(before);
    assert!(grown < 100_000, "{grown} KB for twenty unread answers");
    soon(async {
        while !gateway_has_dropped(&gateway, &unread).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Resident memory of a process.
fn memory_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Whether no connection of these is open at the gateway any more.
async fn gateway_has_dropped(gateway: &Gateway, sockets: &[TcpStream]) -> bool {
    let open = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!("0100007F:{:04X}", gateway.port);
    sockets.iter().all(|socket| {
        let remote = format!("0100007F:{:04X}", socket.local_addr().unwrap().port());
        // ESTABLISHED is 01.
        !open.lines().any(|line| line.contains(&format!("{local} {remote} 01")))
    })
}

#[tokio::test]
async fn f61_callers_past_the_most_connections_wait_until_idle_ones_are_closed() {
    for (_journal, gateway, _folder) in
        two_gateways("limits: { connections_max: 4, head_ms_max: 400 }\n").await
    {
        let mut idle = Vec::new();
        for _ in 0..8 {
            idle.push(TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap());
        }
        let answer = soon(call(&gateway.mcp(), "echo", &json!({}), &json!({}), &[])).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        for socket in &mut idle {
            assert!(until_closed(socket).await.is_empty());
        }
    }
}

#[tokio::test]
async fn d4_a_request_that_two_readers_take_for_two_is_refused_and_never_forwarded() {
    for (journal, gateway, _folder) in two_gateways("").await {
        let body = body();
        let length = body.len();
        let smuggled = raw_call(&format!("content-length: {length}\r\n"), &body);
        let chunked = [format!("{length:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
        let refused: [(&str, String, &[u8]); 12] = [
            ("two lengths", format!("content-length: {length}\r\ncontent-length: 0\r\n"), &body),
            ("two lengths in one line", format!("content-length: {length}, 0\r\n"), &body),
            ("a signed length", format!("content-length: +{length}\r\n"), &body),
            ("a negative length", "content-length: -1\r\n".to_owned(), &body),
            ("a length in hexadecimal", format!("content-length: 0x{length:x}\r\n"), &body),
            ("chunks that are not last", "transfer-encoding: chunked, identity\r\n".to_owned(), &chunked),
            ("another coding", "transfer-encoding: xchunked\r\n".to_owned(), &chunked),
            ("a space before the colon", "transfer-encoding : chunked\r\n".to_owned(), &chunked),
            ("a folded line", format!("x-a: b\r\n content-length: 0\r\ncontent-length: {length}\r\n"), &body),
            ("a bare return", format!("x-a: b\rcontent-length: 0\r\ncontent-length: {length}\r\n"), &body),
            ("a control character", format!("x-a: b\0\r\ncontent-length: {length}\r\n"), &body),
            (
                "a chunk length that overflows",
                "transfer-encoding: chunked\r\n".to_owned(),
                b"fffffffffffffffff1\r\n",
            ),
        ];
        for (what, lines, bytes) in refused {
            let answer = exchange(gateway.port, &[raw_call(&lines, bytes), smuggled.clone()].concat()).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{what}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: answered and closed: {answer}");
            assert_eq!(journal.executions(), 0, "{what}");
        }
        let close = format!("content-length: {length}\r\nconnection: close\r\n");
        let good = exchange(gateway.port, &raw_call(&close, &body)).await;
        assert!(good.starts_with("HTTP/1.1 200"), "control: {good}");
        let in_chunks = exchange(
            gateway.port,
            &raw_call("transfer-encoding: chunked\r\nconnection: close\r\n", &chunked),
        )
        .await;
        assert!(in_chunks.starts_with("HTTP/1.1 200"), "control: {in_chunks}");
        assert_eq!(journal.executions(), 2);
    }
}

#[tokio::test]
async fn d4_a_request_with_a_length_and_chunks_is_read_by_its_chunks_alone() {
    for (journal, gateway, _folder) in two_gateways("").await {
        let body = body();
        let chunked = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
        for lines in [
            "content-length: 5\r\ntransfer-encoding: chunked\r\nconnection: close\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 500000\r\nconnection: close\r\n",
        ] {
            journal.clear();
            let answer = exchange(gateway.port, &raw_call(lines, &chunked)).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
            assert_eq!(journal.executions(), 1, "the server sees one request, framed anew");
        }
    }
}

#[tokio::test]
async fn d1_headers_have_a_bound_and_one_below_it_passes() {
    let world = World::paid_echo().await;
    let value = |bytes: usize| "x".repeat(bytes);
    let sent = async |bytes: usize| {
        let lines =
            format!("x-a: {}\r\ncontent-length: {}\r\nconnection: close\r\n", value(bytes), body().len());
        exchange(world.gateway.port, &raw_call(&lines, &body())).await
    };
    let huge = sent(1024 * 1024).await;
    assert!(huge.is_empty() || huge.starts_with("HTTP/1.1 431"), "{:.200}", huge);
    world.assert_untouched("a megabyte of headers").await;
    assert!(sent(8 * 1024).await.starts_with("HTTP/1.1 200"), "control");
    delivered(&world.paid_call("echo", &json!({})).await);
}

#[tokio::test]
async fn d6_texts_that_cost_a_reader_much_are_refused_or_read_and_the_next_call_is_answered() {
    let world = World::paid_echo().await;
    let shallow = json!({ "n": 1 });
    let with = |arguments: &str| {
        let body = call_body("echo", &json!("HERE"), &json!({})).to_string();
        body.replace("\"HERE\"", arguments)
    };
    let names: Vec<String> = (0..50_000).map(|index| format!("\"n{index}\":0")).collect();
    let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let post_raw = async |body: String| {
        let headers = modern_headers("echo");
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        send(Method::POST, &world.gateway.mcp(), &headers, Bytes::from(body)).await.unwrap()
    };
    for (what, arguments) in [
        ("deep", deep.as_str()),
        ("a long number", &format!("{{\"n\":{}}}", "9".repeat(1_000_000))),
        ("one name again and again", &format!("{{{}}}", ["\"a\":0"; 10_000].join(","))),
    ] {
        let refused = post_raw(with(arguments)).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "malformed_frame"), "{what}");
    }
    for (what, arguments) in [
        ("fifty thousand names", format!("{{{}}}", names.join(","))),
        ("long text", format!("{{\"a\":\"{}\"}}", "\u{1f469}\u{200d}\u{1f467}".repeat(50_000))),
    ] {
        let priced = post_raw(with(&arguments)).await;
        assert_eq!(priced.json().unwrap()["result"]["structuredContent"]["x402Version"], 2, "{what}");
    }
    // Compressed bodies are not opened, so none can blow up.
    let compressed = [("content-encoding", "gzip")];
    let zip = call(&world.gateway.mcp(), "echo", &shallow, &json!({}), &compressed).await;
    assert_eq!((zip.status.as_u16(), code(&zip).as_str()), (400, "header_mismatch"), "{}", zip.text());
    world.assert_untouched("costly texts").await;
    delivered(&world.paid_call("echo", &shallow).await);
}

#[tokio::test]
async fn n5_no_header_of_a_caller_chooses_the_server() {
    let world = World::paid_echo().await;
    let elsewhere = Journal::start(Script::echo()).await.unwrap();
    let other = elsewhere.address().to_string();
    let url = elsewhere.url();
    let lines = [
        ("x-forwarded-host", other.as_str()),
        ("x-forwarded-server", &other),
        ("x-original-url", &url),
        ("x-upstream", &url),
        ("forwarded", &format!("host={other}")),
        ("x-rewrite-url", &url),
    ];
    let arguments = json!({ "n": 1 });
    for line in lines {
        let meta = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
        delivered(&call(&world.gateway.mcp(), "echo", &arguments, &meta, &[line]).await);
    }
    // A target in absolute form names the gateway or nobody.
    let body = body();
    let absolute = |host: &str| {
        let call = raw_call(&format!("content-length: {}\r\nconnection: close\r\n", body.len()), &body);
        let text = String::from_utf8(call).unwrap();
        text.replace("POST /mcp", &format!("POST http://{host}/mcp"))
            .replace("host: localhost", &format!("host: {host}"))
    };
    let foreign =
        exchange(world.gateway.port, absolute(&other.replace("127.0.0.1", "10.0.0.1")).as_bytes()).await;
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
    let own = exchange(world.gateway.port, absolute("localhost").as_bytes()).await;
    assert!(own.starts_with("HTTP/1.1 200"), "control: {own}");
    assert_eq!(elsewhere.messages(), Vec::<String>::new(), "nobody was sent elsewhere");
    assert_eq!(world.journal.executions(), lines.len() as u64);
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE * lines.len() as u128);
}

#[tokio::test]
async fn m6_one_id_in_many_calls_at_once_brings_each_caller_its_own_answer() {
    let world =
        World::new(Script::echo().tool("wait", Behaviour::Hang), &[("echo", "{}"), ("wait", "{}")]).await;
    let mcp = world.gateway.mcp();
    let mut calls = tokio::task::JoinSet::new();
    for caller in 0..40 {
        let mcp = mcp.clone();
        // The body of every one says `"id":1`.
        calls.spawn(async move {
            let tool = if caller % 2 == 0 { "wait" } else { "echo" };
            let answer = call(&mcp, tool, &json!({ "caller": caller }), &json!({}), &[]).await;
            (caller, answer.json().unwrap())
        });
    }
    world.journal.wait_for_executions(40).await;
    world.journal.release();
    while let Some(done) = soon(calls.join_next()).await {
        let (caller, said) = done.unwrap();
        assert_eq!(said["id"], 1);
        assert_eq!(said["result"]["structuredContent"]["echo"], json!({ "caller": caller }), "{said}");
    }
    // What has no usable id gets nobody's answer.
    for id in [json!(null), json!(1.5), json!({}), json!([1])] {
        let mut body: Value = call_body("echo", &json!({}), &json!({}));
        body["id"] = id.clone();
        let headers = modern_headers("echo");
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let refused = send(Method::POST, &mcp, &headers, Bytes::from(body.to_string())).await.unwrap();
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "malformed_frame"), "{id}");
    }
    assert_eq!(world.journal.executions(), 40);
}

#[tokio::test]
async fn f57_a_call_in_pieces_of_one_byte_is_the_same_call() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let payment = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    let body = call_body("echo", &arguments, &payment).to_string();
    let request =
        raw_call(&format!("content-length: {}\r\nconnection: close\r\n", body.len()), body.as_bytes());
    let mut socket = TcpStream::connect(("127.0.0.1", world.gateway.port)).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for byte in &request {
        socket.write_all(std::slice::from_ref(byte)).await.unwrap();
    }
    let answer = until_closed(&mut socket).await;
    let (head, said) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let said: Value = serde_json::from_str(said).unwrap();
    assert_eq!(statement(&said["result"])["charged"], true);
    assert_eq!(said["result"]["structuredContent"]["echo"], arguments);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
}
