//! Servers that are down, hang, break off or answer nonsense: nothing is charged, and the payment is not lost.

mod endless;
mod programs;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script, Tool};
use tollgate_testkit::peers::port;

use crate::transport::Wire;
use crate::world::{
    Demand, Gateway, PRICE, PRICED, START, World, base64_encode, call, code, delivered, post, soon,
    statement, when_released,
};

/// One payment of each rail for the same call, as members of `_meta`.
async fn payments(world: &World, tool: &str) -> [Value; 2] {
    let x402 = world.x402_payment(tool, &json!({})).await;
    let l402 = world.l402_credential(tool, &json!({})).await;
    [json!({ "x402/payment": x402 }), json!({ "l402/authorization": l402 })]
}

/// Nothing was earned, nothing is held, nobody has paid by x402; Lightning money that came is still its holder's.
async fn assert_not_charged(world: &World, what: &str) {
    let gateway = &world.gateway;
    assert_eq!(gateway.account("payable:up"), [0; 4], "{what}: something was earned or is held");
    assert_eq!(world.payer_account(), [0, START, 0, 0], "{what}: x402 was settled or is held");
    assert_eq!(world.payer_balance().await, START, "{what}: the payer was charged");
    gateway.assert_books_in_order();
}

/// Both payments buy the call that they were made for, once.
async fn assert_both_pay(world: &World, tool: &str, payments: &[Value; 2]) {
    let executions = world.journal.executions();
    for payment in payments {
        let answer = when_released(async || world.call_with(tool, &json!({}), payment).await).await;
        assert_eq!(statement(&delivered(&answer))["charged"], true, "control");
    }
    assert_eq!(world.journal.executions(), executions + 2);
    assert_eq!(world.payer_balance().await, START - PRICE, "control: charged once");
    assert_eq!(world.payer_account(), [PRICE, START, 0, 0]);
    assert_eq!(world.gateway.account("clearing:l402"), [10_000, 0, 0, 0]);
    world.gateway.assert_books_in_order();
}

fn assert_fault(answer: &Answer, status: u16, word: &str, what: &str) {
    let body = answer.text();
    assert_eq!((answer.status.as_u16(), code(answer).as_str()), (status, word), "{what}: {body}");
    let said = answer.json().unwrap();
    assert_eq!(
        (&said["jsonrpc"], &said["id"]),
        (&json!("2.0"), &json!(1)),
        "{what}: a JSON-RPC error: {body}"
    );
    assert_eq!(said["error"]["data"]["retryable"], true, "{what}");
    assert!(!body.contains("127.0.0.1:") || body.contains("docs_url"), "{what}: inner detail: {body}");
    assert_eq!(said["result"], Value::Null, "{what}");
}

/// A port that leads to an upstream, or to nobody.
struct Road {
    port: u16,
    traffic: JoinSet<()>,
}

impl Road {
    fn closed() -> Self {
        Self { port: port::free().unwrap(), traffic: JoinSet::new() }
    }

    async fn open_to(&mut self, upstream: std::net::SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.traffic.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut far = TcpStream::connect(upstream).await.unwrap();
                connections
                    .spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await.ok() });
            }
        });
    }

    /// Closes the port and every connection.
    async fn close(&mut self) {
        self.traffic.shutdown().await;
    }
}

/// A world whose upstream is at the end of a road that is closed.
async fn at_the_end_of_a_road() -> (World, Road) {
    let road = Road::closed();
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let port = road.port;
    let yaml =
        format!("servers: {{ up: {{ url: 'http://127.0.0.1:{port}/mcp', tools: {{ echo: {PRICED} }} }} }}\n");
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    (World { journal, gateway, folder }, road)
}

