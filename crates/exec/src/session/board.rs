//! The switchboard of one legacy session: which of its HTTP requests a message of the server belongs to.
//!
//! A session is one client, so ids pass unchanged. One stream does not say which request a message on it is about;
//! progress says it by its token, the rest is decided here, always within the session.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tollgate_mcp::{Frame, Kind, RequestId};

use super::answer::{Busy, Event};
use super::{Desk, Sink};
use crate::UpstreamError;

/// Where the messages of one session go.
pub(crate) struct Board {
    desk: Arc<Desk>,
    queue_max: usize,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    calls: Vec<Call>,
    /// The GET stream.
    listener: Option<mpsc::Sender<Event>>,
    /// What waits for a GET stream; the oldest goes first when it is full.
    waiting: VecDeque<Bytes>,
    over: bool,
}

#[derive(Debug)]
struct Call {
    id: RequestId,
    progress: Option<RequestId>,
    events: mpsc::Sender<Event>,
}

impl Board {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        let queue_max = desk.limits.queue_messages_max.max(2);
        Self { desk, queue_max, lines: Mutex::default() }
    }

    /// Takes on a request: what belongs to it comes out of the receiver.
    pub(crate) fn call(&self, request: &Frame) -> Result<mpsc::Receiver<Event>, Busy> {
        let Some(id) = request.id().cloned() else {
            return Err(Busy::Taken);
        };
        let progress = request.meta("progressToken").and_then(token);
        let (events, receiver) = mpsc::channel(self.queue_max);
        let mut lines = self.lines.lock();
        if lines.over {
            return Err(Busy::Over);
        }
        if lines.calls.iter().any(|call| call.id == id) {
            return Err(Busy::Taken);
        }
        let calls_max = self.desk.limits.calls_max;
        if lines.calls.len() >= calls_max {
            // Requests whose callers have gone away are kept only so that nobody else gets their answers under the same id.
            lines.calls.retain(|call| !call.events.is_closed());
        }
        if lines.calls.len() >= calls_max {
            return Err(Busy::Full);
        }
        lines.calls.push(Call { id, progress, events });
        Ok(receiver)
    }

    /// Opens the GET stream.
    pub(crate) fn listen(&self) -> Result<mpsc::Receiver<Event>, Busy> {
        let mut lines = self.lines.lock();
        if lines.over {
            return Err(Busy::Over);
        }
        if lines.listener.as_ref().is_some_and(|listener| !listener.is_closed()) {
            return Err(Busy::Taken);
        }
        let (events, receiver) = mpsc::channel(self.queue_max);
        for message in lines.waiting.drain(..) {
            // The buffer is no longer than the queue, so everything fits.
            drop(events.try_send(Event::Message(message)));
        }
        lines.listener = Some(events);
        Ok(receiver)
    }

    /// The client has cancelled a request: it will not be answered, which ends its stream in order.
    pub(crate) fn cancelled(&self, notification: &Frame) {
        let Some(id) = notification.param("requestId").and_then(token) else {
            return;
        };
        if let Some(call) = self.take(&id) {
            drop(call.events.try_send(Event::End));
        }
    }

    /// Whether somebody is waiting for something.
    pub(crate) fn is_busy(&self) -> bool {
        let lines = self.lines.lock();
        let open = |events: &mpsc::Sender<Event>| !events.is_closed();
        lines.calls.iter().any(|call| open(&call.events)) || lines.listener.as_ref().is_some_and(open)
    }

    /// Whether somebody is waiting for the answer to a request.
    pub(crate) fn is_answering(&self) -> bool {
        self.lines.lock().are_answering()
    }

    /// Takes on no more requests, unless somebody is waiting for the answer to one: then nothing changes, and `false`.
    pub(crate) fn retire(&self) -> bool {
        let mut lines = self.lines.lock();
        let is_answering = lines.are_answering();
        lines.over |= !is_answering;
        !is_answering
    }

    /// Takes on no more requests; whoever waits for an answer is told that none will come.
    pub(crate) fn break_off(&self) {
        let over = Lines { over: true, ..Lines::default() };
        let lines = std::mem::replace(&mut *self.lines.lock(), over);
        for call in lines.calls {
            drop(call.events.try_send(Event::Failed(UpstreamError::Broken(Box::new(GaveWay)))));
        }
        if let Some(listener) = lines.listener {
            drop(listener.try_send(Event::End));
        }
    }

    /// Keeps a message for the GET stream.
    pub(crate) fn wait(&self, message: Bytes) {
        self.lines.lock().wait(message, self.queue_max);
    }

    /// Takes back a request that was not sent.
    pub(crate) fn withdraw(&self, id: &RequestId) {
        self.take(id);
    }

    fn take(&self, id: &RequestId) -> Option<Call> {
        let mut lines = self.lines.lock();
        let at = lines.calls.iter().position(|call| call.id == *id)?;
        Some(lines.calls.swap_remove(at))
    }

    /// Where a message of the server goes. `None`: it waits for a GET stream, or is progress that nobody waits for.
    fn route(&self, frame: &Frame) -> Option<mpsc::Sender<Event>> {
        let mut lines = self.lines.lock();
        if frame.method() == Some("notifications/progress") {
            let token = frame.param("progressToken").and_then(token)?;
            let call = lines.calls.iter().find(|call| call.progress.as_ref() == Some(&token))?;
            return Some(call.events.clone());
        }
        let listener = lines.listener.as_ref().filter(|listener| !listener.is_closed()).cloned();
        let mut open = lines.calls.iter().filter(|call| !call.events.is_closed()).map(|call| &call.events);
        let target = match (is_about_the_server(frame), open.next(), open.next_back()) {
            (false, Some(only), None) => Some(only.clone()),
            // Of several requests the youngest is the likeliest cause.
            (false, Some(_), Some(youngest)) => listener.or_else(|| Some(youngest.clone())),
            (true, _, _) | (false, None, _) => listener,
        };
        if target.is_none() {
            lines.wait(frame.bytes().clone(), self.queue_max);
        }
        target
    }
}

