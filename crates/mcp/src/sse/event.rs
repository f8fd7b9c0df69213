//! One event: its bytes, and what they say.

use bytes::{Bytes, BytesMut};

/// A whole event as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    raw: Bytes,
    /// The bytes before the first line: a byte order mark, or the LF of a line end that closed the event before.
    skip: usize,
    data: Option<Bytes>,
    name: Option<Bytes>,
    id: Option<Bytes>,
    retry_ms: Option<u64>,
}

impl Event {
    /// Reads the fields of `raw`; its first `skip` bytes belong to no line.
    pub(super) fn read(raw: Bytes, skip: usize) -> Self {
        let mut event = Self { raw: raw.clone(), skip, data: None, name: None, id: None, retry_ms: None };
        for line in lines(&raw, skip) {
            let text = raw.get(line.start..line.end).unwrap_or_default();
            let colon = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
            let name = text.get(..colon).unwrap_or_default();
            let mut value = raw.slice((line.start + colon + 1).min(line.end)..line.end);
            if value.starts_with(b" ") {
                value = value.slice(1..);
            }
            match name {
                b"data" => {
                    event.data = Some(event.data.take().map_or(value.clone(), |data| join(&data, &value)))
                }
                b"event" => event.name = Some(value),
                b"id" if !value.contains(&0) => event.id = Some(value),
                b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                    event.retry_ms = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                }
                _ => {}
            }
        }
        event
    }

    /// The bytes to forward, blank line included.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The payload: the values of its `data` lines joined by LF. `None` for comments and for events without `data`.
    pub fn data(&self) -> Option<&Bytes> {
        self.data.as_ref()
    }

    /// The event type; `None` means `message`.
    pub fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// The event id; empty where the event resets it.
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// How long a client should wait before it connects again, in milliseconds (`retry`), where the event says so.
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// The raw bytes of this event with another payload: its `data` lines are replaced where the first of them stands,
    /// every other line keeps its bytes. An event without `data` is unchanged.
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        self.rewritten(Some(data), None)
    }

    /// The raw bytes of this event with another payload, another id, or both; where there is no such line, none is added.
    /// An id must not contain a line end.
    pub fn rewritten(&self, data: Option<&[u8]>, id: Option<&str>) -> Bytes {
        let data = data.filter(|_| self.data.is_some());
        let id = id.filter(|_| self.id.is_some());
        if data.is_none() && id.is_none() {
            return self.raw.clone();
        }
        let mut out = BytesMut::with_capacity(self.raw.len() + data.map_or(0, <[u8]>::len));
        let mut at = 0;
        let (mut data_written, mut id_written) = (false, false);
        for line in lines(&self.raw, self.skip) {
            let text = self.raw.get(line.start..line.end).unwrap_or_default();
            let ending = self.raw.get(line.end..line.next).unwrap_or_default();
            let is = |field: &[u8]| {
                text.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(b":"))
            };
            match (data, id) {
                (Some(data), _) if is(b"data") => {
                    out.extend_from_slice(self.raw.get(at..line.start).unwrap_or_default());
                    if !std::mem::replace(&mut data_written, true) {
                        write_data(&mut out, data, ending);
                    }
                    at = line.next;
                }
                (_, Some(id)) if is(b"id") => {
                    out.extend_from_slice(self.raw.get(at..line.start).unwrap_or_default());
                    if !std::mem::replace(&mut id_written, true) {
                        out.extend_from_slice(b"id: ");
                        out.extend_from_slice(id.as_bytes());
                        out.extend_from_slice(ending);
                    }
                    at = line.next;
                }
                _ => {}
            }
        }
        out.extend_from_slice(self.raw.get(at..).unwrap_or_default());
        out.freeze()
    }
}

fn join(data: &Bytes, line: &Bytes) -> Bytes {
    let mut joined = BytesMut::with_capacity(data.len() + line.len() + 1);
    joined.extend_from_slice(data);
    joined.extend_from_slice(b"\n");
    joined.extend_from_slice(line);
    joined.freeze()
}

/// A line without its end, and where the next one starts.
struct Line {
    start: usize,
    end: usize,
    next: usize,
}

fn lines(raw: &[u8], skip: usize) -> impl Iterator<Item = Line> {
    let mut start = skip;
    std::iter::from_fn(move || {
        let rest = raw.get(start..).filter(|rest| !rest.is_empty())?;
        let end = start + rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let ending = raw.get(end..).unwrap_or_default();
        let next = end + if ending.starts_with(b"\r\n") { 2 } else { ending.len().min(1) };
        let line = Line { start, end, next };
        start = next;
        Some(line)
    })
}

/// One `data` line per line of `data`.
fn write_data(out: &mut BytesMut, data: &[u8], line_end: &[u8]) {
    for line in lines_of(data) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.extend_from_slice(line_end);
    }
}

/// The lines of a payload; at least one, and one more after a final line end.
fn lines_of(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let current = rest.take()?;
        let end = current.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let Some(end) = end else { return Some(current) };
        let ending = current.get(end..).unwrap_or_default();
        rest = current.get(end + if ending.starts_with(b"\r\n") { 2 } else { 1 }..);
        current.get(..end)
    })
}

/// A message as an event: an `id` line where there is an id, then one `data` line per line of the message. An id with a
/// line end or a NUL cannot be written and is left out.
pub fn encode(data: &[u8], id: Option<&str>) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 64);
    if let Some(id) = id.filter(|id| !id.contains(['\n', '\r', '\0'])) {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\n");
    }
    write_data(&mut out, data, b"\n");
    out.extend_from_slice(b"\n");
    out.freeze()
}
