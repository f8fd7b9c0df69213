//! Paying invoices: checked before, proven after.

use serde_json::{Value, json};
use tollgate_domain::{Digest, Rail};
use tollgate_egress::{Client, Limits, Policy};
use tollgate_payer::{DevLightning, LightningError, LightningPayer as _, PayError};
use tollgate_rails::lightning::Invoice;

use crate::server::{Reply, Server};
use crate::world::{NOW, World, delivered, sats};

fn demand(invoice: &Invoice) -> Value {
    json!({ "isError": true, "content": [], "structuredContent": { "error": "payment_required" }, "_meta": {
        "l402/challenge": {
            "macaroon": "AgEEbHNhdA==", "invoice": invoice.bolt11,
            "payment_hash": hex::encode(invoice.payment_hash), "price_sats": 10, "expires_at": "2026-11-21T12:10:00Z",
        } } })
}

#[tokio::test]
async fn an_invoice_is_paid_once_and_its_preimage_presented() {
    let world = World::new();
    let invoice = world.lightning.invoice(10).await;
    let server =
        Server::saying([Reply::result(&demand(&invoice)), Reply::Cut, Reply::result(&delivered())]).await;
    let paid = world.client(&server.url()).call("weather", "{}", &sats(10), NOW).await.expect("a result");

    let with = paid.paid.expect("it was paid");
    assert_eq!((with.rail, with.network.as_str(), with.money), (Rail::L402, "lightning:regtest", sats(10)));
    assert_eq!(with.reference, Some(hex::encode(invoice.payment_hash)));
    assert_eq!(world.lightning.paid(), [invoice.bolt11], "the wallet paid one invoice once");

    let payments = server.payments();
    assert_eq!(payments.len(), 2, "the broken answer was asked again");
    assert_eq!(payments[0], payments[1]);
    let credential = payments[0].as_str().expect("text");
    let (macaroon, preimage) = credential.split_once(':').expect("macaroon:preimage");
    assert_eq!(macaroon, "AgEEbHNhdA==");
    let preimage = hex::decode(preimage).expect("hexadecimal");
    assert_eq!(Digest::of(&preimage).to_string(), hex::encode(invoice.payment_hash));
}

#[tokio::test]
async fn an_invoice_above_the_limit_is_not_paid() {
    let world = World::new();
    let invoice = world.lightning.invoice(10).await;
    for (limit, pays) in [(9, false), (10, true)] {
        let server = Server::saying([Reply::result(&demand(&invoice)), Reply::result(&delivered())]).await;
        let outcome = world.client(&server.url()).call("weather", "{}", &sats(limit), NOW).await;
        match outcome {
            Ok(_) => assert!(pays),
            Err(error) => assert!(!pays && matches!(error, PayError::PriceAboveLimit { .. }), "{error:?}"),
        }
        assert_eq!(world.lightning.paid().len(), usize::from(pays));
    }
}

#[tokio::test]
async fn a_wallet_that_does_not_pay_ends_the_call() {
    let world = World::new();
    let strangers = World::new().lightning.invoice(10).await;
    let server = Server::saying([Reply::result(&demand(&strangers)), Reply::result(&delivered())]).await;
    let error =
        world.client(&server.url()).call("weather", "{}", &sats(10), NOW).await.expect_err("not its invoice");
    assert!(matches!(error, PayError::Lightning(LightningError::Refused(_))), "{error:?}");
    assert!(server.payments().is_empty());
}

#[tokio::test]
async fn an_http_challenge_is_paid_in_the_authorization_header() {
    let world = World::new();
    let invoice = world.lightning.invoice(10).await;
    let challenge = format!(
        r#"L402 macaroon="AgEEbHNhdA==", invoice="{}", version="0", token="AgEEbHNhdA==""#,
        invoice.bolt11
    );
    let unpaid = Reply::json(402, "{}").with_header("www-authenticate", challenge);
    let server = Server::saying([unpaid, Reply::result(&delivered())]).await;
    world.client(&server.url()).call("weather", "{}", &sats(10), NOW).await.expect("a result");
    let asked = server.asked();
    let credential = asked[1].header("authorization").expect("a credential");
    assert!(credential.starts_with("L402 AgEEbHNhdA==:"), "{credential}");
    assert!(asked[1].payment().is_none(), "one payment in one carrier");
}

#[tokio::test]
async fn the_dev_wallet_of_a_gateway_pays_by_http() {
    let preimage = "ab".repeat(32);
    let body = json!({ "preimage": preimage }).to_string();
    let replies = [
        Reply::json(200, body),
        Reply::json(404, "{}"),
        Reply::json(200, r#"{"preimage":"xyz"}"#),
        Reply::Cut,
    ];
    let server = Server::saying(replies).await;
    let client = Client::new(Policy::public().allow_loopback(), Limits::default());
    let wallet = DevLightning::new(client, server.url().trim_end_matches("/mcp"));

    let paid = wallet.pay("lnbcrt1").await.expect("a preimage");
    assert_eq!(paid.to_hex(), preimage);
    assert_eq!(server.asked()[0].body, json!({ "bolt11": "lnbcrt1" }));
    assert!(matches!(wallet.pay("lnbcrt1").await, Err(LightningError::Refused(_))));
    assert!(matches!(wallet.pay("lnbcrt1").await, Err(LightningError::Malformed(_))));
    assert!(matches!(wallet.pay("lnbcrt1").await, Err(LightningError::Unclear(_))));
}