#[tokio::test]
async fn f44_a_server_that_is_down_costs_nothing_and_is_found_again() {
    let (world, mut road) = at_the_end_of_a_road().await;
    let ready = get(&format!("{}/readyz", world.gateway.url), &[]).await.unwrap();
    assert_eq!(ready.status, 200, "one server that is down is not the gateway's end");
    let down = world.call("echo", &json!({})).await;
    assert_fault(&down, 502, "upstream_unreachable", "down at the start");
    assert_eq!(down.json().unwrap()["error"]["code"], -31_021);

    road.open_to(world.journal.address()).await;
    let payments = payments(&world, "echo").await;
    road.close().await;
    for payment in &payments {
        for attempt in 1..=2 {
            let down = world.call_with("echo", &json!({}), payment).await;
            assert_fault(&down, 502, "upstream_unreachable", &format!("attempt {attempt}"));
        }
    }
    let x402 = base64_encode(payments[0]["x402/payment"].to_string().as_bytes());
    let body = json!({ "tool_name": "echo", "arguments": {} });
    let rest =
        post(&format!("{}/api/v1/execute", world.gateway.url), &body, &[("payment-signature", &x402)]).await;
    assert_eq!((rest.status.as_u16(), code(&rest).as_str()), (502, "upstream_unreachable"));
    let listed = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let ping = post(&world.gateway.mcp(), &listed, &[("mcp-protocol-version", "2025-11-25")]).await;
    assert_fault(&ping, 502, "upstream_unreachable", "what is no call");
    // Five failures in a row: the server is given a rest, and every door says when to come back.
    assert_eq!(standing(&world.gateway).await["state"], "resting");
    for answer in [
        world.call("echo", &json!({})).await,
        world.call_with("echo", &json!({}), &payments[0]).await,
        world.call_with("echo", &json!({}), &payments[1]).await,
        post(&world.gateway.mcp(), &listed, &[("mcp-protocol-version", "2025-11-25")]).await,
    ] {
        assert_fault(&answer, 502, "upstream_unreachable", "resting");
        let after = answer.json().unwrap()["error"]["data"]["retry_after_ms"].as_u64().unwrap();
        assert!((1..=30_000).contains(&after), "{after}");
        assert!(answer.header("retry-after").is_some());
    }
    let listen = world.gateway.url.trim_start_matches("http://");
    std::fs::write(world.folder.path().join("empty.yaml"), "servers: {}\n").unwrap();
    let doctor = world.gateway.cli(&["doctor", "--config", "empty.yaml", "--listen", listen]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("✗ server up, as the running gateway sees it: "), "{said}");
    assert_eq!(world.journal.executions(), 0);
    assert_not_charged(&world, "down").await;

    road.open_to(world.journal.address()).await;
    taken_back(&world).await;
    assert_both_pay(&world, "echo", &payments).await;
    assert_eq!(
        standing(&world.gateway).await,
        json!({ "state": "ok", "failures_in_a_row": 0, "last_failure": "unreachable", "tools": 1 })
    );
}

/// How the gateway says that the server `up` is doing.
async fn standing(gateway: &Gateway) -> Value {
    let ready = get(&format!("{}/readyz", gateway.url), &[]).await.unwrap();
    ready.json().unwrap()["servers"]["up"].clone()
}

