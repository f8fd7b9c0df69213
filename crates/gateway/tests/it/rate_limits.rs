//! Limits on how often callers may come, at a running gateway: whom they tell apart, what a refusal says, and that it costs
//! nobody anything.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_testkit::http::{Answer, get, send};
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::paid_calls::{api_key, until_known};
use crate::world::{Demand, PRICE, PRICED, START, World, call, code, delivered, post, soon};

const FREE: &str = "{ price: [] }";
const PROXIED: &str = "trusted_proxies: { addresses: [127.0.0.1] }\n";

/// A call that a proxy passes on for a client at this address.
async fn call_from(world: &World, address: &str, tool: &str, arguments: &Value, meta: &Value) -> Answer {
    call(&world.gateway.mcp(), tool, arguments, meta, &[("x-forwarded-for", address)]).await
}

/// How many of so many calls, one after the other, are delivered; the others must be limited.
async fn admitted(calls: usize, one: impl AsyncFn() -> Answer) -> usize {
    let mut admitted = 0;
    for _ in 0..calls {
        let answer = one().await;
        if answer.status == 429 {
            assert_eq!(code(&answer), "rate_limited");
        } else {
            delivered(&answer);
            admitted += 1;
        }
    }
    admitted
}

fn free_call<'w>(world: &'w World, address: &'w str, tool: &'w str) -> impl AsyncFn() -> Answer + 'w {
    async move || call_from(world, address, tool, &json!({}), &json!({})).await
}

#[tokio::test]
async fn limits_on_caller_tool_server_and_gateway_hold_side_by_side() {
    let script = Script::echo().tool("heavy", Behaviour::Echo).tool("other", Behaviour::Echo);
    let policies = [("echo", "{ rates: [{ rate: 3/hour }] }"), ("heavy", "{ weight: 4 }"), ("other", FREE)];
    let more = format!(
        "    rates: [{{ rate: 12/hour, per: caller, name: up for each }}]\n\
         limits: {{ rates: [{{ rate: 1000/hour, burst: 20, per: all }}] }}\n{PROXIED}"
    );
    let world = World::with(script, &policies, &more, &[]).await;
    assert_eq!(admitted(5, free_call(&world, "192.0.2.1", "echo")).await, 3, "the tool's own limit");
    assert_eq!(
        admitted(5, free_call(&world, "192.0.2.1", "heavy")).await,
        2,
        "two weigh eight: eleven of twelve"
    );
    assert_eq!(admitted(3, free_call(&world, "192.0.2.1", "other")).await, 1, "the last of twelve");
    assert_eq!(world.journal.executions(), 6, "nothing that was refused was carried out");
    let limited = call_from(&world, "192.0.2.1", "echo", &json!({}), &json!({})).await;
    let data = limited.json().unwrap()["error"]["data"].clone();
    assert_eq!(data["limit"], "servers.up.tools.echo.rates[0]", "the one that takes longest: {data}");
    assert_eq!(
        (&data["rate"], &data["per"], &data["retryable"]),
        (&json!("3/hour"), &json!("caller"), &json!(true))
    );
    let retry_after: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(retry_after, data["retry_after_ms"].as_u64().unwrap().div_ceil(1_000));
    assert!((1..=1_200).contains(&retry_after), "a third of an hour at most: {retry_after}");
    assert_eq!(admitted(1, free_call(&world, "192.0.2.2", "echo")).await, 1, "control: another caller");
    assert_eq!(admitted(9, free_call(&world, "192.0.2.3", "other")).await, 7, "twenty for all together");
    let limited = call_from(&world, "192.0.2.1", "echo", &json!({}), &json!({})).await;
    assert_eq!(
        limited.json().unwrap()["error"]["data"]["limit"],
        "limits.rates[0]",
        "before it is known who calls"
    );

    let page = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
    assert!(page.contains("tollgate_rate_limited_total{limit=\"up for each\"} "), "{page}");
    assert!(page.contains("tollgate_rate_limited_total{limit=\"limits.calls_per_minute\"} 0\n"), "{page}");
    assert!(page.contains("tollgate_rate_limit_keys{limit=\"limits.rates[0]\"} 1\n"), "{page}");
}

