//! Tools behind a toll, in an MCP server of whatever library.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::{Asked, Paid, Reply, Settings, Tollgate, Tool};

use crate::world::{PRICE, PRICED, Runs, START, assert_earned, balance, payer, sign, soon};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    a: i64,
    b: i64,
}

struct Shop {
    folder: TempDir,
    _tollgate: Tollgate,
    add: Arc<Tool>,
    runs: Runs,
}

/// One tool that adds, and fails when the sum is negative.
async fn shop() -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let tollgate = Tollgate::open(Settings::dev(folder.path())).await.unwrap();
    let runs = Runs::default();
    let counted = runs.clone();
    let add = tollgate
        .tool("add", PRICED, move |Sum { a, b }: Sum, paid: Paid| {
            let counted = counted.clone();
            async move {
                counted.one_more();
                match a + b {
                    sum if sum < 0 => Err("below zero"),
                    sum => Ok(json!({ "sum": sum, "caller": paid.caller().to_string() })),
                }
            }
        })
        .unwrap();
    Shop { folder, _tollgate: tollgate, add: Arc::new(add), runs }
}

impl Shop {
    async fn ask(&self, arguments: &Value, meta: &Value) -> Value {
        match self.add.call(Asked::new(arguments).meta(meta)).await {
            Reply::Result(result) => result,
            Reply::Error(error) => panic!("{error}"),
        }
    }

    async fn payment(&self, arguments: &Value) -> Value {
        let demand = self.ask(arguments, &json!({})).await;
        assert_eq!(demand["isError"], true);
        let signed = sign(&payer(self.folder.path()), &demand["structuredContent"]);
        json!({ "x402/payment": serde_json::from_str::<Value>(&signed).unwrap() })
    }
}

#[tokio::test]
async fn a_tool_is_paid_in_meta_and_its_result_carries_the_receipt() {
    let shop = shop().await;
    let arguments = json!({ "a": 2, "b": 3 });
    let demand = shop.ask(&arguments, &Value::Null).await;
    assert_eq!(demand["structuredContent"]["resource"]["url"], "mcp://tool/add");
    assert!(demand["_meta"]["l402/challenge"].is_object());
    assert_eq!((shop.runs.count(), balance(shop.folder.path()).await), (0, START), "refused means no effect");
    let paid = shop.ask(&arguments, &shop.payment(&arguments).await).await;
    assert_eq!(paid["structuredContent"]["sum"], 5);
    let address = payer(shop.folder.path()).address().to_string().to_lowercase();
    assert_eq!(paid["structuredContent"]["caller"], format!("eip155:{address}"));
    assert_eq!(paid["_meta"]["x402/payment-response"]["success"], true);
    assert!(paid["_meta"]["tollgate/receipt"]["envelope"].is_object());
    assert_eq!(balance(shop.folder.path()).await, START - PRICE);
    assert_earned(shop.folder.path(), PRICE).await;
}

#[tokio::test]
async fn two_hundred_copies_of_one_payment_run_the_tool_once() {
    let shop = shop().await;
    let arguments = json!({ "a": 2, "b": 3 });
    let meta = shop.payment(&arguments).await;
    let mut copies = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (add, arguments, meta) = (Arc::clone(&shop.add), arguments.clone(), meta.clone());
        copies.spawn(async move { add.call(Asked::new(&arguments).meta(&meta)).await });
    }
    let mut answered = 0;
    for reply in copies.join_all().await {
        match reply {
            Reply::Result(result) => {
                assert_eq!(result["structuredContent"]["sum"], 5);
                answered += 1;
            }
            Reply::Error(error) => assert_eq!(error["data"]["error"], "payment_in_flight"),
        }
    }
    assert!(answered >= 1);
    assert_eq!((shop.runs.count(), balance(shop.folder.path()).await), (1, START - PRICE));
    let other = json!({ "a": 2, "b": 4 });
    let refused = shop.ask(&other, &meta).await;
    assert_eq!(refused["_meta"]["tollgate/denial"]["error"], "payment_other_call");
    assert_eq!(shop.runs.count(), 1);
    shop.ask(&other, &shop.payment(&other).await).await;
    assert_eq!(shop.runs.count(), 2, "control: another payment runs it");
}

