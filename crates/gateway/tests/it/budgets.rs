//! Budgets at a running gateway: what a refusal says and that it costs nothing, approvals, the kill switch, and a clock that
//! moves on.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tollgate_domain::{Amount, ApprovalId, Digest, ToolRef};
use tollgate_ledger::LedgerStore;
use tollgate_ledger::budget::{Approval, Change, Wanted};
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::control::Operator;
use crate::paid_calls::until_known;
use crate::payments::Agent;
use crate::world::{Demand, Gateway, PRICE, PRICED, World, call, code, delivered};

/// An API key with these labels and some credit: id and secret.
fn agent(gateway: &Gateway, labels: &[&str], credit: &str) -> (String, String) {
    let mut arguments = vec!["keys", "create", "--name", "agent", "--json"];
    for label in labels {
        arguments.extend(["--label", label]);
    }
    let made = gateway.cli(&arguments);
    let key: Value = serde_json::from_slice(&made.stdout).unwrap();
    let id = key["id"].as_str().unwrap().to_owned();
    let given = gateway.cli(&["credit", "add", &id, credit]);
    assert!(given.status.success(), "{}", String::from_utf8_lossy(&given.stderr));
    (id, format!("Bearer {}", key["secret"].as_str().unwrap()))
}

async fn spend(world: &World, tool: &str, bearer: &str, n: u32) -> Answer {
    let (arguments, mcp) = (json!({ "n": n }), world.gateway.mcp());
    until_known(async || call(&mcp, tool, &arguments, &json!({}), &[("authorization", bearer)]).await).await
}

/// The facts of a refusal by JSON-RPC.
fn facts(answer: &Answer) -> Value {
    answer.json().unwrap()["error"]["data"].clone()
}

/// What a demand to pay offers, by carrier.
fn offered(answer: &Answer) -> Value {
    assert_eq!(code(answer), "payment_required", "{}", answer.text());
    answer.json().unwrap()["result"]["_meta"].clone()
}

const TREE: &str = r#"
budgets:
  tree:
    acme:
      kind: org
      select: { labels: { org: acme } }
      limits: { per_month: [0.2USDC], warn: { per_month: [0.05USDC] } }
      nodes:
        research:
          kind: team
          select: { labels: { team: research } }
          limits: { per_day: [0.07USDC] }
limits: { calls_per_minute: 100000 }
"#;

