//! The gate API and the tools that run elsewhere.

use std::collections::BTreeMap;

use tollgate_domain::{Assets, Bps, Digest, ServerName, ToolName};

use super::super::meaning::{GateApi, ToolPolicy};
use super::super::raw::{RawBreaker, RawGateApi, RawNames, RawPins, RawServer};
use super::Reader;

/// The shortest key of the gate API.
const KEY_BYTES_MIN: usize = 32;
/// How many leases may be open at once, unless it is said: what an operator lets wait is memory, a few kilobytes each.
const LEASES: u32 = 10_000;
const LEASES_MOST: u32 = 1_000_000;

impl Reader<'_> {
    /// Whoever has the key has tools run for money: it must not be guessable.
    pub(super) fn gate_api(&mut self, raw: &RawGateApi) -> Option<GateApi> {
        let key = raw.key.as_deref().unwrap_or_default();
        if key.len() < KEY_BYTES_MIN || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.refuse(
                "gate_api.key",
                "needs at least 32 random characters without spaces (openssl rand -hex 32)",
            );
            return None;
        }
        let leases = raw.leases_max.unwrap_or(LEASES);
        if !(1..=LEASES_MOST).contains(&leases) {
            self.refuse("gate_api.leases_max", "is a number from 1 to 1000000");
            return None;
        }
        let leases_max = usize::try_from(leases).unwrap_or(usize::MAX);
        Some(GateApi { key: Digest::of(key.as_bytes()), remote: raw.remote, leases_max })
    }

    /// Servers with `gate: true`: there is nothing to reach, so every tool must be named.
    pub(super) fn gate_servers(
        &mut self,
        raw: &BTreeMap<String, RawServer>,
        assets: &Assets,
        floor: Bps,
        is_open: bool,
    ) -> BTreeMap<ServerName, BTreeMap<ToolName, ToolPolicy>> {
        let mut servers = BTreeMap::new();
        for (name, server) in raw.iter().filter(|(_, server)| server.gate) {
            let at = format!("servers.{name}");
            let is_reached = server.url.is_some() || !server.command.is_empty() || server.openapi.is_some();
            if is_reached || server.credential.is_some() {
                self.refuse(&at, "with `gate: true` its tools run elsewhere: leave out how to reach it");
            }
            if server.tools.is_empty() || server.every_tool.is_some() {
                self.refuse(
                    &at,
                    "with `gate: true` every tool is named in `tools`; there is no `every_tool`",
                );
            }
            if !is_open {
                self.refuse(&at, "`gate: true` needs the gate API: set `gate_api.key`");
            }
            self.refuse_unused(&at, server);
            let tools = self.tools(&at, &server.tools, assets, floor);
            if let Some(name) = self.server_name(&at, name) {
                servers.insert(name, tools);
            }
        }
        servers
    }

    /// What is meant for a server that the gateway reaches itself would be ignored; nobody should believe that it counts.
    fn refuse_unused(&mut self, at: &str, server: &RawServer) {
        let RawServer { pins, breaker, .. } = server;
        let RawPins { drift, first_use, findings } = pins;
        let RawBreaker { failures_in_a_row, failed_percent, rest_ms } = breaker;
        let unused = [
            ("pins", drift.is_some() || first_use.is_some() || findings.is_some()),
            ("breaker", failures_in_a_row.is_some() || failed_percent.is_some() || rest_ms.is_some()),
            ("payment_as_http", server.payment_as_http),
            ("list_callable_only", server.list_callable_only),
            ("transport", server.transport.is_some()),
            ("env", !server.env.is_empty()),
            ("headers", !server.headers.is_empty()),
            ("names", server.names != RawNames::default()),
        ];
        for (key, is_set) in unused {
            if is_set {
                self.refuse(
                    &format!("{at}.{key}"),
                    "with `gate: true` the gateway does not reach the server, so this would do nothing: leave it out",
                );
            }
        }
    }
}
