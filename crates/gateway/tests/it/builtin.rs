//! The built-in tools, at their own endpoint and nowhere else: both eras, official clients, nothing of other callers.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::conformance::{self, Suite};
use tollgate_testkit::http::{get, send};
use tollgate_testkit::journal_server::Script;
use tollgate_testkit::peers::mcp_client::{Mode, Use, python, typescript};
use tollgate_testkit::peers::sdk_clients::Era;
use tollgate_testkit::peers::{Inspector, available};

use crate::paid_calls::{api_key, until_known};
use crate::world::{PRICED, World, call, code, delivered, post};

const ALL: [&str; 6] =
    ["list_tools_for_sale", "price_of", "my_balance", "my_receipts", "receipt", "verify_receipt"];

async fn world() -> World {
    let more = "builtin_tools: true\n";
    World::with(Script::echo(), &[("echo", PRICED)], more, &[]).await
}

fn at(world: &World) -> String {
    format!("{}/servers/tollgate/mcp", world.gateway.url)
}

/// What a tool says, as its structured content; the text says the same.
async fn ask(world: &World, tool: &str, arguments: Value, key: Option<&str>) -> Value {
    let bearer = key.map(|key| format!("Bearer {key}")).unwrap_or_default();
    let headers = [("authorization", bearer.as_str())];
    let headers = if key.is_some() { &headers[..] } else { &[] };
    let result = delivered(&call(&at(world), tool, &arguments, &json!({}), headers).await);
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);
    assert_eq!(result["resultType"], "complete");
    text
}

