//! What the documents of the replaced products show, word for word: their requests, their environment, their addresses.

use std::path::Path;
use std::process::Output;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get, send};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};
use tollgate_testkit::peers::port;
use tollgate_testkit::process::Guarded;

use crate::escrow::Party;
use crate::paid_calls::{api_key, until_known};
use crate::world::{
    Gateway, PRICED, World, base64_decode, base64_encode, code, command, delivered, now, soon, statement,
};

/// The price of the marketplace's own example: `"500000"` of a token with 6 decimals.
const HALF_A_TOKEN: &str = "{ price: [0.5USDC, 500sat] }";

async fn marketplace(policy: &str) -> World {
    World::new(Script::new().tool("web-search", Behaviour::Echo), &[("web-search", policy)]).await
}

/// Sends a body exactly as a document spells it.
async fn spelled(url: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    send(Method::POST, url, &all, Bytes::from(body.to_owned())).await.unwrap()
}

#[tokio::test]
async fn the_json_rpc_examples_work_word_for_word() {
    let world = marketplace("{ price: [] }").await;
    let url = format!("{}/v1/execute", world.gateway.url);
    let example = r#"{"jsonrpc":"2.0","id":1,"method":"tools/execute","params":{"tool":"web-search","arguments":{"query":"hello"}}}"#;
    let answer = spelled(&url, example, &[]).await;
    let body = answer.json().unwrap();
    assert_eq!(answer.status, 200, "{body}");
    assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!(1)));
    assert_eq!(body["result"]["structuredContent"]["echo"], json!({ "query": "hello" }));
    assert_eq!(world.journal.calls_to("web-search")[0].arguments, r#"{"query":"hello"}"#);

    let listed =
        spelled(&url, r#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#, &[]).await.json().unwrap();
    assert_eq!((&listed["id"], &listed["result"]["tools"][0]["name"]), (&json!("a"), &json!("web-search")));
    let called = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"web-search","arguments":{"query":"hello"}}}"#;
    let called = spelled(&url, called, &[]).await.json().unwrap();
    assert_eq!(called["result"]["structuredContent"]["echo"], json!({ "query": "hello" }));
    let unknown =
        spelled(&url, r#"{"jsonrpc":"2.0","id":3,"method":"tools/destroy"}"#, &[]).await.json().unwrap();
    assert_eq!(unknown["error"]["code"], -32_601, "{unknown}");
    let batch = spelled(&url, &format!("[{example}]"), &[]).await;
    assert_eq!(code(&batch), "batch_refused");
    assert_eq!(world.journal.executions(), 2);
}

#[tokio::test]
async fn a_priced_tool_over_json_rpc_is_an_error_with_every_way_to_pay() {
    let world = marketplace(HALF_A_TOKEN).await;
    let url = format!("{}/v1/execute", world.gateway.url);
    let example = r#"{"jsonrpc":"2.0","id":1,"method":"tools/execute","params":{"tool":"web-search","arguments":{"query":"hello"}}}"#;
    let unpaid = spelled(&url, example, &[]).await;
    let body = unpaid.json().unwrap();
    assert_eq!(unpaid.status, 402, "{body}");
    assert_eq!(body["error"]["data"]["amount"], "500000");
    let demand = body["error"]["data"]["x402"].clone();
    // It is an HTTP 402, so clients of HTTP find what they look for.
    let header = base64_decode(unpaid.header("payment-required").unwrap());
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["accepts"], demand["accepts"]);
    assert!(unpaid.header("www-authenticate").unwrap().starts_with("L402 macaroon="));
    let entry = demand["accepts"][0].to_string();
    let signed =
        tollgate_rails::x402::sign_payment(&entry, None, &world.payer(), crate::world::rand_32(), now())
            .unwrap();
    let paid = spelled(&url, example, &[("payment-signature", &base64_encode(signed.as_bytes()))]).await;
    let body = paid.json().unwrap();
    assert_eq!(body["result"]["structuredContent"]["echo"], json!({ "query": "hello" }), "{body}");
    assert_eq!(statement(&body["result"])["charged"], true);
}

