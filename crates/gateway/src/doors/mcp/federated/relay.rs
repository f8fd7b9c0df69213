//! What one server says, passed on in the names of the door: message by message, as it comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::{HeaderValue, Response};
use http_body_util::StreamBody;
use parking_lot::Mutex;
use tollgate_domain::ServerName;
use tollgate_exec::intercept::Limits;
use tollgate_exec::{Body, BodyError, Item, MessageStream, UpstreamError};
use tollgate_federation::{EventId, Principal, TaskIds, Translator};
use tollgate_mcp::{Frame, Kind, RequestId, headers, sse};
use tollgate_risk::room::{Room, Share};

use super::asking::Asking;
use super::listening::Said;
use crate::begun::{Begun, RELATED_TASK, Whose};
use crate::carrier::fault_of;
use crate::federation::Federation;

/// How the events of a stream are named.
#[derive(Clone)]
pub(super) enum Events {
    /// The stream of one request.
    Request,
    /// The stream that a client listens on: the last event of every server that named one.
    Listening(Arc<Mutex<BTreeMap<ServerName, String>>>),
}

/// What becomes of what a server says.
enum Translated {
    /// The message as the client is to see it.
    Message(Bytes),
    /// There is no message in it.
    Nothing,
    /// It tells of a task that is not known to be the client's.
    OfAnother,
}

/// Puts one server's messages into the names of a door.
pub(super) struct Relay {
    federation: Arc<Federation>,
    principal: Principal,
    /// The server's own id of the session.
    session: Option<HeaderValue>,
    server: ServerName,
    /// The request that is answered; `None` on a stream where any answer may come.
    id: Option<RequestId>,
    /// Whether answers are translated here; those of a vetted call were already.
    with_answers: bool,
    events: Events,
    answered: bool,
    answers: Arc<Room>,
    begun: Arc<Begun>,
}

impl Relay {
    pub(super) fn new(
        asking: &Asking,
        server: &ServerName,
        id: Option<RequestId>,
        with_answers: bool,
        events: Events,
    ) -> Self {
        Self {
            federation: Arc::clone(&asking.federation),
            principal: asking.principal,
            session: asking.own_session(server),
            server: server.clone(),
            id,
            with_answers,
            events,
            answered: false,
            answers: Arc::clone(&asking.gateway.foundation.answers),
            begun: Arc::clone(&asking.gateway.foundation.begun),
        }
    }

    /// One message or event as the client is to see it. `None`: the stream is over, what follows its answer is nobody's.
    fn say(&mut self, item: Item) -> Result<Option<Bytes>, UpstreamError> {
        if self.answered {
            return Ok(None);
        }
        let event_id = item.event_id().filter(|id| !id.is_empty()).and_then(|id| self.event_id(id));
        let message = match self.translated(&item)? {
            Translated::Message(message) => Some(message),
            Translated::Nothing => None,
            Translated::OfAnother => return Ok(Some(Bytes::new())),
        };
        // What is not translated keeps its framing byte for byte as well.
        let message = message.filter(|message| item.message().as_ref() != Some(message));
        let said = item.rewritten(message.as_deref(), event_id.as_deref());
        Ok(Some(if self.with_answers {
            item.leaves_as(said)
        } else {
            // What was settled is not refused any more.
            Share::promised(&self.answers, said.len()).keep(said)
        }))
    }

    /// The message in an item as the client is to see it.
    fn translated(&mut self, item: &Item) -> Result<Translated, UpstreamError> {
        let Some(message) = item.message() else { return Ok(Translated::Nothing) };
        let mut frame = Frame::parse_upstream(message)
            .map_err(|_| UpstreamError::NotAnAnswer("one of its messages is no strict JSON-RPC"))?;
        let is_answer = matches!(frame.kind(), Kind::Response | Kind::ErrorResponse);
        if is_answer && let Some(id) = &self.id {
            if frame.id().is_some_and(|answered| answered != id) {
                return Err(UpstreamError::NotAnAnswer("it answers another request"));
            }
            self.answered = true;
        }
        let tasks = TaskIds { keys: &self.federation.keys, principal: self.principal };
        let translator = Translator { names: &self.federation.names, tasks, server: &self.server };
        let whose = Whose { tasks, session: self.session.as_ref() };
        if self.begun.is_of_another(&whose, &self.server, &frame) {
            if frame.kind() == Kind::Notification {
                return Ok(Translated::OfAnother);
            }
            // A request must be answered all the same, without a word of the task.
            frame = Frame::parse_upstream(frame.without_meta_keys(&[RELATED_TASK])).unwrap_or(frame);
        }
        if is_answer && self.with_answers {
            self.begun.note_answer(&whose, &self.server, &frame);
        }
        let translated = if is_answer && !self.with_answers { None } else { translator.to_client(&frame) };
        Ok(Translated::Message(translated.unwrap_or_else(|| frame.bytes().clone())))
    }

