//! Dev only: real peers, mock upstreams and measuring tools for the gateway's integration tests and benches.
//!
//! It never becomes part of a release and imports nothing of the gateway: a peer that shared the gateway's parsers would
//! share its mistakes.
//!
//! - [`journal_server`]: a mock upstream whose journal shows what a refused call did not reach;
//! - [`peers`]: a chain, a Lightning wallet, published clients and servers, installed on first use;
//! - [`conformance`]: the official MCP suites, directly and through the gateway;
//! - [`books`]: a ledger added up from outside, from what its operator can read;
//! - [`otlp`]: a collector of traces and metrics;
//! - [`nginx`], [`wrk`], [`cpu`], [`memory`], [`queues`], [`clock`]: what a bench compares with, and what is measured by;
//! - [`http`], [`process`]: what the others stand on.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use serde_json::json;
//! use tollgate_testkit::http;
//! use tollgate_testkit::journal_server::{Journal, Script};
//!
//! let upstream = Journal::start(Script::echo().without_sessions()).await?;
//! let params = json!({"name": "echo", "arguments": {"n": 1}});
//! let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
//! http::post_json(&upstream.url(), &[], &call).await?;
//! assert_eq!(upstream.calls_to("echo").len(), 1);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod books;
pub mod clock;
pub mod conformance;
pub mod cpu;
pub mod http;
pub mod journal_server;
pub mod memory;
pub mod nginx;
pub mod otlp;
pub mod peers;
pub mod process;
pub mod queues;
pub mod wrk;
