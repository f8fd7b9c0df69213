//! Legacy sessions: one `initialize` is one line to the server is one session (`2025-11-25/basic/transports`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tollgate_mcp::era::LEGACY_VERSIONS;
use tollgate_mcp::headers::version_is_spoken;
use tollgate_mcp::reply::code;
use tollgate_mcp::{Frame, Kind, RequestId, json as raw_json};

use super::answer::{Busy, Event, answer, stream};
use super::board::Board;
use super::places::{Holder, Places};
use super::{Desk, Line, LineEnded, Opener};
use crate::local::{bare, json, refusal};
use crate::{Body, UpstreamError};

/// Carries the session id, on the answer to `initialize` and on every later request.
const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");
/// What servers answer for an unknown session; clients act on the status 404.
const SESSION_NOT_FOUND: i32 = -32_001;

/// The open sessions of one server.
pub(crate) struct Sessions<O: Opener> {
    desk: Arc<Desk>,
    opener: O,
    random: fn() -> [u8; 16],
    /// One permit per line, so that concurrent openings cannot pass the bound.
    slots: Arc<Semaphore>,
    open: Mutex<HashMap<String, Arc<Session<O::Line>>>>,
    /// Whose sessions are being opened, or wait for a place.
    opening: Mutex<Vec<Holder>>,
}

struct Session<L> {
    line: L,
    holder: Holder,
    /// The protocol version that was agreed on.
    version: Option<String>,
    board: Arc<Board>,
    last_used: Mutex<Instant>,
    _slot: OwnedSemaphorePermit,
}

impl<L> Session<L> {
    /// Whether a request is of a version that a server of this era may have agreed to.
    fn speaks(&self, headers: &HeaderMap) -> bool {
        let known = LEGACY_VERSIONS.into_iter().chain(self.version.as_deref());
        version_is_spoken(headers, &known.collect::<Vec<_>>())
    }

    fn touch(&self) {
        *self.last_used.lock() = Instant::now();
    }
}

