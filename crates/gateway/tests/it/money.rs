//! What may never happen to money: a lie of a node that is believed, a price that is undercut, credit that is overspent.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use tollgate_rails::evm::SigningKey;
use tollgate_rails::lightning::invoice_amount_msat;
use tollgate_testkit::http::Answer;
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};

use crate::paid_calls::{api_key, until_known};
use crate::world::{Demand, Gateway, PRICE, PRICED, World, call, code, delivered, rand_32};

/// The token of Base Sepolia, where clients look for it.
const TOKEN: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";
const PAYEE: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
/// keccak256("Transfer(address,address,uint256)"), EIP-20.
const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
/// keccak256("AuthorizationUsed(address,bytes32)"), EIP-3009.
const USED: &str = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5";
/// balanceOf(address), EIP-20.
const BALANCE_OF: &str = "0x70a08231";
/// What only the tool's result holds.
const MARK: &str = "xyzzy";

/// What a node tells of a transaction's end, given the honest receipt.
type Lie = fn(Value) -> String;

/// A JSON-RPC node that takes every transaction and tells of its end whatever it was told to tell.
struct Node {
    url: String,
    /// The receipt of the last authorization, once a test knows it.
    told: Arc<Mutex<String>>,
    sent: Arc<Mutex<u32>>,
    _listening: JoinSet<()>,
}

impl Node {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (told, sent) = (Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(0)));
        let (tell, count) = (Arc::clone(&told), Arc::clone(&sent));
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(answer_all(stream, Arc::clone(&tell), Arc::clone(&count)));
            }
        });
        Self { url, told, sent, _listening: listening }
    }

    fn sent(&self) -> u32 {
        *self.sent.lock().unwrap()
    }
}

