//! The gateway's own words: what a server behind it cannot say to a client in its place.

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, Response, StatusCode};
use http_body::Body as _;
use http_body_util::StreamBody;
use tollgate_domain::FailureKind;
use tollgate_exec::intercept::Limits;
use tollgate_exec::{Body, BodyError, Item, MessageStream, UpstreamError};
use tollgate_gate::{Door, Fault, Naming, faulted};
use tollgate_mcp::{Frame, Kind, RequestId, raw, reply, result};
use tollgate_rails::foreign;
use tollgate_registry::ResultPolicy;

use crate::result_scan::{Judged, NOTE_META, Note, Said, judged};

#[cfg(test)]
mod tests;

/// Keys by which a client knows a gateway's own word: a server behind the gateway cannot say them, in no spelling that a
/// careless reader could take for ours.
pub(crate) fn is_reserved(key: &str) -> bool {
    let key = key.to_lowercase();
    ["tollgate/", "x402/", "x402.", "l402/", "org.paymentauth/", "agents-x402/"]
        .iter()
        .any(|own| key.starts_with(own))
}

/// A raw result without anything in its `_meta` that only the gateway may say.
pub(crate) fn without_reserved(result: Bytes) -> Bytes {
    if raw::member(&result, "_meta").is_none() {
        return result;
    }
    let id = RequestId::integer(0);
    let own = result::with_result_meta(&reply::result(&id, &result), &[], is_reserved);
    own.ok().and_then(|own| Frame::parse_upstream(own).ok()?.result()).unwrap_or(result)
}

/// Whether a raw `tools/call` result is a demand to pay: an error, as every demand is, in the words of one. Results that
/// do not say that they are errors are not looked at any further.
pub(crate) fn is_demand_result(result: &[u8]) -> bool {
    let says_error = match tollgate_mcp::json::lookup(result, &["isError"]) {
        Ok(value) => !matches!(value, None | Some(b"false" | b"null")),
        Err(_) => true,
    };
    says_error && foreign::is_demand(result)
}

/// Whether a server's answer is a demand to pay of its own. See [`is_demand_result`].
pub(crate) fn is_demand(answer: &Frame) -> bool {
    match answer.kind() {
        Kind::Response => {
            let says_error = !matches!(answer.result_member("isError"), None | Some(b"false" | b"null"));
            says_error && answer.result().is_some_and(|result| foreign::is_demand(&result))
        }
        Kind::ErrorResponse => answer.error().is_some_and(|error| foreign::is_demand(&error)),
        Kind::Request | Kind::Notification => false,
    }
}

/// Takes off the head of a server's response what asks for a payment or confirms one, and what it says of the gateway's own origin.
///
/// # Errors
/// [`UpstreamError::NotAnAnswer`], of a response that sends its reader away from the gateway.
pub(crate) fn strip(response: &mut Response<Body>) -> Result<(), UpstreamError> {
    foreign::strip_headers(response.headers_mut());
    at_own_origin(response)
}

/// Takes off the head of a server's response what clients apply to the origin that they asked, which is the gateway's and every other
/// server's behind it.
///
/// # Errors
/// [`UpstreamError::NotAnAnswer`], of a response that asks for a credential of its reader's, or sends it elsewhere: it would show
/// another server its key and its payment, or log in there for nothing, as credentials end at the gateway.
pub(crate) fn at_own_origin(response: &mut Response<Body>) -> Result<(), UpstreamError> {
    let status = response.status();
    if [StatusCode::UNAUTHORIZED, StatusCode::PROXY_AUTHENTICATION_REQUIRED].contains(&status) {
        return Err(UpstreamError::NotAnAnswer("it wants another credential than the gateway's"));
    }
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return Err(UpstreamError::NotAnAnswer("it sends its callers elsewhere"));
    }
    let headers = response.headers_mut();
    let found: Vec<HeaderName> = headers.keys().filter(|name| is_of_origin(name)).cloned().collect();
    for name in &found {
        headers.remove(name);
    }
    Ok(())
}

/// Whether clients keep what a header says for the whole origin, or act on it there. `docs/concepts/threat-model.md` says why each.
fn is_of_origin(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "www-authenticate"
            | "authentication-info"
            | "proxy-authentication-info"
            | "set-cookie"
            | "set-cookie2"
            | "alt-svc"
            | "strict-transport-security"
            | "public-key-pins"
            | "expect-ct"
            | "clear-site-data"
            | "service-worker-allowed"
            | "nel"
            | "report-to"
            | "reporting-endpoints"
            | "accept-ch"
            | "location"
            | "content-location"
            | "refresh"
    )
}