#[tokio::test]
async fn a_tool_that_fails_costs_nothing_and_malformed_arguments_have_no_price() {
    let shop = shop().await;
    let malformed = shop.ask(&json!({ "a": 1, "c": 2 }), &Value::Null).await;
    assert_eq!(malformed["_meta"]["tollgate/denial"]["error"], "invalid_arguments");
    assert_eq!(shop.runs.count(), 0);
    let negative = json!({ "a": 1, "b": -2 });
    let failed = shop.ask(&negative, &shop.payment(&negative).await).await;
    assert_eq!((&failed["isError"], &failed["content"][0]["text"]), (&json!(true), &json!("below zero")));
    assert_eq!((shop.runs.count(), balance(shop.folder.path()).await), (1, START));
    let positive = json!({ "a": 1, "b": 2 });
    let paid = shop.ask(&positive, &shop.payment(&positive).await).await;
    assert_eq!(paid["structuredContent"]["sum"], 3, "control");
    assert_earned(shop.folder.path(), PRICE).await;
}

/// Somebody else has the file for longer than a commit waits for it.
fn taken(data: &Path) -> rusqlite::Connection {
    let books = rusqlite::Connection::open(data.join("ledger.db")).unwrap();
    books.busy_timeout(Duration::from_secs(30)).unwrap();
    books.execute_batch("BEGIN IMMEDIATE").unwrap();
    books
}

/// The result of a call, or the code of its refusal.
async fn said(shop: &Shop, arguments: &Value, meta: &Value) -> Value {
    match shop.add.call(Asked::new(arguments).meta(meta)).await {
        Reply::Result(result) => result,
        Reply::Error(error) => error["data"]["error"].clone(),
    }
}

/// What is answered once the call before does not run any more.
async fn when_over(shop: &Shop, arguments: &Value, meta: &Value) -> Value {
    soon(async {
        loop {
            let answer = said(shop, arguments, meta).await;
            if answer != "payment_in_flight" {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_hangs_up_while_the_claim_is_made_leaves_nothing_held() {
    let shop = shop().await;
    let arguments = json!({ "a": 2, "b": 3 });
    let payment = shop.payment(&arguments).await;
    let books = taken(shop.folder.path());
    // The claim waits for the file, and its caller for neither.
    let asked = Asked::new(&arguments).meta(&payment);
    tokio::time::timeout(Duration::from_millis(500), shop.add.call(asked)).await.unwrap_err();
    books.execute_batch("ROLLBACK").unwrap();
    let paid = when_over(&shop, &arguments, &payment).await;
    assert_eq!(paid["structuredContent"]["sum"], 5, "{paid}");
    assert_eq!((shop.runs.count(), balance(shop.folder.path()).await), (1, START - PRICE));
    assert_earned(shop.folder.path(), PRICE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_f18_an_ending_that_the_books_did_not_take_is_driven_on_once_they_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_owned();
    let tollgate = Tollgate::open(Settings::dev(folder.path())).await.unwrap();
    let books = Arc::new(std::sync::Mutex::new(None));
    let (runs, held) = (Runs::default(), Arc::clone(&books));
    let (counted, at) = (runs.clone(), data.clone());
    let tool = tollgate
        .tool("add", PRICED, move |_: Sum, _: Paid| {
            *held.lock().unwrap() = Some(taken(&at));
            counted.one_more();
            async { Ok::<_, String>(json!({})) }
        })
        .unwrap();
    let shop = Shop { folder, _tollgate: tollgate, add: Arc::new(tool), runs };
    let arguments = json!({ "a": 2, "b": 3 });
    let payment = shop.payment(&arguments).await;
    assert_eq!(said(&shop, &arguments, &payment).await, "store_busy");
    drop(books.lock().unwrap().take());
    // Nobody starts anything anew.
    assert_eq!(when_over(&shop, &arguments, &payment).await, "payment_replayed", "in doubt");
    assert_eq!((shop.runs.count(), balance(&data).await), (1, START), "not charged");
    assert_earned(&data, 0).await;
}
