//! One paid call, over each rail and door.

use serde_json::json;
use tollgate_testkit::http::get;
use tollgate_testkit::journal_server::{Behaviour, Script, Tool};

use crate::world::{
    Gateway, PRICE, PRICED, START, World, base64_decode, call, code, delivered, post, statement,
};

#[tokio::test]
async fn an_x402_payment_buys_one_call_and_a_receipt_that_verifies_offline() {
    let world = World::paid_echo().await;
    let arguments = json!({ "text": "hello" });
    let result = delivered(&world.paid_call("echo", &arguments).await);

    assert_eq!(result["structuredContent"]["echo"], arguments);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE, 0, 0]);
    assert_eq!(world.payer_account(), [PRICE, START, 0, 0]);
    assert_eq!(world.gateway.account("clearing:sandbox"), [START, 0, 0, 0]);
    assert_eq!(world.gateway.account("clearing:x402"), [0; 4], "nothing came in from a chain");
    world.gateway.assert_books_in_order();

    let said = statement(&result);
    assert_eq!(
        (&said["charged"], &said["settlement"], &said["mode"]),
        (&json!(true), &json!("settled"), &json!("sandbox"))
    );
    let response = &result["_meta"]["x402/payment-response"];
    assert_eq!(response["success"], true);
    assert_eq!(response["transaction"], said["payment_ref"]);
    let reference = response["transaction"].as_str().unwrap();
    assert!(reference.starts_with("sandbox:"), "nothing that could be taken for a transaction: {reference}");
    assert_eq!(response["payer"].as_str().unwrap().to_lowercase(), world.payer_address().to_lowercase());

    // The receipt that the gateway keeps is the one it gave, and it verifies with the public key alone.
    let id = said["receipt_id"].as_str().unwrap();
    let kept = get(&format!("{}/api/v1/receipts/{id}", world.gateway.url), &[]).await.unwrap();
    assert_eq!(kept.json().unwrap(), result["_meta"]["tollgate/receipt"]["envelope"]);
    let jwks = get(&format!("{}/.well-known/jwks.json", world.gateway.url), &[]).await.unwrap();
    let folder = &world.gateway.folder;
    std::fs::write(folder.join("jwks.json"), &jwks.body).unwrap();
    std::fs::write(folder.join("receipt.json"), result["_meta"]["tollgate/receipt"].to_string()).unwrap();
    std::fs::write(folder.join("arguments.json"), arguments.to_string()).unwrap();
    std::fs::write(folder.join("result.json"), result.to_string()).unwrap();
    let offline = [
        "receipt",
        "verify",
        "receipt.json",
        "--keys",
        "jwks.json",
        "--arguments",
        "arguments.json",
        "--result",
        "result.json",
    ];
    let verified = world.gateway.cli(&offline);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));

    // And a receipt in which one thing was changed does not.
    let mut forged = result["_meta"]["tollgate/receipt"].clone();
    let payload = base64_decode(forged["envelope"]["payload"].as_str().unwrap());
    let payload = String::from_utf8(payload).unwrap().replace("\"charged\":true", "\"charged\":false");
    forged["envelope"]["payload"] = json!(crate::world::base64_encode(payload.as_bytes()));
    std::fs::write(folder.join("receipt.json"), forged.to_string()).unwrap();
    assert_eq!(world.gateway.cli(&offline).status.code(), Some(1));
}

