//! Streamable HTTP for `rmcp`, over hyper.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};

const SESSION_ID: &str = "mcp-session-id";
const LAST_EVENT_ID: &str = "last-event-id";
const EVENTS: &str = "text/event-stream";
const EITHER: &str = "application/json, text/event-stream";

/// A client over plain HTTP that counts how often it resumes a stream.
#[derive(Clone)]
pub(super) struct Hyper {
    client: Client<HttpConnector, Full<Bytes>>,
    resumptions: Arc<AtomicUsize>,
}

/// What can go wrong below the protocol.
#[derive(Debug, thiserror::Error)]
pub(super) enum BelowError {
    /// No answer came.
    #[error("exchange a request")]
    Exchange(#[from] legacy::Error),
    /// An answer broke off.
    #[error("read an answer")]
    Body(#[from] hyper::Error),
    /// The request cannot be written.
    #[error("write a request")]
    Request(#[from] http::Error),
    /// The status says no, and nothing else does.
    #[error("answered with {0}")]
    Status(StatusCode),
}

type Failure = StreamableHttpError<BelowError>;

impl Hyper {
    pub(super) fn new(resumptions: Arc<AtomicUsize>) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), resumptions }
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        headers: Headers,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers.0 {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(below)?;
        self.client.request(request).await.map_err(below)
    }
}

/// The headers of one request.
struct Headers(HashMap<HeaderName, HeaderValue>);

impl Headers {
    fn new(mut own: HashMap<HeaderName, HeaderValue>, accept: &'static str) -> Self {
        own.insert(ACCEPT, HeaderValue::from_static(accept));
        Self(own)
    }

    fn with(mut self, name: &'static str, value: Option<&str>) -> Self {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            self.0.insert(HeaderName::from_static(name), value);
        }
        self
    }
}

fn below(error: impl Into<BelowError>) -> Failure {
    StreamableHttpError::Client(error.into())
}

fn is(response: &Response<Incoming>, kind: &str) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with(kind))
}

impl StreamableHttpClient for Hyper {
    type Error = BelowError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let headers = Headers::new(custom_headers, EITHER)
            .with("content-type", Some("application/json"))
            .with(SESSION_ID, session_id.as_deref());
        let body = serde_json::to_vec(&message)?;
        let response = self.send(Method::POST, &uri, headers, body.into()).await?;
        let status = response.status();
        if status == StatusCode::ACCEPTED || status == StatusCode::NO_CONTENT {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && session_id.is_some() {
            return Err(StreamableHttpError::SessionExpired);
        }
        let session = response.headers().get(SESSION_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        if status.is_success() && is(&response, EVENTS) {
            let events = SseStream::new(response.into_body()).boxed();
            return Ok(StreamableHttpPostResponse::Sse(events, session));
        }
        let body = response.into_body().collect().await.map_err(below)?.to_bytes();
        match serde_json::from_slice::<ServerJsonRpcMessage>(&body) {
            Ok(said) if status.is_success() || matches!(said, JsonRpcMessage::Error(_)) => {
                Ok(StreamableHttpPostResponse::Json(said, session))
            }
            Err(error) if status.is_success() => Err(error.into()),
            Ok(_) | Err(_) => Err(below(BelowError::Status(status))),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let headers = Headers::new(custom_headers, EITHER).with(SESSION_ID, Some(&session_id));
        let status = self.send(Method::DELETE, &uri, headers, Bytes::new()).await?.status();
        if status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED {
            return Ok(());
        }
        Err(below(BelowError::Status(status)))
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        if last_event_id.is_some() {
            self.resumptions.fetch_add(1, Ordering::Relaxed);
        }
        let headers = Headers::new(custom_headers, EVENTS)
            .with(SESSION_ID, session_id.as_deref())
            .with(LAST_EVENT_ID, last_event_id.as_deref());
        let response = self.send(Method::GET, &uri, headers, Bytes::new()).await?;
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        }
        if !response.status().is_success() || !is(&response, EVENTS) {
            return Err(below(BelowError::Status(response.status())));
        }
        Ok(SseStream::new(response.into_body()).boxed())
    }
}
