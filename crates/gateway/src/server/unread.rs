//! A connection whose other end must read: an answer that lies unread for too long ends it.
//!
//! What waits to be written is bounded in bytes: in the gateway by its buffers, in the kernel by [`keep_little_unsent`]. [`Unread`]
//! bounds how long it may occupy memory, a connection and, where the answer is a stream, the server behind it (F59).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

#[cfg(test)]
mod tests;

/// How much the kernel takes of an answer beyond what it has sent already. It grows a connection's buffer to megabytes
/// (`tcp_wmem`), of which a reader who has stopped never takes anything, and which are nobody's memory in any account of a process.
/// What is on its way does not count, so that a fast reader far away is served as fast as before.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// Bounds what the kernel keeps of the answers on each connection that the listener accepts from now on (`TCP_NOTSENT_LOWAT`, tcp(7)).
/// Elsewhere than on Linux the bound is the system's own.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "other systems have no such option"))]
pub(crate) fn keep_little_unsent(listener: &TcpListener) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
        tracing::warn!(%error, "no TCP_NOTSENT_LOWAT: of each answer that nobody reads the kernel may keep megabytes");
    }
}

/// A connection that fails once nothing could be written for so long.
#[derive(Debug)]
pub(super) struct Unread<S = TcpStream> {
    stream: S,
    limit: Duration,
    /// Only while something waits to be written.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Unread<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, waiting: None }
    }

    fn watched<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        waiting.as_mut().poll(cx).map(|()| {
            let reason = "the other end reads nothing of its answer";
            Err(io::Error::new(io::ErrorKind::TimedOut, reason))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unread<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unread<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watched(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