#[tokio::test]
async fn p15_a_budget_that_two_keys_share_holds_exactly_under_calls_at_once() {
    // In one asset alone: what is over budget in it is offered in no other.
    let world = World::with(Script::echo(), &[("echo", "{ price: [0.01USDC] }")], TREE, &[]).await;
    let (one, first) = agent(&world.gateway, &["org=acme", "team=research"], "5USDC");
    let (other, second) = agent(&world.gateway, &["org=acme", "team=research"], "5USDC");
    let (_, outside) = agent(&world.gateway, &["org=acme", "team=sales"], "5USDC");
    delivered(&spend(&world, "echo", &first, 0).await);
    delivered(&spend(&world, "echo", &second, 1).await);
    let calls = (2..62).map(|n| spend(&world, "echo", if n % 2 == 0 { &first } else { &second }, n));
    let answers = join_all(calls).await;
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert_eq!(answers.len() - refused.len(), 5, "seven of 0.01 USDC fit into the day");
    assert_eq!(world.journal.executions(), 7, "nothing that was refused was carried out");
    for answer in &refused {
        assert_eq!((answer.status.as_u16(), code(answer).as_str()), (403, "budget_exceeded"));
    }
    let said = facts(refused[0]);
    assert_eq!((&said["node"], &said["window"]), (&json!("acme/research"), &json!("day")), "{said}");
    assert_eq!(
        (&said["limit"], &said["used"], &said["price"]),
        (&json!("70000"), &json!("70000"), &json!("10000"))
    );
    assert!(said["resets_at"].as_str().unwrap().ends_with("T00:00:00.000Z"), "{said}");
    let retry_after: u64 = refused[0].header("retry-after").unwrap().parse().unwrap();
    assert_eq!(retry_after, said["retry_after_ms"].as_u64().unwrap().div_ceil(1_000));
    for (reader, theirs) in [(0, &other), (1, &one)] {
        let text = answers[reader].text();
        assert!(!text.contains(theirs.as_str()), "no caller is named to another: {text}");
    }
    delivered(&spend(&world, "echo", &outside, 100).await);
    assert_eq!(world.gateway.account("payable:up"), [0, 8 * PRICE, 0, 0]);
    let page = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
    assert!(page.contains("tollgate_policy_denials_total{reason=\"budget_exceeded\"} 55\n"), "{page}");
    assert!(page.contains("tollgate_budget_warnings_total{window=\"month\"} 1\n"), "{page}");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_call_that_fails_gives_its_budget_back_and_whoever_is_over_it_is_not_asked_to_pay() {
    let script = Script::echo().tool("fails", Behaviour::Fail("no".to_owned()));
    let more = "budgets: { per_caller: { per_day: [0.01USDC, 10sat] } }\n";
    let world = World::with(script, &[("echo", PRICED), ("fails", PRICED)], more, &[]).await;
    // By a wallet: the money is on a rail, not on the books.
    let failed = world.paid_call("fails", &json!({})).await;
    assert_eq!(failed.json().unwrap()["result"]["isError"], true);
    delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    let payment = world.x402_payment("echo", &json!({ "n": 2 })).await;
    let (balance, meta) = (world.payer_balance().await, json!({ "x402/payment": payment }));
    let over = world.call_with("echo", &json!({ "n": 2 }), &meta).await;
    assert_eq!((over.status.as_u16(), code(&over).as_str()), (403, "budget_exceeded"), "{}", over.text());
    assert_eq!(facts(&over)["node"], "per_caller");
    assert_eq!(world.payer_balance().await, balance, "and its payment was not used");
    // A caller who is known before it pays is refused before it is asked to.
    let (_, bearer) = agent(&world.gateway, &[], "0.01USDC");
    delivered(&spend(&world, "echo", &bearer, 1).await);
    let asked = offered(&spend(&world, "echo", &bearer, 2).await);
    assert!(asked["x402/error"].is_null(), "of the token nothing is left: {asked}");
    assert!(
        asked["l402/challenge"].is_object(),
        "control: 10 sat are left, so Lightning is offered: {asked}"
    );
    world.gateway.assert_books_in_order();
}

const DEAR: &str = "{ price: [0.2USDC] }";
const THRESHOLD: &str = "budgets: { per_caller: { approve_above: [0.1USDC] }, approval_ttl_seconds: 600 }\n";

#[tokio::test]
async fn p21_a_dear_call_waits_for_an_operator_and_passes_once() {
    let script = Script::echo().tool("buy", Behaviour::Echo);
    let world = World::with(script, &[("echo", PRICED), ("buy", DEAR)], THRESHOLD, &[]).await;
    let operator = Operator::of(&world.gateway);
    let (id, bearer) = agent(&world.gateway, &[], "5USDC");
    delivered(&spend(&world, "echo", &bearer, 1).await);
    let waits = spend(&world, "buy", &bearer, 7).await;
    assert_eq!((waits.status.as_u16(), code(&waits).as_str()), (403, "approval_required"));
    let said = facts(&waits);
    let approval = said["approval_id"].as_str().unwrap().to_owned();
    assert_eq!(said["approval_url"], format!("{}/admin/v1/approvals/{approval}", world.gateway.url));
    assert_eq!(facts(&spend(&world, "buy", &bearer, 7).await)["approval_id"], approval, "the same one");
    assert_eq!(world.journal.executions(), 1);

    let path = format!("/approvals/{approval}");
    let shown = operator.get(&path).await;
    assert_eq!(
        (&shown["state"], &shown["caller"], &shown["tool"]),
        (&json!("waiting"), &json!(id), &json!("buy"))
    );
    assert_eq!(shown["price"], "0.2 USDC");
    let approved = operator.done(Method::POST, &format!("{path}/approve"), None).await;
    assert_eq!(approved["state"], "approved");
    let other = spend(&world, "buy", &bearer, 8).await;
    assert_eq!(code(&other), "approval_required", "other arguments");
    let (_, stranger) = agent(&world.gateway, &[], "5USDC");
    assert_eq!(code(&spend(&world, "buy", &stranger, 7).await), "approval_required", "another caller");
    delivered(&spend(&world, "buy", &bearer, 7).await);
    assert_eq!(operator.get(&path).await["state"], "used");
    let again = spend(&world, "buy", &bearer, 7).await;
    assert_eq!(code(&again), "approval_required", "it is for one call");
    let conflict = operator.ask(Method::POST, &format!("{path}/approve"), None, &[]).await;
    assert_eq!(conflict.status, 409, "{}", conflict.text());

    // From the command line, and a rejection.
    let rejected = facts(&other)["approval_id"].as_str().unwrap().to_owned();
    let listed = world.gateway.cli(&["approvals", "list", "--json"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains(&rejected) && !listed.contains(&approval), "{listed}");
    assert!(world.gateway.cli(&["approvals", "reject", &rejected]).status.success());
    let refused = spend(&world, "buy", &bearer, 8).await;
    assert_eq!(facts(&refused)["state"], "rejected", "{}", refused.text());
    let fresh = facts(&again)["approval_id"].as_str().unwrap().to_owned();
    assert!(world.gateway.cli(&["approvals", "approve", &fresh]).status.success());
    delivered(&spend(&world, "buy", &bearer, 7).await);
    assert_eq!(world.journal.executions(), 3);
    assert_eq!(operator.get("/audit").await["entries"][2]["what"], "decide_approval");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn nobody_in_particular_is_not_asked_to_pay_what_only_an_approval_lets_pass() {
    let script = Script::echo().tool("buy", Behaviour::Echo);
    let world = World::with(script, &[("echo", PRICED), ("buy", DEAR)], THRESHOLD, &[]).await;
    let refused = world.call("buy", &json!({})).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "approval_required"));
    assert_eq!(facts(&refused)["approval_id"], Value::Null, "{}", refused.text());
    Demand::read(&world.call("echo", &json!({})).await);
}

#[tokio::test]
async fn the_kill_switch_stops_the_next_call_and_outlives_a_restart() {
    let mut world = World::with(Script::echo(), &[("echo", PRICED)], TREE, &[]).await;
    let operator = Operator::of(&world.gateway);
    let (id, research) = agent(&world.gateway, &["org=acme", "team=research"], "5USDC");
    let (_, sales) = agent(&world.gateway, &["org=acme", "team=sales"], "5USDC");
    delivered(&spend(&world, "echo", &research, 1).await);
    delivered(&spend(&world, "echo", &sales, 2).await);

    let stop = ["budget", "stop", "acme/research", "--config", "tollgate.yaml", "--reason", "runaway"];
    let stopped = world.gateway.cli(&stop);
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    let refused = spend(&world, "echo", &research, 3).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "spending_stopped"));
    assert_eq!(facts(&refused)["stopped"], "acme/research");
    assert!(!refused.text().contains("runaway"), "the reason is for operators");
    delivered(&spend(&world, "echo", &sales, 4).await);
    let mistyped = world.gateway.cli(&["budget", "stop", "acme/reserch", "--config", "tollgate.yaml"]);
    assert!(!mistyped.status.success(), "a name that is mistyped must not look stopped");

    world.gateway = world.gateway.killed_and_restarted().await;
    assert_eq!(code(&spend(&world, "echo", &research, 3).await), "spending_stopped");
    let long = json!({ "target": "node:acme/research", "reason": "x".repeat(201) });
    assert_eq!(operator.ask(Method::POST, "/budgets/resume", Some(long), &[]).await.status, 400);
    operator.done(Method::POST, "/budgets/resume", Some(json!({ "target": "node:acme/research" }))).await;
    delivered(&spend(&world, "echo", &research, 3).await);

    operator.done(Method::POST, "/budgets/stop", Some(json!({ "target": "everything" }))).await;
    assert_eq!(code(&spend(&world, "echo", &sales, 5).await), "spending_stopped");
    let unpaid = world.call("echo", &json!({})).await;
    assert_eq!(code(&unpaid), "spending_stopped", "nobody is asked to pay either");
    let shown = operator.get("/budgets").await;
    assert_eq!(shown["stops"][0]["target"], "everything");
    assert_eq!(shown["budgets"][1]["windows"][0]["used"], (2 * PRICE).to_string(), "{shown}");
    operator.done(Method::POST, "/budgets/resume", Some(json!({ "target": "everything" }))).await;
    let caller = format!("caller:{id}");
    operator.done(Method::POST, "/budgets/stop", Some(json!({ "target": caller }))).await;
    assert_eq!(facts(&spend(&world, "echo", &research, 6).await)["stopped"], "caller");
    delivered(&spend(&world, "echo", &sales, 6).await);
    let unknown =
        operator.ask(Method::POST, "/budgets/stop", Some(json!({ "target": "node:acme/none" })), &[]).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f24_a_day_ends_once_when_the_clock_moves_on() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "0").unwrap();
    let more = "budgets: { zone: \"+05:30\", per_caller: { per_day: [0.02USDC] } }\n";
    let environment = [("TOLLGATE_CLOCK_AHEAD", clock.to_str().unwrap())];
    let world =
        World::in_folder(folder, Script::echo(), &[("echo", "{ price: [0.01USDC] }")], more, &environment)
            .await;
    let (id, bearer) = agent(&world.gateway, &[], "5USDC");
    delivered(&spend(&world, "echo", &bearer, 1).await);
    delivered(&spend(&world, "echo", &bearer, 2).await);
    let refused = facts(&spend(&world, "echo", &bearer, 3).await);
    assert!(refused["resets_at"].as_str().unwrap().ends_with("T18:30:00.000Z"), "midnight there: {refused}");
    let wait = refused["retry_after_ms"].as_u64().unwrap();
    // A minute before its end the day still counts; a minute behind it the next one does, once.
    std::fs::write(&clock, (wait - 60_000).to_string()).unwrap();
    assert_eq!(code(&spend(&world, "echo", &bearer, 3).await), "budget_exceeded");
    std::fs::write(&clock, (wait + 60_000).to_string()).unwrap();
    delivered(&spend(&world, "echo", &bearer, 3).await);
    delivered(&spend(&world, "echo", &bearer, 4).await);
    assert_eq!(code(&spend(&world, "echo", &bearer, 5).await), "budget_exceeded");
    let operator = Operator::of(&world.gateway);
    let shown = operator.get(&format!("/budgets/callers/{id}")).await;
    let line = &shown["budgets"][0];
    assert_eq!(
        (&line["window"], &line["used"], &line["left"]),
        (&json!("day"), &json!("20000"), &json!("0")),
        "{shown}"
    );
}

