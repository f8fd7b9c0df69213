//! Taking the one answer of a `tools/call` out of the upstream's response, so that it can be withheld until the call is settled.
//!
//! What comes before the answer (progress, logs, requests of the server) flows to the client at once. The answer itself is
//! handed over, and only what is handed back reaches the client, in the same framing. No part of an answer that breaks off
//! ever does. Where the server hangs up first and keeps the rest for whoever comes back, the rest is fetched.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderName};
use http::response::Parts;
use http::{Response, StatusCode};
use http_body_util::StreamBody;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;
use tollgate_mcp::json::lookup;
use tollgate_mcp::{Frame, Kind, RequestId, lines, sse};

use crate::body::{BodySender, Gone};
use crate::headers::remove;
use crate::messages::{Framing, Messages, Piece};
use crate::resume::{Resumable, Resume};
use crate::{Body, BodyError, UpstreamError};
use tollgate_risk::room::Room;

/// Bounds of one answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// The longest message, in bytes.
    pub message_bytes_max: usize,
    /// All messages of the response together, in bytes.
    pub stream_bytes_max: usize,
    /// How many messages wait for a client who reads slowly; beyond, the upstream waits.
    pub queue_messages_max: usize,
    /// What all answers take room of while they are held; `None`: of nothing.
    pub room: Option<&'a Arc<Room>>,
}

impl Default for Limits<'_> {
    /// 4 MiB per message, 64 MiB in all, 16 messages waiting, and no bound on all answers together.
    fn default() -> Self {
        Self {
            message_bytes_max: 4 * 1024 * 1024,
            stream_bytes_max: 64 * 1024 * 1024,
            queue_messages_max: 16,
            room: None,
        }
    }
}

/// A response that is to be read, and the way back to its server.
#[derive(Debug)]
pub struct Answering {
    /// The response to the POST.
    pub response: Response<Body>,
    /// How to go on with its stream, should it end early; `None`: not at all.
    pub resume: Option<Resume>,
}

impl From<Response<Body>> for Answering {
    fn from(response: Response<Body>) -> Self {
        Self { response, resume: None }
    }
}

/// What the upstream's response turned out to be.
#[derive(Debug)]
pub enum Intercepted {
    /// The answer came first: nothing has gone to the client, so any HTTP response may still be given.
    Whole(Whole),
    /// Something came before the answer: the client's response is under way.
    Streamed(Streamed),
    /// An HTTP refusal that answers no JSON-RPC request, such as 401, or 404 for a session that has ended. It is complete and
    /// goes to the client as it is.
    Refused(Response<Body>),
}

/// An answer before which nothing came.
#[derive(Debug)]
pub struct Whole {
    head: Parts,
    piece: Piece,
    answer: Box<Frame>,
}

/// A response under way. The three parts go three ways: `response` to the client, `answer` to the settlement, `release`
/// from there.
#[derive(Debug)]
pub struct Streamed {
    /// Head and body for the client. The body stays open until `release` is used.
    pub response: Response<Body>,
    /// The answer, or why none comes. [`UpstreamError::Abandoned`]: the client went away first.
    pub answer: oneshot::Receiver<Result<Frame, UpstreamError>>,
    /// The message that the client gets in place of the answer, or of the missing answer; then the response ends. Dropped
    /// without a message, the client's connection is cut.
    pub release: oneshot::Sender<Bytes>,
}

impl Whole {
    /// The status of the upstream's response.
    pub const fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The answer: a JSON-RPC response with a result or an error.
    pub fn answer(&self) -> &Frame {
        &self.answer
    }

    /// The upstream's response with `message` in place of the answer, in the same framing.
    pub fn respond(self, message: Bytes) -> Response<Body> {
        Response::from_parts(self.head, Body::Full(self.piece.with_message(message)))
    }
}

