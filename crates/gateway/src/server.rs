//! The listener: connections within limits, each request to its door, and an orderly end.

mod drain;
mod http1;
mod http2;
mod unread;

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_exec::Body;
use tollgate_exec::in_place::boxed;

use self::drain::Drain;
use self::http1::Pace;
use self::unread::Unread;
pub(crate) use self::unread::keep_little_unsent;
use crate::control::Control;
use crate::doors;
use crate::gateway::Gateway;
use crate::live::Live;
use crate::tls::Tls;

/// After a failed accept (such as no free file descriptor) the loop rests, instead of spinning.
const ACCEPT_REST_MS: u64 = 100;

/// The media type of a stream of events.
const EVENTS: &[u8] = b"text/event-stream";

/// Half of it is the part of the drain in which nothing is waited for any more: calls get an ending, callers their answers.
const END_MS: u64 = 4_000;
/// How long the collector may take for what is left at the end, within the limit of the drain.
const FLUSH_MS_MAX: u64 = 2_000;

/// Whether new work is taken.
#[derive(Debug, Default)]
pub struct Readiness {
    draining: CancellationToken,
    given_up: CancellationToken,
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

    /// Waits until the calls that run are not waited for any more: each ends now, without its tool's answer.
    pub async fn given_up(&self) {
        self.given_up.cancelled().await;
    }
}

/// Serves until `stop` is cancelled, then drains: no new connections, what runs may finish within the limit.
pub async fn serve(control: Arc<Control>, listener: TcpListener, stop: CancellationToken) {
    let gateway = control.live().snapshot();
    let (tls, connections_max) = (gateway.foundation.tls.clone(), gateway.config.limits.connections_max);
    drop(gateway); // a snapshot is held by requests alone
    let connections = Arc::new(Semaphore::new(connections_max));
    let (drain, graceful) = (Arc::new(Drain::default()), GracefulShutdown::new());
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
            Ok((stream, peer)) => {
                let (limit, stream) = bounded(&control, stream, peer);
                let service = service(Arc::clone(&control), peer);
                let drain = Arc::clone(&drain);
                let Some(tls) = tls.clone() else {
                    tasks.spawn(async move {
                        // Without TLS it speaks HTTP/1.1 and nothing else.
                        ended(peer, http1::serve(stream, service, Pace::new(limit), &drain).await);
                        drop(permit);
                    });
                    continue;
                };
                let (watcher, streams) = (graceful.watcher(), tasks.clone());
                tasks.spawn(async move {
                    ended(peer, secured(tls, stream, limit, service, (drain, watcher), streams).await);
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(ACCEPT_REST_MS)).await;
            }
        }
    }
    let gateway = control.live().snapshot();
    gateway.foundation.readiness.draining.cancel();
    drop(listener);
    let limit = Duration::from_millis(gateway.config.limits.drain_ms);
    tracing::info!(limit_ms = gateway.config.limits.drain_ms, "draining");
    tasks.close();
    let end = limit.min(Duration::from_millis(END_MS)) / 2;
    let drained = tokio::time::timeout(limit, async {
        let ended = async {
            drain.begin();
            graceful.shutdown().await;
            tasks.wait().await;
            gateway.foundation.calls.close();
            gateway.foundation.calls.wait().await;
        };
        tokio::pin!(ended);
        if tokio::time::timeout(limit.saturating_sub(end), &mut ended).await.is_err() {
            tracing::warn!(
                "the drain comes to its limit; calls that still run end without their tool's answer"
            );
            gateway.foundation.readiness.given_up.cancel();
            if tokio::time::timeout(end / 2, &mut ended).await.is_err() {
                tracing::warn!("callers do not take their answers; they are left behind");
            }
        }
        control.live().stop_servers().await;
        gateway.foundation.tasks.close();
        gateway.foundation.tasks.wait().await;
        let flushing = gateway.foundation.telemetry.traces().flush();
        if tokio::time::timeout(Duration::from_millis(FLUSH_MS_MAX), flushing).await.is_err() {
            tracing::warn!("the collector did not take the last traces and metrics in time");
        }
    });
    if drained.await.is_err() {
        tracing::warn!("drain limit reached; what is open is finished at the next start");
    }
}

/// The answer of a door. A panic on the way is the end of that request alone.
async fn answered(
    live: Arc<Live>,
    gateway: Arc<Gateway>,
    control: Option<Arc<Control>>,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Response<Body> {
    let entered = Arc::clone(&gateway);
    let answer = async move {
        match control {
            None => doors::enter(live, entered, request, peer).await,
            Some(control) => Box::pin(doors::operate(control, entered, request, peer)).await,
        }
    };
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    let response = answer.unwrap_or_else(|_panic| doors::panicked(&gateway));
    if !is_of_events(&response) {
        return response;
    }
    let (head, body) = response.into_parts();
    Response::from_parts(head, body.gathered().await)
}

fn is_of_events(response: &Response<Body>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
}

/// What answers the requests of one connection.
fn service(
    control: Arc<Control>,
    peer: SocketAddr,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> {
    service_fn(move |request| {
        // The one look at what counts now: the request ends on this.
        let live = Arc::clone(control.live());
        let gateway = live.snapshot();
        let control = doors::is_for_operators(&request).then(|| Arc::clone(&control));
        // In a box of its own: a connection keeps room for the future of its next request.
        boxed(|| async move { Ok::<_, Infallible>(answered(live, gateway, control, request, peer).await) })
    })
}

/// A connection with TLS speaks HTTP/2 or HTTP/1.1, as was agreed in the handshake.
async fn secured<S>(
    tls: Arc<Tls>,
    stream: Unread,
    limit: Duration,
    service: S,
    (drain, watcher): (Arc<Drain>, Watcher),
    tasks: TaskTracker,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Send
        + 'static,
{
    let stream = tokio::time::timeout(limit, tls.accept(stream)).await??;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        watcher.watch(http2::connection(stream, service, tasks)).await?;
        return Ok(());
    }
    drop(watcher); // it is only for hyper's own connections
    http1::serve(stream, service, Pace::new(limit), &drain).await
}

fn ended(peer: SocketAddr, ended: Result<(), Box<dyn Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, error = &*error, "connection ended");
    }
}

/// A connection within the limits that count when it is made: how long its heads may take, and its end that reads no more.
fn bounded(control: &Control, stream: TcpStream, peer: SocketAddr) -> (Duration, Unread) {
    without_delay(&stream, peer);
    let limits = control.live().snapshot().config.limits;
    let unread = Unread::new(stream, Duration::from_millis(limits.unread_ms_max));
    (Duration::from_millis(limits.head_ms_max), unread)
}

fn without_delay(stream: &TcpStream, peer: SocketAddr) {
    // Small answers must not wait for more bytes to come.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
}
