//! HTTP/2 on the listener, with bounds for the floods that it invites (D3).

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;
use tollgate_exec::Body;

use super::unread::Unread;

/// How many requests one connection may have under way.
const STREAMS_MAX: u32 = 128;
/// How many streams a client may open and reset before they are looked at (rapid reset, CVE-2023-44487); then the connection is
/// closed.
const RESETS_MAX: usize = 20;
/// How many streams may be reset because of the client's own mistakes (MadeYouReset, CVE-2025-8671).
const MISTAKES_MAX: usize = 64;
/// All headers of one request together, decoded, in bytes; bounds a flood of CONTINUATION frames.
const HEADERS_BYTES_MAX: u32 = 32 * 1024;
/// What one connection may have in flight towards us, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// A connection whose other end does not answer is closed.
const ALIVE: Duration = Duration::from_secs(30);

/// Runs the streams of a connection on the tasks that shutdown waits for.
#[derive(Clone, Debug)]
pub(super) struct OnTracker(TaskTracker);

impl<F> hyper::rt::Executor<F> for OnTracker
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// One connection, within its bounds.
pub(super) fn connection<S>(
    stream: TlsStream<Unread>,
    service: S,
    tasks: TaskTracker,
) -> http2::Connection<TokioIo<TlsStream<Unread>>, S, OnTracker>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    http2::Builder::new(OnTracker(tasks))
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(MISTAKES_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(ALIVE)
        .keep_alive_timeout(ALIVE)
        .serve_connection(TokioIo::new(stream), service)
}
