//! Runs one call as its tool's script says.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::header::{CONTENT_ENCODING, HeaderValue};
use http::{Response, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::body::{Body, Broken, events, json as json_body, streamed, whole};
use super::record::{Era, Shared};
use super::script::{Behaviour, Endless};
use super::service::{Connection, NoAnswer};
use super::wire;

/// What a broken answer promises, in bytes.
const PROMISED_BYTES: usize = 1_000;

/// What it sends of it: the beginning of a believable result.
const PART: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hal"#;

/// One call.
#[derive(Debug)]
pub(super) struct Request {
    /// JSON text.
    pub(super) id: String,
    pub(super) era: Era,
    /// JSON text, or empty.
    pub(super) arguments: String,
    /// JSON text.
    pub(super) progress_token: Option<String>,
}

impl Request {
    fn result(&self, result: Value) -> String {
        wire::result(&self.id, self.era, result)
    }

    fn echo(&self) -> String {
        let text = json!({"type": "text", "text": self.arguments});
        let arguments: &str = if self.arguments.is_empty() { "null" } else { &self.arguments };
        // Spliced, so that numbers and key order keep their spelling.
        let echoed = serde_json::from_str::<&RawValue>(arguments).map_or("null", RawValue::get);
        let complete = if self.era == Era::Modern { r#","resultType":"complete""# } else { "" };
        format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[{text}],"structuredContent":{{"echo":{echoed}}}{complete}}}}}"#,
            self.id
        )
    }
}

/// A call that is counted as abandoned unless it is finished.
struct Running {
    shared: Arc<Shared>,
    finished: bool,
}

impl Running {
    fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            self.shared.abandoned.add();
        }
    }
}

fn text(words: &str) -> Value {
    json!({"content": [{"type": "text", "text": words}]})
}

pub(super) async fn run(
    connection: &Arc<Connection>,
    behaviour: Behaviour,
    request: Request,
) -> Result<Response<Body>, NoAnswer> {
    let shared = &connection.shared;
    shared.executions.add();
    let found = |message: String| Ok(json_body(StatusCode::OK, message));
    match behaviour {
        Behaviour::Echo => found(request.echo()),
        Behaviour::Text(words) => found(request.result(text(&words))),
        Behaviour::Result(result) => found(request.result(result)),
        Behaviour::Fail(words) => {
            let content = json!([{"type": "text", "text": words}]);
            found(request.result(json!({"content": content, "isError": true})))
        }
        Behaviour::Error { code, message } => found(wire::error(&request.id, code, &message)),
        Behaviour::Raw { status, content_type, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            Ok(whole(status, &content_type, body.replace("{id}", &request.id)))
        }
        Behaviour::Endless(kind) => Ok(endless(connection, &request, kind)),
        Behaviour::Hang => {
            let running = Running { shared: Arc::clone(shared), finished: false };
            shared.released.cancelled().await;
            running.finish();
            found(request.echo())
        }
        Behaviour::Progress { steps } => Ok(progress(connection, request, steps, End::Result)),
        Behaviour::Stamped { steps, apart } => Ok(stamped(connection, request, steps, apart)),
        Behaviour::ProgressThenReset { steps } => Ok(progress(connection, request, steps, End::Reset)),
        Behaviour::Huge { bytes } => found(request.result(text(&"x".repeat(bytes)))),
        Behaviour::HalfClose => {
            let mut socket = connection.socket()?;
            send_part(&mut socket, &format!("content-length: {PROMISED_BYTES}\r\n\r\n{PART}")).await?;
            socket.shutdown().await?;
            // The other direction stays open until the client closes it, which drops this future.
            std::future::pending().await
        }
        Behaviour::ResetMidBody => {
            let mut socket = connection.socket()?;
            send_part(&mut socket, &format!("content-length: {PROMISED_BYTES}\r\n\r\n{PART}")).await?;
            socket.set_zero_linger()?;
            // The reset leaves when the HTTP server drops its handle, the last one, for this error.
            Err(NoAnswer::Broken(io::ErrorKind::ConnectionReset.into()))
        }
        Behaviour::TruncatedChunk => {
            let mut socket = connection.socket()?;
            send_part(
                &mut socket,
                &format!("transfer-encoding: chunked\r\n\r\n{PROMISED_BYTES:x}\r\n{PART}"),
            )
            .await?;
            socket.shutdown().await?;
            Err(NoAnswer::Broken(io::ErrorKind::UnexpectedEof.into()))
        }
        Behaviour::ChangeTools(tools) => {
            shared.replace_tools(tools);
            found(request.result(text("The tools have changed.")))
        }
    }
}

