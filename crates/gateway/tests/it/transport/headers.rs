//! M2: headers that mirror the body must tell the truth, and nothing is ever priced from them.

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::{Behaviour, Script, Tool};

use super::{Session, legacy_call};
use crate::world::{Demand, PRICED, World, base64_encode, call_body, code, delivered, modern_headers};

/// `dear` costs money, `cheap` does not, and both mirror an argument.
async fn world() -> World {
    let schema = json!({
        "type": "object",
        "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "count": { "type": "integer", "x-mcp-header": "Count" },
        },
    });
    let tool = |name: &str| Tool::with_schema(name, Behaviour::Echo, schema.clone());
    let script = Script::new().with(tool("dear")).with(tool("cheap"));
    World::new(script, &[("dear", PRICED), ("cheap", "{ price: [] }")]).await
}

/// A stateless call whose headers were changed: each of `changes` replaces all headers of that name by its values.
async fn call_with_headers(world: &World, body: &Value, changes: &[(&str, &[&str])]) -> Answer {
    let mut headers = modern_headers(body["params"]["name"].as_str().unwrap_or_default());
    for (name, values) in changes {
        headers.retain(|(other, _)| other != name);
        headers.extend(values.iter().map(|value| ((*name).to_owned(), (*value).to_owned())));
    }
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    send(Method::POST, &world.gateway.mcp(), &headers, body.to_string()).await.unwrap()
}

fn sentinel(bytes: &[u8]) -> String {
    format!("=?base64?{}?=", base64_encode(bytes))
}

fn assert_mismatch(answer: &Answer, what: &str) {
    let body = answer.json().unwrap();
    assert_eq!((answer.status.as_u16(), code(answer).as_str()), (400, "header_mismatch"), "{what}: {body}");
    assert_eq!(body["error"]["code"], -32_020, "{what}: {body}");
    assert_eq!(body["id"], 1, "{what}");
    assert!(!body.to_string().contains("accepts"), "{what}: a price for a request that lies about itself");
}

#[tokio::test]
async fn m2_a_mirrored_header_that_is_missing_or_untrue_is_refused() {
    let world = world().await;
    let body = call_body("dear", &json!({}), &json!({}));
    let (cheap, dear) = (sentinel(b"cheap"), sentinel(b"dear"));
    let not_utf8 = sentinel(&[0xff, 0xfe]);
    let cases: &[(&str, &str, &[&str])] = &[
        ("no version", "mcp-protocol-version", &[]),
        ("another version", "mcp-protocol-version", &["2025-11-25"]),
        ("a later version", "mcp-protocol-version", &["2026-12-01"]),
        ("two versions", "mcp-protocol-version", &["2026-07-28", "2026-07-28"]),
        ("no method", "mcp-method", &[]),
        ("another method", "mcp-method", &["tools/list"]),
        ("the method in capitals", "mcp-method", &["Tools/Call"]),
        ("two methods", "mcp-method", &["tools/call", "tools/list"]),
        ("no name", "mcp-name", &[]),
        ("a cheaper name", "mcp-name", &["cheap"]),
        ("the name in capitals", "mcp-name", &["Dear"]),
        ("two names", "mcp-name", &["dear", "cheap"]),
        ("a cheaper name as base64", "mcp-name", &[&cheap]),
        ("base64 that is none", "mcp-name", &["=?base64?!!!?="]),
        ("base64 without padding", "mcp-name", &["=?base64?ZGVhcg?="]),
        ("base64 of no text", "mcp-name", &[&not_utf8]),
        ("base64 in capitals", "mcp-name", &["=?BASE64?ZGVhcg==?="]),
        ("half of a base64 form", "mcp-name", &["=?base64?ZGVhcg=="]),
    ];
    for (what, name, values) in cases {
        assert_mismatch(&call_with_headers(&world, &body, &[(name, values)]).await, what);
    }
    assert!(world.journal.calls().is_empty(), "nothing was forwarded");
    world.assert_untouched("M2").await;

    Demand::read(&call_with_headers(&world, &body, &[("mcp-name", &[&dear])]).await);
    let free = call_body("cheap", &json!({}), &json!({}));
    delivered(&call_with_headers(&world, &free, &[("mcp-name", &[&cheap])]).await);
    assert_eq!(world.journal.executions(), 1, "control: the base64 form of the truth is the truth");
}