#[tokio::test]
async fn the_marketplace_lists_prices_as_atomic_units_and_for_people() {
    let world = marketplace(HALF_A_TOKEN).await;
    let url = format!("{}/api/v1/tools", world.gateway.url);
    let listed = soon(async {
        loop {
            let listed = get(&url, &[]).await.unwrap().json().unwrap();
            if listed["tools"] != json!([]) {
                return listed;
            }
            tokio::task::yield_now().await;
        }
    });
    let tool = &listed.await["tools"][0];
    assert_eq!((&tool["name"], &tool["server"]), (&json!("web-search"), &json!("up")));
    assert!(tool["description"].is_string());
    assert_eq!((&tool["pricing"]["type"], &tool["pricing"]["price"]), (&json!("per_call"), &json!("500000")));
    let shown: Vec<&str> = tool["pricing"]["options"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["display"].as_str().unwrap())
        .collect();
    assert_eq!(shown, ["0.5 USDC", "500 sat"]);
}

/// The marketplace's own body.
const EXECUTE: &str =
    r#"{"tool_name":"web-search","arguments":{"query":"hello"},"auto_pay":true,"max_price":"1000000"}"#;

#[tokio::test]
async fn an_unpaid_execution_is_a_402_that_names_amount_recipient_and_both_challenges() {
    let world = marketplace(HALF_A_TOKEN).await;
    let url = format!("{}/api/v1/execute", world.gateway.url);
    let unpaid = spelled(&url, EXECUTE, &[]).await;
    let body = unpaid.json().unwrap();
    assert_eq!(
        (unpaid.status.as_u16(), code(&unpaid).as_str()),
        (402, "payment_required"),
        "anonymous: {body}"
    );
    let data = &body["error"]["data"];
    assert_eq!(data["amount"], "500000");
    let header = base64_decode(unpaid.header("payment-required").unwrap());
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header["x402Version"], 2);
    assert_eq!(
        (&header["accepts"][0]["payTo"], &header["accepts"][0]["amount"]),
        (&data["recipient"], &json!("500000"))
    );
    assert_eq!(data["x402"]["accepts"], header["accepts"], "the same in headers and body");
    assert!(unpaid.header("www-authenticate").unwrap().starts_with("L402 macaroon="));
    assert!(data["l402"]["macaroon"].is_string() && data["l402"]["invoice"].is_string());
    world.assert_untouched("unpaid").await;

    let signed_by = |wallet: &tollgate_rails::evm::SigningKey| {
        let (entry, resource) = (header["accepts"][0].to_string(), header["resource"].to_string());
        let nonce = crate::world::rand_32();
        tollgate_rails::x402::sign_payment(&entry, Some(&resource), wallet, nonce, now()).unwrap()
    };
    // A wallet without money: the 402 after a settlement that failed says so in the header of x402.
    let poor = signed_by(&tollgate_rails::evm::SigningKey::from_bytes(&[9; 32]).unwrap());
    let failed = spelled(&url, EXECUTE, &[("payment-signature", &base64_encode(poor.as_bytes()))]).await;
    assert_eq!((failed.status.as_u16(), code(&failed).as_str()), (402, "payment_failed"));
    let settled = base64_decode(failed.header("payment-response").unwrap());
    let settled: Value = serde_json::from_slice(&settled).unwrap();
    assert_eq!((&settled["success"], &settled["transaction"]), (&json!(false), &json!("")));
    assert_eq!(settled["errorReason"], "invalid_exact_evm_insufficient_balance");
    world.assert_untouched("no money").await;

    let signed = signed_by(&world.payer());
    let paid = spelled(&url, EXECUTE, &[("payment-signature", &base64_encode(signed.as_bytes()))]).await;
    let body = paid.json().unwrap();
    assert_eq!(paid.status, 200, "{body}");
    assert_eq!(body["result"]["structuredContent"]["echo"], json!({ "query": "hello" }));
    assert!(paid.header("payment-response").is_some());
    // Whoever lost that answer, and sends the same again, is told of the same payment.
    let again = spelled(&url, EXECUTE, &[("payment-signature", &base64_encode(signed.as_bytes()))]).await;
    assert_eq!((again.status.as_u16(), &again.json().unwrap()["call_id"]), (200, &body["call_id"]));
    assert_eq!(again.header("payment-response"), paid.header("payment-response"));
    assert_eq!(world.payer_balance().await, 100_000_000 - 500_000);
}

