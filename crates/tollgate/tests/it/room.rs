//! What all bodies, and all answers, may take together; and what is said to one that finds no room.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tollgate::{Paid, Settings, Terms, Tollgate};
use tower::ServiceExt;

use crate::world::{PRICE, PRICED, Runs, START, assert_earned, balance, payer, serve, soon, x402_payment};

/// Each body and answer may be as long, and two of them fit into the room, but not three.
const LARGEST: usize = 300_000;
const LARGE: usize = 280_000;
const ROOM: usize = 800_000;

/// A body that comes while it is made.
fn coming(pieces: mpsc::Receiver<Bytes>) -> Body {
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async move {
        Some((Ok::<_, std::io::Error>(pieces.recv().await?), pieces))
    });
    Body::from_stream(pieces.boxed())
}

fn large() -> Bytes {
    Bytes::from(vec![b'x'; LARGE])
}

struct World {
    folder: tempfile::TempDir,
    app: Router,
    host: String,
    runs: Runs,
    /// Makes the story of each run, in their order.
    makers: VecDeque<mpsc::Sender<Bytes>>,
    _tollgate: Tollgate,
}

impl World {
    /// `GET /story` flows, `GET /large` and `GET /small` are whole, `POST /length` says how long its body is.
    async fn new(room: usize) -> Self {
        Self::with(room, |settings| settings).await
    }

    async fn with(room: usize, more: impl FnOnce(Settings) -> Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = more(Settings::dev(folder.path()))
            .body_bytes_max(LARGEST)
            .bodies_bytes_max(room)
            .answer_bytes_max(LARGEST)
            .answers_bytes_max(room);
        let tollgate = Tollgate::open(settings).await.unwrap();
        let (makers, stories): (VecDeque<_>, VecDeque<_>) = (0..6).map(|_| mpsc::channel(8)).unzip();
        let (stories, runs) = (Arc::new(Mutex::new(stories)), Runs::default());
        let counted = runs.clone();
        let story = move |_: Paid| async move {
            counted.one_more();
            Response::new(coming(stories.lock().await.pop_front().unwrap()))
        };
        let flowing = tollgate.toll(Terms::new("story", PRICED).flowing()).unwrap();
        let toll = |name| tollgate.price(name, PRICED).unwrap();
        let counted = runs.clone();
        let whole = move |_: Paid| async move {
            counted.one_more();
            large()
        };
        let app = Router::new()
            .route("/story", get(story).route_layer(flowing))
            .route("/large", get(whole).route_layer(toll("large")))
            .route("/small", get(async |_: Paid| "small").route_layer(toll("small")))
            .route(
                "/length",
                post(async |_: Paid, body: Bytes| body.len().to_string()).route_layer(toll("length")),
            );
        let host = serve(app.clone()).await.trim_start_matches("http://").to_owned();
        Self { folder, app, host, runs, makers, _tollgate: tollgate }
    }

    async fn payment(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.host);
        x402_payment(&payer(self.folder.path()), Method::GET, &url, "").await
    }

    async fn paid(&self, path: &str, payment: &str) -> Response<Body> {
        let request = Request::get(path).header("host", &self.host).header("payment-signature", payment);
        soon(self.app.clone().oneshot(request.body(Body::empty()).unwrap())).await.unwrap()
    }

    /// Once what held the room is gone, and whatever ended has ended: the last of it goes a moment later.
    async fn served(&self, path: &str, payment: &str) -> Response<Body> {
        soon(async {
            loop {
                let response = self.paid(path, payment).await;
                if response.status() == 200 {
                    return response;
                }
                let code = code(response).await;
                assert!(
                    ["no_room", "upstream_no_room", "payment_in_flight"].contains(&code.as_str()),
                    "{code}"
                );
            }
        })
        .await
    }

    async fn assert_charged(&self, calls: u128) {
        assert_eq!(balance(self.folder.path()).await, START - calls * PRICE);
        assert_earned(self.folder.path(), calls * PRICE).await;
    }
}

/// A story of a large piece and a small one behind it, of which the large one has flown.
async fn grown(maker: &mpsc::Sender<Bytes>, response: &mut Response<Body>) -> Option<Bytes> {
    maker.send(large()).await.unwrap();
    maker.send(Bytes::from_static(b"end")).await.unwrap();
    soon(response.body_mut().frame()).await.unwrap().ok()?.into_data().ok()
}

async fn code(response: Response<Body>) -> String {
    let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
    let told: Value = serde_json::from_slice(&body).unwrap();
    told["error"]["code"].as_str().unwrap().to_owned()
}

async fn length(response: Response<Body>) -> usize {
    soon(response.into_body().collect()).await.unwrap().to_bytes().len()
}

/// Refused for want of room, and told when to come back.
async fn assert_refused(response: Response<Body>, expected: &str) {
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    assert_eq!(code(response).await, expected);
}

