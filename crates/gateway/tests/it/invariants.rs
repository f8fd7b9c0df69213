//! What holds whatever happens, seen from outside: by the journal of the tool's server, and by everything that the gateway says.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_testkit::http::{get, send};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};

use crate::control::Operator;
use crate::escrow::Party;
use crate::paid_calls::api_key;
use crate::world::{World, call, call_body, delivered, modern_headers};

/// How many keys, and how many copies of each call at once.
const KEYS: u64 = 12;
const COPIES: u64 = 6;

/// How often each call ran, as the server of the tool has written down: by tool and number.
pub(crate) fn executions(journal: &Journal) -> BTreeMap<(String, u64), u64> {
    let mut ran = BTreeMap::new();
    for call in journal.calls() {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
        *ran.entry((call.tool.clone(), arguments["n"].as_u64().unwrap())).or_default() += 1;
    }
    ran
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_a_key_runs_its_tool_at_most_once_over_copies_a_kill_and_a_restart_in_every_mode() {
    let tools = ["after", "before", "escrow"];
    let script = tools.iter().fold(Script::new(), |script, tool| script.tool(tool, Behaviour::Echo));
    let policies = tools.map(|tool| (tool, format!("{{ price: [0.0001USDC], settle: {tool} }}")));
    let policies: Vec<(&str, &str)> =
        policies.iter().map(|(tool, policy)| (*tool, policy.as_str())).collect();
    let settings = "limits: { calls_per_minute: 1000000 }\n";
    let mut world = World::with(script, &policies, settings, &[]).await;
    let party = Party::new(&world.gateway, Some("10USDC")).await;
    let bearer = party.bearer();
    let ask = |url: String, tool: &'static str, n: u64| {
        let (bearer, key) = (bearer.clone(), format!("{tool}-{n}"));
        async move {
            let mut headers = modern_headers(tool);
            headers.push(("authorization".to_owned(), bearer));
            headers.push(("idempotency-key".to_owned(), key));
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let body = bytes::Bytes::from(call_body(tool, &json!({ "n": n }), &json!({})).to_string());
            send(Method::POST, &url, &headers, body).await.ok()
        }
    };
    let storm = |url: &str| {
        let mut tasks = JoinSet::new();
        for n in 0..KEYS {
            for _copy in 0..COPIES {
                for tool in tools {
                    tasks.spawn(ask(url.to_owned(), tool, n));
                }
            }
        }
        tasks
    };
    let dying = storm(&world.gateway.mcp());
    // In the middle of it: some have run, others have not begun.
    world.journal.wait_for_executions(KEYS).await;
    world.gateway = world.gateway.killed_and_restarted().await;
    dying.join_all().await;
    let after_kill = storm(&world.gateway.mcp()).join_all().await;
    assert!(after_kill.iter().all(Option::is_some), "the restarted gateway answers everybody");

    let ran = executions(&world.journal);
    let twice: Vec<_> = ran.iter().filter(|(_, times)| **times > 1).collect();
    assert_eq!(twice, Vec::<(&(String, u64), &u64)>::new(), "each key at most once");
    assert!(ran.len() > usize::try_from(KEYS).unwrap(), "control: it was under way in every mode: {ran:?}");
    // Control: another key for the very same call runs it once more.
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "another")];
    delivered(&call(&world.gateway.mcp(), "after", &json!({ "n": 0 }), &json!({}), &headers).await);
    let before = ran.get(&("after".to_owned(), 0)).copied().unwrap_or_default();
    assert_eq!(executions(&world.journal)[&("after".to_owned(), 0)], before + 1);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn i10_no_secret_is_in_anything_that_is_said_of_calls_escrows_and_books() {
    let settings =
        "    credential: { value: Bearer upstream-credential-canary }\nescrow: { dispute_stake: \"0\" }\n";
    let script = Script::echo().tool("judged", Behaviour::Echo);
    let policies =
        [("echo", "{ price: [0.01USDC, 10sat] }"), ("judged", "{ price: [0.01USDC], settle: escrow }")];
    let environment = [("TOLLGATE_LOG", "trace")];
    let world = World::with(script, &policies, settings, &environment).await;
    let operator = Operator::of(&world.gateway);
    let (id, secret) = api_key(&world.gateway);
    assert!(world.gateway.cli(&["credit", "add", &id, "1USDC"]).status.success());
    let party = Party::new(&world.gateway, Some("1USDC")).await;
    let bearer = party.bearer();
    let arguments = json!({ "n": 1 });
    let headers = [("authorization", bearer.as_str())];
    let judged = delivered(&call(&world.gateway.mcp(), "judged", &arguments, &json!({}), &headers).await);
    let escrow = judged["_meta"]["tollgate/escrow"]["escrow_id"].as_str().unwrap().to_owned();
    let payment = world.x402_payment("echo", &arguments).await;
    delivered(&world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await);
    let credential = world.l402_credential("echo", &arguments).await;
    delivered(&world.call_with("echo", &arguments, &json!({ "l402/authorization": credential })).await);
    let disputed = party.step(&escrow, "dispute", &json!({ "reason": "it is empty" })).await.done();

    // Everything that can be asked for, by anybody who may.
    let mut said =
        vec![("the escrow".to_owned(), disputed.to_string()), ("the answer".to_owned(), judged.to_string())];
    let shown = party.ask(Method::GET, &format!("/{escrow}"), &Value::Null, &[]).await.done();
    said.push(("the escrow's history".to_owned(), shown.to_string()));
    let call_id = shown["call_id"].as_str().unwrap().to_owned();
    for path in ["/metrics", "/api/v1/tools", "/api/openapi.json", "/.well-known/jwks.json", "/readyz"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("/api/v1/calls/{call_id}")])
    {
        let answer = get(&format!("{}{path}", world.gateway.url), &[]).await.unwrap();
        said.push((path, answer.text()));
    }
    for path in ["/escrows", "/servers", "/audit"] {
        said.push((format!("/admin/v1{path}"), operator.get(path).await.to_string()));
    }
    for command in [
        &["calls", "list", "--json"][..],
        &["ledger", "check", "--json"],
        &["ledger", "export", "transfers", "--format", "csv"],
        &["ledger", "export", "settlements", "--format", "jsonl"],
        &["ledger", "export", "receipts", "--format", "jsonl"],
        &["escrow", "show", &escrow, "--json"],
        &["escrow", "list"],
        &["keys", "list", "--json"],
    ] {
        let done = world.gateway.cli(command);
        let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert!(done.status.success(), "{command:?}: {text}");
        said.push((command.join(" "), text));
    }
    said.push(("the log".to_owned(), world.gateway.whole_log()));

    let file = |name: &str| std::fs::read_to_string(world.folder.path().join("data").join(name)).unwrap();
    let key_of_party = bearer.trim_start_matches("Bearer ").to_owned();
    let (macaroon, preimage) = credential.split_once(':').unwrap();
    let secrets = [
        ("an API key", secret.clone()),
        ("the payer's API key", key_of_party),
        ("the admin key", operator.secret().to_owned()),
        ("the key that signs receipts", file("receipts.key").trim().to_owned()),
        ("the dev payer's key", file("payer.key").trim().to_owned()),
        ("the upstream's credential", "upstream-credential-canary".to_owned()),
        (
            "a signature",
            payment["payload"]["signature"].as_str().unwrap().trim_start_matches("0x").to_owned(),
        ),
        ("a macaroon", macaroon.to_owned()),
        ("a preimage", preimage.to_owned()),
    ];
    for (what, secret) in &secrets {
        assert!(secret.len() >= 16, "{what} is one");
        for (place, text) in &said {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{what} is in {place}: {}", line.unwrap_or_default());
        }
    }
    // Control: what may be said is there, so the places were really read.
    for (what, place) in
        [(&escrow, "/admin/v1/escrows"), (&id, "keys list --json"), (&call_id, "calls list --json")]
    {
        let text = said.iter().find(|(name, _)| name == place).map(|(_, text)| text.as_str());
        assert!(text.is_some_and(|text| text.contains(what.as_str())), "{place}: {text:?}");
    }
}
