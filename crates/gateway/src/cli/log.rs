//! Structured logs on standard error, which must never hold up a call: a line that its reader has no room for is dropped and
//! counted (F64). And what becomes of a panic: a line and a count, without the words of the panic.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing_subscriber::EnvFilter;

use super::Out;
use crate::config::Environment;
use crate::telemetry::{Counter, LOST_LINES, PANICS};

#[cfg(test)]
mod tests;

/// A pipe that says it has room takes so many bytes at once (POSIX, `PIPE_BUF`).
const PIECE_BYTES_MAX: usize = 4096;

/// Sets logs up: JSON where nobody watches, text on a terminal, or as `TOLLGATE_LOG_FORMAT` (json, text) says. `DEBUG=true`
/// shows more.
pub(super) fn set_up(environment: &Environment) {
    let debug = environment.get("DEBUG").is_some_and(|value| ["1", "true", "True"].contains(&value));
    let default = if debug {
        "info,tollgate=debug"
    } else {
        "warn,tollgate_gateway=info,tollgate_gate=info,tollgate_payer=info"
    };
    let filter = EnvFilter::try_new(environment.get("TOLLGATE_LOG").unwrap_or(default))
        .unwrap_or_else(|_| EnvFilter::new(default));
    let lines = || Lossy { sink: io::stderr().lock(), lost: &LOST_LINES };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    let as_text = match environment.get("TOLLGATE_LOG_FORMAT") {
        Some("text") => true,
        Some("json") => false,
        Some(_) | None => io::stderr().is_terminal(),
    };
    let set = if as_text { builder.try_init() } else { builder.json().try_init() };
    if let Err(error) = set {
        Out::note(&format!("logs were set up before: {error}"));
    }
    panic::set_hook(Box::new(|panicked| {
        PANICS.increment();
        // What a panic says may hold what a caller sent.
        let place = panicked.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic: please report it");
    }));
}

/// Writes what there is room for at once, and counts what is lost.
struct Lossy<W> {
    sink: W,
    lost: &'static Counter,
}

impl<W: Write + AsFd> Lossy<W> {
    fn has_room(&self) -> bool {
        let mut sink = [PollFd::new(self.sink.as_fd(), PollFlags::POLLOUT)];
        let told = poll(&mut sink, PollTimeout::ZERO);
        told.is_ok()
            && sink.iter().all(|sink| sink.revents().is_some_and(|has| has.contains(PollFlags::POLLOUT)))
    }
}

impl<W: Write + AsFd> Write for Lossy<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for piece in line.chunks(PIECE_BYTES_MAX) {
            if !self.has_room() || self.sink.write_all(piece).is_err() {
                self.lost.increment();
                break;
            }
        }
        // To the logger every line is written: it has nobody to complain to.
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
