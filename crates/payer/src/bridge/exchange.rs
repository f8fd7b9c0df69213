//! One request and its answer: sent as it is, everything the server says meanwhile passed on at once, a broken stream of the
//! legacy era taken up again. Never sends a request twice that a server may have looked at.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tollgate_egress::{EgressError, Streamed};
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Era, Frame, Kind, RequestId};

use super::Shared;
use super::board::Elsewhere;
use super::far::{Session, era_of};
use super::stream::{Messages, StreamError};
use crate::demand::Demand;
use crate::mirror;

/// How long a server may be silent in the middle of an answer, in milliseconds.
const SILENCE_MS_MAX: u64 = 600_000;
/// How often a broken stream is taken up again without anything new on it.
const RESUMES_MAX: u32 = 5;
/// The pause before that where the server names none, and the longest one it may name, in milliseconds.
const RESUME_PAUSE_MS: u64 = 1_000;
const RESUME_PAUSE_MS_MAX: u64 = 30_000;
/// How long the rest of an answered stream may take, in milliseconds.
const REST_MS_MAX: u64 = 1_000;

/// How an exchange ended.
#[derive(Debug)]
pub(super) enum Exchanged {
    /// The server's answer to this request.
    Answer(Frame),
    /// A plain HTTP 402.
    Payment(Demand),
    /// No answer came.
    Failed(Failure),
}

/// Why there is no answer, as the client is told.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: i32,
    pub(super) message: String,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { code: code::INTERNAL_ERROR, message: message.into() }
    }

    /// The JSON-RPC error for the client's request.
    pub(super) fn answer(&self, id: &RequestId) -> bytes::Bytes {
        reply::error(Some(id), self.code, &self.message, None)
    }
}

/// What a request is beside its message.
#[derive(Debug, Default)]
pub(super) struct With {
    /// A header that pays.
    pub(super) payment: Option<(HeaderName, HeaderValue)>,
    /// Whether it carries a payment at all: then it is not resumed but presented again.
    pub(super) is_paid: bool,
}

impl Shared {
    /// Sends the request `frame` of the client's request `id` and waits for its answer.
    pub(super) async fn exchange(&self, id: &RequestId, frame: &Frame, with: With) -> Exchanged {
        let Some(wire) = frame.id() else {
            return Exchanged::Failed(Failure::new("a request without an id"));
        };
        let mut is_first = true;
        loop {
            let opens = frame.method() == Some("initialize");
            // Before the request takes it along: whoever finds it gone must not take a newer one for it.
            let session = self.far.session().filter(|_| era_of(frame) == Era::Legacy && !opens);
            let mut request = match self.far.post(frame) {
                Ok(request) => request,
                Err(error) => return Exchanged::Failed(Failure::new(error.to_string())),
            };
            if let Some(call) = frame.tool_call().filter(|_| era_of(frame) == Era::Modern) {
                let mirrored = self.listing.mirrored(&call.name);
                request.headers_mut().extend(mirror::headers(&mirrored, &call.arguments));
            }
            if let Some((name, value)) = with.payment.clone() {
                request.headers_mut().insert(name, value);
            }
            let mut elsewhere = self.board.expect(id, wire);
            let opened = tokio::select! {
                answer = elsewhere.answer() => return Exchanged::Answer(answer),
                opened = self.far.open(request) => opened,
            };
            let response = match opened {
                Ok(response) => response,
                Err(error) => return Exchanged::Failed(self.unreachable(&error)),
            };
            // A server that does not know the session has not looked at the request: in another one it is sent for the first time.
            if let Some(gone) =
                session.as_ref().filter(|session| is_first && is_forgotten(&response, session))
                && self.reopen(id, gone).await
            {
                is_first = false;
                continue;
            }
            let resumable = session.filter(|_| !with.is_paid);
            return self.read(frame, response, elsewhere, resumable).await;
        }
    }

