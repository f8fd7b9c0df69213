//! Stories of the real `tollgate` binary: real sockets, a journaling upstream, sandbox or real money.
//!
//! A test's name is a sentence; a case id in front names the acceptance case it stands for. Each refusal has its positive
//! control in the same test.
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "a test awaits what it spawns"))]

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod api_document;
#[cfg(test)]
mod backups;
#[cfg(test)]
mod before;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod builtin;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod compatible;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod connect;
#[cfg(test)]
mod control;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod demands;
#[cfg(test)]
mod disks;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod entrusted;
#[cfg(test)]
mod escrow;
#[cfg(test)]
mod federation;
#[cfg(test)]
mod first_transport;
#[cfg(test)]
mod gate_api;
#[cfg(test)]
mod holder;
#[cfg(test)]
mod import;
#[cfg(test)]
mod interop;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod lightning;
#[cfg(test)]
mod money;
#[cfg(test)]
mod observe;
#[cfg(test)]
mod on_chain;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod origins;
#[cfg(test)]
mod overlapping;
#[cfg(test)]
mod paid_before;
#[cfg(test)]
mod paid_calls;
#[cfg(test)]
mod paid_tasks;
#[cfg(test)]
mod payments;
#[cfg(test)]
mod payouts;
#[cfg(test)]
mod pins;
#[cfg(test)]
mod places;
#[cfg(test)]
mod priced_by_result;
#[cfg(test)]
mod pricing;
#[cfg(test)]
mod rate_limits;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod refunds;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod rest_apis;
#[cfg(test)]
mod result_scan;
#[cfg(test)]
mod results;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod servers;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod several_gateways;
#[cfg(test)]
mod shared_earnings;
#[cfg(test)]
mod shown;
#[cfg(test)]
mod slow_line;
#[cfg(test)]
mod smuggled;
#[cfg(test)]
mod stolen_proofs;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod tls;
#[cfg(test)]
#[cfg(feature = "otel")]
mod traces;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod unread;
#[cfg(test)]
mod upstream_faults;
#[cfg(test)]
mod wallet_credit;
#[cfg(test)]
mod ways;
#[cfg(test)]
mod world;
#[cfg(test)]
mod wrap;
