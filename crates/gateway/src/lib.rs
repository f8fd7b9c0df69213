//! The building: configuration, doors, dev mode and the command line around the street of `tollgate-gate`.
//!
//! What happens to money is decided in the rooms below; this crate reads the world (environment, files, sockets, clock)
//! and hands it to them. It is used by the `tollgate` binary and its tests only.
#![forbid(unsafe_code)]

pub mod assemble;
pub mod authorizations;
pub mod begun;
pub mod budget_file;
pub mod builtin;
pub mod call_ids;
pub mod carrier;
pub mod carry;
pub mod catalog;
pub mod cli;
pub mod clients;
pub mod cohort;
pub mod config;
pub mod control;
pub mod demo;
pub mod described;
pub mod dev;
pub mod document;
pub mod doors;
mod escrow;
pub mod federation;
pub mod foundation;
mod gateway;
pub mod lease;
pub mod live;
mod payouts;
pub mod pins;
pub mod ports;
pub mod proxies;
mod reconciliation;
mod reserved;
mod result_scan;
pub mod server;
pub mod spending;
pub mod telemetry;
pub mod text_file;
pub mod tls;
pub mod unfinished;

pub use tollgate_till::{clock, data, dispatch, keys};
