//! The one process that all modern callers of a program share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tollgate_mcp::era::{CLIENT_CAPABILITIES_KEY, CLIENT_INFO_KEY, MODERN_SINCE, PROTOCOL_VERSION_KEY};
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Frame, Kind, RequestId, json, lines};

use super::Host;
use super::process::Process;
use super::routes::Routes;
use crate::local::{bare, error_code, modern_status, refusal};
use crate::session::LineEnded;
use crate::session::answer::{Busy, Event, Guard, answer};
use crate::{Body, UpstreamError};

/// How long a program that did not answer the probe is left alone. Whoever asks it next waits for the whole time of another
/// probe, so the pause doubles.
pub(super) const SILENCE_FIRST: Duration = Duration::from_secs(5 * 60);
const SILENCE_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// The shared process, started on first use and again after it has died.
pub(super) struct Shared {
    host: Arc<Host>,
    state: Mutex<State>,
}

#[derive(Clone)]
enum State {
    Idle,
    Running(Arc<Running>),
    /// The program has answered the probe as only a legacy server does. It stays what it is.
    Legacy,
    /// The program has let the time to answer the probe pass, as a legacy server may; one that is slow to start does so too.
    Silent(Silence),
}

/// Until when a program that did not answer the probe counts as legacy.
#[derive(Clone, Copy)]
struct Silence {
    until: Instant,
    pause: Duration,
}

impl Silence {
    /// From now on, for twice as long as the one before.
    fn after(before: Option<Self>) -> Self {
        let pause = before.map_or(SILENCE_FIRST, |before| before.pause.saturating_mul(2).min(SILENCE_MAX));
        Self { until: Instant::now() + pause, pause }
    }
}

struct Running {
    process: Process,
    routes: Arc<Routes>,
}

/// What the probe found.
enum Found {
    Modern(Arc<Running>),
    Legacy,
    /// It did not answer in time.
    Silent,
    /// The process died of the probe or before it: not modern as far as this caller goes, to be asked again by the next.
    Died,
}

impl Shared {
    pub(super) fn new(host: Arc<Host>) -> Self {
        Self { host, state: Mutex::new(State::Idle) }
    }

    /// POST of one message.
    pub(super) async fn post(&self, frame: Frame) -> Result<Response<Body>, UpstreamError> {
        let Some(running) = self.running().await? else {
            // As a legacy server answers: without a modern error, and without the id of a request that it could not read, so that a client
            // that speaks both eras turns to `initialize`.
            let text = "this server speaks only protocol versions up to 2025-11-25; start with initialize";
            return Ok(refusal(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, text));
        };
        if frame.kind() == Kind::Notification {
            // A cancellation names an id of one caller, which means nothing in a process that many share; over HTTP a modern
            // client cancels by hanging up.
            if frame.method() != Some("notifications/cancelled") {
                running.process.send(frame.bytes()).await?;
            }
            return Ok(bare(StatusCode::ACCEPTED));
        }
        let taken = match running.routes.take_on(&frame) {
            Ok(taken) => taken,
            Err(Busy::Over) => return Err(UpstreamError::Unreachable(Box::new(LineEnded))),
            Err(Busy::Full | Busy::Taken) => {
                let text = "as many requests as allowed are under way";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return Ok(refusal(status, frame.id(), code::INTERNAL_ERROR, text));
            }
        };
        let mut guard = Cancel::new(&running, taken.upstream_id, self.host.desk.tasks.clone());
        running.process.send(&taken.request).await.inspect_err(|_| guard.disarm())?;
        let response = answer(taken.events, guard, modern_status).await?;
        self.host.desk.restarts.recovered();
        Ok(response)
    }

    /// Whether the process is being started, or works on a request.
    pub(super) fn is_answering(&self) -> bool {
        match self.state.try_lock().as_deref() {
            Ok(State::Running(running)) => running.routes.is_answering(),
            Ok(State::Idle | State::Legacy | State::Silent(_)) => false,
            Err(_) => true,
        }
    }

