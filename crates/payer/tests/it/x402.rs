//! Paying with x402: the right offer, once, with a signature that holds.

use serde_json::{Value, json};
use tollgate_domain::Rail;
use tollgate_payer::{Asked, ExitCode, PayError};
use tollgate_rails::evm::SignedAuthorization;

use crate::server::{Reply, Server};
use crate::world::{NOW, PAY_TO, World, delivered, demand, domain, entry, required, usdc, wallet};

const ARGUMENTS: &str = r#"{"city":"Oslo"}"#;

fn authorization(payment: &Value) -> SignedAuthorization {
    SignedAuthorization::from_proof_text(&payment["payload"].to_string()).expect("an authorization")
}

#[tokio::test]
async fn a_priced_call_is_paid_once_and_its_receipt_comes_back() {
    let server =
        Server::saying([Reply::result(&demand(&[entry("10000")])), Reply::result(&delivered())]).await;
    let world = World::new();
    let paid =
        world.client(&server.url()).call("weather", ARGUMENTS, &usdc(10_000), NOW).await.expect("a result");

    assert!(paid.result.contains("12 °C"));
    assert_eq!(paid.receipt.as_deref(), Some(r#"{"envelope":{"payload":"e30"},"salts":{}}"#));
    let with = paid.paid.expect("it was paid");
    assert_eq!((with.money, with.rail, with.network.as_str()), (usdc(10_000), Rail::X402, "eip155:84532"));
    assert_eq!(with.reference.as_deref(), Some("sandbox:1"));

    let payments = server.payments();
    let [payment] = payments.as_slice() else { panic!("{payments:?}") };
    assert_eq!(payment["x402Version"], 2);
    assert_eq!(payment["accepted"], entry("10000"), "the offer is echoed whole, the sealed quote included");
    assert_eq!(payment["resource"], required(&[])["resource"]);
    assert_eq!(payment["extensions"], required(&[])["extensions"]);
    let signed = authorization(payment);
    assert_eq!(signed.check(&domain()), Ok(true), "the wallet's own signature over the token's domain");
    assert_eq!(signed.authorization.from, wallet().address());
    assert_eq!(signed.authorization.to.to_string(), PAY_TO);
    assert_eq!(signed.authorization.value, usdc(10_000).amount);
    assert_eq!(signed.authorization.valid_before, NOW.secs() + 60);
    assert!(server.asked().iter().all(|asked| asked.text.contains(r#""arguments":{"city":"Oslo"}"#)));
}

#[tokio::test]
async fn a_free_call_touches_no_wallet() {
    let server = Server::saying([Reply::result(&json!({ "content": [] }))]).await;
    let world = World::new();
    let paid = world.client(&server.url()).call("time", "{}", &usdc(10_000), NOW).await.expect("a result");
    assert_eq!((paid.result.as_str(), paid.paid), (r#"{"content":[]}"#, None));
    assert_eq!(world.draws.count(), 0);
}

#[tokio::test]
async fn asking_shows_the_price_and_pays_nothing() {
    let server =
        Server::saying([Reply::result(&demand(&[entry("10000")])), Reply::result(&delivered())]).await;
    let world = World::new();
    let client = world.client(&server.url());
    let asked = client.ask("weather", ARGUMENTS, &usdc(20_000), NOW).await.expect("an answer");
    let Asked::Priced(priced) = asked else { panic!("{asked:?}") };
    assert_eq!(priced.terms().money.to_string(), "0.01 USDC");
    assert_eq!((world.draws.count(), server.asked().len()), (0, 1));

    client.pay(priced, NOW).await.expect("positive control: the same offer can be paid");
    assert_eq!(world.draws.count(), 1);
}

#[tokio::test]
async fn p8_a_price_above_the_limit_is_refused_without_signing() {
    for (limit, pays) in [(9_999, false), (10_000, true)] {
        let server =
            Server::saying([Reply::result(&demand(&[entry("10000")])), Reply::result(&delivered())]).await;
        let world = World::new();
        let outcome = world.client(&server.url()).call("weather", ARGUMENTS, &usdc(limit), NOW).await;
        if pays {
            outcome.expect("positive control: the limit is the price");
        } else {
            let error = outcome.expect_err("above the limit");
            assert!(matches!(error, PayError::PriceAboveLimit { .. }), "{error:?}");
            assert_eq!(error.exit_code(), ExitCode::PaymentRefused);
        }
        assert_eq!(world.draws.count(), u8::from(pays), "a nonce is drawn only to pay");
        assert_eq!(server.payments().len(), usize::from(pays));
    }
}

#[tokio::test]
async fn p2_another_asset_or_network_is_refused_without_signing() {
    let mut other_asset = entry("10000");
    other_asset["asset"] = json!("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
    let mut other_network = entry("10000");
    other_network["network"] = json!("eip155:8453");
    for (offer, pays) in [(other_asset, false), (other_network, false), (entry("10000"), true)] {
        let server = Server::saying([Reply::result(&demand(&[offer])), Reply::result(&delivered())]).await;
        let world = World::new();
        let outcome = world.client(&server.url()).call("weather", ARGUMENTS, &usdc(10_000), NOW).await;
        assert_eq!(outcome.is_ok(), pays, "{outcome:?}");
        assert_eq!(world.draws.count(), u8::from(pays));
        if let Err(error) = outcome {
            assert!(matches!(error, PayError::NoOffer { .. }), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_second_demand_is_never_paid_whatever_it_asks() {
    let mut substituted = entry("10000");
    substituted["asset"] = json!("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
    for second in [substituted, entry("10000"), entry("1")] {
        let mut again = demand(&[second]);
        again["_meta"] =
            json!({ "tollgate/denial": { "error": "payment_wrong_target", "message": "Payment refused." } });
        let replies =
            [Reply::result(&demand(&[entry("10000")])), Reply::result(&again), Reply::result(&delivered())];
        let server = Server::saying(replies).await;
        let world = World::new();
        let error = world
            .client(&server.url())
            .call("weather", ARGUMENTS, &usdc(10_000), NOW)
            .await
            .expect_err("a second demand is a refusal");
        match &error {
            PayError::PaymentRefused { code, message } => {
                assert_eq!(
                    (code.as_deref(), message.as_str()),
                    (Some("payment_wrong_target"), "Payment refused.")
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((world.draws.count(), server.payments().len()), (1, 1), "one call is paid for once");
    }
}

#[tokio::test]
async fn f56_a_broken_answer_is_asked_again_with_the_same_payment() {
    let in_flight = json!({ "code": -31016, "message": "in flight", "data": {
        "error": "payment_in_flight", "retryable": true, "holding_call_id": "call_1" } });
    let breaks = [Reply::Cut, Reply::json(502, "<html>bad gateway</html>"), Reply::error(409, &in_flight)];
    let replies = [Reply::result(&demand(&[entry("10000")]))]
        .into_iter()
        .chain(breaks)
        .chain([Reply::result(&delivered())]);
    let server = Server::saying(replies).await;
    let world = World::new();
    world
        .client(&server.url())
        .call("weather", ARGUMENTS, &usdc(10_000), NOW)
        .await
        .expect("the fourth time it comes");

    let payments = server.payments();
    assert_eq!(payments.len(), 4);
    assert!(payments.iter().all(|payment| *payment == payments[0]), "always the same payment");
    assert_eq!(world.draws.count(), 1);
    let ids: Vec<String> = server.asked().iter().map(|asked| asked.body["id"].to_string()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"], "each request has an id of its own");
}

#[tokio::test]
async fn a_payment_without_any_definite_answer_ends_in_doubt_and_not_in_a_new_payment() {
    let pending = json!({ "code": -31024, "message": "not known yet", "data": {
        "error": "settlement_pending", "retryable": true, "call_id": "call_1abc" } });
    let replies = [Reply::result(&demand(&[entry("10000")]))]
        .into_iter()
        .chain(std::iter::repeat_n(Reply::error(503, &pending), 9));
    let server = Server::saying(replies).await;
    let world = World::new();
    let error = world
        .client(&server.url())
        .call("weather", ARGUMENTS, &usdc(10_000), NOW)
        .await
        .expect_err("in doubt");
    match &error {
        PayError::InDoubt { call, last } => {
            assert_eq!((call.as_deref(), last.as_str()), (Some("call_1abc"), "not known yet"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(error.exit_code(), ExitCode::Unreachable);
    assert_eq!((world.draws.count(), server.payments().len()), (1, 4));
}

#[tokio::test]
async fn a_definite_refusal_after_the_payment_is_not_asked_again() {
    let replayed = json!({ "code": -31015, "message": "used", "data": {
        "error": "payment_replayed", "message": "This payment cannot be used.", "retryable": false } });
    let replies = [
        Reply::result(&demand(&[entry("10000")])),
        Reply::error(409, &replayed),
        Reply::result(&delivered()),
    ];
    let server = Server::saying(replies).await;
    let world = World::new();
    let error = world
        .client(&server.url())
        .call("weather", ARGUMENTS, &usdc(10_000), NOW)
        .await
        .expect_err("refused");
    assert!(
        matches!(&error, PayError::PaymentRefused { code: Some(code), .. } if code == "payment_replayed"),
        "{error:?}"
    );
    assert_eq!(server.payments().len(), 1);
}

#[tokio::test]
async fn a_tool_that_may_have_run_is_not_run_again_by_itself() {
    for (code, presented) in [("upstream_timed_out", 1), ("upstream_broken", 1), ("upstream_unreachable", 2)]
    {
        let fault =
            json!({ "code": -31022, "message": "no answer", "data": { "error": code, "retryable": true } });
        let replies = [
            Reply::result(&demand(&[entry("10000")])),
            Reply::error(504, &fault),
            Reply::result(&delivered()),
        ];
        let server = Server::saying(replies).await;
        let outcome = World::new().client(&server.url()).call("weather", ARGUMENTS, &usdc(10_000), NOW).await;
        assert_eq!(server.payments().len(), presented, "{code}");
        match outcome {
            Ok(_) => {
                assert_eq!(presented, 2, "positive control: a tool that was never reached is tried again")
            }
            Err(error) => {
                assert!(matches!(error, PayError::Refused { code: Some(said), .. } if said == code))
            }
        }
    }
}

#[tokio::test]
async fn a_failed_tool_is_told_from_a_demand_and_keeps_its_receipt() {
    let failed = json!({ "isError": true, "content": [{ "type": "text", "text": "no such city" }],
        "_meta": { "tollgate/receipt": { "envelope": {}, "salts": {} } } });
    let server = Server::saying([Reply::result(&demand(&[entry("10000")])), Reply::result(&failed)]).await;
    let error = World::new()
        .client(&server.url())
        .call("weather", ARGUMENTS, &usdc(10_000), NOW)
        .await
        .expect_err("the tool failed");
    match &error {
        PayError::ToolFailed(paid) => assert!(paid.result.contains("no such city") && paid.receipt.is_some()),
        other => panic!("{other:?}"),
    }
    assert_eq!(error.exit_code(), ExitCode::Failed);
}

#[tokio::test]
async fn a_plain_http_402_is_paid_in_a_header() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let challenge = Reply::json(402, "{}")
        .with_header("payment-required", STANDARD.encode(required(&[entry("10000")]).to_string()));
    let server = Server::saying([challenge, Reply::result(&delivered())]).await;
    World::new()
        .client(&server.url())
        .call("weather", ARGUMENTS, &usdc(10_000), NOW)
        .await
        .expect("a result");

    let asked = server.asked();
    let header = asked[1].header("payment-signature").expect("the payment");
    let payment: Value = serde_json::from_slice(&STANDARD.decode(header).expect("base64")).expect("JSON");
    assert_eq!(authorization(&payment).check(&domain()), Ok(true));
    assert!(asked[1].payment().is_none(), "one payment in one carrier");
}

#[tokio::test]
async fn nothing_of_a_payment_is_printed() {
    let server = Server::saying([Reply::result(&demand(&[entry("10000")]))]).await;
    let world = World::new();
    let client = world.client(&server.url());
    let asked = client.ask("weather", ARGUMENTS, &usdc(10_000), NOW).await.expect("an offer");
    let printed = format!("{client:?} {asked:?}");
    assert!(!printed.contains(&"07".repeat(32)) && printed.contains("[redacted]"), "{printed}");
}
