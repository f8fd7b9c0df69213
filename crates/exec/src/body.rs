//! The body of a request or response on its way through, without a box on the path that is only passed through.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};

use crate::UpstreamError;
use crate::gather::Gathered;
use crate::upstream::Source;
use tollgate_risk::room::{Room, Share};

/// A chunk that is not queued behind others: a queue of the largest messages would be memory without a bound worth the name.
const LARGE_BYTES_MIN: usize = 64 * 1024;

/// A body that is read once, chunk by chunk.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// One chunk that is at hand.
    Full(Bytes),
    /// What a connection brings, untouched.
    Incoming(Incoming),
    /// What a task of ours sends, through a bounded queue; see [`Body::channel`].
    Channel(Channel),
    /// A stream whose events leave together if they come together; see [`Body::gathered`].
    Gathered(Box<Gathered>),
    /// Anything else.
    Boxed(UnsyncBoxBody<Bytes, BodyError>),
}

/// Why a body broke off. The reader must not take what came before for the whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection failed.
    #[error("the connection failed while a body was read")]
    Connection(#[source] hyper::Error),
    /// The upstream failed.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Another reason.
    #[error("a body could not be read")]
    Other(#[source] Source),
}

/// The reading end of [`Body::channel`].
pub struct Channel {
    chunks: mpsc::Receiver<Bytes>,
    /// How the body ends. A sender that vanishes without a word leaves none, which is no clean end.
    verdict: oneshot::Receiver<Result<(), UpstreamError>>,
    over: bool,
}

/// The writing end of [`Body::channel`]. Dropped without [`BodySender::finish`], the body ends in an error.
#[derive(Debug)]
pub struct BodySender {
    chunks: mpsc::Sender<Bytes>,
    verdict: oneshot::Sender<Result<(), UpstreamError>>,
}

/// The reader of a body has gone away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the reader has gone away")]
pub struct Gone;

impl Body {
    /// A body that another task writes, at most `chunks_max` chunks ahead of the reader.
    pub fn channel(chunks_max: usize) -> (BodySender, Self) {
        let (chunks, receiver) = mpsc::channel(chunks_max.max(1));
        let (verdict, outcome) = oneshot::channel();
        let channel = Channel { chunks: receiver, verdict: outcome, over: false };
        (BodySender { chunks, verdict }, Self::Channel(channel))
    }

    /// A body of any other kind.
    pub fn boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self::Boxed(UnsyncBoxBody::new(body))
    }

    /// A stream of events whose chunks leave together where they come together, the first one with the head of the answer: to be
    /// awaited before the head is given. An event that comes by itself does not wait.
    #[must_use]
    pub async fn gathered(self) -> Self {
        match self {
            Self::Incoming(_) | Self::Channel(_) | Self::Boxed(_) => {
                Self::Gathered(Box::new(Gathered::begin(self).await))
            }
            whole => whole,
        }
    }

    /// Reads the whole body, or as much of it as `bytes_max` allows.
    ///
    /// # Errors
    /// [`UpstreamError::TooLarge`] past the limit, [`UpstreamError::Broken`] if it breaks off.
    pub async fn collect_within(self, bytes_max: usize) -> Result<Bytes, UpstreamError> {
        self.collect_in(None, bytes_max).await
    }

    /// The same within a room, of which the whole keeps its share.
    ///
    /// # Errors
    /// As [`Body::collect_within`], and [`UpstreamError::NoRoom`].
    pub async fn collect_in(
        mut self,
        room: Option<&Arc<Room>>,
        bytes_max: usize,
    ) -> Result<Bytes, UpstreamError> {
        let mut first = Bytes::new();
        let mut rest = bytes::BytesMut::new();
        let mut share = Share::default();
        while let Some(frame) = self.frame().await {
            let Ok(chunk) = frame?.into_data() else { continue };
            let length = first.len().saturating_add(rest.len()).saturating_add(chunk.len());
            if length > bytes_max {
                return Err(UpstreamError::TooLarge(bytes_max));
            }
            if let Some(room) = room {
                let announced =
                    usize::try_from(http_body::Body::size_hint(&self).lower()).unwrap_or(usize::MAX);
                share.grow(room, length.saturating_add(announced).min(bytes_max))?;
            }
            if rest.is_empty() && first.is_empty() {
                // Most bodies are one chunk, which is handed on without a copy.
                first = chunk;
                continue;
            }
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&chunk);
        }
        Ok(share.keep(if rest.is_empty() { first } else { rest.freeze() }))
    }
}

impl BodySender {
    /// Sends one chunk; waits while the reader is behind. A large one waits until nothing waits before it, so that a reader who
    /// has stopped holds one of them and not a queue of them.
    ///
    /// # Errors
    /// [`Gone`] if nobody reads any more.
    pub async fn send(&self, chunk: Bytes) -> Result<(), Gone> {
        if chunk.len() <= LARGE_BYTES_MIN {
            return self.chunks.send(chunk).await.map_err(|_| Gone);
        }
        let mut places = self.chunks.reserve_many(self.chunks.max_capacity()).await.map_err(|_| Gone)?;
        places.next().ok_or(Gone)?.send(chunk);
        Ok(())
    }

    /// Waits until nobody reads any more.
    pub async fn gone(&self) {
        self.chunks.closed().await;
    }

    /// Ends the body as whole.
    pub fn finish(self) {
        self.end(Ok(()));
    }

    /// Ends the body as broken: over HTTP/1.1 the connection is cut, so that the reader cannot take the part for the whole.
    pub fn fail(self, error: UpstreamError) {
        self.end(Err(error));
    }

    fn end(self, verdict: Result<(), UpstreamError>) {
        // A reader that has gone away does not need to know.
        drop(self.verdict.send(verdict));
    }
}

impl Channel {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Some(chunk) = ready!(self.chunks.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let verdict = ready!(Pin::new(&mut self.verdict).poll(cx));
        self.over = true;
        Poll::Ready(match verdict {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error.into())),
            Err(vanished) => Some(Err(BodyError::Other(vanished.into()))),
        })
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("over", &self.over).finish_non_exhaustive()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Incoming(incoming) => {
                Pin::new(incoming).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(BodyError::Connection)))
            }
            Self::Channel(channel) => channel.poll_chunk(cx).map(|chunk| chunk.map(|c| c.map(Frame::data))),
            Self::Gathered(gathered) => gathered.poll_chunk(cx),
            Self::Boxed(boxed) => Pin::new(boxed).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Incoming(incoming) => incoming.is_end_stream(),
            Self::Channel(channel) => channel.over,
            Self::Gathered(gathered) => gathered.is_over(),
            Self::Boxed(boxed) => boxed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Self::Incoming(incoming) => incoming.size_hint(),
            Self::Channel(_) => SizeHint::default(),
            Self::Gathered(gathered) => gathered.size(),
            Self::Boxed(boxed) => boxed.size_hint(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full(bytes)
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        Self::Incoming(incoming)
    }
}

impl From<BodyError> for UpstreamError {
    /// A body that breaks off is an upstream that breaks off, unless it says something more precise.
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Upstream(error) => error,
            BodyError::Connection(_) | BodyError::Other(_) => Self::Broken(Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests;
