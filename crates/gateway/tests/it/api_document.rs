//! The HTTP API is what its OpenAPI document says: served, complete, valid, and held to by a fuzzing client.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tollgate_testkit::http::{Answer, get, send};
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::peers::{Errors, Schemathesis, available};

use crate::control::admin_key;
use crate::escrow::Party;
use crate::world::{World, command};

const GATE_KEY: &str = "gate-key-of-a-test-0123456789abcdef";
const MORE: &str = "  app:
    gate: true
    tools:
      render: { price: [0.01USDC, 10sat] }
      free: {}
gate_api: { key: gate-key-of-a-test-0123456789abcdef }
";
const METHODS: [Method; 7] =
    [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE];

/// A gateway with every door open, the marketplace's example tool for sale, and the key of an operator.
async fn open_everywhere() -> (World, String) {
    let script = Script::new().tool("web-search", Behaviour::Echo).tool("free", Behaviour::Echo);
    let policies = [("web-search", "{ price: [0.5USDC, 500sat] }"), ("free", "{}")];
    let world = World::with(script, &policies, MORE, &[]).await;
    let (_, admin) = admin_key(&world.gateway);
    (world, admin)
}

async fn document(world: &World) -> Value {
    let served = get(&format!("{}/api/openapi.json", world.gateway.url), &[]).await.unwrap();
    assert_eq!((served.status.as_u16(), served.header("content-type")), (200, Some("application/json")));
    served.json().unwrap()
}

#[tokio::test]
async fn the_document_and_its_page_are_served_by_the_gateway_itself() {
    let world = World::paid_echo().await;
    let document = document(&world).await;
    assert_eq!(document["openapi"], "3.1.0");
    let printed = command(world.folder.path()).args(["schema", "--openapi"]).output().unwrap();
    assert_eq!(
        document,
        serde_json::from_slice::<Value>(&printed.stdout).unwrap(),
        "the command prints the same"
    );

    let page = get(&format!("{}/api/docs", world.gateway.url), &[]).await.unwrap();
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.text().contains(path), "{path}");
    }
}

/// Whether an answer comes from the end of the road: no door has this path.
fn is_nowhere(answer: &Answer) -> bool {
    answer.status == 404 && answer.text().contains("There is nothing at this path.")
}

#[tokio::test]
async fn every_path_and_method_that_is_served_is_described_and_the_reverse() {
    let (world, admin) = open_everywhere().await;
    let document = document(&world).await;
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let operations = operations.as_object().unwrap();
        let mut place = path.clone();
        for parameter in
            operations.values().flat_map(|operation| operation["parameters"].as_array()).flatten()
        {
            let name = parameter["name"].as_str().unwrap();
            place = place.replace(&format!("{{{name}}}"), parameter["example"].as_str().unwrap_or_default());
        }
        assert!(!place.contains('{'), "{place}");
        let key = if path.starts_with("/gate/") { GATE_KEY } else { &admin };
        let bearer = format!("Bearer {key}");
        let described: BTreeSet<String> = operations.keys().map(|method| method.to_uppercase()).collect();
        for method in METHODS {
            let url = format!("{}{place}", world.gateway.url);
            let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
            let answer = send(method.clone(), &url, &headers, Bytes::from_static(b"{}")).await.unwrap();
            asked += 1;
            assert!(!is_nowhere(&answer), "{method} {place} is described and not served: {}", answer.text());
            if described.contains(method.as_str()) {
                assert_ne!(answer.status, 405, "{method} {place} is described and not served");
            } else {
                assert_eq!(
                    answer.status,
                    405,
                    "{method} {place} is served and not described: {}",
                    answer.text()
                );
                let code = answer.json().unwrap()["error"]["code"].clone();
                assert_eq!(code, "method_not_allowed");
            }
            if answer.status == 405 {
                let allowed =
                    answer.header("allow").unwrap().split(',').map(|method| method.trim().to_owned());
                let allowed: BTreeSet<String> = allowed.filter(|method| method != "HEAD").collect();
                assert_eq!(allowed, described, "{place}");
            }
        }
    }
    assert!(asked > 100, "{asked}");
    let nowhere = get(&format!("{}/api/v1/nothing", world.gateway.url), &[]).await.unwrap();
    assert!(is_nowhere(&nowhere), "control: {}", nowhere.text());
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn the_document_is_valid_openapi() {
    let Some(schemathesis) = available(Schemathesis::install().await) else { return };
    let folder = tempfile::tempdir().unwrap();
    let printed = command(folder.path()).args(["schema", "--openapi"]).output().unwrap();
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, &printed.stdout).unwrap();
    let valid = schemathesis.validate(&file).await.unwrap();
    assert!(valid.passed, "{}", valid.said);

    let broken = String::from_utf8(printed.stdout).unwrap().replace("\"in\": \"path\"", "\"in\": \"body\"");
    std::fs::write(&file, broken).unwrap();
    assert!(!schemathesis.validate(&file).await.unwrap().passed, "control");
}

#[tokio::test]
async fn a_fuzzing_client_finds_no_server_error_and_no_answer_that_is_not_described() {
    let Some(schemathesis) = available(Schemathesis::install().await) else { return };
    let (world, admin) = open_everywhere().await;
    let file = world.folder.path().join("openapi.json");
    std::fs::write(&file, document(&world).await.to_string()).unwrap();
    let bearer = |key: &str| format!("Bearer {key}");
    // The admin API comes last: it takes the servers away that the others ask.
    let doors: [(&str, Option<String>, Errors); 4] = [
        ("^/(?!admin|gate|v1/)", None, Errors::HaveAStatus),
        ("^/v1/", None, Errors::MayBeAnswers),
        ("^/gate/", Some(bearer(GATE_KEY)), Errors::HaveAStatus),
        ("^/admin/", Some(bearer(&admin)), Errors::HaveAStatus),
    ];
    for (paths, key, errors) in doors {
        let headers: Vec<(&str, &str)> = key.iter().map(|key| ("Authorization", key.as_str())).collect();
        let run = schemathesis.run(&file, &world.gateway.url, paths, &headers, errors).await.unwrap();
        assert!(run.passed, "{paths}: {}\n{}", run.said, world.gateway.log());
    }
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_fuzzing_client_with_a_key_and_credit_finds_no_server_error_at_the_doors_of_money() {
    let Some(schemathesis) = available(Schemathesis::install().await) else { return };
    let (world, _admin) = open_everywhere().await;
    let party = Party::new(&world.gateway, Some("900USDC")).await;
    let file = world.folder.path().join("openapi.json");
    std::fs::write(&file, document(&world).await.to_string()).unwrap();
    let bearer = party.bearer();
    let headers = [("Authorization", bearer.as_str())];
    let paths = "^/api/v1/(escrow|payments|execute|payouts|providers|receipts|calls)";
    let run =
        schemathesis.run(&file, &world.gateway.url, paths, &headers, Errors::HaveAStatus).await.unwrap();
    assert!(run.passed, "{}\n{}", run.said, world.gateway.log());
    assert!(party.credit() < 900_000_000, "control: some of it was spent or put into escrows");
    world.gateway.assert_books_in_order();
}
