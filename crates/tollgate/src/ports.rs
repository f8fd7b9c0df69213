//! The street's ports, as a server of somebody else's fills them.

use std::sync::Arc;

use tollgate_domain::{CallId, UnixMillis};
use tollgate_gate::{Fault, Ports};
use tollgate_ledger::budget::Plan;
use tollgate_rails::PaymentRail;
use tollgate_risk::Limits;
use tollgate_store::Store;
use tollgate_till::dispatch::DispatchMarks;
use tollgate_till::{KeySnapshot, clock, failpoint};

use crate::catalog::Goods;

/// Everything the street reaches outside itself.
#[derive(Debug)]
pub(crate) struct OwnPorts {
    pub(crate) goods: Goods,
    pub(crate) store: Store,
    pub(crate) keys: Arc<KeySnapshot>,
    pub(crate) rails: Vec<Arc<dyn PaymentRail>>,
    pub(crate) limits: Limits,
    pub(crate) budgets: Plan,
    pub(crate) marks: Arc<DispatchMarks>,
}

impl Ports for OwnPorts {
    type Catalog = Goods;
    type Ledger = Store;
    type Keys = KeySnapshot;

    fn catalog(&self) -> &Goods {
        &self.goods
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

    fn budgets(&self) -> &Plan {
        &self.budgets
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

    fn reached(&self, point: &'static str) {
        failpoint::reached(point);
    }
}