#[tokio::test]
async fn an_l402_payment_buys_one_call_over_mcp() {
    let world = World::paid_echo().await;
    let arguments = json!({ "text": "hello" });
    let credential = world.l402_credential("echo", &arguments).await;
    let result =
        delivered(&world.call_with("echo", &arguments, &json!({ "l402/authorization": credential })).await);
    assert_eq!(result["structuredContent"]["echo"], arguments);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account("payable:up"), [0, 10_000, 0, 0], "10 sat in millisatoshi");
    assert_eq!(world.gateway.account("clearing:l402"), [10_000, 0, 0, 0]);
    assert!(statement(&result)["payment_ref"].as_str().unwrap().starts_with("lightning:"));
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn the_arguments_reach_the_server_byte_for_byte_and_the_payment_does_not() {
    let world = World::paid_echo().await;
    // Key order, number spelling and escapes that any re-encoding would change.
    let raw = r#"{"z":1.10,"a":1e3,"big":123456789012345678901234567890,"u":"\u00e9"}"#;
    let arguments: serde_json::Value = serde_json::from_str(r#"{"z":1.10,"a":1e3,"big":1,"u":"é"}"#).unwrap();
    let body = |meta: &serde_json::Value| {
        crate::world::call_body("echo", &arguments, meta).to_string().replace(&arguments.to_string(), raw)
    };
    let headers = crate::world::modern_headers("echo");
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let send = async |meta: &serde_json::Value| {
        let body = bytes::Bytes::from(body(meta));
        tollgate_testkit::http::send(http::Method::POST, &world.gateway.mcp(), &headers, body).await.unwrap()
    };
    let demand = crate::world::Demand::read(&send(&json!({})).await);
    let payment = demand.sign(&world.payer());
    delivered(&send(&json!({ "x402/payment": payment, "traceparent": "00-aa-bb-01" })).await);
    let calls = world.journal.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].arguments, raw);
    let forwarded = String::from_utf8(calls[0].body.to_vec()).unwrap();
    assert!(forwarded.contains("traceparent"), "what is not ours passes");
    assert!(!forwarded.contains("x402/payment"), "{forwarded}");
    assert!(!forwarded.contains("signature"), "{forwarded}");
}

