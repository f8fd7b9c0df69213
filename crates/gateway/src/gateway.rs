//! One running gateway: everything its doors share.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_domain::ServerName;
use tollgate_federation::Keys as HandleKeys;
use tollgate_gate::{Gate, Naming};
use tollgate_mcp::origin::AllowedHosts;
use tollgate_risk::AtOnce;

use crate::builtin::BuiltinTools;
use crate::carrier::Carrier;
use crate::catalog::Tools;
use crate::config::Config;
use crate::federation::Federations;
use crate::foundation::Foundation;
use crate::ports::GatewayPorts;

/// One running gateway, as one configuration makes it. Never changed: another configuration makes another one, see
/// [`crate::live`].
#[derive(Debug)]
pub struct Gateway {
    /// Its configuration.
    pub config: Config,
    /// What stays, whatever the configuration.
    pub foundation: Foundation,
    /// The street.
    pub gate: Gate<GatewayPorts>,
    /// The tools.
    pub tools: Arc<Tools>,
    /// The ways to the servers.
    pub carriers: BTreeMap<ServerName, Arc<Carrier>>,
    /// Several servers as one.
    pub federations: Federations,
    /// The keys of what callers carry back and forth: sessions, tasks, states.
    pub handle_keys: Arc<HandleKeys>,
    /// The gateway's own tools, if they are offered.
    pub builtin: Option<Arc<BuiltinTools>>,
    /// Host names by which it may be addressed.
    pub hosts: AllowedHosts,
    /// How many calls of one caller may be under way.
    pub crowd: Arc<AtOnce>,
}

impl Gateway {
    /// What answers may name.
    pub fn naming<'a>(&'a self, resource_url: &'a str) -> Naming<'a> {
        Naming { base_url: &self.config.public_url, resource_url }
    }

    /// The carrier of `/mcp`: the only server, while there is one.
    pub fn only_carrier(&self) -> Option<&Arc<Carrier>> {
        let mut carriers = self.carriers.values();
        carriers.next().filter(|_| carriers.next().is_none())
    }
}
