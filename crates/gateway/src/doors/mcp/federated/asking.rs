//! Who asks at a federated door, and how one of its servers is asked on the caller's behalf.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::Value;
use tollgate_domain::ServerName;
use tollgate_exec::intercept::Limits;
use tollgate_exec::{Body, MessageStream, UpstreamError};
use tollgate_federation::{Principal, Session, TaskIds, Translator};
use tollgate_gate::{Denial, Door, Fault, denied, faulted};
use tollgate_mcp::era::LEGACY_VERSIONS;
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Era, Frame, Kind, RequestId, headers};

use super::super::batch::head_of_each;
use super::super::forwarded;
use super::super::handed::{SESSION_NOT_FOUND, principal};
use crate::carrier::Carrier;
use crate::clock;
use crate::doors::{Peer, respond};
use crate::federation::Federation;
use crate::gateway::Gateway;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// One request at a federated door.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) gateway: Arc<Gateway>,
    pub(super) federation: Arc<Federation>,
    pub(super) head: Parts,
    pub(super) era: Era,
    pub(super) peer: Peer,
    pub(super) principal: Principal,
    /// The opened session of a legacy request.
    pub(super) session: Option<Session>,
}

/// What a server answered to one request.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// `None` where the response carries no JSON-RPC answer.
    pub(super) frame: Option<Frame>,
}

impl Answered {
    /// The raw result.
    pub(super) fn result(&self) -> Option<Bytes> {
        self.frame.as_ref().filter(|frame| frame.kind() == Kind::Response)?.result()
    }

    /// The code of an error.
    pub(super) fn error_code(&self) -> Option<i32> {
        let error = self.frame.as_ref()?.error()?;
        let raw = tollgate_mcp::raw::member(&error, "code")?;
        std::str::from_utf8(&raw).ok()?.parse().ok()
    }

    /// Whether the server does not know the session.
    pub(super) fn is_gone(&self, era: Era) -> bool {
        era == Era::Legacy && self.status == StatusCode::NOT_FOUND
    }
}

impl Asking {
    /// A request of whoever its headers say.
    #[expect(clippy::result_large_err, reason = "the error is the response")]
    pub(super) fn new(
        gateway: Arc<Gateway>,
        federation: Arc<Federation>,
        head: Parts,
        peer: Peer,
    ) -> Result<Self, Response<Body>> {
        let principal = match principal(&head.headers) {
            Ok(principal) => principal,
            Err(denial) => {
                let era = super::era_of(&head.headers);
                let door = Door::Mcp { era, id: None, payment_as_http: false };
                return Err(respond(denied(&denial, None, door, gateway.naming(""))));
            }
        };
        Ok(Self { gateway, federation, head, era: Era::Legacy, peer, principal, session: None })
    }

    /// Each message of the batch that came as this request.
    pub(super) fn in_batch(self) -> Self {
        Self { head: head_of_each(self.head), ..self }
    }

    /// Opens the session that a legacy request names.
    #[expect(clippy::result_large_err, reason = "the error is the response")]
    pub(super) fn open_session(&self) -> Result<Session, Response<Body>> {
        let mut named = self.head.headers.get_all(headers::SESSION_ID).iter();
        let id = match (named.next(), named.next()) {
            (Some(id), None) => id.to_str().unwrap_or_default(),
            (None, _) => {
                let text = "the Mcp-Session-Id header is missing; start with initialize";
                return Err(self.error(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, text, None));
            }
            (Some(_), Some(_)) => {
                let text = "the Mcp-Session-Id header is repeated";
                return Err(self.error(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, text, None));
            }
        };
        let Federation { door, keys, ended, .. } = &*self.federation;
        let opened = Session::open(id, keys, door, &self.principal, clock::now());
        match opened {
            Ok(session) if !ended.contains(id) => self.of_its_era(session),
            Ok(_) | Err(_) => Err(self.session_gone()),
        }
    }

    /// The session of a request that names a version of its era, or none: each server is told the one that it agreed to itself.
    #[expect(clippy::result_large_err, reason = "the error is the response")]
    fn of_its_era(&self, session: Session) -> Result<Session, Response<Body>> {
        let agreed = session.members.iter().map(|member| member.version.as_str());
        let spoken: Vec<&str> = LEGACY_VERSIONS.into_iter().chain(agreed).collect();
        if headers::version_is_spoken(&self.head.headers, &spoken) {
            return Ok(session);
        }
        let text = "MCP-Protocol-Version is no version of this session's era";
        Err(self.error(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, text, None))
    }

    /// The answer that makes a client open another session.
    pub(super) fn session_gone(&self) -> Response<Body> {
        let text = "Session not found";
        self.error(StatusCode::NOT_FOUND, None, SESSION_NOT_FOUND, text, None)
    }

