//! HTTP/1.1 on the listener. A connection without a request holds its socket and little else.
//!
//! hyper keeps two buffers of eight kilobytes and the space of a request's future for each of its connections, whether anything
//! is asked or not. So it is given a connection when the first byte of a request has come, and the connection is taken back from
//! it when nothing was asked for a while; in between the connection is *parked*: one byte is read ahead, and no more.
//!
//! It is taken back between two messages and never within one, or the rest of a body would be read as a request. What hyper
//! says of itself tells where it stands: see [`Heads`].

mod heads;
mod reread;

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep};
use tollgate_exec::Body;

use self::heads::Heads;
use self::reread::Reread;
use super::drain::Drain;

/// How long nothing is asked before a connection is parked. An agent that calls one tool after another finds its buffers in place,
/// and only what was used a moment ago takes memory.
const PARK_AFTER: Duration = Duration::from_millis(250);

/// How long a connection may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// For the whole head of a request, from the end of the one before; then it is closed.
    head_max: Duration,
    /// Before it is parked.
    park_after: Duration,
}

impl Pace {
    pub(super) const fn new(head_max: Duration) -> Self {
        Self { head_max, park_after: PARK_AFTER }
    }
}

/// A connection between two requests.
struct Idle<I, S> {
    stream: I,
    service: S,
    /// What came already of the next request.
    read: Bytes,
    /// Until when that request's head must be whole, however often the connection is parked.
    head_by: Instant,
}

/// Answers the requests of one connection, until its other end, its limits or the drain close it.
///
/// # Errors
/// The connection broke, spoke no HTTP/1.1, or took too long over a request's head.
pub(super) async fn serve<I, S>(
    stream: I,
    service: S,
    pace: Pace,
    drain: &Drain,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    let head_by = Instant::now() + pace.head_max;
    let mut idle = Idle { stream, service, read: Bytes::new(), head_by };
    loop {
        if idle.read.is_empty() {
            match parked(&mut idle.stream, idle.head_by, drain).await? {
                Some(first) => idle.read = first,
                None => return Ok(idle.stream.shutdown().await?),
            }
        }
        match served(idle, pace, drain).await? {
            Some(parked) => idle = parked,
            None => return Ok(()),
        }
    }
}

/// Waits for the first byte of a request. `None`: there will be none.
async fn parked<I>(stream: &mut I, head_by: Instant, drain: &Drain) -> std::io::Result<Option<Bytes>>
where
    I: AsyncRead + Unpin,
{
    let mut first = [0];
    // Read and not only looked for: behind TLS a socket with bytes is not yet a request with one.
    let count = tokio::select! {
        biased;
        count = stream.read(&mut first) => count?,
        () = drain.begins() => 0,
        () = tokio::time::sleep_until(head_by) => 0,
    };
    Ok((count > 0).then(|| Bytes::copy_from_slice(&first)))
}

/// Answers requests while they come. `None`: the connection is closed.
async fn served<I, S>(
    idle: Idle<I, S>,
    pace: Pace,
    drain: &Drain,
) -> Result<Option<Idle<I, S>>, Box<dyn Error + Send + Sync>>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    let Idle { stream, service, read, head_by } = idle;
    let heads = Arc::new(Heads::first_by(head_by));
    let stream = Reread::new(stream, read, Arc::clone(&heads));
    let mut connection = Builder::new()
        .timer(heads::Timer(Arc::clone(&heads)))
        .header_read_timeout(pace.head_max)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = Served {
        connection: &mut connection,
        heads: &heads,
        pace,
        drain,
        is_told: false,
        begins: pin!(drain.begins()),
        alarm: pin!(tokio::time::sleep_until(head_by)),
        is_set: true,
    };
    poll_fn(|cx| served.poll(cx)).await?;
    if !heads.is_taken_back() {
        return Ok(None);
    }
    let head_by = heads.due().unwrap_or(head_by);
    let parts = connection.into_parts();
    let (stream, unread) = parts.io.into_inner().into_parts();
    let read = match (parts.read_buf.is_empty(), unread.is_empty()) {
        // Even empty it would keep hyper's buffer.
        (true, true) => Bytes::new(),
        (false, true) => parts.read_buf,
        // hyper may have asked for less than there was.
        (_, false) => [parts.read_buf, unread].concat().into(),
    };
    Ok(Some(Idle { stream, service: parts.service, read, head_by }))
}

/// A connection that hyper has.
struct Served<'a, I, S, D>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    connection: &'a mut Connection<TokioIo<Reread<I>>, S>,
    heads: &'a Heads,
    pace: Pace,
    drain: &'a Drain,
    /// Whether hyper knows of the drain.
    is_told: bool,
    begins: Pin<&'a mut D>,
    /// One for all requests. It is not set anew with each of them, but rings at times for nothing.
    alarm: Pin<&'a mut Sleep>,
    is_set: bool,
}

impl<I, S, D> Served<'_, I, S, D>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    D: Future<Output = ()>,
{
    /// Ready when hyper is done with the connection: it is closed, or taken back.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<dyn Error + Send + Sync>>> {
        loop {
            if !self.is_told && self.drain.has_begun() {
                self.is_told = true;
                Pin::new(&mut *self.connection).graceful_shutdown();
            }
            if let Poll::Ready(done) = Pin::new(&mut *self.connection).poll(cx) {
                return Poll::Ready(done.map_err(Into::into));
            }
            let (false, Some(due)) = (self.heads.is_taken_back(), self.heads.due()) else {
                return Poll::Pending; // a request is under way, or the last bytes of an answer
            };
            if !self.is_told && self.begins.as_mut().poll(cx).is_ready() {
                continue;
            }
            let parks = self.parks(due);
            ready!(self.poll_alarm(parks.unwrap_or(due), cx));
            if parks.is_none() {
                return Poll::Ready(Err("no whole head of a request came in time".into()));
            }
            // hyper stands between two messages, so it ends at once: with what it has read, once what it has written is out.
            self.heads.take_back();
            Pin::new(&mut *self.connection).graceful_shutdown();
        }
    }

    /// When a connection that waits for a head until `due` is parked. `None`: not before.
    ///
    /// Never with the first head since it was given to hyper, of which a part is there: hyper would close it behind that
    /// request, and it would be taken back for ever.
    fn parks(&self, due: Instant) -> Option<Instant> {
        let since = due.checked_sub(self.pace.head_max)?;
        let parks = since + self.pace.park_after;
        (!self.is_told && !self.heads.is_first() && parks < due).then_some(parks)
    }

    /// Ready at `until`.
    fn poll_alarm(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.is_set || self.alarm.deadline() > until {
                self.alarm.as_mut().reset(until);
                self.is_set = true;
            }
            ready!(self.alarm.as_mut().poll(cx));
            self.is_set = false;
            if self.alarm.deadline() >= until {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
