//! Limits on requests of any kind, by where they come from: asked before anything of a request is read.

use tollgate_gate::{Denial, Ports};
use tollgate_risk::Entrance;

use crate::clock;
use crate::doors::Peer;
use crate::gateway::Gateway;

/// What the gateway's own machinery reads: a probe that is refused would have a busy gateway restarted.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// Whoever shows the operator's key there speaks for many callers, and names them itself.
const GATE_API: &str = "/gate/v1/";

/// Whether a request may come in.
///
/// # Errors
/// The denial, when one of the limits that hold there is reached.
pub(crate) fn admit(gateway: &Gateway, entrance: Entrance<'_>, peer: Peer) -> Result<(), Denial> {
    let limits = gateway.gate.ports().limits();
    if !limits.counts_requests(entrance) {
        return Ok(()); // nobody reads the clock for nothing
    }
    limits.take_request(entrance, &peer.origin, clock::now()).map_err(Denial::from)
}

/// The same at the doors behind the router.
///
/// # Errors
/// As [`admit`].
pub(super) fn admit_routed(gateway: &Gateway, path: &str, peer: Peer) -> Result<(), Denial> {
    if PROBES.contains(&path) || path.starts_with(GATE_API) {
        return Ok(());
    }
    admit(gateway, Entrance::Shared, peer)
}
