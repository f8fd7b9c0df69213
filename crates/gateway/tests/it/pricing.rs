//! Prices that follow from the call: free calls, volume, standing, units of the arguments, formulas, times of day.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_rails::evm::SigningKey;
use tollgate_testkit::http::get;
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::paid_calls::{api_key, until_known};
use crate::world::{
    Demand, START, World, base64_encode, call, code, command, delivered, now, post, rand_32, soon, statement,
};

/// An API key of this world that its gateway knows, as a header; with this much credit.
pub(crate) async fn caller(world: &World, credit: Option<&str>) -> (String, String) {
    let (id, secret) = api_key(&world.gateway);
    if let Some(amount) = credit {
        assert!(world.gateway.cli(&["credit", "add", &id, amount]).status.success());
    }
    let bearer = format!("Bearer {secret}");
    let spending = format!("{}/api/v1/payments/spending/{id}", world.gateway.url);
    until_known(async || get(&spending, &[("authorization", &bearer)]).await.unwrap()).await;
    (id, bearer)
}

pub(crate) async fn called(
    world: &World,
    tool: &str,
    arguments: &Value,
    bearer: &str,
) -> tollgate_testkit::http::Answer {
    call(&world.gateway.mcp(), tool, arguments, &json!({}), &[("authorization", bearer)]).await
}

