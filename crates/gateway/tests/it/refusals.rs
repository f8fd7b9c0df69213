//! Payments and requests that are refused, each with the control that is not: refused means no effect.

use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script, Tool};
use tollgate_testkit::nginx::Nginx;
use tollgate_testkit::peers::available;

use crate::paid_calls::{api_key, until_known};
use crate::world::{
    Demand, Gateway, PRICE, PRICED, START, World, base64_encode, call, code, delivered, post, statement,
};

#[tokio::test]
async fn p1_no_empty_or_garbage_proof_is_a_demand_to_pay() {
    let world = World::paid_echo().await;
    let arguments = json!({ "text": "x" });
    let unpaid = world.call("echo", &arguments).await;
    assert_eq!(unpaid.status, 200, "over MCP a demand is a tool result");
    let demand = Demand::read(&unpaid);
    let text: Value = serde_json::from_str(demand.result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, demand.required, "the same object as text");
    assert_eq!(demand.result["_meta"]["x402/error"], demand.required, "and where Cloudflare's client looks");
    assert!(demand.result["_meta"]["org.paymentauth/payment-required"]["challenges"].is_array(), "and MPP's");
    for garbage in [json!(""), json!("!!!"), json!({}), json!({ "x402Version": 2 }), json!(7), json!("e30=")]
    {
        let refused = world.call_with("echo", &arguments, &json!({ "x402/payment": garbage })).await;
        let again = Demand::read(&refused);
        assert_eq!(again.entry()["amount"], demand.entry()["amount"], "{garbage}");
    }
    for (header, value) in
        [("payment-signature", "AAAA"), ("authorization", "L402 abc:def"), ("authorization", "Payment zz")]
    {
        let body = json!({ "tool_name": "echo", "arguments": arguments });
        let refused = post(&format!("{}/api/v1/execute", world.gateway.url), &body, &[(header, value)]).await;
        assert_eq!(refused.status, 402, "{header}: {}", refused.text());
    }
    world.assert_untouched("P1").await;
    delivered(&world.paid_call("echo", &arguments).await);
    assert_eq!(world.journal.executions(), 1, "control");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demand_for_a_tool_with_an_output_schema_has_no_structured_content_that_would_not_fit() {
    let schema = json!({ "type": "object", "required": ["sum"] });
    let answer = json!({ "content": [{ "type": "text", "text": "3" }], "structuredContent": { "sum": 3 } });
    let tool = |name: &str| Tool::new(name, Behaviour::Result(answer.clone()));
    let script = Script::new().with(tool("add").with_member("outputSchema", schema)).with(tool("plain"));
    let world = World::new(script, &[("add", PRICED), ("plain", PRICED)]).await;
    let demand = world.demand("add", &json!({})).await;
    assert_eq!(demand.result.get("structuredContent"), None, "{}", demand.result);
    let text: Value = serde_json::from_str(demand.result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, demand.required, "x402's own clients read the text then");
    let plain = world.demand("plain", &json!({})).await;
    assert_eq!(plain.result["structuredContent"], plain.required, "control");
    // It can be paid, and by whoever finds the demand in its text.
    delivered(&world.paid_call("add", &json!({})).await);
    let paid = world.gateway.cli(&["call", "add", "--max", "0.01USDC", "--url", &world.gateway.mcp()]);
    assert!(paid.status.success(), "{}", String::from_utf8_lossy(&paid.stderr));
    assert_eq!(world.journal.executions(), 2);
}

#[tokio::test]
async fn p2_a_payment_for_another_call_is_refused_and_stays_usable_for_its_own() {
    let script = Script::echo().tool("other", Behaviour::Echo);
    let world = World::new(script, &[("echo", PRICED), ("other", PRICED)]).await;
    let (mine, theirs) = (json!({ "n": 1 }), json!({ "n": 2 }));
    let x402 = json!({ "x402/payment": world.x402_payment("echo", &mine).await });
    let l402 = json!({ "l402/authorization": world.l402_credential("echo", &mine).await });
    for payment in [&x402, &l402] {
        let other_arguments = world.call_with("echo", &theirs, payment).await;
        assert_eq!(code(&other_arguments), "payment_other_call", "other arguments");
        let other_tool = world.call_with("other", &mine, payment).await;
        assert_eq!(code(&other_tool), "payment_other_call", "another tool of the same price");
    }
    world.assert_untouched("P2").await;
    delivered(&world.call_with("echo", &mine, &x402).await);
    delivered(&world.call_with("echo", &mine, &l402).await);
    assert_eq!(world.journal.executions(), 2, "control: each pays for its own call");
}

/// A server `up` and another one beside it, which are the same program; `beside` is what is said of it.
async fn twins(beside: &str) -> World {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = journal.url();
    let yaml = format!(
        "servers:\n  up: {{ url: '{url}', tools: {{ echo: {PRICED} }} }}\n  beside: {{ url: '{url}'{beside} }}\n"
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    World { journal, gateway, folder }
}

#[tokio::test]
async fn p2_a_payment_for_another_server_or_from_another_tenant_is_refused_and_stays_usable_for_its_own() {
    let world = twins(&format!(", tools: {{ echo: {PRICED} }}")).await;
    let [mine, theirs] = [api_key(&world.gateway).1, api_key(&world.gateway).1];
    let arguments = json!({ "n": 1 });
    let shown = async |server: &str, key: &str, meta: &Value| {
        let url = format!("{}/servers/{server}/mcp", world.gateway.url);
        let headers: &[(&str, &str)] = if key.is_empty() { &[] } else { &[("x-api-key", key)] };
        until_known(async || call(&url, "echo", &arguments, meta, headers).await).await
    };
    let demand = Demand::read(&shown("up", &mine, &json!({})).await);
    let payments = [
        json!({ "x402/payment": demand.sign(&world.payer()) }),
        json!({ "l402/authorization": world.l402_credential_of(&demand).await }),
    ];
    for payment in &payments {
        for (what, server, key) in [
            ("the same tool of another server", "beside", mine.as_str()),
            ("another tenant", "up", &theirs),
            ("nobody in particular", "up", ""),
        ] {
            let refused = shown(server, key, payment).await;
            assert_eq!(code(&refused), "payment_other_call", "{what}: {}", refused.text());
        }
    }
    world.assert_untouched("P2").await;
    assert_eq!(world.gateway.account("payable:beside"), [0; 4]);
    for payment in &payments {
        assert_eq!(statement(&delivered(&shown("up", &mine, payment).await))["charged"], true, "control");
    }
    assert_eq!((world.journal.executions(), world.payer_balance().await), (2, START - PRICE));
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p2_another_network_asset_or_recipient_is_refused() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let demand = world.demand("echo", &arguments).await;
    let tampered = |path: &str, value: Value| {
        let mut entry = demand.entry().clone();
        *entry.pointer_mut(path).unwrap() = value;
        demand.sign_entry(&world.payer(), &entry)
    };
    for (what, payment) in [
        ("network", tampered("/network", json!("eip155:8453"))),
        ("asset", tampered("/asset", json!("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"))),
        ("recipient", tampered("/payTo", json!("0x000000000000000000000000000000000000dEaD"))),
    ] {
        let refused = world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await;
        assert_eq!(code(&refused), "payment_wrong_target", "{what}");
    }
    world.assert_untouched("P2").await;
    delivered(
        &world.call_with("echo", &arguments, &json!({ "x402/payment": demand.sign(&world.payer()) })).await,
    );
}

#[tokio::test]
async fn p6_two_payments_at_once_are_refused_and_neither_is_used() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let x402 = world.x402_payment("echo", &arguments).await;
    let l402 = world.l402_credential("echo", &arguments).await;
    let both = world
        .call_with("echo", &arguments, &json!({ "x402/payment": x402, "l402/authorization": l402 }))
        .await;
    assert_eq!((both.status.as_u16(), code(&both).as_str()), (400, "payment_ambiguous"));
    let header = base64_encode(x402.to_string().as_bytes());
    let mcp = world.gateway.mcp();
    let meta = json!({ "l402/authorization": l402 });
    let in_authorization = format!("L402 {l402}");
    for headers in [
        [("payment-signature", header.as_str()), ("x-request-id", "1")],
        [("authorization", &in_authorization), ("x-request-id", "1")],
        [("x-payment", header.as_str()), ("macaroon", "00")],
        [("macaroon", "00"), ("grpc-metadata-macaroon", "00")],
    ] {
        let refused = call(&mcp, "echo", &arguments, &meta, &headers).await;
        assert_eq!(
            (refused.status.as_u16(), code(&refused).as_str()),
            (400, "payment_ambiguous"),
            "{headers:?}"
        );
    }
    let (url, body) = (
        format!("{}/api/v1/execute", world.gateway.url),
        json!({ "tool_name": "echo", "arguments": arguments }),
    );
    for headers in [
        [("payment-signature", header.as_str()), ("authorization", in_authorization.as_str())],
        [("payment-signature", &header), ("payment-signature", &header)],
        [("authorization", &in_authorization), ("macaroon", "00")],
        [("macaroon", "00"), ("grpc-metadata-macaroon", "00")],
    ] {
        let refused = post(&url, &body, &headers).await;
        assert_eq!(
            (refused.status.as_u16(), code(&refused).as_str()),
            (400, "payment_ambiguous"),
            "{headers:?}"
        );
    }
    world.assert_untouched("P6").await;
    delivered(&world.call_with("echo", &arguments, &json!({ "x402/payment": x402 })).await);
    delivered(&world.call_with("echo", &arguments, &json!({ "l402/authorization": l402 })).await);
}

#[tokio::test]
async fn p7_a_payment_in_the_url_or_the_arguments_is_no_payment() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let credential = world.l402_credential("echo", &arguments).await;
    let (macaroon, preimage) = credential.split_once(':').unwrap();
    let own = json!({ "tool_name": "echo", "arguments": arguments });
    let rpc = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/execute", "params": { "tool": "echo", "arguments": arguments } });
    for name in ["payment", "payment_hash", "payment_preimage", "preimage", "macaroon", "l402", "L402"] {
        let at = |path: &str| format!("{}{path}?x=1&{name}={preimage}", world.gateway.url);
        for refused in [
            call(&at("/mcp"), "echo", &arguments, &json!({}), &[]).await,
            post(&at("/api/v1/execute"), &own, &[]).await,
            post(&at("/v1/execute"), &rpc, &[]).await,
        ] {
            let said = (refused.status.as_u16(), code(&refused));
            assert_eq!(said, (400, "payment_carrier_refused".to_owned()), "{name}: {}", refused.text());
        }
    }
    let cookie = format!("l402={credential}");
    Demand::read(&call(&world.gateway.mcp(), "echo", &arguments, &json!({}), &[("cookie", &cookie)]).await);
    let in_arguments = json!({ "n": 1, "auth": { "macaroon": macaroon, "preimage": preimage } });
    Demand::read(&world.call("echo", &in_arguments).await);
    world.assert_untouched("P7").await;
    assert!(!world.gateway.log().contains(preimage), "a preimage is in the log");
    delivered(&world.call_with("echo", &arguments, &json!({ "l402/authorization": credential })).await);
}