#[tokio::test]
async fn a_failed_tool_costs_nothing_and_the_same_payment_can_be_used_again() {
    let script = Script::new().tool("fails", Behaviour::Fail("no".to_owned()));
    let world = World::new(script, &[("fails", PRICED)]).await;
    let arguments = json!({});
    let payment = world.x402_payment("fails", &arguments).await;
    for attempt in 1..=2 {
        let answer = world.call_with("fails", &arguments, &json!({ "x402/payment": payment })).await;
        let result = &answer.json().unwrap()["result"];
        assert_eq!(result["isError"], true);
        assert_eq!(statement(result)["charged"], false, "attempt {attempt}");
        assert_eq!(world.journal.executions(), attempt);
    }
    assert_eq!(world.payer_balance().await, 100_000_000);
    assert_eq!(world.gateway.account("payable:up"), [0, 0, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn however_many_pages_a_description_has_the_headers_of_a_demand_are_short() {
    let pages = "What it does, in which cases, and what not. ".repeat(500);
    let tool = Tool::new("echo", Behaviour::Echo).with_member("description", json!(pages));
    let world = World::new(Script::new().with(tool), &[("echo", PRICED)]).await;
    let arguments = json!({ "n": 1 });
    let (url, body) = (
        format!("{}/api/v1/execute", world.gateway.url),
        json!({ "tool_name": "echo", "arguments": arguments }),
    );
    let demand = post(&url, &body, &[]).await;
    assert_eq!(code(&demand), "payment_required");
    let length: usize =
        demand.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    // Many servers and proxies take 8 KB of headers in all, clients on Node 16 KB.
    assert!((2_000..8_000).contains(&length), "{length} bytes");
    // Control: the tool is described to the end where tools are listed, and the demand is one that can be paid.
    let listed = get(&format!("{}/api/v1/tools", world.gateway.url), &[]).await.unwrap();
    assert!(listed.text().contains(pages.trim_end()), "{}", listed.text());
    let payment = world.x402_payment("echo", &arguments).await;
    delivered(&world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await);
}

#[tokio::test]
async fn a_failed_tool_releases_the_l402_credential_and_says_so() {
    let script = Script::new().tool("fails", Behaviour::Fail("no".to_owned()));
    let world = World::new(script, &[("fails", PRICED)]).await;
    let credential = world.l402_credential("fails", &json!({})).await;
    for attempt in 1..=2 {
        let answer = world.call_with("fails", &json!({}), &json!({ "l402/authorization": credential })).await;
        let result = &answer.json().unwrap()["result"];
        assert_eq!(statement(result)["charged"], false);
        assert!(result["_meta"]["tollgate/note"].as_str().unwrap().contains("can be used again"), "{result}");
        assert_eq!(world.journal.executions(), attempt);
    }
    // Over plain HTTP too, and beside a JSON-RPC error of the tool's own.
    let (url, header) = (format!("{}/api/v1/execute", world.gateway.url), format!("L402 {credential}"));
    let body = json!({ "tool_name": "fails", "arguments": {} });
    let over_http = post(&url, &body, &[("authorization", &header)]).await;
    let note = over_http.header("tollgate-note").unwrap();
    assert!(note.contains("can be used again"), "{note}");
    assert_eq!(over_http.json().unwrap()["note"], note);
    let error = Behaviour::Error { code: -32_000, message: "no".to_owned() };
    world.journal.replace_tools(vec![Tool::new("fails", error)]);
    let answer = world.call_with("fails", &json!({}), &json!({ "l402/authorization": credential })).await;
    assert_eq!(answer.json().unwrap()["error"]["code"], -32_000);
    assert_eq!(answer.header("tollgate-note"), Some(note));
    assert_eq!(world.journal.executions(), 4);
    // The money has arrived and is the holder's credit until it is spent.
    let hash = credential_hash(&credential);
    assert_eq!(world.gateway.account(&format!("credit:lightning:{hash}")), [0, 10_000, 0, 0]);
    world.gateway.assert_books_in_order();
}

fn credential_hash(credential: &str) -> String {
    use sha2::Digest;
    let preimage = credential.rsplit(':').next().unwrap();
    hex::encode(sha2::Sha256::digest(hex::decode(preimage).unwrap()))
}

#[tokio::test]
async fn prepaid_credit_pays_without_a_demand_and_not_beyond_what_is_there() {
    let world = World::paid_echo().await;
    let (id, secret) = api_key(&world.gateway);
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str())];
    let paid =
        async |n: u32| call(&world.gateway.mcp(), "echo", &json!({ "n": n }), &json!({}), &headers).await;
    assert_eq!(code(&until_known(async || paid(0).await).await), "payment_required", "no credit yet");
    let granted = world.gateway.cli(&["credit", "add", &id, "0.02USDC"]);
    assert!(granted.status.success(), "{}", String::from_utf8_lossy(&granted.stderr));
    for n in 1..=2 {
        let result = delivered(&paid(n).await);
        assert_eq!(statement(&result)["caller"]["principal"], id);
    }
    let refused = paid(3).await;
    assert_eq!(code(&refused), "payment_required");
    assert_eq!(world.journal.executions(), 2);
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [20_000, 20_000, 0, 0]);
    assert_eq!(world.gateway.account("payable:up"), [0, 20_000, 0, 0]);
    world.gateway.assert_books_in_order();

    // A revoked key is not a stranger: it is refused.
    assert!(world.gateway.cli(&["keys", "revoke", &id]).status.success());
    let refused = until(async || code(&paid(4).await) == "unauthenticated").await;
    assert!(refused, "a revoked key must stop working");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_spends_credit_of_a_key_up_to_its_maximum_and_no_further() {
    let world = World::paid_echo().await;
    let (gateway, mcp) = (&world.gateway, world.gateway.mcp());
    let (id, secret) = api_key(gateway);
    assert!(gateway.cli(&["credit", "add", &id, "0.02USDC"]).status.success());
    let headers = [("x-api-key", secret.as_str())];
    let most = json!({ "tollgate/max-price": "0.001USDC" });
    let refused = until_known(async || call(&mcp, "echo", &json!({}), &most, &headers).await).await;
    assert_eq!(code(&refused), "price_above_maximum", "the door reads what the command says");
    let unreadable = json!({ "tollgate/max-price": 1 });
    assert_eq!(code(&call(&mcp, "echo", &json!({}), &unreadable, &headers).await), "malformed_frame");

    std::fs::write(gateway.folder.join(".env"), format!("MY_KEY={secret}\n")).unwrap();
    let with = |max: &str, key: &str| {
        gateway.cli(&["call", "echo", "n=1", "--max", max, "--api-key-env", key, "--url", &mcp])
    };
    for (max, key, exit) in [("0.009USDC", "MY_KEY", 4), ("9sat", "MY_KEY", 4), ("1USDC", &secret, 2)] {
        let refused = with(max, key);
        let said = String::from_utf8([refused.stdout, refused.stderr].concat()).unwrap();
        assert_eq!(refused.status.code(), Some(exit), "{max}: {said}");
        assert!(!said.contains(&secret), "{said}");
    }
    assert_eq!((world.journal.executions(), gateway.account(&format!("credit:{id}"))[0]), (0, 0));
    // Control: no more than the maximum.
    let paid = with("0.01USDC", "MY_KEY");
    let said = String::from_utf8([paid.stdout, paid.stderr].concat()).unwrap();
    assert!(paid.status.success() && said.contains("by credit") && said.contains(&id), "{said}");
    assert_eq!(gateway.account(&format!("credit:{id}")), [PRICE, 20_000, 0, 0]);
    let seen = world.journal.calls_to("echo").pop().unwrap().body;
    assert!(!String::from_utf8_lossy(&seen).contains("max-price"), "it ends at the gateway");
}

/// Makes an API key; returns its id and secret.
pub(crate) fn api_key(gateway: &Gateway) -> (String, String) {
    let made = gateway.cli(&["keys", "create", "--name", "test", "--json"]);
    let key: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    (key["id"].as_str().unwrap().to_owned(), key["secret"].as_str().unwrap().to_owned())
}

/// Polls: a running gateway learns of a new key within a moment.
async fn until(mut holds: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..200 {
        if holds().await {
            return true;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    false
}

/// Repeats a call until the gateway knows the key.
pub(crate) async fn until_known(
    call: impl AsyncFn() -> tollgate_testkit::http::Answer,
) -> tollgate_testkit::http::Answer {
    // The first call that is not refused counts: a second one might be paid for.
    let mut answer = call().await;
    if answer.status == 401 {
        until(async || {
            answer = call().await;
            answer.status != 401
        })
        .await;
    }
    answer
}

#[tokio::test]
async fn a_free_tool_of_a_policed_server_walks_the_street_without_a_trace_on_the_books() {
    let script = Script::echo().tool("paid", Behaviour::Echo);
    let world = World::new(script, &[("paid", PRICED)]).await;
    let result = delivered(&world.call("echo", &json!({ "text": "free" })).await);
    assert_eq!(result["structuredContent"]["echo"], json!({ "text": "free" }));
    assert!(result["_meta"]["tollgate/receipt"].is_null());
    let listed = world.gateway.cli(&["calls", "list", "--json"]);
    assert!(listed.stdout.is_empty(), "{}", String::from_utf8_lossy(&listed.stdout));
    delivered(&world.paid_call("paid", &json!({})).await);
    let listed = world.gateway.cli(&["calls", "list", "--json"]);
    assert_eq!(
        String::from_utf8(listed.stdout).unwrap().lines().count(),
        1,
        "control: a paid call is listed"
    );
}

#[tokio::test]
async fn tools_list_shows_prices_in_meta_only() {
    let script = Script::echo().tool("free", Behaviour::Echo);
    let world = World::new(script, &[("echo", PRICED)]).await;
    let body = json!({
        "jsonrpc": "2.0", "id": 7, "method": "tools/list",
        "params": { "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }},
    });
    let headers = [
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/list"),
    ];
    let through = post(&world.gateway.mcp(), &body, &headers).await.json().unwrap();
    let mut direct = post(&world.journal.url(), &body, &headers).await.json().unwrap();
    let tool = |list: &serde_json::Value, name: &str| {
        list["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap().clone()
    };
    let pricing = &tool(&through, "echo")["_meta"]["tollgate/pricing"];
    assert_eq!((&pricing["type"], &pricing["price"]), (&json!("per_call"), &json!("10000")));
    assert_eq!(tool(&through, "echo")["_meta"]["agents-x402/paymentRequired"], true);
    assert_eq!(tool(&through, "free"), tool(&direct, "free"));
    let tools = direct["result"]["tools"].as_array_mut().unwrap();
    for direct in tools {
        let name = direct["name"].as_str().unwrap().to_owned();
        let mut shown = tool(&through, &name);
        shown.as_object_mut().unwrap().remove("_meta");
        assert_eq!(shown, *direct, "nothing but _meta differs");
    }
}

#[tokio::test]
async fn dev_with_demo_pays_once_over_the_wire_shows_the_receipt_and_stays_up() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::demo(folder.path()).await;
    assert!(until(async || gateway.whole_log().contains("the receipt verifies")).await, "{}", gateway.log());
    let said = gateway.whole_log();
    let url = &gateway.url;
    for part in [
        &format!("Tollgate dev   {url}   SANDBOX"),
        &format!("claude mcp add --transport http tollgate {url}/mcp"),
        "Claude Desktop",
        "Cursor",
        "VS Code",
        &format!("tollgate call weather city=Oslo --max 0.01USDC --url {url}/mcp"),
        &format!("tollgate call weather city=Oslo --max 10sat    --url {url}/mcp"),
        &format!("$ tollgate call weather city=Oslo --max 0.01USDC --url {url}/mcp"),
        "Oslo",
        "paid 0.01 USDC on eip155:84532 by x402 (SANDBOX)",
        "rcpt_",
        "\nverified ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(get(&format!("{url}/healthz"), &[]).await.unwrap().status, 200, "it stays up");
    let calls = gateway.cli(&["calls", "list", "--json"]);
    let calls = String::from_utf8(calls.stdout).unwrap();
    let call: serde_json::Value = serde_json::from_str(&calls).unwrap();
    assert_eq!((&call["paid"]["state"], &call["paid"]["tool"]), (&json!("settled"), &json!("weather")));
    assert_eq!(gateway.account("payable:demo"), [0, PRICE, 0, 0]);
    gateway.assert_books_in_order();
}

#[tokio::test]
async fn the_demo_of_the_readme_makes_a_real_paid_call() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    for (maximum, rail) in [("0.01USDC", "x402"), ("10sat", "l402")] {
        let called = gateway.cli(&[
            "call",
            "weather",
            "city=Oslo",
            "--max",
            maximum,
            "--url",
            &gateway.mcp(),
            "--json",
        ]);
        let errors = String::from_utf8_lossy(&called.stderr).into_owned();
        assert!(called.status.success(), "{errors}");
        let printed: serde_json::Value = serde_json::from_slice(&called.stdout).unwrap();
        assert!(printed["result"]["structuredContent"]["city"] == "Oslo", "{printed}");
        std::fs::write(folder.path().join("receipt.json"), called.stdout).unwrap();
        assert!(gateway.cli(&["receipt", "verify", "receipt.json"]).status.success());
        let payload = printed["receipt"]["envelope"]["payload"].as_str().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&base64_decode(payload)).unwrap();
        assert_eq!(said["price"]["rail"], rail);
    }
    let too_dear =
        gateway.cli(&["call", "weather", "city=Oslo", "--max", "0.009USDC", "--url", &gateway.mcp()]);
    assert_eq!(too_dear.status.code(), Some(4), "a price above the limit is refused by the payer");
    let failed = gateway.cli(&["call", "flaky", "fail=true", "--max", "0.01USDC", "--url", &gateway.mcp()]);
    assert_eq!(failed.status.code(), Some(1));
    gateway.assert_books_in_order();
}
