//! `initialize` and `server/discover`: every server is asked, their answers become one.

use futures_util::future::join_all;
use http::header::HeaderValue;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use serde_json::json;
use tollgate_domain::{FailureKind, ServerName};
use tollgate_exec::{Body, UpstreamError, says_nothing_of_eras};
use tollgate_federation::{
    Failure, Introduction, Member, OTHER_ERA, Session, SessionError, discovered, initialized, server_info,
};
use tollgate_gate::Fault;
use tollgate_mcp::era::{CLIENT_CAPABILITIES_KEY, CLIENT_INFO_KEY, MODERN_SINCE, PROTOCOL_VERSION_KEY};
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Era, Frame, RequestId, headers, json};

use super::super::place;
use super::asking::{Answered, Asking, unanswered};
use crate::carrier::{Carrier, fault_of};
use crate::clock;
use crate::federation::Modern;

/// A server may have to be started first: an introduction may take so many times as long as a part of a list.
const INTRODUCTION_TIMES: u64 = 3;
/// A longer session id of a server would crowd out those of the others.
const SESSION_ID_CHARS_MAX: usize = 512;

/// What one server said.
enum Heard {
    Introduced(Box<(Introduction, Option<String>)>),
    /// It does not speak this era.
    OtherEra(Option<Box<Frame>>),
    Failed(&'static str, Fault),
}

/// `initialize`: a session with every server that speaks the era of sessions, sealed into one id.
pub(super) async fn initialize(asking: &Asking, frame: &Frame, id: &RequestId) -> Response<Body> {
    let mut opening = asking.head.clone();
    place::name(&asking.gateway, &mut opening, asking.peer);
    let opening = &opening;
    let asked = asking.federation.carriers().map(async |carrier| {
        let mut head = opening.clone();
        for absent in [headers::SESSION_ID, headers::PROTOCOL_VERSION, http::header::CONTENT_LENGTH] {
            head.headers.remove(absent);
        }
        let answered = asking.ask(carrier, head, frame.bytes().clone(), id, patience(asking)).await;
        (carrier.name.clone(), heard(&carrier.name, answered, Era::Legacy))
    });
    let mut heard = Collected::default();
    for (server, said) in join_all(asked).await {
        heard.add(server, said);
    }
    let session = match seal(asking, &mut heard) {
        Ok(session) => session,
        Err(refused) => return refused,
    };
    let Collected { introduced, failures, .. } = &heard;
    match initialized(introduced, failures, asking.federation.tools_only()) {
        Some(result) => {
            let mut response = asking.result(id, result);
            response.headers_mut().insert(headers::SESSION_ID, session);
            response
        }
        None => heard.nobody(asking, id, || {
            let requested = frame.param("protocolVersion").and_then(json::string);
            let data = json!({ "supported": [MODERN_SINCE], "requested": requested });
            let text = "The servers here speak 2026-07-28 only: send server/discover.";
            let status = StatusCode::BAD_REQUEST;
            asking.error(status, Some(id), code::UNSUPPORTED_PROTOCOL_VERSION, text, Some(&data))
        }),
    }
}

/// The id of the session. What an id cannot carry stays out of the session and is named.
#[expect(clippy::result_large_err, reason = "the error is the response")]
fn seal(asking: &Asking, heard: &mut Collected) -> Result<HeaderValue, Response<Body>> {
    let federation = &asking.federation;
    let expires = clock::now().plus_millis(federation.session_ttl_ms);
    loop {
        let members = heard.introduced.iter().zip(&heard.sessions).map(|(introduction, session)| Member {
            server: introduction.server.clone(),
            session: session.clone(),
            version: introduction.versions().pop().unwrap_or_default(),
            features: introduction.features(),
        });
        let session = Session { expires, members: members.collect() };
        let nonce = clock::random().map_err(|_| asking.no_session())?;
        match session.seal(&federation.keys, &federation.door, &asking.principal, nonce) {
            Ok(sealed) => return HeaderValue::from_str(&sealed).map_err(|_| asking.no_session()),
            Err(SessionError::TooLong) if !heard.introduced.is_empty() => {
                if let Some(left_out) = heard.introduced.pop() {
                    heard.sessions.pop();
                    heard.failures.push(Failure { server: left_out.server, reason: "session_id_too_long" });
                }
            }
            Err(_) => return Err(asking.no_session()),
        }
    }
}

impl Asking {
    fn no_session(&self) -> Response<Body> {
        let text = "No session could be opened.";
        self.error(StatusCode::INTERNAL_SERVER_ERROR, None, code::INTERNAL_ERROR, text, None)
    }
}

/// `server/discover`: what every server that speaks the modern era offers.
pub(super) async fn discover(asking: &Asking, frame: &Frame, id: &RequestId) -> Response<Body> {
    let asked = asking.federation.carriers().map(async |carrier| {
        let head = asking.head_for(&carrier.name, None).unwrap_or_else(|| asking.head.clone());
        let answered = asking.ask(carrier, head, frame.bytes().clone(), id, patience(asking)).await;
        // The answer is this very client's, by its headers and its words: what others are told follows from the gateway's own question.
        (carrier.name.clone(), heard(&carrier.name, answered, Era::Modern))
    });
    let mut heard = Collected::default();
    for (server, said) in join_all(asked).await {
        heard.add(server, said);
    }
    let Collected { introduced, failures, .. } = &heard;
    match discovered(introduced, failures, asking.federation.tools_only()) {
        Some(result) => asking.result(id, result),
        None => heard.nobody(asking, id, || not_modern(asking)),
    }
}

/// As a legacy server answers, which could not read the request: without its id and without a modern error, so that a client that speaks
/// both eras turns to `initialize`.
pub(super) fn not_modern(asking: &Asking) -> Response<Body> {
    let text = "only protocol versions up to 2025-11-25 are spoken here; start with initialize";
    asking.error(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, text, None)
}

/// What is known about a server in the modern era; it is asked if need be.
pub(super) async fn modern(asking: &Asking, carrier: &Carrier) -> Result<Modern, UpstreamError> {
    if let Some(known) = asking.federation.modern(&carrier.name, clock::now()) {
        return Ok(known);
    }
    let id = RequestId::integer(0);
    let params = json!({ "_meta": {
        PROTOCOL_VERSION_KEY: MODERN_SINCE, CLIENT_INFO_KEY: server_info(), CLIENT_CAPABILITIES_KEY: {},
    } });
    let body = reply::request(&id, "server/discover", Some(&params.to_string()));
    let mut head = http::Request::new(()).into_parts().0;
    head.method = Method::POST;
    head.headers = discover_headers();
    let answered = asking.ask(carrier, head, body, &id, patience(asking)).await?;
    let found = match heard(&carrier.name, Ok(answered), Era::Modern) {
        Heard::Introduced(introduced) => yes(&introduced.0),
        Heard::OtherEra(_) => Modern::No,
        // It may speak it once it is back.
        Heard::Failed(..) => return Ok(Modern::No),
    };
    asking.federation.learn(&carrier.name, found.clone(), clock::now());
    Ok(found)
}

/// The refusal of a version that no server speaks, with those that they do. `None`: somebody speaks it, or nobody is modern.
pub(super) async fn unspoken(asking: &Asking, id: &RequestId) -> Option<Response<Body>> {
    let requested = asking.head.headers.get(headers::PROTOCOL_VERSION)?.to_str().ok()?;
    if requested == MODERN_SINCE {
        // What everybody speaks who speaks any: whoever is asked says so else.
        return None;
    }
    let all = join_all(asking.federation.carriers().map(|carrier| modern(asking, carrier))).await;
    let mut supported: Vec<String> = Vec::new();
    for known in all {
        if let Ok(Modern::Yes { versions, .. }) = known {
            supported.extend(versions.iter().cloned());
        }
    }
    supported.sort();
    supported.dedup();
    if supported.is_empty() || supported.iter().any(|version| version == requested) {
        return None;
    }
    let data = json!({ "supported": supported, "requested": requested });
    let (status, text) = (StatusCode::BAD_REQUEST, "Unsupported protocol version");
    Some(asking.error(status, Some(id), code::UNSUPPORTED_PROTOCOL_VERSION, text, Some(&data)))
}

fn patience(asking: &Asking) -> u64 {
    asking.federation.list_ms_max.saturating_mul(INTRODUCTION_TIMES)
}

fn discover_headers() -> HeaderMap {
    let fields: [(HeaderName, &'static str); 2] =
        [(headers::PROTOCOL_VERSION, MODERN_SINCE), (headers::METHOD, "server/discover")];
    fields.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

fn yes(introduction: &Introduction) -> Modern {
    Modern::Yes { versions: introduction.versions().into(), features: introduction.features() }
}

fn heard(server: &ServerName, answered: Result<Answered, UpstreamError>, era: Era) -> Heard {
    let answered = match answered {
        Ok(answered) => answered,
        Err(error) => {
            unanswered(server, &error);
            return Heard::Failed(error.kind().word(), fault_of(&error));
        }
    };
    let Some(result) = answered.result() else {
        if says_nothing_of_eras(answered.status) {
            return Heard::Failed("refused", Fault::Upstream { kind: FailureKind::Broken });
        }
        return Heard::OtherEra(answered.frame.filter(|frame| frame.error().is_some()).map(Box::new));
    };
    let introduction = Introduction { server: server.clone(), result };
    let fits = |version: &String| Era::of_version(version) == Some(era);
    if !introduction.versions().iter().any(fits) {
        return Heard::OtherEra(None);
    }
    let session = answered.headers.get(headers::SESSION_ID).map(|id| id.to_str().map(str::to_owned));
    match session {
        Some(Ok(session)) if session.len() <= SESSION_ID_CHARS_MAX => {
            Heard::Introduced(Box::new((introduction, Some(session))))
        }
        Some(_) => Heard::Failed("session_id_too_long", Fault::Upstream { kind: FailureKind::Broken }),
        None => Heard::Introduced(Box::new((introduction, None))),
    }
}

/// What all servers said, in their order.
#[derive(Default)]
struct Collected {
    introduced: Vec<Introduction>,
    sessions: Vec<Option<String>>,
    failures: Vec<Failure>,
    refusal: Option<Box<Frame>>,
    failed: Option<Fault>,
}

impl Collected {
    fn add(&mut self, server: ServerName, heard: Heard) {
        match heard {
            Heard::Introduced(introduced) => {
                let (introduction, session) = *introduced;
                self.introduced.push(introduction);
                self.sessions.push(session);
            }
            Heard::OtherEra(refusal) => {
                self.refusal = self.refusal.take().or(refusal);
                self.failures.push(Failure { server, reason: OTHER_ERA });
            }
            Heard::Failed(reason, fault) => {
                self.failed.get_or_insert(fault);
                self.failures.push(Failure { server, reason });
            }
        }
    }

    /// The answer where nobody introduced itself: a version that they do not speak is what a server said, else `otherwise`.
    fn nobody(
        &self,
        asking: &Asking,
        id: &RequestId,
        otherwise: impl FnOnce() -> Response<Body>,
    ) -> Response<Body> {
        if let Some(fault) = &self.failed {
            return asking.failed(fault, id);
        }
        let unsupported = self.refusal.as_ref().filter(|frame| {
            let error = frame.error().unwrap_or_default();
            let code = tollgate_mcp::raw::member(&error, "code");
            asking.era == Era::Modern && code.as_deref() == Some(b"-32022".as_slice())
        });
        match unsupported {
            Some(frame) => super::asking::json_response(StatusCode::BAD_REQUEST, frame.bytes().clone()),
            None => otherwise(),
        }
    }
}