#[tokio::test]
async fn auto_pay_spends_the_callers_credit_up_to_the_maximum() {
    let world = marketplace(HALF_A_TOKEN).await;
    let url = format!("{}/api/v1/execute", world.gateway.url);
    let (id, secret) = api_key(&world.gateway);
    let bearer = format!("Bearer {secret}");
    let authorized = [("authorization", bearer.as_str())];
    let unpaid = until_known(async || spelled(&url, EXECUTE, &authorized).await).await;
    assert_eq!(code(&unpaid), "payment_required", "no credit yet: {}", unpaid.text());
    assert!(world.gateway.cli(&["credit", "add", &id, "1USDC"]).status.success());

    let too_dear = spelled(&url, &EXECUTE.replace("1000000", "499999"), &authorized).await;
    assert_eq!((too_dear.status.as_u16(), code(&too_dear).as_str()), (409, "price_above_maximum"));
    let text = too_dear.text();
    assert!(
        !text.contains("accepts") && !text.contains("invoice"),
        "its own refusal, no demand to pay: {text}"
    );
    assert!(too_dear.header("payment-required").is_none() && too_dear.header("www-authenticate").is_none());
    let unwilling = spelled(&url, &EXECUTE.replace(r#""auto_pay":true,"#, ""), &authorized).await;
    assert_eq!(code(&unwilling), "payment_required", "credit is spent only when the caller says so");
    let anonymous = spelled(&url, EXECUTE, &[]).await;
    assert_eq!(anonymous.status, 402, "nobody's credit");
    assert_eq!(world.journal.executions(), 0);

    for _ in 0..2 {
        let paid = spelled(&url, EXECUTE, &authorized).await;
        let body = paid.json().unwrap();
        assert_eq!(paid.status, 200, "{body}");
        assert_eq!(body["result"]["structuredContent"]["echo"], json!({ "query": "hello" }));
    }
    assert_eq!(spelled(&url, EXECUTE, &authorized).await.status, 402, "the credit is spent");
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [1_000_000, 1_000_000, 0, 0]);
    assert_eq!(world.journal.executions(), 2);
    let exact = EXECUTE.replace("1000000", "500000");
    assert_eq!(
        code(&spelled(&url, &exact, &authorized).await),
        "payment_required",
        "a maximum of the price itself is enough"
    );
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn an_l402_credential_lives_ten_minutes_and_its_replay_never_runs_the_tool_again() {
    let world = marketplace(PRICED).await;
    let url = format!("{}/api/v1/execute", world.gateway.url);
    let before = now().secs();
    let unpaid = spelled(&url, EXECUTE, &[]).await.json().unwrap();
    let after = now().secs();
    let l402 = &unpaid["error"]["data"]["l402"];
    let preimage = world.pay_invoice(l402["invoice"].as_str().unwrap()).await;
    let header = format!("L402 {}:{preimage}", l402["macaroon"].as_str().unwrap());
    let paid = spelled(&url, EXECUTE, &[("authorization", &header)]).await;
    assert_eq!(paid.status, 200, "{}", paid.text());
    let again = spelled(&url, EXECUTE, &[("authorization", &header)]).await;
    assert_eq!(again.status, 200, "the very request: {}", again.text());
    assert_eq!(again.json().unwrap()["receipt"]["envelope"], paid.json().unwrap()["receipt"]["envelope"]);
    let other = spelled(&url, &EXECUTE.replace("hello", "other"), &[("authorization", &header)]).await;
    assert_eq!((other.status.as_u16(), code(&other).as_str()), (402, "payment_other_call"));
    assert_eq!(world.journal.executions(), 1);
    let expires = l402["expires_at"].as_u64().unwrap();
    assert!(
        (before + 600..=after + 600).contains(&expires),
        "a default life of 600 s, not {}",
        expires - before
    );
}

#[tokio::test]
async fn the_mcp_endpoint_of_one_server_has_its_own_names_and_of_several_those_with_their_server() {
    let world = marketplace("{ price: [] }").await;
    delivered(&world.call("web-search", &json!({ "query": "hello" })).await);
    let named = format!("{}/servers/up/mcp", world.gateway.url);
    delivered(&crate::world::call(&named, "web-search", &json!({}), &json!({}), &[]).await);
    assert_eq!(world.journal.calls_to("web-search").len(), 2);

    let folder = tempfile::tempdir().unwrap();
    let url = world.journal.url();
    std::fs::write(
        folder.path().join("tollgate.yaml"),
        format!(
            "servers:\n  a: {{ url: \"{url}\", every_tool: {{ price: [] }} }}\n  b: {{ url: \"{url}\", every_tool: {{ price: [] }} }}\n"
        ),
    )
    .unwrap();
    let several = Gateway::dev(folder.path()).await;
    let refused =
        crate::world::call(&several.mcp(), "web-search", &json!({ "query": "x" }), &json!({}), &[]).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (404, "unknown_tool"));
    for tool in ["a__web-search", "b__web-search"] {
        delivered(&crate::world::call(&several.mcp(), tool, &json!({ "query": "x" }), &json!({}), &[]).await);
    }
    // Over plain HTTP a name that no server lists is an unknown tool, and one that both list is not guessed.
    for (tool, status, said) in [("nothing", 404, "unknown_tool"), ("web-search", 404, "unknown_server")] {
        let body = format!(r#"{{"tool_name":"{tool}","arguments":{{}}}}"#);
        let refused = spelled(&format!("{}/api/v1/execute", several.url), &body, &[]).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (status, said), "{}", refused.text());
    }
    let called = r#"{"jsonrpc":"2.0","id":1,"method":"tools/execute","params":{"tool":"nothing"}}"#;
    let refused = spelled(&format!("{}/v1/execute", several.url), called, &[]).await;
    assert_eq!(
        (code(&refused).as_str(), &refused.json().unwrap()["error"]["code"]),
        ("unknown_tool", &json!(-32_602))
    );
    assert_eq!(world.journal.calls_to("web-search").len(), 4, "under the tool's own name");
}

fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(folder).args(arguments).envs(environment.iter().copied()).output().unwrap()
}

