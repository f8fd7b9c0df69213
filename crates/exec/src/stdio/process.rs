//! One child process: its streams, its group, its end.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tollgate_domain::ServerName;
use tollgate_mcp::{Frame, lines};

use super::Host;
use crate::UpstreamError;
use crate::session::{Board, Desk, Line, LineEnded, Opener, Sink};

const INPUT_MESSAGES_MAX: usize = 64;
const READ_BYTES: usize = 16 * 1024;
const STDERR_LINE_BYTES_MAX: usize = 4 * 1024;
/// What a process may say on stderr into our log; what comes after is read and thrown away.
const STDERR_LINES_MAX: u32 = 1_000;
/// How long the last words of a dead process may take to be read: a child of its own may hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A running process. Dropping it ends the process.
#[derive(Debug)]
pub(super) struct Process {
    input: mpsc::Sender<Bytes>,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Process {
    /// Starts the program of `host`; what it says goes to `sink`.
    pub(super) fn start<S: Sink>(host: &Arc<Host>, sink: Arc<S>) -> Result<Self, UpstreamError> {
        let mut child = command(host).spawn().map_err(|error| UpstreamError::Unreachable(Box::new(error)))?;
        let group = Group::of(&child);
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(UpstreamError::Unreachable(Box::new(LineEnded)));
        };
        let (input, messages) = mpsc::channel(INPUT_MESSAGES_MAX);
        let stop = host.stop.child_token();
        let ended = CancellationToken::new();
        let process = Self { input, stop: stop.clone(), ended: ended.clone() };
        let name = host.desk.name.clone();
        let silent = CancellationToken::new();
        let patience = Duration::from_millis(host.config.limits.write_ms_max);
        let writing = write(stdin, messages, patience, silent.clone());
        let stopped = stop.clone();
        host.desk.tasks.spawn(async move {
            // Dropping it closes the input.
            tokio::select! {
                biased;
                () = stopped.cancelled() => {}
                () = writing => {}
            }
        });
        let (logging, over) = (log(stderr, name.clone()), ended.clone());
        host.desk.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = logging => {}
                // A child that escaped from the group may hold the pipe open for ever.
                () = over.cancelled() => {}
            }
        });
        let bytes_max = host.config.limits.message_bytes_max;
        let reading = read(stdout, Arc::clone(&sink), bytes_max, silent.clone(), Arc::clone(&host.desk));
        let reader = host.desk.tasks.spawn(reading);
        let grace = Duration::from_millis(host.config.limits.stop_ms_max);
        let supervisor = Supervisor { child, group, reader, stop, silent, grace, name };
        host.desk.tasks.spawn(async move {
            let by_itself = supervisor.run().await;
            sink.ended(by_itself);
            ended.cancel();
        });
        Ok(process)
    }

    /// Hands a message to the process; waits while it is behind with reading.
    pub(super) async fn send(&self, message: &[u8]) -> Result<(), UpstreamError> {
        let line = lines::encode(message);
        self.input.send(line).await.map_err(|_| UpstreamError::Unreachable(Box::new(LineEnded)))
    }

    /// Where messages, each with its line end, go in.
    pub(super) fn input(&self) -> mpsc::Sender<Bytes> {
        self.input.clone()
    }

    /// Whether it is gone or asked to go.
    pub(super) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.ended.is_cancelled()
    }
}

/// In the legacy era a session is a process.
impl Opener for Arc<Host> {
    type Line = Process;

    async fn open(&self, board: Arc<Board>) -> Result<Process, UpstreamError> {
        Process::start(self, board)
    }
}

impl Line for Process {
    async fn send(&self, message: &[u8]) -> Result<(), UpstreamError> {
        Self::send(self, message).await
    }

    fn stop(&self) {
        self.stop.cancel();
    }

    fn is_over(&self) -> bool {
        Self::is_over(self)
    }

