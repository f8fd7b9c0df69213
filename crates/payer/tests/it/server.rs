//! A scripted HTTP server: says one prepared answer after another and keeps what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The payment in `_meta`, under either key.
    pub(crate) fn payment(&self) -> Option<&Value> {
        let meta = self.body.pointer("/params/_meta")?;
        meta.get("x402/payment").or_else(|| meta.get("l402/authorization"))
    }
}

/// One prepared answer. `{id}` in the text becomes the id of the request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Text {
        status: u16,
        headers: Vec<(&'static str, String)>,
        text: String,
    },
    /// Announces more bytes than it sends, then closes.
    Cut,
    /// Announces an answer and never sends it.
    Hang,
}

impl Reply {
    pub(crate) fn json(status: u16, text: impl Into<String>) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self::Text { status, headers, text: text.into() }
    }

    pub(crate) fn result(result: &Value) -> Self {
        Self::json(200, format!(r#"{{"jsonrpc":"2.0","id":{{id}},"result":{result}}}"#))
    }

    pub(crate) fn error(status: u16, error: &Value) -> Self {
        Self::json(status, format!(r#"{{"jsonrpc":"2.0","id":{{id}},"error":{error}}}"#))
    }

    /// Server-sent events; `{id}` in them becomes the id of the request.
    pub(crate) fn events(text: impl Into<String>) -> Self {
        Self::json(200, text).with_header("content-type", "text/event-stream")
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Text { headers, .. } = &mut self {
            headers.retain(|(known, _)| *known != name);
            headers.push((name, value.into()));
        }
        self
    }
}

struct Script {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Asked>>,
}

pub(crate) struct Server {
    address: SocketAddr,
    script: Arc<Script>,
    /// Ends with the test.
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn saying(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let replies = Mutex::new(replies.into_iter().collect());
        let script = Arc::new(Script { replies, asked: Mutex::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&script)));
        Self { address, script, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().expect("the list").clone()
    }

    /// The messages that were posted, in order.
    pub(crate) fn posted(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.method == Method::POST).collect()
    }

    /// Waits until so many payments arrived.
    pub(crate) async fn wait_for_payments(&self, count: usize) {
        let arrived = async {
            while self.payments().len() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), arrived).await.expect("payments in time");
    }

    /// The payments that arrived, in order.
    pub(crate) fn payments(&self) -> Vec<Value> {
        self.asked().iter().filter_map(|asked| asked.payment().cloned()).collect()
    }
}

async fn accept(listener: TcpListener, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&script)));
            // A connection that a test cuts ends with an error, as it should.
            let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, script: Arc<Script>) -> Result<Response<TestBody>, Infallible> {
    let (head, body) = request.into_parts();
    let text = String::from_utf8(body.collect().await.expect("a body").to_bytes().to_vec()).expect("UTF-8");
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let id = body.get("id").map(ToString::to_string).unwrap_or_default();
    let asked = Asked { method: head.method, headers: head.headers, text, body };
    // A stream to listen on is no part of a script: it may be asked for at any moment.
    let listens = asked.method == Method::GET && asked.header("last-event-id").is_none();
    script.asked.lock().expect("the list").push(asked);
    let reply = match listens {
        true => Some(Reply::json(405, "")),
        false => script.replies.lock().expect("the script").pop_front(),
    };
    Ok(match reply {
        Some(Reply::Text { status, headers, text }) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            let text = text.replace("{id}", &id);
            response.body(TestBody::Whole(Full::new(Bytes::from(text)))).expect("a response")
        }
        Some(Reply::Cut) => Response::builder()
            .header("content-type", "application/json")
            .header("content-length", "4096")
            .body(TestBody::Cut(false))
            .expect("a response"),
        Some(Reply::Hang) => Response::builder()
            .header("content-type", "application/json")
            .body(TestBody::Hang)
            .expect("a response"),
        None => Response::builder()
            .status(500)
            .body(TestBody::Whole(Full::new(Bytes::from_static(b"the script is over"))))
            .expect("a response"),
    })
}

pub(crate) enum TestBody {
    Whole(Full<Bytes>),
    Cut(bool),
    Hang,
}

impl hyper::body::Body for TestBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => {
                std::pin::Pin::new(body).poll_frame(context).map_err(|never: Infallible| match never {})
            }
            Self::Cut(sent) if !*sent => {
                *sent = true;
                let begun = Bytes::from_static(br#"{"jsonrpc":"2.0","#);
                std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(begun))))
            }
            Self::Hang => std::task::Poll::Pending,
            Self::Cut(_) => std::task::Poll::Ready(Some(Err(std::io::Error::other("cut")))),
        }
    }
}
