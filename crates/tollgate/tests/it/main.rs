//! Stories of servers of somebody else's with a toll of ours: real sockets, real processes, sandbox or regtest money.
//!
//! A test's name is a sentence. Each refusal has its positive control in the same test.
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "a test awaits what it spawns"))]

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod flowing;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod room;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod world;