#[tokio::test]
async fn m2_a_mirrored_argument_that_is_missing_or_untrue_is_refused() {
    let world = world().await;
    // Its header is asked for only once the tool's schema is known.
    Demand::read(&call_with_headers(&world, &call_body("dear", &json!({}), &json!({})), &[]).await);
    let with = |arguments: Value| call_body("dear", &arguments, &json!({}));
    let (there, elsewhere) = (sentinel("Zürich".as_bytes()), sentinel(b"us"));
    let cases: &[(&str, Value, &str, &[&str])] = &[
        ("no header", json!({ "region": "eu" }), "mcp-param-region", &[]),
        ("another value", json!({ "region": "eu" }), "mcp-param-region", &["us"]),
        ("another case", json!({ "region": "eu" }), "mcp-param-region", &["EU"]),
        ("two values", json!({ "region": "eu" }), "mcp-param-region", &["eu", "us"]),
        ("another value as base64", json!({ "region": "eu" }), "mcp-param-region", &[&elsewhere]),
        ("a header without an argument", json!({}), "mcp-param-region", &["eu"]),
        ("a header for null", json!({ "count": null }), "mcp-param-count", &["0"]),
        ("another number", json!({ "count": 42 }), "mcp-param-count", &["43"]),
        ("no header for text beyond ASCII", json!({ "region": "Zürich" }), "mcp-param-region", &[]),
    ];
    for (what, arguments, name, values) in cases {
        assert_mismatch(&call_with_headers(&world, &with(arguments.clone()), &[(name, values)]).await, what);
    }
    assert!(world.journal.calls().is_empty(), "nothing was forwarded");

    let free = call_body("cheap", &json!({ "region": "Zürich", "count": 42 }), &json!({}));
    let truth: &[(&str, &[&str])] = &[("mcp-param-region", &[&there]), ("mcp-param-count", &["42"])];
    delivered(&call_with_headers(&world, &free, truth).await);
    let plain = call_body("cheap", &json!({ "region": "eu" }), &json!({}));
    delivered(&call_with_headers(&world, &plain, &[("mcp-param-region", &["eu"])]).await);
    assert_eq!(world.journal.executions(), 2, "control");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn m2_a_stateless_call_that_does_not_describe_itself_is_refused() {
    let world = world().await;
    let version = "io.modelcontextprotocol/protocolVersion";
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    for (what, member, value) in [
        ("no version in the body", version, None),
        ("a version that is no text", version, Some(json!(20_260_728))),
        ("no capabilities", capabilities, None),
        ("capabilities that are no object", capabilities, Some(json!("none"))),
    ] {
        let mut body = call_body("cheap", &json!({}), &json!({}));
        let meta = body["params"]["_meta"].as_object_mut().unwrap();
        meta.remove(member);
        meta.extend(value.map(|value| (member.to_owned(), value)));
        let refused = call_with_headers(&world, &body, &[]).await;
        let said = refused.json().unwrap();
        assert_eq!(
            (refused.status.as_u16(), &said["error"]["code"]),
            (400, &json!(-32_602)),
            "{what}: {said}"
        );
    }
    assert!(world.journal.calls().is_empty(), "nothing was forwarded");
    let whole = call_body("cheap", &json!({}), &json!({}));
    delivered(&call_with_headers(&world, &whole, &[]).await);
}

#[tokio::test]
async fn m2_a_call_is_priced_from_its_body_in_either_era() {
    let world = world().await;
    let session = Session::open(&world.gateway.mcp()).await;
    let dear = legacy_call("dear", &json!({}), &json!({})).to_string();
    // The era of sessions has no such headers: one that is there all the same decides nothing.
    let lies = [("mcp-name", "cheap"), ("mcp-method", "tools/list"), ("mcp-param-region", "eu")];
    Demand::read(&session.post_with(dear.clone(), &lies).await);
    // A version in either place that the other contradicts is no way out of the checks of its era.
    let newer = session.post_with(dear, &[("mcp-protocol-version", "2026-07-28")]).await;
    assert_eq!(
        (newer.status.as_u16(), newer.json().unwrap()["error"]["code"].clone()),
        (400, json!(-32_602))
    );
    let modern_body = call_body("dear", &json!({}), &json!({})).to_string();
    assert_mismatch(&session.post(modern_body).await, "a stateless body under a session's headers");
    assert!(world.journal.calls().is_empty(), "nothing was forwarded");
    world.assert_untouched("M2").await;
    delivered(&session.call("cheap", &json!({}), &json!({})).await);
    assert_eq!(world.journal.executions(), 1, "control");
}
