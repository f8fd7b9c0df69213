//! A bridge: plain MCP on one side, line by line; streamable HTTP on the other; and a purse in between.
//!
//! What the client says goes out byte for byte, what the server says comes back byte for byte (line ends between tokens
//! aside), each as soon as it is there. The one thing that stays here is the demand to pay in the answer to a `tools/call`: it
//! is paid within the budget, once, and the client sees the answer. A demand anywhere else is passed on or refused, never paid.
//!
//! Does no I/O but HTTP: lines come and go through bounded channels, the clock and the budget's book are given to it.

mod batch;
mod board;
mod doubts;
mod exchange;
mod far;
mod listen;
mod listing;
mod pay;
mod purse;
mod refusal;
mod renew;
mod stream;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_egress::Limits;
use tollgate_mcp::reply::code;
use tollgate_mcp::{Frame, FrameError, Kind, RequestId, lines, reply};

use self::board::Board;
use self::doubts::Doubts;
use self::exchange::{Exchanged, With, is_listening};
use self::far::Far;
use self::listing::Listing;
use crate::{NoRandomness, Retries};

pub use self::far::Endpoint;
pub use self::purse::{Clock, Purse};

/// The longest line that is taken from the client, in bytes.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a notification or an answer of the client may take to be accepted; the next line waits for it, so that the server
/// hears them in their order.
const ACCEPT_MS_MAX: u64 = 10_000;
/// How long the last calls may take once the client has closed its side.
const DRAIN_MS_MAX: u64 = 5_000;
/// How long the end of a session may take.
const GOODBYE_MS_MAX: u64 = 2_000;

/// One bridge between one client and one server.
pub struct Bridge {
    shared: Arc<Shared>,
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("far", &self.shared.far).finish_non_exhaustive()
    }
}

/// What the tasks of a bridge share.
pub(crate) struct Shared {
    far: Far,
    purse: Purse,
    retries: Retries,
    board: Board,
    listing: Listing,
    doubts: Doubts,
    output: mpsc::Sender<Bytes>,
    tasks: TaskTracker,
    /// Cancelled when nobody reads any more.
    hangup: CancellationToken,
    /// Stops listening to the session before.
    listening: Mutex<CancellationToken>,
    /// Held while another session is opened in the place of one that is gone.
    reopening: tokio::sync::Mutex<()>,
    /// Another one was: whoever listens turns to it.
    renewed: Notify,
    /// Marks the ids of this bridge's own requests: a client's own ids must not meet them.
    mark: String,
    next_id: AtomicU64,
}

