//! Connections to one server: kept while they are idle, made when there is none.
//!
//! Every request is for the one origin of the pool, so there is nothing to look up: an idle connection is taken off a list and put
//! back. Over HTTP/2 one connection is shared by all.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use tokio::time::Instant;
use tollgate_egress::{Policy, http2_connector};

use crate::http::HttpConfigError;
use crate::retry::Persistent;
use crate::{Body, BodyError, Source, UpstreamError};

/// Node servers close an idle connection after five seconds; ours are given up before, so that a request does not meet a
/// connection that is just being closed.
const IDLE: Duration = Duration::from_millis(4_000);

/// How many connections may be on their way to rest without a task of their own.
const RETURNING_MAX: usize = 32;

const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024 * 1024;
/// All headers of one answer over HTTP/2 together, decoded, in bytes.
const HEADERS_BYTES_MAX: u32 = 64 * 1024;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    /// There is no connection: nothing was sent.
    #[error("connect")]
    Connect(#[source] Source),
    /// The request went out, or a part of it may have.
    #[error("exchange a request for its answer")]
    Exchange(#[source] hyper::Error),
}

impl From<PoolError> for UpstreamError {
    fn from(error: PoolError) -> Self {
        // Only while connecting is it certain that nothing was sent.
        match error {
            PoolError::Connect(_) => Self::Unreachable(Box::new(error)),
            // Of the caller's request, not of the server.
            PoolError::Exchange(ref sent) if is_of_request(sent) => Self::Abandoned,
            PoolError::Exchange(_) => Self::Broken(Box::new(error)),
        }
    }
}

/// Whether the body of a request broke off on its way to the server. Over HTTP/2 the stream of such a request is reset from here,
/// which nothing else is whose answer is still waited for.
fn is_of_request(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| {
        let is_reset_here = |error: &h2::Error| error.is_reset() && !error.is_remote() && !error.is_library();
        source.is::<BodyError>() || source.downcast_ref().is_some_and(is_reset_here)
    })
}

/// The connections to one server.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Connections>);

struct Connections {
    connector: Persistent,
    /// What is connected to: scheme and authority count.
    origin: Uri,
    idle_max: usize,
    idle: Mutex<Idle>,
    shared: Mutex<Option<http2::SendRequest<Body>>>,
}

/// A connection that nobody sends on, and since when.
type Unlent = (Instant, http1::SendRequest<Body>);

/// Connections that nobody sends on.
#[derive(Default)]
struct Idle {
    /// At rest, the one that rested last at the end.
    resting: Vec<Unlent>,
    /// Their answers have begun and may still be on their way.
    returning: Vec<Unlent>,
    is_swept: bool,
}

impl Idle {
    /// Puts those to rest whose answers have been read by now.
    fn settle(&mut self, idle_max: usize) {
        let is_read = |(_, sender): &mut Unlent| sender.is_ready() || sender.is_closed();
        self.resting.extend(self.returning.extract_if(.., is_read));
        self.resting.truncate(idle_max);
    }
}

/// A connection that a request can be sent on.
enum Lent {
    /// Of its own; and whether it carried another before.
    Own(http1::SendRequest<Body>, bool),
    Shared(http2::SendRequest<Body>, bool),
}

impl Pool {
    /// A pool of connections to the origin of a URL, under `policy`. Connects to nothing yet; must be used inside a tokio runtime.
    ///
    /// # Errors
    /// [`HttpConfigError::Tls`].
    pub(crate) fn new(
        origin: Uri,
        policy: Policy,
        connect_ms_max: u64,
        idle_max: usize,
    ) -> Result<Self, HttpConfigError> {
        let connector =
            http2_connector(policy, connect_ms_max).map_err(|error| HttpConfigError::Tls(Box::new(error)))?;
        Ok(Self(Arc::new(Connections {
            connector: Persistent::new(connector),
            origin,
            idle_max,
            idle: Mutex::default(),
            shared: Mutex::default(),
        })))
    }

    /// Sends a request with a `Host` header of the pool's origin, and waits for the head of its answer. Dropping the future ends
    /// the exchange.
    ///
    /// # Errors
    /// [`PoolError`].
    pub(crate) async fn request(&self, mut request: Request<Body>) -> Result<Response<Incoming>, PoolError> {
        loop {
            let lent = match self.0.lend() {
                Some(lent) => lent,
                // Making a connection takes a large future and is rare.
                None => Box::pin(self.0.connect()).await?,
            };
            // A connection that its server closed while it rested has sent nothing: another carries the request.
            request = match self.send(lent, request).await? {
                Sent::Answered(response) => return Ok(response),
                Sent::Unsent(request) => request,
            };
        }
    }

