use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use tokio::task::JoinSet;

use super::*;

const CHAIN: u64 = 84_532;

/// Answers every request with what `answer` says of its path, its key and its JSON-RPC method.
async fn peer(
    answer: impl Fn(&str, &str, &str) -> (u16, String) + Clone + Send + Sync + 'static,
) -> (SocketAddr, JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = Router::new().fallback(move |request: Request| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
            let method = asked.get("method").and_then(Value::as_str).unwrap_or_default();
            let key = head.headers.get("x-api-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
            let (status, text) = answer(head.uri.path(), key, method);
            Response::builder().status(status).body(Body::from(text)).unwrap()
        }
    });
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (at, serving)
}

fn uri(at: SocketAddr, path: &str) -> Uri {
    format!("http://{at}{path}").parse().unwrap()
}

/// A node of a chain on which every account has this much.
fn rpc(id: u64, wei: u128) -> impl Fn(&str, &str, &str) -> (u16, String) + Clone {
    move |_path, _key, method| {
        let result = match method {
            "eth_chainId" => json!(format!("{id:#x}")),
            "eth_getBalance" => json!(format!("{wei:#x}")),
            "eth_getBlockByNumber" => json!({ "baseFeePerGas": "0x3b9aca00" }),
            "eth_maxPriorityFeePerGas" => json!("0x0"),
            other => panic!("{other} is not asked"),
        };
        (200, json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string())
    }
}

fn problem(check: &Check) -> &str {
    match &check.found {
        Found::Problem(problem) => problem,
        other => panic!("{}: {other:?}", check.what),
    }
}

