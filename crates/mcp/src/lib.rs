//! The wire of MCP: JSON-RPC frames, protocol eras, mirrored headers, server-sent events, lines of stdio, `_meta`.
//!
//! What passes keeps its bytes: a message is scanned strictly, its parts are noted as ranges, and an edit is a splice.
//!
//! Never: I/O, an async runtime, a clock; money; a second reading of a message (what two parsers could read differently
//! is refused, not repaired).
//!
//! ```
//! use tollgate_mcp::{Frame, Kind, canonical};
//!
//! let body = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"weather","arguments":{"city":"Oslo"}}}"#;
//! let frame = Frame::parse(body.as_slice().into())?;
//! assert_eq!(frame.kind(), Kind::Request);
//! let call = frame.tool_call().ok_or("not a call")?;
//! assert_eq!(call.name, "weather");
//! assert_eq!(canonical::canonical(&call.arguments)?, br#"{"city":"Oslo"}"#.as_slice());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod batch;
pub mod canonical;
pub mod era;
pub mod frame;
pub mod headers;
pub mod json;
pub mod lines;
pub mod names;
mod object;
pub mod origin;
pub mod raw;
pub mod reply;
mod request_id;
pub mod result;
pub mod sse;
#[cfg(test)]
mod testing;
pub mod tools;
pub mod values;

pub use era::Era;
pub use frame::{Frame, FrameError, FrameFault, Kind, ToolCallView};
pub use json::{JsonError, Limits};
pub use request_id::{IdError, RequestId};