impl<O: Opener> Sessions<O> {
    pub(crate) fn new(desk: Arc<Desk>, opener: O, random: fn() -> [u8; 16]) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(desk.limits.sessions_max));
        Arc::new(Self { desk, opener, random, slots, open: Mutex::default(), opening: Mutex::default() })
    }

    /// POST: opens a session, or says something within one.
    pub(crate) async fn post(
        self: &Arc<Self>,
        head: &Parts,
        frame: Frame,
    ) -> Result<Response<Body>, UpstreamError> {
        let is_opening = frame.kind() == Kind::Request && frame.method() == Some("initialize");
        if is_opening && !head.headers.contains_key(SESSION_HEADER) {
            let holder = head.extensions.get::<Holder>().copied().unwrap_or_default();
            return self.initialize(holder, frame).await;
        }
        let session = match self.find(&head.headers) {
            Ok(session) => session,
            Err(refused) => return Ok(refused.answer(frame.id())),
        };
        if frame.kind() != Kind::Request {
            if frame.method() == Some("notifications/cancelled") {
                session.board.cancelled(&frame);
            }
            session.line.send(frame.bytes()).await?;
            return Ok(bare(StatusCode::ACCEPTED));
        }
        let events = match session.board.call(&frame) {
            Ok(events) => events,
            Err(busy) => return Ok(Refused::from(busy).answer(frame.id())),
        };
        if let Err(error) = session.line.send(frame.bytes()).await {
            frame.id().into_iter().for_each(|id| session.board.withdraw(id));
            return Err(error);
        }
        answer(events, (), |_| StatusCode::OK).await
    }

    /// GET: the stream for what belongs to no request.
    pub(crate) fn listen(&self, headers: &HeaderMap) -> Response<Body> {
        let listening = self.find(headers).and_then(|session| session.board.listen().map_err(Refused::from));
        match listening {
            Ok(events) => stream(None, events, ()),
            Err(refused) => refused.answer(None),
        }
    }

    /// DELETE: the end of a session.
    pub(crate) fn end(&self, headers: &HeaderMap) -> Response<Body> {
        match self.find(headers) {
            Ok(session) => {
                session.line.stop();
                self.open.lock().retain(|_, open| !Arc::ptr_eq(open, &session));
                bare(StatusCode::NO_CONTENT)
            }
            Err(refused) => refused.answer(None),
        }
    }

    /// Whether a request is under way in any session.
    pub(crate) fn is_answering(&self) -> bool {
        self.open.lock().values().any(|session| session.board.is_answering())
    }

    fn find(&self, headers: &HeaderMap) -> Result<Arc<Session<O::Line>>, Refused> {
        let id = headers.get(SESSION_HEADER).ok_or(Refused::NoSession)?;
        let id = id.to_str().map_err(|_| Refused::UnknownSession)?;
        let session = self.open.lock().get(id).cloned().ok_or(Refused::UnknownSession)?;
        if session.line.is_over() {
            return Err(Refused::UnknownSession);
        }
        // The server's own line knows no headers.
        if !session.speaks(headers) {
            return Err(Refused::UnknownVersion);
        }
        session.touch();
        Ok(session)
    }

    /// A place for one more session of `newcomer`. Where all are taken, that of a session which gives way, once its line is gone: the
    /// bound holds for lines that are ending, too. `None`: no session gives way.
    async fn place(&self, newcomer: Holder) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Some(slot);
        }
        self.make_way(newcomer)?;
        let limit = Duration::from_millis(self.desk.limits.start_ms_max);
        timeout(limit, Arc::clone(&self.slots).acquire_owned()).await.ok()?.ok()
    }

    /// Ends the session that has gone longest unused, of whoever's turn it is. One with a request under way stays, which may be paid
    /// for, unless its holder has too many.
    fn make_way(&self, newcomer: Holder) -> Option<()> {
        let mut open = self.open.lock();
        let opening = self.opening.lock().clone();
        let places = Places::count(open.values().map(|session| session.holder).chain(opening));
        let mut leaving: Vec<_> = open
            .iter()
            .filter(|(_, session)| places.may_go(newcomer, session.holder))
            .map(|(id, session)| (*session.last_used.lock(), id.clone(), Arc::clone(session)))
            .collect();
        leaving.sort_by(|(one_used, _, one), (other_used, _, other)| {
            places.order(one.holder, other.holder).then(one_used.cmp(other_used))
        });
        let places_max = self.desk.limits.sessions_max;
        let has_too_many = |session: &Session<_>| places.are_too_many(session.holder, places_max);
        let (_, id, session) = leaving
            .iter()
            .find(|(_, _, session)| session.board.retire())
            .or_else(|| leaving.iter().find(|(_, _, session)| has_too_many(session)))?;
        session.board.break_off();
        open.remove(id);
        session.line.stop();
        let server = &self.desk.name;
        tracing::info!(%server, holder = ?session.holder, "every session is taken: one gave way to another caller's");
        Some(())
    }

    async fn initialize(
        self: &Arc<Self>,
        holder: Holder,
        request: Frame,
    ) -> Result<Response<Body>, UpstreamError> {
        self.desk.restarts.admit().await?;
        // Until it is open, it counts as its holder's all the same.
        let _opening = Opening::count(&self.opening, holder);
        let Some(slot) = self.place(holder).await else {
            return Ok(Refused::Full.answer(request.id()));
        };
        let board = Arc::new(Board::new(Arc::clone(&self.desk)));
        let opening = async {
            let opened = self.opener.open(Arc::clone(&board)).await;
            let line = opened.inspect_err(|_| self.desk.restarts.failed())?;
            // What ends by itself after this is counted by the board.
            let answered = first_answer(&line, &board, &request).await?;
            Ok::<_, UpstreamError>((line, answered))
        };
        let limit = Duration::from_millis(self.desk.limits.start_ms_max);
        let (line, answered) = match timeout(limit, opening).await {
            Ok(opened) => opened?,
            Err(_) => {
                self.desk.restarts.failed();
                return Err(UpstreamError::TimedOut);
            }
        };
        self.desk.restarts.recovered();
        let mut response = json(StatusCode::OK, answered.bytes().clone());
        if answered.kind() == Kind::Response {
            let id = hex::encode((self.random)());
            if let Ok(value) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(SESSION_HEADER, value);
            }
            let version = answered.result_member("protocolVersion").and_then(raw_json::string);
            let last_used = Mutex::new(Instant::now());
            self.keep(id, Session { line, holder, version, board, last_used, _slot: slot });
        }
        Ok(response)
    }

    /// Files a session, and lets it go when it has been idle for too long or its line is gone.
    fn keep(self: &Arc<Self>, id: String, session: Session<O::Line>) {
        let session = Arc::new(session);
        self.open.lock().insert(id.clone(), Arc::clone(&session));
        let sessions = Arc::clone(self);
        let idle_max = Duration::from_millis(self.desk.limits.idle_ms_max);
        self.desk.tasks.spawn(async move {
            loop {
                let idle_at = *session.last_used.lock() + idle_max;
                tokio::select! {
                    () = session.line.ended() => break,
                    () = sleep_until(idle_at) => {}
                }
                if session.board.is_busy() {
                    session.touch();
                } else if *session.last_used.lock() + idle_max <= Instant::now() {
                    break;
                }
            }
            session.line.stop();
            sessions.open.lock().remove(&id);
        });
    }
}