/// Reads the response to the one `tools/call` with `id` up to its answer, or up to the first message before it.
///
/// Dropping the future, or the body of a [`Streamed`] response, ends the exchange with the upstream. The request must have been
/// sent without `Accept-Encoding`. Where there is a way back, a stream of events that ends early is gone on with, until the
/// deadline.
///
/// # Errors
/// [`UpstreamError`], if no answer comes: the response broke off, is not an answer to `id`, is longer than `limits`, or took
/// longer than `deadline`. Nothing has gone to the client then.
pub async fn intercept(
    response: impl Into<Answering>,
    id: &RequestId,
    limits: Limits<'_>,
    deadline: Instant,
    tasks: &TaskTracker,
) -> Result<Intercepted, UpstreamError> {
    let Answering { response, resume } = response.into();
    let (mut head, body) = response.into_parts();
    if !head.status.is_success() {
        let body = timeout_at(deadline, body.collect_in(limits.room, limits.message_bytes_max)).await;
        return Ok(refused(head, body.map_err(|_| UpstreamError::TimedOut)??, id));
    }
    let framing = Framing::of(&head.headers)
        .ok_or(UpstreamError::NotAnAnswer("its response carries no messages, or compressed ones"))?;
    let messages = Messages::new(body, framing, limits.message_bytes_max, limits.stream_bytes_max);
    let resume = resume.filter(|_| framing == Framing::Sse);
    let mut messages = Resumable::new(messages, limits.message_bytes_max, resume);
    let first = timeout_at(deadline, first_message(&mut messages, framing, id, limits.room)).await;
    let (piece, answer) = first.map_err(|_| UpstreamError::TimedOut)??;
    strip_body_headers(&mut head);
    if let Some(answer) = answer {
        if framing == Framing::Sse {
            // The end of the stream often comes a moment later; having read it, the connection serves the next request.
            tasks.spawn(async move { drop(timeout(DRAIN_MAX, messages.drain()).await) });
        }
        return Ok(Intercepted::Whole(Whole { head, piece, answer: Box::new(answer) }));
    }
    let (sender, body) = Body::channel(limits.queue_messages_max);
    // What came first is there with the head of the response, not a turn of two tasks later.
    sender.send(passed(piece)).await.map_err(|Gone| UpstreamError::Abandoned)?;
    let (report, answer) = oneshot::channel();
    let (release, released) = oneshot::channel();
    let relay = Relay { messages, framing, id: id.clone(), sender, room: limits.room.cloned() };
    tasks.spawn(relay.run(deadline, report, released));
    Ok(Intercepted::Streamed(Streamed { response: Response::from_parts(head, body), answer, release }))
}

/// A response to a GET without any answer in it: events pass one by one until one answers a request, then the connection is
/// cut.
///
/// In the era of sessions a client resumes a broken stream by a GET with `Last-Event-ID`, and the server sends what it had
/// missed, the answer included. An answer that was withheld because nobody paid for it must not come this way. What is no
/// stream of events passes as it is.
pub fn without_answers(response: Response<Body>, limits: Limits<'_>) -> Response<Body> {
    without(response, limits, is_answer)
}

/// As [`without_answers`], but only answers that list tools end it: a list that comes this way was compared with nothing.
pub fn without_tool_lists(response: Response<Body>, limits: Limits<'_>) -> Response<Body> {
    without(response, limits, is_tool_list)
}

fn without(response: Response<Body>, limits: Limits<'_>, is_withheld: fn(Bytes) -> bool) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if !head.status.is_success() {
        return Response::from_parts(head, body);
    }
    strip_body_headers(&mut head);
    let Some(framing) = Framing::of(&head.headers) else {
        // Compressed, or no messages: nobody here can see what is inside.
        let (sender, nothing) = Body::channel(1);
        sender.fail(UpstreamError::NotAnAnswer("its stream cannot be read"));
        return Response::from_parts(head, nothing);
    };
    // Such a stream may be open for days: there is no bound on all of it.
    let messages = Messages::new(body, framing, limits.message_bytes_max, usize::MAX);
    let state = Some((messages, limits.room.cloned()));
    let passing = stream::unfold(state, move |state| async move {
        let (mut messages, room) = state?;
        match next_but(&mut messages, room.as_ref(), is_withheld).await.transpose()? {
            Ok(piece) => Some((Ok(http_body::Frame::data(passed(piece))), Some((messages, room)))),
            Err(error) => Some((Err(BodyError::from(error)), None)),
        }
    });
    Response::from_parts(head, Body::boxed(StreamBody::new(passing)))
}

async fn next_but(
    messages: &mut Messages,
    room: Option<&Arc<Room>>,
    is_withheld: fn(Bytes) -> bool,
) -> Result<Option<Piece>, UpstreamError> {
    match messages.next_within(room).await? {
        Some(piece) if piece.message().or_else(|| piece.aside()).is_some_and(is_withheld) => {
            Err(UpstreamError::NotAnAnswer("an answer came on a resumed stream"))
        }
        other => Ok(other),
    }
}

const NO_ANSWER: UpstreamError = UpstreamError::NotAnAnswer("its response ends without an answer");
/// How long the end of a response that has been answered may take, before its connection is given up.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// The first message, and the answer if it is the answer. A JSON body whose first message is the answer must end with it.
async fn first_message(
    messages: &mut Resumable,
    framing: Framing,
    id: &RequestId,
    room: Option<&Arc<Room>>,
) -> Result<(Piece, Option<Frame>), UpstreamError> {
    let first = messages.next(room).await?.ok_or(NO_ANSWER)?;
    let answer = classify(&first, id)?;
    if answer.is_some() && framing == Framing::Json && messages.next(room).await?.is_some() {
        return Err(UpstreamError::NotAnAnswer("something follows its answer"));
    }
    Ok((first, answer))
}

/// A response with an error status: an answer if it carries one, else complete as it is.
fn refused(mut head: Parts, body: Bytes, id: &RequestId) -> Intercepted {
    let piece = Piece::from(body.clone());
    if Framing::of(&head.headers) == Some(Framing::Json)
        && let Ok(Some(answer)) = classify(&piece, id)
    {
        strip_body_headers(&mut head);
        return Intercepted::Whole(Whole { head, piece, answer: Box::new(answer) });
    }
    Intercepted::Refused(Response::from_parts(head, Body::Full(body)))
}

