//! What a server with a policy hands to one caller at its own door, and takes back from that caller alone: sessions (M7), tasks (M12)
//! and states of calls that wait for an answer (M8).
//!
//! To the server every caller is the gateway: whoever learned another's id would be let in. So ids leave with a tag and go on without
//! it. Nothing is kept: any gateway with the same keys knows the tag. A server without a policy has its own ids, and no callers here.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::StreamBody;
use tollgate_domain::Digest;
use tollgate_exec::intercept::Limits;
use tollgate_exec::{Body, BodyError, Item, MessageStream};
use tollgate_federation::{Handle, Handles, Keys, Names, Principal, TaskIds, Translator};
use tollgate_gate::Denial;
use tollgate_mcp::canonical::digest_without;
use tollgate_mcp::frame::TOOLS_CALL;
use tollgate_mcp::json::{self, quote};
use tollgate_mcp::{Era, Frame, Kind, headers, reply};
use tollgate_trust::presented_key;

use super::federated::json_response;
use crate::begun::Whose;
use crate::carrier::Carrier;
use crate::gateway::Gateway;

/// What servers say of a session they do not know; clients act on the status 404.
pub(super) const SESSION_NOT_FOUND: i32 = -32_001;
/// What may differ between a call and its continuation.
const OF_ONE_ROUND: &[&str] = &["_meta", "inputResponses", "requestState"];
const STATE: &str = "requestState";
const TASK: &str = "taskId";
/// What a listener wants to hear of.
const FILTER: &str = "notifications";

/// Whom something is handed to.
#[derive(Clone)]
pub(super) struct Handed {
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    principal: Principal,
    names: Arc<Names>,
    /// The server's own id of the session, once it was taken.
    session: Option<HeaderValue>,
}

/// Who a request's headers show; callers without a key are one.
///
/// # Errors
/// The denial of headers that show two.
pub(super) fn principal(headers: &HeaderMap) -> Result<Principal, Denial> {
    let lines = |name: &'static str| {
        let values = headers.get_all(HeaderName::from_static(name)).iter();
        values.filter_map(|value| value.to_str().ok())
    };
    let presented = presented_key(lines("authorization"), lines("x-api-key"));
    presented.map(Principal::of).map_err(|error| Denial::Unauthenticated { reason: error.to_string() })
}

/// What a call shows of its caller, kept until there is something to hand out: few answers have anything.
pub(super) struct Shown {
    headers: [Option<HeaderValue>; 2],
    session: Option<HeaderValue>,
    call: Bytes,
}

impl Shown {
    pub(super) fn by(headers: &HeaderMap, call: &Frame) -> Self {
        let session = headers.get(headers::SESSION_ID).cloned();
        let headers = ["authorization", "x-api-key"].map(|name| headers.get(name).cloned());
        Self { headers, session, call: call.bytes().clone() }
    }

    /// Whose task the answer is; `keys` are those of its tag.
    pub(super) fn whose<'a>(&'a self, keys: &'a Keys) -> Option<Whose<'a>> {
        let tasks = TaskIds { keys, principal: self.principal()? };
        Some(Whose { tasks, session: self.session.as_ref() })
    }

    fn principal(&self) -> Option<Principal> {
        let [authorization, key] =
            self.headers.each_ref().map(|shown| shown.as_ref().and_then(|value| value.to_str().ok()));
        // Whoever shows two has been refused.
        presented_key(authorization, key).ok().map(Principal::of)
    }
}

/// An answer with its state and, at the server's own door, its tasks as the caller is to get them. `None`: it has neither.
pub(super) fn given(
    gateway: &Arc<Gateway>,
    carrier: &Arc<Carrier>,
    shown: &Shown,
    answer: &Frame,
    at_own_door: bool,
) -> Option<Frame> {
    let has_task =
        at_own_door && std::str::from_utf8(answer.bytes()).is_ok_and(|text| text.contains("\"taskId\""));
    if !has_task && answer.result_member(STATE).is_none() {
        return None;
    }
    let handed = Handed::to(gateway, carrier, shown.principal()?);
    handed.given(&Frame::parse(shown.call.clone()).ok()?, answer, has_task)
}

impl Handed {
    /// What this server hands to a caller.
    pub(super) fn to(gateway: &Arc<Gateway>, carrier: &Arc<Carrier>, principal: Principal) -> Self {
        let names = Arc::new(Names::of_own_door(carrier.name.clone()));
        Self { gateway: Arc::clone(gateway), carrier: Arc::clone(carrier), principal, names, session: None }
    }

