//! Stories of the paying client against scripted servers on real sockets.

#![expect(clippy::expect_used, reason = "helpers of a test fail where they stand")]

mod eras;
mod lightning;
mod server;
mod world;
mod x402;