#[tokio::test]
async fn p8_amounts_that_are_not_exactly_the_price_are_refused() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let demand = world.demand("echo", &arguments).await;
    let amounts = [
        json!("0"),
        json!("9999"),
        json!("10001"),
        json!("-1"),
        json!("1e4"),
        json!("1e-18"),
        json!("0.01"),
        json!("10000.0"),
        json!("0x2710"),
        json!("NaN"),
        json!("340282366920938463463374607431768211456"),
        json!("010000"),
        json!(10_000),
    ];
    for amount in amounts {
        // What the client claims to have accepted.
        let mut payment = demand.sign(&world.payer());
        payment["accepted"]["amount"] = amount.clone();
        let refused = world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await;
        let is_amount = amount.as_str().is_some_and(|text| ["0", "9999", "10001"].contains(&text));
        let expected = if is_amount { "payment_wrong_amount" } else { "payment_unreadable" };
        assert_eq!(code(&refused), expected, "{amount}");
        // What the client signed: a value that can be signed at all.
        if is_amount {
            let mut entry = demand.entry().clone();
            entry["amount"] = amount.clone();
            let mut payment = demand.sign_entry(&world.payer(), &entry);
            let signed = world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await;
            assert_eq!(code(&signed), "payment_wrong_amount", "{amount}");
            payment["accepted"] = demand.entry().clone();
            let hidden = world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await;
            assert_eq!(code(&hidden), "payment_wrong_amount", "{amount} behind the right entry");
        }
    }
    world.assert_untouched("P8").await;
    delivered(
        &world.call_with("echo", &arguments, &json!({ "x402/payment": demand.sign(&world.payer()) })).await,
    );
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
}

