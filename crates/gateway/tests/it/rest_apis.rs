//! REST APIs sold as MCP tools: a real HTTP server behind its OpenAPI document, called and paid through the binary.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tollgate_testkit::journal_server::{Journal, Script};
use tollgate_testkit::peers::available;
use tollgate_testkit::peers::mcp_client::{Mode, Use, python, typescript};

use crate::builtin::assert_conforms;
use crate::world::{Demand, Gateway, PRICE, PRICED, World, base64_encode, code, delivered, post, statement};

const START: u128 = 100_000_000;

const DOCUMENT: &str = r##"
openapi: 3.0.3
info: { title: Pet shop, version: 1.0.0 }
servers: [{ url: "https://shop.invalid/not/used" }]
paths:
  /pets:
    get:
      operationId: listPets
      summary: Lists the names of the pets of one kind
      parameters: [{ name: kind, in: query, schema: { type: string } }]
      responses: { "200": { description: Names, content: { application/json: { schema: { type: array, items: { type: string } } } } } }
    post:
      operationId: createPet
      requestBody: { required: true, content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } } }
      responses: { "201": { description: The pet, content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } } } }
  /pets/{name}:
    get:
      operationId: getPet
      description: One pet by its name.
      parameters: [{ name: name, in: path, required: true, schema: { type: string, maxLength: 40 } }]
      responses: { "200": { description: The pet, content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } } } }
components:
  schemas:
    Pet:
      type: object
      required: [name]
      properties: { id: { type: integer, readOnly: true }, name: { type: string }, parent: { $ref: "#/components/schemas/Pet" } }
"##;

/// What the shop has been asked: method, decoded path or body, and the key.
type Asked = Arc<Mutex<Vec<(String, String, Option<String>)>>>;

fn key(headers: &HeaderMap) -> Option<String> {
    headers.get("x-shop-key").map(|value| value.to_str().unwrap().to_owned())
}

async fn one(State(asked): State<Asked>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    asked.lock().push(("get".to_owned(), name.clone(), key(&headers)));
    if name == "nobody" {
        return (StatusCode::NOT_FOUND, Json(json!({ "error": "no such pet" }))).into_response();
    }
    Json(json!({ "id": 7, "name": name })).into_response()
}

async fn list(State(asked): State<Asked>, Query(query): Query<Vec<(String, String)>>) -> Json<Value> {
    asked.lock().push(("list".to_owned(), format!("{query:?}"), None));
    Json(json!(["Rex", "Bello"]))
}

async fn create(State(asked): State<Asked>, headers: HeaderMap, body: String) -> Response {
    asked.lock().push(("create".to_owned(), body.clone(), key(&headers)));
    (StatusCode::CREATED, [("content-type", "application/json")], body).into_response()
}

/// The shop, the gateway in front of it, and a funded payer. The journal of this world is not used.
struct Shop {
    world: World,
    asked: Asked,
    _serving: JoinSet<()>,
}

impl Shop {
    async fn open() -> Self {
        let asked = Asked::default();
        let routes = Router::new()
            .route("/v2/pets", get(list).post(create))
            .route("/v2/pets/{name}", get(one))
            .with_state(Arc::clone(&asked));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("shop.yaml"), DOCUMENT).unwrap();
        let yaml = format!(
            "servers:\n  shop:\n    openapi: ./shop.yaml\n    url: http://{address}/v2/\n    \
             credential: {{ header: x-shop-key, value: own }}\n    \
             tools: {{ getPet: {PRICED}, createPet: {PRICED} }}\n"
        );
        std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
        let gateway = Gateway::dev(folder.path()).await;
        let journal = Journal::start(Script::new()).await.unwrap();
        Self { world: World { journal, gateway, folder }, asked, _serving: serving }
    }

    fn asked(&self) -> Vec<(String, String, Option<String>)> {
        self.asked.lock().clone()
    }
}

fn own() -> Option<String> {
    Some("own".to_owned())
}

