//! F7, F13: two gateways on one PostgreSQL. Clients pay for tools of every mode of settlement at both, and ask either again until they
//! are told how their call ended; meanwhile the gateways are killed, one or the other, and the database ends every connection.
//!
//! `TOLLGATE_KILLS=1000` goes on for so many faults; a few by default.

use http::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::{Behaviour, Script};

use super::clients::{Clients, Lane, Paying, Secrets};
use super::kills;
use crate::invariants::executions;
use crate::paid_calls::api_key;
use crate::several_gateways::Pair;
use crate::world::{Gateway, PRICE, START, call, call_body, delivered, modern_headers, soon};

/// The tools, each named after when it is settled.
const TOOLS: [&str; 3] = ["after", "before", "escrow"];
/// What is granted to whoever prepays, in atomic units.
const GRANTED: u128 = 1_000_000_000;
/// How many keys the copies are of, and how many copies of each at each gateway.
const KEYS: u64 = 8;
const COPIES: usize = 3;
/// Ends every connection of the gateways, and says how many there were.
const END_CONNECTIONS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Two gateways in front of one server that offers every mode of settlement.
async fn every_mode() -> Option<Pair> {
    let script = TOOLS.iter().fold(Script::new(), |script, tool| script.tool(tool, Behaviour::Echo));
    let policies = TOOLS.map(|tool| (tool, format!("{{ price: [0.01USDC], settle: {tool} }}")));
    let policies: Vec<(&str, &str)> =
        policies.iter().map(|(tool, policy)| (*tool, policy.as_str())).collect();
    let limits = "limits: { calls_per_minute: 1000000, offers_per_minute: 1000000 }\n";
    Pair::serving(script, &policies, limits).await
}

/// Whoever has prepaid at both: the id of the API key, and its `Authorization`.
async fn prepaid(pair: &mut Pair) -> (String, String) {
    let (id, secret) = api_key(&pair.first.gateway);
    assert!(pair.first.gateway.cli(&["credit", "add", &id, "1000USDC"]).status.success());
    // The key is known from the next start on at the latest.
    for number in [0, 1] {
        killed(pair, number).await;
    }
    (id, format!("Bearer {secret}"))
}

/// Kills one of the two, and starts it again where it was.
async fn killed(pair: &mut Pair, number: u64) {
    let place: &mut Gateway = if number == 0 { &mut pair.first.gateway } else { &mut pair.second };
    place.kill();
    *place = place.started_again().await;
}