    async fn send(&self, lent: Lent, mut request: Request<Body>) -> Result<Sent, PoolError> {
        let (sent, was_used) = match lent {
            Lent::Shared(mut sender, was_used) => (sender.try_send_request(request).await, was_used),
            Lent::Own(mut sender, was_used) => {
                *request.uri_mut() = origin_form(request.uri());
                let sent = sender.try_send_request(request).await;
                if sent.is_ok() {
                    self.0.give_back(sender);
                }
                (sent, was_used)
            }
        };
        let mut error = match sent {
            Ok(response) => return Ok(Sent::Answered(response)),
            Err(error) => error,
        };
        match error.take_message().filter(|_| was_used) {
            Some(mut request) => {
                *request.uri_mut() = self.0.absolute_form(request.uri());
                Ok(Sent::Unsent(request))
            }
            None => Err(PoolError::Exchange(error.into_error())),
        }
    }
}

/// What became of a request on one connection.
enum Sent {
    Answered(Response<Incoming>),
    /// The connection was at its end already, and nothing of the request is on its way.
    Unsent(Request<Body>),
}

impl Connections {
    /// A connection that is there.
    fn lend(&self) -> Option<Lent> {
        if let Some(sender) = self.shared() {
            return Some(Lent::Shared(sender, true));
        }
        let mut idle = self.idle.lock();
        idle.settle(self.idle_max);
        while let Some((since, sender)) = idle.resting.pop() {
            if since.elapsed() < IDLE && sender.is_ready() {
                return Some(Lent::Own(sender, true));
            }
        }
        None
    }

    fn shared(&self) -> Option<http2::SendRequest<Body>> {
        let mut shared = self.shared.lock();
        *shared = shared.take().filter(|sender| !sender.is_closed());
        shared.clone()
    }

    async fn connect(&self) -> Result<Lent, PoolError> {
        let stream = self.connector.clone().connect(self.origin.clone()).await.map_err(PoolError::Connect)?;
        let is_shared = stream.connected().is_negotiated_h2();
        tracing::trace!(host = self.origin.host(), is_shared, "connected");
        let failed = |error: hyper::Error| PoolError::Connect(Box::new(error));
        if !is_shared {
            let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
            in_background(connection);
            sender.ready().await.map_err(failed)?;
            return Ok(Lent::Own(sender, false));
        }
        // One connection carries many streams: a caller who reads slowly must not hold up the others, so that all windows of
        // single streams together fit into the connection's.
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(HEADERS_BYTES_MAX);
        let (mut sender, connection) = builder.handshake(stream).await.map_err(failed)?;
        in_background(connection);
        sender.ready().await.map_err(failed)?;
        // Another may have been made meanwhile: one is enough.
        if let Some(sender) = self.shared() {
            return Ok(Lent::Shared(sender, true));
        }
        *self.shared.lock() = Some(sender.clone());
        Ok(Lent::Shared(sender, false))
    }

    /// Puts a connection to rest once the answer that it carries has been read. Most are read at once: few are looked at again when
    /// the next connection is wanted, and only beyond those each has a task that waits for it.
    fn give_back(self: &Arc<Self>, mut sender: http1::SendRequest<Body>) {
        if !sender.is_ready() && self.idle.lock().returning.len() >= RETURNING_MAX {
            let connections = Arc::downgrade(self);
            TokioExecutor::new().execute(async move {
                if sender.ready().await.is_ok()
                    && let Some(connections) = connections.upgrade()
                {
                    connections.rest(sender);
                }
            });
            return;
        }
        self.rest(sender);
    }

    fn rest(self: &Arc<Self>, sender: http1::SendRequest<Body>) {
        let mut idle = self.idle.lock();
        if !sender.is_ready() {
            idle.returning.push((Instant::now(), sender));
        } else if idle.resting.len() < self.idle_max {
            idle.resting.push((Instant::now(), sender));
        }
        if !std::mem::replace(&mut idle.is_swept, true) {
            TokioExecutor::new().execute(sweep(Arc::downgrade(self)));
        }
    }

    /// What is to be sent over a connection of its own says the path alone; over a shared one it says all (RFC 9113, section
    /// 8.3.1).
    fn absolute_form(&self, path: &Uri) -> Uri {
        let mut parts = self.origin.clone().into_parts();
        parts.path_and_query = path.path_and_query().cloned();
        Uri::from_parts(parts).unwrap_or_else(|_| self.origin.clone())
    }
}

fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map(Uri::from).unwrap_or_default()
}

/// Closes connections that have rested for too long, as long as there are any.
async fn sweep(connections: Weak<Connections>) {
    loop {
        let Some(next) = connections.upgrade().and_then(|connections| {
            let mut idle = connections.idle.lock();
            idle.settle(connections.idle_max);
            idle.resting.retain(|(since, sender)| since.elapsed() < IDLE && !sender.is_closed());
            let oldest = idle.resting.iter().map(|(since, _)| *since).min();
            let next = oldest.or_else(|| (!idle.returning.is_empty()).then(Instant::now));
            idle.is_swept = next.is_some();
            next
        }) else {
            return;
        };
        tokio::time::sleep_until(next + IDLE).await;
    }
}

/// A connection is driven until its last user has let go of it.
fn in_background(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    TokioExecutor::new().execute(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a server has ended");
        }
    });
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("host", &self.0.origin.host()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
