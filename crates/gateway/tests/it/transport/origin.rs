//! M1: a page of another site that was made to resolve to us reaches nothing.

use serde_json::json;
use tollgate_testkit::journal_server::{Journal, Script};

use super::Wire;
use crate::world::{World, call_body, modern_headers};

const FREE: &str = "{ price: [] }";

/// One request with these `Host` and `Origin` lines; its status and all that came.
async fn knock(world: &World, target: &str, lines: &[String]) -> (u16, String) {
    let post = target.ends_with("/mcp") || target.contains("/v1/execute") || target.starts_with("/gate");
    let body = call_body("echo", &json!({}), &json!({})).to_string();
    let (method, body) = if post { ("POST", body.as_str()) } else { ("GET", "") };
    let mut head = vec![format!("{method} {target} HTTP/1.1"), "connection: close".to_owned()];
    if post {
        head.extend(modern_headers("echo").iter().map(|(name, value)| format!("{name}: {value}")));
    }
    head.extend_from_slice(lines);
    let text = Wire::open(world.gateway.port, &head, body).await.rest().await;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {text}")), text)
}

async fn world() -> World {
    World::with(Script::echo(), &[("echo", FREE)], "hosts: ['gate.example:8443', plain.example]\n", &[]).await
}

const TARGETS: [&str; 5] = ["/mcp", "/servers/up/mcp", "/api/v1/tools", "/healthz", "/metrics"];