/// Headers that describe a body which is about to be replaced.
pub(crate) fn strip_body_headers(head: &mut Parts) {
    const OF_THE_BODY: [HeaderName; 5] = [
        CONTENT_LENGTH,
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("repr-digest"),
    ];
    remove(&mut head.headers, |name| OF_THE_BODY.contains(name));
}

/// The answer to `id`, if this piece is it; `None` for what passes on the way.
fn classify(piece: &Piece, id: &RequestId) -> Result<Option<Frame>, UpstreamError> {
    let Some(message) = piece.message() else {
        // Under a name that clients do not listen for, an answer would pass for whoever reads the raw stream.
        return if piece.aside().is_some_and(is_answer) {
            Err(UpstreamError::NotAnAnswer("its answer is an event of another name"))
        } else {
            Ok(None)
        };
    };
    let frame = Frame::parse_upstream(message)
        .map_err(|_| UpstreamError::NotAnAnswer("one of its messages is no strict JSON-RPC"))?;
    match (frame.kind(), frame.id()) {
        (Kind::Request | Kind::Notification, _) => Ok(None),
        // One request was sent, so an error that names none is about it.
        (Kind::ErrorResponse, None) => Ok(Some(frame)),
        (Kind::Response | Kind::ErrorResponse, Some(answered)) if answered == id => Ok(Some(frame)),
        (Kind::Response | Kind::ErrorResponse, _) => {
            Err(UpstreamError::NotAnAnswer("it answers another request"))
        }
    }
}

fn is_answer(message: Bytes) -> bool {
    Frame::parse_upstream(message)
        .is_ok_and(|frame| matches!(frame.kind(), Kind::Response | Kind::ErrorResponse))
}

/// An answer with a list of tools, or a message that a careless client could read as one.
fn is_tool_list(message: Bytes) -> bool {
    match Frame::parse_upstream(message.clone()) {
        Ok(frame) => frame.result().is_some_and(|result| lookup(&result, &["tools"]) != Ok(None)),
        Err(_) => {
            message.trim_ascii_start().starts_with(b"{") || message.trim_ascii_start().starts_with(b"[")
        }
    }
}

/// A piece on its way as it came.
fn passed(piece: Piece) -> Bytes {
    let raw = piece.raw().clone();
    piece.leaves_as(raw)
}

/// Carries messages to the client until the answer comes.
struct Relay {
    messages: Resumable,
    framing: Framing,
    id: RequestId,
    sender: BodySender,
    room: Option<Arc<Room>>,
}

impl Relay {
    async fn run(
        mut self,
        deadline: Instant,
        report: oneshot::Sender<Result<Frame, UpstreamError>>,
        released: oneshot::Receiver<Bytes>,
    ) {
        let outcome =
            timeout_at(deadline, self.until_answered()).await.unwrap_or(Err(UpstreamError::TimedOut));
        let Self { messages, framing, sender, .. } = self;
        let (event, outcome) = match outcome {
            Ok((piece, answer)) => (Some(piece), Ok(answer)),
            Err(error) => (None, Err(error)),
        };
        let answered = outcome.is_ok();
        // Whoever asked may be gone; then nothing is released either.
        drop(report.send(outcome));
        let released = if answered {
            let mut released = released;
            tokio::select! {
                biased;
                message = &mut released => message,
                // The end of the response is read meanwhile, for the sake of its connection.
                () = async { drop(timeout(DRAIN_MAX, messages.drain()).await) } => released.await,
            }
        } else {
            // The exchange ends here, before anybody decides about it.
            drop(messages);
            released.await
        };
        let Ok(message) = released else {
            return sender.fail(UpstreamError::NotAnAnswer("its answer was withheld"));
        };
        let bytes = match (event, framing) {
            (Some(piece), Framing::Sse) => piece.with_message(message),
            (Some(piece), Framing::Json) => piece.leaves_as(lines::encode(&message)),
            (None, Framing::Sse) => sse::encode(&message, None),
            (None, Framing::Json) => lines::encode(&message),
        };
        if sender.send(bytes).await.is_ok() {
            sender.finish();
        }
    }

    async fn until_answered(&mut self) -> Result<(Piece, Frame), UpstreamError> {
        loop {
            let piece = tokio::select! {
                biased;
                () = self.sender.gone() => return Err(UpstreamError::Abandoned),
                next = self.messages.next(self.room.as_ref()) => next?.ok_or(NO_ANSWER)?,
            };
            if let Some(answer) = classify(&piece, &self.id)? {
                return Ok((piece, answer));
            }
            self.sender.send(passed(piece)).await.map_err(|Gone| UpstreamError::Abandoned)?;
        }
    }
}

#[cfg(test)]
mod tests;