/// Answers one connection's requests until it is closed.
async fn answer_all(mut stream: TcpStream, told: Arc<Mutex<String>>, sent: Arc<Mutex<u32>>) {
    let mut received = Vec::new();
    loop {
        let Some(request) = next_request(&mut stream, &mut received).await else { return };
        let method = request["method"].as_str().unwrap();
        let plain =
            |result: Value| json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }).to_string();
        let body = match method {
            "eth_chainId" => plain(json!("0x14a34")),
            "eth_call" if request["params"][0]["data"].as_str().unwrap().starts_with(BALANCE_OF) => {
                plain(json!(format!("0x{:064x}", 1_000_000)))
            }
            "eth_call" => plain(json!(format!("0x{:064x}", 0))),
            "eth_estimateGas" => plain(json!("0x186a0")),
            "eth_getBlockByNumber" => plain(json!({ "baseFeePerGas": "0x7", "number": "0x1" })),
            "eth_maxPriorityFeePerGas" | "eth_blockNumber" => plain(json!("0x1")),
            "eth_getTransactionCount" => plain(json!("0x0")),
            "eth_getLogs" => plain(json!([])),
            "eth_sendRawTransaction" => {
                *sent.lock().unwrap() += 1;
                plain(json!(format!("0x{:064x}", 7)))
            }
            "eth_getTransactionReceipt" => told
                .lock()
                .unwrap()
                .replace("$hash", request["params"][0].as_str().unwrap())
                .replace("\"$id\"", &request["id"].to_string()),
            other => panic!("the gateway asks {other}"),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn next_request(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<Value> {
    loop {
        let text = String::from_utf8_lossy(received).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            let length: usize = length.trim().parse().unwrap();
            if body.len() >= length {
                let request = serde_json::from_str(&body[..length]).unwrap();
                received.drain(..text.len() - body.len() + length);
                return Some(request);
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(length @ 1..) => received.extend_from_slice(&part[..length]),
            Ok(_) | Err(_) => return None,
        }
    }
}

/// The receipt of a node that tells the truth about this payment.
fn honest(payment: &Value) -> Value {
    let authorization = &payment["payload"]["authorization"];
    let word = |field: &str| {
        format!("0x{:0>64}", authorization[field].as_str().unwrap().trim_start_matches("0x").to_lowercase())
    };
    let log = |topics: Value, data: String| json!({ "address": TOKEN, "topics": topics, "data": data, "transactionHash": "$hash", "blockNumber": "0x1" });
    json!({ "status": "0x1", "logs": [
        log(json!([USED, word("from"), authorization["nonce"]]), "0x".to_owned()),
        log(json!([TRANSFER, word("from"), word("to")]), format!("0x{PRICE:064x}")),
    ]})
}

fn answered(result: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": "$id", "result": result }).to_string()
}

/// A gateway that settles through a node of this test, one paid call, and what the gateway made of the node's word.
struct Told {
    answer: Answer,
    again: Answer,
    account: [u128; 4],
    sent: u32,
    executions: u64,
}

async fn paid_on_the_word_of(lie: Lie) -> Told {
    let node = Node::start().await;
    let journal = Journal::start(Script::new().tool("echo", Behaviour::Text(MARK.to_owned()))).await.unwrap();
    let folder: TempDir = tempfile::tempdir().unwrap();
    let yaml = format!(
        "servers: {{ up: {{ url: \"{}\", tools: {{ echo: {{ price: [0.01USDC] }} }} }} }}\n\
         payment: {{ x402: {{ rpc_url: \"{}\", pay_to: \"{PAYEE}\" }} }}\n",
        journal.url(),
        node.url
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::serve(folder.path(), &[]).await;
    let demand = Demand::read(&call(&gateway.mcp(), "echo", &json!({}), &json!({}), &[]).await);
    let payment = demand.sign(&SigningKey::from_bytes(&rand_32()).unwrap());
    *node.told.lock().unwrap() = lie(honest(&payment));
    let meta = json!({ "x402/payment": payment });
    let answer = call(&gateway.mcp(), "echo", &json!({}), &meta, &[]).await;
    let again = call(&gateway.mcp(), "echo", &json!({}), &meta, &[]).await;
    gateway.assert_books_in_order();
    Told {
        answer,
        again,
        account: gateway.account("payable:up"),
        sent: node.sent(),
        executions: journal.executions(),
    }
}

/// Changes one log of the receipt.
fn changed(mut receipt: Value, path: &str, value: Value) -> String {
    *receipt.pointer_mut(path).unwrap() = value;
    answered(&receipt)
}

fn without(mut receipt: Value, path: &str, member: &str) -> String {
    receipt.pointer_mut(path).unwrap().as_object_mut().unwrap().remove(member).unwrap();
    answered(&receipt)
}

/// What a node may say that is no settlement: definite (`payment_failed`), or of no use (`settlement_pending`).
const LIES: &[(&str, Lie)] = &[
    ("success without any event", |receipt| changed(receipt, "/logs", json!([]))),
    ("only the use of the nonce", |mut receipt| {
        receipt["logs"].as_array_mut().unwrap().truncate(1);
        answered(&receipt)
    }),
    ("a transfer of less", |receipt| {
        changed(receipt, "/logs/1/data", json!(format!("0x{:064x}", PRICE - 1)))
    }),
    ("a transfer of more than was signed", |receipt| {
        changed(receipt, "/logs/1/data", json!(format!("0x{:064x}", PRICE + 1)))
    }),
    ("a transfer to another", |receipt| {
        changed(receipt, "/logs/1/topics/2", json!(format!("0x{:064x}", 0xdead)))
    }),
    ("a transfer from another", |receipt| {
        changed(receipt, "/logs/1/topics/1", json!(format!("0x{:064x}", 0xdead)))
    }),
    ("a transfer of another token", |receipt| changed(receipt, "/logs/1/address", json!(PAYEE))),
    ("the use of another nonce", |receipt| {
        changed(receipt, "/logs/0/topics/2", json!(format!("0x{:064x}", 1)))
    }),
    ("data of the wrong length", |receipt| changed(receipt, "/logs/1/data", json!("0x2710"))),
    ("a revert", |receipt| changed(receipt, "/status", json!("0x0"))),
    ("a revert with the right events", |receipt| changed(receipt, "/status", json!("0x00"))),
    ("a status that is true", |receipt| changed(receipt, "/status", json!(true))),
    ("no status", |receipt| without(receipt, "", "status")),
    ("no events", |receipt| without(receipt, "", "logs")),
    ("an event without data", |receipt| without(receipt, "/logs/1", "data")),
    ("amounts as numbers", |receipt| changed(receipt, "/logs/1/data", json!(10_000))),
    ("success: false", |_| r#"{"jsonrpc":"2.0","id":"$id","result":{"success":false}}"#.to_owned()),
    ("neither result nor error", |_| r#"{"jsonrpc":"2.0","id":"$id"}"#.to_owned()),
    ("an error", |_| r#"{"jsonrpc":"2.0","id":"$id","error":{"code":-32000,"message":"no"}}"#.to_owned()),
    ("an error beside the result", |receipt| {
        json!({ "jsonrpc": "2.0", "id": "$id", "result": receipt, "error": { "code": -32000, "message": "no" } }).to_string()
    }),
    ("garbage", |_| "<html>200 OK</html>".to_owned()),
    ("nothing", |_| String::new()),
    ("extra bytes behind the answer", |receipt| format!("{}{{}}", answered(&receipt))),
];

#[tokio::test]
async fn p5_a_node_that_lies_is_never_believed() {
    // All at once: a gateway waits twenty seconds for a receipt that makes sense.
    let mut tasks = JoinSet::new();
    let local = LocalSet::new();
    for (what, lie) in LIES {
        tasks.spawn_local_on(async move { (*what, paid_on_the_word_of(*lie).await) }, &local);
    }
    for (what, told) in local.run_until(tasks.join_all()).await {
        let said = code(&told.answer);
        assert!(
            ["payment_failed", "settlement_pending"].contains(&said.as_str()),
            "{what}: {}",
            told.answer.text()
        );
        for answer in [&told.answer, &told.again] {
            assert!(!answer.text().contains(MARK), "{what}: the result was served: {}", answer.text());
        }
        let [debits, credits, _, reserved] = told.account;
        assert_eq!((debits, credits), (0, 0), "{what}: something was charged");
        assert_eq!(reserved, if said == "settlement_pending" { PRICE } else { 0 }, "{what}");
        assert_eq!(told.sent, 1, "{what}: sent once");
        assert_eq!(told.executions, 1, "{what}");
        let again = code(&told.again);
        let expected = if said == "settlement_pending" { "payment_in_flight" } else { "payment_replayed" };
        assert_eq!(
            again, expected,
            "{what}: it is not asked to pay anew in doubt, and a failed payment is dead"
        );
    }
    let told = paid_on_the_word_of(|receipt| answered(&receipt)).await;
    assert!(delivered(&told.answer).to_string().contains(MARK), "control: the truth is believed");
    assert_eq!(told.account, [0, PRICE, 0, 0]);
}

#[tokio::test]
async fn p13_a_price_below_a_satoshi_is_rounded_up_and_booked_as_it_arrived() {
    let prices = [
        ("half", "1.5sat", 2_u128),
        ("dust", "0.001sat", 1),
        ("almost", "2.999sat", 3),
        ("whole", "10sat", 10),
        ("over", "10.001sat", 11),
    ];
    let script = prices.iter().fold(Script::new(), |script, (tool, ..)| script.tool(tool, Behaviour::Echo));
    let policies: Vec<(&str, String)> =
        prices.iter().map(|(tool, price, _)| (*tool, format!("{{ price: [{price}] }}"))).collect();
    let policies: Vec<(&str, &str)> =
        policies.iter().map(|(tool, policy)| (*tool, policy.as_str())).collect();
    let world = World::new(script, &policies).await;
    let mut booked = 0;
    for (tool, price, sats) in prices {
        let body = json!({ "tool_name": tool, "arguments": {} });
        let url = format!("{}/api/v1/execute", world.gateway.url);
        let unpaid = crate::world::post(&url, &body, &[]).await.json().unwrap();
        let challenge = &unpaid["error"]["data"]["l402"];
        let invoice = challenge["invoice"].as_str().unwrap();
        assert_eq!(challenge["price_sats"], json!(sats), "{price}");
        assert_eq!(
            invoice_amount_msat(invoice).unwrap().unwrap().get(),
            sats * 1_000,
            "{price}: never under the price"
        );
        assert_eq!(
            unpaid["error"]["data"]["amount"],
            (sats * 1_000).to_string(),
            "{price}: what is asked is what is named"
        );
        let preimage = world.pay_invoice(invoice).await;
        let header = format!("L402 {}:{preimage}", challenge["macaroon"].as_str().unwrap());
        let paid = crate::world::post(&url, &body, &[("authorization", &header)]).await;
        assert_eq!(paid.status, 200, "{price}: {}", paid.text());
        booked += sats * 1_000;
        assert_eq!(world.gateway.account("payable:up"), [0, booked, 0, 0], "{price}: booked is what arrived");
        assert_eq!(world.gateway.account("clearing:l402"), [booked, 0, 0, 0], "{price}");
    }
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p15_a_hundred_concurrent_calls_with_credit_for_ten_are_exactly_ten() {
    let limits = "limits: { calls_per_minute: 100000, offers_per_minute: 100000 }\n";
    let world = World::with(Script::echo(), &[("echo", PRICED)], limits, &[]).await;
    let (id, secret) = api_key(&world.gateway);
    let bearer = format!("Bearer {secret}");
    assert!(world.gateway.cli(&["credit", "add", &id, "0.1USDC"]).status.success());
    let mcp = world.gateway.mcp();
    let stranger = json!({ "n": "unpaid" });
    // A key that is not known yet is refused with 401; then the credit of this call is spent on the first of the hundred.
    let headers = [("authorization", bearer.as_str())];
    let first = until_known(async || call(&mcp, "echo", &stranger, &json!({}), &headers).await).await;
    delivered(&first);
    let mut tasks = JoinSet::new();
    for n in 1..100 {
        let (mcp, bearer) = (mcp.clone(), bearer.clone());
        tasks.spawn(async move {
            call(&mcp, "echo", &json!({ "n": n }), &json!({}), &[("authorization", &bearer)]).await
        });
    }
    let mut paid = 1;
    for answer in tasks.join_all().await {
        match answer.json().unwrap()["result"]["isError"].as_bool() {
            Some(true) => assert_eq!(code(&answer), "payment_required"),
            _ => {
                delivered(&answer);
                paid += 1;
            }
        }
    }
    assert_eq!(paid, 10);
    assert_eq!(world.journal.executions(), 10);
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [10 * PRICE, 10 * PRICE, 0, 0]);
    assert_eq!(world.gateway.account("payable:up"), [0, 10 * PRICE, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn credit_of_a_failed_call_comes_back_and_a_key_of_the_callers_own_makes_a_repeat_one_call() {
    let script = Script::echo().tool("fails", Behaviour::Fail("no".to_owned()));
    let world = World::new(script, &[("echo", PRICED), ("fails", PRICED)]).await;
    let (id, secret) = api_key(&world.gateway);
    let bearer = format!("Bearer {secret}");
    assert!(world.gateway.cli(&["credit", "add", &id, "0.01USDC"]).status.success());
    let mcp = world.gateway.mcp();
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "one")];
    let failed = until_known(async || call(&mcp, "fails", &json!({}), &json!({}), &headers[..1]).await).await;
    assert_eq!(failed.json().unwrap()["result"]["isError"], true);
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [0, PRICE, 0, 0], "released");
    let first = delivered(&call(&mcp, "echo", &json!({ "n": 1 }), &json!({}), &headers).await);
    let again = delivered(&call(&mcp, "echo", &json!({ "n": 1 }), &json!({}), &headers).await);
    assert_eq!(
        first["_meta"]["tollgate/receipt"]["envelope"],
        again["_meta"]["tollgate/receipt"]["envelope"]
    );
    let other = call(&mcp, "echo", &json!({ "n": 2 }), &json!({}), &headers).await;
    assert_eq!(
        (other.status.as_u16(), code(&other).as_str()),
        (409, "payment_replayed"),
        "the same key for another request"
    );
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [PRICE, PRICE, 0, 0], "charged once");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_repeat_whose_key_cannot_be_read_is_refused_and_not_charged_again() {
    let world = World::paid_echo().await;
    let (id, secret) = api_key(&world.gateway);
    let bearer = format!("Bearer {secret}");
    assert!(world.gateway.cli(&["credit", "add", &id, "1USDC"]).status.success());
    let (mcp, own) = (world.gateway.mcp(), ("authorization", bearer.as_str()));
    let called = async |meta: Value, headers: &[(&str, &str)]| {
        let headers = [&[own][..], headers].concat();
        until_known(async || call(&mcp, "echo", &json!({ "n": 1 }), &meta, &headers).await).await
    };
    let unreadable = [
        (json!({ "tollgate/idempotency-key": 7 }), None),
        (json!({ "tollgate/idempotency-key": ["one"] }), None),
        (json!({}), Some("not one word")),
    ];
    for (meta, line) in unreadable {
        let headers: Vec<(&str, &str)> = line.map(|line| ("idempotency-key", line)).into_iter().collect();
        let refused = called(meta.clone(), &headers).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "malformed_frame"), "{meta}");
    }
    let two = [("idempotency-key", "one"), ("idempotency-key", "two")];
    assert_eq!(code(&called(json!({}), &two).await), "malformed_frame");
    assert_eq!(
        code(&called(json!({ "tollgate/idempotency-key": "one" }), &two[1..]).await),
        "malformed_frame"
    );
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [0, 1_000_000, 0, 0]);
    assert_eq!(world.journal.executions(), 0);
    // Control: one key, in either place, is one call.
    delivered(&called(json!({ "tollgate/idempotency-key": "one" }), &[]).await);
    delivered(&called(json!({}), &two[..1]).await);
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [PRICE, 1_000_000, 0, 0]);
    assert_eq!(world.journal.executions(), 1);
}