impl Bridge {
    /// A bridge to `endpoint` that pays from `purse` and writes its lines to `output`.
    ///
    /// # Errors
    /// [`NoRandomness`]: its requests would have guessable ids, its payments guessable nonces.
    pub fn new(
        endpoint: Endpoint,
        purse: Purse,
        retries: Retries,
        output: mpsc::Sender<Bytes>,
    ) -> Result<Self, NoRandomness> {
        let mark: String = hex::encode(purse.randomness.bytes()?).chars().take(16).collect();
        let shared = Shared {
            far: Far::new(endpoint),
            purse,
            retries,
            board: Board::default(),
            listing: Listing::default(),
            doubts: Doubts::default(),
            output,
            tasks: TaskTracker::new(),
            hangup: CancellationToken::new(),
            listening: Mutex::default(),
            reopening: tokio::sync::Mutex::default(),
            renewed: Notify::new(),
            mark,
            next_id: AtomicU64::new(1),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs until the input ends (the last calls may then still be answered), nobody reads the output, or `stop` is cancelled.
    /// Afterwards the server knows that the session is over.
    pub async fn run(self, mut input: mpsc::Receiver<Bytes>, stop: CancellationToken) {
        let shared = self.shared;
        let reading = async {
            let mut splitter = lines::Splitter::new(LINE_BYTES_MAX);
            while let Some(chunk) = input.recv().await {
                splitter.push(&chunk);
                loop {
                    match splitter.next_line() {
                        Ok(Some(line)) => shared.take(line).await,
                        Ok(None) => break,
                        Err(error) => {
                            let message = error.to_string();
                            shared.say(&reply::error(None, code::INVALID_REQUEST, &message, None)).await;
                        }
                    }
                }
            }
            let last = splitter.finish();
            if !last.trim_ascii().is_empty() {
                shared.take(last).await;
            }
            shared.stop_listening(CancellationToken::new());
            shared.board.cancel_listening();
            shared.tasks.close();
            let drain = Duration::from_millis(DRAIN_MS_MAX);
            tokio::time::timeout(drain, shared.tasks.wait()).await.unwrap_or_else(|_| {
                tracing::warn!("the client closed its side; calls without an answer are given up");
            });
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = shared.hangup.cancelled() => {}
            () = reading => {}
        }
        shared.hangup.cancel();
        shared.stop_listening(CancellationToken::new());
        shared.tasks.close();
        shared.tasks.wait().await;
        shared.end_session().await;
    }
}

impl Shared {
    /// Takes one line of the client.
    async fn take(self: &Arc<Self>, line: Bytes) {
        if tollgate_mcp::batch::is_batch(&line) {
            return batch::take(self, &line).await;
        }
        let frame = match Frame::parse(line) {
            Ok(frame) => frame,
            Err(error) => return self.say(&unreadable(&error)).await,
        };
        match frame.id().cloned() {
            Some(id) if frame.kind() == Kind::Request => match self.open(&id, &frame) {
                Ok(stop) => {
                    let shared = Arc::clone(self);
                    self.tasks.spawn(async move {
                        if let Some(answer) = Arc::clone(&shared).answered(frame, id, stop).await {
                            shared.say(&answer).await;
                        }
                    });
                }
                Err(refused) => self.say(&refused).await,
            },
            _ => self.take_notice(&frame).await,
        }
    }

    /// Takes what wants no answer.
    async fn take_notice(self: &Arc<Self>, frame: &Frame) {
        match (frame.kind(), frame.method()) {
            (Kind::Notification, Some("notifications/cancelled")) => self.cancel(frame).await,
            (Kind::Notification, Some("notifications/initialized")) => {
                if self.pass(frame).await
                    && let Some(session) = self.far.session()
                {
                    let stop = self.hangup.child_token();
                    self.stop_listening(stop.clone());
                    self.tasks.spawn(Arc::clone(self).listen(session, stop));
                }
            }
            _ => {
                self.pass(frame).await;
            }
        }
    }

    /// Takes a request; inside, what stops it, or the answer to one that is not taken.
    fn open(&self, id: &RequestId, frame: &Frame) -> Result<CancellationToken, Bytes> {
        let opened = self.board.open(id, is_listening(frame));
        opened.map_err(|error| reply::error(Some(id), code::INVALID_REQUEST, &error.to_string(), None))
    }

    /// The answer to a request that was taken. `None`: nobody waits for it any more.
    async fn answered(
        self: Arc<Self>,
        frame: Frame,
        id: RequestId,
        stop: CancellationToken,
    ) -> Option<Bytes> {
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = self.hangup.cancelled() => return None,
            answer = Box::pin(self.answer(&frame, &id)) => answer,
        };
        self.board.close(&id).then_some(answer)
    }

    /// The answer to a request of the client, under its id.
    async fn answer(&self, frame: &Frame, id: &RequestId) -> Bytes {
        if let Some(view) = frame.tool_call() {
            return self.tool_call(frame, view, id).await;
        }
        match self.exchange(id, frame, With::default()).await {
            Exchanged::Answer(answer) => answer.bytes().clone(),
            Exchanged::Failed(failure) => failure.answer(id),
            Exchanged::Payment(_) => {
                let method = frame.method().unwrap_or_default();
                let message =
                    format!("the server asks for payment for {method}; only tools/call is paid for");
                reply::error(Some(id), code::INTERNAL_ERROR, &message, None)
            }
        }
    }

    /// `notifications/cancelled`: a modern server hears it by the end of the exchange, a legacy one is told.
    async fn cancel(&self, frame: &Frame) {
        let raw = frame.param("requestId").and_then(|raw| std::str::from_utf8(raw).ok());
        let Some(id) = raw.and_then(|raw| RequestId::from_raw(raw).ok()) else { return };
        if self.far.session().is_some() {
            // The server may know the request under another id.
            let told = match self.board.wire_id(&id).filter(|wire| *wire != id) {
                Some(wire) => Frame::parse(frame.with_param("requestId", wire.raw())).ok(),
                None => None,
            };
            self.pass(told.as_ref().unwrap_or(frame)).await;
        }
        self.board.cancel(&id);
    }

    /// Passes on what wants no answer; whether the server accepted it.
    async fn pass(&self, frame: &Frame) -> bool {
        let Ok(request) = self.far.post(frame) else { return false };
        let limit = Duration::from_millis(ACCEPT_MS_MAX);
        match tokio::time::timeout(limit, self.far.open(request)).await {
            Ok(Ok(response)) if response.status().is_success() => true,
            Ok(Ok(response)) => {
                tracing::warn!(
                    status = response.status().as_u16(),
                    "the server did not accept a notification or an answer"
                );
                false
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "a notification or an answer did not reach the server");
                false
            }
            Err(_) => {
                tracing::warn!("the server took too long to accept a notification or an answer");
                false
            }
        }
    }

    /// Writes one message to the client.
    async fn say(&self, message: &[u8]) {
        if self.output.send(lines::encode(message)).await.is_err() {
            self.hangup.cancel();
        }
    }

    /// Stops listening to a session; `next` stops the next one.
    fn stop_listening(&self, next: CancellationToken) {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *listening, next).cancel();
    }

    /// An id that no client gives and no other request has.
    fn fresh_id(&self) -> RequestId {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let text = format!("tollgate-{}-{number}", self.mark);
        // Far shorter than an id may be; were it not, the number alone would do.
        RequestId::string(&text)
            .unwrap_or_else(|_| RequestId::integer(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    async fn end_session(&self) {
        let Some(request) = self.far.goodbye() else { return };
        let limits = Limits { timeout_ms_max: GOODBYE_MS_MAX, response_bytes_max: 64 * 1024 };
        // The conversation is over; whether the server minds the goodbye changes nothing.
        drop(self.far.endpoint.client.with_limits(limits).send(request).await);
    }
}

/// The answer to what is no message.
fn unreadable(error: &FrameError) -> Bytes {
    reply::error(error.id(), error.code(), &error.to_string(), None)
}
