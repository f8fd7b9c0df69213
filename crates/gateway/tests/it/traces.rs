//! Traces and metrics at a collector: one trace from the client to the server, nothing in it that does not belong there, and
//! a collector that fails harms nobody.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tollgate_testkit::http::{get, send};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};
use tollgate_testkit::otlp::{Collector, Span};

use crate::world::{Gateway, PRICED, World, call, call_body, code, delivered, modern_headers, post, soon};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// The client's span, as its message says.
const IN_META: &str = "00f067aa0ba902b7";
/// The span of its transport.
const IN_HEADER: &str = "b7ad6b7169203331";

fn parent(span: &str, flags: &str) -> String {
    format!("00-{TRACE}-{span}-{flags}")
}

/// The settings of a gateway that sends to this collector without delay.
fn sending_to(collector: &Collector) -> Vec<(&'static str, String)> {
    vec![("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()), ("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned())]
}

async fn world(script: Script, policies: &[(&str, &str)], more: &str, settings: &[(&str, String)]) -> World {
    let environment: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    World::with(script, policies, more, &environment).await
}

/// Waits for this many spans that answer requests, with all that belongs to them.
async fn spans(collector: &Collector, servers: usize) -> Vec<Span> {
    let count = |collector: &Collector| collector.spans().iter().filter(|span| span.kind == "SERVER").count();
    soon(collector.wait_until(|collector| count(collector) >= servers)).await;
    collector.spans()
}

fn only<'a>(spans: &'a [Span], what: &str, is_it: impl Fn(&Span) -> bool) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| is_it(span)).collect();
    assert_eq!(found.len(), 1, "{what}: {spans:#?}");
    found[0]
}

fn attributes<'a>(span: &'a Span, keys: &[&str]) -> Vec<Option<&'a str>> {
    keys.iter().map(|key| span.attributes.get(*key).map(String::as_str)).collect()
}

