//! What is sold here.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tollgate_domain::ToolRef;
use tollgate_gate::{Catalog, Listed};

use crate::error::PriceError;

/// Everything that has terms, by name. Read without a lock by every call.
#[derive(Debug, Default)]
pub(crate) struct Goods {
    listed: ArcSwap<HashMap<ToolRef, Arc<Listed>>>,
    writing: Mutex<()>,
}

impl Goods {
    /// Offers one more. The same name on the same terms is the same offer, on however many routes.
    pub(crate) fn offer(&self, listed: Listed) -> Result<Arc<Listed>, PriceError> {
        let _writing = self.writing.lock();
        let known = self.listed.load_full();
        match known.get(&listed.tool) {
            Some(known) if same(known, &listed) => Ok(Arc::clone(known)),
            Some(_) => Err(PriceError::Taken(listed.tool.tool.to_string())),
            None => {
                let listed = Arc::new(listed);
                let mut all = (*known).clone();
                all.insert(listed.tool.clone(), Arc::clone(&listed));
                self.listed.store(Arc::new(all));
                Ok(listed)
            }
        }
    }
}

/// Whether two offers are one. A tool has arguments of its own type, so that two of one name never are.
fn same(known: &Listed, other: &Listed) -> bool {
    known.price == other.price
        && known.description == other.description
        && known.requirement == other.requirement
        && known.deadline_ms == other.deadline_ms
        && known.schema.is_none()
        && other.schema.is_none()
}

impl Catalog for Goods {
    fn tool(&self, tool: &ToolRef) -> Option<Arc<Listed>> {
        self.listed.load().get(tool).cloned()
    }
}
