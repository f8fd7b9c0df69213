use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::service::service_fn;
use parking_lot::Mutex;
use tokio::io::{DuplexStream, ReadBuf, duplex};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::*;

mod sockets;

const HEAD_MAX: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(1);
const ANSWER_BYTES: usize = 100_000;

type Served = oneshot::Receiver<Result<(), String>>;

/// How much the last reader of a connection had space for: hyper for thousands of bytes, a parked connection for one.
struct Watched<I> {
    stream: I,
    asked: Arc<AtomicUsize>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.asked.store(buffer.remaining(), Ordering::SeqCst);
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The other end of a connection that is served.
struct Caller<I = DuplexStream> {
    stream: I,
    asked: Arc<AtomicUsize>,
    /// The paths of the requests that were served.
    served: Arc<Mutex<Vec<String>>>,
    ended: Served,
}

impl Caller {
    /// In memory; `window` bytes wait in each direction.
    fn new(window: usize, tasks: &TaskTracker, drain: &Arc<Drain>) -> Self {
        let (near, far) = duplex(window);
        Self::over(near, far, Pace::new(HEAD_MAX), tasks, drain)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Caller<I> {
    fn over<J>(near: J, far: I, pace: Pace, tasks: &TaskTracker, drain: &Arc<Drain>) -> Self
    where
        J: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::default();
        let served: Arc<Mutex<Vec<String>>> = Arc::default();
        let near = Watched { stream: near, asked: Arc::clone(&asked) };
        let (done, ended) = oneshot::channel();
        let (log, drain, answering) = (Arc::clone(&served), Arc::clone(drain), tasks.clone());
        tasks.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                log.lock().push(request.uri().path().to_owned());
                let tasks = answering.clone();
                async move { Ok(answer(request, &tasks).await) }
            });
            let ended = serve(near, service, pace, &drain).await;
            drop(done.send(ended.map_err(|error| error.to_string())));
        });
        Self { stream: far, asked, served, ended }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Head and body of the next answer.
    async fn answer(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.stream.read_exact(&mut body).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    async fn ask(&mut self, path: &str) -> String {
        self.send(&get(path)).await;
        self.answer().await.1
    }

    fn is_parked(&self) -> bool {
        self.asked.load(Ordering::SeqCst) == 1
    }

    async fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]).await, Ok(0) | Err(_))
    }

    fn paths(&self) -> Vec<String> {
        self.served.lock().clone()
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn answer(request: Request<Incoming>, tasks: &TaskTracker) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        // Answers at once, and reads the request beside it.
        "/long" | "/early" => {
            tasks.spawn(async move { drop(request.into_body().collect().await) });
            let length = if path == "/long" { ANSWER_BYTES } else { 1 };
            Response::new(Body::Full("x".repeat(length).into()))
        }
        "/late" => {
            tokio::time::sleep(PARK_AFTER * 5).await;
            Response::new(Body::Full(path.into()))
        }
        _ => {
            request.into_body().collect().await.ok();
            Response::new(Body::Full(path.into()))
        }
    }
}