#[tokio::test]
async fn m1_a_foreign_host_is_refused_on_every_path() {
    let world = world().await;
    let port = world.gateway.port;
    let foreign = [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.rebind.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("evil-localhost:{port}"),
        "localhost.".to_owned(),
        format!("127.0.0.1.:{port}"),
        format!("[::2]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("[::1:{port}"),
        format!("0.0.0.0:{port}"),
        "2130706433".to_owned(),
        "0x7f000001".to_owned(),
        "127.1".to_owned(),
        format!("user@localhost:{port}"),
        format!("localhost:{port}@evil.example"),
        "localhost:99999".to_owned(),
        "localhost:+80".to_owned(),
        "localhost:".to_owned() + "8x",
        "gate.example".to_owned(),
        "gate.example:8444".to_owned(),
        "gate.example.:8443".to_owned(),
        "sub.plain.example".to_owned(),
        "null".to_owned(),
        String::new(),
    ];
    for target in TARGETS {
        for host in &foreign {
            let (status, text) = knock(&world, target, &[format!("host: {host}")]).await;
            assert!(status == 403 && text.contains("origin_refused"), "{target} {host:?}: {text}");
        }
        for lines in [vec![], vec!["host: localhost".to_owned(), "host: evil.example".to_owned()]] {
            let (status, text) = knock(&world, target, &lines).await;
            assert!([400, 403].contains(&status), "{target} {lines:?}: {text}");
        }
    }
    let absolute = format!("http://evil.example:{port}/healthz");
    let (status, _) = knock(&world, &absolute, &[format!("host: localhost:{port}")]).await;
    assert_eq!(status, 403, "the target names another host than the header");
    assert_eq!(world.journal.executions(), 0);

    let ours = [
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        "localhost".to_owned(),
        "gate.example:8443".to_owned(),
        "plain.example".to_owned(),
        "plain.example:9".to_owned(),
    ];
    for target in TARGETS {
        for host in &ours {
            let (status, text) = knock(&world, target, &[format!("host: {host}")]).await;
            assert_eq!(status, 200, "{target} {host}: {text}");
        }
    }
    let expected = u64::try_from(2 * ours.len()).unwrap();
    assert_eq!(world.journal.executions(), expected, "control: these calls ran");
}

#[tokio::test]
async fn m1_a_foreign_origin_is_refused_on_every_path() {
    let world = world().await;
    let port = world.gateway.port;
    let host = format!("host: 127.0.0.1:{port}");
    let foreign = [
        "null".to_owned(),
        String::new(),
        "http://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        format!("http://127.0.0.1.rebind.example:{port}"),
        "http://localhost.".to_owned(),
        format!("http://localhost.evil.example:{port}"),
        "http://[::2]".to_owned(),
        "http://user@localhost".to_owned(),
        "http://localhost/path".to_owned(),
        "http://localhost http://evil.example".to_owned(),
        "localhost".to_owned(),
        "//localhost".to_owned(),
        "file://".to_owned(),
        "ftp://localhost".to_owned(),
        "chrome-extension://abcdefghijklmnop".to_owned(),
        "https://gate.example".to_owned(),
        "https://gate.example:8444".to_owned(),
    ];
    for target in TARGETS {
        for origin in &foreign {
            let (status, text) = knock(&world, target, &[host.clone(), format!("origin: {origin}")]).await;
            assert!(status == 403 && text.contains("origin_refused"), "{target} {origin:?}: {text}");
        }
        let both = [host.clone(), format!("origin: http://localhost:{port}"), "origin: null".to_owned()];
        let (status, text) = knock(&world, target, &both).await;
        assert_eq!(status, 403, "{target}: two origins: {text}");
    }
    assert_eq!(world.journal.executions(), 0);

    let ours = [
        format!("http://localhost:{port}"),
        format!("http://127.0.0.1:{port}"),
        format!("http://[::1]:{port}"),
        "https://gate.example:8443".to_owned(),
        "https://plain.example".to_owned(),
    ];
    for target in TARGETS {
        for origin in &ours {
            let (status, text) = knock(&world, target, &[host.clone(), format!("origin: {origin}")]).await;
            assert_eq!(status, 200, "{target} {origin}: {text}");
        }
    }
    let expected = u64::try_from(2 * ours.len()).unwrap();
    assert_eq!(world.journal.executions(), expected, "control: these calls ran");
}

/// Paths of every other door, and of none.
const OTHERS: [&str; 14] = [
    "/servers/open/mcp",
    "/servers/sel/mcp",
    "/servers/tollgate/mcp",
    "/servers/nobody/mcp",
    "/api/v1/execute",
    "/v1/execute",
    "/gate/v1/authorize",
    "/admin/v1/servers",
    "/readyz",
    "/.well-known/jwks.json",
    "/docs/errors/unknown_tool",
    "/api/docs",
    "/dev/sandbox/balances/0x00000000000000000000000000000000000000aa",
    "/nothing/here",
];

#[tokio::test]
async fn m1_no_door_is_open_to_a_foreign_host_or_origin() {
    let open = Journal::start(Script::echo()).await.unwrap();
    let more = format!(
        "  open: {{ url: '{}' }}\nvirtual: {{ sel: {{ tools: [up/echo] }} }}\nbuiltin_tools: true\n\
         gate_api: {{ key: gate-key-of-a-test-0123456789abcdef }}\n",
        open.url()
    );
    let world = World::with(Script::echo(), &[("echo", FREE)], &more, &[]).await;
    // With an admin key there is an admin API.
    crate::control::admin_key(&world.gateway);
    let port = world.gateway.port;
    let own = format!("host: 127.0.0.1:{port}");
    let foreign = [
        vec!["host: evil.example".to_owned()],
        vec![format!("host: localhost.evil.example:{port}")],
        vec![own.clone(), "origin: null".to_owned()],
        vec![own.clone(), format!("origin: http://evil.example:{port}")],
    ];
    for target in OTHERS {
        for lines in &foreign {
            let (status, text) = knock(&world, target, lines).await;
            assert!(status == 403 && text.contains("origin_refused"), "{target} {lines:?}: {text}");
        }
        let (status, text) = knock(&world, target, std::slice::from_ref(&own)).await;
        assert_ne!(status, 403, "{target}, control: {text}");
    }
    assert_eq!(
        (open.executions(), world.journal.executions()),
        (1, 1),
        "control: the calls that were let in"
    );
}