async fn stopped(gateway: &Gateway) {
    let pid = gateway.pid();
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGTERM).unwrap();
    soon(async {
        while std::fs::exists(format!("/proc/{pid}")).unwrap() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_paid_call_is_one_trace_from_its_client_to_its_server() {
    let collector = Collector::start().await.unwrap();
    let world = world(Script::echo(), &[("echo", PRICED)], "", &sending_to(&collector)).await;
    let arguments = json!({ "secret": "argument-canary", "n": 12.50 });
    let payment = world.x402_payment("echo", &arguments).await;
    let meta = json!({
        "x402/payment": payment,
        "traceparent": parent(IN_META, "01"),
        "tracestate": "vendor=client",
    });
    let header = parent(IN_HEADER, "01");
    let answer = call(&world.gateway.mcp(), "echo", &arguments, &meta, &[("traceparent", &header)]).await;
    delivered(&answer);
    let spans = spans(&collector, 2).await;

    let refused = only(&spans, "the demand to pay", |span| span.kind == "SERVER" && span.trace != TRACE);
    assert_eq!((refused.parent.as_str(), refused.failed), ("", true));
    assert_eq!(
        attributes(refused, &["error.type", "tollgate.outcome", "gen_ai.tool.name"]),
        [Some("payment_required"), Some("payment_required"), Some("echo")]
    );

    let served = only(&spans, "the call", |span| span.kind == "SERVER" && span.trace == TRACE);
    assert_eq!((served.name.as_str(), served.failed), ("tools/call echo", false));
    assert_eq!(served.parent, IN_META, "what the message says counts");
    assert_eq!(served.links, [IN_HEADER], "what the transport says is linked");
    assert_eq!(served.state, "vendor=client");
    let call_id = served.attributes["tollgate.call"].clone();
    let expected: BTreeMap<String, String> = [
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "echo"),
        ("jsonrpc.request.id", "1"),
        ("mcp.method.name", "tools/call"),
        ("mcp.protocol.version", "2026-07-28"),
        ("network.protocol.name", "http"),
        ("network.transport", "tcp"),
        ("tollgate.amount", "10000"),
        ("tollgate.asset", served.attributes["tollgate.asset"].as_str()),
        ("tollgate.call", call_id.as_str()),
        ("tollgate.charged", "true"),
        ("tollgate.outcome", "delivered"),
        ("tollgate.rail", "x402"),
        ("tollgate.server", "up"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    assert_eq!(served.attributes, expected, "this and nothing else is said of a call");

    let below: Vec<&str> =
        spans.iter().filter(|span| span.parent == served.id).map(|span| span.name.as_str()).collect();
    assert_eq!(below, ["authorize", "hold", "tools/call echo", "settle"], "the stations, in their order");
    let asked = only(&spans, "the request to the server", |span| span.kind == "CLIENT");
    assert_eq!((asked.trace.as_str(), asked.parent.as_str()), (TRACE, served.id.as_str()));
    let expected: BTreeMap<String, String> = [
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "echo"),
        ("mcp.method.name", "tools/call"),
        ("network.transport", "tcp"),
        ("tollgate.server", "up"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    assert_eq!(asked.attributes, expected);

    let calls = world.journal.calls();
    let [arrived] = &calls[..] else { panic!("one call: {calls:?}") };
    let below_ours = format!("00-{TRACE}-{}-01", asked.id);
    assert_eq!(arrived.header("traceparent"), Some(below_ours.as_str()));
    assert_eq!(arrived.header("tracestate"), Some("vendor=client"));
    // The payment was taken out of this message: it is another one, and says the same as its header.
    let body: Value = serde_json::from_slice(&arrived.body).unwrap();
    assert_eq!(body["params"]["_meta"]["traceparent"], below_ours);
    assert!(body["params"]["_meta"].get("x402/payment").is_none());
    assert_eq!(arrived.arguments, arguments.to_string(), "arguments stay byte for byte");

    stopped(&world.gateway).await;
    let metrics = collector.metrics();
    let measured = |name: &str, failed: Option<&str>| {
        let found = metrics.iter().find(|metric| {
            metric.name == name && metric.attributes.get("error.type").map(String::as_str) == failed
        });
        found.map(|metric| (metric.unit.as_str(), metric.count))
    };
    assert_eq!(measured("mcp.server.operation.duration", None), Some(("s", 1)));
    assert_eq!(measured("mcp.server.operation.duration", Some("payment_required")), Some(("s", 1)));
    assert_eq!(measured("mcp.client.operation.duration", None), Some(("s", 1)));
    assert_eq!(collector.resource()["service.name"], "tollgate");
    let signature = payment["payload"]["signature"].as_str().unwrap().trim_start_matches("0x");
    let payer = world.payer_address().to_lowercase();
    for (what, secret) in
        [("an argument", "argument-canary"), ("a signature", signature), ("who called", payer.as_str())]
    {
        let told = collector.bodies().iter().any(|body| {
            body.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret.as_bytes()))
        });
        assert!(!told, "{what} was sent to the collector");
    }
}

#[tokio::test]
async fn who_called_is_said_only_where_the_operator_wants_it_and_a_failed_tool_is_an_error() {
    let collector = Collector::start().await.unwrap();
    let more = format!(
        "telemetry:\n  callers: true\n  otlp: {{ endpoint: '{}', headers: {{ x-tenant: one }} }}\n",
        collector.url()
    );
    let script = Script::new().tool("fail", Behaviour::Fail("it failed".to_owned()));
    let settings = [("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned())];
    let world = world(script, &[("fail", "{}")], &more, &settings).await;
    let answer = world.call("fail", &json!({})).await;
    assert_eq!(answer.json().unwrap()["result"]["isError"], true);
    let spans = spans(&collector, 1).await;
    let served = only(&spans, "the call", |span| span.kind == "SERVER");
    assert!(served.failed);
    assert_eq!(
        attributes(served, &["error.type", "tollgate.caller", "tollgate.outcome"]),
        [Some("tool_error"), Some("anonymous"), Some("tool_failed")]
    );
    assert!(only(&spans, "the request to the server", |span| span.kind == "CLIENT").failed);
    assert!(collector.headers().iter().all(|headers| headers["x-tenant"] == "one"));
}

#[tokio::test]
async fn a_message_that_is_passed_on_stays_byte_for_byte_and_the_caller_decides_whether_it_is_traced() {
    let collector = Collector::start().await.unwrap();
    let open = Journal::start(Script::echo()).await.unwrap();
    let more = format!("  open: {{ url: '{}' }}\n", open.url());
    let world = world(Script::echo(), &[("echo", "{}")], &more, &sending_to(&collector)).await;
    let body = call_body("echo", &json!({ "n": 1 }), &json!({ "traceparent": parent(IN_META, "00") }));
    let body = serde_json::to_string_pretty(&body).unwrap();
    let unsampled = parent(IN_HEADER, "00");
    let mut headers = modern_headers("echo");
    headers.push(("traceparent".to_owned(), unsampled.clone()));
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for server in ["up", "open"] {
        let url = format!("{}/servers/{server}/mcp", world.gateway.url);
        delivered(&send(Method::POST, &url, &headers, Bytes::from(body.clone())).await.unwrap());
    }
    let (policed, unread) = (world.journal.calls(), open.calls());
    let ([policed], [unread]) = (&policed[..], &unread[..]) else { panic!("one call each") };
    assert_eq!((&policed.body[..], &unread.body[..]), (body.as_bytes(), body.as_bytes()));
    let told = policed.header("traceparent").unwrap();
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
    assert!(
        !told.contains(IN_HEADER) && !told.contains(IN_META),
        "it is below a span of the gateway's: {told}"
    );
    assert_eq!(unread.header("traceparent"), Some(unsampled.as_str()), "without a policy nothing is changed");

    // Positive control: another trace is sent, and it is the only one that arrives.
    let up = format!("{}/servers/up/mcp", world.gateway.url);
    delivered(&call(&up, "echo", &json!({}), &json!({}), &[]).await);
    let list = json!({ "jsonrpc": "2.0", "id": "l", "method": "tools/list",
        "params": { "_meta": call_body("echo", &json!({}), &json!({}))["params"]["_meta"] } });
    let listed = ["mcp-protocol-version: 2026-07-28", "mcp-method: tools/list"];
    let listed: Vec<(&str, &str)> = listed.iter().filter_map(|line| line.split_once(": ")).collect();
    let accept = ("accept", "application/json, text/event-stream");
    let listed: Vec<(&str, &str)> = listed.into_iter().chain([accept]).collect();
    let answer = post(&up, &list, &listed).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let spans = spans(&collector, 2).await;
    assert!(spans.iter().all(|span| span.trace != TRACE), "{spans:#?}");
    let list = only(&spans, "the list", |span| span.kind == "SERVER" && span.name == "tools/list");
    assert_eq!(attributes(list, &["jsonrpc.request.id", "gen_ai.operation.name"]), [Some("l"), None]);
    only(&spans, "the list from the server", |span| span.kind == "CLIENT" && span.parent == list.id);
}

#[tokio::test]
async fn a_call_over_plain_http_is_part_of_the_trace_in_its_headers() {
    let collector = Collector::start().await.unwrap();
    let world = world(Script::echo(), &[("echo", "{}")], "", &sending_to(&collector)).await;
    let url = format!("{}/api/v1/execute", world.gateway.url);
    let header = parent(IN_HEADER, "01");
    let call = json!({ "tool_name": "echo", "arguments": { "n": 1 } });
    soon(async {
        while code_or_none(&post(&url, &call, &[("traceparent", &header)]).await).is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let is_done = |span: &Span| span.kind == "SERVER" && !span.failed;
    soon(collector.wait_until(|collector| collector.spans().iter().any(is_done))).await;
    let spans = collector.spans();
    let served = only(&spans, "the call", is_done);
    assert_eq!((served.name.as_str(), served.parent.as_str()), ("execute_tool echo", IN_HEADER));
    let asked = only(&spans, "the request to the server", |span| span.kind == "CLIENT");
    let calls = world.journal.calls();
    let [arrived] = &calls[..] else { panic!("one call: {calls:?}") };
    let below_ours = format!("00-{TRACE}-{}-01", asked.id);
    assert_eq!(arrived.header("traceparent"), Some(below_ours.as_str()));
    let body: Value = serde_json::from_slice(&arrived.body).unwrap();
    assert_eq!(body["params"]["_meta"]["traceparent"], below_ours, "the gateway's own message says it too");
    assert_eq!(arrived.arguments, r#"{"n":1}"#);
}

/// The code of a refusal, if it is one: the tools of a server are known a moment after the start.
fn code_or_none(answer: &tollgate_testkit::http::Answer) -> Option<String> {
    (answer.status != 200).then(|| code(answer))
}

#[tokio::test]
async fn f64_a_collector_that_never_answers_holds_up_no_call_and_what_it_misses_is_counted() {
    let collector = Collector::silent().await.unwrap();
    let mut settings = sending_to(&collector);
    settings.push(("OTEL_BSP_MAX_QUEUE_SIZE", "4".to_owned()));
    let world = world(Script::echo(), &[("echo", "{}")], "", &settings).await;
    delivered(&world.call("echo", &json!({})).await);
    soon(collector.wait_until(|collector| collector.requests() >= 1)).await;
    // It has a request that it will not answer; every further call finds nobody who empties the queue.
    for n in 0..20 {
        delivered(&world.call("echo", &json!({ "n": n })).await);
    }
    let page = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
    let lost =
        page.lines().find_map(|line| line.strip_prefix("tollgate_telemetry_lost_total{signal=\"spans\"} "));
    let lost: u64 = lost.expect("the counter is served").parse().unwrap();
    assert!(lost >= 20, "twenty calls and room for four spans: {lost} were lost");
    assert!(
        page.contains("tollgate_calls_total{server=\"up\",tool=\"echo\",outcome=\"delivered\"} 21"),
        "{page}"
    );
    stopped(&world.gateway).await;
    let log = world.gateway.whole_log();
    assert!(
        !log.contains("drain limit"),
        "the collector takes no more than its own part of the drain: {log}"
    );
}