/// What a set-up means, as `tollgate validate` says it.
fn meaning(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = run(folder, &[&["validate"], arguments].concat(), environment);
    assert!(output.status.success(), "{environment:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Flags, environment, and the address that comes of them.
type Address<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[test]
fn the_address_comes_from_the_flag_then_from_each_name_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        ("HOST", "127.0.0.2"),
        ("PORT", "8000"),
        ("MCP_TRUST_GATEWAY_PORT", "3101"),
        ("TOLLGATE__LISTEN", "127.0.0.3:3102"),
    ];
    let [host, port, trust, ours] = names;
    let flag: &[&str] = &["--listen", "127.0.0.4:3103"];
    let cases: [Address<'_>; 8] = [
        (flag, &names, "127.0.0.4:3103"),
        (&[], &names, "127.0.0.3:3102"),
        (&[], &[host, port, trust], "127.0.0.2:3101"),
        (&[], &[port, trust], "127.0.0.1:3101"),
        (&[], &[host, port], "127.0.0.2:8000"),
        (&[], &[port], "127.0.0.1:8000"),
        (&[], &[host], "127.0.0.2:3100"),
        (&[], &[], "127.0.0.1:3100"),
    ];
    for (arguments, environment, expected) in cases {
        let said = meaning(folder.path(), arguments, environment);
        assert!(said.starts_with(&format!("listen      {expected}\n")), "{environment:?}: {said}");
    }
    let refused = run(folder.path(), &["validate"], &[("PORT", "eight"), ours]);
    assert!(refused.status.success(), "what is not used is not read: {refused:?}");
    let refused = run(folder.path(), &["validate"], &[("PORT", "eight")]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("HOST/PORT"), "the origin is named");
}

#[test]
fn the_env_file_of_the_working_folder_is_read_and_the_process_environment_wins() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "# of the original\nPORT=8001\nHOST=\"127.0.0.2\"\n").unwrap();
    assert!(meaning(folder.path(), &[], &[]).starts_with("listen      127.0.0.2:8001\n"));
    assert!(meaning(folder.path(), &[], &[("PORT", "8002")]).starts_with("listen      127.0.0.2:8002\n"));
}

