use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::super::lnbits::{Invoice, PAYER_SATS};
use super::*;
use crate::peers::available;

/// A macaroon for a test that mints none: clients pass it on unread.
const MACAROON: &str = "dGVzdA==";

/// The least L402 server: one invoice, one body echoed for its preimage.
async fn serve(listener: TcpListener, invoice: Arc<Invoice>) {
    loop {
        let (stream, _peer) = listener.accept().await.unwrap();
        let invoice = Arc::clone(&invoice);
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let invoice = Arc::clone(&invoice);
            async move {
                let proof = request.headers().get("authorization").and_then(|value| value.to_str().ok());
                let preimage = proof.and_then(|proof| proof.strip_prefix(&format!("L402 {MACAROON}:")));
                let paid = preimage
                    .and_then(|preimage| hex::decode(preimage).ok())
                    .is_some_and(|preimage| hex::encode(Sha256::digest(preimage)) == invoice.payment_hash);
                let body = request.into_body().collect().await.unwrap().to_bytes();
                if paid {
                    return Ok::<_, Infallible>(hyper::Response::new(Full::new(body)));
                }
                let challenge = format!("L402 macaroon=\"{MACAROON}\", invoice=\"{}\"", invoice.bolt11);
                let response = hyper::Response::builder().status(402).header("www-authenticate", challenge);
                Ok(response.body(Full::new(Bytes::from_static(b"pay"))).unwrap())
            }
        });
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.unwrap();
    }
}

#[tokio::test]
async fn the_published_client_pays_a_challenge_from_the_wallet() {
    let Some(client) = available(L402Js::install().await) else {
        return;
    };
    let Some(wallet) = available(Lnbits::start().await) else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/paid", listener.local_addr().unwrap());
    let invoice = Arc::new(wallet.invoice(10, "test").await.unwrap());
    let tasks = TaskTracker::new();
    let server = tasks.spawn(serve(listener, Arc::clone(&invoice)));

    let request = Request { url: &url, method: "POST", body: r#"{"a":1}"#, headers: &Value::Null };
    let answer = client.fetch(&wallet, request).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"a":1}"#));
    let [paid] = answer.paid.as_slice() else { panic!("one payment: {answer:?}") };
    assert_eq!(paid.invoice, invoice.bolt11);
    assert_eq!(wallet.gate_balance_msat().await.unwrap(), 10_000);
    assert_eq!(wallet.payer_balance_msat().await.unwrap(), PAYER_SATS * 1_000 - 10_000);

    // The same invoice again: the wallet refuses, the client throws, and nothing moves.
    assert!(matches!(client.fetch(&wallet, request).await, Err(PeerError::Refused { .. })));
    assert_eq!(wallet.gate_balance_msat().await.unwrap(), 10_000);
    server.abort();
}
