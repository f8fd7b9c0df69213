//! One request, one whole answer, within limits.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connector::{ConnectError, Connector, connector};
use crate::policy::{Policy, Refusal};
use crate::streamed::Streamed;

/// Node servers close an idle connection after five seconds; ours are given up before, so that a request does not meet a
/// connection that is just being closed.
const IDLE_MS_MAX: u64 = 4_000;
/// A server that does not accept within five seconds counts as unreachable, even if the answer might take longer.
const CONNECT_MS_MAX: u64 = 5_000;
const IDLE_CONNECTIONS_MAX: usize = 8;
const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long an exchange may take and how much may come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// From the call to the last byte of the answer, in milliseconds.
    pub timeout_ms_max: u64,
    /// The length of the answer's body as received (nothing is decompressed), in bytes.
    pub response_bytes_max: usize,
}

impl Default for Limits {
    /// Ten seconds, one mebibyte.
    fn default() -> Self {
        Self { timeout_ms_max: 10_000, response_bytes_max: 1024 * 1024 }
    }
}

/// Why no answer came back. The texts name addresses and limits, never user information, a query or a header.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// Not an absolute `http` or `https` URL with a plain host and without user information. Nothing was sent.
    #[error("the URL is not an absolute http or https URL with a plain host and no user information")]
    Url,
    /// The policy forbids the address that the host leads to. Nothing was sent.
    #[error(transparent)]
    Refused(Refusal),
    /// The host name could not be resolved. Nothing was sent.
    #[error("could not resolve the host name")]
    Resolve(#[source] Source),
    /// No connection could be opened. Nothing was sent.
    #[error("could not connect")]
    Connect(#[source] Source),
    /// The TLS handshake failed or no TLS is to be had. Nothing was sent.
    #[error("could not set up TLS")]
    Tls(#[source] Source),
    /// The time limit passed; the request may have arrived.
    #[error("no whole answer within {0} ms")]
    Timeout(u64),
    /// The answer's body is longer than the limit.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The connection broke or what came is not HTTP; the request may have arrived.
    #[error("the exchange broke off")]
    Protocol(#[source] Source),
}

/// The inner reason of an [`EgressError`], for the log.
pub type Source = Box<dyn Error + Send + Sync>;

impl EgressError {
    /// Whether it is certain that no byte of the request left: only then may a request that changes something be sent again.
    pub const fn nothing_was_sent(&self) -> bool {
        matches!(self, Self::Url | Self::Refused(_) | Self::Resolve(_) | Self::Connect(_) | Self::Tls(_))
    }
}

/// The guarded HTTP/1.1 client. Cheap to clone; clones share one pool of connections.
#[derive(Clone)]
pub struct Client {
    pool: Result<legacy::Client<Connector, Full<Bytes>>, rustls::Error>,
    limits: Limits,
}

impl Client {
    /// A client under `policy` and `limits`. Must be used inside a tokio runtime.
    pub fn new(policy: Policy, limits: Limits) -> Self {
        let pool = connector(policy, limits.timeout_ms_max.min(CONNECT_MS_MAX)).map(|connector| {
            legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(Duration::from_millis(IDLE_MS_MAX))
                .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
                .http1_max_buf_size(RESPONSE_HEAD_BYTES_MAX)
                .build(connector)
        });
        Self { pool, limits }
    }

    /// The same connections with other limits.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self { pool: self.pool.clone(), limits }
    }

    /// Sends one request and collects the whole answer. A redirect is an answer like any other: it is returned, not followed.
    ///
    /// # Errors
    /// [`EgressError`], one variant per failed step.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, EgressError> {
        let limit = Duration::from_millis(self.limits.timeout_ms_max);
        match tokio::time::timeout(limit, self.send_in_time(request)).await {
            Ok(result) => result,
            Err(_) => Err(EgressError::Timeout(self.limits.timeout_ms_max)),
        }
    }

    /// Sends one request and returns once the head of the answer is there; its body is read by the caller, piece by piece. The
    /// time limit holds for the head alone: how long a body may take is the caller's to say.
    ///
    /// # Errors
    /// [`EgressError`], one variant per failed step.
    pub async fn open(&self, request: Request<Bytes>) -> Result<Response<Streamed>, EgressError> {
        let limit = Duration::from_millis(self.limits.timeout_ms_max);
        match tokio::time::timeout(limit, self.begin(request)).await {
            Ok(answer) => Ok(answer?.map(Streamed::new)),
            Err(_) => Err(EgressError::Timeout(self.limits.timeout_ms_max)),
        }
    }

    async fn send_in_time(&self, request: Request<Bytes>) -> Result<Response<Bytes>, EgressError> {
        let (head, body) = self.begin(request).await?.into_parts();
        Ok(Response::from_parts(head, collect(body, self.limits.response_bytes_max).await?))
    }

    async fn begin(&self, request: Request<Bytes>) -> Result<Response<Incoming>, EgressError> {
        if !is_plain(request.uri()) {
            return Err(EgressError::Url);
        }
        let pool = self.pool.as_ref().map_err(|error| EgressError::Tls(Box::new(error.clone())))?;
        let mut request = request.map(Full::new);
        *request.version_mut() = Version::HTTP_11;
        pool.request(request).await.map_err(classify)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// An absolute `http` or `https` URL without user information, which is where a host likes to hide.
fn is_plain(url: &Uri) -> bool {
    matches!(url.scheme_str(), Some("http" | "https"))
        && url
            .authority()
            .is_some_and(|authority| !authority.as_str().contains('@') && !authority.host().is_empty())
}

async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Bytes, EgressError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(EgressError::TooLarge(bytes_max));
    }
    let mut first = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| EgressError::Protocol(Box::new(error)))?;
        let Ok(chunk) = frame.into_data() else { continue };
        let length =
            first.as_ref().map_or(0, Bytes::len).saturating_add(rest.len()).saturating_add(chunk.len());
        if length > bytes_max {
            return Err(EgressError::TooLarge(bytes_max));
        }
        // Most answers come in one chunk, which is then handed on without a copy.
        match first.take() {
            None if rest.is_empty() => first = Some(chunk),
            None => rest.extend_from_slice(&chunk),
            Some(begun) => {
                rest.extend_from_slice(&begun);
                rest.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

/// Which step failed, from the chain of causes below the pool's error.
fn classify(error: legacy::Error) -> EgressError {
    let is_connect = error.is_connect();
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = cause {
        match inner.downcast_ref::<ConnectError>() {
            Some(ConnectError::Host) => return EgressError::Url,
            Some(ConnectError::Refused(refusal)) => return EgressError::Refused(*refusal),
            Some(ConnectError::Resolve(_)) => return EgressError::Resolve(Box::new(error)),
            Some(ConnectError::Connect { .. } | ConnectError::Timeout(_)) => {
                return EgressError::Connect(Box::new(error));
            }
            None => cause = inner.source(),
        }
    }
    // What fails while connecting and is not ours is the TLS layer above it.
    if is_connect { EgressError::Tls(Box::new(error)) } else { EgressError::Protocol(Box::new(error)) }
}

#[cfg(test)]
mod tests;
