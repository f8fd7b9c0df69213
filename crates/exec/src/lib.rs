//! Carrying out calls: the way to the server that runs the tool, and back.
//!
//! Owns the upstreams ([`HttpUpstream`], [`SseUpstream`],
//! [`StdioUpstream`], [`RestUpstream`]), their [`Health`] with the [`breaker`] that gives a failing server a
//! rest, the gateway's own MCP client over them ([`McpClient`]), and [`intercept`](intercept::intercept), which takes the one
//! answer of a call out of a stream so that it can be withheld until it is settled.
//!
//! This crate never learns who called, what was paid or whether it may be carried out: it is handed a request and carries it
//! out. Where sessions have a bound, it is told which requests belong together ([`session::Holder`]), and no more. It never retries a
//! request that may have arrived, never re-encodes a message, never runs a shell, and reads no environment. Tasks run on the
//! `TaskTracker` that is passed in, so that shutdown can wait for them.
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use tokio::time::Instant;
//! use tokio_util::task::TaskTracker;
//! use tollgate_exec::{Body, Intercepted, intercept};
//! use tollgate_mcp::RequestId;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
//! let response = http::Response::builder()
//!     .header("content-type", "application/json")
//!     .body(Body::from(Bytes::from(answer)))?;
//! let (id, limits, deadline) = (RequestId::integer(1), intercept::Limits::default(), Instant::now() + Duration::from_secs(9));
//! let Intercepted::Whole(whole) = intercept::intercept(response, &id, limits, deadline, &TaskTracker::new()).await? else {
//!     return Err("nothing came before the answer".into());
//! };
//! assert_eq!(whole.answer().bytes(), answer);
//! let settled = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"_meta":{"receipt":"rcpt_1"}}}"#;
//! let response = whole.respond(settled.into());
//! assert_eq!(response.into_body().collect_within(1024).await?, settled);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod body;
pub mod breaker;
pub mod client;
mod gather;
mod headers;
pub mod health;
pub mod http;
pub mod in_place;
pub mod intercept;
mod local;
mod messages;
pub mod openapi;
#[cfg(test)]
mod peer;
mod pool;
pub mod probe;
pub mod resume;
mod retry;
pub mod session;
pub mod sse;
pub mod stdio;
mod stream;
mod upstream;

pub use self::http::HttpUpstream;
pub use body::{Body, BodyError, BodySender, Channel, Gone};
pub use client::{McpClient, says_nothing_of_eras};
pub use gather::Gathered;
pub use health::Health;
pub use intercept::Intercepted;
pub use openapi::RestUpstream;
pub use sse::SseUpstream;
pub use stdio::StdioUpstream;
pub use stream::{Item, MessageStream};
pub use upstream::{BoxFuture, Source, Upstream, UpstreamError};
