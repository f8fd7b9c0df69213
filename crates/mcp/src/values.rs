//! JSON values one after the other: the body of an `application/json` answer, which is one message however it is spelled, or
//! several (NDJSON).

use bytes::{Bytes, BytesMut};

use crate::json::plain_run;

#[cfg(test)]
mod tests;

/// Why a stream of bytes is no stream of JSON objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValuesFault {
    /// It ended in the middle of a value.
    #[error("{}", self.sentence())]
    EndsInside,
    /// Something stands where an object should begin.
    #[error("{}", self.sentence())]
    NoMessage,
}

impl ValuesFault {
    /// What is wrong, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::EndsInside => "its body ends inside a message",
            Self::NoMessage => "its body is no JSON-RPC message",
        }
    }
}

/// Cuts a stream of bytes into JSON objects by counting brackets; what is inside is not judged here.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: BytesMut,
    /// Bytes of `buffer` that were looked at.
    searched: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Where the value ends, once it is complete.
    end: Option<usize>,
}

impl Splitter {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        if self.buffer.is_empty() {
            // Most answers are one chunk, which is then taken over without a copy where nobody else holds it.
            self.buffer = BytesMut::from(chunk);
        } else {
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// How many bytes wait for the end of their value.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole value with its line end. Without a line end it is whole when something else follows, or when the stream
    /// is over (`at_end`). `Ok(None)`: more bytes are needed.
    ///
    /// # Errors
    /// [`ValuesFault`].
    pub fn next_value(&mut self, at_end: bool) -> Result<Option<Bytes>, ValuesFault> {
        self.search()?;
        let Some(end) = self.end else {
            return if at_end && !self.buffer.trim_ascii().is_empty() {
                Err(ValuesFault::EndsInside)
            } else {
                Ok(None)
            };
        };
        let behind = self.buffer.get(end..).unwrap_or_default();
        let spaces = behind.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        let cut = match behind.get(spaces) {
            Some(b'\n') => end.saturating_add(spaces).saturating_add(1),
            Some(_) => end.saturating_add(spaces),
            None if at_end => self.buffer.len(),
            None => return Ok(None),
        };
        (self.searched, self.end) = (0, None);
        Ok(Some(self.buffer.split_to(cut).freeze()))
    }

    fn search(&mut self) -> Result<(), ValuesFault> {
        if self.end.is_some() {
            return Ok(());
        }
        while let Some(&byte) = self.buffer.get(self.searched) {
            if self.in_string && !self.escaped {
                // Most of a long answer is text, which is passed eight bytes at a time.
                let plain = plain_run(self.buffer.get(self.searched..).unwrap_or_default());
                if plain > 0 {
                    self.searched = self.searched.saturating_add(plain);
                    continue;
                }
            }
            self.searched = self.searched.saturating_add(1);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' if self.depth > 0 => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' => self.depth = self.depth.saturating_add(1),
                b'[' if self.depth > 0 => self.depth = self.depth.saturating_add(1),
                b'}' | b']' if self.depth > 0 => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.end = Some(self.searched);
                        break;
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ if self.depth > 0 => {}
                _ => return Err(ValuesFault::NoMessage),
            }
        }
        Ok(())
    }
}
