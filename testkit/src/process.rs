//! Child processes that never outlive the test that started them.
//!
//! A peer runs in its own process group under a watching shell whose standard input is a pipe from the test. However
//! the test ends (return, panic, `kill -9`), the pipe closes and the whole group is killed.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::cpu;

/// Runs `"$@"`, kills the group when standard input ends, and passes the program's exit code on.
const WATCHER: &str = r#"exec 3<&0; "$@" </dev/null 3<&- & program=$!
{ cat <&3 >/dev/null; kill -9 0; } >/dev/null 2>&1 & exec 3<&-
wait "$program""#;

/// How often a starting peer is asked whether it is ready.
const READY_POLL_MILLISECONDS: u64 = 25;

/// How often, a millisecond apart, a killed group is looked at before it is left to its end.
const END_POLLS_MAX: u32 = 5_000;

/// Characters of a peer's log that an error quotes.
const LOG_TAIL_CHARS: usize = 4_000;

/// A peer that would not start.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program or its log file could not be opened.
    #[error("start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It ended before it was ready.
    #[error("keep {program} running, it ended with {status}; its log ends: {log}")]
    Ended {
        /// The program.
        program: String,
        /// Its exit status.
        status: String,
        /// The end of its output.
        log: String,
    },
    /// It did not get ready in time.
    #[error("see {program} ready within {seconds} s; its log ends: {log}")]
    NotReady {
        /// The program.
        program: String,
        /// How long it was given.
        seconds: u64,
        /// The end of its output.
        log: String,
    },
    /// A signal could not be sent.
    #[error("signal {program}")]
    Signal {
        /// The program.
        program: String,
        /// What the operating system said.
        #[source]
        source: nix::Error,
    },
}

/// A running peer: its process group dies with this value.
#[derive(Debug)]
pub struct Guarded {
    program: String,
    watcher: Child,
    log: PathBuf,
    dead: bool,
}

impl Guarded {
    /// Starts `command` in a process group of its own; standard output and error go to `log`.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`].
    pub fn spawn(command: &Command, log: &Path) -> Result<Self, ProcessError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |source| ProcessError::Spawn { program: program.clone(), source };
        let output = File::create(log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let mut watched = Command::new("sh");
        watched.arg("-c").arg(WATCHER).arg("watcher").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => watched.env(name, value),
                None => watched.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            watched.current_dir(folder);
        }
        watched.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0);
        let watcher = watched.spawn().map_err(failed)?;
        Ok(Self { program, watcher, log: log.to_owned(), dead: false })
    }

    /// Polls `ready` until it says yes.
    ///
    /// # Errors
    /// [`ProcessError::Ended`] as soon as the program ends, [`ProcessError::NotReady`] after `limit`.
    pub async fn wait_until(
        &mut self,
        limit: Duration,
        ready: impl AsyncFn() -> bool,
    ) -> Result<(), ProcessError> {
        let waiting = async {
            loop {
                if ready().await {
                    return Ok(());
                }
                if let Some(status) = self.watcher.try_wait().ok().flatten() {
                    return Err(ProcessError::Ended {
                        program: self.program.clone(),
                        status: status.to_string(),
                        log: self.log_tail(),
                    });
                }
                tokio::time::sleep(Duration::from_millis(READY_POLL_MILLISECONDS)).await;
            }
        };
        if let Ok(outcome) = tokio::time::timeout(limit, waiting).await {
            return outcome;
        }
        Err(ProcessError::NotReady {
            program: self.program.clone(),
            seconds: limit.as_secs(),
            log: self.log_tail(),
        })
    }

    /// The process group, which is also the watching shell's process id.
    #[must_use]
    pub fn group(&self) -> u32 {
        self.watcher.id()
    }

    /// Freezes the whole group: connections stay open, nothing answers.
    ///
    /// # Errors
    /// [`ProcessError::Signal`].
    pub fn pause(&self) -> Result<(), ProcessError> {
        self.signal(Signal::SIGSTOP)?;
        // On a loaded machine a thread may run on for a moment, and answer.
        while !cpu::is_stopped(self.group()).unwrap_or(true) {
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Undoes [`Guarded::pause`].
    ///
    /// # Errors
    /// [`ProcessError::Signal`].
    pub fn resume(&self) -> Result<(), ProcessError> {
        self.signal(Signal::SIGCONT)
    }

    /// Kills the whole group and waits until it is gone. Doing it twice is harmless.
    pub fn kill(&mut self) {
        // Once reaped, the group's number may belong to somebody else.
        if std::mem::replace(&mut self.dead, true) {
            return;
        }
        // A group that is already gone is what was asked for.
        let _gone = self.signal(Signal::SIGKILL);
        // The watcher may be gone before its program, which still holds its port: whoever starts it again needs that port.
        let group = self.watcher.id();
        for _ in 0..END_POLLS_MAX {
            if cpu::has_ended(group).unwrap_or(true) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _reaped = self.watcher.wait();
    }

    /// The end of what the program wrote so far.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| file.read_to_end(&mut text));
        if read.is_err() {
            return String::new();
        }
        let text = String::from_utf8_lossy(&text);
        let skipped = text.chars().count().saturating_sub(LOG_TAIL_CHARS);
        text.chars().skip(skipped).collect()
    }

    fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        let failed = |source| ProcessError::Signal { program: self.program.clone(), source };
        let group = i32::try_from(self.watcher.id()).map_err(|_large| failed(nix::Error::EINVAL))?;
        killpg(Pid::from_raw(group), signal).map_err(failed)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests;