/// Whether a response of a server is a plain HTTP demand to pay.
pub(crate) fn is_http_demand(response: &Response<Body>) -> bool {
    response.status() == StatusCode::PAYMENT_REQUIRED
}

/// Which answers may come in a response that is passed on.
#[derive(Clone, Debug)]
pub(crate) enum Answers {
    /// Any: whoever reads on looks for itself, or it is the stream of a whole session.
    Any,
    /// That to this request. A client takes an answer from any stream of its session: on another one's a server could say what is
    /// compared with a pin, looked at or paid for on its own.
    To {
        /// The request.
        id: RequestId,
        /// Whether nothing passes either that could be an answer and cannot be read.
        is_strict: bool,
    },
}

impl Answers {
    /// Whether a message that can be read may pass.
    fn admits(&self, frame: &Frame) -> bool {
        match self {
            Self::Any => true,
            Self::To { id, .. } => {
                matches!(frame.kind(), Kind::Request | Kind::Notification)
                    || frame.id().is_none_or(|answered| answered == id)
            }
        }
    }

    const fn is_strict(&self) -> bool {
        matches!(self, Self::To { is_strict: true, .. })
    }
}

/// A response that is passed on message by message, with a fault of the gateway's in place of each demand to pay, and without
/// what only the gateway may say in the `_meta` of a result. What tools say in it is looked at as `scan` says. Where no message can be
/// read, such as in a compressed body, nothing passes.
pub(crate) fn without_demands(
    response: Response<Body>,
    limits: Limits<'_>,
    base_url: &str,
    scan: ResultPolicy,
    answers: Answers,
) -> Response<Body> {
    let (head, messages) = match MessageStream::read(response, limits) {
        Ok(read) => read,
        Err(refusal) if !refusal.status().is_success() => return refusal,
        Err(empty) if empty.body().is_end_stream() => return empty,
        Err(unreadable) => {
            let (sender, nothing) = Body::channel(1);
            sender.fail(UpstreamError::NotAnAnswer("its response cannot be read"));
            return unreadable.map(|_| nothing);
        }
    };
    let base_url = base_url.to_owned();
    let passing = stream::unfold(Some((messages, base_url, answers)), move |state| async move {
        let (mut messages, base_url, answers) = state?;
        let passed = |item: Item| said(&item, &base_url, scan, &answers).map(|said| item.leaves_as(said));
        match messages.next().await.transpose()?.and_then(passed) {
            Ok(bytes) => Some((Ok(http_body::Frame::data(bytes)), Some((messages, base_url, answers)))),
            Err(error) => Some((Err(BodyError::from(error)), None)),
        }
    });
    Response::from_parts(head, Body::boxed(StreamBody::new(passing)))
}

fn said(item: &Item, base_url: &str, scan: ResultPolicy, answers: &Answers) -> Result<Bytes, UpstreamError> {
    let Some(message) = item.message() else { return Ok(item.raw().clone()) };
    let demand = match Frame::parse_upstream(message.clone()) {
        Ok(frame) if !answers.admits(&frame) => {
            return Err(UpstreamError::NotAnAnswer("it answers another request"));
        }
        Ok(frame) if is_demand(&frame) || is_demand_of_a_task(&frame) => frame,
        Ok(frame) if announces_a_demand(&frame) => {
            tracing::warn!("a server announced a task that demands a payment of its own; it was withheld");
            return Ok(Bytes::new());
        }
        Ok(frame) => {
            let (frame, note) = match looked_at(frame, scan) {
                Later::Passes(frame, note) => (frame, note),
                Later::Withheld(frame) if frame.kind() == Kind::Notification => return Ok(Bytes::new()),
                Later::Withheld(frame) => {
                    return Ok(instead(item, &frame, FailureKind::Suspicious, base_url));
                }
            };
            let own = match frame.kind() {
                Kind::Notification => announcement_without_reserved(&frame),
                Kind::Response | Kind::ErrorResponse | Kind::Request => answer_without_reserved(&frame),
            };
            let own = match note {
                None => own,
                Some(note) => Some(noted(own.as_ref().unwrap_or(frame.bytes()), &note)),
            };
            return Ok(own.map_or_else(|| item.raw().clone(), |own| item.rewritten(Some(&own), None)));
        }
        Err(_) if foreign::is_demand(&message) => {
            return Err(UpstreamError::NotAnAnswer("it demands a payment of its own"));
        }
        Err(_) if (withholds(scan) || answers.is_strict()) && is_like_a_message(&message) => {
            return Err(UpstreamError::NotAnAnswer("what it says cannot be looked at"));
        }
        Err(_) => return Ok(item.raw().clone()),
    };
    tracing::warn!("a server demanded a payment of its own; it was withheld");
    Ok(instead(item, &demand, FailureKind::DemandedPayment, base_url))
}

