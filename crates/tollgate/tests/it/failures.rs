//! A handler that fails, or is not waited for, costs nothing; and its payment can be used again.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{Method, StatusCode};
use tokio::sync::Notify;
use tollgate::{Paid, Terms};

use crate::world::{PRICE, PRICED, START, Server, code, request, soon, x402_payment};

/// The first run of each way fails in that way, the second succeeds.
async fn fail(way: &str) -> Response {
    match way {
        "500" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "404" => (StatusCode::NOT_FOUND, "no such city").into_response(),
        "303" => Redirect::to("/elsewhere").into_response(),
        "panic" => panic!("as asked"),
        "late" => std::future::pending().await,
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

#[tokio::test]
async fn a_handler_that_fails_costs_nothing_and_its_payment_works_again() {
    let server = Server::with(
        |settings| settings,
        |tollgate, runs| {
            let terms = Terms::new("fail", PRICED).deadline(Duration::from_millis(300));
            let toll = tollgate.toll(terms).unwrap();
            let handler = move |Path(way): Path<String>, _: Paid| async move {
                if runs.one_more() % 2 == 0 { fail(&way).await } else { "at last".into_response() }
            };
            Router::new().route("/fail/{way}", get(handler).route_layer(toll))
        },
    )
    .await;
    let ways = [("500", 500), ("404", 404), ("303", 303), ("panic", 502), ("late", 504)];
    for (turn, (way, status)) in (1_u128..).zip(ways) {
        let url = server.at(&format!("/fail/{way}"));
        let payment = x402_payment(&server.payer(), Method::GET, &url, "").await;
        let headers = [("payment-signature", payment.as_str())];
        let failed = request(Method::GET, &url, &headers, "").await;
        assert_eq!(failed.status.as_u16(), status, "{way}: {}", failed.text());
        if way == "404" {
            assert_eq!(failed.text(), "no such city", "the handler's own answer");
            assert!(failed.header("tollgate-receipt").is_some(), "a receipt says that nothing was charged");
        }
        assert_eq!(server.balance().await, START - (turn - 1) * PRICE, "{way}: not charged");
        let again = request(Method::GET, &url, &headers, "").await;
        assert_eq!((again.status.as_u16(), again.text().as_str()), (200, "at last"), "{way}: control");
        assert_eq!(server.balance().await, START - turn * PRICE, "{way}");
        server.assert_earned(turn * PRICE).await;
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_not_charged() {
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, waits) = (Arc::clone(&begun), Arc::clone(&release));
    let server = Server::with(
        |settings| settings,
        |tollgate, runs| {
            let toll = tollgate.price("slow", PRICED).unwrap();
            let handler = move |_: Paid| async move {
                if runs.one_more() == 0 {
                    begins.notify_one();
                    waits.notified().await;
                }
                "done"
            };
            Router::new().route("/slow", get(handler).route_layer(toll))
        },
    )
    .await;
    let url = server.at("/slow");
    let payment = x402_payment(&server.payer(), Method::GET, &url, "").await;
    let asking = tokio::spawn({
        let (url, payment) = (url.clone(), payment.clone());
        async move { request(Method::GET, &url, &[("payment-signature", &payment)], "").await }
    });
    soon(begun.notified()).await;
    let meanwhile = request(Method::GET, &url, &[("payment-signature", &payment)], "").await;
    assert_eq!((meanwhile.status.as_u16(), code(&meanwhile).as_str()), (409, "payment_in_flight"));
    asking.abort();
    drop(asking.await);
    // The call before ends a moment after its caller hung up.
    let again = soon(async {
        loop {
            let answer = request(Method::GET, &url, &[("payment-signature", &payment)], "").await;
            if answer.status != 409 {
                return answer;
            }
        }
    })
    .await;
    assert_eq!((again.status.as_u16(), again.text().as_str()), (200, "done"));
    assert!(again.header("tollgate-repeated").is_none(), "run anew: the first run was dropped");
    assert_eq!((server.runs.count(), server.balance().await), (2, START - PRICE));
    server.assert_earned(PRICE).await;
    release.notify_one();
}
