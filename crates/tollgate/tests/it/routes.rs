//! Routes behind a toll: one payment, one run.

use std::net::SocketAddr;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tollgate::{Body, Paid, Settings, Tollgate};
use tower::{Layer, ServiceBuilder};

use crate::world::{
    PRICE, PRICED, START, Server, ask, built, code, l402_credential, receipt, request, soon,
    weather_and_echo, x402_payment,
};

const COPIES: usize = 200;

#[tokio::test]
async fn an_unpaid_request_is_asked_to_pay_and_a_paid_one_is_answered_with_a_receipt() {
    let server = Server::new().await;
    let url = server.at("/weather");
    let demand = ask(Method::GET, &url, "").await;
    assert_eq!((demand.status.as_u16(), code(&demand).as_str()), (402, "payment_required"));
    assert!(demand.header("payment-required").is_some(), "x402");
    let facts = demand.json().unwrap()["error"]["data"].clone();
    assert_eq!((facts["amount"].as_str(), facts["sandbox"].as_bool()), (Some("10000"), Some(true)));
    assert_eq!(facts["x402"]["resource"]["url"], url.as_str());
    server.assert_untouched().await;

    let payment = x402_payment(&server.payer(), Method::GET, &url, "").await;
    let answer = request(Method::GET, &url, &[("payment-signature", &payment)], "").await;
    let payer = server.payer().address().to_string().to_lowercase();
    assert_eq!((answer.status.as_u16(), answer.text()), (200, format!("sunny for eip155:{payer}")));
    assert!(answer.header("payment-response").is_some());
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let statement = receipt(&server.url, &answer).await;
    assert_eq!(
        (&statement["charged"], &statement["tool"]["name"]),
        (&true.into(), &"weather".into()),
        "{statement}"
    );
    assert_eq!(server.balance().await, START - PRICE);
    server.assert_earned(PRICE).await;

    let call = answer.header("tollgate-call-id").unwrap();
    let status = ask(Method::GET, &server.at(&format!("/api/v1/calls/{call}")), "").await.json().unwrap();
    assert_eq!((&status["state"], &status["charged"]), (&"settled".into(), &true.into()));
}

#[tokio::test]
async fn two_hundred_copies_of_one_proof_run_the_handler_once() {
    let server = Server::new().await;
    let url = server.at("/weather");
    let payment = x402_payment(&server.payer(), Method::GET, &url, "").await;
    let credential = l402_credential(&server, Method::GET, &url, "").await;
    for (runs, header) in [(1, ("payment-signature", payment)), (2, ("authorization", credential))] {
        let mut copies = tokio::task::JoinSet::new();
        for _ in 0..COPIES {
            let (url, value) = (url.clone(), header.1.clone());
            copies.spawn(async move { request(Method::GET, &url, &[(header.0, &value)], "").await });
        }
        let answers = copies.join_all().await;
        let mut receipts = std::collections::BTreeSet::new();
        for answer in &answers {
            match answer.status.as_u16() {
                200 => drop(receipts.insert(answer.header("tollgate-receipt").unwrap().to_owned())),
                _ => assert_eq!((answer.status.as_u16(), code(answer).as_str()), (409, "payment_in_flight")),
            }
        }
        assert_eq!(server.runs.count(), runs);
        assert_eq!(receipts.len(), 1, "one receipt for all");
        let again = request(Method::GET, &url, &[(header.0, &header.1)], "").await;
        assert_eq!((again.status.as_u16(), again.header("tollgate-repeated")), (200, Some("true")));
        assert!(again.text().starts_with("sunny for "), "the kept answer");
        assert_eq!(server.runs.count(), runs, "not run again");
    }
    assert_eq!(server.balance().await, START - PRICE, "one x402 payment");
    server.assert_earned(PRICE).await;
}

