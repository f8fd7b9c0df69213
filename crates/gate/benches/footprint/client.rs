//! A client that knows just enough HTTP/1.1 to time the bytes of an answer on a kept connection.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tollgate_testkit::clock::monotonic_ns;
use tollgate_testkit::wrk::Request;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// One kept connection.
pub(crate) struct Connection {
    socket: TcpStream,
    answer: Vec<u8>,
}

/// When an answer came, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Timed {
    /// The first event of a stream, or the first byte of another body, after the request was sent.
    pub(crate) first_us: f64,
    /// The first event after its server made it, where it says when that was.
    pub(crate) one_way_us: f64,
    /// The same of an event behind it, the median where there are several.
    pub(crate) later_us: f64,
    /// All of it, after the request was sent.
    pub(crate) whole_us: f64,
}

/// How an event says when it was made.
const STAMP: &[u8] = b"\"message\":\"";

/// `POST` with the bytes of a request, ready to be sent over and over.
pub(crate) fn prepared(url: &str, request: &Request) -> io::Result<(String, Vec<u8>)> {
    let rest = url.strip_prefix("http://").ok_or_else(|| io::Error::other("an http url is wanted"))?;
    let (authority, path) = rest.split_once('/').ok_or_else(|| io::Error::other("a path is wanted"))?;
    let mut text =
        format!("POST /{path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {}\r\n", request.body.len());
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(&request.body);
    Ok((authority.to_owned(), text.into_bytes()))
}

impl Connection {
    pub(crate) async fn to(authority: &str) -> io::Result<Self> {
        let socket = TcpStream::connect(authority).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, answer: Vec::with_capacity(4_096) })
    }

    /// Sends without waiting for an answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.socket.write_all(request).await
    }

    /// Sends, and reads the whole answer, which must be a 200.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<Timed> {
        #[expect(clippy::disallowed_methods, reason = "a stopwatch")]
        let sent = Instant::now();
        self.send(request).await?;
        self.answer.clear();
        let (mut first_us, mut one_way_us) = (None, f64::NAN);
        let (mut later, mut seen) = (Vec::new(), None);
        loop {
            if self.socket.read_buf(&mut self.answer).await? == 0 || self.answer.len() > ANSWER_BYTES_MAX {
                return Err(io::Error::other("the answer ended early, or never"));
            }
            let (elapsed, now) = (sent.elapsed().as_secs_f64() * 1e6, monotonic_ns()?);
            let Some((head, body)) = split(&self.answer) else { continue };
            if !head.starts_with(b"HTTP/1.1 200") {
                return Err(io::Error::other(String::from_utf8_lossy(&self.answer).into_owned()));
            }
            let has_begun = find(body, b"data:").is_some() || find(body, b"{").is_some();
            if first_us.is_none() && has_begun {
                first_us = Some(elapsed);
                if let Some(made) = first_stamp(body) {
                    one_way_us = between_us(made, now);
                }
            } else if let Some(made) = last_stamp(body).filter(|made| seen != Some(*made)) {
                later.push(between_us(made, now));
            }
            seen = last_stamp(body).or(seen);
            if is_whole(head, body) {
                let (first_us, later_us) = (first_us.unwrap_or(elapsed), crate::median(&mut later));
                return Ok(Timed { first_us, one_way_us, later_us, whole_us: elapsed });
            }
        }
    }
}

fn split(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = find(answer, b"\r\n\r\n")?;
    Some((answer.get(..end)?, answer.get(end + 4..)?))
}

fn is_whole(head: &[u8], body: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.map_or_else(|| body.ends_with(b"\r\n0\r\n\r\n"), |length: usize| body.len() >= length)
}

fn between_us(made: u64, now: u64) -> f64 {
    Duration::from_nanos(now.saturating_sub(made)).as_secs_f64() * 1e6
}

/// When the first event in a body was made, in nanoseconds.
fn first_stamp(body: &[u8]) -> Option<u64> {
    stamp(body, find(body, STAMP)?)
}

/// The same of the last one that is whole.
fn last_stamp(body: &[u8]) -> Option<u64> {
    stamp(body, body.windows(STAMP.len()).rposition(|window| window == STAMP)?)
}

fn stamp(body: &[u8], at: usize) -> Option<u64> {
    let rest = body.get(at + STAMP.len()..)?;
    let digits = rest.get(..rest.iter().position(|byte| *byte == b'"')?)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
