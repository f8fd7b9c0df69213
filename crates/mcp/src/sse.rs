//! Server-sent events (WHATWG HTML, section 9.2), cut without changing a byte.
//!
//! Owns where an event ends and what its `data` is; which event matters is decided by whoever reads the payload. The
//! raw bytes of all events in their order, and then the rest, are exactly the bytes of the stream.

use bytes::{Bytes, BytesMut};

mod event;

#[cfg(test)]
mod tests;

pub use event::{Event, encode};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An event that is too long. The stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {event_bytes_max} bytes")]
pub struct EventTooLong {
    /// The bound.
    pub event_bytes_max: usize,
}

/// How the line before the current one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    None,
    Lf,
    Cr,
    CrLf,
}

/// Cuts a stream of bytes into events. Where it cuts depends on the bytes alone, never on how they were chunked.
#[derive(Debug)]
pub struct Splitter {
    buffer: BytesMut,
    event_bytes_max: usize,
    /// Bytes of `buffer` that were looked at.
    searched: usize,
    line_start: usize,
    last_end: LineEnd,
    /// The stream has not yielded an event yet, so a byte order mark may stand at its start.
    first: bool,
    /// The last event ended in a bare CR: a LF that follows belongs to that line end.
    after_cr: bool,
    failed: bool,
}

impl Splitter {
    /// A splitter for events of at most `event_bytes_max` raw bytes, line ends counted.
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            event_bytes_max,
            searched: 0,
            line_start: 0,
            last_end: LineEnd::None,
            first: true,
            after_cr: false,
            failed: false,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// How many bytes wait for the end of their event.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole event: lines up to and including a blank one. `Ok(None)`: more bytes are needed. After an error
    /// every call is that error.
    pub fn next_event(&mut self) -> Result<Option<Event>, EventTooLong> {
        let too_long = EventTooLong { event_bytes_max: self.event_bytes_max };
        if self.failed {
            return Err(too_long);
        }
        let end = self.find_end();
        if end.unwrap_or(self.buffer.len()) > self.event_bytes_max {
            self.failed = true;
            return Err(too_long);
        }
        Ok(end.map(|end| self.cut(end)))
    }

    /// What the stream left without a blank line: forwarded like the rest, but not an event.
    pub fn finish(self) -> Bytes {
        self.buffer.freeze()
    }

    fn cut(&mut self, end: usize) -> Event {
        let raw = self.buffer.split_to(end).freeze();
        let leading_lf = self.after_cr && raw.starts_with(b"\n");
        let leading_mark = self.first && raw.starts_with(BYTE_ORDER_MARK);
        let skip = if leading_mark { BYTE_ORDER_MARK.len() } else { usize::from(leading_lf) };
        self.after_cr = raw.ends_with(b"\r");
        (self.first, self.searched, self.line_start, self.last_end) = (false, 0, 0, LineEnd::None);
        Event::read(raw, skip)
    }

    /// Where the current event ends, once its blank line is complete.
    ///
    /// A blank line that ends in CR is complete at once where the line before it ended in a bare CR as well: such a
    /// stream has no LF to wait for. Else the next byte decides whether a LF belongs to it.
    fn find_end(&mut self) -> Option<usize> {
        loop {
            let byte = self.buffer.get(self.searched).copied()?;
            let line_end = match byte {
                b'\n' if self.searched == 0 && self.after_cr => {
                    // The second half of the line end that closed the last event.
                    self.searched = 1;
                    self.line_start = 1;
                    continue;
                }
                b'\n' => LineEnd::Lf,
                b'\r' if self.is_blank() && self.last_end == LineEnd::Cr => LineEnd::Cr,
                b'\r' => match self.buffer.get(self.searched + 1) {
                    Some(b'\n') => LineEnd::CrLf,
                    Some(_) => LineEnd::Cr,
                    None => return None,
                },
                _ => {
                    self.searched += 1;
                    continue;
                }
            };
            let blank = self.is_blank();
            self.searched += if line_end == LineEnd::CrLf { 2 } else { 1 };
            self.line_start = self.searched;
            self.last_end = line_end;
            if blank {
                return Some(self.searched);
            }
        }
    }

    /// Whether the current line is empty so far; a byte order mark at the start of the stream is not part of it.
    fn is_blank(&self) -> bool {
        let line = self.buffer.get(self.line_start..self.searched).unwrap_or_default();
        line.is_empty() || (self.first && self.line_start == 0 && line == BYTE_ORDER_MARK)
    }
}
