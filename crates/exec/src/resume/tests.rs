use std::collections::VecDeque;

use http::{Response, StatusCode};
use parking_lot::Mutex;
use tokio::time::Instant;
use tollgate_domain::ServerName;

use super::*;
use crate::BoxFuture;
use crate::peer::full;

const PRIMING: &str = "id: 1\nretry: 4000\ndata: \n\n";
const PROGRESS: &str = "id: 2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
const ANSWER: &str = "id: 3\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n";

/// A server that answers as it was told, one response for each request, and remembers what it was asked.
#[derive(Debug)]
struct Scripted {
    name: ServerName,
    responses: Mutex<VecDeque<Result<Response<Body>, UpstreamError>>>,
    asked: Mutex<Vec<(Request<Body>, Instant)>>,
}

impl Scripted {
    fn new(responses: Vec<Result<Response<Body>, UpstreamError>>) -> Arc<Self> {
        let name = "up".parse().unwrap();
        Arc::new(Self { name, responses: Mutex::new(responses.into()), asked: Mutex::default() })
    }

    /// The method and the last event of each request.
    fn asked(&self) -> Vec<(Method, String)> {
        let last = |request: &Request<Body>| request.headers()["last-event-id"].to_str().unwrap().to_owned();
        self.asked.lock().iter().map(|(request, _)| (request.method().clone(), last(request))).collect()
    }
}

impl Upstream for Scripted {
    fn name(&self) -> &ServerName {
        &self.name
    }

    fn exchange(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        self.asked.lock().push((request, Instant::now()));
        let response = self.responses.lock().pop_front();
        Box::pin(async { response.unwrap_or_else(|| panic!("asked once too often")) })
    }
}

fn events(events: &str) -> Response<Body> {
    full("text/event-stream", events.to_owned())
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// Reads a stream that begins with `first`, and goes on at `server`.
async fn read(first: &str, server: &Arc<Scripted>) -> Result<Vec<String>, UpstreamError> {
    let mut headers = HeaderMap::new();
    headers.insert("mcp-session-id", HeaderValue::from_static("s"));
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("accept", HeaderValue::from_static("application/json, text/event-stream"));
    let resume = Resume::after(Arc::clone(server) as Arc<dyn Upstream>, &headers);
    let body = events(first).into_body();
    let messages = Messages::new(body, Framing::Sse, 1_000, 10_000);
    let mut resumable = Resumable::new(messages, 1_000, Some(resume));
    let mut read = Vec::new();
    while let Some(piece) = resumable.next(None).await? {
        read.push(String::from_utf8(piece.raw().to_vec()).unwrap());
        if read.last().unwrap().contains("result") {
            break;
        }
    }
    Ok(read)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_server_hangs_up_is_gone_on_with_from_its_last_event() {
    let server = Scripted::new(vec![Ok(events(PROGRESS)), Ok(events(ANSWER))]);
    let started = Instant::now();
    assert_eq!(read(PRIMING, &server).await.unwrap(), [PRIMING, PROGRESS, ANSWER]);
    assert_eq!(server.asked(), [(Method::GET, "1".to_owned()), (Method::GET, "2".to_owned())]);
    let asked = server.asked.lock();
    let (request, at) = &asked[0];
    assert_eq!(*at - started, Duration::from_millis(4_000), "as long as the server said");
    assert_eq!(request.headers()["accept"], "text/event-stream");
    assert_eq!(request.headers()["mcp-session-id"], "s");
    assert!(!request.headers().contains_key("content-type"), "it has no body");
    assert!(matches!(request.body(), Body::Empty));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_reached_for_a_moment_is_asked_again() {
    let away = || Err(UpstreamError::Unreachable("nobody listens".into()));
    let server = Scripted::new(vec![away(), away(), Ok(events(ANSWER))]);
    assert_eq!(read(PRIMING, &server).await.unwrap(), [PRIMING, ANSWER]);

    let server = Scripted::new(vec![away(), away(), away()]);
    assert!(matches!(read(PRIMING, &server).await, Err(UpstreamError::Unreachable(_))), "but not for ever");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn coming_back_ends_where_it_brings_nothing_or_is_refused() {
    let nothing = || Ok(events(": still here\n\n"));
    let server = Scripted::new(vec![nothing(), nothing(), nothing()]);
    let comments = [": still here\n\n"; 3];
    assert_eq!(read(PRIMING, &server).await.unwrap(), [&[PRIMING][..], &comments].concat());

    for refusal in [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY] {
        let server = Scripted::new(vec![Ok(status(refusal))]);
        assert_eq!(read(PRIMING, &server).await.unwrap(), [PRIMING], "{refusal}");
        assert_eq!(server.asked().len(), 1);
    }
    let server = Scripted::new(vec![Ok(full("application/json", "{}"))]);
    assert_eq!(read(PRIMING, &server).await.unwrap(), [PRIMING], "no stream of events");
}

#[tokio::test(start_paused = true)]
async fn without_an_event_to_come_back_to_nobody_does() {
    let unnamed = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
    let forgotten = "id\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
    for first in [unnamed.to_owned(), format!("{PRIMING}{forgotten}")] {
        let server = Scripted::new(Vec::new());
        assert!(!read(&first, &server).await.unwrap().is_empty());
        assert!(server.asked().is_empty(), "{first}");
    }
    // Control: the same with an id.
    let server = Scripted::new(vec![Ok(events(ANSWER))]);
    assert_eq!(read(&format!("id: 1\n{unnamed}"), &server).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn half_an_event_is_none_and_what_is_too_long_is_not_tried_again() {
    let server = Scripted::new(vec![Ok(events(ANSWER))]);
    assert_eq!(read(&format!("{PRIMING}id: 2\ndata: {{\"half"), &server).await.unwrap(), [PRIMING, ANSWER]);
    assert_eq!(server.asked(), [(Method::GET, "1".to_owned())]);

    let server = Scripted::new(Vec::new());
    let long = format!("{PRIMING}data: {}\n\n", "x".repeat(2_000));
    assert!(matches!(read(&long, &server).await, Err(UpstreamError::TooLarge(_))));
}
