//! What a call of this gateway needs to be driven on: see [`tollgate_till::unfinished`].

use tokio_util::task::TaskTracker;
use tollgate_gate::Gate;
use tollgate_till::dispatch::DispatchMarks;
use tollgate_till::unfinished::Completes;

use crate::gateway::Gateway;
use crate::ports::GatewayPorts;

/// A call that has no ending yet.
pub type Unfinished = tollgate_till::unfinished::Unfinished<Gateway>;

impl Completes for Gateway {
    type Ports = GatewayPorts;

    fn gate(&self) -> &Gate<GatewayPorts> {
        &self.gate
    }

    fn marks(&self) -> &DispatchMarks {
        &self.foundation.marks
    }

    fn calls(&self) -> &TaskTracker {
        &self.foundation.calls
    }

    fn takes_money(&self) -> bool {
        self.gate.ports().store.is_open()
    }

    async fn given_up(&self) {
        self.foundation.readiness.given_up().await;
    }
}