/// Waits until the server behind the gateway has been asked for its tools.
async fn listed(world: &World) {
    crate::world::soon(async {
        while ask(world, "list_tools_for_sale", json!({}), None).await["found"] != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_finds_a_price_pays_and_finds_its_receipt_and_nobody_elses() {
    let world = world().await;
    listed(&world).await;
    let found = ask(&world, "list_tools_for_sale", json!({ "query": "ECHO nothing-else" }), None).await;
    assert_eq!((&found["found"], &found["tools"][0]["tool"]), (&json!(1), &json!("echo")));
    assert_eq!(found["tools"][0]["pricing"]["options"][0]["display"], "0.01 USDC");
    assert_eq!(ask(&world, "list_tools_for_sale", json!({ "query": "weather" }), None).await["found"], 0);
    let price = ask(&world, "price_of", json!({ "tool": "echo", "arguments": { "n": 1 } }), None).await;
    assert_eq!((&price["pricing"]["price"], &price["mode"]), (&json!("10000"), &json!("sandbox")));
    world.assert_untouched("asking for a price").await;

    let (mine, my_key) = api_key(&world.gateway);
    let (_, other_key) = api_key(&world.gateway);
    let granted = world.gateway.cli(&["credit", "add", &mine, "1USDC"]);
    assert!(granted.status.success(), "{granted:?}");
    for key in [&my_key, &other_key] {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str())];
        until_known(async || call(&at(&world), "my_balance", &json!({}), &json!({}), &headers).await).await;
    }
    let balance = ask(&world, "my_balance", json!({}), Some(&my_key)).await;
    assert_eq!(
        (&balance["owner"], &balance["balances"][0]["display"]),
        (&json!(mine), &json!("1 USDC")),
        "{balance}"
    );
    let bearer = format!("Bearer {my_key}");
    let paid =
        call(&world.gateway.mcp(), "echo", &json!({ "n": 1 }), &json!({}), &[("authorization", &bearer)])
            .await;
    let receipt = delivered(&paid)["_meta"]["tollgate/receipt"].clone();

    let balance = ask(&world, "my_balance", json!({}), Some(&my_key)).await;
    assert_eq!(balance["balances"][0]["available"], "990000", "{balance}");
    let receipts = ask(&world, "my_receipts", json!({}), Some(&my_key)).await;
    let row = &receipts["receipts"][0];
    assert_eq!(
        (&row["tool"], &row["amount"], &row["state"]),
        (&json!("echo"), &json!("10000"), &json!("settled")),
        "{receipts}"
    );
    let id = row["receipt_id"].as_str().unwrap();
    let envelope = ask(&world, "receipt", json!({ "receipt_id": id }), None).await["envelope"].clone();
    assert_eq!(envelope, receipt["envelope"]);
    let valid = ask(&world, "verify_receipt", json!({ "receipt": receipt }), None).await;
    assert_eq!((&valid["valid"], &valid["statement"]["receipt_id"]), (&json!(true), &json!(id)), "{valid}");
    let mut forged = envelope;
    forged["payload"] = json!("e30=");
    assert_eq!(ask(&world, "verify_receipt", json!({ "receipt": forged }), None).await["valid"], false);

    // A page at a time, and each call on one page.
    for n in 2..=3 {
        let headers = [("authorization", bearer.as_str())];
        delivered(&call(&world.gateway.mcp(), "echo", &json!({ "n": n }), &json!({}), &headers).await);
    }
    let (mut seen, mut before) = (Vec::new(), Value::Null);
    loop {
        let mut asked = json!({ "limit": 2 });
        if !before.is_null() {
            asked["before"] = before.clone();
        }
        let page = ask(&world, "my_receipts", asked, Some(&my_key)).await;
        let rows = page["receipts"].as_array().unwrap();
        seen.extend(rows.iter().map(|row| row["call_id"].as_str().unwrap().to_owned()));
        before = page["next_before"].clone();
        if before.is_null() {
            break;
        }
        assert_eq!(rows.len(), 2, "{page}");
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.is_sorted_by(|one, other| one > other), "the newest first: {seen:?}");

    // Somebody else sees nothing of it.
    let others = ask(&world, "my_receipts", json!({}), Some(&other_key)).await;
    assert_eq!(others["receipts"], json!([]));
    assert_eq!(ask(&world, "my_balance", json!({}), Some(&other_key)).await["balances"][0]["available"], "0");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn refusals_are_those_of_every_door_and_name_the_next_step() {
    let world = world().await;
    listed(&world).await;
    let refused = async |tool: &str, arguments: Value, headers: &[(&str, &str)]| {
        call(&at(&world), tool, &arguments, &json!({}), headers).await
    };
    for (tool, arguments, named) in [
        ("price_of", json!({}), "invalid_arguments"),
        ("price_of", json!({ "tool": "echo", "pay": true }), "invalid_arguments"),
        ("list_tools_for_sale", json!({ "limit": 1000 }), "invalid_arguments"),
        ("price_of", json!({ "tool": "nobody/echo" }), "unknown_tool"),
        ("price_of", json!({ "tool": "up/nothing" }), "unknown_tool"),
        ("my_balance", json!({}), "unauthenticated"),
        ("my_receipts", json!({}), "unauthenticated"),
    ] {
        let answer = refused(tool, arguments.clone(), &[]).await;
        assert_eq!(
            (code(&answer).as_str(), answer.status.as_u16()),
            (named, 200),
            "{tool} {arguments}: {}",
            answer.text()
        );
        assert_eq!(
            answer.json().unwrap()["result"]["isError"],
            true,
            "{tool} {arguments}: {}",
            answer.text()
        );
    }
    let wrong = refused("my_balance", json!({}), &[("authorization", "Bearer tgk_wrong")]).await;
    assert_eq!((code(&wrong).as_str(), wrong.status.as_u16()), ("unauthenticated", 401), "{}", wrong.text());
    let unknown = refused("echo", json!({}), &[]).await;
    assert_eq!(code(&unknown), "unknown_tool", "{}", unknown.text());
    let nothing = refused("receipt", json!({ "receipt_id": "rcpt_none" }), &[]).await;
    assert_eq!(nothing.json().unwrap()["result"]["isError"], true, "{}", nothing.text());
    let batch = post(&at(&world), &json!([]), &[]).await;
    assert_eq!(code(&batch), "batch_refused");
    world.assert_untouched("a refusal").await;
}

#[tokio::test]
async fn the_endpoint_speaks_both_eras_without_sessions_or_streams() {
    let world = world().await;
    let legacy = async |body: Value| {
        let accept = [("accept", "application/json, text/event-stream")];
        post(&at(&world), &body, &accept).await
    };
    let opened = legacy(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } }))
    .await;
    let result = opened.json().unwrap()["result"].clone();
    assert_eq!(
        (&result["protocolVersion"], &result["serverInfo"]["name"]),
        (&json!("2025-06-18"), &json!("tollgate"))
    );
    assert!(opened.header("mcp-session-id").is_none());
    let heard = legacy(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    assert_eq!((heard.status.as_u16(), heard.body.len()), (202, 0));
    let pong = legacy(json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" })).await;
    assert_eq!(pong.json().unwrap(), json!({ "jsonrpc": "2.0", "id": "p", "result": {} }));
    let list = legacy(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).await.json().unwrap();
    let names: Vec<&str> = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ALL);
    assert!(list["result"].get("ttlMs").is_none(), "a hint of the other era");
    let cursor =
        legacy(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": { "cursor": "x" } }))
            .await;
    assert_eq!(cursor.json().unwrap()["error"]["code"], -32_602);
    let other = legacy(json!({ "jsonrpc": "2.0", "id": 3, "method": "resources/list" })).await;
    assert_eq!((other.status.as_u16(), &other.json().unwrap()["error"]["code"]), (200, &json!(-32_601)));

    let modern = async |method: &str, version: &str| {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": { "_meta": {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" } } } });
        post(&at(&world), &body, &[("mcp-protocol-version", version), ("mcp-method", method)]).await
    };
    let discovered = modern("server/discover", "2026-07-28").await.json().unwrap()["result"].clone();
    assert_eq!(
        (&discovered["supportedVersions"], &discovered["resultType"]),
        (&json!(["2026-07-28"]), &json!("complete"))
    );
    assert_eq!(modern("tools/list", "2026-07-28").await.json().unwrap()["result"]["cacheScope"], "public");
    assert_eq!(modern("resources/list", "2026-07-28").await.status.as_u16(), 404);
    let newer = modern("tools/list", "2099-01-01").await;
    assert_eq!((newer.status.as_u16(), &newer.json().unwrap()["error"]["code"]), (400, &json!(-32_022)));
    for method in [Method::GET, Method::DELETE] {
        let answer = send(method, &at(&world), &[], Bytes::new()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("POST")));
    }
}