/// A session that is being opened, on the list of those for as long as this lives.
struct Opening<'a> {
    all: &'a Mutex<Vec<Holder>>,
    holder: Holder,
}

impl<'a> Opening<'a> {
    fn count(all: &'a Mutex<Vec<Holder>>, holder: Holder) -> Self {
        all.lock().push(holder);
        Self { all, holder }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(at) = all.iter().position(|holder| *holder == self.holder) {
            all.swap_remove(at);
        }
    }
}

/// Sends `initialize` and waits for its answer. What the server says before is kept for the GET stream.
async fn first_answer<L: Line>(line: &L, board: &Board, request: &Frame) -> Result<Frame, UpstreamError> {
    let mut events: mpsc::Receiver<Event> =
        board.call(request).map_err(|_| UpstreamError::Unreachable(Box::new(LineEnded)))?;
    line.send(request.bytes()).await?;
    loop {
        match events.recv().await {
            Some(Event::Message(message)) => board.wait(message),
            Some(Event::Answer(message)) => {
                return Frame::parse_upstream(message)
                    .map_err(|_| UpstreamError::NotAnAnswer("its answer is no strict JSON-RPC"));
            }
            Some(Event::Failed(error)) => return Err(error),
            Some(Event::End) | None => return Err(UpstreamError::Broken(Box::new(LineEnded))),
        }
    }
}

/// Why a request within a session is not taken on.
#[derive(Clone, Copy, Debug)]
enum Refused {
    NoSession,
    UnknownSession,
    UnknownVersion,
    Taken,
    Full,
}

impl From<Busy> for Refused {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Taken => Self::Taken,
            Busy::Full => Self::Full,
            Busy::Over => Self::UnknownSession,
        }
    }
}

impl Refused {
    fn answer(self, id: Option<&RequestId>) -> Response<Body> {
        let (status, code, message) = match self {
            Self::NoSession => {
                (StatusCode::BAD_REQUEST, code::INVALID_REQUEST, "the Mcp-Session-Id header is missing")
            }
            Self::UnknownSession => {
                (StatusCode::NOT_FOUND, SESSION_NOT_FOUND, "the session is unknown or has ended")
            }
            Self::UnknownVersion => (
                StatusCode::BAD_REQUEST,
                code::INVALID_REQUEST,
                "MCP-Protocol-Version is no version of this era",
            ),
            Self::Taken => {
                (StatusCode::CONFLICT, code::INVALID_REQUEST, "the id or the stream is already in use")
            }
            Self::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                code::INTERNAL_ERROR,
                "as many sessions or requests as allowed are open",
            ),
        };
        refusal(status, id, code, message)
    }
}