/// The marketplace's `.env`, with the values of its documents.
const MARKETPLACE: &[(&str, &str)] = &[
    ("DEBUG", "false"),
    ("HOST", "127.0.0.1"),
    ("PORT", "8000"),
    ("NETWORK", "base-sepolia"),
    ("RPC_URL", "https://sepolia.base.org"),
    ("PAYMENT_TOKEN", "USDC"),
    ("PAYMENT_TOKEN_ADDRESS", "0x036CbD53842c5426634e7929541eC2318f3dCF7e"),
    ("HIGH_VALUE_THRESHOLD", "100.0"),
    ("MAX_DAILY_SPENT", "1000.0"),
    ("ESCROW_TIMEOUT", "300"),
    ("DISPUTE_WINDOW", "86400"),
];

#[test]
fn the_marketplaces_environment_means_what_its_documents_say_and_so_do_its_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let payee = ("PAY_TO", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");
    let said = meaning(folder.path(), &[], &[MARKETPLACE, &[payee]].concat());
    let x402 = said.lines().find(|line| line.starts_with("x402")).unwrap();
    for part in
        ["eip155:84532", "0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC", payee.1, "sepolia.base.org"]
    {
        assert!(x402.contains(part), "{part}: {x402}");
    }
    let defaults = meaning(folder.path(), &[], &[payee]);
    assert!(defaults.contains(x402), "the defaults are the same: {defaults}");
    // Nobody is named who is paid: the gateway starts all the same, and says that x402 is off.
    let said = meaning(folder.path(), &[], MARKETPLACE);
    assert!(!said.contains("\nx402"), "{said}");
    assert!(said.contains("PAY_TO"), "{said}");
    for (name, value) in [
        ("HIGH_VALUE_THRESHOLD", "1e2"),
        ("MAX_DAILY_SPENT", "lots"),
        ("ESCROW_TIMEOUT", "0.5"),
        ("NETWORK", "moon"),
        ("PAYMENT_TOKEN_ADDRESS", "0x1"),
    ] {
        let environment = [MARKETPLACE, &[payee, (name, value)]].concat();
        let refused = run(folder.path(), &["validate"], &environment);
        let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && errors.contains(name), "{name}: {errors}");
    }
}

#[tokio::test]
async fn an_escrow_has_the_times_of_the_marketplaces_environment_and_of_its_documents_without() {
    let times = async |environment: &[(&str, &str)]| {
        let world = World::with(Script::echo(), &[("echo", "{}")], "", environment).await;
        let payer = Party::new(&world.gateway, None).await;
        let provider = Party::new(&world.gateway, None).await;
        // In the words of the marketplace, who works is `provider_id`.
        let body = json!({ "provider_id": provider.id, "amount": "1000000", "asset": "USDC" });
        let made = payer.ask(Method::POST, "", &body, &[]).await.done();
        (made["terms"]["timeout_seconds"].clone(), made["terms"]["dispute_window_seconds"].clone())
    };
    assert_eq!(times(&[("ESCROW_TIMEOUT", "60"), ("DISPUTE_WINDOW", "120")]).await, (json!(60), json!(120)));
    assert_eq!(times(&[]).await, (json!(300), json!(86_400)));
}