#[tokio::test]
async fn f9_answers_that_flow_past_the_room_for_all_are_not_begun_or_break_off_and_cost_nothing() {
    let mut world = World::new(ROOM).await;
    let paths = ["/story?n=0", "/story?n=1", "/story?n=2", "/story?n=3"];
    let mut payments = Vec::new();
    for path in paths {
        payments.push(world.payment(path).await);
    }
    let small = world.payment("/small").await;
    // Three begin, for which there is room as long as they are short.
    let (mut flowing, makers) = (Vec::new(), world.makers.split_off(0));
    for (path, payment) in paths.iter().zip(&payments).take(3) {
        let response = world.paid(path, payment).await;
        assert_eq!(response.status(), 200);
        flowing.push(response);
    }
    for (response, maker) in flowing.iter_mut().zip(&makers).take(2) {
        assert_eq!(grown(maker, response).await.map(|piece| piece.len()), Some(LARGE));
    }
    // One more is not begun: its handler is not asked.
    assert_refused(world.paid(paths[3], &payments[3]).await, "no_room").await;
    assert_eq!(world.runs.count(), 3);
    // One of the three grows past what is left: no clean end.
    assert_eq!(grown(&makers[2], &mut flowing[2]).await, None);
    drop(flowing.remove(2));
    world.assert_charged(0).await;
    assert_eq!(length(world.paid("/small", &small).await).await, 5, "what is small passes");
    world.assert_charged(1).await;

    // The two others are whole and charged. Then there is room, and the same payments buy what was refused.
    let mut makers = makers.into_iter();
    for response in flowing {
        drop(makers.next());
        assert_eq!(length(response).await, 3, "what is left of it");
    }
    world.assert_charged(3).await;
    let mut makers = makers.skip(1);
    for number in [2, 3] {
        let mut response = world.served(paths[number], &payments[number]).await;
        let maker = makers.next().unwrap();
        assert_eq!(grown(&maker, &mut response).await.map(|piece| piece.len()), Some(LARGE));
        drop(maker);
        assert_eq!(length(response).await, 3);
    }
    world.assert_charged(5).await;
    assert_eq!(world.runs.count(), 5);
}

#[tokio::test]
async fn f9_control_where_there_is_room_a_crowd_of_answers_flows() {
    let world = World::new(1 << 30).await;
    let mut flowing = Vec::new();
    for (number, maker) in world.makers.iter().enumerate() {
        let path = format!("/story?n={number}");
        let mut response = world.paid(&path, &world.payment(&path).await).await;
        assert_eq!(grown(maker, &mut response).await.map(|piece| piece.len()), Some(LARGE));
        flowing.push(response);
    }
    assert_eq!(flowing.len(), 6);
}

#[tokio::test]
async fn f9_whole_answers_past_the_room_for_all_are_dropped_and_what_was_paid_for_is_had_again() {
    let world = World::new(ROOM).await;
    let paths = ["/large?n=0", "/large?n=1", "/large?n=2"];
    let mut payments = Vec::new();
    for path in paths {
        payments.push(world.payment(path).await);
    }
    let mut unread = Vec::new();
    for (path, payment) in paths.iter().zip(&payments).take(2) {
        unread.push(world.paid(path, payment).await);
    }
    world.assert_charged(2).await;
    assert_refused(world.paid(paths[2], &payments[2]).await, "upstream_no_room").await;
    assert_eq!(world.runs.count(), 3);
    world.assert_charged(2).await;
    // What was paid for is not refused for want of room.
    let again = world.paid(paths[0], &payments[0]).await;
    assert_eq!(
        (again.status().as_u16(), again.headers()["tollgate-repeated"].as_bytes()),
        (200, &b"true"[..])
    );
    assert_eq!(length(again).await, LARGE);
    drop(unread);
    assert_eq!(length(world.served(paths[2], &payments[2]).await).await, LARGE, "control");
    world.assert_charged(3).await;
}

/// Two requests with large bodies that do not end, and what makes them.
async fn two_without_an_end(
    world: &World,
) -> (JoinSet<Result<Response<Body>, Infallible>>, Vec<mpsc::Sender<Bytes>>) {
    let (mut slow, mut makers) = (JoinSet::new(), Vec::new());
    for _ in 0..2 {
        let (maker, pieces) = mpsc::channel(1);
        maker.send(large()).await.unwrap();
        let request = Request::post("/length").header("host", &world.host).body(coming(pieces)).unwrap();
        slow.spawn(world.app.clone().oneshot(request));
        makers.push(maker);
    }
    (slow, makers)
}

#[tokio::test]
async fn f9_bodies_past_the_room_for_all_are_refused_and_small_ones_pass() {
    let world = World::new(ROOM).await;
    let asked = async |body: Body| {
        let request = Request::post("/length").header("host", &world.host).body(body).unwrap();
        soon(world.app.clone().oneshot(request)).await.unwrap()
    };
    // A third one is refused once they are there.
    let (mut slow, makers) = two_without_an_end(&world).await;
    for maker in &makers {
        // Its place is free once the piece before it was taken.
        soon(maker.send(Bytes::from_static(b"x"))).await.unwrap();
    }
    let refused = asked(Body::from(large())).await;
    assert_refused(refused, "no_room").await;
    assert_eq!(asked(Body::from("small")).await.status(), 402, "what is small passes");
    // Control: they end, and there is room.
    drop(makers);
    while let Some(ended) = soon(slow.join_next()).await {
        assert_eq!(ended.unwrap().unwrap().status(), 402);
    }
    assert_eq!(asked(Body::from(large())).await.status(), 402);
}

#[tokio::test]
async fn a_body_that_never_ends_gives_its_room_back_in_time_and_costs_nothing() {
    let world = World::with(ROOM, |settings| settings.body_ms_max(300)).await;
    let (mut slow, makers) = two_without_an_end(&world).await;
    while let Some(ended) = soon(slow.join_next()).await {
        let late = ended.unwrap().unwrap();
        assert_eq!((late.status().as_u16(), code(late).await.as_str()), (408, "request_timed_out"));
    }
    // Their senders are still there, and hold nothing.
    let request = Request::post("/length").header("host", &world.host).body(Body::from(large())).unwrap();
    assert_eq!(soon(world.app.clone().oneshot(request)).await.unwrap().status(), 402, "control");
    assert!(makers.iter().all(mpsc::Sender::is_closed), "nobody reads on");
    world.assert_charged(0).await;
}