    /// The running process; `None` if the program does not speak the modern era.
    async fn running(&self) -> Result<Option<Arc<Running>>, UpstreamError> {
        let mut state = self.state.lock().await;
        let silence = match &*state {
            State::Running(running) if !running.process.is_over() => return Ok(Some(Arc::clone(running))),
            State::Legacy => return Ok(None),
            State::Silent(silence) if Instant::now() < silence.until => return Ok(None),
            State::Silent(silence) => Some(*silence),
            State::Running(_) | State::Idle => None,
        };
        *state = silence.map_or(State::Idle, State::Silent);
        self.host.desk.restarts.admit().await?;
        match self.start().await? {
            Found::Modern(running) => {
                *state = State::Running(Arc::clone(&running));
                Ok(Some(running))
            }
            Found::Legacy => {
                *state = State::Legacy;
                Ok(None)
            }
            Found::Silent => {
                *state = State::Silent(Silence::after(silence));
                Ok(None)
            }
            Found::Died => Ok(None),
        }
    }

    /// Starts the program and asks it which era it speaks (`basic/transports/stdio`, "Backward Compatibility").
    async fn start(&self) -> Result<Found, UpstreamError> {
        let routes = Arc::new(Routes::new(Arc::clone(&self.host)));
        let process = Process::start(&self.host, Arc::clone(&routes))
            .inspect_err(|_| self.host.desk.restarts.failed())?;
        let running = Arc::new(Running { process, routes });
        let limit = Duration::from_millis(self.host.desk.limits.start_ms_max);
        match timeout(limit, probe(&running)).await {
            Ok(Some(message)) if is_modern_answer(&message) => Ok(Found::Modern(running)),
            Ok(Some(_)) => Ok(Found::Legacy),
            Ok(None) => Ok(Found::Died),
            // A legacy server may not answer at all what comes before `initialize`.
            Err(_) => Ok(Found::Silent),
        }
    }
}

/// Sends `server/discover`. `None`: the process died.
async fn probe(running: &Running) -> Option<Bytes> {
    let version = env!("CARGO_PKG_VERSION");
    let params = format!(
        "{{\"_meta\":{{\"{PROTOCOL_VERSION_KEY}\":\"{MODERN_SINCE}\",\
         \"{CLIENT_INFO_KEY}\":{{\"name\":\"tollgate\",\"version\":\"{version}\"}},\"{CLIENT_CAPABILITIES_KEY}\":{{}}}}}}"
    );
    let request = reply::request(&RequestId::integer(0), "server/discover", Some(&params));
    let mut taken = running.routes.take_on(&Frame::parse(request).ok()?).ok()?;
    running.process.send(&taken.request).await.ok()?;
    loop {
        match taken.events.recv().await? {
            Event::Answer(message) => return Some(message),
            Event::Message(_) => {}
            Event::End | Event::Failed(_) => return None,
        }
    }
}

/// A result, or one of the errors that only the modern era has. Every other error is a legacy server's.
fn is_modern_answer(message: &[u8]) -> bool {
    matches!(json::lookup(message, &["result"]), Ok(Some(_)))
        || matches!(
            error_code(message),
            Some(
                code::HEADER_MISMATCH | code::MISSING_CLIENT_CAPABILITY | code::UNSUPPORTED_PROTOCOL_VERSION
            )
        )
}

/// Tells the process when a caller has gone away before the answer: in the modern era that is a cancellation.
struct Cancel {
    routes: Arc<Routes>,
    input: mpsc::Sender<Bytes>,
    tasks: TaskTracker,
    upstream_id: i64,
    armed: bool,
}

impl Cancel {
    fn new(running: &Running, upstream_id: i64, tasks: TaskTracker) -> Self {
        let (routes, input) = (Arc::clone(&running.routes), running.process.input());
        Self { routes, input, tasks, upstream_id, armed: true }
    }
}

impl Guard for Cancel {
    fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        self.routes.forget(self.upstream_id);
        if !self.armed {
            return;
        }
        let params = format!("{{\"requestId\":{},\"reason\":\"the caller went away\"}}", self.upstream_id);
        let line = lines::encode(&reply::notification("notifications/cancelled", Some(&params)));
        if let Err(mpsc::error::TrySendError::Full(line)) = self.input.try_send(line) {
            // The process is behind with reading; the word is passed on as soon as it has caught up, or it ends.
            let input = self.input.clone();
            self.tasks.spawn(async move { drop(input.send(line).await) });
        }
    }
}