#[test]
fn the_trust_gateways_and_the_l402_gates_names_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let trust = [
        ("A2A_EXCHANGE_URL", "http://localhost:3000"),
        ("MCP_TRUST_GATEWAY_PORT", "3100"),
        ("MCP_TRUST_DECAY_FACTOR", "0.85"),
        ("MCP_TRUST_MIN_REPUTATION", "0.0"),
        ("MCP_TRUST_DEFAULT_KYA", "0"),
        ("OAUTH_ISSUER", "http://localhost:3100"),
    ];
    let said = meaning(folder.path(), &[], &trust);
    assert!(said.starts_with("listen      127.0.0.1:3100\n"), "{said}");
    let refused = run(folder.path(), &["validate"], &[("MCP_TRUST_MIN_REPUTATION", "2")]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("MCP_TRUST_MIN_REPUTATION"));

    let key = "canary-of-the-invoice-key";
    let secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let gate =
        [("LNBITS_URL", "http://127.0.0.1:5000"), ("LNBITS_INVOICE_KEY", key), ("GATE_HMAC_SECRET", secret)];
    let said = meaning(folder.path(), &[], &gate);
    assert!(said.contains("credentials live 600 s"), "{said}");
    assert!(!said.contains(key) && !said.contains(secret), "a secret is printed: {said}");
    let short = [gate[0], gate[1], ("GATE_HMAC_SECRET", "change-me")];
    let refused = run(folder.path(), &["validate"], &short);
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && errors.contains("GATE_HMAC_SECRET"), "{errors}");
    assert!(!errors.contains("change-me") && !errors.contains(key), "{errors}");
}

#[tokio::test]
async fn the_least_reputation_of_the_environment_is_a_floor_under_every_tool() {
    let script = || Script::new().tool("web-search", Behaviour::Echo);
    let policies = [("web-search", "{ price: [] }")];
    let floor = [("MCP_TRUST_MIN_REPUTATION", "0.6")];
    let world = World::with(script(), &policies, "", &floor).await;
    let denied = world.call("web-search", &json!({})).await;
    assert_eq!((denied.status.as_u16(), code(&denied).as_str()), (403, "trust_insufficient"));
    assert_eq!(denied.json().unwrap()["error"]["data"]["required_reputation"], "0.6");
    assert_eq!(world.journal.executions(), 0);
    let open = World::with(script(), &policies, "", &[("MCP_TRUST_MIN_REPUTATION", "0.0")]).await;
    delivered(&open.call("web-search", &json!({})).await);
}

#[tokio::test]
async fn a_gateway_starts_from_the_environment_alone() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::start(Script::echo()).await.unwrap();
    let port = port::free().unwrap();
    let mut start = command(folder.path());
    start.arg("serve").env("MCP_TRUST_GATEWAY_PORT", port.to_string()).envs(MARKETPLACE.iter().copied());
    start.env("TOLLGATE__SERVERS__UP__URL", journal.url());
    let mut process = Guarded::spawn(&start, &folder.path().join("log")).unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let ready = async || get(&format!("{url}/readyz"), &[]).await.is_ok_and(|answer| answer.status == 200);
    process.wait_until(std::time::Duration::from_secs(30), ready).await.unwrap();
    delivered(&crate::world::call(&format!("{url}/mcp"), "echo", &json!({ "n": 1 }), &json!({}), &[]).await);
    assert_eq!(journal.executions(), 1);
    assert!(folder.path().join("tollgate-data").is_dir(), "the default data directory");
}

#[test]
fn dev_mode_refuses_an_address_that_others_can_reach() {
    let folder = tempfile::tempdir().unwrap();
    let open = run(folder.path(), &["dev", "--listen", "0.0.0.0:0"], &[]);
    let named = run(folder.path(), &["dev"], &[("HOST", "0.0.0.0"), ("PORT", "0")]);
    for refused in [open, named] {
        assert_eq!(refused.status.code(), Some(2));
        let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(errors.contains("loopback only"), "{errors}");
    }
}

#[test]
fn dev_mode_listens_where_its_file_says() {
    let folder = tempfile::tempdir().unwrap();
    // Taken: what does not start says where it would have listened.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    std::fs::write(folder.path().join("tollgate.yaml"), "listen: \"${WHERE}\"\n").unwrap();
    let dev = |environment: &[(&str, &str)]| {
        let refused = run(folder.path(), &["dev", "--config", "tollgate.yaml"], environment);
        assert_eq!(refused.status.code(), Some(2));
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    let said = dev(&[("WHERE", &address)]);
    assert!(said.contains(&format!("listen on {address}")), "{said}");
    let said = dev(&[("WHERE", "nowhere")]);
    assert!(said.contains("\"nowhere\" is no address"), "{said}");
    // The environment stands above the file.
    let said = dev(&[("WHERE", "127.0.0.1:1"), ("TOLLGATE__LISTEN", &address)]);
    assert!(said.contains(&format!("listen on {address}")), "{said}");
}