async fn send_part(socket: &mut TcpStream, rest: &str) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    socket.write_all(format!("{head}{rest}").as_bytes()).await
}

/// Notifications that say when they were made, as fast as they are taken or one by one.
fn stamped(connection: &Arc<Connection>, request: Request, steps: u32, apart: Duration) -> Response<Body> {
    let running = Running { shared: Arc::clone(&connection.shared), finished: false };
    events(stream::unfold((request, Some(running), 0), move |(request, mut running, done)| async move {
        if done > 0 && running.is_some() && !apart.is_zero() {
            tokio::time::sleep(apart).await;
        }
        if done < steps {
            let token = request.progress_token.as_deref().unwrap_or("null");
            let done = done.saturating_add(1);
            let made = crate::clock::monotonic_ns().ok()?;
            let event = wire::event(&wire::progress_saying(token, done, steps, made));
            return Some((Ok(event), (request, running, done)));
        }
        running.take()?.finish();
        Some((Ok(wire::event(&request.echo())), (request, None, done)))
    }))
}

/// How long what has no end is at most, and how much of it is made at once.
const ENDLESS_BYTES: usize = 1 << 30;
const AT_ONCE_BYTES: usize = 64 * 1024;

fn endless(connection: &Arc<Connection>, request: &Request, kind: Endless) -> Response<Body> {
    let result = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[],"x":""#, request.id);
    let notification = wire::event(&wire::progress(request.progress_token.as_deref().unwrap_or("1"), 1, 2));
    let (content_type, first, rest) = match kind {
        Endless::Json | Endless::Compressed => ("application/json", result, "x".to_owned()),
        Endless::Event => ("text/event-stream", format!("data: {result}"), "x".to_owned()),
        Endless::Events => ("text/event-stream", String::new(), notification),
    };
    let rest = Bytes::from(rest.repeat(AT_ONCE_BYTES / rest.len()));
    let running = Running { shared: Arc::clone(&connection.shared), finished: false };
    let rest = stream::unfold((running, 0), move |(running, sent)| {
        let next = rest.clone();
        async move {
            if sent >= ENDLESS_BYTES {
                running.finish();
                return None;
            }
            let sent = sent.saturating_add(next.len());
            Some((Ok(next), (running, sent)))
        }
    });
    let mut response =
        streamed(content_type, stream::once(async move { Ok(Bytes::from(first)) }).chain(rest));
    if kind == Endless::Compressed {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// How a progress stream ends.
#[derive(Clone, Copy)]
enum End {
    Result,
    Reset,
}

fn progress(connection: &Arc<Connection>, request: Request, steps: u32, end: End) -> Response<Body> {
    struct State {
        connection: Arc<Connection>,
        request: Request,
        running: Option<Running>,
        done: u32,
    }
    let running = Running { shared: Arc::clone(&connection.shared), finished: false };
    let state = State { connection: Arc::clone(connection), request, running: Some(running), done: 0 };
    events(stream::unfold(state, move |mut state| async move {
        let running = state.running.take()?;
        if state.done < steps {
            let step = state.connection.shared.steps.acquire().await.ok()?;
            step.forget();
            state.done = state.done.saturating_add(1);
            let token = state.request.progress_token.as_deref().unwrap_or("null");
            let event = wire::event(&wire::progress(token, state.done, steps));
            state.running = Some(running);
            return Some((Ok(event), state));
        }
        running.finish();
        match end {
            End::Result => Some((Ok(wire::event(&state.request.echo())), state)),
            End::Reset => {
                let socket = state.connection.socket().ok()?;
                socket.set_zero_linger().ok()?;
                Some((Err(Broken), state))
            }
        }
    }))
}
