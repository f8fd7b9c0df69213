use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::*;
use crate::peer::{Peer, full, post, text};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

fn pool(peer: &Peer, idle_max: usize) -> Pool {
    Pool::new(peer.url.clone(), Policy::public().allow_url(&peer.url), 5_000, idle_max).unwrap()
}

fn request(peer: &Peer) -> Request<Body> {
    let mut request = post("{}");
    *request.uri_mut() = peer.url.clone();
    request.headers_mut().insert("host", peer.url.authority().unwrap().as_str().parse().unwrap());
    request
}

async fn answered(pool: &Pool, peer: &Peer) {
    let response = pool.request(request(peer)).await.unwrap();
    assert_eq!(text(Body::Incoming(response.into_body())).await.unwrap(), "{}");
}

/// Reads one request, whose head and body come in one piece, or the end.
async fn read(stream: &mut TcpStream) -> usize {
    stream.read(&mut [0; 4_096]).await.unwrap_or_default()
}

/// Waits until something is true of the only connection at rest.
async fn at_rest(pool: &Pool, is: impl Fn(&http1::SendRequest<Body>) -> bool) {
    let looks = || {
        let mut idle = pool.0.idle.lock();
        idle.settle(pool.0.idle_max);
        idle.resting.last().is_some_and(|(_, sender)| is(sender))
    };
    while !looks() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_ended_while_it_rested_carries_nothing_and_another_is_made() {
    let ends = Arc::new(Semaphore::new(0));
    let end = Arc::clone(&ends);
    let peer = Peer::raw(move |mut stream| {
        let end = Arc::clone(&end);
        async move {
            read(&mut stream).await;
            stream.write_all(ANSWER).await.unwrap();
            end.acquire().await.unwrap().forget();
        }
    })
    .await;
    let pool = pool(&peer, 8);
    for connections in 1..=3 {
        answered(&pool, &peer).await;
        assert_eq!(peer.connections.load(Ordering::SeqCst), connections);
        at_rest(&pool, http1::SendRequest::is_ready).await;
        ends.add_permits(1);
        at_rest(&pool, http1::SendRequest::is_closed).await;
    }
    // It is taken and only then found to have ended: the request comes back as it was.
    let (_, sender) = pool.0.idle.lock().resting.pop().unwrap();
    let sent = pool.send(Lent::Own(sender, true), request(&peer)).await.unwrap();
    let Sent::Unsent(back) = sent else { panic!("nothing can have answered") };
    assert_eq!(back.uri(), &peer.url);
    assert_eq!(peer.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn f46_a_request_that_may_have_arrived_is_never_sent_again() {
    let peer = Peer::raw(|mut stream| async move {
        read(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
        // The second arrives, and is not answered.
        read(&mut stream).await;
    })
    .await;
    let pool = pool(&peer, 8);
    answered(&pool, &peer).await;
    at_rest(&pool, http1::SendRequest::is_ready).await;
    let error = pool.request(request(&peer)).await.unwrap_err();
    assert!(matches!(error, PoolError::Exchange(_)), "{error:?}");
    assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
    answered(&pool, &peer).await;
    assert_eq!(peer.connections.load(Ordering::SeqCst), 2, "control: the next request is served");
}

#[tokio::test]
async fn no_more_connections_rest_than_are_wanted() {
    let peer = Peer::http(|_| async { full("application/json", "{}") }).await;
    let pool = pool(&peer, 1);
    let both = tokio::join!(pool.request(request(&peer)), pool.request(request(&peer)));
    assert_eq!(peer.connections.load(Ordering::SeqCst), 2, "one for each at a time");
    for response in [both.0, both.1] {
        text(Body::Incoming(response.unwrap().into_body())).await.unwrap();
    }
    at_rest(&pool, http1::SendRequest::is_ready).await;
    for _ in 0..3 {
        answered(&pool, &peer).await;
        at_rest(&pool, http1::SendRequest::is_ready).await;
    }
    assert_eq!(pool.0.idle.lock().resting.len(), 1);
    assert_eq!(peer.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_serves_again_once_its_answer_was_read_however_many_are_on_their_way() {
    let peer = Peer::http(|_| async { full("application/json", "{}") }).await;
    let pool = pool(&peer, 2 * RETURNING_MAX);
    let most = RETURNING_MAX + 8;
    let asked = futures_util::future::join_all((0..most).map(|_| pool.request(request(&peer)))).await;
    assert_eq!(peer.connections.load(Ordering::SeqCst), most, "none is lent twice at a time");
    assert!(pool.0.idle.lock().returning.len() <= RETURNING_MAX);
    for response in asked {
        text(Body::Incoming(response.unwrap().into_body())).await.unwrap();
    }
    let all_rest = || {
        let mut idle = pool.0.idle.lock();
        idle.settle(pool.0.idle_max);
        idle.resting.len() == most
    };
    while !all_rest() {
        tokio::task::yield_now().await;
    }
    answered(&pool, &peer).await;
    assert_eq!(peer.connections.load(Ordering::SeqCst), most);
}

#[tokio::test]
async fn a_connection_that_has_rested_for_too_long_is_not_used_and_is_closed() {
    let peer = Peer::http(|_| async { full("application/json", "{}") }).await;
    let pool = pool(&peer, 8);
    answered(&pool, &peer).await;
    at_rest(&pool, http1::SendRequest::is_ready).await;
    let age = || {
        let mut idle = pool.0.idle.lock();
        idle.resting.iter_mut().for_each(|(since, _)| *since = since.checked_sub(IDLE).unwrap());
    };
    age();
    assert!(pool.0.lend().is_none());
    assert!(pool.0.idle.lock().resting.is_empty());

    answered(&pool, &peer).await;
    at_rest(&pool, http1::SendRequest::is_ready).await;
    assert!(pool.0.idle.lock().is_swept);
    age();
    sweep(Arc::downgrade(&pool.0)).await;
    assert!(pool.0.idle.lock().resting.is_empty(), "closed, though nobody asks for one");
    assert!(!pool.0.idle.lock().is_swept, "and swept again with the next that rests");
    answered(&pool, &peer).await;
    assert_eq!(peer.connections.load(Ordering::SeqCst), 3);
}

/// What a request over HTTP/2 fails with, whose server resets its stream with an error or reads it to the end.
async fn failed_over_http_2(body: Body, is_refused: bool) -> Option<UpstreamError> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| async move {
        if is_refused {
            return Err("no answer from me");
        }
        drop(http_body_util::BodyExt::collect(request.into_body()).await);
        Ok(Response::new(Body::default()))
    });
    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(hyper_util::rt::TokioIo::new(theirs), service);
    let handshake = http2::Builder::new(TokioExecutor::new()).handshake(hyper_util::rt::TokioIo::new(ours));
    let (mut sender, connection) = handshake.await.unwrap();
    in_background(connection);
    let request = Request::post("http://up.example/mcp").body(body).unwrap();
    let failed = tokio::select! {
        sent = sender.send_request(request) => sent.err(),
        ended = serving => panic!("the server ended first: {ended:?}"),
    };
    failed.map(|error| PoolError::Exchange(error).into())
}

#[tokio::test]
async fn a_request_over_http_2_whose_body_breaks_off_says_nothing_of_its_server() {
    let broken = Body::channel(1).1;
    let failed = failed_over_http_2(broken, false).await;
    assert!(matches!(failed, Some(UpstreamError::Abandoned)), "{failed:?}");
    // Controls: a body that arrives, and a stream that the server resets.
    assert!(failed_over_http_2(Body::default(), false).await.is_none());
    let refused = failed_over_http_2(Body::default(), true).await;
    assert!(matches!(refused, Some(UpstreamError::Broken(_))), "{refused:?}");
}