#[tokio::test]
async fn a_node_is_one_that_serves_the_network_of_the_configuration() {
    let (at, mut serving) = peer(rpc(CHAIN, 0)).await;
    let (right, is_right) = node(&uri(at, "/v2/s3cret"), CHAIN).await;
    assert!(is_right && right.found == Found::Well, "control: {right}");
    let (other, is_right) = node(&uri(at, "/v2/s3cret"), 8_453).await;
    assert!(!is_right);
    let said = problem(&other);
    assert!(said.contains("serves eip155:84532") && said.contains("node of eip155:8453"), "{said}");
    serving.shutdown().await;
    let (nobody, _) = node(&uri(at, ""), CHAIN).await;
    assert!(problem(&nobody).contains("is it running?"), "{nobody}");

    for (status, text, word) in [
        (200, "<html>Welcome to nginx!</html>", "cannot be read"),
        (200, "{}", "cannot be read"),
        (200, r#"{"result":"a lot"}"#, "cannot be read"),
        (401, "no key", "HTTP status 401"),
        (404, "", "HTTP status 404"),
        (200, r#"{"error":{"code":-32601,"message":"no\u001b[2J such method"}}"#, "refused eth_chainId"),
    ] {
        let (at, mut serving) = peer(move |_, _, _| (status, text.to_owned())).await;
        let (check, is_right) = node(&uri(at, "/v2/s3cret"), CHAIN).await;
        let said = problem(&check);
        assert!(!is_right && said.contains(word) && said.contains("payment.x402.rpc_url"), "{text}: {said}");
        let shown = check.to_string();
        assert!(!shown.contains("s3cret") && !shown.contains('\u{1b}') && !shown.contains('\n'), "{shown}");
        serving.shutdown().await;
    }
}

#[tokio::test]
async fn a_relayer_without_gas_is_told_and_none_is_made() {
    let folder = tempfile::tempdir().unwrap();
    // At a base fee of 1 gwei, twice that for 120,000 gas.
    let needed = 240_000_000_000_000;
    let asked = async |wei: u128| {
        let (at, mut serving) = peer(rpc(CHAIN, wei)).await;
        let check = relayer(&uri(at, ""), CHAIN, folder.path()).await;
        serving.shutdown().await;
        check
    };
    let none = asked(needed).await;
    assert!(matches!(&none.found, Found::Note(note) if note.contains("no relayer yet")), "{none}");
    assert!(!folder.path().join(RELAYER_KEY).exists(), "whoever asks makes no directory of real money");

    let key = DataDirectory::open(folder.path()).unwrap().key(RELAYER_KEY).unwrap();
    let address = SigningKey::from_bytes(&key).unwrap().address().to_string();
    for too_little in [0, needed - 1] {
        let check = asked(too_little).await;
        let said = problem(&check);
        assert!(said.contains(&address) && said.contains("may take 0.00024 now; send it some"), "{said}");
    }
    assert_eq!(asked(needed).await.found, Found::Well, "control");
    assert_eq!(asked(u128::MAX).await.found, Found::Well);
}

#[tokio::test]
async fn lnbits_is_asked_with_each_key_at_its_own_address() {
    let (at, mut serving) = peer(|path, key, _| match (path, key) {
        ("/lnbits/api/v1/wallet", "inv01ce") => (200, json!({ "name": "gate", "balance": 5000 }).to_string()),
        ("/lnbits/api/v1/wallet", "adm1n") => {
            (200, json!({ "id": "w", "name": "gate", "balance": 5000 }).to_string())
        }
        ("/lnbits/api/v1/wallet", _) => (404, json!({ "detail": "Wallet not found." }).to_string()),
        _ => (404, json!({ "detail": "Not Found" }).to_string()),
    })
    .await;
    let asked = async |path: &str, key: &str, kind| {
        let check = wallet(&uri(at, path), &Secret(key.as_bytes().to_vec()), kind).await;
        assert!(!check.to_string().contains(key), "{check}");
        check
    };
    assert_eq!(asked("/lnbits", "inv01ce", Key::Invoice).await.found, Found::Well, "control");
    assert_eq!(asked("/lnbits/", "adm1n", Key::Admin).await.found, Found::Well, "control");
    for (kind, setting) in [(Key::Invoice, "LNBITS_INVOICE_KEY"), (Key::Admin, "payouts.lnbits_admin_key")] {
        let wrong = asked("/lnbits", "wr0ng", kind).await;
        let said = problem(&wrong);
        assert!(said.contains("refuses it (HTTP 404)") && said.contains(setting), "{said}");
    }
    let weak = asked("/lnbits", "inv01ce", Key::Admin).await;
    assert!(problem(&weak).contains("cannot spend"), "{weak}");
    let strong = asked("/lnbits", "adm1n", Key::Invoice).await;
    assert!(matches!(&strong.found, Found::Note(note) if note.contains("can spend")), "{strong}");
    let elsewhere = asked("/", "inv01ce", Key::Invoice).await;
    assert!(problem(&elsewhere).contains("LNBITS_URL"), "{elsewhere}");
    serving.shutdown().await;
    let nobody = asked("/lnbits", "inv01ce", Key::Invoice).await;
    assert!(problem(&nobody).contains("is LNbits running?"), "{nobody}");
}

#[test]
fn whatever_else_answers_is_no_lnbits() {
    let told = |status: u16, body: &str| {
        judged(Key::Invoice, StatusCode::from_u16(status).unwrap(), body.as_bytes())
    };
    assert_eq!(told(200, r#"{"name":"gate","balance":0}"#), Found::Well, "control");
    for (status, body, word) in [
        (401, "", "refuses it"),
        (403, r#"{"detail":"Invalid adminkey"}"#, "refuses it"),
        (404, r#"{"detail":"Wallet not found."}"#, "refuses it"),
        (404, r#"{"detail":"Not Found"}"#, "no LNbits"),
        (200, "<html>", "no LNbits"),
        (200, r#"{"balance":"much"}"#, "no LNbits"),
        (302, "", "no LNbits"),
        (429, "", "look at its log"),
        (502, "", "look at its log"),
    ] {
        let found = told(status, body);
        assert!(matches!(&found, Found::Problem(said) if said.contains(word)), "{status} {body}: {found:?}");
    }
}