/// Waits until the load has come a little further; then one of the gateways dies, or every connection to the database does, or both.
/// How many connections were ended.
async fn fault(pair: &mut Pair, clients: &Clients, turn: u64) -> u64 {
    let chance = turn.wrapping_mul(2_654_435_761) >> 7;
    let further = 1 + chance % 7;
    if chance.is_multiple_of(2) {
        let ran = pair.first.journal.executions();
        soon(pair.first.journal.wait_for_executions(ran + further)).await;
    } else {
        clients.further_answered(further).await;
    }
    let ended = match turn % 4 {
        2 | 3 => pair.database.psql(END_CONNECTIONS).unwrap().parse().unwrap(),
        _ => 0,
    };
    if turn % 4 != 2 {
        killed(pair, (chance / 8) % 2).await;
    }
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_f13_two_gateways_on_one_database_are_killed_and_cut_off_and_everybody_is_charged_as_told() {
    let Some(mut pair) = every_mode().await else { return };
    let (id, authorization) = prepaid(&mut pair).await;
    let secrets = Secrets::of(
        [&pair.first.gateway, &pair.second],
        vec![
            ("an API key", authorization.trim_start_matches("Bearer ").to_owned()),
            ("the password of the database", pair.database.password().to_owned()),
            ("the secret of quotes", Pair::shared_secret()),
        ],
    );
    let urls = vec![pair.first.gateway.mcp(), pair.second.mcp()];
    let clients = Clients::new(urls, pair.first.payer(), authorization, secrets);
    let prepaid = TOOLS.map(|tool| Lane { tool, paying: Paying::Prepaid });
    let sandbox = Lane { tool: "after", paying: Paying::Sandbox };
    let lanes = clients.begin(prepaid.into_iter().chain([sandbox, sandbox])).await;
    let faults = kills();
    let mut cut = 0;
    for turn in 0..faults {
        cut += fault(&mut pair, &clients, turn).await;
    }
    let told = clients.end(lanes).await;
    let unanswered = clients.unanswered();
    println!(
        "{faults} faults, {} calls, {unanswered} times no answer, {cut} connections: {}",
        told.calls(),
        told.summary()
    );
    let [after, before, escrow] = prepaid.map(|lane| told.delivered(lane));
    let sandbox = told.delivered(sandbox);
    assert!(unanswered > 0 && cut > 0, "the load was under way: {}", told.summary());

    // Both auditors find nothing, and neither does the database when it adds up by itself.
    for gateway in [&pair.first.gateway, &pair.second] {
        gateway.assert_books_in_order();
        clients.assert_unsaid(gateway);
    }
    assert_eq!(pair.trial_balance(), "");
    let open = "SELECT count(*) FROM tollgate.settlements WHERE state NOT IN ('settled', 'delivered', \
         'refunded', 'voided', 'failed', 'in_doubt')";
    assert_eq!(pair.database.psql(open).unwrap(), "0", "no call is stuck");
    // Nobody is charged without a result, nobody has a result without being charged, and each once.
    assert_eq!(pair.second.account("payable:up"), [0, PRICE * (after + before + sandbox), 0, 0]);
    let held = "SELECT count(*), sum(credits_posted - debits_posted) FROM tollgate.accounts \
         WHERE name LIKE 'escrow:%'";
    assert_eq!(pair.database.psql(held).unwrap(), format!("{escrow}|{}", PRICE * escrow));
    let [debits, credits, reserved, _] = pair.first.gateway.account(&format!("credit:{id}"));
    assert_eq!((credits - debits, reserved), (GRANTED - PRICE * (after + before + escrow), 0));
    assert_eq!(pair.first.payer_balance().await, START - PRICE * sandbox);
    told.assert_ran_once(&pair.first.journal, None);
    told.assert_receipts_kept(&pair.second);
    assert_eq!(pair.database.psql("SELECT count(DISTINCT signer) FROM tollgate.receipts").unwrap(), "2");
}

/// Copies of one call under each key, of every mode and at both gateways at once.
fn storm(pair: &Pair, authorization: &str) -> JoinSet<Option<Answer>> {
    let mut tasks = JoinSet::new();
    let urls = [pair.first.gateway.mcp(), pair.second.mcp()];
    for n in 0..KEYS {
        for tool in TOOLS {
            for url in urls.iter().cycle().take(urls.len() * COPIES) {
                let (url, authorization) = (url.clone(), authorization.to_owned());
                let key = format!("{tool}-{n}");
                tasks.spawn(async move {
                    let mut headers = modern_headers(tool);
                    headers.push(("authorization".to_owned(), authorization));
                    headers.push(("idempotency-key".to_owned(), key));
                    let headers: Vec<(&str, &str)> =
                        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                    let body =
                        bytes::Bytes::from(call_body(tool, &json!({ "n": n }), &json!({})).to_string());
                    send(Method::POST, &url, &headers, body).await.ok()
                });
            }
        }
    }
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_a_key_runs_its_tool_at_most_once_over_two_gateways_a_kill_and_lost_connections_in_every_mode() {
    let Some(mut pair) = every_mode().await else { return };
    let (_, authorization) = prepaid(&mut pair).await;
    let dying = storm(&pair, &authorization);
    // In the middle of it: some have run, others have not begun.
    pair.first.journal.wait_for_executions(KEYS).await;
    pair.database.psql(END_CONNECTIONS).unwrap();
    killed(&mut pair, 1).await;
    dying.join_all().await;
    let after_kill = storm(&pair, &authorization).join_all().await;
    assert!(after_kill.iter().all(Option::is_some), "both gateways answer everybody");

    let ran = executions(&pair.first.journal);
    let twice: Vec<_> = ran.iter().filter(|(_, times)| **times > 1).collect();
    assert_eq!(twice, Vec::<(&(String, u64), &u64)>::new(), "each key at most once");
    assert!(ran.len() > usize::try_from(KEYS).unwrap(), "control: it was under way in every mode: {ran:?}");
    // Control: another key for the very same call runs it once more.
    let headers = [("authorization", authorization.as_str()), ("idempotency-key", "another")];
    delivered(&call(&pair.second.mcp(), "after", &json!({ "n": 0 }), &json!({}), &headers).await);
    let before = ran.get(&("after".to_owned(), 0)).copied().unwrap_or_default();
    assert_eq!(executions(&pair.first.journal)[&("after".to_owned(), 0)], before + 1);
    for gateway in [&pair.first.gateway, &pair.second] {
        gateway.assert_books_in_order();
    }
    assert_eq!(pair.trial_balance(), "");
}
