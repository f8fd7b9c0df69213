//! Newline-delimited JSON-RPC: stdio, and streams of `application/json` messages (`basic/transports/stdio`).

use bytes::{Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// A line that is too long. The splitter has dropped it and goes on after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {line_bytes_max} bytes")]
pub struct LineTooLong {
    /// The bound.
    pub line_bytes_max: usize,
}

/// Cuts a stream of bytes into lines. Blank lines are skipped; the line end (LF or CRLF) is not part of a line.
#[derive(Debug)]
pub struct Splitter {
    buffer: BytesMut,
    /// Bytes of `buffer` that are known to hold no line end.
    searched: usize,
    line_bytes_max: usize,
    /// The line that is being dropped has been reported.
    dropping: bool,
}

impl Splitter {
    /// A splitter for lines of at most `line_bytes_max` bytes, line end not counted.
    pub fn new(line_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, line_bytes_max, dropping: false }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole line. `Ok(None)`: more bytes are needed. After an error the next call goes on behind the line.
    pub fn next_line(&mut self) -> Result<Option<Bytes>, LineTooLong> {
        loop {
            let fresh = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = fresh.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                // One byte more than the bound may be the CR of a line end that is not complete.
                if self.dropping || self.searched > self.line_bytes_max + 1 {
                    self.buffer.clear();
                    self.searched = 0;
                    if !std::mem::replace(&mut self.dropping, true) {
                        return Err(self.too_long());
                    }
                }
                return Ok(None);
            };
            let mut line = self.buffer.split_to(self.searched + found + 1);
            self.searched = 0;
            line.truncate(line.len() - 1);
            if line.ends_with(b"\r") {
                line.truncate(line.len() - 1);
            }
            if std::mem::take(&mut self.dropping) {
                continue;
            }
            if line.len() > self.line_bytes_max {
                return Err(self.too_long());
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line.freeze()));
            }
        }
    }

    /// What the stream left without a line end.
    pub fn finish(self) -> Bytes {
        self.buffer.freeze()
    }

    fn too_long(&self) -> LineTooLong {
        LineTooLong { line_bytes_max: self.line_bytes_max }
    }
}

/// A message as one line with its end. Line ends inside strict JSON are whitespace between tokens, never part of a
/// string, so they become spaces without a change of meaning.
pub fn encode(message: &[u8]) -> Bytes {
    let space = |byte: &u8| {
        if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }
    };
    message.iter().map(space).chain([b'\n']).collect()
}
