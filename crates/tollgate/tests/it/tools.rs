//! Tools behind a toll, in an MCP server of whatever library.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::{Asked, Paid, Reply, Settings, Tollgate, Tool};

use crate::world::{PRICE, PRICED, Runs, START, assert_earned, balance, payer, sign};

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
