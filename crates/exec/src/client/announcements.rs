//! What a server says without being asked, on a stream of the client's own session.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tollgate_mcp::{Frame, RequestId, json, reply};

use super::{ClientError, Lifecycle, McpClient};
use crate::messages::{Framing, Messages};
use crate::{Body, UpstreamError};

const CHANGED: &str = "notifications/tools/list_changed";

/// A stream of announcements. Dropping it closes it.
#[derive(Debug)]
pub struct Announcements(Messages);

impl Announcements {
    /// Waits until the server says that its list of tools changed. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The stream is over; what was said meanwhile was lost.
    pub async fn tools_changed(&mut self) -> Result<(), UpstreamError> {
        loop {
            let Some(piece) = self.0.next().await? else {
                return Err(UpstreamError::NotAnAnswer("its stream of announcements ended"));
            };
            let frame = piece.message().and_then(|message| Frame::parse_upstream(message).ok());
            if frame.is_some_and(|frame| frame.method() == Some(CHANGED)) {
                return Ok(());
            }
        }
    }
}

impl McpClient {
    /// Opens a stream of what the server announces: the GET stream of a legacy session, or a subscription.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Status`] where the server offers no such stream.
    pub async fn listen(&self) -> Result<Announcements, ClientError> {
        let lifecycle = self.lifecycle(None).await?;
        let response = self.open_stream(&lifecycle).await?;
        let is_forgotten = response.status() == StatusCode::NOT_FOUND
            && matches!(&lifecycle, Lifecycle::Legacy { session: Some(_), .. });
        let response = match is_forgotten {
            true => self.open_stream(&self.lifecycle(Some(&lifecycle)).await?).await?,
            false => response,
        };
        if !response.status().is_success() {
            return Err(ClientError::Status(response.status()));
        }
        match Framing::of(response.headers()) {
            Some(Framing::Sse) => {
                let bytes_max = self.limits.answer_bytes_max;
                // The stream lives as long as the server does; only its messages have a limit.
                let messages = Messages::new(response.into_body(), Framing::Sse, bytes_max, usize::MAX);
                Ok(Announcements(messages))
            }
            Some(Framing::Json) | None => {
                Err(UpstreamError::NotAnAnswer("it opened no stream of announcements").into())
            }
        }
    }

    async fn open_stream(&self, lifecycle: &Lifecycle) -> Result<Response<Body>, ClientError> {
        let mut request = Request::new(Body::Empty);
        match lifecycle {
            Lifecycle::Legacy { .. } => {
                *request.method_mut() = Method::GET;
                *request.headers_mut() = lifecycle.headers("", None);
                request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
            }
            Lifecycle::Modern => {
                *request.method_mut() = Method::POST;
                *request.headers_mut() = lifecycle.headers("subscriptions/listen", None);
                *request.body_mut() = Body::Full(subscription(&self.next_id(), lifecycle));
                let headers = request.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
            }
        }
        let limit = Duration::from_millis(self.limits.exchange_ms_max);
        let opened = tokio::time::timeout(limit, self.upstream.exchange(request)).await;
        Ok(opened.map_err(|_| UpstreamError::TimedOut)??)
    }
}

fn subscription(id: &RequestId, lifecycle: &Lifecycle) -> bytes::Bytes {
    let meta: Vec<String> =
        lifecycle.meta().iter().map(|(key, raw)| format!("{}:{raw}", json::quote(key))).collect();
    let params =
        format!("{{\"notifications\":{{\"toolsListChanged\":true}},\"_meta\":{{{}}}}}", meta.join(","));
    reply::request(id, "subscriptions/listen", Some(&params))
}
