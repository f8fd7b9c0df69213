//! The one place that prints.

use std::io::{self, Write};

/// Where a command writes.
#[derive(Debug)]
pub(crate) struct Out;

impl Out {
    /// A result, on standard output. A reader that has gone away (a closed pipe) ends the output, not the command.
    pub(crate) fn line(text: &str) {
        let mut out = io::stdout().lock();
        drop(writeln!(out, "{text}").and_then(|()| out.flush()));
    }

    /// A note beside the result, on standard error.
    pub(crate) fn note(text: &str) {
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// What went wrong, on standard error.
    pub(crate) fn problem(text: &str) {
        Self::note(&format!("error: {text}"));
    }
}
