//! Where in a message stands what a tool says, and the same message with something else there.

use bytes::Bytes;
use tollgate_mcp::{Frame, Kind, json, raw};

/// Members of an answer that is a tool's or about a task of one.
const OF_A_TOOL: &[&str] = &["content", "structuredContent", "taskId", "result", "error"];

/// What a tool says in a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    /// Raw: a result, an error, what is announced.
    pub(crate) bytes: Bytes,
    /// The member of the message that it is.
    member: &'static str,
}

impl Said {
    /// In the answer to its call.
    pub(crate) fn at_once(answer: &Frame) -> Option<Self> {
        let result = answer.result().map(|bytes| Self { bytes, member: "result" });
        result.or_else(|| answer.error().map(|bytes| Self { bytes, member: "error" }))
    }

    /// In a message that is no answer to its call: the result on a resumed stream or of `tasks/result`, and what is said of a task in
    /// `tasks/get` and `notifications/tasks`.
    pub(crate) fn later(message: &Frame) -> Option<Self> {
        match message.kind() {
            Kind::Response => Self::at_once(message).filter(|said| said.is_of_a_tool()),
            Kind::ErrorResponse => Self::at_once(message),
            Kind::Notification => {
                let announced = message.params().map(|bytes| Self { bytes, member: "params" });
                announced.filter(Self::is_of_a_tool)
            }
            Kind::Request => None,
        }
    }

    fn is_of_a_tool(&self) -> bool {
        OF_A_TOOL.iter().any(|member| json::lookup(&self.bytes, &[member]) != Ok(None))
    }

    /// The message with `own` in its place. `None`: that is no JSON.
    pub(crate) fn replaced(&self, message: &Bytes, own: &[u8]) -> Option<Frame> {
        let own = std::str::from_utf8(own).ok()?;
        Frame::parse_upstream(raw::set(message, &[(self.member, own)]).ok()?).ok()
    }
}
