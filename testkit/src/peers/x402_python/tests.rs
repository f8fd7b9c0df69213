use serde_json::json;

use super::*;
use crate::peers::anvil::{PAYEE, PAYER, RELAYER, STRANGER};
use crate::peers::available;

#[tokio::test]
async fn the_published_client_pays_a_published_server_on_the_local_chain() {
    let Some(client) = available(X402Python::install().await) else {
        return;
    };
    let Some(chain) = available(Chain::start().await) else {
        return;
    };
    chain.mint(PAYER.address, 1_000_000).await.unwrap();
    let server = client.start_server(&chain, RELAYER, PAYEE, "$0.01").await.unwrap();

    let call = client.call(server.url(), PAYER, "greet", &json!({"name": "Ada"})).await.unwrap();
    assert!(!call.is_error && call.payment_made, "{call:?}");
    assert_eq!(call.text(), Some("hello Ada"));
    assert_eq!(call.payment_response.unwrap()["success"], json!(true));
    assert_eq!(chain.balance_of(PAYER.address).await.unwrap(), 990_000);
    assert_eq!(chain.balance_of(PAYEE.address).await.unwrap(), 10_000);
    let payment = call.payment.unwrap();
    let nonce = payment.pointer("/payload/authorization/nonce").unwrap().as_str().unwrap();
    assert!(chain.authorization_state(PAYER.address, nonce).await.unwrap());

    // The same call by somebody without money: refused, and nothing moves.
    let poor = client.call(server.url(), STRANGER, "greet", &json!({"name": "Ada"})).await.unwrap();
    assert!(poor.is_error, "{poor:?}");
    assert_eq!(chain.balance_of(PAYEE.address).await.unwrap(), 10_000);
}

#[tokio::test]
async fn default_spend_controls_are_in_force() {
    let Some(client) = available(X402Python::install().await) else {
        return;
    };
    let Some(chain) = available(Chain::start().await) else {
        return;
    };
    chain.mint(PAYER.address, 9_000_000).await.unwrap();
    let dear = client.start_server(&chain, RELAYER, PAYEE, "$2").await.unwrap();
    let error = client.call(dear.url(), PAYER, "greet", &json!({"name": "Ada"})).await.unwrap_err();
    assert!(error.to_string().contains("spend_controls"), "{error}");
    assert_eq!(chain.balance_of(PAYEE.address).await.unwrap(), 0);
}
