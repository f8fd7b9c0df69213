//! A tiny HTTP/1.1 client for loopback peers: one connection per request, whole bodies, no redirects, no TLS.
//!
//! Tests use it to talk to peers (and may use it to talk to the gateway) without sharing code with what they test.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// No peer answers later than this: LNbits' slowest call takes two seconds.
const ANSWER_SECONDS_MAX: u64 = 60;

/// A request that could not be sent or answered.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL is not `http://host:port/path`.
    #[error("read the url {0:?}")]
    Url(String),
    /// A header name or value is not valid in HTTP.
    #[error("read the header {0:?}")]
    Header(String),
    /// Nobody listens, or the connection broke while it was made.
    #[error("connect to {authority}")]
    Connect {
        /// `host:port` of the peer.
        authority: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The peer broke the exchange off.
    #[error("exchange a request")]
    Exchange(#[from] hyper::Error),
    /// The request could not be put together.
    #[error("build a request")]
    Build(#[from] http::Error),
    /// No whole answer in time.
    #[error("wait for an answer within {ANSWER_SECONDS_MAX} seconds")]
    TooLate,
    /// The answer is not the JSON that was expected.
    #[error("read an answer as JSON: {body:?}")]
    Json {
        /// What came instead.
        body: String,
        /// Where the parser stopped.
        #[source]
        source: serde_json::Error,
    },
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status line's code.
    pub status: StatusCode,
    /// All headers, in order.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text; invalid UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`HttpError::Json`] when it is not JSON.
    pub fn json(&self) -> Result<serde_json::Value, HttpError> {
        serde_json::from_slice(&self.body).map_err(|source| HttpError::Json { body: self.text(), source })
    }

    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Sends one request and reads the whole answer.
///
/// # Errors
/// See [`HttpError`]; an error status is not an error.
pub async fn send(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, HttpError> {
    let exchange = exchange(method, url, headers, body.into());
    tokio::time::timeout(Duration::from_secs(ANSWER_SECONDS_MAX), exchange)
        .await
        .map_err(|_elapsed| HttpError::TooLate)?
}

/// GETs a URL.
///
/// # Errors
/// See [`send`].
pub async fn get(url: &str, headers: &[(&str, &str)]) -> Result<Answer, HttpError> {
    send(Method::GET, url, headers, Bytes::new()).await
}

/// POSTs a JSON value.
///
/// # Errors
/// See [`send`].
pub async fn post_json(
    url: &str,
    headers: &[(&str, &str)],
    body: &serde_json::Value,
) -> Result<Answer, HttpError> {
    send_json(Method::POST, url, headers, body).await
}

/// Sends a JSON value with any method.
///
/// # Errors
/// See [`send`].
pub async fn send_json(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: &serde_json::Value,
) -> Result<Answer, HttpError> {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    send(method, url, &all, body.to_string()).await
}

async fn exchange(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Answer, HttpError> {
    let unreadable = || HttpError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_invalid| unreadable())?;
    let authority = uri.authority().ok_or_else(unreadable)?.to_string();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = hyper::Request::builder().method(method).uri(path).header("host", &authority);
    for (name, value) in headers {
        let unreadable = || HttpError::Header((*name).to_owned());
        let name = HeaderName::try_from(*name).map_err(|_invalid| unreadable())?;
        request = request.header(name, HeaderValue::try_from(*value).map_err(|_invalid| unreadable())?);
    }
    let request = request.body(Full::new(body))?;
    let target = if uri.port().is_some() { authority.clone() } else { format!("{authority}:80") };
    let stream =
        TcpStream::connect(&target).await.map_err(|source| HttpError::Connect { authority, source })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    };
    // Both are driven by this one future: nothing is left running when the caller drops it.
    tokio::pin!(connection, answer);
    let mut connected = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            ended = &mut connection, if connected => { connected = false; ended?; }
        }
    }
}
