//! F7: `kill -9` at any moment, under load. Clients pay with prepaid credit, over Lightning and in sandbox money at once, and ask
//! again with the same payment until they are told how their call ended; the gateway is killed again and again meanwhile.
//!
//! `TOLLGATE_KILLS=1000` kills that often; a few times by default.

mod clients;
#[cfg(feature = "postgres")]
mod pair;

use serde_json::Value;
use tollgate_testkit::journal_server::{Behaviour, Script};

use self::clients::{Clients, Lane, Paying, Secrets};
use crate::paid_calls::api_key;
use crate::world::{PRICE, PRICED, START, World, soon};

/// How many faults, unless it is said.
const KILLS: u64 = 8;
/// Of each way to pay.
const LANES: usize = 2;
/// A tool that only reads, and may run while its claim is being committed.
const READS: &str = "read";
const OVERLAPS: &str = "{ price: [0.01USDC, 10sat], overlap: true }";
/// The price over Lightning, in millisatoshi.
const PRICE_MSAT: u128 = 10_000;

/// How many faults a run has.
fn kills() -> u64 {
    std::env::var_os("TOLLGATE_KILLS").map_or(KILLS, |kills| kills.to_str().unwrap().parse().unwrap())
}

/// What an account has of an asset whose id begins like this: debits and credits posted, then pending.
fn account(world: &World, name: &str, asset: &str) -> [u128; 4] {
    let checked = world.gateway.cli(&["ledger", "check", "--json"]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let rows = report["accounts"].as_array().unwrap();
    let mut found =
        rows.iter().filter(|row| row["account"] == name && row["asset"].as_str().unwrap().starts_with(asset));
    let Some(row) = found.next() else { return [0; 4] };
    ["debits_posted", "credits_posted", "debits_pending", "credits_pending"]
        .map(|field| row[field].as_str().unwrap().parse().unwrap())
}

/// Waits until the load has come a little further, and kills in the middle of it: of what is sent, what runs, or what is answered.
async fn kill_once(mut world: World, clients: &Clients, turn: u64) -> World {
    let further = 1 + turn.wrapping_mul(2_654_435_761) % 7;
    match turn % 3 {
        0 => soon(world.journal.wait_for_executions(world.journal.executions() + further)).await,
        1 => clients.further_sent(further).await,
        _ => clients.further_answered(further).await,
    }
    world.gateway = world.gateway.killed_and_restarted().await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_killed_again_and_again_under_load_everybody_is_told_and_charged_exactly_as_told() {
    let limits = "limits: { calls_per_minute: 1000000, offers_per_minute: 1000000 }\n";
    let (script, tools) =
        (Script::echo().tool(READS, Behaviour::Echo), [("echo", PRICED), (READS, OVERLAPS)]);
    let mut world = World::with(script, &tools, limits, &[]).await;
    let (id, secret) = api_key(&world.gateway);
    assert!(world.gateway.cli(&["credit", "add", &id, "1000USDC"]).status.success());
    let secrets = Secrets::of([&world.gateway], vec![("an API key", secret.clone())]);
    let prepaid = format!("Bearer {secret}");
    let clients = Clients::new(vec![world.gateway.mcp()], world.payer(), prepaid, secrets);
    // The key is known from the next start on at the latest.
    world.gateway = world.gateway.killed_and_restarted().await;
    let [prepaid, lightning, sandbox] =
        [Paying::Prepaid, Paying::Lightning, Paying::Sandbox].map(|paying| Lane { tool: "echo", paying });
    let ahead = Lane { tool: READS, paying: Paying::Prepaid };
    let lanes = clients.begin([prepaid, ahead, lightning, sandbox].repeat(LANES)).await;
    let kills = kills();
    for turn in 0..kills {
        world = kill_once(world, &clients, turn).await;
        if turn % 100 == 99 {
            world.gateway.assert_books_in_order();
        }
    }
    let told = clients.end(lanes).await;
    let unanswered = clients.unanswered();
    println!("{kills} kills, {} calls, {unanswered} times no answer: {}", told.calls(), told.summary());
    assert!(unanswered > 0, "the load was under way: {}", told.summary());
    let [prepaid, ahead, lightning, sandbox] =
        [prepaid, ahead, lightning, sandbox].map(|lane| told.delivered(lane));

    world.gateway.assert_books_in_order();
    // Nobody is charged without a result, nobody has a result without being charged, and each once.
    let paid = PRICE * (prepaid + ahead + sandbox);
    assert_eq!(account(&world, "payable:up", "eip155:"), [0, paid, 0, 0]);
    assert_eq!(account(&world, "payable:up", "lightning:"), [0, PRICE_MSAT * lightning, 0, 0]);
    let [spent, _, reserved, _] = account(&world, &format!("credit:{id}"), "eip155:");
    assert_eq!((spent, reserved), (PRICE * (prepaid + ahead), 0));
    assert_eq!(world.payer_balance().await, START - PRICE * sandbox);
    told.assert_ran_once(&world.journal, Some(READS));
    told.assert_receipts_kept(&world.gateway);
    clients.assert_unsaid(&world.gateway);
}
