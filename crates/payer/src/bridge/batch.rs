//! Several messages in one line, which only the revision 2025-03-26 has: refused, each request on its own.
//!
//! An agent's budget is decided call by call. A client that sent a batch waits for an answer to each of its requests.

use bytes::Bytes;
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Frame, Kind, batch};

/// More than this is answered as a whole.
const MESSAGES_MAX: usize = 1_000;
const MESSAGE: &str = "JSON-RPC batches are not accepted by this bridge.";
/// As every refusal of a Tollgate says it.
const FACTS: &str =
    r#"{"error":"batch_refused","next_step":"Send each request on its own line.","retryable":false}"#;

/// The answers to a line that holds a batch.
pub(super) fn refused(line: &Bytes) -> Vec<Bytes> {
    let refusal = |frame: Option<&Frame>| {
        reply::error(frame.and_then(Frame::id), code::INVALID_REQUEST, MESSAGE, Some(FACTS))
    };
    let frames = batch::parse(line, MESSAGES_MAX).unwrap_or_default();
    let requests: Vec<Bytes> = frames
        .iter()
        .filter(|frame| frame.kind() == Kind::Request)
        .map(|frame| refusal(Some(frame)))
        .collect();
    if requests.is_empty() { vec![refusal(None)] } else { requests }
}
