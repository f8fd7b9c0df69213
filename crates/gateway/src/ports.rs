//! The street's ports, as this gateway fills them.

use std::sync::Arc;

use tollgate_domain::{CallId, ServerName, UnixMillis};
use tollgate_gate::{Fault, Ports};
use tollgate_ledger::budget::{Plan, Warning};
use tollgate_rails::PaymentRail;
use tollgate_risk::{Ask, Crowded, Limits};
use tollgate_store::{SharedTake, Store};
use tollgate_till::{KeySnapshot, failpoint};

use crate::catalog::Tools;
use crate::clock;
use crate::dispatch::DispatchMarks;
use crate::telemetry::Telemetry;

/// Everything the street reaches outside itself.
#[derive(Debug)]
pub struct GatewayPorts {
    /// The tools.
    pub tools: Arc<Tools>,
    /// The ledger.
    pub store: Store,
    /// API keys.
    pub keys: Arc<KeySnapshot>,
    /// The rails, in the order in which they are offered.
    pub rails: Vec<Arc<dyn PaymentRail>>,
    /// How often callers may come.
    pub limits: Limits,
    /// How far callers may spend.
    pub budgets: Plan,
    /// What operators see.
    pub telemetry: Arc<Telemetry>,
    /// Which paid calls were sent.
    pub marks: Arc<DispatchMarks>,
}

impl Ports for GatewayPorts {
    type Catalog = Tools;
    type Ledger = Store;
    type Keys = KeySnapshot;

    fn catalog(&self) -> &Tools {
        &self.tools
    }

    fn ledger(&self) -> &Store {
        &self.store
    }

    fn keys(&self) -> &KeySnapshot {
        &self.keys
    }

    fn rails(&self) -> &[Arc<dyn PaymentRail>] {
        &self.rails
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn take_shared(&self, asks: &[Ask]) -> Result<(), Crowded> {
        let take = |ask: &Ask| {
            let Ask { key, cost_nanos, full_nanos } = *ask;
            SharedTake { key, cost_nanos, full_nanos }
        };
        let takes: Vec<SharedTake> = asks.iter().map(take).collect();
        match self.store.take_shared(&takes).await {
            Ok(None) => Ok(()),
            Ok(Some(crowded)) => Err(Crowded { place: crowded.place, wait_ms: crowded.wait_ms }),
            Err(error) => {
                // What a limit protects is no money: callers are not turned away for it.
                tracing::warn!(%error, "limits of all gateways cannot be asked: this gateway goes by its own count");
                Ok(())
            }
        }
    }

    fn budgets(&self) -> &Plan {
        &self.budgets
    }

    fn warned(&self, warnings: &[Warning]) {
        warnings.iter().for_each(|warning| self.telemetry.warned(warning));
    }

    fn now(&self) -> UnixMillis {
        clock::now()
    }

    fn random(&self) -> Result<[u8; 32], Fault> {
        clock::random()
            .map_err(|error| Fault::Internal(format!("the operating system gives no randomness: {error}")))
    }

    fn may_have_run(&self, call: CallId) -> bool {
        self.marks.may_have_run(call)
    }

    fn takes_calls(&self, server: &ServerName) -> Result<(), Fault> {
        self.tools.takes_calls(server)
    }

    fn reached(&self, point: &'static str) {
        failpoint::reached(point);
    }
}
