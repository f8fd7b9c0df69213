//! Answers that flow while they are made.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tollgate::{Paid, Settings, Terms, Tollgate};
use tower::ServiceExt;

use crate::world::{PRICE, PRICED, Runs, START, assert_earned, balance, payer, serve, soon, x402_payment};

type Piece = Result<Bytes, std::io::Error>;

/// A route whose answer is what `pieces` bring.
async fn stream_of(tollgate: &Tollgate, pieces: mpsc::Receiver<Piece>, runs: Runs) -> Router {
    let pieces = std::sync::Arc::new(tokio::sync::Mutex::new(Some(pieces)));
    let handler =
        move |_: Paid| async move {
            runs.one_more();
            let pieces = pieces.lock().await.take().unwrap();
            let stream = futures_util::stream::unfold(pieces, |mut pieces| async move {
                Some((pieces.recv().await?, pieces))
            });
            Response::new(Body::from_stream(stream.boxed()))
        };
    let toll = tollgate.toll(Terms::new("story", PRICED).flowing()).unwrap();
    Router::new().route("/story", get(handler).route_layer(toll))
}

struct Story {
    folder: tempfile::TempDir,
    app: Router,
    url: String,
    payment: String,
    runs: Runs,
    pieces: mpsc::Sender<Piece>,
}

async fn story() -> Story {
    let folder = tempfile::tempdir().unwrap();
    let tollgate = Tollgate::open(Settings::dev(folder.path())).await.unwrap();
    let (pieces, made) = mpsc::channel(8);
    let runs = Runs::default();
    let app = stream_of(&tollgate, made, runs.clone()).await;
    let url = format!("{}/story", serve(app.clone()).await);
    let payment = x402_payment(&payer(folder.path()), Method::GET, &url, "").await;
    Story { folder, app, url, payment, runs, pieces }
}

impl Story {
    async fn ask(&self) -> Response<Body> {
        let request = Request::get("/story")
            .header("host", self.url.trim_start_matches("http://").trim_end_matches("/story"));
        let request = request.header("payment-signature", &self.payment).body(Body::empty()).unwrap();
        soon(self.app.clone().oneshot(request)).await.unwrap()
    }

    async fn make(&self, piece: &'static str) {
        self.pieces.send(Ok(Bytes::from_static(piece.as_bytes()))).await.unwrap();
    }
}

#[tokio::test]
async fn pieces_flow_one_behind_and_the_last_waits_for_the_settlement() {
    let story = story().await;
    let response = tokio::join!(story.ask(), story.make("once ")).0;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    story.make("upon ").await;
    let first = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "once ");
    assert_eq!(balance(story.folder.path()).await, START, "not settled while it is made");
    story.make("a time").await;
    let Story { folder, app, url, payment, runs, pieces } = story;
    drop(pieces);
    let rest = soon(body.collect()).await.unwrap();
    let receipt = rest.trailers().and_then(|trailers| trailers.get("tollgate-receipt")).cloned();
    assert!(receipt.is_some(), "the receipt stands behind the body");
    assert_eq!(rest.to_bytes(), "upon a time");
    assert_eq!(balance(folder.path()).await, START - PRICE);
    assert_earned(folder.path(), PRICE).await;
    // The same payment brings the whole, once more and at no charge.
    let again = crate::world::request(Method::GET, &url, &[("payment-signature", &payment)], "").await;
    assert_eq!(
        (again.text().as_str(), again.header("tollgate-repeated")),
        ("once upon a time", Some("true"))
    );
    assert_eq!(runs.count(), 1);
    drop(app);
}

#[tokio::test]
async fn who_hangs_up_behind_the_first_piece_has_bought_the_whole() {
    let story = story().await;
    let response = tokio::join!(story.ask(), story.make("once ")).0;
    let mut body = response.into_body();
    story.make("upon ").await;
    assert_eq!(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "once ");
    drop(body);
    story.make("a time").await;
    let Story { folder, app: _app, url, payment, runs, pieces } = story;
    drop(pieces);
    let again = soon(async {
        loop {
            let answer =
                crate::world::request(Method::GET, &url, &[("payment-signature", &payment)], "").await;
            if answer.status != 409 {
                return answer;
            }
        }
    })
    .await;
    assert_eq!((again.status.as_u16(), again.text().as_str()), (200, "once upon a time"));
    assert_eq!((runs.count(), balance(folder.path()).await), (1, START - PRICE));
}

#[tokio::test]
async fn an_answer_that_breaks_off_costs_nothing_and_has_no_clean_end() {
    let story = story().await;
    let response = tokio::join!(story.ask(), story.make("once ")).0;
    story.pieces.send(Err(std::io::Error::other("as asked"))).await.unwrap();
    let read = soon(response.into_body().collect()).await;
    assert!(read.is_err(), "the reader must not take it for whole");
    assert_eq!(balance(story.folder.path()).await, START);
    assert_earned(story.folder.path(), 0).await;
    let whole = self::story().await;
    let response = tokio::join!(whole.ask(), whole.make("once ")).0;
    let Story { pieces, .. } = whole;
    drop(pieces);
    assert_eq!(soon(response.into_body().collect()).await.unwrap().to_bytes(), "once ", "control");
}