#[tokio::test]
async fn the_built_in_tools_are_off_by_default_and_at_no_other_door() {
    let world = world().await;
    listed(&world).await;
    let off = World::paid_echo().await;
    assert_eq!(
        call(&at(&off), "price_of", &json!({}), &json!({}), &[]).await.status.as_u16(),
        404,
        "off by default"
    );
    let for_sale = get(&format!("{}/api/v1/tools", world.gateway.url), &[]).await.unwrap();
    assert!(for_sale.text().contains("echo") && !for_sale.text().contains("price_of"), "{}", for_sale.text());
    let through = call(&world.gateway.mcp(), "price_of", &json!({ "tool": "echo" }), &json!({}), &[]).await;
    assert_eq!(code(&through), "unknown_tool", "/mcp is the one server's");
    let rest = post(
        &format!("{}/api/v1/execute", world.gateway.url),
        &json!({ "tool_name": "tollgate/price_of" }),
        &[],
    )
    .await;
    assert!(!rest.text().contains("pricing"), "{}", rest.text());

    let beside =
        format!("  other: {{ url: '{}' }}\nbuiltin_tools: [receipt, verify_receipt]\n", world.journal.url());
    let some = World::with(Script::echo(), &[("echo", PRICED)], &beside, &[]).await;
    let federated = call(&some.gateway.mcp(), "tollgate__receipt", &json!({}), &json!({}), &[]).await;
    assert_eq!(code(&federated), "unknown_tool", "no part of the federated door");
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {} } } });
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
    let list = post(&some.gateway.mcp(), &list, &headers).await.text();
    assert!(list.contains("up__echo") && !list.contains("verify_receipt"), "{list}");
    let answer = call(&at(&some), "price_of", &json!({ "tool": "echo" }), &json!({}), &[]).await;
    assert_eq!(code(&answer), "unknown_tool", "only those that are named");
    assert_eq!(
        code(&call(&at(&some), "receipt", &json!({}), &json!({}), &[]).await),
        "invalid_arguments",
        "control"
    );
}

