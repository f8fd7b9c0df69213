//! Reading what came back: one HTTP answer, JSON or SSE, as the JSON-RPC answer to one request.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_mcp::sse::Splitter;
use tollgate_mcp::{Frame, Kind, RequestId};

use crate::demand::{Demand, ResultParts};

/// Stands for the number of an error that has none, because it came as a result.
const NO_NUMBER: i32 = 0;

/// What one HTTP exchange said.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The frame with the result of our request.
    Result(Box<Frame>),
    /// An error for our request, or one that names no request.
    Error(RpcError),
    /// A plain HTTP 402.
    Payment(Demand),
    /// No JSON-RPC answer to our request.
    Nothing {
        /// What came instead, for people.
        reason: String,
    },
}

/// A JSON-RPC error, with the parts that Tollgate's answers carry in `data`.
#[derive(Debug)]
pub(crate) struct RpcError {
    /// Its number.
    pub(crate) code: i32,
    /// Its sentence.
    pub(crate) message: String,
    /// Whether it names our request: an error without our id says that the request was not even read as one.
    pub(crate) is_ours: bool,
    /// What `data` says, as far as it is known here.
    pub(crate) facts: Facts,
}

/// The facts of a denial as Tollgate writes them into `error.data` and `_meta["tollgate/denial"]`.
#[derive(Clone, Default, Debug, Deserialize)]
pub(crate) struct Facts {
    /// The stable word.
    pub(crate) error: Option<String>,
    /// The sentence.
    pub(crate) message: Option<String>,
    /// The advice.
    pub(crate) next_step: Option<String>,
    /// Whether the same request may pass later.
    pub(crate) retryable: Option<bool>,
    /// The call that holds the payment.
    pub(crate) holding_call_id: Option<String>,
    /// The call.
    pub(crate) call_id: Option<String>,
    /// Revisions a server speaks (MCP `-32022`).
    pub(crate) supported: Option<Vec<String>>,
    /// Whether the money that it asks for is sandbox money.
    pub(crate) sandbox: Option<bool>,
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    code: i32,
    #[serde(default)]
    message: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Finds the answer to request `id` in an HTTP answer.
pub(crate) fn hear(answer: &Response<Bytes>, id: &RequestId) -> Heard {
    if answer.status() == StatusCode::PAYMENT_REQUIRED {
        return match Demand::of_http(answer.headers()) {
            Some(demand) => Heard::Payment(demand),
            None => Heard::Nothing {
                reason: "it asks for payment (HTTP 402) in no form that this client reads".to_owned(),
            },
        };
    }
    let found =
        if is_stream(answer) { in_stream(answer.body(), id) } else { answer_to(answer.body().clone(), id) };
    found.unwrap_or_else(|| Heard::Nothing {
        reason: format!("HTTP {} without an answer to the request", answer.status().as_u16()),
    })
}

fn is_stream(answer: &Response<Bytes>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
}

/// The first event that answers the request. Its notifications and the server's own requests stand on the same stream.
fn in_stream(body: &Bytes, id: &RequestId) -> Option<Heard> {
    // The whole body was read within the client's limit, so no event can be longer.
    let mut events = Splitter::new(body.len());
    events.push(body);
    while let Ok(Some(event)) = events.next_event() {
        let found = event.data().and_then(|data| answer_to(data.clone(), id));
        if found.is_some() {
            return found;
        }
    }
    None
}

/// This message as the answer to request `id`, if it is one. What two readers could read differently is no answer.
fn answer_to(message: Bytes, id: &RequestId) -> Option<Heard> {
    Heard::of_frame(Frame::parse_upstream(message).ok()?, id)
}

impl Heard {
    /// This frame as the answer to request `id`, if it is one.
    pub(crate) fn of_frame(frame: Frame, id: &RequestId) -> Option<Self> {
        let is_ours = frame.id() == Some(id);
        match frame.kind() {
            Kind::Response if !is_ours => None,
            Kind::Response => Some(match denial_in(&frame) {
                Some(facts) => {
                    let message = facts.message.clone().unwrap_or_default();
                    Self::Error(RpcError { code: NO_NUMBER, message, is_ours, facts })
                }
                None => Self::Result(Box::new(frame)),
            }),
            Kind::ErrorResponse => {
                let raw = frame.error()?;
                let error: ErrorObject<'_> = serde_json::from_slice(&raw).ok()?;
                let facts =
                    error.data.and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or_default();
                Some(Self::Error(RpcError { code: error.code, message: error.message, is_ours, facts }))
            }
            Kind::Request | Kind::Notification => None,
        }
    }
}

/// The facts of a denial that came as a tool's result, as a session gets them; `None` for the answer of a tool, and for a demand to pay.
fn denial_in(frame: &Frame) -> Option<Facts> {
    if frame.result_member("isError") != Some(b"true".as_slice()) {
        return None;
    }
    let parts = ResultParts::read(frame);
    parts.denial.filter(|facts| facts.error.is_some() && parts.demand.is_none())
}

#[cfg(test)]
mod tests;