fn world() -> (TaskTracker, Arc<Drain>) {
    (TaskTracker::new(), Arc::default())
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_parked_while_nothing_is_asked_and_serves_on() {
    let (tasks, drain) = world();
    let mut caller = Caller::new(1024, &tasks, &drain);
    tokio::time::sleep(TICK).await;
    assert!(caller.is_parked(), "nothing was asked so far");

    for path in ["/one", "/two", "/three"] {
        assert_eq!(caller.ask(path).await, path);
        tokio::time::sleep(PARK_AFTER - TICK).await;
        assert!(!caller.is_parked(), "control: the next call may come at once");
        tokio::time::sleep(2 * TICK).await;
        assert!(caller.is_parked());
    }
    // Calls one after another are never parked in between, however often the alarm rings.
    for _ in 0..20 {
        caller.ask("/quick").await;
        tokio::time::sleep(PARK_AFTER * 3 / 4).await;
        assert!(!caller.is_parked());
    }
    let (head, _) = {
        caller.send(&get("/last")).await;
        caller.answer().await
    };
    assert!(!head.contains("connection: close"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_around_the_moment_of_parking_is_served_once_and_in_order() {
    // Two requests, the second right behind the first, and a body in each.
    let text = post("/first", "GET /body HTTP/1.1") + &post("/second", "\r\n");
    for cut in 0..=text.len() {
        for moment in [PARK_AFTER - TICK, PARK_AFTER, PARK_AFTER + TICK] {
            let (tasks, drain) = world();
            let mut caller = Caller::new(1024, &tasks, &drain);
            caller.ask("/before").await;
            tokio::time::sleep(moment).await;
            let (begin, rest) = text.split_at(cut);
            caller.send(begin).await;
            tokio::time::sleep(PARK_AFTER * 2).await;
            caller.send(rest).await;
            assert_eq!(caller.answer().await.1, "/first");
            assert_eq!(caller.answer().await.1, "/second");
            assert_eq!(caller.paths(), ["/before", "/first", "/second"], "cut at {cut}, after {moment:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn d2_f60_the_time_of_a_head_is_not_longer_for_a_connection_that_was_parked() {
    let (tasks, drain) = world();
    let mut slow = Caller::new(1024, &tasks, &drain);
    let mut late = Caller::new(1024, &tasks, &drain);
    let mut silent = Caller::new(1024, &tasks, &drain);
    let mut never = Caller::new(1024, &tasks, &drain);
    for caller in [&mut slow, &mut late, &mut silent] {
        caller.ask("/before").await;
    }
    tokio::time::sleep(HEAD_MAX - 2 * TICK).await;
    slow.send("G").await;
    assert_eq!(late.ask("/late-but-in-time").await, "/late-but-in-time", "control: a whole head");
    assert!(slow.ended.try_recv().is_err() && silent.ended.try_recv().is_err(), "control: not before");
    tokio::time::sleep(3 * TICK).await;
    assert!(slow.is_closed().await && silent.is_closed().await && never.is_closed().await);
    assert!(slow.ended.await.unwrap().is_err(), "it had begun");
    assert_eq!(silent.ended.await.unwrap(), Ok(()));
    assert_eq!(never.ended.await.unwrap(), Ok(()));
    assert_eq!(late.ask("/again").await, "/again");
}

#[tokio::test(start_paused = true)]
async fn a_parked_connection_that_its_caller_closes_is_over() {
    let (tasks, drain) = world();
    let mut caller = Caller::new(1024, &tasks, &drain);
    caller.ask("/before").await;
    tokio::time::sleep(PARK_AFTER * 2).await;
    assert!(caller.ended.try_recv().is_err(), "control: it is there");
    caller.stream.shutdown().await.unwrap();
    assert!(caller.is_closed().await);
    assert_eq!(caller.ended.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn f10_a_drain_closes_what_waits_and_lets_what_runs_finish() {
    let (tasks, drain) = world();
    let mut fresh = Caller::new(1024, &tasks, &drain);
    let mut parked = Caller::new(1024, &tasks, &drain);
    let mut idle = Caller::new(1024, &tasks, &drain);
    let mut running = Caller::new(1024, &tasks, &drain);
    parked.ask("/before").await;
    tokio::time::sleep(PARK_AFTER * 2).await;
    idle.ask("/before").await;
    running.send(&get("/late")).await;
    tokio::time::sleep(TICK).await;
    assert!(parked.is_parked() && !idle.is_parked());

    drain.begin();
    for caller in [&mut fresh, &mut parked, &mut idle] {
        assert!(caller.is_closed().await);
    }
    assert!(running.ended.try_recv().is_err(), "control: this one goes on");
    let (head, body) = running.answer().await;
    assert_eq!(body, "/late");
    assert!(head.contains("connection: close"), "{head}");
    assert!(running.is_closed().await);
    for caller in [fresh, parked, idle, running] {
        assert_eq!(caller.ended.await.unwrap(), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn d4_the_rest_of_a_body_is_never_read_as_a_request() {
    let (tasks, drain) = world();
    let mut caller = Caller::new(1024, &tasks, &drain);
    let body = get("/smuggled");
    let whole = post("/early", &body);
    let (begin, rest) = whole.split_at(whole.len() - body.len());
    caller.send(begin).await;
    assert_eq!(caller.answer().await.1, "x", "the answer came before the body");
    tokio::time::sleep(PARK_AFTER * 3).await;
    assert!(!caller.is_parked(), "the request is not over");
    caller.send(rest).await;
    assert_eq!(caller.ask("/next").await, "/next");
    assert_eq!(caller.paths(), ["/early", "/next"]);
    tokio::time::sleep(PARK_AFTER * 3).await;
    assert!(caller.is_parked(), "control: now it is");
    assert_eq!(caller.ask("/smuggled").await, "/smuggled");
}

#[tokio::test(start_paused = true)]
async fn a_long_call_is_not_interrupted_and_its_connection_kept() {
    let (tasks, drain) = world();
    let mut caller = Caller::new(1024, &tasks, &drain);
    caller.ask("/before").await;
    caller.send(&get("/late")).await;
    let (head, body) = caller.answer().await;
    assert_eq!(body, "/late");
    assert!(!head.contains("connection: close"), "{head}");
    assert_eq!(caller.ask("/after").await, "/after");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_lies_unread_is_whole_before_its_connection_is_parked() {
    let (tasks, drain) = world();
    let mut caller = Caller::new(64, &tasks, &drain);
    let (begin, rest) = ("POST /long HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n", "body");
    caller.send(begin).await;
    tokio::time::sleep(TICK).await;
    // The end of the request, while its answer waits to be written: hyper counts both as whole.
    caller.send(rest).await;
    tokio::time::sleep(PARK_AFTER * 3).await;
    assert!(!caller.is_parked(), "the answer is not out");
    assert_eq!(caller.answer().await.1.len(), ANSWER_BYTES);
    assert_eq!(caller.ask("/next").await, "/next");
    tokio::time::sleep(PARK_AFTER * 2).await;
    assert!(caller.is_parked());
}
