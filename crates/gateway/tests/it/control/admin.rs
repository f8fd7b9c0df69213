//! The admin API: for whoever has an admin key, kept over a restart, written down.

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{get, send};
use tollgate_testkit::journal_server::{Journal, Script};

use super::{Operator, asked, yaml};
use crate::paid_calls::api_key;
use crate::world::{PRICE, PRICED, World, call, code, delivered};

const PRICE_OF_ECHO: &str = "/servers/up/tools/echo/price";

#[tokio::test]
async fn nobody_but_the_holder_of_an_admin_key_finds_the_admin_api() {
    let world = World::paid_echo().await;
    let url = format!("{}/admin/v1/servers", world.gateway.url);
    let (_, payer) = api_key(&world.gateway);
    let as_payer = format!("Bearer {payer}");
    let hidden = get(&url, &[("authorization", &as_payer)]).await.unwrap();
    assert_eq!(hidden.status, 404, "before there is an admin key there is no admin API");

    let operator = Operator::of(&world.gateway);
    let bearer = format!("Bearer {}", operator.secret);
    assert_eq!(get(&url, &[("authorization", &bearer)]).await.unwrap().status, 200, "control");
    let wrong = format!("{bearer}x");
    for headers in [
        &[][..],
        &[("authorization", as_payer.as_str())],
        &[("x-api-key", operator.secret.as_str())],
        &[("authorization", wrong.as_str())],
        &[("authorization", bearer.as_str()), ("authorization", bearer.as_str())],
    ] {
        let refused = get(&url, headers).await.unwrap();
        assert_eq!(
            (refused.status.as_u16(), code(&refused).as_str()),
            (401, "unauthenticated"),
            "{headers:?}"
        );
        let change = format!("{}/admin/v1{PRICE_OF_ECHO}", world.gateway.url);
        let refused = send(Method::PUT, &change, headers, r#"{"price":[]}"#.to_owned()).await.unwrap();
        assert_eq!(refused.status, 401);
    }
    let forwarded = get(&url, &[("authorization", &bearer), ("x-forwarded-for", "192.0.2.7")]).await.unwrap();
    assert_eq!((forwarded.status.as_u16(), code(&forwarded).as_str()), (403, "origin_refused"));
    let foreign = get(&url, &[("authorization", &bearer), ("origin", "https://evil.example")]).await.unwrap();
    assert_eq!(foreign.status, 403);
    assert_eq!(asked(&world).await, PRICE.to_string(), "nothing was changed");
    // An admin key pays for nothing and calls nothing.
    let as_caller =
        call(&world.gateway.mcp(), "echo", &json!({}), &json!({}), &[("authorization", &bearer)]).await;
    assert!(as_caller.text().contains("x402Version"), "{}", as_caller.text());

    assert!(world.gateway.cli(&["keys", "revoke", &operator.id]).status.success());
    assert_eq!(get(&url, &[("authorization", &bearer)]).await.unwrap().status, 404, "the last key is gone");
}

#[tokio::test]
async fn no_cache_keeps_what_an_operator_is_told() {
    let world = World::paid_echo().await;
    let operator = Operator::of(&world.gateway);
    let mut answers = Vec::new();
    for (path, status) in [
        ("/servers", 200),
        ("/servers/up", 200),
        ("/servers/none", 404),
        ("/audit", 200),
        ("/audit?limit=0", 400),
        ("/escrows", 200),
        ("/escrows/esc_103518Rpy1IgAnbQiqcrFy6", 404),
        ("/approvals", 200),
        ("/budgets", 200),
        ("/payouts", 200),
        ("/reconciliation", 200),
        ("/nothing", 404),
    ] {
        answers.push((path, status, operator.ask(Method::GET, path, None, &[]).await));
    }
    let reason = json!({ "call_id": "call_103518Rpy1IgAnbQiqcrFy6", "reason": "x" });
    answers.push(("/refunds", 404, operator.ask(Method::POST, "/refunds", Some(reason), &[]).await));
    answers.push(("/refunds", 405, operator.ask(Method::GET, "/refunds", None, &[]).await));
    let price = json!({ "price": ["0.02USDC"] });
    answers.push((PRICE_OF_ECHO, 200, operator.ask(Method::PUT, PRICE_OF_ECHO, Some(price), &[]).await));
    let stranger = get(&format!("{}/admin/v1/servers", world.gateway.url), &[]).await.unwrap();
    answers.push(("without a key", 401, stranger));
    for (path, status, answer) in answers {
        let told = (answer.status.as_u16(), answer.header("cache-control"));
        assert_eq!(told, (status, Some("no-store")), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn changes_count_at_once_are_written_down_and_outlive_a_restart() {
    let mut world = World::paid_echo().await;
    let operator = Operator::of(&world.gateway);
    let other = Journal::start(Script::echo()).await.unwrap();
    operator.done(Method::PUT, PRICE_OF_ECHO, Some(json!({ "price": ["0.02USDC"] }))).await;
    assert_eq!(asked(&world).await, "20000");
    let server = json!({
        "url": other.url(),
        "credential": { "value": "Bearer s3cret-of-a-server" },
        "every_tool": { "price": ["0.03USDC"] },
    });
    let added = operator.done(Method::PUT, "/servers/other", Some(server)).await;
    assert_eq!(added["servers"]["added"], json!(["other"]));
    let shown = operator.get("/servers/other").await;
    assert_eq!(shown["from"], "admin");
    assert_eq!(shown["settings"]["credential"]["value"], "***");
    assert_eq!(operator.get("/servers/up").await["tools"][0]["price_from"], "admin");

    world.gateway = world.gateway.killed_and_restarted().await;
    let payment = {
        let url = format!("{}/servers/other/mcp", world.gateway.url);
        let unpaid = call(&url, "echo", &json!({}), &json!({}), &[]).await;
        let demand = crate::world::Demand::read(&unpaid);
        assert_eq!(demand.entry()["amount"], "30000");
        (url, demand.sign(&world.payer()))
    };
    let meta = json!({ "x402/payment": payment.1 });
    delivered(&call(&payment.0, "echo", &json!({}), &meta, &[]).await);
    assert_eq!(other.executions(), 1);

    let audit = operator.get("/audit").await;
    let entries = audit["entries"].as_array().unwrap();
    let told: Vec<(&Value, &Value)> =
        entries.iter().map(|entry| (&entry["what"], &entry["target"])).collect();
    assert_eq!(told[0], (&json!("put_server"), &json!("servers/other")));
    assert_eq!(told[1], (&json!("put_price"), &json!("servers/up/tools/echo/price")));
    assert_eq!(
        (&entries[1]["before"], &entries[1]["after"]),
        (&json!(["0.01USDC", "10sat"]), &json!(["0.02USDC"]))
    );
    assert_eq!(entries[1]["admin"], json!(operator.id));
    assert_eq!(told.last().unwrap().0, "create_admin_key");
    assert!(!audit.to_string().contains("s3cret"), "{audit}");
    assert!(!world.gateway.whole_log().contains("s3cret"));

    operator.done(Method::DELETE, PRICE_OF_ECHO, None).await;
    operator.done(Method::DELETE, "/servers/other", None).await;
    assert_eq!(asked(&world).await, PRICE.to_string(), "the file's price counts again");
    operator.done(Method::PUT, "/servers/other", Some(json!({ "url": other.url() }))).await;
    let gone = operator.done(Method::DELETE, "/servers/up", None).await;
    assert_eq!(gone["servers"]["removed"], json!(["up"]));
    world.gateway = world.gateway.killed_and_restarted().await;
    let servers = operator.get("/servers").await;
    assert_eq!(servers["removed_from_file"], json!(["up"]));
    assert_eq!(servers["servers"].as_array().unwrap().len(), 1);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_change_is_a_whole_configuration_or_nothing() {
    let world = World::paid_echo().await;
    let operator = Operator::of(&world.gateway);
    let before = operator.get("/servers").await;
    let url = world.journal.url();
    for (path, body, status, word) in [
        ("/servers/new", json!({ "url": url, "prize": [] }), 422, "configuration_refused"),
        (
            "/servers/new",
            json!({ "url": url, "every_tool": { "price": ["1EUR"] } }),
            422,
            "configuration_refused",
        ),
        ("/servers/New!", json!({ "url": url }), 422, "configuration_refused"),
        ("/servers/new", json!([]), 400, "malformed"),
        ("/servers/new", json!({ "command": ["sh"] }), 403, "command_refused"),
        ("/servers/new", json!({ "url": url, "credential": { "value": "***" } }), 400, "masked_value"),
        ("/servers/up/tools/echo/price", json!({ "price": ["0.02USDC"], "note": 1 }), 400, "malformed"),
        ("/servers/up/tools/echo/price", json!({ "price": ["0USDC"] }), 422, "configuration_refused"),
        ("/servers/none/tools/echo/price", json!({ "price": ["0.02USDC"] }), 404, "not_found"),
    ] {
        let refused = operator.ask(Method::PUT, path, Some(body.clone()), &[]).await;
        assert_eq!(
            (refused.status.as_u16(), code(&refused).as_str()),
            (status, word),
            "{body}: {}",
            refused.text()
        );
    }
    let unset = operator.ask(Method::DELETE, PRICE_OF_ECHO, None, &[]).await;
    assert_eq!(unset.status, 404, "the admin API has set no price");
    assert_eq!(operator.get("/servers").await["version"], before["version"], "nothing was changed");
    assert_eq!(
        operator.get("/audit").await["entries"].as_array().unwrap().len(),
        1,
        "nothing was written down"
    );

    let version = format!("\"{}\"", before["version"].as_str().unwrap());
    let price = |price: &str| Some(json!({ "price": [price] }));
    let first = operator.ask(Method::PUT, PRICE_OF_ECHO, price("0.02USDC"), &[("if-match", &version)]).await;
    assert_eq!(first.status, 200, "control: {}", first.text());
    let lost = operator.ask(Method::PUT, PRICE_OF_ECHO, price("0.05USDC"), &[("if-match", &version)]).await;
    assert_eq!((lost.status.as_u16(), code(&lost).as_str()), (412, "version_mismatch"), "{}", lost.text());
    let seen = first.header("etag").unwrap().to_owned();
    let second = operator.ask(Method::PUT, PRICE_OF_ECHO, price("0.03USDC"), &[("if-match", &seen)]).await;
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(asked(&world).await, "30000");
    // The file's own changes go on counting beside what lies over them.
    operator.serve(&world.gateway, &format!("{}admin: {{ commands: true }}\n", yaml(&world, PRICED))).await;
    assert_eq!(asked(&world).await, "30000");
    let program = json!({ "command": [crate::world::TOLLGATE, "demo-server"] });
    operator.done(Method::PUT, "/servers/program", Some(program)).await;
}