    fn event_id(&self, own: &str) -> Option<String> {
        match &self.events {
            Events::Request => EventId::Request(self.server.clone(), own.to_owned()).encode(),
            Events::Listening(last) => {
                let mut last = last.lock();
                last.insert(self.server.clone(), own.to_owned());
                let parts = last.iter().map(|(server, id)| (server.clone(), id.clone()));
                EventId::Listening(parts.collect()).encode()
            }
        }
    }

    /// The rest of a stream, translated; it ends when this one does.
    pub(super) fn stream(
        self,
        messages: MessageStream,
    ) -> impl Stream<Item = Result<http_body::Frame<Bytes>, BodyError>> + Send + 'static {
        stream::unfold(Some((self, messages)), |state| async move {
            let (mut relay, mut messages) = state?;
            let said = match messages.next().await {
                Ok(Some(item)) => relay.say(item).transpose()?,
                Ok(None) => return None,
                Err(error) => Err(error),
            };
            match said {
                Ok(bytes) => Some((Ok(http_body::Frame::data(bytes)), Some((relay, messages)))),
                Err(error) => Some((Err(BodyError::from(error)), None)),
            }
        })
    }
}

impl Relay {
    /// A server's part of a subscription: its messages as events, and how it ends.
    pub(super) fn subscription(self, messages: MessageStream) -> impl Stream<Item = Said> + Send + 'static {
        stream::unfold(Some((self, messages)), |state| async move {
            let (mut relay, mut messages) = state?;
            loop {
                let item = match messages.next().await {
                    Ok(Some(item)) => item,
                    Ok(None) => {
                        let dropped = UpstreamError::NotAnAnswer("its subscription ends without a word");
                        return Some((Said::Dropped(dropped), None));
                    }
                    Err(error) => return Some((Said::Dropped(error), None)),
                };
                match relay.translated(&item) {
                    Ok(_) if relay.answered => return Some((Said::Ended, None)),
                    Ok(Translated::Message(message)) => {
                        let event = item.leaves_as(sse::encode(&message, None));
                        return Some((Said::Message(event), Some((relay, messages))));
                    }
                    // Nothing but a sign of life.
                    Ok(Translated::Nothing) if messages.is_events() => {
                        let sign = item.raw().clone();
                        return Some((Said::Message(item.leaves_as(sign)), Some((relay, messages))));
                    }
                    Ok(Translated::Nothing | Translated::OfAnother) => {}
                    Err(error) => return Some((Said::Dropped(error), None)),
                }
            }
        })
    }
}

/// The limits of one server's response. A stream may be open for days: there is no bound on all of it.
pub(super) fn limits(asking: &Asking) -> Limits<'_> {
    let message_bytes_max = asking.gateway.config.limits.answer_bytes_max;
    let room = Some(&asking.gateway.foundation.answers);
    Limits { message_bytes_max, stream_bytes_max: usize::MAX, room, ..Limits::default() }
}

/// A server's response to one request, in the names of the door.
pub(super) async fn relayed(
    asking: &Asking,
    server: &ServerName,
    response: Response<Body>,
    id: &RequestId,
    with_answers: bool,
) -> Response<Body> {
    let mut relay = Relay::new(asking, server, Some(id.clone()), with_answers, Events::Request);
    let mut limits = limits(asking);
    if !with_answers {
        limits.room = None;
    }
    let (mut head, mut messages) = match MessageStream::read(response, limits) {
        Ok(read) => read,
        Err(mut response) => {
            response.headers_mut().remove(headers::SESSION_ID);
            return response;
        }
    };
    // A session is the gateway's own; its servers' ids stay behind it.
    head.headers.remove(headers::SESSION_ID);
    if messages.is_events() {
        return Response::from_parts(head, Body::boxed(StreamBody::new(relay.stream(messages))));
    }
    let only = match messages.next().await {
        Ok(Some(item)) => relay.say(item).map(|said| said.unwrap_or_default()),
        Ok(None) if !head.status.is_success() => return Response::from_parts(head, Body::Empty),
        Ok(None) => Err(UpstreamError::NotAnAnswer("its response ends without an answer")),
        Err(error) => Err(error),
    };
    match only {
        Ok(said) if relay.answered || !head.status.is_success() => {
            Response::from_parts(head, Body::Full(said))
        }
        // Several values, such as progress before the answer.
        Ok(said) => {
            let first = stream::iter([Ok(http_body::Frame::data(said))]);
            let all = futures_util::StreamExt::chain(first, relay.stream(messages));
            Response::from_parts(head, Body::boxed(StreamBody::new(all)))
        }
        Err(error) => {
            super::asking::unanswered(server, &error);
            asking.failed(&fault_of(&error), id)
        }
    }
}