#[tokio::test]
async fn a_caller_has_limits_when_nothing_is_configured() {
    let script = Script::echo().tool("buy", Behaviour::Echo).tool("dear", Behaviour::Echo);
    let policies = [("buy", "{ price: [100USDC] }"), ("dear", "{ price: [100.000001USDC] }")];
    let world = World::new(script, &policies).await;
    let (_, bearer) = agent(&world.gateway, &[], "5000USDC");
    assert_eq!(code(&spend(&world, "dear", &bearer, 0).await), "approval_required");
    for n in 0..10 {
        delivered(&spend(&world, "buy", &bearer, n).await);
    }
    let refused = spend(&world, "buy", &bearer, 10).await;
    assert_eq!(code(&refused), "budget_exceeded", "1000 USDC a day");
    let world = World::with(
        Script::echo(),
        &[("echo", PRICED)],
        "",
        &[("MAX_DAILY_SPENT", "0.015"), ("HIGH_VALUE_THRESHOLD", "0.01")],
    )
    .await;
    let (_, bearer) = agent(&world.gateway, &[], "5USDC");
    delivered(&spend(&world, "echo", &bearer, 1).await);
    let asked = offered(&spend(&world, "echo", &bearer, 2).await);
    assert!(asked["x402/error"].is_null() && asked["l402/challenge"].is_object(), "{asked}");
}