/// Why a request that was under way has no answer.
#[derive(Debug, thiserror::Error)]
#[error("its session had to give way to another caller's: its own caller has too many")]
struct GaveWay;

impl Lines {
    fn are_answering(&self) -> bool {
        self.calls.iter().any(|call| !call.events.is_closed())
    }

    fn wait(&mut self, message: Bytes, queue_max: usize) {
        if self.waiting.len() >= queue_max {
            self.waiting.pop_front();
        }
        self.waiting.push_back(message);
    }
}

/// Progress tokens have the shape of ids.
fn token(raw: &[u8]) -> Option<RequestId> {
    RequestId::from_raw(std::str::from_utf8(raw).ok()?).ok()
}

/// Changes of the server's lists and resources belong to no request.
fn is_about_the_server(frame: &Frame) -> bool {
    let method = frame.method().unwrap_or_default();
    method.ends_with("/list_changed") || method == "notifications/resources/updated"
}

impl Sink for Board {
    async fn message(&self, frame: Frame) {
        let (target, event) = match (frame.kind(), frame.id()) {
            (Kind::Response | Kind::ErrorResponse, Some(id)) => {
                (self.take(id).map(|call| call.events), Event::Answer(frame.bytes().clone()))
            }
            (Kind::ErrorResponse, None) | (Kind::Response, None) => return,
            (Kind::Request | Kind::Notification, _) => {
                (self.route(&frame), Event::Message(frame.bytes().clone()))
            }
        };
        if let Some(target) = target {
            // Waits for a slow reader, which holds up this session and nobody else. A reader that has gone away
            // has no use for the message.
            drop(target.send(event).await);
        }
    }

    fn lost(&self, whose: Option<&RequestId>, error: UpstreamError) {
        let call = match whose {
            Some(id) => self.take(id),
            None => {
                let mut lines = self.lines.lock();
                if lines.calls.len() == 1 { lines.calls.pop() } else { None }
            }
        };
        if let Some(call) = call {
            drop(call.events.try_send(Event::Failed(error)));
        }
    }

    fn ended(&self, by_itself: bool) {
        let over = Lines { over: true, ..Lines::default() };
        let mut lines = std::mem::replace(&mut *self.lines.lock(), over);
        if by_itself {
            // Streams that end without a last word are broken streams.
            self.desk.restarts.failed();
            return;
        }
        let calls = lines.calls.drain(..).map(|call| call.events);
        for events in calls.chain(lines.listener.take()) {
            drop(events.try_send(Event::End));
        }
    }
}
