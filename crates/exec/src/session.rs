//! Sessions that this gateway keeps for servers of the legacy era that know no streamable HTTP: programs over stdio, and servers
//! of the first HTTP transport. One `initialize` opens one [`Line`] to the server, and is one session.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::task::TaskTracker;
use tollgate_domain::ServerName;
use tollgate_mcp::{Frame, Kind, RequestId};

use crate::UpstreamError;
use tollgate_risk::room::{Room, Share};

pub(crate) mod answer;
mod board;
mod places;
mod restarts;
mod sessions;

pub(crate) use board::Board;
pub use places::Holder;
pub(crate) use restarts::Restarts;
pub(crate) use sessions::Sessions;

/// Bounds of the sessions with one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// How long `initialize` may take, in milliseconds.
    pub start_ms_max: u64,
    /// After how long without use a session ends, in milliseconds.
    pub idle_ms_max: u64,
    /// How many may be open.
    pub sessions_max: usize,
    /// How many requests one may have under way.
    pub calls_max: usize,
    /// How many messages wait for a caller who reads slowly.
    pub queue_messages_max: usize,
}

impl Default for SessionLimits {
    /// 30 s to start, 30 min idle, 64 sessions, 1,000 requests, 256 messages.
    fn default() -> Self {
        Self {
            start_ms_max: 30_000,
            idle_ms_max: 30 * 60 * 1000,
            sessions_max: 64,
            calls_max: 1_000,
            queue_messages_max: 256,
        }
    }
}

/// What all sessions with one server have in common.
pub(crate) struct Desk {
    pub(crate) name: ServerName,
    pub(crate) limits: SessionLimits,
    pub(crate) restarts: Restarts,
    pub(crate) tasks: TaskTracker,
    room: Option<Arc<Room>>,
}

impl Desk {
    pub(crate) fn new(
        name: ServerName,
        limits: SessionLimits,
        tasks: TaskTracker,
        room: Option<Arc<Room>>,
    ) -> Self {
        Self { name, limits, restarts: Restarts::default(), tasks, room }
    }

    /// What waits instead of a message that has found its room.
    pub(crate) fn in_its_place(&self, message: Bytes) -> Bytes {
        match &self.room {
            Some(room) => Share::promised(room, message.len()).keep(message),
            None => message,
        }
    }

    /// A message of the server that will wait for its reader, with its share of the room for answers.
    ///
    /// # Errors
    /// [`UpstreamError::NoRoom`], told to whom it was for, as far as it says that.
    pub(crate) fn kept<S: Sink>(&self, message: Bytes, sink: &S) -> Result<Bytes, UpstreamError> {
        let mut share = Share::default();
        if let Some(room) = &self.room
            && share.grow(room, message.len()).is_err()
        {
            let frame = Frame::parse_upstream(message);
            let answers = |frame: &Frame| matches!(frame.kind(), Kind::Response | Kind::ErrorResponse);
            if let Some(id) = frame.ok().filter(answers).and_then(|frame| frame.id().cloned()) {
                sink.lost(Some(&id), UpstreamError::NoRoom);
            }
            return Err(UpstreamError::NoRoom);
        }
        Ok(share.keep(message))
    }
}

/// Opens lines to one server.
pub(crate) trait Opener: Send + Sync + 'static {
    /// What it opens.
    type Line: Line;

    /// Opens one; what the server says on it goes to `board`.
    fn open(&self, board: Arc<Board>) -> impl Future<Output = Result<Self::Line, UpstreamError>> + Send;
}

/// The line to the server of one session: a process, or a stream of events with its endpoint. Dropping it ends it.
pub(crate) trait Line: Send + Sync + 'static {
    /// Hands a message to the server.
    fn send(&self, message: &[u8]) -> impl Future<Output = Result<(), UpstreamError>> + Send;
    /// Asks it to end; returns at once.
    fn stop(&self);
    /// Whether it is gone or asked to go.
    fn is_over(&self) -> bool;
    /// Waits until it is gone.
    fn ended(&self) -> impl Future<Output = ()> + Send;
}

/// Who takes what a server says on a line.
pub(crate) trait Sink: Send + Sync + 'static {
    /// A message. The next one is read when the future is done.
    fn message(&self, frame: Frame) -> impl Future<Output = ()> + Send;
    /// A message that could not be read. If nobody knows whose answer it was, it was that of the only call under way; with
    /// several under way, their deadlines will tell.
    fn lost(&self, whose: Option<&RequestId>, error: UpstreamError);
    /// The line is gone; `by_itself` if nobody had asked it to.
    fn ended(&self, by_itself: bool);
}

/// The line is gone.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the line to the server ended")]
pub(crate) struct LineEnded;