    async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn command(host: &Host) -> Command {
    let mut argv = host.config.argv.iter();
    let mut command = Command::new(argv.next().map(|program| program.as_os_str()).unwrap_or_default());
    command
        .args(argv)
        .env_clear()
        .envs(host.config.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: what it starts can be ended with it, and the terminal's Ctrl-C reaches only us.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(directory) = &host.config.directory {
        command.current_dir(directory);
    }
    command
}

/// The process group of a child; killed when dropped, even if the runtime goes away under us.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            match killpg(group, signal) {
                // Nobody is left to be told.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => tracing::warn!(%group, %signal, %error, "could not signal a process group"),
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Waits for the end of a process, or brings it about.
struct Supervisor {
    child: Child,
    group: Group,
    reader: JoinHandle<()>,
    stop: CancellationToken,
    /// The process has closed its output, or no longer reads its input: nothing can be answered any more.
    silent: CancellationToken,
    grace: Duration,
    name: ServerName,
}

impl Supervisor {
    /// Returns once the process, its group and its output are gone; whether it ended by itself.
    async fn run(mut self) -> bool {
        let by_itself = tokio::select! {
            biased;
            status = self.child.wait() => {
                tracing::warn!(server = %self.name, status = ?status.ok(), "the server process ended by itself");
                true
            }
            () = self.stop.cancelled() => {
                self.end().await;
                false
            }
            () = self.silent.cancelled() => {
                tracing::warn!(server = %self.name, "the server process neither reads nor answers any more");
                self.stop.cancel();
                self.end().await;
                true
            }
        };
        self.stop.cancel();
        // Whatever the process left behind goes with it. While a member lives the system gives the group's number to nobody.
        drop(self.group);
        if timeout(LAST_WORDS, &mut self.reader).await.is_err() {
            self.reader.abort();
        }
        by_itself
    }

    /// Closes the input (the writer does), then SIGTERM, then SIGKILL (`basic/transports/stdio`, "Shutdown").
    async fn end(&mut self) {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if timeout(self.grace, self.child.wait()).await.is_ok() {
                return;
            }
            self.group.signal(signal);
        }
        drop(self.child.wait().await);
    }
}

/// Writes messages. A process that leaves one unread for longer than `patience` is stuck: its pipe is full, and every further
/// caller would wait behind it.
async fn write(
    mut stdin: ChildStdin,
    mut messages: mpsc::Receiver<Bytes>,
    patience: Duration,
    stuck: CancellationToken,
) {
    while let Some(message) = messages.recv().await {
        match timeout(patience, stdin.write_all(&message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => return stuck.cancel(),
        }
    }
}

/// Reads messages until the output ends.
async fn read<S: Sink>(
    mut stdout: ChildStdout,
    sink: Arc<S>,
    bytes_max: usize,
    silent: CancellationToken,
    desk: Arc<Desk>,
) {
    let name = &desk.name;
    let mut splitter = lines::Splitter::new(bytes_max);
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    while matches!(stdout.read_buf(&mut buffer).await, Ok(1..)) {
        splitter.push(&buffer);
        buffer.clear();
        loop {
            match splitter.next_line() {
                Ok(Some(line)) => deliver(line, &*sink, &desk).await,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(server = %name, %error, "the server wrote a message that is too long");
                    sink.lost(None, UpstreamError::TooLarge(bytes_max));
                }
            }
        }
    }
    silent.cancel();
}

async fn deliver<S: Sink>(line: Bytes, sink: &S, desk: &Desk) {
    let name = &desk.name;
    // Many programs let a log line slip onto stdout; what does not even look like a message disturbs nobody.
    let is_noise = !line.trim_ascii_start().starts_with(b"{");
    let Ok(line) = desk.kept(line, sink) else { return };
    match Frame::parse_upstream(line) {
        Ok(frame) => sink.message(frame).await,
        Err(error) => {
            tracing::debug!(server = %name, %error, "the server wrote a line that is no message");
            if !is_noise {
                sink.lost(
                    error.id(),
                    UpstreamError::NotAnAnswer("one of its messages is no strict JSON-RPC"),
                );
            }
        }
    }
}

/// Passes what the process says on stderr to the log, up to a bound.
async fn log(mut stderr: ChildStderr, name: ServerName) {
    let mut splitter = lines::Splitter::new(STDERR_LINE_BYTES_MAX);
    let mut buffer = BytesMut::with_capacity(STDERR_LINE_BYTES_MAX);
    let mut lines_left = STDERR_LINES_MAX;
    while matches!(stderr.read_buf(&mut buffer).await, Ok(1..)) {
        if lines_left > 0 {
            splitter.push(&buffer);
        }
        buffer.clear();
        while let Some(line) =
            splitter.next_line().unwrap_or_else(|_| Some(Bytes::from_static(b"(a line too long)")))
        {
            tracing::debug!(server = %name, line = %String::from_utf8_lossy(&line), "stderr");
            lines_left = lines_left.saturating_sub(1);
            if lines_left == 0 {
                tracing::warn!(server = %name, "the server floods stderr; the rest is thrown away");
                splitter = lines::Splitter::new(STDERR_LINE_BYTES_MAX);
            }
        }
    }
}