#[tokio::test]
async fn calls_at_once_are_admitted_exactly_as_often_as_the_limit_says() {
    let more = "limits: { rates: [{ rate: 7/hour, per: [caller, tool] }, { rate: 9/hour, per: all }] }\n";
    let script = Script::echo().tool("other", Behaviour::Echo);
    let world = World::with(script, &[("echo", FREE), ("other", FREE)], more, &[]).await;
    delivered(&world.call("other", &json!({})).await);
    let arguments = json!({});
    let answers = join_all((0..40).map(|_| world.call("echo", &arguments))).await;
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((served, world.journal.executions()), (7, 8));
    delivered(&world.call("other", &arguments).await);
    assert_eq!(
        code(&world.call("other", &arguments).await),
        "rate_limited",
        "33 refused took nothing of the nine"
    );
}

#[tokio::test]
async fn a_payment_that_a_limit_refuses_is_not_used_and_pays_once_there_is_room() {
    let script = Script::echo().tool("closed", Behaviour::Echo);
    let slow = "{ price: [0.01USDC, 10sat], rates: [{ rate: 1/second }] }";
    let closed = "{ price: [0.01USDC, 10sat], rates: [{ rate: 1/day, per: all }] }";
    let world = World::with(script, &[("echo", slow), ("closed", closed)], "", &[]).await;
    let meta = async |tool: &str, n: u32| json!({ "x402/payment": world.x402_payment(tool, &json!({ "n": n })).await });
    // Payments by one wallet, so that they are counted together; more than a burst, presented at once.
    let payments = [meta("echo", 1).await, meta("echo", 2).await, meta("echo", 3).await];
    let arguments = [json!({ "n": 1 }), json!({ "n": 2 }), json!({ "n": 3 })];
    let answers =
        join_all(arguments.iter().zip(&payments).map(|(args, meta)| world.call_with("echo", args, meta)))
            .await;
    let refused: Vec<usize> = (0..3).filter(|&index| answers[index].status == 429).collect();
    assert!(!refused.is_empty(), "three at once at one a second");
    assert_eq!(world.journal.executions(), 3 - u64::try_from(refused.len()).unwrap());
    for index in refused {
        let answer = soon(async {
            loop {
                let answer = world.call_with("echo", &arguments[index], &payments[index]).await;
                if answer.status != 429 {
                    break answer;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        delivered(&answer);
    }
    assert_eq!(world.payer_balance().await, 100_000_000 - 3 * PRICE, "each paid once");

    let n = json!({ "n": 1 });
    let broken = json!({ "x402/payment": { "x402Version": 2, "payload": "?" } });
    assert_eq!(code(&world.call_with("closed", &n, &broken).await), "payment_unreadable", "control");
    let paid = meta("closed", 1).await;
    let spare = meta("closed", 2).await;
    delivered(&world.call_with("closed", &n, &paid).await);
    assert_eq!(
        code(&world.call_with("closed", &n, &broken).await),
        "rate_limited",
        "before any proof is read"
    );
    assert_eq!(
        code(&world.call("closed", &n).await),
        "rate_limited",
        "nobody is asked to pay for what is refused"
    );
    assert_eq!(code(&world.call_with("closed", &json!({ "n": 2 }), &spare).await), "rate_limited");
    assert_eq!(world.payer_balance().await, 100_000_000 - 4 * PRICE);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn requests_are_counted_by_the_clients_address_before_anything_is_read() {
    let more =
        format!("limits: {{ rates: [{{ rate: 4/hour, of: requests, name: by address }}] }}\n{PROXIED}");
    let world = World::with(Script::echo(), &[("echo", PRICED)], &more, &[]).await;
    let (mcp, api) = (world.gateway.mcp(), format!("{}/api/v1/tools", world.gateway.url));
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } });
    let from = async |address: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("x-forwarded-for", address),
        ];
        send(Method::POST, &mcp, &headers, initialize.to_string()).await.unwrap()
    };
    let listed = async |address: &str| get(&api, &[("x-forwarded-for", address)]).await.unwrap();
    assert_eq!(from("192.0.2.1").await.status, 200);
    assert_eq!(post(&mcp, &json!("not a message"), &[("x-forwarded-for", "192.0.2.1")]).await.status, 400);
    assert_eq!(listed("192.0.2.1").await.status, 200, "every door counts");
    Demand::read(&call_from(&world, "192.0.2.1", "echo", &json!({}), &json!({})).await);
    let seen = world.journal.messages().len();
    for spoofed in ["192.0.2.1", "198.51.100.9, 192.0.2.1", "127.0.0.1,192.0.2.1"] {
        let refused = from(spoofed).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (429, "rate_limited"), "{spoofed}");
        assert_eq!(refused.json().unwrap()["error"]["data"]["limit"], "by address");
        assert!(refused.header("retry-after").is_some());
        assert_eq!(code(&listed(spoofed).await), "rate_limited");
    }
    assert_eq!(world.journal.messages().len(), seen, "the server saw nothing of what was refused");
    for probe in ["healthz", "readyz", "metrics"] {
        let probed = get(&format!("{}/{probe}", world.gateway.url), &[]).await.unwrap();
        assert_eq!(probed.status, 200, "{probe} is never refused");
    }
    assert_eq!(from("192.0.2.2").await.status, 200, "control: another address");
    assert_eq!(from("2001:db8::1").await.status, 200);
    for host in 2..=4 {
        assert_eq!(listed(&format!("2001:db8::{host}")).await.status, 200);
    }
    assert_eq!(listed("2001:db8::99").await.status, 429, "one network has all of its addresses");
    assert_eq!(listed("2001:db8:0:1::1").await.status, 200, "control");
}