#[tokio::test]
async fn p15_auto_pay_and_authorizations_spend_no_more_than_the_budget_and_the_agent_sees_what_is_left() {
    let more = "budgets: { per_caller: { per_day: [0.03USDC], approve_above: [0.1USDC] } }\n\
                limits: { calls_per_minute: 100000 }\n";
    let policies = [("echo", "{ price: [0.01USDC] }"), ("buy", DEAR)];
    let world = World::with(Script::echo().tool("buy", Behaviour::Echo), &policies, more, &[]).await;
    let agent = Agent::new(&world, "5USDC").await;
    let authorization = agent.authorized(&json!({ "n": 0 })).await;
    let body = |n: u32| json!({ "tool_name": "echo", "arguments": { "n": n }, "auto_pay": true });
    let bodies: Vec<Value> = (1..20).map(body).collect();
    let answers = join_all(bodies.iter().map(|body| agent.post("execute", body))).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((done.len(), world.journal.executions()), (2, 2), "one of three is reserved");
    for answer in &refused {
        assert_eq!(
            (answer.status.as_u16(), code(answer).as_str()),
            (403, "budget_exceeded"),
            "{}",
            answer.text()
        );
    }
    let late = agent.post("payments/authorize", &json!({ "tool_name": "echo" })).await;
    assert_eq!(code(&late), "budget_exceeded", "nor is anything reserved beyond it");
    let asked = agent.post("payments/challenge", &json!({ "tool_name": "echo" })).await;
    assert_eq!(code(&asked), "budget_exceeded", "nor asked for");

    let limits = async || {
        let told = agent.spending(&agent.id).await.json().unwrap();
        told["spending"].as_array().unwrap().iter().find(|of| of["symbol"] == "USDC").unwrap()["limits"]
            .clone()
    };
    let told = limits().await;
    assert_eq!((&told["left"], &told["approve_above"]), (&json!("0"), &json!("100000")), "{told}");
    assert_eq!((&told["per_call"], &told["stopped"]), (&Value::Null, &Value::Null), "{told}");
    let day = &told["windows"][0];
    assert_eq!((&day["node"], &day["window"]), (&json!("per_caller"), &json!("day")), "{told}");
    assert_eq!((&day["limit"], &day["used"]), (&json!("30000"), &json!("30000")), "{told}");

    // Control: what was reserved is executed within it, and another caller has a budget of its own.
    let execution = json!({ "tool_name": "echo", "arguments": { "n": 0 }, "authorization": authorization });
    assert_eq!(agent.post("execute", &execution).await.status, 200);
    let other = Agent::new(&world, "5USDC").await;
    assert_eq!(other.post("execute", &body(1)).await.status, 200);
    let dear = json!({ "tool_name": "buy", "arguments": {}, "auto_pay": true });
    assert_eq!(code(&other.post("execute", &dear).await), "budget_exceeded", "0.2 is more than a day has");

    let stop = world.gateway.cli(&["budget", "stop", "--caller", &agent.id]);
    assert!(stop.status.success(), "{}", String::from_utf8_lossy(&stop.stderr));
    assert_eq!(code(&agent.post("execute", &body(99)).await), "spending_stopped");
    let told = limits().await;
    assert_eq!((&told["stopped"], &told["left"]), (&json!("caller"), &json!("0")), "{told}");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn free_calls_are_left_to_a_caller_who_may_spend_nothing() {
    let policies = [("echo", "{ price: { type: free_tier, calls: 2, per: day, then: [0.01USDC] } }")];
    let more = "budgets: { per_caller: { per_day: [0USDC] } }\n";
    let world = World::with(Script::echo(), &policies, more, &[]).await;
    let agent = Agent::new(&world, "5USDC").await;
    let body = |n: u32| json!({ "tool_name": "echo", "arguments": { "n": n }, "auto_pay": true });
    for n in 0..2 {
        let free = agent.post("execute", &body(n)).await;
        assert_eq!(free.status, 200, "{}", free.text());
    }
    let priced = agent.post("execute", &body(2)).await;
    assert_eq!(
        (priced.status.as_u16(), code(&priced).as_str()),
        (403, "budget_exceeded"),
        "{}",
        priced.text()
    );
    assert_eq!(world.journal.executions(), 2);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn above_the_threshold_a_call_is_settled_by_an_escrow_where_the_operator_wants_that() {
    let settings = "budgets: { per_caller: { approve_above: [0.005USDC] }, above_high_value: escrow }\n";
    let script = Script::echo().tool("small", Behaviour::Echo);
    let policies = [("echo", "{ price: [0.01USDC] }"), ("small", "{ price: [0.005USDC] }")];
    let world = World::with(script, &policies, settings, &[]).await;
    let (id, bearer) = agent(&world.gateway, &[], "1USDC");
    let result = delivered(&spend(&world, "echo", &bearer, 1).await);
    let said = crate::world::statement(&result);
    assert_eq!(said["settlement"], "escrowed", "the tool says `after`: {said}");
    let escrow = said["escrow_id"].as_str().unwrap();
    assert_eq!(world.gateway.account(&format!("escrow:{escrow}")), [0, PRICE, 0, 0]);
    let at_threshold = crate::world::statement(&delivered(&spend(&world, "small", &bearer, 1).await));
    assert_eq!(at_threshold["settlement"], "settled", "control: {at_threshold}");
    // A wallet can have no escrow: it needs an approval, as ever.
    let wallet = world.call("echo", &json!({ "n": 2 })).await;
    assert_eq!(code(&wallet), "approval_required", "{}", wallet.text());
    assert_eq!(world.gateway.account(&format!("credit:{id}"))[0], PRICE + 5_000);
    world.gateway.assert_books_in_order();
}

/// What waits is shown in the assets of the gateway that is meant, whatever dev mode has.
#[test]
fn approvals_on_the_command_line_are_shown_in_the_configured_assets() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "servers: { up: { url: \"http://127.0.0.1:1/mcp\" } }\npayment:\n  x402: { network: base, rpc_url: \"http://127.0.0.1:1\", pay_to: \"0x1111111111111111111111111111111111111111\" }\n";
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let data = folder.path().join("data");
    let (now, asset) = (crate::world::now(), "eip155:8453/erc20:0x833589fcd6edb6e08f4c7c32d4f71b54bda02913");
    let wanted = Wanted {
        caller: "anonymous".parse().unwrap(),
        tool: ToolRef { server: "up".parse().unwrap(), tool: "buy".parse().unwrap() },
        args: Digest::of(b"{}"),
        asset: asset.parse().unwrap(),
        amount: Amount::new(200_000),
    };
    let asked = Approval::asked(ApprovalId::from_bytes([7; 16]), wanted, now, now.plus_millis(600_000));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let signer = tollgate_attest::Signer::from_seed(&[7; 32]).unwrap();
        let store = tollgate_store::Store::open(&data, signer, tollgate_store::Options::default()).unwrap();
        store.change_budget(Change::Ask(asked)).await.unwrap();
    });
    drop(runtime);
    let listed = |more: &[&str]| {
        let mut list = crate::world::command(folder.path());
        let done = list.args(["approvals", "list", "--data", "data"]).args(more).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let with = listed(&["--config", "tollgate.yaml"]);
    assert!(with.contains("0.2 USDC"), "{with}");
    let without = listed(&[]);
    assert!(
        without.contains(&format!("200000 of {asset}")),
        "control: dev mode has no such asset: {without}"
    );
}
