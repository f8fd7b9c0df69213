//! Stories of the paying client against scripted servers on real sockets.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "helpers of a test fail where they stand")]

mod bridge;
mod bridge_paying;
mod bridge_streams;
mod client;
mod eras;
mod lightning;
mod server;
mod world;
mod x402;