#[tokio::test]
async fn a_proof_pays_for_one_method_path_query_and_body() {
    let server = Server::new().await;
    let url = server.at("/echo?page=1");
    for rail in ["x402", "l402"] {
        let runs = server.runs.count();
        let (name, proof) = match rail {
            "x402" => ("payment-signature", x402_payment(&server.payer(), Method::POST, &url, "a").await),
            _ => ("authorization", l402_credential(&server, Method::POST, &url, "a").await),
        };
        let others = [
            (Method::PUT, server.at("/echo?page=1"), "a"),
            (Method::POST, server.at("/other?page=1"), "a"),
            (Method::POST, server.at("/echo?page=2"), "a"),
            (Method::POST, server.at("/echo?page=1"), "b"),
        ];
        for (method, other, body) in others {
            let refused = request(method.clone(), &other, &[(name, &proof)], body).await;
            assert_eq!(
                (refused.status.as_u16(), code(&refused).as_str()),
                (402, "payment_other_call"),
                "{method} {other} {body}"
            );
        }
        assert_eq!(server.runs.count(), runs, "{rail}: refused means no effect");
        let paid = request(Method::POST, &url, &[(name, &proof)], "a").await;
        assert_eq!((paid.status.as_u16(), paid.text().as_str()), (200, "a"), "control");
        let replayed = request(Method::POST, &url, &[(name, &proof)], "b").await;
        assert_ne!(replayed.status, 200, "{rail}: a spent proof pays for nothing else");
        assert_eq!(server.runs.count(), runs + 1);
    }
}

#[tokio::test]
async fn below_a_nested_router_the_whole_path_is_what_is_paid_for() {
    let server = Server::with(
        |settings| settings,
        |tollgate, runs| {
            let routes = weather_and_echo(tollgate, runs);
            axum::Router::new().nest("/a", routes.clone()).nest("/b", routes)
        },
    )
    .await;
    let payment = x402_payment(&server.payer(), Method::GET, &server.at("/a/weather"), "").await;
    let headers = [("payment-signature", payment.as_str())];
    let refused = request(Method::GET, &server.at("/b/weather"), &headers, "").await;
    assert_eq!(code(&refused), "payment_other_call");
    assert_eq!(request(Method::GET, &server.at("/a/weather"), &headers, "").await.status, 200, "control");
}

#[tokio::test]
async fn the_credit_of_an_api_key_pays_without_being_asked() {
    let server = Server::new().await;
    let operator = |arguments: &[&str]| {
        let mut command = std::process::Command::new(built("tollgate"));
        let done = command.args(arguments).arg("--data").arg(server.folder.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    };
    let made: Value =
        serde_json::from_slice(&operator(&["keys", "create", "--name", "ci", "--json"])).unwrap();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    operator(&["credit", "add", id, "0.01USDC"]);
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "one")];
    // The server looks for new keys from time to time.
    let answer = soon(async {
        loop {
            let answer = request(Method::GET, &server.at("/weather"), &headers, "").await;
            if answer.status != 401 {
                return answer;
            }
            assert_eq!(code(&answer), "unauthenticated");
        }
    })
    .await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, format!("sunny for {id}")));
    let again = request(Method::GET, &server.at("/weather"), &headers, "").await;
    assert_eq!(again.header("tollgate-repeated"), Some("true"), "the same key is the same request");
    let short = request(Method::GET, &server.at("/weather"), &headers[..1], "").await;
    assert_eq!(short.status, 402, "the credit is spent");
    assert_eq!(server.runs.count(), 1);
}

#[tokio::test]
async fn any_hyper_service_stands_behind_a_toll() {
    let folder = tempfile::tempdir().unwrap();
    let tollgate = Tollgate::open(Settings::dev(folder.path())).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let own = tower::service_fn(|request: Request<Body>| async move {
        let caller =
            request.extensions().get::<Paid>().map(|paid| paid.caller().to_string()).unwrap_or_default();
        let body = request.into_body().collect().await?.to_bytes();
        let said = format!("{} bytes from {caller}", body.len());
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Response::new(Body::from(bytes::Bytes::from(said))))
    });
    let gated = ServiceBuilder::new()
        .map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new))
        .service(tollgate.price("count", PRICED).unwrap().layer(own));
    tokio::spawn(async move {
        loop {
            let (stream, _peer): (_, SocketAddr) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(gated.clone());
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    let payer = crate::world::payer(folder.path());
    assert_eq!(ask(Method::POST, &url, "four").await.status, 402);
    let payment = x402_payment(&payer, Method::POST, &url, "four").await;
    let answer = request(Method::POST, &url, &[("payment-signature", &payment)], "four").await;
    let address = payer.address().to_string().to_lowercase();
    assert_eq!(answer.text(), format!("4 bytes from eip155:{address}"));
    // A name that is sold on two terms would be two offers for one receipt.
    assert!(tollgate.price("count", "0.02USDC").is_err());
    assert!(tollgate.price("count", PRICED).is_ok(), "control");
}
