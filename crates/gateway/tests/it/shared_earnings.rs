//! What several share of what a tool earns, and what the operator reads of it: shares over both ways of settling, refunds, the revenue
//! of calls that are paid into an escrow, and how many escrows are open.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::http::get;
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::escrow::Party;
use crate::payouts::settings;
use crate::pricing::called;
use crate::world::{PRICE, World, delivered, soon, statement};

const SPLITS: &str = "splits: { reviewers: 0.2, platform: 0.05 }";

async fn world() -> World {
    let script = Script::new().tool("now", Behaviour::Echo).tool("held", Behaviour::Echo);
    let price = "price: [0.01USDC]";
    let (now, held) =
        (format!("{{ {price}, {SPLITS} }}"), format!("{{ {price}, settle: escrow, {SPLITS} }}"));
    let more = format!("escrow: {{ dispute_stake: \"0\" }}\n{}", settings(&[], "      organisation: acme\n"));
    World::with(script, &[("now", &now), ("held", &held)], &more, &[]).await
}

/// What the server, the reviewers and the platform have of it.
fn parts(world: &World) -> [u128; 3] {
    ["up", "reviewers", "platform"].map(|payee| {
        let [debits, credits, ..] = world.gateway.account(&format!("payable:{payee}"));
        credits - debits
    })
}

/// Tool, calls, gross, refunded and net of each line of a report.
fn lines(report: &Value, member: &str) -> Vec<(String, u64, [u128; 3])> {
    let lines = report[member].as_array().unwrap_or_else(|| panic!("{report}")).iter().map(|line| {
        let units = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        let tool = line["tool"].as_str().unwrap().to_owned();
        (tool, line["calls"].as_u64().unwrap(), ["gross", "refunded", "net"].map(units))
    });
    lines.collect()
}

fn revenue(world: &World) -> Value {
    let told = world.gateway.cli(&["revenue", "--hours", "1", "--url", &world.gateway.url, "--json"]);
    serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"))
}

/// Calls the tool `held` as this party, and says which escrow has its money.
async fn entrusted(world: &World, party: &Party, n: u32) -> String {
    let result = delivered(&called(world, "held", &json!({ "n": n }), &party.bearer()).await);
    result["_meta"]["tollgate/escrow"]["escrow_id"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned()
}

async fn open(world: &World) -> Vec<(String, u64)> {
    let page = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
    let samples = page.lines().filter_map(|line| line.strip_prefix("tollgate_escrows_open{state=\""));
    let samples = samples.map(|sample| sample.split_once("\"} ").unwrap());
    samples.map(|(state, count)| (state.to_owned(), count.parse().unwrap())).collect()
}

/// Asks until so many escrows are said to be open in this state: what only the books know is read from time to time.
async fn until_open(world: &World, state: &str, count: u64) {
    soon(async {
        while !open(world).await.contains(&(state.to_owned(), count)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_tool_earns_is_shared_at_once_or_when_its_escrow_releases_it_and_refunds_take_each_share_back()
{
    let world = world().await;
    let result = delivered(&world.paid_call("now", &json!({ "n": 1 })).await);
    assert_eq!(parts(&world), [7_500, 2_000, 500]);
    let call = statement(&result)["call_id"].as_str().unwrap().to_owned();
    let refund = |amount: &str, id: &str| {
        let url = &world.gateway.url;
        let asked = ["refund", &call, "--reason", "late", "--amount", amount, "--id", id, "--url", url];
        world.gateway.cli(&asked).status.success()
    };
    assert!(refund("3333", "one") && refund("3333", "one"), "asked again, booked once");
    // Of what is left, 6667, each has the floor of its share, and the server the rest.
    assert_eq!(parts(&world), [6_667 - 1_333 - 333, 1_333, 333]);
    assert!(!refund("6668", "two"), "more than is left");

    let party = Party::new(&world.gateway, Some("0.01USDC")).await;
    let before = parts(&world);
    let id = entrusted(&world, &party, 2).await;
    assert_eq!(parts(&world), before, "nobody has earned what is in an escrow");
    let part = json!({ "amount": "3333" });
    party.step(&id, "accept", &part).await.done();
    assert_eq!(parts(&world), [before[0] + 3_333 - 666 - 166, before[1] + 666, before[2] + 166]);
    party.step(&id, "accept", &json!({})).await.done();
    assert_eq!(parts(&world), [before[0] + 7_500, before[1] + 2_000, before[2] + 500]);

    let told = world.gateway.cli(&["ledger", "statement", "payable:reviewers", "--json"]);
    let said = String::from_utf8(told.stdout).unwrap();
    assert!(said.contains(&call) && said.contains("share of a refund"), "{said}");
    let [debits, credits, ..] = world.gateway.account("unearned:up");
    assert_eq!(debits, credits, "nothing is left on the way");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn calls_paid_into_an_escrow_are_revenue_as_it_is_released_and_a_provider_paying_itself_is_none() {
    let world = world().await;
    assert_eq!(open(&world).await.len(), 5, "every state is there, with or without escrows");
    let stranger = Party::new(&world.gateway, Some("0.03USDC")).await;
    let (first, second) = (entrusted(&world, &stranger, 1).await, entrusted(&world, &stranger, 2).await);
    until_open(&world, "delivered", 2).await;
    assert_eq!(lines(&revenue(&world), "revenue"), [], "nothing is released yet");
    stranger.step(&first, "accept", &json!({})).await.done();
    stranger.step(&second, "accept", &json!({ "amount": "4000" })).await.done();
    let earned = || vec![("held".to_owned(), 2, [PRICE + 4_000, 0, PRICE + 4_000])];
    let report = revenue(&world);
    assert_eq!((lines(&report, "revenue"), lines(&report, "self_payments")), (earned(), vec![]), "{report}");

    // A key of the provider's own organisation calls, accepts, and is not counted.
    let made = world.gateway.cli(&["keys", "create", "--name", "own", "--label", "org=acme", "--json"]);
    let key: Value = serde_json::from_slice(&made.stdout).unwrap();
    let [id, secret] = ["id", "secret"].map(|member| key[member].as_str().unwrap().to_owned());
    let own = Party::holding(&world.gateway, (id, secret), Some("0.01USDC")).await;
    let id = entrusted(&world, &own, 3).await;
    own.step(&id, "accept", &json!({})).await.done();
    let report = revenue(&world);
    let itself = vec![("held".to_owned(), 1, [PRICE, 0, PRICE])];
    assert_eq!((lines(&report, "revenue"), lines(&report, "self_payments")), (earned(), itself), "{report}");
    until_open(&world, "delivered", 1).await;
    world.gateway.assert_books_in_order();
}