/// Whether something that a tool says may have to be withheld: then nothing passes that cannot be read.
const fn withholds(scan: ResultPolicy) -> bool {
    match scan {
        ResultPolicy::Redact | ResultPolicy::Block => true,
        ResultPolicy::Off | ResultPolicy::Warn => false,
    }
}

/// Whether a careless client could take something for a message or for several.
fn is_like_a_message(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// A message after a look at what a tool says in it.
enum Later {
    /// As it goes on, with what is to be said beside it; without that, it goes on as it came.
    Passes(Frame, Option<Note>),
    /// It must not go on.
    Withheld(Frame),
}

fn looked_at(frame: Frame, scan: ResultPolicy) -> Later {
    let said = if scan == ResultPolicy::Off { None } else { Said::later(&frame) };
    let Some(said) = said else { return Later::Passes(frame, None) };
    match judged(scan, &said.bytes, "unknown") {
        Judged::Passes => Later::Passes(frame, None),
        Judged::Noted(note) => Later::Passes(frame, Some(note)),
        Judged::Withheld => Later::Withheld(frame),
        Judged::Redacted(own, note) => match said.replaced(frame.bytes(), &own) {
            Some(own) => Later::Passes(own, Some(note)),
            // As it came it must not go on.
            None => Later::Withheld(frame),
        },
    }
}

/// What is said in place of an answer that is withheld.
fn instead(item: &Item, answer: &Frame, kind: FailureKind, base_url: &str) -> Bytes {
    let naming = Naming { base_url, resource_url: "" };
    let told = faulted(&Fault::Upstream { kind }, None, Door::JsonRpc { id: answer.id() }, naming);
    item.rewritten(Some(&told.body), None)
}

/// A message with a note in its `_meta`; an error has none to write to and stays as it is.
fn noted(message: &Bytes, note: &Note) -> Bytes {
    let Ok(frame) = Frame::parse_upstream(message.clone()) else { return message.clone() };
    match frame.kind() {
        Kind::Response => {
            let set = [(NOTE_META, note.json())];
            let set = set.each_ref().map(|(key, raw)| (*key, raw.as_str()));
            frame.with_result_meta(&set, |_| false).unwrap_or_else(|_| message.clone())
        }
        Kind::Notification | Kind::Request => frame.with_meta_value(NOTE_META, &note.json()),
        Kind::ErrorResponse => message.clone(),
    }
}

/// Whether what a task came to, in the answer to `tasks/get` (2026-07-28), is a demand to pay.
fn is_demand_of_a_task(answer: &Frame) -> bool {
    answer.result().is_some_and(|task| came_to_a_demand(&task))
}

/// The same in `notifications/tasks`, which says as much.
fn announces_a_demand(frame: &Frame) -> bool {
    frame.kind() == Kind::Notification && frame.params().is_some_and(|task| came_to_a_demand(&task))
}

fn came_to_a_demand(task: &Bytes) -> bool {
    raw::member(task, "result").is_some_and(|result| is_demand_result(&result))
        || raw::member(task, "error").is_some_and(|error| foreign::is_demand(&error))
}

/// An announcement of a task without what only the gateway may say. `None`: it has nothing of it.
fn announcement_without_reserved(frame: &Frame) -> Option<Bytes> {
    let inner = raw::member(&frame.params()?, "result")?;
    let own = without_reserved(inner.clone());
    if own == inner {
        return None;
    }
    Some(frame.with_param("result", std::str::from_utf8(&own).ok()?))
}

/// An answer without what only the gateway may say, in its result and in that of a task within. `None`: it has nothing of it.
fn answer_without_reserved(answer: &Frame) -> Option<Bytes> {
    let all = answer.result()?;
    let mut result = without_reserved(all.clone());
    if let Some(inner) = raw::member(&result, "result") {
        let own = without_reserved(inner.clone());
        if own != inner {
            result = raw::set(&result, &[("result", std::str::from_utf8(&own).ok()?)]).ok()?;
        }
    }
    if result == all {
        return None;
    }
    raw::set(answer.bytes(), &[("result", std::str::from_utf8(&result).ok()?)]).ok()
}
