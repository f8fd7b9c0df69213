//! The one place that prints, and that lets nothing through by which somebody else's words could steer the terminal.
//!
//! Tools, servers and gateways of strangers choose much of what commands show: results, names, refusals, receipts. Control
//! characters in it would move the cursor, rewrite what stands above or fill the clipboard, and those for the direction of
//! text show it in another order than it has.

use std::borrow::Cow;
use std::io::{self, Write};

/// Where a command writes.
#[derive(Debug)]
pub(crate) struct Out;

impl Out {
    /// A result for people, on standard output. A reader that has gone away (a closed pipe) ends the output, not the command.
    pub(crate) fn line(text: &str) {
        Self::json(&shown(text));
    }

    /// JSON that others wrote, as it is: for programs, which take no character of it for a command.
    pub(crate) fn json(text: &str) {
        let mut out = io::stdout().lock();
        drop(writeln!(out, "{text}").and_then(|()| out.flush()));
    }

    /// A note beside the result, on standard error.
    pub(crate) fn note(text: &str) {
        drop(writeln!(io::stderr().lock(), "{}", shown(text)));
    }

    /// What went wrong, on standard error.
    pub(crate) fn problem(text: &str) {
        Self::note(&format!("error: {text}"));
    }
}

/// The text with what must not reach a terminal written out, as JSON writes it: `\u001b`. So JSON of our own, in which such a
/// character stands inside strings only, means the same afterwards. Line feeds (with a carriage return before them, too) and
/// tabs stay.
fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            hidden if is_hidden(hidden) => push_code(&mut out, hidden),
            seen => out.push(seen),
        }
    }
    Cow::Owned(out)
}

/// Somebody else's words on one line, so that they cannot pretend to be lines of the command: line breaks and tabs are written
/// out, too.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{2028}' | '\u{2029}' => push_code(&mut out, character),
            hidden if is_hidden(hidden) => push_code(&mut out, hidden),
            seen => out.push(seen),
        }
    }
    out
}

/// C0 and C1 controls, DEL, and the embeddings, overrides and isolates of bidirectional text (UAX #9, section 2).
fn is_hidden(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\t'))
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// All of them have four digits.
fn push_code(out: &mut String, character: char) {
    out.push_str(&format!("\\u{:04x}", u32::from(character)));
}

#[cfg(test)]
mod tests;