#[tokio::test]
async fn p14_demands_are_never_cached_and_paid_answers_are_private() {
    let world = World::paid_echo().await;
    let url = format!("{}/api/v1/execute", world.gateway.url);
    let body = json!({ "tool_name": "echo", "arguments": { "n": 1 } });
    let unpaid = post(&url, &body, &[]).await;
    assert_eq!(unpaid.status, 402);
    assert_eq!(unpaid.header("cache-control"), Some("no-store"));
    let payment = world.x402_payment("echo", &json!({ "n": 1 })).await;
    let header = base64_encode(payment.to_string().as_bytes());
    let paid = post(&url, &body, &[("payment-signature", &header)]).await;
    assert_eq!(paid.status, 200, "{}", paid.text());
    let cache = paid.header("cache-control").unwrap();
    assert!(cache.contains("private"), "{cache}");
    let vary = paid.header("vary").unwrap().to_lowercase();
    assert!(vary.contains("authorization") && vary.contains("payment-signature"), "{vary}");
    let replayed = post(
        &url,
        &json!({ "tool_name": "echo", "arguments": { "n": 2 } }),
        &[("payment-signature", &header)],
    )
    .await;
    assert!(replayed.status == 402 || replayed.status == 409);
    assert_eq!(replayed.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn p14_behind_a_cache_that_all_share_nobody_has_what_another_was_told_or_has_paid_for() {
    let world = World::paid_echo().await;
    let address = ([127, 0, 0, 1], world.gateway.port).into();
    let Some(nginx) = available(Nginx::sharing(address).await) else { return };
    let fresh = |answer: &Answer| {
        assert_eq!(answer.header("x-cache"), Some("MISS"), "it was asked: {}", answer.text());
    };
    // What does not stand there yet, or may stand otherwise in a moment, is asked for each time.
    let nothing = "call_103518Rpy1IgAnbQiqcrFy6";
    for _ in 0..2 {
        fresh(&get(&nginx.url(&format!("/api/v1/calls/{nothing}")), &[]).await.unwrap());
    }
    let (execute, body) =
        (nginx.url("/api/v1/execute"), json!({ "tool_name": "echo", "arguments": { "n": 1 } }));
    let payment = world.x402_payment("echo", &json!({ "n": 1 })).await;
    let header = base64_encode(payment.to_string().as_bytes());
    let credentials = [("payment-signature", header.as_str())];
    // A demand stands between nobody and the own payment, and what one has paid for comes to nobody else.
    for _ in 0..2 {
        let unpaid = post(&execute, &body, &[]).await;
        fresh(&unpaid);
        assert_eq!(unpaid.status, 402);
        let paid = post(&execute, &body, &credentials).await;
        fresh(&paid);
        assert_eq!(paid.status, 200, "{}", paid.text());
        let other = json!({ "tool_name": "echo", "arguments": { "n": 2 } });
        let refused = post(&execute, &other, &credentials).await;
        fresh(&refused);
        assert_ne!(refused.status, 200, "another call with the same payment: {}", refused.text());
    }
    // Over MCP the same, where demands come as results.
    let mcp = nginx.url("/mcp");
    for _ in 0..2 {
        let demanded = call(&mcp, "echo", &json!({ "n": 1 }), &json!({}), &[]).await;
        fresh(&demanded);
        Demand::read(&demanded);
        let paid = call(&mcp, "echo", &json!({ "n": 1 }), &json!({ "x402/payment": payment }), &[]).await;
        fresh(&paid);
        let said = statement(&delivered(&paid));
        let [receipt, id] = ["receipt_id", "call_id"].map(|name| said[name].as_str().unwrap().to_owned());
        let state = get(&nginx.url(&format!("/api/v1/calls/{id}")), &[]).await.unwrap();
        fresh(&state);
        assert_eq!(state.json().unwrap()["state"], "settled", "{}", state.text());
        let result = nginx.url(&format!("/api/v1/receipts/{receipt}/result"));
        for (headers, status) in [(&credentials[..], 200), (&[], 401), (&credentials[..], 200)] {
            let answer = get(&result, headers).await.unwrap();
            fresh(&answer);
            assert_eq!(answer.status, status, "{}", answer.text());
        }
    }
    assert_eq!(world.journal.executions(), 1, "paid for once, and told to whoever paid");
    // Control: what is nobody's own, it keeps.
    let page = nginx.url("/healthz");
    fresh(&get(&page, &[]).await.unwrap());
    assert_eq!(get(&page, &[]).await.unwrap().header("x-cache"), Some("HIT"));
}

#[tokio::test]
async fn arguments_are_checked_before_a_price_is_named() {
    let schema =
        json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    let script = Script::new().with(Tool::with_schema("weather", Behaviour::Echo, schema));
    let world = World::new(script, &[("weather", PRICED)]).await;
    let refused = world.call("weather", &json!({ "town": "Oslo" })).await;
    assert_eq!(code(&refused), "invalid_arguments");
    let body = refused.json().unwrap();
    assert_eq!(body["result"]["isError"], true, "the model can read it and try again: {body}");
    assert!(!body.to_string().contains("accepts"), "no price for a malformed request");
    world.assert_untouched("invalid arguments").await;
    delivered(&world.paid_call("weather", &json!({ "city": "Oslo" })).await);
}

#[tokio::test]
async fn an_unknown_tool_is_refused_and_a_hidden_policy_does_not_make_it_exist() {
    let world = World::new(Script::echo(), &[("echo", PRICED), ("ghost", PRICED)]).await;
    for tool in ["ghost", "nobody"] {
        let refused = world.call(tool, &json!({})).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (404, "unknown_tool"), "{tool}");
        assert_eq!(refused.json().unwrap()["error"]["code"], -32_602);
    }
    let missing = post(&format!("{}/servers/nowhere/mcp", world.gateway.url), &json!({}), &[]).await;
    assert_eq!((missing.status.as_u16(), code(&missing).as_str()), (404, "unknown_server"));
    Demand::read(&world.call("echo", &json!({})).await);
}

#[tokio::test]
async fn a_tool_that_asks_for_reputation_or_a_key_refuses_before_it_names_a_price() {
    let script = Script::echo().tool("trusted", Behaviour::Echo).tool("members", Behaviour::Echo);
    let policies = [
        ("echo", PRICED),
        ("trusted", r#"{ price: [0.01USDC], min_reputation: "0.55" }"#),
        ("members", "{ price: [0.01USDC], api_key: true }"),
    ];
    let world = World::new(script, &policies).await;
    let denied = world.call("members", &json!({})).await;
    assert_eq!((denied.status.as_u16(), code(&denied).as_str()), (403, "trust_insufficient"));
    assert!(!denied.text().contains("accepts"), "who will be refused is never asked to pay");
    // A wallet starts at 0.5; one settled call lifts it to 0.55.
    let arguments = json!({ "n": 1 });
    let open = world.demand("echo", &arguments).await;
    let stranger = json!({ "x402/payment": open.sign(&world.payer()) });
    assert_eq!(code(&world.call_with("trusted", &arguments, &stranger).await), "trust_insufficient");
    delivered(&world.call_with("echo", &arguments, &stranger).await);
    let again = json!({ "x402/payment": open.sign(&world.payer()) });
    assert_eq!(
        code(&world.call_with("trusted", &arguments, &again).await),
        "payment_other_call",
        "control: trusted now"
    );
}

#[tokio::test]
async fn where_nothing_is_claimed_a_payment_shows_nobody() {
    let script = Script::echo()
        .tool("open", Behaviour::Echo)
        .tool("graded", Behaviour::Echo)
        .tool("dear", Behaviour::Echo);
    let policies = [
        ("echo", PRICED),
        ("open", r#"{ price: [], min_reputation: "0.55" }"#),
        (
            "graded",
            "{ price: { type: standing, grades: [{ min_reputation: 0.55, price: [] }], otherwise: [0.01USDC] } }",
        ),
        ("dear", r#"{ price: [0.01USDC], min_reputation: "0.55" }"#),
    ];
    let world = World::new(script, &policies).await;
    let arguments = json!({ "n": 1 });
    // What anybody reads on a chain once it is settled; its wallet has a reputation of 0.55 now.
    let public = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    delivered(&world.call_with("echo", &arguments, &public).await);
    assert_eq!(world.payer_balance().await, START - PRICE);
    let refused = world.call_with("open", &arguments, &public).await;
    assert_eq!(code(&refused), "trust_insufficient", "{}", refused.text());
    assert_eq!(code(&world.call_with("graded", &arguments, &public).await), "payment_other_call");
    assert_eq!(world.journal.executions(), 1);

    // Control: where a payment is claimed, it shows its wallet, which pays like anybody.
    let fresh = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    assert_eq!(code(&world.call_with("dear", &arguments, &fresh).await), "payment_other_call", "trusted");
    let paid = delivered(&world.paid_call("graded", &arguments).await);
    assert_eq!(statement(&paid)["charged"], true);
    assert_eq!(world.payer_balance().await, START - 2 * PRICE);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_caller_who_is_too_fast_is_told_when_to_come_back() {
    let world =
        World::with(Script::echo(), &[("echo", "{ price: [] }")], "limits: { calls_per_minute: 60 }\n", &[])
            .await;
    let mut limited = None;
    for _ in 0..40 {
        let answer = world.call("echo", &json!({})).await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
        delivered(&answer);
    }
    let limited = limited.expect("a burst of 40 at one call per second must be limited");
    assert_eq!(code(&limited), "rate_limited");
    assert!(limited.header("retry-after").is_some());
    assert_eq!(limited.json().unwrap()["error"]["data"]["retryable"], true);
}
