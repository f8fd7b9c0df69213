//! What a server announces on a stream, as far as it is news to whoever listens at a door.
//!
//! That its tools have changed is said when what the door shows of them has changed: not for a tool that waits for an approval,
//! nor for one that a selection leaves out, and also when `tollgate pins approve` lets one pass, of which the server knows nothing.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body::Frame as Chunk;
use http_body_util::StreamBody;
use tollgate_domain::{ServerName, ToolName};
use tollgate_exec::intercept::Limits;
use tollgate_exec::{Body, BodyError, Item, MessageStream, UpstreamError};
use tollgate_federation::tools_changed;
use tollgate_mcp::{Frame, RequestId, json, reply, sse};

use crate::catalog::{ShownTools, Tools};
use crate::clock;

const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
/// What is no news at a door that offers nothing but tools.
const NOT_OF_TOOLS: [&str; 3] = [
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
];

/// A stream to listen on, at one door.
pub(super) struct Listening<'a> {
    pub(super) tools: &'a Arc<Tools>,
    pub(super) server: &'a ServerName,
    /// The request that it answers; `None`: the GET stream of a session.
    pub(super) subscription: Option<&'a RequestId>,
    /// Whether the door offers nothing but tools.
    pub(super) tools_only: bool,
    pub(super) limits: Limits<'a>,
}

/// The stream with what is news at this door, which offers these tools of the server. What carries no events stays as it is.
pub(super) fn news_only(
    response: Response<Body>,
    listening: Listening<'_>,
    is_offered: impl Fn(&ToolName) -> bool + Send + Sync + 'static,
) -> Response<Body> {
    let Listening { tools, server, subscription, tools_only, limits } = listening;
    let shown = tools.shown_to(server, is_offered);
    let is_events = |kind: &http::HeaderValue| kind.as_bytes().starts_with(b"text/event-stream");
    let has_events =
        response.status().is_success() && response.headers().get(CONTENT_TYPE).is_some_and(is_events);
    if !has_events || shown.is_none() && !tools_only {
        return response;
    }
    let (head, messages) = match MessageStream::read(response, limits) {
        Ok(read) => read,
        Err(response) => return response,
    };
    let news = News {
        messages,
        shown,
        tools: Arc::clone(tools),
        server: server.clone(),
        // A subscription is told of tools only after the server has said so.
        is_told: subscription.is_none(),
        subscription: subscription.cloned(),
        tools_only,
    };
    let passing = stream::unfold(Some(news), |news| async move {
        let mut news = news?;
        match news.next().await.transpose()? {
            Ok(bytes) => Some((Ok(Chunk::data(bytes)), Some(news))),
            Err(error) => Some((Err(BodyError::from(error)), None)),
        }
    });
    Response::from_parts(head, Body::boxed(StreamBody::new(passing)))
}

/// What passes as it came.
fn passed(item: Item) -> Bytes {
    let raw = item.raw().clone();
    item.leaves_as(raw)
}

struct News {
    messages: MessageStream,
    shown: Option<ShownTools>,
    tools: Arc<Tools>,
    server: ServerName,
    subscription: Option<RequestId>,
    is_told: bool,
    tools_only: bool,
}

impl News {
    /// What is said next; `None` at the end of the server's stream.
    async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let changed = async {
                match self.shown.as_mut().filter(|_| self.is_told) {
                    Some(shown) => shown.changed().await,
                    None => std::future::pending().await,
                }
            };
            let item = tokio::select! {
                biased;
                item = self.messages.next() => item?,
                () = changed => return Ok(Some(self.tools_changed())),
            };
            let Some(item) = item else { return Ok(None) };
            let frame = item.message().and_then(|message| Frame::parse_upstream(message).ok());
            match frame.as_ref().and_then(Frame::method) {
                Some(TOOLS_CHANGED) if !self.is_news().await => {}
                Some(other) if self.tools_only && NOT_OF_TOOLS.contains(&other) => {}
                Some(ACKNOWLEDGED) => {
                    let honoured = frame.as_ref().and_then(Frame::params).is_some_and(|params| {
                        let asked = json::lookup(&params, &["notifications", "toolsListChanged"]);
                        asked == Ok(Some(b"true".as_slice()))
                    });
                    self.is_told |= honoured;
                    return Ok(Some(passed(item)));
                }
                _ => return Ok(Some(passed(item))),
            }
        }
    }

    /// Whether a change that the server announces is news here: the gateway looks for itself first.
    async fn is_news(&mut self) -> bool {
        let Some(shown) = &mut self.shown else { return true };
        if let Err(error) = self.tools.read_again(&self.server, clock::now()).await {
            tracing::warn!(server = %self.server, %error, "could not read the server's tools again");
        }
        shown.is_announcement_news()
    }

    fn tools_changed(&self) -> Bytes {
        let message = match &self.subscription {
            Some(id) => tools_changed(id),
            None => reply::notification(TOOLS_CHANGED, None),
        };
        sse::encode(&message, None)
    }
}