#[tokio::test]
async fn a_rest_api_is_sold_tool_by_tool_with_a_receipt() {
    let shop = Shop::open().await;
    let world = &shop.world;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let legacy = [("mcp-protocol-version", "2025-11-25")];
    let tools = post(&world.gateway.mcp(), &list, &legacy).await.json().unwrap();
    let tools = tools["result"]["tools"].as_array().unwrap().clone();
    let get = tools.iter().find(|tool| tool["name"] == "getPet").unwrap();
    assert_eq!(get["annotations"]["readOnlyHint"], true);
    assert!(get["_meta"]["tollgate/pricing"].is_object(), "{get}");
    assert!(!get.to_string().contains("shop.invalid") && !get.to_string().contains("$ref"), "{get}");

    // Unpaid: a demand, and the API is not asked. Malformed arguments are refused before a price is named.
    let rex = json!({ "name": "a b?c" });
    Demand::read(&world.call("getPet", &rex).await);
    let malformed = world.call("getPet", &json!({ "name": "x", "host": "evil.example" })).await;
    assert_eq!(code(&malformed), "invalid_arguments");
    assert_eq!(shop.asked(), []);

    let x402 = json!({ "x402/payment": world.x402_payment("getPet", &rex).await });
    let paid = world.call_with("getPet", &rex, &x402).await;
    let result = delivered(&paid);
    assert_eq!(result["structuredContent"], json!({ "id": 7, "name": "a b?c" }));
    assert_eq!(statement(&result)["charged"], true);
    let again = delivered(&world.call_with("getPet", &rex, &x402).await);
    assert_eq!(again["structuredContent"], result["structuredContent"]);
    assert_eq!(
        shop.asked(),
        [("get".to_owned(), "a b?c".to_owned(), own())],
        "once, with the gateway's own key"
    );
    assert_eq!(world.payer_balance().await, START - PRICE);

    // The other rail, the other door, and a body.
    let pet = json!({ "body": { "name": "Bello" } });
    let credential = world.l402_credential("createPet", &pet).await;
    let created =
        delivered(&world.call_with("createPet", &pet, &json!({ "l402/authorization": credential })).await);
    assert_eq!(
        (&created["structuredContent"]["name"], &statement(&created)["charged"]),
        (&json!("Bello"), &json!(true))
    );
    let payment =
        base64_encode(world.x402_payment("getPet", &json!({ "name": "Rex" })).await.to_string().as_bytes());
    let body = json!({ "tool_name": "getPet", "arguments": { "name": "Rex" } });
    let rest =
        post(&format!("{}/api/v1/execute", world.gateway.url), &body, &[("payment-signature", &payment)])
            .await;
    assert_eq!(rest.json().unwrap()["result"]["structuredContent"]["name"], "Rex", "{}", rest.text());

    // What has no price is free, in the era of sessions too.
    let free = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "listPets", "arguments": { "kind": "dog & cat" } } });
    let names = delivered(&post(&world.gateway.mcp(), &free, &legacy).await);
    assert_eq!(names["content"][0]["text"], r#"["Rex","Bello"]"#);
    assert_eq!(shop.asked().last().unwrap().1, r#"[("kind", "dog & cat")]"#);
    assert_eq!(world.payer_balance().await, START - 2 * PRICE);
    assert_eq!(world.gateway.account("clearing:l402"), [10_000, 0, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn official_clients_use_a_rest_api_in_both_eras_and_the_conformance_suites_find_nothing_wrong() {
    let shop = Shop::open().await;
    let (port, yaml) = (shop.world.gateway.port, shop.world.folder.path().join("tollgate.yaml"));
    // The same API without prices, beside one with.
    let text = std::fs::read_to_string(&yaml).unwrap();
    let open = text.replace("  shop:", "  open:").replace("servers:\n", "");
    let open: String =
        open.lines().filter(|line| !line.contains("tools:")).map(|line| format!("{line}\n")).collect();
    let operator = crate::control::Operator::of(&shop.world.gateway);
    operator.serve(&shop.world.gateway, &format!("{text}{open}")).await;
    let calls = json!([["getPet", { "name": "Rex" }], ["listPets", { "kind": "dog" }]]);
    let url = format!("http://localhost:{port}/servers/open/mcp");
    let given = Use { url: &url, calls: &calls, reads: &json!([]) };
    let seen = [
        available(typescript(given, Mode::Auto).await).map(|seen| ("modern", seen)),
        available(typescript(given, Mode::Legacy).await).map(|seen| ("legacy", seen)),
        available(python(given).await).map(|seen| ("legacy", seen)),
    ];
    for (era, seen) in seen.into_iter().flatten() {
        assert_eq!(seen.era, era);
        assert_eq!(seen.tools, ["listPets", "createPet", "getPet"]);
        assert_eq!(seen.results[0]["structuredContent"], json!({ "id": 7, "name": "Rex" }));
        assert_eq!(seen.results[1]["content"][0]["text"], r#"["Rex","Bello"]"#);
    }
    assert_conforms(&url).await;
}

#[tokio::test]
async fn f52_what_the_api_refuses_and_what_would_leave_the_path_costs_nothing() {
    let shop = Shop::open().await;
    let world = &shop.world;
    for (name, said) in [("nobody", "HTTP 404"), ("../../admin", "was not sent")] {
        let arguments = json!({ "name": name });
        let payment = json!({ "x402/payment": world.x402_payment("getPet", &arguments).await });
        let failed = world.call_with("getPet", &arguments, &payment).await.json().unwrap()["result"].clone();
        assert_eq!(failed["isError"], true, "{failed}");
        assert!(failed["content"][0]["text"].as_str().unwrap().contains(said), "{failed}");
        assert_eq!(statement(&failed)["charged"], false);
    }
    assert_eq!(shop.asked(), [("get".to_owned(), "nobody".to_owned(), own())]);
    assert_eq!(world.gateway.account("payable:shop"), [0; 4]);
    assert_eq!(world.payer_balance().await, START);
    // The control: the same tool, a pet that is there.
    delivered(&world.paid_call("getPet", &json!({ "name": "Rex" })).await);
    assert_eq!(world.payer_balance().await, START - PRICE);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_document_that_cannot_be_used_stops_the_start_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let start = |document: Option<&str>, server: &str| {
        match document {
            Some(text) => std::fs::write(folder.path().join("shop.yaml"), text).unwrap(),
            None => std::fs::remove_file(folder.path().join("shop.yaml")).unwrap_or_default(),
        }
        std::fs::write(folder.path().join("tollgate.yaml"), format!("servers: {{ shop: {server} }}\n"))
            .unwrap();
        let arguments = ["serve", "--config", "tollgate.yaml", "--data", "data", "--listen", "127.0.0.1:0"];
        let out = crate::world::command(folder.path()).args(arguments).output().unwrap();
        assert!(!out.status.success());
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let server = "{ openapi: ./shop.yaml, url: 'http://127.0.0.1:9/' }";
    for (document, said) in [
        (
            Some(
                r##"{"openapi":"3.0.0","info":{},"paths":{"/a":{"get":{"parameters":[{"$ref":"http://127.0.0.1:9/x"}]}}}}"##,
            ),
            "refers to another document",
        ),
        (Some("swagger: '2.0'"), "Swagger 2"),
        (None, "shop.yaml"),
    ] {
        let out = start(document, server);
        assert!(out.contains(said), "{said}: {out}");
    }
    assert!(start(Some(DOCUMENT), "{ openapi: ./shop.yaml }").contains("needs `url` beside `openapi`"));
    assert!(start(Some(DOCUMENT), "{ openapi: ./shop.yaml, command: [sh] }").contains("exactly one"));
    assert!(
        start(Some(DOCUMENT), "{ openapi: ./shop.yaml, url: 'http://127.0.0.1:9/?key=1' }")
            .contains("no query")
    );
}