    fn handles(&self) -> Handles<'_> {
        Handles { keys: &self.gateway.handle_keys, principal: self.principal, server: &self.carrier.name }
    }

    fn whose(&self) -> Whose<'_> {
        Whose { tasks: self.translator().tasks, session: self.session.as_ref() }
    }

    fn translator(&self) -> Translator<'_> {
        let tasks = TaskIds { keys: &self.gateway.handle_keys, principal: self.principal };
        Translator { names: &self.names, tasks, server: &self.carrier.name }
    }

    /// Puts the server's own session in the place of the caller's. The era without sessions names none, and a server that reads
    /// one all the same is not shown it.
    ///
    /// # Errors
    /// The answer to a session that is not this caller's.
    #[expect(clippy::result_large_err, reason = "the error is the response")]
    pub(super) fn take_session(&mut self, headers: &mut HeaderMap, era: Era) -> Result<(), Response<Body>> {
        let own = {
            let mut named = headers.get_all(headers::SESSION_ID).iter();
            match (named.next(), named.next(), era) {
                (None, ..) => return Ok(()),
                (Some(id), None, Era::Legacy) => id
                    .to_str()
                    .ok()
                    .and_then(|id| self.handles().own(Handle::Session, id))
                    .and_then(|own| HeaderValue::from_str(own).ok()),
                (Some(_), Some(_), Era::Legacy) | (_, _, Era::Modern) => None,
            }
        };
        match (own, era) {
            (Some(own), _) => {
                self.session = Some(own.clone());
                headers.insert(headers::SESSION_ID, own)
            }
            (None, Era::Modern) => headers.remove(headers::SESSION_ID),
            (None, Era::Legacy) => {
                let gone = reply::error(None, SESSION_NOT_FOUND, "Session not found", None);
                return Err(json_response(StatusCode::NOT_FOUND, gone));
            }
        };
        Ok(())
    }

    /// Puts the caller's session in the place of the server's own, where a response names one.
    pub(super) fn give_session(&self, headers: &mut HeaderMap) {
        let Some(own) = headers.get(headers::SESSION_ID) else { return };
        let public = own.to_str().ok().map(|own| self.handles().public(Handle::Session, own));
        match public.and_then(|public| HeaderValue::try_from(public).ok()) {
            Some(public) => headers.insert(headers::SESSION_ID, public),
            None => headers.remove(headers::SESSION_ID),
        };
    }

    /// The message with tasks under the server's own ids, and `Mcp-Name` with them.
    ///
    /// # Errors
    /// [`Denial::HandleUnknown`] for a task that is not this caller's.
    pub(super) fn take_tasks(&self, head: &mut HeaderMap, frame: &Frame) -> Result<Option<Frame>, Denial> {
        let method = frame.method().unwrap_or_default();
        let tasks = self.translator().tasks;
        let taken = if method.starts_with("tasks/")
            && let Some(named) = frame.param(TASK)
        {
            let public = json::string(named).unwrap_or_default();
            let (_, own) = tasks.resolve(&self.names, &public).ok_or(Denial::HandleUnknown)?;
            self.gateway.foundation.begun.note(&self.whose(), &self.carrier.name, own);
            if head.contains_key(headers::NAME) {
                let mirrored = HeaderValue::from_str(&headers::encode_value(own));
                head.insert(headers::NAME, mirrored.map_err(|_| Denial::HandleUnknown)?);
            }
            Some(frame.with_param(TASK, &quote(own)))
        } else if method == super::LISTEN
            && let Some(filter) = frame.param(FILTER).filter(|filter| names_tasks(filter))
        {
            let own = self.translator().filter(filter, false);
            Some(frame.with_param(FILTER, own.as_deref().unwrap_or("{}")))
        } else {
            self.translator().to_server(frame)
        };
        taken.map(reread).transpose()
    }

    /// A response with tasks under the caller's ids, message by message.
    pub(super) fn give_tasks(self, response: Response<Body>, limits: Limits<'_>) -> Response<Body> {
        each(response, limits, move |item| self.said(item))
    }

    /// A response with the state of the request that it answers as the caller is to get it.
    pub(super) fn give_state(
        self,
        request: Frame,
        response: Response<Body>,
        limits: Limits<'_>,
    ) -> Response<Body> {
        each(response, limits, move |item| {
            let frame = item.message().and_then(|message| Frame::parse_upstream(message).ok());
            let given = frame.and_then(|answer| self.given(&request, &answer, false));
            given.map_or_else(|| item.raw().clone(), |given| item.rewritten(Some(given.bytes()), None))
        })
    }
}