    async fn read(
        &self,
        frame: &Frame,
        response: Response<Streamed>,
        mut elsewhere: Elsewhere,
        session: Option<Session>,
    ) -> Exchanged {
        let status = response.status();
        let (head, body) = response.into_parts();
        if status == StatusCode::PAYMENT_REQUIRED {
            let reason = "the server asks for payment (HTTP 402) in no form that this bridge reads";
            return Demand::of_http(&head.headers)
                .map_or_else(|| Exchanged::Failed(Failure::new(reason)), Exchanged::Payment);
        }
        let forgotten = status == StatusCode::NOT_FOUND && session.as_ref().is_some_and(|s| s.id.is_some());
        let Some(mut messages) = Messages::of(&head.headers, body) else {
            return Exchanged::Failed(if forgotten { ended_session() } else { without_answer(status) });
        };
        let mut resumed: Option<(HeaderValue, u32)> = None;
        loop {
            let heard = tokio::select! {
                answer = elsewhere.answer() => Ok(Some(answer)),
                heard = self.until_answer(frame, status, &mut messages) => heard,
            };
            let broken = match heard {
                Ok(Some(answer)) => {
                    self.learn(frame, &answer, &head.headers);
                    self.tasks.spawn(async move {
                        let rest = Duration::from_millis(REST_MS_MAX);
                        // A server that leaves an answered stream open loses it.
                        tokio::time::timeout(rest, messages.drain()).await.unwrap_or_default();
                    });
                    return Exchanged::Answer(if forgotten { self.explained(answer) } else { answer });
                }
                Ok(None) if !status.is_success() => {
                    return Exchanged::Failed(if forgotten {
                        ended_session()
                    } else {
                        without_answer(status)
                    });
                }
                Ok(None) => "the server ended its stream without an answer".to_owned(),
                Err(error) => said(&error),
            };
            let lost = |more: &str| {
                Exchanged::Failed(Failure::new(format!("{broken}{more}; the call may have run")))
            };
            let Some((session, after)) = session.as_ref().zip(messages.last_event_id().cloned()) else {
                return lost("");
            };
            // Whoever brings something new each time may break off as often as it likes (SEP-1699).
            let attempt = resumed.take().filter(|(last, _)| *last == after).map_or(1, |(_, count)| count + 1);
            if attempt > RESUMES_MAX {
                return lost(", however often it was taken up again");
            }
            let pause = messages.retry_ms().unwrap_or(RESUME_PAUSE_MS).min(RESUME_PAUSE_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if let Ok(response) = self.far.open(self.far.listen(session, Some(&after))).await {
                let (head, body) = response.into_parts();
                match Messages::of(&head.headers, body).filter(|_| head.status.is_success()) {
                    Some(next) => messages = next.after(&messages),
                    None => return lost(", and the server does not take it up again"),
                }
            }
            resumed = Some((after, attempt));
        }
    }

    /// Passes on what comes until the answer to `frame` does; `None` at the end of the stream.
    async fn until_answer(
        &self,
        frame: &Frame,
        status: StatusCode,
        messages: &mut Messages,
    ) -> Result<Option<Frame>, StreamError> {
        let listens = is_listening(frame);
        loop {
            let next = async {
                if listens {
                    return messages.next().await;
                }
                let silence = Duration::from_millis(SILENCE_MS_MAX);
                let next = tokio::time::timeout(silence, messages.next()).await;
                next.unwrap_or(Err(StreamError::Broken(EgressError::Timeout(SILENCE_MS_MAX))))
            };
            let Some(message) = next.await? else { return Ok(None) };
            let heard = match Frame::parse_upstream(message) {
                Ok(heard) => heard,
                Err(error) => {
                    tracing::warn!(%error, "the server said something that is no MCP message");
                    continue;
                }
            };
            match heard.kind() {
                Kind::Request | Kind::Notification => self.say(heard.bytes()).await,
                Kind::Response | Kind::ErrorResponse if heard.id() == frame.id() => return Ok(Some(heard)),
                // A request that was not even read is refused without its id.
                Kind::ErrorResponse if heard.id().is_none() && !status.is_success() => {
                    return Ok(Some(named(&heard, frame)));
                }
                Kind::Response | Kind::ErrorResponse => self.stray(heard),
            }
        }
    }

    /// An answer on a stream that is not its own.
    pub(super) fn stray(&self, answer: Frame) {
        if !self.board.hand_over(answer) {
            tracing::debug!("the server answered a request that waits no more");
        }
    }

    fn learn(&self, frame: &Frame, answer: &Frame, headers: &HeaderMap) {
        match (frame.method(), answer.result()) {
            (Some("initialize"), Some(_)) => self.far.began(frame, answer, headers),
            (Some("tools/list"), Some(result)) => {
                self.listing.learn(&result, frame.param("cursor").is_none());
            }
            _ => {}
        }
    }

    /// The server's own word for a session that it does not know, and what to do about it.
    fn explained(&self, answer: Frame) -> Frame {
        let advice = ended_session();
        let Some(id) = answer.id() else { return answer };
        Frame::parse_upstream(advice.answer(id)).unwrap_or(answer)
    }

    fn unreachable(&self, error: &EgressError) -> Failure {
        let place = self.far.place();
        Failure::new(if error.nothing_was_sent() {
            format!("could not reach {place}: {error}; is the server running? Nothing was sent")
        } else {
            format!("{place} gave no answer: {error}; the request may have arrived")
        })
    }
}

/// Whether a server says that it does not know the session.
fn is_forgotten<T>(response: &Response<T>, session: &Session) -> bool {
    response.status() == StatusCode::NOT_FOUND && session.id.is_some()
}

/// Whether a request stays open until somebody ends it.
pub(super) fn is_listening(frame: &Frame) -> bool {
    frame.method() == Some("subscriptions/listen")
}

/// An error without an id, under the id of the request that it refuses.
fn named(error: &Frame, request: &Frame) -> Frame {
    let (Some(id), Some(raw)) = (request.id(), error.error()) else { return error.clone() };
    let mut message = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":").into_bytes();
    message.extend_from_slice(&raw);
    message.push(b'}');
    Frame::parse_upstream(message.into()).unwrap_or_else(|_| error.clone())
}

fn ended_session() -> Failure {
    Failure {
        code: code::INVALID_REQUEST,
        message: "the server has ended this session; initialize again (reconnect the client)".to_owned(),
    }
}

fn without_answer(status: StatusCode) -> Failure {
    let number = status.as_u16();
    Failure::new(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => format!(
            "the server refuses this client (HTTP {number}); give it credentials with --header \"Authorization: Bearer …\""
        ),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            format!("there is no MCP endpoint at this URL (HTTP {number}); check its path, such as /mcp")
        }
        _ => format!("the server answered HTTP {number} without a JSON-RPC message"),
    })
}

fn said(error: &StreamError) -> String {
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        text.push_str(&format!(" ({source})"));
    }
    text
}
