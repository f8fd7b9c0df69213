//! The listener: connections within limits, each request to its door, and an orderly end.

mod http2;
mod unread;

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_exec::Body;

use self::unread::Unread;
use crate::doors;
use crate::gateway::Gateway;

/// After a failed accept (such as no free file descriptor) the loop rests, instead of spinning.
const ACCEPT_REST_MS: u64 = 100;

/// Whether new work is taken.
#[derive(Debug, Default)]
pub struct Readiness {
    draining: CancellationToken,
}

impl Readiness {
    /// Whether the gateway is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Cancelled from the moment on that no new work is taken.
    pub fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }
}

/// Serves until `stop` is cancelled, then drains: no new connections, what runs may finish within the limit.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(gateway.config.limits.connections_max));
    let graceful = GracefulShutdown::new();
    let tasks = TaskTracker::new();
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            permit = Arc::clone(&connections).acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok(permit) = permit else { break };
        match accepted {
            Ok((stream, peer)) if gateway.tls.is_none() => {
                let connection = plain(Arc::clone(&gateway), stream, peer);
                let watched = graceful.watch(connection);
                tasks.spawn(async move {
                    if let Err(error) = watched.await {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    drop(permit);
                });
            }
            Ok((stream, peer)) => {
                let serving = secured(Arc::clone(&gateway), stream, peer, graceful.watcher(), tasks.clone());
                tasks.spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!(%peer, error = &*error, "connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(ACCEPT_REST_MS)).await;
            }
        }
    }
    gateway.readiness.draining.cancel();
    drop(listener);
    let limit = Duration::from_millis(gateway.config.limits.drain_ms);
    tracing::info!(limit_ms = gateway.config.limits.drain_ms, "draining");
    tasks.close();
    let drained = tokio::time::timeout(limit, async {
        graceful.shutdown().await;
        gateway.calls.close();
        gateway.calls.wait().await;
        for carrier in gateway.carriers.values() {
            carrier.stop().await;
        }
        gateway.tasks.close();
        gateway.tasks.wait().await;
    });
    if drained.await.is_err() {
        tracing::warn!("drain limit reached; what is open is finished at the next start");
    }
}

/// The answer of a door. A panic on the way is the end of that request alone.
async fn answered(gateway: Arc<Gateway>, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    let entering = AssertUnwindSafe(doors::enter(Arc::clone(&gateway), request, peer));
    entering.catch_unwind().await.unwrap_or_else(|_panic| doors::panicked(&gateway))
}

/// What answers the requests of one connection.
fn service(
    gateway: Arc<Gateway>,
    peer: SocketAddr,
) -> impl hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
{
    service_fn(move |request| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(answered(gateway, request, peer).await) }
    })
}

/// A connection without TLS speaks HTTP/1.1 and nothing else: nothing is looked at before its first request.
fn plain(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: SocketAddr,
) -> http1::Connection<
    TokioIo<Unread>,
    impl hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>,
> {
    without_delay(&stream, peer);
    let limit = head_limit(&gateway);
    let stream = unread_limit(&gateway, stream);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limit)
        .serve_connection(TokioIo::new(stream), service(gateway, peer))
}

/// A connection with TLS speaks HTTP/2 or HTTP/1.1, as was agreed in the handshake.
async fn secured(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: SocketAddr,
    watcher: Watcher,
    tasks: TaskTracker,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    without_delay(&stream, peer);
    let Some(tls) = gateway.tls.clone() else { return Ok(()) };
    let limit = head_limit(&gateway);
    let stream = unread_limit(&gateway, stream);
    let stream = tokio::time::timeout(limit, tls.accept(stream)).await??;
    let service = service(gateway, peer);
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        watcher.watch(http2::connection(stream, service, tasks)).await?;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limit)
            .serve_connection(TokioIo::new(stream), service);
        watcher.watch(connection).await?;
    }
    Ok(())
}

fn head_limit(gateway: &Gateway) -> Duration {
    Duration::from_millis(gateway.config.limits.head_ms_max)
}

fn unread_limit(gateway: &Gateway, stream: TcpStream) -> Unread {
    Unread::new(stream, Duration::from_millis(gateway.config.limits.unread_ms_max))
}

fn without_delay(stream: &TcpStream, peer: SocketAddr) {
    // Small answers must not wait for more bytes to come.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
}
