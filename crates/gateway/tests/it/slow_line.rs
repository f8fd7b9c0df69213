//! A line that is narrow, keeps packets waiting and loses those that find no place: calls over it are right, only slower.
//!
//! The line is the loopback of a network of its own, in which this very test is run again: caller, gateway and server are all in it.

use std::process::Command;

use serde_json::json;
use tokio::task::JoinSet;
use tollgate_testkit::journal_server::Script;
use tollgate_testkit::peers::{PeerError, Skip, available};

use crate::world::{PRICE, PRICED, START, World, call, delivered, soon, statement};

const NAME: &str =
    "slow_line::f57_over_a_line_that_delays_and_loses_packets_every_call_is_right_and_charged_once";
/// Set where the test runs in its own network.
const INSIDE: &str = "TOLLGATE_TEST_SLOW_LINE";
/// 4 Mbit/s in packets of a usual size, and a queue that what is sent at once does not fit into: `tc-tbf(8)` drops the rest.
const LINE: &str =
    "ip link set lo mtu 1500 up && tc qdisc add dev lo root tbf rate 4mbit burst 8kb latency 20ms";
const CALLS: u64 = 8;
const ARGUMENT_BYTES: usize = 12_000;

#[tokio::test]
async fn f57_over_a_line_that_delays_and_loses_packets_every_call_is_right_and_charged_once() {
    if std::env::var_os(INSIDE).is_some() {
        return story().await;
    }
    let in_own_network = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sh", "-c", script, "sh"]);
        command
    };
    let made = in_own_network(LINE).output();
    let is_there = made.is_ok_and(|made| made.status.success());
    let line =
        if is_there { Ok(()) } else { Err(Skip::because("a network of its own needs root and iproute2")) };
    let Some(()) = available(line.map_err(PeerError::Skip)) else { return };
    let mut again = in_own_network(&format!("{LINE} && exec \"$@\""));
    again.arg(std::env::current_exe().unwrap()).args([NAME, "--exact", "--nocapture"]).env(INSIDE, "1");
    // It has limits of its own.
    let ended = tokio::task::spawn_blocking(move || again.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

async fn story() {
    let world = World::new(Script::echo(), &[("echo", PRICED)]).await;
    let mut calls = JoinSet::new();
    for n in 0..CALLS {
        let arguments = json!({ "n": n, "text": "x".repeat(ARGUMENT_BYTES) });
        let meta = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
        let url = world.gateway.mcp();
        calls.spawn(async move { (call(&url, "echo", &arguments, &meta, &[]).await, arguments) });
    }
    for (answer, arguments) in soon(calls.join_all()).await {
        let result = delivered(&answer);
        assert_eq!(result["structuredContent"]["echo"], arguments, "byte for byte");
        assert_eq!(statement(&result)["charged"], true);
    }
    assert_eq!(world.journal.executions(), CALLS, "none was sent twice");
    assert_eq!(world.payer_balance().await, START - u128::from(CALLS) * PRICE);
    world.gateway.assert_books_in_order();

    let seen = Command::new("tc").args(["-s", "qdisc", "show", "dev", "lo"]).output().unwrap();
    let seen = String::from_utf8(seen.stdout).unwrap();
    let lost = seen.split("dropped ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    assert!(lost.parse::<u64>().unwrap() > 0, "control: the line lost packets: {seen}");
    assert!(
        seen.contains("overlimits ") && !seen.contains("overlimits 0 "),
        "control: and delayed others: {seen}"
    );
}