#[tokio::test]
async fn a_header_of_a_stranger_does_not_change_its_address() {
    let more =
        "limits: { rates: [{ rate: 3/hour, per: address }] }\ntrusted_proxies: { addresses: [10.0.0.0/8] }\n";
    let world = World::with(Script::echo(), &[("echo", FREE)], more, &[]).await;
    let mut served = 0;
    for host in 1..=6 {
        let answer = call_from(&world, &format!("192.0.2.{host}"), "echo", &json!({}), &json!({})).await;
        served += u32::from(answer.status == 200);
    }
    assert_eq!(served, 3, "six names, one address");
}

#[tokio::test]
async fn a_flood_of_unpaid_calls_is_not_a_flood_of_invoices() {
    let more =
        format!("limits: {{ rates: [{{ rate: 2/hour, of: offers, per: [address, tool] }}] }}\n{PROXIED}");
    let script = Script::echo().tool("other", Behaviour::Echo);
    let world = World::with(script, &[("echo", PRICED), ("other", PRICED)], &more, &[]).await;
    let unpaid =
        async |address: &str, tool: &str| call_from(&world, address, tool, &json!({}), &json!({})).await;
    let demand = Demand::read(&unpaid("192.0.2.1", "echo").await);
    let payment = json!({ "x402/payment": demand.sign(&world.payer()) });
    Demand::read(&unpaid("192.0.2.1", "echo").await);
    let refused = unpaid("192.0.2.1", "echo").await;
    assert_eq!(code(&refused), "rate_limited");
    assert!(!refused.text().contains("lnbc"), "no invoice");
    Demand::read(&unpaid("192.0.2.1", "other").await);
    Demand::read(&unpaid("192.0.2.2", "echo").await);
    // P20: however many are asked to pay, the books have not a row of it.
    let rows = async |part: &str| {
        let done = world.gateway.cli(&["ledger", "export", part, "--format", "jsonl"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().lines().count()
    };
    assert_eq!((rows("settlements").await, rows("receipts").await), (0, 0));
    // Who pays is not asked to pay, and is not held up.
    delivered(&call_from(&world, "192.0.2.1", "echo", &json!({}), &payment).await);
    assert_eq!((rows("settlements").await, rows("receipts").await), (1, 1), "control");
}

#[tokio::test]
async fn callers_with_a_key_are_counted_by_it_wherever_they_call_from() {
    let more = format!("limits: {{ rates: [{{ rate: 3/hour }}] }}\n{PROXIED}");
    let world = World::with(Script::echo(), &[("echo", FREE)], &more, &[]).await;
    let bearers = [api_key(&world.gateway).1, api_key(&world.gateway).1].map(|key| format!("Bearer {key}"));
    let by_key = async |bearer: &str, address: &str| {
        let headers = [("authorization", bearer), ("x-forwarded-for", address)];
        call(&world.gateway.mcp(), "echo", &json!({}), &json!({}), &headers).await
    };
    let url = format!("{}/v1/execute", world.gateway.url);
    delivered(&until_known(async || by_key(&bearers[1], "192.0.2.9").await).await);
    delivered(&by_key(&bearers[0], "192.0.2.1").await);
    delivered(&by_key(&bearers[0], "192.0.2.2").await);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "echo", "arguments": {} } });
    delivered(&post(&url, &body, &[("authorization", &bearers[0])]).await);
    assert_eq!(code(&by_key(&bearers[0], "192.0.2.3").await), "rate_limited", "three, at whichever door");
    assert_eq!(code(&post(&url, &body, &[("authorization", &bearers[0])]).await), "rate_limited");
    delivered(&by_key(&bearers[1], "192.0.2.1").await); // control: the other key, from the same address
    assert_eq!(
        admitted(4, free_call(&world, "192.0.2.1", "echo")).await,
        3,
        "control: nobody's key, same address"
    );
}

