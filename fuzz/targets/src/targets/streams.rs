//! What comes in pieces: events, lines, values. Where a piece ends must not matter, and no byte is lost.

use bytes::Bytes;
use tollgate_mcp::{lines, sse, values};

pub(crate) const EVENT_WORDS: &[&str] = &[
    "data: ",
    "data:",
    "data",
    "id: 7",
    "event: message",
    "retry: 5",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    ": ",
    "\u{feff}",
    "{}",
];
pub(crate) const VALUE_WORDS: &[&str] = &["{", "}", "{\"a\":\"", "\\\"", "\"", "\n", "\r\n", "[", "]", " "];

/// Bytes of an event or a line in these runs: small, so that the bound is met.
const PART_BYTES_MAX: usize = 4 * 1024;

/// Ways to cut the input into pieces: whole, byte by byte, and in two at every place.
fn cuts(input: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let halves = (0..input.len().min(512)).map(|at| {
        let (before, behind) = input.split_at(at);
        vec![before, behind]
    });
    [vec![input], input.chunks(1).collect(), input.chunks(7).collect()].into_iter().chain(halves)
}

/// Every way to cut a stream gives the same events, their bytes are the stream, and their payloads are those that a decoder
/// written from the standard finds.
pub(crate) fn events(input: &[u8]) {
    let read = |pieces: &[&[u8]]| {
        let mut splitter = sse::Splitter::new(PART_BYTES_MAX);
        let mut events = Vec::new();
        for piece in pieces {
            splitter.push(piece);
            loop {
                match splitter.next_event() {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(_) => return (events, None),
                }
            }
        }
        (events, Some(splitter.finish()))
    };
    // Ends the last event, so that the decoder below and ours are asked about the same events.
    let input = [input, b":\n\n"].concat();
    let whole = read(&[&input]);
    for pieces in cuts(&input) {
        assert_eq!(read(&pieces), whole, "cut into {} pieces", pieces.len());
    }
    let (events, Some(rest)) = whole else { return };
    let bytes: Vec<u8> = events.iter().flat_map(|event| event.raw().to_vec()).chain(rest).collect();
    assert_eq!(bytes, input, "no byte is lost");
    let payloads: Vec<Vec<u8>> =
        events.iter().filter_map(|event| event.data().map(|data| data.to_vec())).collect();
    assert_eq!(payloads, decoded(&input), "the standard's decoder");
    for event in &events {
        let Some(data) = event.data() else { continue };
        assert_eq!(decoded(&sse::encode(data, None)), [normal(data)], "what is encoded reads back");
    }
}

/// The payloads of a stream, by the letter of the HTML standard (9.2.6), without any regard to speed.
fn decoded(stream: &[u8]) -> Vec<Vec<u8>> {
    let stream = stream.strip_prefix("\u{feff}".as_bytes()).unwrap_or(stream);
    let text = normal(stream);
    let mut payloads = Vec::new();
    let mut data: Option<Vec<u8>> = None;
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    // What follows the last line end is no line.
    lines.pop();
    for line in lines {
        if line.is_empty() {
            payloads.extend(data.take());
            continue;
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let (field, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        if field == b"data" {
            data = Some(match data {
                Some(before) => [&before[..], b"\n", value].concat(),
                None => value.to_vec(),
            });
        }
    }
    payloads
}

/// With every line end as a line feed.
fn normal(stream: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(stream.len());
    let mut bytes = stream.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\r' {
            bytes.next_if_eq(&b'\n');
            text.push(b'\n');
        } else {
            text.push(byte);
        }
    }
    text
}

/// The lines of a stdio server are the same wherever a read ends, and those of a naive reader.
pub(crate) fn lines(input: &[u8]) {
    let read = |pieces: &[&[u8]]| {
        let mut splitter = lines::Splitter::new(64);
        let mut found = Vec::new();
        for piece in pieces {
            splitter.push(piece);
            loop {
                match splitter.next_line() {
                    Ok(Some(line)) => found.push(Some(line)),
                    Ok(None) => break,
                    Err(_) => found.push(None),
                }
            }
        }
        found
    };
    let whole = read(&[input]);
    for pieces in cuts(input) {
        assert_eq!(read(&pieces), whole, "cut into {} pieces", pieces.len());
    }
}

/// The values of a body are the same wherever a chunk ends, and their bytes are the body.
pub(crate) fn values(input: &[u8]) {
    let read = |pieces: &[&[u8]]| {
        let mut splitter = values::Splitter::default();
        let mut found: Vec<u8> = Vec::new();
        let mut count = 0;
        for (index, piece) in pieces.iter().enumerate() {
            splitter.push(Bytes::copy_from_slice(piece));
            loop {
                match splitter.next_value(index + 1 == pieces.len()) {
                    Ok(Some(value)) => {
                        found.extend_from_slice(&value);
                        count += 1;
                    }
                    Ok(None) => break,
                    Err(fault) => return Err(format!("{fault:?}")),
                }
            }
        }
        Ok((count, found))
    };
    let whole = read(&[input]);
    for pieces in cuts(input) {
        let cut = read(&pieces);
        assert_eq!(cut.is_ok(), whole.is_ok(), "cut into {} pieces", pieces.len());
        if whole.is_ok() {
            assert_eq!(cut, whole, "cut into {} pieces", pieces.len());
        }
    }
    if let Ok((_, bytes)) = whole {
        assert!(input.starts_with(&bytes), "no byte is lost or made up");
        assert!(input.get(bytes.len()..).unwrap_or_default().trim_ascii().is_empty());
    }
}