    /// The head of this request as a server is to see it: its own session, its own name of what is asked for. `None` where
    /// the server has no part in the session.
    pub(super) fn head_for(&self, server: &ServerName, name: Option<&str>) -> Option<Parts> {
        let mut head = self.head.clone();
        let own = &mut head.headers;
        for absent in [headers::SESSION_ID, LAST_EVENT_ID, CONTENT_LENGTH] {
            own.remove(absent);
        }
        if let Some(session) = &self.session {
            let member = session.member(server)?;
            if let Some(id) = &member.session {
                own.insert(headers::SESSION_ID, HeaderValue::from_str(id).ok()?);
            }
            own.insert(headers::PROTOCOL_VERSION, HeaderValue::from_str(&member.version).ok()?);
        }
        if let (Some(name), true) = (name, own.contains_key(headers::NAME)) {
            own.insert(headers::NAME, HeaderValue::from_str(&headers::encode_value(name)).ok()?);
        }
        Some(head)
    }

    /// Asks one server for an answer that is not passed on as it is.
    pub(super) async fn ask(
        &self,
        carrier: &Carrier,
        mut head: Parts,
        body: Bytes,
        id: &RequestId,
        ms_max: u64,
    ) -> Result<Answered, UpstreamError> {
        head.method = Method::POST;
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        head.headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let message_bytes_max = self.gateway.config.limits.answer_bytes_max;
        let room = Some(&self.gateway.foundation.answers);
        let limits =
            Limits { message_bytes_max, stream_bytes_max: message_bytes_max, room, ..Limits::default() };
        let asking = async {
            let response = carrier.pass(forwarded(head, body)).await?;
            let status = response.status();
            let (head, mut messages) = match MessageStream::read(response, limits) {
                Ok(read) => read,
                Err(response) => {
                    return Ok(Answered { status, headers: response.headers().clone(), frame: None });
                }
            };
            let frame = match messages.answer(id).await {
                Ok(frame) => Some(frame),
                // A refusal may carry any body; its status says enough.
                Err(UpstreamError::NotAnAnswer(_)) if !status.is_success() => None,
                Err(error) => return Err(error),
            };
            Ok(Answered { status, headers: head.headers, frame })
        };
        let limit = Duration::from_millis(ms_max);
        tokio::time::timeout(limit, asking).await.unwrap_or(Err(UpstreamError::TimedOut))
    }

    /// A server's own id of the session.
    pub(super) fn own_session(&self, server: &ServerName) -> Option<HeaderValue> {
        let own = self.session.as_ref()?.member(server)?.session.as_deref()?;
        HeaderValue::from_str(own).ok()
    }

    /// The translator between this caller and a server.
    pub(super) fn translator<'a>(&'a self, server: &'a ServerName) -> Translator<'a> {
        let tasks = TaskIds { keys: &self.federation.keys, principal: self.principal };
        Translator { names: &self.federation.names, tasks, server }
    }

    pub(super) fn refused(&self, denial: &Denial, id: Option<&RequestId>) -> Response<Body> {
        let door = Door::Mcp { era: self.era, id, payment_as_http: false };
        respond(denied(denial, None, door, self.gateway.naming("")))
    }

    /// A server that gave no answer.
    pub(super) fn failed(&self, fault: &Fault, id: &RequestId) -> Response<Body> {
        let door = Door::JsonRpc { id: Some(id) };
        respond(faulted(fault, None, door, self.gateway.naming("")))
    }

    /// A result of the gateway's own.
    pub(super) fn result(&self, id: &RequestId, raw: impl AsRef<[u8]>) -> Response<Body> {
        json_response(StatusCode::OK, reply::result(id, raw))
    }

    /// A JSON-RPC error of the gateway's own.
    pub(super) fn error(
        &self,
        status: StatusCode,
        id: Option<&RequestId>,
        code: i32,
        text: &str,
        data: Option<&Value>,
    ) -> Response<Body> {
        let data = data.map(Value::to_string);
        json_response(status, reply::error(id, code, text, data.as_deref()))
    }

    /// Parameters that name nothing here.
    pub(super) fn invalid(&self, id: &RequestId, text: &str) -> Response<Body> {
        let status = if self.era == Era::Modern { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        self.error(status, Some(id), code::INVALID_PARAMS, text, None)
    }
}

/// One JSON message.
pub(in crate::doors::mcp) fn json_response(status: StatusCode, message: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Full(message));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Says in the log why a server gave no answer.
pub(super) fn unanswered(server: &ServerName, error: &UpstreamError) {
    let source: &dyn std::error::Error = error;
    tracing::warn!(%server, error = source, "a server of a federated door gave no answer");
}
