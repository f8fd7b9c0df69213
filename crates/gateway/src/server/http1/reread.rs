//! A connection of which something was read before.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::heads::Heads;

/// Gives what was read before, then what comes; and stays open when it is taken back.
#[derive(Debug)]
pub(super) struct Reread<I> {
    stream: I,
    read: Bytes,
    heads: Arc<Heads>,
}

impl<I> Reread<I> {
    pub(super) fn new(stream: I, read: Bytes, heads: Arc<Heads>) -> Self {
        Self { stream, read, heads }
    }

    /// The connection itself, and what was read before and not yet given.
    pub(super) fn into_parts(self) -> (I, Bytes) {
        (self.stream, self.read)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Reread<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read.split_to(count));
        if self.read.is_empty() {
            self.read = Bytes::new(); // what held it
            // With what follows in the same buffer: for a second read hyper would make a larger one. What fails here fails again.
            drop(Pin::new(&mut self.stream).poll_read(cx, buffer));
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Reread<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.heads.is_taken_back() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
