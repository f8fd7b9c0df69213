//! What a legacy server says by itself: its requests and notifications, on a stream that is opened again when it breaks.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use tokio_util::sync::CancellationToken;
use tollgate_mcp::{Frame, Kind};

use super::Shared;
use super::far::Session;
use super::stream::Messages;

/// The pause before a broken stream is opened again where the server names none; it doubles up to the longest one.
const PAUSE_MS: u64 = 1_000;
const PAUSE_MS_MAX: u64 = 30_000;

/// How listening ended.
enum Ended {
    /// The server has no such stream, or the session is over.
    ForGood,
    /// The stream broke or ended; the pause that the server wants, and whether anything came.
    ForNow { retry_ms: Option<u64>, said_something: bool },
}

impl Shared {
    /// Listens until `stop` is cancelled, to the session that has taken the place of this one if it has to be.
    pub(super) async fn listen(self: Arc<Self>, session: Session, stop: CancellationToken) {
        let listening = async {
            let mut session = session;
            loop {
                tokio::select! {
                    () = self.renewed.notified() => {}
                    () = self.listen_to(&session) => self.renewed.notified().await,
                }
                match self.far.session() {
                    Some(next) => session = next,
                    None => return,
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = listening => {}
        }
    }

    /// Listens until the session is over.
    async fn listen_to(&self, session: &Session) {
        let mut after: Option<HeaderValue> = None;
        let mut pause_ms = PAUSE_MS;
        loop {
            match self.listen_once(session, &mut after).await {
                Ended::ForGood => return,
                Ended::ForNow { retry_ms, said_something } => {
                    if said_something {
                        pause_ms = PAUSE_MS;
                    }
                    let pause = retry_ms.unwrap_or(pause_ms).min(PAUSE_MS_MAX);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    pause_ms = pause_ms.saturating_mul(2).min(PAUSE_MS_MAX);
                }
            }
        }
    }

    async fn listen_once(&self, session: &Session, after: &mut Option<HeaderValue>) -> Ended {
        let silent = Ended::ForNow { retry_ms: None, said_something: false };
        let Ok(response) = self.far.open(self.far.listen(session, after.as_ref())).await else {
            return silent;
        };
        let (head, body) = response.into_parts();
        if head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS {
            return silent;
        }
        let Some(mut messages) = Messages::of(&head.headers, body).filter(|_| head.status.is_success())
        else {
            // 405: it has no such stream. 404: the session is over, which the next request of the client will tell it.
            return Ended::ForGood;
        };
        let mut said_something = false;
        while let Ok(Some(message)) = messages.next().await {
            said_something = true;
            match Frame::parse_upstream(message) {
                Ok(frame) => match frame.kind() {
                    Kind::Request | Kind::Notification => self.say(frame.bytes()).await,
                    Kind::Response | Kind::ErrorResponse => self.stray(frame),
                },
                Err(error) => tracing::warn!(%error, "the server said something that is no MCP message"),
            }
        }
        if let Some(id) = messages.last_event_id() {
            *after = Some(id.clone());
        }
        Ended::ForNow { retry_ms: messages.retry_ms(), said_something }
    }
}
