//! Results of an upstream: what they say about themselves, and the one place where the gateway writes into them,
//! `result._meta`.

use bytes::Bytes;

use crate::frame::{Frame, FrameError};
use crate::json;

#[cfg(test)]
mod tests;

/// A response with `set` (keys and raw values) merged into `result._meta`, and the members of it that `remove` names
/// taken out. No other byte changes. A name in both is set: a forged value is replaced by ours.
///
/// The response is parsed as strictly as a request, with [laxer bounds](crate::Limits::UPSTREAM); why a name that
/// appears twice is refused here too stands at [`Frame::parse_upstream`].
pub fn with_result_meta(
    response: &Bytes,
    set: &[(&str, &str)],
    remove: impl Fn(&str) -> bool,
) -> Result<Bytes, FrameError> {
    Frame::parse_upstream(response.clone())?.with_result_meta(set, remove)
}

impl Frame {
    /// Whether a `tools/call` response says `isError: true`. A result that is no object counts as an error: nobody pays for
    /// what says nothing. So does what is no response.
    pub fn is_error_result(&self) -> bool {
        !self.has_result_object() || self.result_member("isError") == Some(b"true")
    }

    /// `resultType` of a response: `complete`, `input_required`, `task`, …; `None` where it is absent, which means complete.
    pub fn result_type(&self) -> Option<String> {
        self.result_member("resultType").and_then(json::string)
    }
}

/// Whether a raw `tools/call` result says `isError: true`. What is not a strict JSON object counts as an error: nobody
/// pays for a result that cannot be read.
pub fn is_error(result: &[u8]) -> bool {
    if !result.trim_ascii_start().starts_with(b"{") {
        return true;
    }
    json::lookup(result, &["isError"]).map_or(true, |found| found == Some(b"true".as_slice()))
}

/// `resultType` of a raw result: `complete`, `input_required`, `task`, …; `None` where it is absent, which means
/// complete.
pub fn result_type(result: &[u8]) -> Option<String> {
    json::lookup(result, &["resultType"]).ok().flatten().and_then(json::string)
}
