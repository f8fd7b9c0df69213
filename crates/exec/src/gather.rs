//! Events that come together leave together.
//!
//! A connection to a server hands on one chunk at a time, and waits until it was taken: passed on as they come, a hundred events that
//! arrived in one segment are a hundred system calls and a hundred turns of two tasks. So a chunk that comes right behind
//! another is kept for two turns of the scheduler (two tasks hand it on at most), in which the next one arrives if it is there
//! already; what was gathered is written with one call. A chunk that comes by itself is never kept.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use crate::{Body, BodyError};

/// How close behind another a chunk comes "right behind": a few times what one system call takes.
const CLOSE: Duration = Duration::from_micros(100);
/// Tasks between the connection to the server and whoever writes.
const TURNS_MAX: u8 = 2;
/// As many as hyper writes with one call.
const CHUNKS_MAX: usize = 16;
const BYTES_MAX: usize = 64 * 1024;

type Chunk = Frame<Bytes>;

/// A body whose chunks are gathered. Chunks stay what they were.
#[derive(Debug)]
pub struct Gathered {
    body: Body,
    kept: VecDeque<Chunk>,
    kept_bytes: usize,
    /// Whether what is kept goes out now.
    leaves: bool,
    /// How many more turns what is kept may wait for what comes right behind.
    turns: u8,
    /// When the last chunk went out.
    last: Option<Instant>,
    /// The end of the body, which comes behind what is kept.
    end: Option<Option<BodyError>>,
}

impl Gathered {
    fn new(body: Body) -> Self {
        Self { body, kept: VecDeque::new(), kept_bytes: 0, leaves: false, turns: 0, last: None, end: None }
    }

    /// Gathers a body, after a turn in which its first chunk may come: then it leaves together with the head of the answer.
    pub(crate) async fn begin(body: Body) -> Self {
        let mut gathered = Self::new(body);
        let mut has_waited = false;
        poll_fn(|cx| {
            match Pin::new(&mut gathered.body).poll_frame(cx) {
                Poll::Ready(first) => gathered.take(first),
                Poll::Pending if has_waited => {}
                Poll::Pending => {
                    has_waited = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            Poll::Ready(())
        })
        .await;
        gathered.leaves = true;
        gathered
    }

    fn take(&mut self, next: Option<Result<Chunk, BodyError>>) {
        match next {
            Some(Ok(chunk)) => {
                self.kept_bytes += chunk.data_ref().map_or(0, Bytes::len);
                self.kept.push_back(chunk);
            }
            Some(Err(error)) => self.end = Some(Some(error)),
            None => self.end = Some(None),
        }
    }

    fn leave(&mut self) -> Option<Chunk> {
        let chunk = self.kept.pop_front();
        match &chunk {
            Some(chunk) => {
                self.kept_bytes = self.kept_bytes.saturating_sub(chunk.data_ref().map_or(0, Bytes::len));
                self.last = Some(Instant::now());
            }
            None => self.leaves = false,
        }
        chunk
    }

    /// Whether a chunk that comes now comes right behind another.
    fn is_close(&self) -> bool {
        self.last.is_some_and(|last| last.elapsed() < CLOSE)
    }

    fn is_full(&self) -> bool {
        self.kept.len() >= CHUNKS_MAX || self.kept_bytes >= BYTES_MAX
    }

    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, BodyError>>> {
        loop {
            if self.leaves
                && let Some(chunk) = self.leave()
            {
                return Poll::Ready(Some(Ok(chunk)));
            }
            if self.end.is_some() {
                if !self.kept.is_empty() {
                    self.leaves = true;
                    continue;
                }
                return Poll::Ready(self.end.replace(None).flatten().map(Err));
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(next) => {
                    self.turns = TURNS_MAX;
                    let is_kept = !self.kept.is_empty() || self.is_close();
                    self.take(next);
                    self.leaves = !is_kept || self.is_full();
                }
                Poll::Pending if self.kept.is_empty() => return Poll::Pending,
                Poll::Pending if self.turns > 0 => {
                    self.turns -= 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending => self.leaves = true,
            }
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.kept.is_empty()
            && (matches!(self.end, Some(None)) || self.end.is_none() && self.body.is_end_stream())
    }

    pub(crate) fn size(&self) -> SizeHint {
        let (rest, kept) = (self.body.size_hint(), u64::try_from(self.kept_bytes).unwrap_or(u64::MAX));
        let mut size = SizeHint::new();
        size.set_lower(rest.lower().saturating_add(kept));
        if let Some(upper) = rest.upper() {
            size.set_upper(upper.saturating_add(kept));
        }
        size
    }
}

#[cfg(test)]
mod tests;
