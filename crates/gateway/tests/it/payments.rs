//! The payments API: a demand without a call, a verdict without a claim, a reservation for later, what was spent.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::paid_calls::{api_key, until_known};
use crate::world::{
    PRICE, PRICED, START, World, base64_decode, base64_encode, code, now, post, rand_32, soon,
};

/// Who asks, and where.
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) bearer: String,
    pub(crate) url: String,
}

impl Agent {
    pub(crate) async fn new(world: &World, credit: &str) -> Self {
        let (id, secret) = api_key(&world.gateway);
        assert!(world.gateway.cli(&["credit", "add", &id, credit]).status.success());
        let agent = Self { id, bearer: format!("Bearer {secret}"), url: world.gateway.url.clone() };
        until_known(async || agent.spending(&agent.id).await).await;
        agent
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        post(&format!("{}/api/v1/{path}", self.url), body, &[("authorization", &self.bearer)]).await
    }

    pub(crate) async fn spending(&self, of: &str) -> Answer {
        let url = format!("{}/api/v1/payments/spending/{of}", self.url);
        get(&url, &[("authorization", &self.bearer)]).await.unwrap()
    }

    pub(crate) async fn authorized(&self, arguments: &Value) -> String {
        let body = json!({ "tool_name": "echo", "arguments": arguments });
        let answer = self.post("payments/authorize", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().unwrap()["authorization_id"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn execution(arguments: &Value, authorization: &str) -> Value {
    json!({ "tool_name": "echo", "arguments": arguments, "authorization": authorization })
}

#[tokio::test]
async fn a_challenge_names_the_price_and_every_way_to_pay_without_a_call() {
    let world = World::new(Script::echo(), &[("echo", PRICED)]).await;
    let url = |path: &str| format!("{}/api/v1/{path}", world.gateway.url);
    let body = json!({ "tool_name": "echo", "arguments": { "n": 1 } });
    let challenged = post(&url("payments/challenge"), &body, &[]).await;
    let told = challenged.json().unwrap();
    assert_eq!((challenged.status.as_u16(), &told["payment_required"]), (200, &json!(true)), "{told}");
    assert_eq!((&told["amount"], &told["pricing"]["type"]), (&json!("10000"), &json!("per_call")));
    assert!(
        told["recipient"].is_string()
            && told["l402"]["invoice"].is_string()
            && told["expires_at"].is_string()
    );
    assert!(challenged.header("www-authenticate").unwrap().starts_with("L402 "));
    world.assert_untouched("a challenge").await;
    // What it asks for pays for the execution.
    let required: Value =
        serde_json::from_slice(&base64_decode(challenged.header("payment-required").unwrap())).unwrap();
    let entry = required["accepts"][0].to_string();
    let signed = tollgate_rails::x402::sign_payment(&entry, None, &world.payer(), rand_32(), now()).unwrap();
    let header = base64_encode(signed.as_bytes());
    let paid = post(&url("execute"), &body, &[("payment-signature", &header)]).await;
    assert_eq!((paid.status.as_u16(), world.payer_balance().await), (200, START - PRICE), "{}", paid.text());

    let unknown = post(&url("payments/challenge"), &json!({ "tool_name": "none" }), &[]).await;
    assert_eq!((unknown.status.as_u16(), code(&unknown).as_str()), (404, "unknown_tool"));
    let odd = post(&url("payments/challenge"), &json!({ "tool": "echo" }), &[]).await;
    assert_eq!((odd.status.as_u16(), code(&odd).as_str()), (400, "malformed_frame"));
}

#[tokio::test]
async fn p16_a_payment_is_judged_with_its_reason_and_nothing_is_burned() {
    let world = World::new(Script::echo(), &[("echo", PRICED), ("free", "{ price: [] }")]).await;
    let verify = format!("{}/api/v1/payments/verify", world.gateway.url);
    let verdict = async |arguments: Value, payment: Option<&Value>, headers: &[(&str, &str)]| {
        let mut body = json!({ "tool_name": "echo", "arguments": arguments });
        if let Some(payment) = payment {
            body["payment"] = payment.clone();
        }
        let answer = post(&verify, &body, headers).await;
        let told = answer.json().unwrap();
        assert_eq!(answer.status, 200, "{told}");
        (told["valid"] == true, told["reason"].as_str().unwrap_or_default().to_owned())
    };
    let bad = |reason: &str| (false, reason.to_owned());
    let payment = world.x402_payment("echo", &json!({ "n": 1 })).await;
    let mut forged = payment.clone();
    forged["payload"]["signature"] = json!(format!("0x{}", "11".repeat(65)));
    assert_eq!(verdict(json!({ "n": 1 }), None, &[]).await, bad("payment_unreadable"), "none at all");
    for odd in [json!([]), json!("e30="), json!(1)] {
        let answer = post(&verify, &json!({ "tool_name": "echo", "payment": odd }), &[]).await;
        assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (400, "malformed_frame"), "{odd}");
    }
    assert_eq!(verdict(json!({ "n": 2 }), Some(&payment), &[]).await, bad("payment_other_call"));
    assert!(!verdict(json!({ "n": 1 }), Some(&forged), &[]).await.0, "forged");
    for _ in 0..3 {
        assert!(verdict(json!({ "n": 1 }), Some(&payment), &[]).await.0, "control, as often as asked");
    }

    // L402: the preimage must be the one of the invoice, whole.
    let credential = world.l402_credential("echo", &json!({ "n": 1 })).await;
    let (macaroon, preimage) = credential.split_once(':').unwrap();
    let wrong = "00".repeat(32);
    for (what, preimage) in [("short", &preimage[2..]), ("another", wrong.as_str()), ("none", "")] {
        let header = format!("L402 {macaroon}:{preimage}");
        let (valid, reason) = verdict(json!({ "n": 1 }), None, &[("authorization", &header)]).await;
        assert!(!valid && reason.starts_with("payment_"), "{what}: {reason}");
    }
    let header = format!("L402 {credential}");
    assert!(verdict(json!({ "n": 1 }), None, &[("authorization", &header)]).await.0, "control");
    assert_eq!(world.journal.executions(), 0);
    assert_eq!(world.gateway.account("payable:up"), [0; 4]);

    // Judged valid is paid; used is judged used.
    let execute = format!("{}/api/v1/execute", world.gateway.url);
    let body = json!({ "tool_name": "echo", "arguments": { "n": 1 } });
    let signature = base64_encode(payment.to_string().as_bytes());
    for header in [("payment-signature", signature.as_str()), ("authorization", header.as_str())] {
        assert_eq!(post(&execute, &body, &[header]).await.status, 200);
        assert_eq!(verdict(json!({ "n": 1 }), None, &[header]).await, bad("payment_replayed"));
    }
    let free = post(&verify, &json!({ "tool_name": "free" }), &[]).await;
    assert_eq!(code(&free), "unknown_tool");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn an_authorized_call_is_executed_once_by_its_caller_and_charged_what_was_reserved() {
    let world = World::new(Script::echo(), &[("echo", PRICED)]).await;
    let (agent, other) = (Agent::new(&world, "0.01USDC").await, Agent::new(&world, "1USDC").await);
    let arguments = json!({ "n": 1 });
    let credit = format!("credit:{}", agent.id);
    let authorization = agent.authorized(&arguments).await;
    assert_eq!(world.gateway.account(&credit), [0, PRICE, PRICE, 0], "reserved, not spent");
    assert_eq!(world.journal.executions(), 0);
    let again =
        agent.post("payments/authorize", &json!({ "tool_name": "echo", "arguments": arguments })).await;
    assert_eq!(
        (again.status.as_u16(), code(&again).as_str()),
        (402, "payment_required"),
        "the credit is reserved"
    );

    let refused = async |agent: &Agent, body: &Value| {
        let answer = agent.post("execute", body).await;
        (answer.status.as_u16(), code(&answer))
    };
    let body = execution(&arguments, &authorization);
    let unknown = (404, "authorization_unknown".to_owned());
    assert_eq!(refused(&other, &body).await, unknown, "somebody else's");
    let changed = execution(&json!({ "n": 2 }), &authorization);
    assert_eq!(refused(&agent, &changed).await, (409, "authorization_other_call".to_owned()));
    let mut cheap = body.clone();
    cheap["max_price"] = json!("9999");
    assert_eq!(refused(&agent, &cheap).await, (409, "price_above_maximum".to_owned()));
    assert_eq!(post(&format!("{}/api/v1/execute", agent.url), &body, &[]).await.status, 401, "nobody's");
    assert_eq!(world.journal.executions(), 0);

    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (url, bearer, body) =
            (format!("{}/api/v1/execute", agent.url), agent.bearer.clone(), body.clone());
        tasks.spawn(async move { post(&url, &body, &[("authorization", &bearer)]).await });
    }
    let answers = tasks.join_all().await;
    let executed: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(executed.len(), 1, "exactly one");
    assert_eq!(executed[0].json().unwrap()["result"]["structuredContent"]["echo"], arguments);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((answer.status.as_u16(), code(answer).as_str()), (404, "authorization_unknown"));
    }
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account(&credit), [PRICE, PRICE, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn an_authorization_that_runs_out_or_is_lost_in_a_crash_gives_the_credit_back() {
    let mut world = World::new(Script::echo(), &[("echo", PRICED)]).await;
    let agent = Agent::new(&world, "0.01USDC").await;
    let credit = format!("credit:{}", agent.id);
    let body = json!({ "tool_name": "echo", "arguments": {}, "expires_in_seconds": 1 });
    let short = agent.post("payments/authorize", &body).await.json().unwrap();
    soon(async {
        while world.gateway.account(&credit) != [0, PRICE, 0, 0] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let late =
        agent.post("execute", &execution(&json!({}), short["authorization_id"].as_str().unwrap())).await;
    assert_eq!(code(&late), "authorization_unknown");
    for seconds in [0, 3_601] {
        let mut odd = body.clone();
        odd["expires_in_seconds"] = json!(seconds);
        assert_eq!(code(&agent.post("payments/authorize", &odd).await), "malformed_frame");
    }
    let lost = agent.authorized(&json!({})).await;
    world.gateway = world.gateway.killed_and_restarted().await;
    assert_eq!(world.gateway.account(&credit), [0, PRICE, 0, 0], "released at the start");
    assert_eq!(code(&agent.post("execute", &execution(&json!({}), &lost)).await), "authorization_unknown");
    // Control: the credit that came back pays.
    let next = agent.authorized(&json!({})).await;
    assert_eq!(agent.post("execute", &execution(&json!({}), &next)).await.status, 200);
    assert_eq!(world.journal.executions(), 1);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn an_authorized_call_whose_tool_failed_is_not_charged() {
    let script = Script::new().tool("echo", Behaviour::Fail("no".to_owned()));
    let world = World::new(script, &[("echo", PRICED)]).await;
    let agent = Agent::new(&world, "0.01USDC").await;
    let authorization = agent.authorized(&json!({})).await;
    let failed = agent.post("execute", &execution(&json!({}), &authorization)).await;
    assert_eq!(failed.json().unwrap()["result"]["isError"], true, "{}", failed.text());
    assert_eq!(world.gateway.account(&format!("credit:{}", agent.id)), [0, PRICE, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p12_a_caller_who_hangs_up_on_an_authorized_call_is_not_charged() {
    let world = World::new(Script::new().tool("echo", Behaviour::Hang), &[("echo", PRICED)]).await;
    let agent = Agent::new(&world, "0.01USDC").await;
    let credit = format!("credit:{}", agent.id);
    let authorization = agent.authorized(&json!({})).await;
    let body = execution(&json!({}), &authorization);
    let reached = async {
        while world.journal.executions() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = agent.post("execute", &body) => panic!("it hangs: {}", answer.text()),
        () = soon(reached) => {} // the request is dropped, and with it its connection
    }
    soon(async {
        while world.gateway.account(&credit) != [0, PRICE, 0, 0] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(code(&agent.post("execute", &body).await), "authorization_unknown", "used up all the same");
    world.journal.release();
    // Control: who stays is charged.
    let next = agent.authorized(&json!({ "n": 2 })).await;
    let stayed = agent.post("execute", &execution(&json!({ "n": 2 }), &next)).await;
    assert_eq!(stayed.status, 200, "{}", stayed.text());
    assert_eq!(world.gateway.account(&credit), [PRICE, PRICE, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn spending_is_told_to_the_agent_itself_and_to_operators_alone() {
    let world = World::new(Script::echo(), &[("echo", PRICED)]).await;
    let (agent, other) = (Agent::new(&world, "0.05USDC").await, Agent::new(&world, "1USDC").await);
    for n in 0..2 {
        let body = json!({ "tool_name": "echo", "arguments": { "n": n }, "auto_pay": true });
        assert_eq!(agent.post("execute", &body).await.status, 200);
    }
    agent.authorized(&json!({ "n": 2 })).await;
    let told = agent.spending(&agent.id).await.json().unwrap();
    let usdc = told["spending"].as_array().unwrap().iter().find(|of| of["symbol"] == "USDC").unwrap();
    assert_eq!(
        (&usdc["today"], &usdc["this_month"], &usdc["ever"]),
        (&json!("20000"), &json!("20000"), &json!("20000"))
    );
    assert_eq!((&usdc["reserved"], &usdc["limits"]["credit_available"]), (&json!("10000"), &json!("20000")));
    assert_eq!(usdc["display"]["ever"], "0.02 USDC");

    for (who, of) in [(&other, agent.id.as_str()), (&agent, "key_1none"), (&agent, "anonymous")] {
        let refused = who.spending(of).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "not_yours"), "{of}");
    }
    let url = format!("{}/api/v1/payments/spending/{}", agent.url, agent.id);
    assert_eq!(get(&url, &[]).await.unwrap().status, 401);
    let made = world.gateway.cli(&["keys", "create", "--admin", "--name", "test", "--json"]);
    let key: Value = serde_json::from_slice(&made.stdout).unwrap();
    let operator = format!("Bearer {}", key["secret"].as_str().unwrap());
    let told_operator = get(&url, &[("authorization", &operator)]).await.unwrap();
    assert_eq!(told_operator.json().unwrap()["spending"], told["spending"], "control: an operator");
}

#[tokio::test]
async fn p14_what_is_said_of_payments_is_kept_by_no_cache() {
    let world = World::new(Script::echo(), &[("echo", PRICED)]).await;
    let agent = Agent::new(&world, "1USDC").await;
    let body = json!({ "tool_name": "echo", "arguments": {} });
    let mut answers = Vec::new();
    for path in ["payments/challenge", "payments/verify", "payments/authorize"] {
        answers.push((path, agent.post(path, &body).await));
    }
    answers.push(("spending", agent.spending(&agent.id).await));
    answers.push(("a refusal", agent.post("payments/challenge", &json!({})).await));
    answers.push(("a demand", agent.post("execute", &body).await));
    for (what, answer) in &answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}: {}", answer.status);
    }
    // Control: a result that was paid for is kept by nobody but its payer.
    let paid = agent.post("execute", &json!({ "tool_name": "echo", "auto_pay": true })).await;
    assert_eq!((paid.status.as_u16(), paid.header("cache-control")), (200, Some("private, no-store")));
    assert!(paid.header("vary").unwrap().contains("authorization"));
}

#[tokio::test]
async fn p8_a_most_in_one_asset_lets_no_credit_of_another_be_spent() {
    let world = World::new(Script::echo(), &[("echo", PRICED)]).await;
    let agent = Agent::new(&world, "1000sat").await;
    let credit = format!("credit:{}", agent.id);
    let call = |number: u32| json!({ "tool_name": "echo", "arguments": { "n": number }, "auto_pay": true });
    let bounded = |number: u32| {
        let mut body = call(number);
        body["max_price"] = json!(PRICE.to_string());
        body
    };
    // The most is said in USDC: nobody knows how many sat that is.
    let refused = agent.post("execute", &bounded(1)).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (402, "payment_required"));
    let mut authorize = bounded(1);
    authorize.as_object_mut().unwrap().remove("auto_pay");
    let refused = agent.post("payments/authorize", &authorize).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (402, "payment_required"));
    assert_eq!(world.gateway.account(&credit), [0, 1_000_000, 0, 0]);
    assert_eq!(world.journal.executions(), 0);

    // Controls: without a most, and with credit in its asset.
    assert_eq!(agent.post("execute", &call(2)).await.status, 200);
    assert_eq!(world.gateway.account(&credit), [10_000, 1_000_000, 0, 0]);
    let rich = Agent::new(&world, "0.01USDC").await;
    assert_eq!(rich.post("execute", &bounded(3)).await.status, 200);
    assert_eq!(world.gateway.account(&format!("credit:{}", rich.id)), [PRICE, PRICE, 0, 0]);
    assert_eq!(world.journal.executions(), 2);
    world.gateway.assert_books_in_order();
}
