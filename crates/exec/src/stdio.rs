//! An upstream that speaks over the standard streams of a child process, made to look like a streamable-HTTP server.
//!
//! Legacy era: one `initialize` is one process is one session. Modern era: one process serves every caller; ids, progress
//! tokens and subscription ids are rewritten on the way in and back on the way out, so that no caller sees another's messages.
//!
//! The command comes from configuration alone, runs without a shell in a process group of its own, and sees only the
//! environment that it is given.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_domain::ServerName;

use crate::in_place::boxed;
use crate::local::{bare, is_modern, method_not_allowed, read_frame, version_is_modern};
use crate::session::{Desk, SessionLimits, Sessions};
use crate::{Body, BoxFuture, Upstream, UpstreamError};
use tollgate_risk::room::Room;

mod modern;
mod process;
mod roots;
mod routes;

use modern::Shared;

/// What the operator says about one server that is a program.
#[derive(Clone)]
pub struct StdioConfig {
    /// Its name.
    pub name: ServerName,
    /// The program and its arguments, handed over as they are: no shell reads them.
    pub argv: Vec<OsString>,
    /// The whole environment of the process; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// The directory it starts in; `None`: the gateway's.
    pub directory: Option<PathBuf>,
    /// Whether it hears of the folders that its callers name (`roots`).
    pub roots: bool,
    /// Its bounds.
    pub limits: StdioLimits,
    /// What its messages take room of while they wait; `None`: of nothing.
    pub room: Option<Arc<Room>>,
}

impl fmt::Debug for StdioConfig {
    /// Arguments and environment carry credentials: never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdioConfig")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds of a server that is a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StdioLimits {
    /// The longest message, either way, in bytes.
    pub message_bytes_max: usize,
    /// How long `initialize` or the first `server/discover` may take, in milliseconds.
    pub start_ms_max: u64,
    /// How long a process may take to end after its input is closed, and again after SIGTERM, in milliseconds.
    pub stop_ms_max: u64,
    /// How long a process may leave a message unread once its pipe is full, in milliseconds; then it is ended.
    pub write_ms_max: u64,
    /// After how long without use a legacy session ends, in milliseconds.
    pub session_idle_ms_max: u64,
    /// How many legacy sessions, each a process, may be open.
    pub sessions_max: usize,
    /// How many requests one process may have under way.
    pub calls_max: usize,
    /// How many messages wait for a caller who reads slowly.
    pub queue_messages_max: usize,
}

impl Default for StdioLimits {
    /// 4 MiB, 30 s to start, 2 s to stop, 60 s to read, 30 min idle, 64 sessions, 1,000 requests, 256 messages.
    fn default() -> Self {
        Self {
            message_bytes_max: 4 * 1024 * 1024,
            start_ms_max: 30_000,
            stop_ms_max: 2_000,
            write_ms_max: 60_000,
            session_idle_ms_max: 30 * 60 * 1000,
            sessions_max: 64,
            calls_max: 1_000,
            queue_messages_max: 256,
        }
    }
}

impl StdioLimits {
    const fn sessions(self) -> SessionLimits {
        SessionLimits {
            start_ms_max: self.start_ms_max,
            idle_ms_max: self.session_idle_ms_max,
            sessions_max: self.sessions_max,
            calls_max: self.calls_max,
            queue_messages_max: self.queue_messages_max,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StdioConfigError {
    /// No program is named.
    #[error("{0} has no program to run")]
    NoProgram(ServerName),
}

/// What sessions and the shared process have in common.
struct Host {
    config: StdioConfig,
    desk: Arc<Desk>,
    stop: CancellationToken,
}

/// A server that is a program. Ending it: [`StdioUpstream::stop`], or drop.
pub struct StdioUpstream {
    host: Arc<Host>,
    sessions: Arc<Sessions<Arc<Host>>>,
    shared: Shared,
}

impl StdioUpstream {
    /// A server as configured; nothing is started before it is used. `random` gives the 16 bytes of each session id, `tasks`
    /// is what shutdown waits for. Must be used inside a tokio runtime.
    ///
    /// # Errors
    /// [`StdioConfigError`].
    pub fn new(
        config: StdioConfig,
        random: fn() -> [u8; 16],
        tasks: TaskTracker,
    ) -> Result<Self, StdioConfigError> {
        if config.argv.is_empty() {
            return Err(StdioConfigError::NoProgram(config.name));
        }
        let room = config.room.clone();
        let desk = Desk::new(config.name.clone(), config.limits.sessions(), tasks, room);
        let host = Arc::new(Host { config, desk: Arc::new(desk), stop: CancellationToken::new() });
        Ok(Self {
            sessions: Sessions::new(Arc::clone(&host.desk), Arc::clone(&host), random),
            shared: Shared::new(Arc::clone(&host)),
            host,
        })
    }

    /// Ends every process: input closed, then SIGTERM, then SIGKILL, each for its whole group. Returns at once; the tracker
    /// of [`StdioUpstream::new`] waits for the end.
    pub fn stop(&self) {
        self.host.stop.cancel();
    }

    async fn carry(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let (head, body) = request.into_parts();
        match head.method {
            Method::POST => self.post(&head, body).await,
            Method::GET | Method::DELETE if version_is_modern(&head.headers) => {
                Ok(method_not_allowed("POST"))
            }
            Method::GET => Ok(self.sessions.listen(&head.headers)),
            Method::DELETE => Ok(self.sessions.end(&head.headers)),
            _ => Ok(method_not_allowed("POST, GET, DELETE")),
        }
    }

    async fn post(&self, head: &Parts, body: Body) -> Result<Response<Body>, UpstreamError> {
        let frame = match read_frame(body, self.host.config.limits.message_bytes_max).await? {
            Ok(frame) if !self.host.config.roots => match roots::withheld(frame) {
                Some(frame) => Ok(frame),
                None => return Ok(bare(StatusCode::ACCEPTED)),
            },
            read => read,
        };
        match frame {
            Ok(frame) if is_modern(&head.headers, &frame) => self.shared.post(frame).await,
            Ok(frame) => self.sessions.post(head, frame).await,
            Err(refused) => Ok(refused),
        }
    }
}

impl Upstream for StdioUpstream {
    fn name(&self) -> &ServerName {
        &self.host.config.name
    }

    fn exchange(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        boxed(|| self.carry(request))
    }

    fn is_busy(&self) -> bool {
        self.sessions.is_answering() || self.shared.is_answering()
    }

    fn stop(&self) {
        Self::stop(self);
    }
}

impl Drop for StdioUpstream {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for StdioUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdioUpstream").field("name", self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
