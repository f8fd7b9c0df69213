//! The file is read again: nothing is lost, nothing is decided by half of it, and a file that is not in order changes nothing.

use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_testkit::http::get;
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};

use super::{Operator, asked, replace, until_priced, yaml};
use crate::transport::Wire;
use crate::world::{PRICE, PRICED, World, call_body, delivered, modern_headers, soon, statement};

const DEAR: &str = "{ price: [0.02USDC, 20sat] }";
const WORKERS: u128 = 4;
const CALLS_EACH: u128 = 8;

#[tokio::test]
async fn reloads_under_load_lose_no_call_and_charge_none_twice() {
    let world = Arc::new(World::paid_echo().await);
    let operator = Operator::of(&world.gateway);
    let files = [yaml(&world, DEAR), yaml(&world, PRICED)];
    let mut load = JoinSet::new();
    for worker in 0..WORKERS {
        let world = Arc::clone(&world);
        load.spawn(async move {
            let mut charged = 0_u128;
            for n in 0..CALLS_EACH {
                let arguments = json!({ "worker": worker, "n": n });
                let demand = world.demand("echo", &arguments).await;
                let amount: u128 = demand.entry()["amount"].as_str().unwrap().parse().unwrap();
                let meta = json!({ "x402/payment": demand.sign(&world.payer()) });
                let result = delivered(&world.call_with("echo", &arguments, &meta).await);
                assert_eq!(result["structuredContent"]["echo"], arguments);
                assert_eq!(
                    statement(&result)["price"]["amount"],
                    amount.to_string(),
                    "what was quoted is what is paid"
                );
                charged += amount;
            }
            charged
        });
    }
    // As many changes as fit while the calls run, one of them at least.
    let (mut charged, mut reloads) = (0_u128, 0_usize);
    while charged == 0 || !load.is_empty() {
        let changed = operator.serve(&world.gateway, &files[reloads % 2]).await;
        assert_eq!(changed["servers"]["changed"], json!(["up"]), "{changed}");
        reloads += 1;
        while let Some(done) = load.try_join_next() {
            charged += done.unwrap();
        }
    }
    assert_eq!(u128::from(world.journal.executions()), WORKERS * CALLS_EACH, "each ran once");
    assert!(charged >= WORKERS * CALLS_EACH * PRICE);
    assert_eq!(world.payer_balance().await, 100_000_000 - charged);
    assert_eq!(world.gateway.account("payable:up"), [0, charged, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_file_that_is_not_in_order_changes_nothing_and_every_problem_is_named() {
    let world = World::paid_echo().await;
    let operator = Operator::of(&world.gateway);
    replace(&world.gateway, &yaml(&world, "{ price: [0.02EUR, abc] }"));
    let refused = operator.reload().await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let error = refused.json().unwrap()["error"].clone();
    assert_eq!(error["code"], "configuration_refused");
    let places: Vec<&Value> = error["problems"].as_array().unwrap().iter().map(|p| &p["at"]).collect();
    assert_eq!(places, ["servers.up.tools.echo.price[0]", "servers.up.tools.echo.price[1]"]);
    assert_eq!(asked(&world).await, PRICE.to_string(), "the old price counts");
    let command = ["reload", "--url", world.gateway.url.as_str()];
    let said = world.gateway.cli(&command);
    assert_eq!(said.status.code(), Some(1));
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.starts_with("nothing has changed") && said.contains("servers.up.tools.echo.price[1]: "),
        "{said}"
    );
    // The same file, found by the look-out: the log says the same.
    soon(async {
        while !world.gateway.whole_log().contains("servers.up.tools.echo.price[1]") {
            tokio::task::yield_now().await;
        }
    })
    .await;

    replace(&world.gateway, &format!("{}limits: {{ connections_max: 7 }}\n", yaml(&world, DEAR)));
    let refused = operator.reload().await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    let error = refused.json().unwrap()["error"].clone();
    assert_eq!(
        (&error["code"], &error["needs_restart"]),
        (&json!("needs_restart"), &json!(["limits.connections_max"]))
    );
    assert_eq!(asked(&world).await, PRICE.to_string(), "nothing of such a file counts, its price neither");

    replace(&world.gateway, &yaml(&world, DEAR));
    let done = world.gateway.cli(&command);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(asked(&world).await, "20000", "control");
}

#[tokio::test]
async fn the_file_is_read_again_when_another_is_put_in_its_place_and_on_a_signal() {
    let world = World::paid_echo().await;
    until_priced(&world.gateway, "10000").await;
    replace(&world.gateway, &yaml(&world, "{ price: [\"${PRICE}\"] }"));
    std::fs::write(world.folder.path().join(".env"), "PRICE=0.02USDC\n").unwrap();
    until_priced(&world.gateway, "20000").await;
    // What the file refers to has changed, and the file has not: only the signal says so.
    std::fs::write(world.folder.path().join(".env"), "PRICE=0.03USDC\n").unwrap();
    let pid = Pid::from_raw(world.gateway.pid().try_into().unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    until_priced(&world.gateway, "30000").await;
    assert_eq!(asked(&world).await, "30000");
}

/// Pays for a call of `slow` with what was quoted before, and returns its open connection once it runs.
async fn slow_call(world: &World, journal: &Journal) -> Wire {
    let payment = world.x402_payment("slow", &json!({})).await;
    let mut head = vec!["POST /servers/up/mcp HTTP/1.1".to_owned(), "host: localhost".to_owned()];
    head.push("connection: close".to_owned());
    head.extend(modern_headers("slow").iter().map(|(name, value)| format!("{name}: {value}")));
    let body = call_body("slow", &json!({}), &json!({ "x402/payment": payment })).to_string();
    let wire = Wire::open(world.gateway.port, &head, &body).await;
    soon(async {
        while journal.calls_to("slow").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    wire
}

#[tokio::test]
async fn a_call_in_flight_outlives_a_change_of_its_price_and_pays_the_old_one() {
    let script = Script::echo().tool("slow", Behaviour::Hang);
    let world = World::new(script, &[("echo", PRICED), ("slow", PRICED)]).await;
    let operator = Operator::of(&world.gateway);
    let wire = slow_call(&world, &world.journal).await;
    let quoted = world.x402_payment("echo", &json!({ "n": 1 })).await;
    let file = format!("{}      slow: {DEAR}\n", yaml(&world, DEAR));
    operator.serve(&world.gateway, &file).await;
    assert_eq!(asked(&world).await, "20000", "whoever asks now is told the new price");
    // A quote is a promise: while it lives, it counts.
    let meta = json!({ "x402/payment": quoted });
    let promised = delivered(&world.call_with("echo", &json!({ "n": 1 }), &meta).await);
    assert_eq!(statement(&promised)["price"]["amount"], PRICE.to_string());
    world.journal.release();
    let text = soon(wire.rest()).await;
    assert!(text.contains("tollgate/receipt"), "{text}");
    assert_eq!(world.payer_balance().await, 100_000_000 - 2 * PRICE);
    delivered(&world.paid_call("echo", &json!({ "n": 2 })).await);
    assert_eq!(
        world.payer_balance().await,
        100_000_000 - 4 * PRICE,
        "control: the new price is twice the old one"
    );
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_server_that_is_taken_away_ends_its_calls_first() {
    let script = Script::echo().tool("slow", Behaviour::Hang);
    let world = World::new(script, &[("echo", PRICED), ("slow", PRICED)]).await;
    let operator = Operator::of(&world.gateway);
    let other = Journal::start(Script::echo()).await.unwrap();
    let wire = slow_call(&world, &world.journal).await;
    let gone =
        operator.serve(&world.gateway, &format!("servers:\n  other: {{ url: '{}' }}\n", other.url())).await;
    assert_eq!((&gone["servers"]["added"], &gone["servers"]["removed"]), (&json!(["other"]), &json!(["up"])));
    let (url, nothing) = (format!("{}/servers/up/mcp", world.gateway.url), json!({}));
    let unknown = crate::world::call(&url, "echo", &nothing, &nothing, &[]).await;
    assert_eq!(unknown.status, 404, "no new call begins");
    world.journal.release();
    let text = soon(wire.rest()).await;
    assert!(text.contains("tollgate/receipt"), "{text}");
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
    delivered(&world.call("echo", &json!({})).await);
    assert_eq!(other.executions(), 1, "control: the other server answers at /mcp");
    let ready = get(&format!("{}/readyz", world.gateway.url), &[]).await.unwrap().json().unwrap();
    assert!(ready["servers"]["up"].is_null() && ready["servers"]["other"].is_object(), "{ready}");
    world.gateway.assert_books_in_order();
}