#[tokio::test]
async fn the_gate_api_counts_the_callers_that_its_user_names_and_strangers_who_guess() {
    let key = "gate-key-of-a-test-0123456789abcdef";
    let more = format!(
        "  app: {{ gate: true, tools: {{ render: {{ rates: [{{ rate: 2/hour, per: address }}] }} }} }}\n\
         gate_api: {{ key: {key} }}\nlimits: {{ rates: [{{ rate: 3/hour, of: requests }}] }}\n"
    );
    let world = World::with(Script::echo(), &[("echo", FREE)], &more, &[]).await;
    let url = format!("{}/gate/v1/authorize", world.gateway.url);
    let ask = async |key: &str, origin: &str| {
        let body = json!({ "tool": "app/render", "arguments": {}, "origin": origin });
        post(&url, &body, &[("authorization", &format!("Bearer {key}"))]).await
    };
    for (origin, decisions) in
        [("192.0.2.1", ["allow", "allow", "deny"]), ("tenant 7", ["allow", "allow", "deny"])]
    {
        for expected in decisions {
            let decision = ask(key, origin).await.json().unwrap();
            assert_eq!(decision["decision"], expected, "{origin}: {decision}");
            assert!(expected == "allow" || decision["code"] == "rate_limited", "{decision}");
        }
    }
    for _ in 0..3 {
        assert_eq!(code(&ask("a-guess", "x").await), "unauthenticated");
    }
    assert_eq!(code(&ask("a-guess", "x").await), "rate_limited", "guesses are requests like any other");
    assert_eq!(
        ask(key, "192.0.2.8").await.json().unwrap()["decision"],
        "allow",
        "control: the key's holder is not"
    );
}

#[tokio::test]
async fn d5_a_caller_with_too_many_calls_under_way_is_told_and_others_are_served() {
    let script = Script::echo().tool("wait", Behaviour::Hang);
    let policies = [("echo", PRICED), ("wait", "{ price: [], api_key: true }")];
    let world = World::with(script, &policies, "limits: { calls_at_once: 3 }\n", &[]).await;
    let url = world.gateway.mcp();
    let callers = [api_key(&world.gateway).1, api_key(&world.gateway).1].map(|key| format!("Bearer {key}"));
    let waits = |bearer: &String| {
        let (url, bearer) = (url.clone(), bearer.clone());
        async move { call(&url, "wait", &json!({}), &json!({}), &[("authorization", &bearer)]).await }
    };
    for bearer in &callers {
        until_known(async || call(&url, "echo", &json!({}), &json!({}), &[("authorization", bearer)]).await)
            .await;
    }
    let mut waiting = JoinSet::new();
    for _ in 0..3 {
        waiting.spawn(waits(&callers[0]));
    }
    soon(world.journal.wait_for_executions(3)).await;

    // One more of theirs is refused, a paid one too; its payment can be used later.
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    let paid = async |bearer: &str| call(&url, "echo", &arguments, &meta, &[("authorization", bearer)]).await;
    for refused in [waits(&callers[0]).await, paid(&callers[0]).await] {
        let data = &refused.json().unwrap()["error"]["data"];
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (429, "rate_limited"), "{data}");
        assert_eq!((&data["limit"], &data["retryable"]), (&json!("limits.calls_at_once"), &json!(true)));
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!((world.journal.executions(), world.payer_balance().await), (3, START));
    for _ in 0..3 {
        waiting.spawn(waits(&callers[1]));
    }
    soon(world.journal.wait_for_executions(6)).await;
    let metrics = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
    assert!(metrics.contains("tollgate_rate_limited_total{limit=\"limits.calls_at_once\"} 2"), "{metrics}");

    world.journal.release();
    for answer in soon(waiting.join_all()).await {
        delivered(&answer);
    }
    delivered(&paid(&callers[0]).await);
    assert_eq!(world.payer_balance().await, START - PRICE, "control: once theirs have ended");
    world.gateway.assert_books_in_order();
}
