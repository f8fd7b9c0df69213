//! One running gateway: everything its doors share.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::task::TaskTracker;
use tollgate_attest::PublicKey;
use tollgate_domain::ServerName;
use tollgate_federation::Keys as HandleKeys;
use tollgate_gate::{Gate, Mode, Naming};
use tollgate_mcp::origin::AllowedHosts;
use tollgate_risk::AtOnce;
use tollgate_risk::Room;
use tollgate_store::ControlStore;
use tollgate_till::{KeySnapshot, PayoutRails};

use crate::authorizations::Authorizations;
use crate::begun::Begun;
use crate::builtin::BuiltinTools;
use crate::carrier::Carrier;
use crate::catalog::Tools;
use crate::cohort::Cohort;
use crate::config::Config;
use crate::dev::Dev;
use crate::dispatch::DispatchMarks;
use crate::federation::Federations;
use crate::lease::Leases;
use crate::pins::Pins;
use crate::ports::GatewayPorts;
use crate::server::Readiness;
use crate::telemetry::Telemetry;
use crate::tls::Tls;

/// One running gateway, as one configuration makes it. Never changed: another configuration makes another one, see
/// [`crate::live`].
#[derive(Debug)]
pub struct Gateway {
    /// Its configuration.
    pub config: Config,
    /// Whether its money is real.
    pub mode: Mode,
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
    /// API keys.
    pub keys: Arc<KeySnapshot>,
    /// What was approved of the tools' definitions.
    pub pins: Arc<Pins>,
    /// Which paid calls were sent.
    pub marks: Arc<DispatchMarks>,
    /// Calls that a program outside carries out, between its two requests to the gate API.
    pub leases: Arc<Leases>,
    /// Calls that are authorized and wait for their execution.
    pub authorizations: Arc<Authorizations>,
    /// Admin keys, for what only operators may read.
    pub admin_keys: ControlStore,
    /// The gateway's own tools, if they are offered.
    pub builtin: Option<Arc<BuiltinTools>>,
    /// Host names by which it may be addressed.
    pub hosts: AllowedHosts,
    /// The public keys of its receipts.
    pub receipt_keys: Vec<PublicKey>,
    /// Calls being carried out: each must be completed before the process ends.
    pub calls: TaskTracker,
    /// What runs for the servers (child processes, relays): ended once no call needs it.
    pub tasks: TaskTracker,
    /// TLS on the listener.
    pub tls: Option<Arc<Tls>>,
    /// What operators see.
    pub telemetry: Arc<Telemetry>,
    /// Whether new work is taken.
    pub readiness: Arc<Readiness>,
    /// What only dev mode has.
    pub dev: Option<Arc<Dev>>,
    /// What pays providers.
    pub payouts: PayoutRails,
    /// How many calls of one caller may be under way.
    pub crowd: Arc<AtOnce>,
    /// What bodies of requests take together.
    pub room: Arc<Room>,
    /// What answers and messages that are held take together.
    pub answers: Arc<Room>,
    /// Which tasks callers have begun.
    pub begun: Arc<Begun>,
    /// The requests whose steps are taken together.
    pub cohort: Arc<Cohort>,
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