/// A response as `said` has each of its messages.
fn each(
    response: Response<Body>,
    limits: Limits<'_>,
    said: impl Fn(&Item) -> Bytes + Send + 'static,
) -> Response<Body> {
    if !response.status().is_success() {
        return response;
    }
    let (head, messages) = match MessageStream::read(response, limits) {
        Ok(read) => read,
        Err(response) => return response,
    };
    let passing = stream::unfold(Some((said, messages)), |state| async move {
        let (said, mut messages) = state?;
        match messages.next().await.transpose()? {
            Ok(item) => {
                let leaves = said(&item);
                Some((Ok(http_body::Frame::data(item.leaves_as(leaves))), Some((said, messages))))
            }
            Err(error) => Some((Err(BodyError::from(error)), None)),
        }
    });
    Response::from_parts(head, Body::boxed(StreamBody::new(passing)))
}

impl Handed {
    fn said(&self, item: &Item) -> Bytes {
        let frame = item.message().and_then(|message| Frame::parse_upstream(message).ok());
        let whose = self.whose();
        let is_of_another =
            |frame| self.gateway.foundation.begun.is_of_another(&whose, &self.carrier.name, frame);
        match &frame {
            Some(frame) if is_of_another(frame) && frame.kind() == Kind::Notification => return Bytes::new(),
            // A request must be answered all the same; the id in it is none that this caller could use.
            Some(frame) if is_of_another(frame) => return item.raw().clone(),
            Some(_) | None => {}
        }
        let own = frame
            .as_ref()
            .and_then(|all| self.gateway.foundation.begun.own_of(&whose, &self.carrier.name, all));
        let named =
            own.as_ref().or(frame.as_ref()).and_then(|frame| self.translator().to_client_of_own_door(frame));
        let named = named.or_else(|| own.map(|own| own.bytes().clone()));
        named.map_or_else(|| item.raw().clone(), |named| item.rewritten(Some(&named), None))
    }

    /// The request with its state as the server gave it. `None`: it goes on with nothing.
    ///
    /// # Errors
    /// [`Denial::HandleUnknown`] for a state that was not given to this caller for this request.
    pub(super) fn take_state(&self, request: &Frame) -> Result<Option<Frame>, Denial> {
        let Some(raw) = request.param(STATE) else { return Ok(None) };
        let digest = digest_of(request).ok_or(Denial::HandleUnknown)?;
        let public = json::string(raw).ok_or(Denial::HandleUnknown)?;
        let own = self.handles().own(Handle::State(&digest), &public).ok_or(Denial::HandleUnknown)?;
        reread(request.with_param(STATE, &quote(own))).map(Some)
    }

    fn given(&self, call: &Frame, answer: &Frame, with_tasks: bool) -> Option<Frame> {
        let tasks = if with_tasks { self.translator().answer(answer) } else { None };
        let named = tasks.and_then(|named| Frame::parse_upstream(named).ok());
        let current = named.as_ref().unwrap_or(answer);
        let stated = current.result_member(STATE).and_then(json::string).and_then(|own| {
            let public = self.handles().public(Handle::State(&digest_of(call)?), &own);
            let result = tollgate_mcp::raw::set(&current.result()?, &[(STATE, &quote(&public))]).ok()?;
            let result = std::str::from_utf8(&result).ok()?.to_owned();
            let message = tollgate_mcp::raw::set(current.bytes(), &[("result", &result)]).ok()?;
            Frame::parse_upstream(message).ok()
        });
        stated.or(named)
    }
}

/// Whether a request may be answered with a question first, and a state for the continuation (2026-07-28). A call has its own way.
pub(super) fn may_have_state(frame: &Frame) -> bool {
    frame.kind() == Kind::Request && matches!(frame.method(), Some("prompts/get" | "resources/read"))
}

/// What a request and its continuations have in common.
fn digest_of(request: &Frame) -> Option<[u8; 32]> {
    let params = digest_without(&request.params()?, OF_ONE_ROUND).ok()?;
    match request.method()? {
        TOOLS_CALL => Some(params),
        // A prompt may have the name and the arguments of a tool.
        method => Some(*Digest::of(&[method.as_bytes(), b"\0", &params].concat()).as_bytes()),
    }
}

fn names_tasks(filter: &[u8]) -> bool {
    json::lookup(filter, &["taskIds"]) != Ok(None)
}

fn reread(message: Bytes) -> Result<Frame, Denial> {
    // It was read before one member was replaced.
    Frame::parse(message).map_err(|_| Denial::HandleUnknown)
}
