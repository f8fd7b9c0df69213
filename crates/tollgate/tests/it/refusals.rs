//! Refused means no effect.

use axum::Router;
use axum::routing::get;
use http::Method;
use tollgate::{Paid, Terms};

use crate::world::{PRICED, Server, ask, code, request, x402_payment};

#[tokio::test]
async fn a_handler_that_takes_paid_without_a_toll_is_refused() {
    async fn weather(paid: Paid) -> String {
        paid.caller().to_string()
    }
    let server = Server::with(
        |settings| settings,
        |tollgate, _runs| {
            let tolled = get(weather).route_layer(tollgate.price("weather", PRICED).unwrap());
            Router::new().route("/bare", get(weather)).route("/tolled", tolled)
        },
    )
    .await;
    let refused = ask(Method::GET, &server.at("/bare"), "").await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (500, "internal"));
    let payment = x402_payment(&server.payer(), Method::GET, &server.at("/tolled"), "").await;
    let headers = [("payment-signature", payment.as_str())];
    assert_eq!(request(Method::GET, &server.at("/tolled"), &headers, "").await.status, 200, "control");
}

#[tokio::test]
async fn a_payment_that_is_bad_or_in_a_wrong_place_runs_nothing() {
    let server = Server::new().await;
    let url = server.at("/weather");
    let payment = x402_payment(&server.payer(), Method::GET, &url, "").await;
    let twice = [("payment-signature", payment.as_str()), ("x-payment", payment.as_str())];
    let cut = &payment[..payment.len() / 2];
    let cases = [
        ("/weather", twice.to_vec(), 400, "payment_ambiguous"),
        ("/weather", vec![("payment-signature", cut)], 402, "payment_unreadable"),
        ("/weather?payment=x", Vec::new(), 400, "payment_carrier_refused"),
        ("/weather", vec![("x-api-key", "tgk_nobody")], 401, "unauthenticated"),
    ];
    for (path, headers, status, expected) in cases {
        let refused = request(Method::GET, &server.at(path), &headers, "").await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (status, expected), "{path}");
        server.assert_untouched().await;
    }
    let headers = [("payment-signature", payment.as_str())];
    assert_eq!(request(Method::GET, &url, &headers, "").await.status, 200, "control: nothing was burned");
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused_before_it_is_priced() {
    let limit = |settings: tollgate::Settings| settings.body_bytes_max(8);
    let server = Server::with(limit, crate::world::weather_and_echo).await;
    let url = server.at("/echo");
    let payment = x402_payment(&server.payer(), Method::POST, &url, "12345678").await;
    let headers = [("payment-signature", payment.as_str())];
    let refused = request(Method::POST, &url, &headers, "123456789").await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (413, "body_too_large"));
    server.assert_untouched().await;
    let taken = request(Method::POST, &url, &headers, "12345678").await;
    assert_eq!((taken.status.as_u16(), taken.text().as_str()), (200, "12345678"), "control");
}

#[tokio::test]
async fn sandbox_money_is_taken_under_a_loopback_name_only() {
    let server = Server::new().await;
    let url = server.at("/weather");
    let payment = x402_payment(&server.payer(), Method::GET, &url, "").await;
    let raw = |host: &str| {
        format!(
            "GET /weather HTTP/1.1\r\nhost: {host}\r\npayment-signature: {payment}\r\nconnection: close\r\n\r\n"
        )
    };
    let refused = exchange(&server.url, &raw("shop.example.org")).await;
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("origin_refused"), "{refused}");
    server.assert_untouched().await;
    let taken = exchange(&server.url, &raw("localhost")).await;
    assert!(taken.starts_with("HTTP/1.1 200"), "control: {taken}");
}

/// Sends bytes and reads until the other side closes.
async fn exchange(url: &str, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn who_is_not_trusted_enough_is_never_asked_to_pay() {
    let server = Server::with(
        |settings| settings,
        |tollgate, runs| {
            let terms = Terms::new("weather", PRICED).needs_api_key();
            let toll = tollgate.toll(terms).unwrap();
            let handler = move |_: Paid| async move { runs.one_more().to_string() };
            Router::new().route("/weather", get(handler).route_layer(toll))
        },
    )
    .await;
    let refused = ask(Method::GET, &server.at("/weather"), "").await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "trust_insufficient"));
    assert!(refused.header("payment-required").is_none() && refused.header("www-authenticate").is_none());
    server.assert_untouched().await;
    let open = Server::new().await;
    assert_eq!(ask(Method::GET, &open.at("/weather"), "").await.status, 402, "control");
}