#[tokio::test]
async fn official_clients_use_the_built_in_tools() {
    let world = world().await;
    listed(&world).await;
    let (url, calls, reads) =
        (at(&world), json!([["price_of", { "tool": "echo" }], ["list_tools_for_sale", {}]]), json!([]));
    let given = Use { url: &url, calls: &calls, reads: &reads };
    let seen = [
        available(typescript(given, Mode::Auto).await),
        available(typescript(given, Mode::Legacy).await),
        available(python(given).await),
    ];
    for seen in seen.into_iter().flatten() {
        assert_eq!(seen.tools, ALL, "{}", seen.era);
        assert_eq!(seen.results[0]["structuredContent"]["pricing"]["price"], "10000", "{}", seen.era);
        assert_eq!(seen.results[1]["structuredContent"]["found"], 1, "{}", seen.era);
    }
    let Some(inspector) = available(Inspector::install().await) else { return };
    for era in [Era::Legacy, Era::Modern] {
        let listed = inspector.ask(&url, era, "tools/list", &[]).await.unwrap();
        assert_eq!(listed["tools"].as_array().unwrap().len(), ALL.len(), "{era:?}");
    }
}

/// How the suites say, in lower case, that a server does not offer what a scenario needs: these tools are no fixture's.
const NOT_OFFERED: [&str; 6] = [
    "method not found",
    "unknown tool",
    "not testable",
    "not found. available",
    "expected inputrequiredresult",
    "prerequisite failed",
];

/// Asserts that the suites find nothing wrong with an endpoint of the gateway's own that has tools and nothing else.
pub(crate) async fn assert_conforms(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let Some(checks) = available(conformance::run(url, folder.path()).await) else { return };
    let wrong: Vec<_> = checks
        .iter()
        .filter(|check| check.status == "FAILURE")
        .filter(|check| {
            let said = check.message.0.as_deref().unwrap_or_default().to_lowercase();
            !NOT_OFFERED.iter().any(|reason| said.contains(reason))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The control: what does not depend on what is offered was asked, and is right.
    for (suite, scenario, id) in [
        (Suite::Legacy, "server-initialize", "server-initialize"),
        (Suite::Legacy, "ping", "ping"),
        (Suite::Legacy, "tools-list", "tools-list"),
        (Suite::Required20251125, "server-initialize", "wire-schema-valid"),
        (Suite::Required20251125, "tools-list", "wire-schema-valid"),
        (Suite::All20260728, "caching", "sep-2549-tools-list-caching-hints"),
        (Suite::All20260728, "http-header-validation", "sep-2243-server-reject-invalid-headers"),
        (Suite::All20260728, "server-stateless", "sep-2575-server-implements-discover"),
        (Suite::All20260728, "server-stateless", "sep-2575-server-unsupported-version-error"),
        (Suite::All20260728, "server-stateless", "sep-2575-http-server-method-not-found-404-ping"),
        (Suite::All20260728, "tools-list", "wire-schema-valid"),
        (Suite::All20260728, "tools-call-error", "wire-schema-valid"),
    ] {
        let found = checks.iter().find(|c| c.suite == suite && c.scenario == scenario && c.id == id);
        assert_eq!(found.map(|check| check.status.as_str()), Some("SUCCESS"), "{suite:?} {scenario} {id}");
    }
}

#[tokio::test]
async fn the_conformance_suites_find_nothing_but_what_is_not_offered() {
    let world = world().await;
    assert_conforms(&format!("http://localhost:{}/servers/tollgate/mcp", world.gateway.port)).await;
}
