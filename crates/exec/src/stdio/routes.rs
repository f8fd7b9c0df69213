//! The switchboard of the process that modern callers share: every call gets an id of ours, which also is its progress token,
//! and what comes back gets the caller's own again.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tollgate_mcp::era::SUBSCRIPTION_ID_KEY;
use tollgate_mcp::{Frame, Kind, RequestId};

use super::Host;
use crate::UpstreamError;
use crate::session::Sink;
use crate::session::answer::{Busy, Event};

/// The caller has opted in to `notifications/message` for this request.
const LOG_LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";
const PROGRESS_TOKEN: &str = "progressToken";

/// Where the messages of the shared process go.
pub(super) struct Routes {
    host: Arc<Host>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    last_id: i64,
    routes: HashMap<i64, Route>,
    over: bool,
}

/// One call under way.
struct Route {
    id: RequestId,
    progress: Option<Box<str>>,
    wants_logs: bool,
    /// It waits for changes, and has no log of its own.
    listens: bool,
    events: mpsc::Sender<Event>,
}

/// A call that was taken on.
pub(super) struct Taken {
    /// Its id towards the process.
    pub(super) upstream_id: i64,
    /// The request as the process is to see it.
    pub(super) request: Bytes,
    /// What comes for it.
    pub(super) events: mpsc::Receiver<Event>,
}

impl Routes {
    pub(super) fn new(host: Arc<Host>) -> Self {
        Self { host, book: Mutex::default() }
    }

    /// Takes on a request.
    pub(super) fn take_on(&self, request: &Frame) -> Result<Taken, Busy> {
        let id = request.id().ok_or(Busy::Taken)?.clone();
        let progress =
            request.meta(PROGRESS_TOKEN).and_then(|raw| std::str::from_utf8(raw).ok()).map(Box::from);
        let wants_logs = request.meta(LOG_LEVEL_KEY).is_some();
        let listens = request.method() == Some("subscriptions/listen");
        let (events, receiver) = mpsc::channel(self.host.desk.limits.queue_messages_max.max(2));
        let upstream_id = {
            let mut book = self.book.lock();
            if book.over {
                return Err(Busy::Over);
            }
            if book.routes.len() >= self.host.desk.limits.calls_max {
                return Err(Busy::Full);
            }
            book.last_id = book.last_id.checked_add(1).ok_or(Busy::Over)?;
            let upstream_id = book.last_id;
            book.routes.insert(upstream_id, Route { id, progress, wants_logs, listens, events });
            upstream_id
        };
        let own = RequestId::integer(upstream_id);
        let mut rewritten = request.with_id(&own);
        if request.meta(PROGRESS_TOKEN).is_some() {
            // Splices keep a message strict, so this parse does not fail.
            let parsed = Frame::parse(rewritten).map_err(|_| Busy::Taken)?;
            rewritten = parsed.with_meta_value(PROGRESS_TOKEN, own.raw());
        }
        Ok(Taken { upstream_id, request: rewritten, events: receiver })
    }

    /// Whether a call is under way.
    pub(super) fn is_answering(&self) -> bool {
        !self.book.lock().routes.is_empty()
    }

    /// Forgets a call: nothing that still comes for it reaches anybody.
    pub(super) fn forget(&self, upstream_id: i64) {
        self.book.lock().routes.remove(&upstream_id);
    }

    /// Whose a message is, and what it looks like to its owner.
    fn translate(&self, frame: &Frame) -> Option<(i64, mpsc::Sender<Event>, Event)> {
        let mut book = self.book.lock();
        if frame.method().is_none() {
            let upstream_id = frame.id()?.as_integer()?;
            let route = book.routes.remove(&upstream_id)?;
            return Some((upstream_id, route.events, Event::Answer(own_answer(frame, &route.id))));
        }
        if let Some(subscription) = frame.meta(SUBSCRIPTION_ID_KEY) {
            let (upstream_id, route) = book.find(subscription)?;
            let message = frame.with_meta_value(SUBSCRIPTION_ID_KEY, route.id.raw());
            return Some((upstream_id, route.events.clone(), Event::Message(message)));
        }
        match frame.method() {
            Some("notifications/progress") => {
                let (upstream_id, route) = book.find(frame.param(PROGRESS_TOKEN)?)?;
                let message = frame.with_param(PROGRESS_TOKEN, route.progress.as_deref()?);
                Some((upstream_id, route.events.clone(), Event::Message(message)))
            }
            Some("notifications/message") => {
                // The log of a request does not name it, and not every server keeps quiet about those that did not ask for it: only
                // while one is under way is it clear whose it is. Another caller's must not be shown.
                let mut under_way = book.routes.iter().filter(|(_, route)| !route.listens);
                let ((upstream_id, route), None) = (under_way.next()?, under_way.next()) else {
                    return None;
                };
                route.wants_logs.then_some(())?;
                Some((*upstream_id, route.events.clone(), Event::Message(frame.bytes().clone())))
            }
            _ => None,
        }
    }
}

impl Book {
    fn find(&self, raw_upstream_id: &[u8]) -> Option<(i64, &Route)> {
        let upstream_id: i64 = std::str::from_utf8(raw_upstream_id).ok()?.parse().ok()?;
        self.routes.get(&upstream_id).map(|route| (upstream_id, route))
    }
}

/// An answer under the caller's own id; the result of a subscription also names it inside.
fn own_answer(frame: &Frame, id: &RequestId) -> Bytes {
    if frame.kind() != Kind::Response || frame.meta(SUBSCRIPTION_ID_KEY).is_none() {
        return frame.with_id(id);
    }
    let named = frame.with_result_meta(&[(SUBSCRIPTION_ID_KEY, id.raw())], |_| false);
    match named.and_then(Frame::parse_upstream) {
        Ok(named) => named.with_id(id),
        Err(_) => frame.with_id(id),
    }
}

impl Sink for Routes {
    async fn message(&self, frame: Frame) {
        if frame.kind() == Kind::Request {
            tracing::warn!(server = %self.host.desk.name, "a modern server sent a request, which it must not");
            return;
        }
        let Some((upstream_id, events, event)) = self.translate(&frame) else {
            return;
        };
        // Under the caller's own id it is another message, which waits in the place of the one that was read.
        let event = match event {
            Event::Message(message) => Event::Message(self.host.desk.in_its_place(message)),
            Event::Answer(message) => Event::Answer(self.host.desk.in_its_place(message)),
            other => other,
        };
        if events.try_send(event).is_err() {
            // One slow caller must not hold up the others: its call is given up. The queue's end tells it.
            self.forget(upstream_id);
        }
    }

    fn lost(&self, whose: Option<&RequestId>, error: UpstreamError) {
        let mut book = self.book.lock();
        let upstream_id = match whose {
            Some(id) => id.as_integer(),
            None if book.routes.len() == 1 => book.routes.keys().next().copied(),
            None => None,
        };
        if let Some(route) = upstream_id.and_then(|id| book.routes.remove(&id)) {
            drop(route.events.try_send(Event::Failed(error)));
        }
    }

    fn ended(&self, by_itself: bool) {
        let routes = {
            let mut book = self.book.lock();
            book.over = true;
            std::mem::take(&mut book.routes)
        };
        if by_itself {
            self.host.desk.restarts.failed();
        }
        tracing::debug!(server = %self.host.desk.name, lost = routes.len(), "the shared process is gone");
    }
}