/// Asks for what costs nothing until the server has been given its trial and has passed it.
async fn taken_back(world: &World) {
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    soon(async {
        while standing(&world.gateway).await["state"] == "resting" {
            post(&world.gateway.mcp(), &ping, &[("mcp-protocol-version", "2025-11-25")]).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn f55_a_server_that_fails_half_of_the_time_is_given_a_rest_and_nothing_is_paid_or_sent_twice() {
    let script = Script::echo().tool("breaks", Behaviour::ResetMidBody);
    let world = World::new(script, &[("echo", PRICED), ("breaks", PRICED)]).await;
    let [x402, l402] = payments(&world, "breaks").await;
    let good = [world.x402_payment("echo", &json!({})).await, world.x402_payment("echo", &json!({})).await];
    world.journal.clear();
    // Never five failures in a row, so it is the share that tells.
    let is_resting = |answer: &Answer| answer.json().unwrap()["error"]["data"]["retry_after_ms"].is_u64();
    let listed = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let mut rounds = 0;
    let resting = soon(async {
        loop {
            for payment in [&x402, &l402] {
                let broken = world.call_with("breaks", &json!({}), payment).await;
                if is_resting(&broken) {
                    return broken;
                }
                assert_fault(&broken, 502, "upstream_broken", "not yet");
                rounds += 1;
                assert_eq!(world.journal.executions(), rounds, "what may have arrived is never sent again");
            }
            let legacy = [("mcp-protocol-version", "2025-11-25")];
            let well = post(&world.gateway.mcp(), &listed, &legacy).await;
            if is_resting(&well) {
                return well;
            }
        }
    })
    .await;
    assert_fault(&resting, 502, "upstream_unreachable", "resting");
    assert!(rounds >= 10, "half of at least 20 exchanges: {rounds}");
    let refused = world.call("echo", &json!({})).await;
    assert_fault(
        &refused,
        502,
        "upstream_unreachable",
        "nobody is asked to pay for a call that would not be sent",
    );
    let held = world.call_with("echo", &json!({}), &json!({ "x402/payment": good[0] })).await;
    assert_fault(&held, 502, "upstream_unreachable", "paid");
    assert_eq!(world.journal.executions(), rounds);
    assert_not_charged(&world, "flapping").await;

    taken_back(&world).await;
    delivered(&world.call_with("echo", &json!({}), &json!({ "x402/payment": good[0] })).await);
    // While it answers, a payment that was used already brings its stored result, and so it does while the server rests.
    let again = world.call_with("echo", &json!({}), &json!({ "x402/payment": good[0] })).await;
    assert_eq!(delivered(&again)["structuredContent"]["echo"], json!({}));
    delivered(&world.call_with("echo", &json!({}), &json!({ "x402/payment": good[1] })).await);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f55_a_resting_server_still_has_its_stored_answers_given_out() {
    let (world, mut road) = at_the_end_of_a_road().await;
    road.open_to(world.journal.address()).await;
    let payment = json!({ "x402/payment": world.x402_payment("echo", &json!({})).await });
    let first = delivered(&world.call_with("echo", &json!({}), &payment).await);
    road.close().await;
    soon(async {
        while standing(&world.gateway).await["state"] != "resting" {
            let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
            post(&world.gateway.mcp(), &ping, &[("mcp-protocol-version", "2025-11-25")]).await;
        }
    })
    .await;
    let again = delivered(&world.call_with("echo", &json!({}), &payment).await);
    assert_eq!(again["structuredContent"], first["structuredContent"]);
    // The control: a call that is not on the books is refused.
    assert_fault(&world.call("echo", &json!({})).await, 502, "upstream_unreachable", "control");
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.payer_balance().await, START - PRICE);
}

#[tokio::test]
async fn f44_a_name_that_does_not_resolve_or_a_port_that_speaks_no_tls_is_a_server_that_is_down() {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (name, tls) = ("http://nowhere.invalid/mcp", journal.url().replace("http:", "https:"));
    let policy = format!("tools: {{ echo: {PRICED} }}");
    let yaml = format!(
        "servers:\n  name: {{ url: '{name}', {policy} }}\n  tls: {{ url: '{tls}', {policy} }}\n  open: {{ url: '{tls}' }}\n  up: {{ url: '{}', {policy} }}\n",
        journal.url()
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let world = World { journal, gateway: Gateway::dev(folder.path()).await, folder };
    let at = async |server: &str| {
        let url = format!("{}/servers/{server}/mcp", world.gateway.url);
        call(&url, "echo", &json!({}), &json!({}), &[]).await
    };
    for server in ["name", "tls"] {
        assert_fault(&at(server).await, 502, "upstream_unreachable", server);
    }
    let open = at("open").await;
    assert_eq!(
        (open.status.as_u16(), code(&open).as_str()),
        (502, "upstream_unreachable"),
        "without a policy"
    );
    world.assert_untouched("F44").await;
    Demand::read(&at("up").await);
}

#[tokio::test]
async fn f45_a_tool_that_hangs_is_given_up_at_its_deadline_and_costs_nothing() {
    let script = Script::new().tool("slow", Behaviour::Hang).tool("stream", Behaviour::Progress { steps: 1 });
    let policy = "{ price: [0.01USDC, 10sat], deadline_ms: 2000 }";
    let world = World::new(script, &[("slow", policy)]).await;
    let payments = payments(&world, "slow").await;
    for (count, payment) in (1..).zip(&payments) {
        let late = world.call_with("slow", &json!({}), payment).await;
        assert_fault(&late, 504, "upstream_timed_out", "MCP");
        soon(world.journal.wait_for_abandoned(count)).await;
    }
    let x402 = base64_encode(payments[0]["x402/payment"].to_string().as_bytes());
    let body = json!({ "tool_name": "slow", "arguments": {} });
    let rest =
        post(&format!("{}/api/v1/execute", world.gateway.url), &body, &[("payment-signature", &x402)]).await;
    assert_eq!(
        (rest.status.as_u16(), code(&rest).as_str()),
        (504, "upstream_timed_out"),
        "REST: {}",
        rest.text()
    );
    soon(world.journal.wait_for_abandoned(3)).await;
    assert_eq!(world.journal.executions(), 3);
    assert_not_charged(&world, "timed out").await;

    world.journal.release();
    assert_both_pay(&world, "slow", &payments).await;
}

#[tokio::test]
async fn f45_a_stream_that_stops_is_given_up_at_its_deadline_too() {
    let script = Script::new().tool("stream", Behaviour::Progress { steps: 2 });
    let world = World::new(script, &[("stream", "{ price: [0.01USDC, 10sat], deadline_ms: 2000 }")]).await;
    let payments = payments(&world, "stream").await;
    for (count, payment) in (1..).zip(&payments) {
        world.journal.step(1);
        let answer = world.call_with("stream", &json!({}), payment).await;
        let last = last_message(&answer);
        assert_eq!(last["error"]["data"]["error"], "upstream_timed_out", "{last}");
        assert_eq!((&last["id"], &last["result"]), (&json!(1), &Value::Null));
        soon(world.journal.wait_for_abandoned(count)).await;
    }
    assert_not_charged(&world, "timed out in a stream").await;
    world.journal.replace_tools(vec![Tool::new("stream", Behaviour::Echo)]);
    assert_both_pay(&world, "stream", &payments).await;
}

/// The last message of a stream of events.
fn last_message(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{}", answer.text());
    let text = answer.text();
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
    serde_json::from_str(last.unwrap_or_else(|| panic!("no message: {text}"))).unwrap()
}

#[tokio::test]
async fn f46_an_answer_that_breaks_off_reaches_nobody_and_costs_nothing() {
    for behaviour in [Behaviour::HalfClose, Behaviour::ResetMidBody, Behaviour::TruncatedChunk] {
        let what = format!("{behaviour:?}");
        let world = World::new(Script::new().tool("breaks", behaviour), &[("breaks", PRICED)]).await;
        let payments = payments(&world, "breaks").await;
        for (count, payment) in (1..).zip(&payments) {
            let broken = world.call_with("breaks", &json!({}), payment).await;
            assert_fault(&broken, 502, "upstream_broken", &what);
            assert!(!broken.text().contains("\"hal"), "{what}: a part of the answer: {}", broken.text());
            assert_eq!(world.journal.executions(), count, "{what}: a paid call is not sent twice");
        }
        assert_not_charged(&world, &what).await;
        world.journal.replace_tools(vec![Tool::new("breaks", Behaviour::Echo)]);
        assert_both_pay(&world, "breaks", &payments).await;
    }
}

#[tokio::test]
async fn f46_a_stream_that_breaks_off_ends_in_an_error_and_costs_nothing() {
    let script = Script::new().tool("breaks", Behaviour::ProgressThenReset { steps: 2 });
    let world = World::new(script, &[("breaks", PRICED)]).await;
    let payments = payments(&world, "breaks").await;
    for (count, payment) in (1..).zip(&payments) {
        let mut wire = Wire::call(&world, "breaks", payment).await;
        world.journal.step(1);
        wire.until("\"progress\":1").await;
        // The reset may overtake what was sent just before it.
        world.journal.step(1);
        wire.until("\r\n0\r\n\r\n").await;
        let messages = wire.messages();
        let last = messages.last().unwrap();
        assert_eq!(last["error"]["data"]["error"], "upstream_broken", "{last}");
        assert_eq!((&last["id"], &last["result"]), (&json!(1), &Value::Null));
        assert_eq!(world.journal.executions(), count);
    }
    assert_not_charged(&world, "a stream that broke off").await;
    world.journal.replace_tools(vec![Tool::new("breaks", Behaviour::Echo)]);
    assert_both_pay(&world, "breaks", &payments).await;
}

#[tokio::test]
async fn f52_a_tool_that_fails_costs_nothing_and_its_words_arrive() {
    let failing = json!({ "content": [{ "type": "text", "text": "no" }], "isError": true, "z": 1 });
    let behaviours = [
        ("isError", Behaviour::Result(failing.clone())),
        ("a JSON-RPC error", Behaviour::Error { code: -32_000, message: "down".to_owned() }),
        (
            "a JSON-RPC error with a status",
            raw(
                500,
                "application/json",
                r#"{"jsonrpc":"2.0","id":{id},"error":{"code":-32000,"message":"down"}}"#,
            ),
        ),
        (
            "a question back",
            Behaviour::Result(
                json!({ "resultType": "input_required", "inputRequests": {}, "requestState": "s" }),
            ),
        ),
    ];
    for (what, behaviour) in behaviours {
        let world = World::new(Script::new().tool("fails", behaviour), &[("fails", PRICED)]).await;
        let payments = payments(&world, "fails").await;
        for (count, payment) in (1..).zip(&payments) {
            let answer = world.call_with("fails", &json!({}), payment).await;
            let said = answer.json().unwrap();
            if what.starts_with("a JSON-RPC error") {
                assert_eq!(said["error"], json!({ "code": -32_000, "message": "down" }), "{what}");
                assert_eq!(answer.status, if what.ends_with("status") { 500 } else { 200 }, "{what}");
            } else {
                let receipt = statement(&said["result"]);
                let told = (&receipt["charged"], &receipt["outcome"], &receipt["settlement"]);
                assert_eq!(told, (&json!(false), &json!("failed"), &json!("voided")), "{what}");
                // A state goes back to this caller alone, so it carries a tag.
                let state = said["result"]["requestState"].as_str().unwrap_or_default();
                assert!(said["result"]["z"] == 1 || state.starts_with("s."), "{what}: {said}");
            }
            assert_eq!(world.journal.executions(), count, "{what}");
        }
        assert_not_charged(&world, what).await;
        world.journal.replace_tools(vec![Tool::new("fails", Behaviour::Echo)]);
        assert_both_pay(&world, "fails", &payments).await;
    }
}

fn raw(status: u16, content_type: &str, body: &str) -> Behaviour {
    Behaviour::Raw { status, content_type: content_type.to_owned(), body: body.to_owned() }
}

#[tokio::test]
async fn an_answer_that_is_none_is_not_paid_for_and_not_passed_on() {
    let json = "application/json";
    let result = r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[],"secret":"s3cr3t"}}"#;
    let cases = [
        ("no JSON", raw(200, json, "s3cr3t")),
        ("half of it", raw(200, json, &result[..result.len() - 2])),
        ("a trailing comma", raw(200, json, &result.replace("[]", "[],"))),
        ("another id", raw(200, json, &result.replace("{id}", "999"))),
        ("its id as text", raw(200, json, &result.replace("{id}", "\"{id}\""))),
        ("no id", raw(200, json, &result.replace(r#""id":{id},"#, ""))),
        ("null for an id", raw(200, json, &result.replace("{id}", "null"))),
        ("two answers", raw(200, json, &result.repeat(2))),
        ("an answer and a half", raw(200, json, &format!("{result}{{"))),
        ("an array", raw(200, json, &format!("[{result}]"))),
        (
            "a result and an error",
            raw(200, json, &result.replace(r#""result""#, r#""error":{"code":1,"message":""},"result""#)),
        ),
        (
            "two results",
            raw(200, json, &result.replace(r#""result""#, r#""result":{"isError":true},"result""#)),
        ),
        (
            "success and failure",
            raw(200, json, &result.replace("[]", r#"[],"isError":false,"isError":true"#)),
        ),
        ("another version", raw(200, json, &result.replace("2.0", "1.0"))),
        ("invalid characters", raw(200, json, &result.replace("s3cr3t", "\\ud800 s3cr3t"))),
        ("a byte order mark", raw(200, json, &format!("\u{feff}{result}"))),
        ("a page", raw(200, "text/html", result)),
        ("no type", raw(200, "", result)),
        ("nothing", raw(200, json, "")),
        ("nothing yet", raw(202, json, "")),
        ("no content", raw(204, json, "")),
        ("no answer among the events", raw(200, "text/event-stream", ": s3cr3t\n\n")),
        ("half an event", raw(200, "text/event-stream", &format!("data: {result}\n"))),
        (
            "an event of another name",
            raw(200, "text/event-stream", &format!("event: other\ndata: {result}\n\n")),
        ),
        (
            "an event for another request",
            raw(200, "text/event-stream", &format!("data: {}\n\n", result.replace("{id}", "999"))),
        ),
    ];
    let script = Script::new().tool("odd", Behaviour::Echo);
    let world = World::new(script, &[("odd", PRICED)]).await;
    let payments = payments(&world, "odd").await;
    for (what, behaviour) in cases {
        world.journal.replace_tools(vec![Tool::new("odd", behaviour)]);
        world.journal.clear();
        for (count, payment) in (1..).zip(&payments) {
            let answer = world.call_with("odd", &json!({}), payment).await;
            let text = answer.text();
            assert!(
                !text.contains("\"content\"") && !text.contains("\"result\""),
                "{what} was passed on: {text}"
            );
            let is_stream = answer.header("content-type") == Some("text/event-stream");
            let said = if is_stream { last_message(&answer) } else { answer.json().unwrap() };
            assert_eq!(said["error"]["data"]["error"], "upstream_broken", "{what}: {text}");
            assert!(is_stream || answer.status == 502, "{what}: {}", answer.status);
            assert_eq!(world.journal.executions(), count, "{what}");
        }
        assert_not_charged(&world, what).await;
    }
    world.journal.replace_tools(vec![Tool::new("odd", raw(200, json, result))]);
    assert_both_pay(&world, "odd", &payments).await;
}

#[tokio::test]
async fn a_result_that_is_no_object_is_not_paid_for() {
    let world = World::new(Script::new().tool("odd", Behaviour::Echo), &[("odd", PRICED)]).await;
    let payments = payments(&world, "odd").await;
    for result in ["null", "true", "7", "\"paid\"", "[]"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{{id}},"result":{result}}}"#);
        world.journal.replace_tools(vec![Tool::new("odd", raw(200, "application/json", &body))]);
        for payment in &payments {
            let answer = world.call_with("odd", &json!({}), payment).await;
            assert!(answer.json().is_ok(), "{result}: {}", answer.text());
        }
        assert_not_charged(&world, result).await;
    }
    assert_eq!(world.journal.executions(), 10);
    world.journal.replace_tools(vec![Tool::new("odd", Behaviour::Echo)]);
    assert_both_pay(&world, "odd", &payments).await;
}

#[tokio::test]
async fn a_refusal_of_the_server_passes_and_costs_nothing() {
    let world = World::new(Script::new().tool("odd", Behaviour::Echo), &[("odd", PRICED)]).await;
    let payments = payments(&world, "odd").await;
    // 401 is about a credential, and the caller's ends at the gateway: see `origins`.
    for status in [400, 403, 404, 429, 500, 503] {
        world.journal.replace_tools(vec![Tool::new("odd", raw(status, "text/plain", "its own words"))]);
        for payment in &payments {
            let answer = world.call_with("odd", &json!({}), payment).await;
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, "its own words"));
        }
        assert_not_charged(&world, "refused").await;
    }
    world.journal.replace_tools(vec![Tool::new("odd", Behaviour::Echo)]);
    assert_both_pay(&world, "odd", &payments).await;
}

#[tokio::test]
async fn an_answer_past_the_limit_is_withheld_and_costs_nothing() {
    let script = Script::new().tool("huge", Behaviour::Huge { bytes: 10_000 });
    let world = World::with(script, &[("huge", PRICED)], "limits: { answer_bytes_max: 10000 }\n", &[]).await;
    let payments = payments(&world, "huge").await;
    for (count, payment) in (1..).zip(&payments) {
        let refused = world.call_with("huge", &json!({}), payment).await;
        assert_fault(&refused, 502, "upstream_broken", "JSON");
        assert!(refused.body.len() < 2_000, "a part of it was passed on");
        assert_eq!(world.journal.executions(), count);
    }
    let x402 = base64_encode(payments[0]["x402/payment"].to_string().as_bytes());
    let body = json!({ "tool_name": "huge", "arguments": {} });
    let rest =
        post(&format!("{}/api/v1/execute", world.gateway.url), &body, &[("payment-signature", &x402)]).await;
    assert_eq!(
        (rest.status.as_u16(), code(&rest).as_str()),
        (502, "upstream_broken"),
        "REST: {}",
        rest.text()
    );
    let event = format!(
        "data: {{\"jsonrpc\":\"2.0\",\"id\":{{id}},\"result\":{{\"x\":\"{}\"}}}}\n\n",
        "x".repeat(10_000)
    );
    world.journal.replace_tools(vec![Tool::new("huge", raw(200, "text/event-stream", &event))]);
    assert_fault(
        &world.call_with("huge", &json!({}), &payments[0]).await,
        502,
        "upstream_broken",
        "an event",
    );
    assert_not_charged(&world, "huge").await;

    world.journal.replace_tools(vec![Tool::new("huge", Behaviour::Huge { bytes: 9_000 })]);
    assert_both_pay(&world, "huge", &payments).await;
}
