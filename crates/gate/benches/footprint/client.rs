//! A client that knows just enough HTTP/1.1 to time the bytes of an answer on a kept connection.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tollgate_testkit::wrk::Request;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// One kept connection.
pub(crate) struct Connection {
    socket: TcpStream,
    answer: Vec<u8>,
}

/// When an answer came, in microseconds after its request was sent.
#[derive(Clone, Copy)]
pub(crate) struct Timed {
    /// The first event of a stream, or the first byte of another body.
    pub(crate) first_us: f64,
    /// All of it.
    pub(crate) whole_us: f64,
}

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
        let mut first_us = None;
        loop {
            if self.socket.read_buf(&mut self.answer).await? == 0 || self.answer.len() > ANSWER_BYTES_MAX {
                return Err(io::Error::other("the answer ended early, or never"));
            }
            let elapsed = sent.elapsed().as_secs_f64() * 1e6;
            let Some((head, body)) = split(&self.answer) else { continue };
            if !head.starts_with(b"HTTP/1.1 200") {
                return Err(io::Error::other(String::from_utf8_lossy(&self.answer).into_owned()));
            }
            let has_begun = find(body, b"data:").is_some() || find(body, b"{").is_some();
            if first_us.is_none() && has_begun {
                first_us = Some(elapsed);
            }
            if is_whole(head, body) {
                return Ok(Timed { first_us: first_us.unwrap_or(elapsed), whole_us: elapsed });
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

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