#[tokio::test]
async fn p15_of_forty_calls_at_once_with_ten_free_exactly_ten_are_free() {
    let policy = "{ price: { type: free_tier, calls: 10, per: ever, then: [0.01USDC, 10sat] } }";
    let world = World::new(Script::echo(), &[("echo", policy)]).await;
    let (id, bearer) = caller(&world, None).await;
    let challenge = async |headers: &[(&str, &str)]| {
        let url = format!("{}/api/v1/payments/challenge", world.gateway.url);
        post(&url, &json!({ "tool_name": "echo" }), headers).await.json().unwrap()
    };
    let told = challenge(&[("authorization", &bearer)]).await;
    assert_eq!(told["payment_required"], false, "{told}");
    assert_eq!(told["free"], json!({ "calls": 10, "per": "ever" }));
    assert_eq!(challenge(&[]).await["payment_required"], true, "nobody in particular");
    let mut tasks = JoinSet::new();
    for n in 0..40 {
        let (mcp, bearer) = (world.gateway.mcp(), bearer.clone());
        tasks.spawn(async move {
            call(&mcp, "echo", &json!({ "n": n }), &json!({}), &[("authorization", &bearer)]).await
        });
    }
    let mut free = 0;
    for answer in tasks.join_all().await {
        if answer.json().unwrap()["result"]["isError"] == true {
            assert_eq!(code(&answer), "payment_required");
        } else {
            let told = statement(&delivered(&answer));
            assert_eq!((&told["charged"], &told["price"]["amount"]), (&json!(false), &json!("0")), "{told}");
            free += 1;
        }
    }
    assert_eq!((free, world.journal.executions()), (10, 10));
    assert_eq!(world.gateway.account("payable:up"), [0; 4]);
    // Control: with credit, the next call is paid; and nobody else shares the free calls.
    assert!(world.gateway.cli(&["credit", "add", &id, "0.01USDC"]).status.success());
    delivered(&called(&world, "echo", &json!({ "n": "paid" }), &bearer).await);
    assert_eq!(world.gateway.account("payable:up"), [0, 10_000, 0, 0]);
    assert_eq!(
        code(&world.call("echo", &json!({})).await),
        "payment_required",
        "nobody in particular has none"
    );
    let (_, other) = caller(&world, None).await;
    delivered(&called(&world, "echo", &json!({}), &other).await);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_free_call_that_failed_is_not_counted_and_a_repeated_one_is_answered_once() {
    let policy = "{ price: { type: free_tier, calls: 1, per: ever, then: [0.01USDC] } }";
    let script = Script::echo().tool("fails", Behaviour::Fail("no".to_owned()));
    let world = World::new(script, &[("echo", policy), ("fails", policy)]).await;
    let (id, bearer) = caller(&world, None).await;
    for _ in 0..2 {
        let failed = called(&world, "fails", &json!({}), &bearer).await.json().unwrap();
        assert!(failed["result"]["content"].to_string().contains("no"), "not asked to pay: {failed}");
    }
    let mcp = world.gateway.mcp();
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "one")];
    let first = delivered(&call(&mcp, "echo", &json!({ "n": 1 }), &json!({}), &headers).await);
    let again = delivered(&call(&mcp, "echo", &json!({ "n": 1 }), &json!({}), &headers).await);
    assert_eq!(
        first["_meta"]["tollgate/receipt"]["envelope"],
        again["_meta"]["tollgate/receipt"]["envelope"]
    );
    let next = called(&world, "echo", &json!({ "n": 1 }), &bearer).await;
    assert_eq!(code(&next), "payment_required", "{}", next.text());
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [0; 4]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn calls_become_cheaper_by_volume_and_failed_ones_buy_no_discount() {
    let policy = "{ price: { type: volume, per: ever, tiers: [{ from: 0, price: [0.01USDC] }, { from: 2, price: [0.005USDC] }] } }";
    let script = Script::echo().tool("fails", Behaviour::Fail("no".to_owned()));
    let world = World::new(script, &[("echo", policy), ("fails", policy)]).await;
    let (id, bearer) = caller(&world, Some("1USDC")).await;
    for _ in 0..3 {
        called(&world, "fails", &json!({}), &bearer).await;
    }
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [0, 1_000_000, 0, 0], "released");
    let mut spent = Vec::new();
    for n in 0..3 {
        delivered(&called(&world, "echo", &json!({ "n": n }), &bearer).await);
        spent.push(world.gateway.account(&format!("credit:{id}"))[0]);
    }
    assert_eq!(spent, [10_000, 20_000, 25_000]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p9_what_was_quoted_counts_until_it_expires_whatever_the_rules_say_by_then() {
    let policy = "{ price: { type: volume, per: ever, tiers: [{ from: 0, price: [0.01USDC] }, { from: 1, price: [0.005USDC] }] } }";
    let world = World::new(Script::echo(), &[("echo", policy)]).await;
    let (id, bearer) = caller(&world, Some("0.01USDC")).await;
    let url = |path: &str| format!("{}/api/v1/{path}", world.gateway.url);
    let body = |n: u32| json!({ "tool_name": "echo", "arguments": { "n": n } });
    let quoted = async |n: u32| {
        let header = [("authorization", bearer.as_str())];
        let told = post(&url("payments/challenge"), &body(n), &header).await.json().unwrap();
        let entry = &told["x402"]["accepts"][0];
        let amount: u128 = entry["amount"].as_str().unwrap().parse().unwrap();
        let payment =
            tollgate_rails::x402::sign_payment(&entry.to_string(), None, &world.payer(), rand_32(), now());
        (amount, base64_encode(payment.unwrap().as_bytes()))
    };
    let (early, payment) = quoted(1).await;
    delivered(&called(&world, "echo", &json!({ "n": 0 }), &bearer).await);
    assert_eq!(world.gateway.account(&format!("credit:{id}"))[0], 10_000);
    let (late, cheaper) = quoted(2).await;
    assert_eq!((early, late), (10_000, 5_000));
    let mut left = START;
    for (n, price, payment) in [(1, early, payment), (2, late, cheaper)] {
        let headers = [("x-api-key", &bearer["Bearer ".len()..]), ("payment-signature", payment.as_str())];
        let paid = post(&url("execute"), &body(n), &headers).await;
        assert_eq!(paid.status, 200, "{}", paid.text());
        left -= price;
        assert_eq!(world.payer_balance().await, left, "{n}: charged what was quoted and signed");
    }
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p2_a_price_made_for_one_key_is_paid_by_nobody_else() {
    let policy = "{ price: { type: volume, per: ever, tiers: [{ from: 0, price: [0.01USDC] }, { from: 1, price: [0.005USDC] }] } }";
    let world = World::new(Script::echo(), &[("echo", policy)]).await;
    let (id, buyer) = caller(&world, Some("0.01USDC")).await;
    let (_, other) = caller(&world, None).await;
    delivered(&called(&world, "echo", &json!({ "n": 0 }), &buyer).await);
    assert_eq!(world.gateway.account(&format!("credit:{id}"))[0], 10_000);
    let arguments = json!({ "n": 1 });
    let demand = Demand::read(&called(&world, "echo", &arguments, &buyer).await);
    assert_eq!(demand.entry()["amount"], "5000", "the price of a second call");
    let payment = json!({ "x402/payment": demand.sign(&world.payer()) });
    let paid = async |headers: &[(&str, &str)]| {
        call(&world.gateway.mcp(), "echo", &arguments, &payment, headers).await
    };
    for headers in [&[][..], &[("authorization", other.as_str())]] {
        let refused = paid(headers).await;
        assert_eq!(code(&refused), "payment_other_call", "{}", refused.text());
        assert!(refused.text().contains("caller differs"), "{}", refused.text());
        // With what it costs whoever asked.
        assert_eq!(Demand::read(&refused).entry()["amount"], "10000");
    }
    assert_eq!((world.journal.executions(), world.payer_balance().await), (1, START));
    // Control: the same payment of the one it was made for.
    delivered(&paid(&[("authorization", &buyer)]).await);
    assert_eq!(world.payer_balance().await, START - 5_000);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p2_a_price_made_for_a_wallet_is_paid_from_that_wallet_alone() {
    let grades = "{ price: { type: standing, grades: [{ min_reputation: 0.55, price: [0.005USDC, 5sat] }], otherwise: [0.01USDC, 10sat] } }";
    let everybodys = "{ price: [0.01USDC, 10sat] }";
    let script = Script::echo().tool("plain", Behaviour::Echo);
    let world = World::new(script, &[("echo", grades), ("plain", everybodys)]).await;
    delivered(&world.paid_call("echo", &json!({ "n": 0 })).await);
    let other = SigningKey::from_bytes(&[7; 32]).unwrap();
    // A payment for another call says whose wallet it is, and costs nothing.
    let refused = async |tool: &str, wallet: &SigningKey| {
        let payment = world.demand(tool, &json!({ "n": 1 })).await.sign(wallet);
        let meta = json!({ "x402/payment": payment });
        Demand::read(&world.call_with(tool, &json!({ "n": 2 }), &meta).await)
    };
    let demand = refused("echo", &world.payer()).await;
    assert_eq!(demand.entry()["amount"], "5000");
    assert!(demand.l402.is_null(), "who pays over Lightning shows no wallet: {}", demand.l402);
    let arguments = json!({ "n": 2 });
    let stranger = json!({ "x402/payment": demand.sign(&other) });
    let stranger = world.call_with("echo", &arguments, &stranger).await;
    assert!(stranger.text().contains("caller differs"), "{}", stranger.text());
    assert_eq!(Demand::read(&stranger).entry()["amount"], "10000");
    assert_eq!(world.journal.executions(), 1);
    let payment = json!({ "x402/payment": demand.sign(&world.payer()) });
    delivered(&world.call_with("echo", &arguments, &payment).await);
    assert_eq!(world.payer_balance().await, START - 15_000);
    // Control: what costs everybody the same may be paid from any wallet, and over Lightning.
    let demand = refused("plain", &other).await;
    assert!(demand.l402["invoice"].is_string(), "{}", demand.result);
    let payment = json!({ "x402/payment": demand.sign(&world.payer()) });
    delivered(&world.call_with("plain", &arguments, &payment).await);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_caller_of_good_standing_pays_less_or_nothing_and_strangers_the_full_price() {
    let policy =
        "{ price: { type: standing, grades: [{ min_reputation: 0.55, price: [] }], otherwise: [0.01USDC] } }";
    let world = World::new(Script::echo(), &[("echo", policy)]).await;
    let (id, bearer) = caller(&world, Some("1USDC")).await;
    let charged = async |n: u32| {
        let result = delivered(&called(&world, "echo", &json!({ "n": n }), &bearer).await);
        result["_meta"]["tollgate/receipt"].is_object()
    };
    assert!(charged(1).await, "a newcomer pays");
    assert!(!charged(2).await, "one settled call later it is trusted: free, like any free call");
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [10_000, 1_000_000, 0, 0]);
    let demand = world.demand("echo", &json!({})).await;
    assert_eq!(demand.entry()["amount"], "10000", "nobody in particular has no name");
    world.gateway.assert_books_in_order();
}

/// 0.002 USDC for the call and 0.001 for each begun 4 characters, at most 0.01.
const PER_UNIT: &str = "{ price: { type: per_unit, measure: { argument: /text, of: characters }, size: 4, \
    each: [0.001USDC, 1sat], base: [0.002USDC], maximum: [0.01USDC] } }";

#[tokio::test]
async fn p13_a_price_per_unit_is_paid_by_x402_and_from_credit_and_never_below_its_units() {
    let world = World::new(Script::echo(), &[("echo", PER_UNIT)]).await;
    let mut owed = 0;
    for (text, price) in [
        ("", 2_000),
        ("größe", 4_000),
        ("12345678", 4_000),
        ("123456789", 5_000),
        ("x".repeat(99).as_str(), 10_000),
    ] {
        let arguments = json!({ "text": text });
        let demand = world.demand("echo", &arguments).await;
        assert_eq!(demand.entry()["amount"], price.to_string(), "{text}");
        let paid = world.paid_call("echo", &arguments).await;
        assert_eq!(statement(&delivered(&paid))["price"]["amount"], price.to_string());
        owed += price;
        assert_eq!(world.payer_balance().await, START - owed, "{text}");
    }
    // A payment for few characters pays for no others.
    let cheap = world.x402_payment("echo", &json!({ "text": "x" })).await;
    let dear = json!({ "text": "x".repeat(99) });
    let refused = world.call_with("echo", &dear, &json!({ "x402/payment": cheap })).await;
    assert_eq!(code(&refused), "payment_other_call");

    let (id, bearer) = caller(&world, Some("0.005USDC")).await;
    delivered(&called(&world, "echo", &json!({ "text": "123456789" }), &bearer).await);
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [5_000, 5_000, 0, 0]);
    assert_eq!(world.gateway.account("payable:up"), [0, owed + 5_000, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn the_paying_client_pays_a_price_per_unit_within_its_limit() {
    let world = World::new(Script::echo(), &[("echo", PER_UNIT)]).await;
    let pay = async |text: &str| {
        let text = format!("text={text}");
        let mut client = command(world.folder.path());
        let limit = ["--max", "0.004USDC", "--data", "data", "--url"];
        client.args(["call", "echo", &text]).args(limit).arg(world.gateway.mcp());
        // Beside this runtime, in which the upstream answers.
        tokio::task::spawn_blocking(move || client.output().unwrap()).await.unwrap()
    };
    let paid = pay("abcdefgh").await;
    assert!(paid.status.success(), "{}", String::from_utf8_lossy(&paid.stderr));
    assert_eq!(world.payer_balance().await, START - 4_000);
    assert!(!pay("abcdefghi").await.status.success(), "0.005 USDC is above its limit");
    assert_eq!((world.payer_balance().await, world.journal.executions()), (START - 4_000, 1));
}

#[tokio::test]
async fn p8_a_call_whose_arguments_give_no_price_is_refused_and_never_guessed() {
    let formula = "{ price: { type: formula, measures: { n: { argument: /n, of: number } }, \
        formula: { USDC: 10000 / n - 5 } } }";
    let world = World::new(Script::echo(), &[("echo", formula)]).await;
    let url = format!("{}/api/v1/execute", world.gateway.url);
    for arguments in [
        json!({}),
        json!({ "n": null }),
        json!({ "n": "3" }),
        json!({ "n": 1.5 }),
        json!({ "n": -1 }),
        json!({ "n": [1] }),
        json!({ "n": 0 }),
        json!({ "n": 5_000 }),
    ] {
        let refused = post(&url, &json!({ "tool_name": "echo", "arguments": arguments }), &[]).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (422, "price_unknown"), "{arguments}");
    }
    world.assert_untouched("no price").await;
    // Control: 10000 / 3, rounded up, less 5.
    let asked = post(&url, &json!({ "tool_name": "echo", "arguments": { "n": 3 } }), &[]).await;
    assert_eq!(
        (asked.status.as_u16(), &asked.json().unwrap()["error"]["data"]["amount"]),
        (402, &json!("3329"))
    );
}

#[tokio::test]
async fn a_price_is_shown_with_its_rules_wherever_prices_are_shown() {
    let policy = "{ price: { type: windows, windows: [{ from: \"00:00\", to: \"24:00\", price: \
        { type: per_call, price: \"500000\" } }], otherwise: [1USDC] } }";
    let world = World::new(Script::echo(), &[("echo", policy)]).await;
    let per_call = json!({
        "type": "per_call", "price": "500000",
        "options": [{
            "amount": "500000", "asset": "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e",
            "symbol": "USDC", "decimals": 6, "display": "0.5 USDC",
        }],
    });
    let demand = world.demand("echo", &json!({})).await;
    assert_eq!(demand.entry()["amount"], "500000", "it is always some time of day");
    let rules = &demand.result["_meta"]["tollgate/denial"]["pricing"];
    assert_eq!((&rules["type"], &rules["windows"][0]["price"]), (&json!("windows"), &per_call), "{rules}");
    assert_eq!(rules["otherwise"]["price"], "1000000");
    let url = format!("{}/api/v1/tools", world.gateway.url);
    let listed = soon(async {
        loop {
            let listed = get(&url, &[]).await.unwrap().json().unwrap();
            if listed["tools"] != json!([]) {
                return listed;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(&listed.await["tools"][0]["pricing"], rules);
}
