//! What became of escrows at this gateway, counted as it happens: by state and asset, of which there are as many as the operator
//! configured. Locked by an escrow's event and a scrape only.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tollgate_domain::AssetId;
use tollgate_ledger::escrow::{EscrowMoved, EscrowRow};

/// How many escrows came to each state.
#[derive(Debug, Default)]
pub struct EscrowCounts(Mutex<BTreeMap<(AssetId, &'static str), u64>>);

impl EscrowCounts {
    /// An escrow has moved, or was asked to once more.
    pub(crate) fn moved(&self, moved: &EscrowMoved) {
        if !moved.replayed {
            let EscrowRow { terms, state, .. } = &*moved.row;
            self.came_to(state.word(), &terms.asset);
        }
    }

    /// An escrow of this asset came to a state.
    pub(crate) fn came_to(&self, state: &'static str, asset: &AssetId) {
        let mut counts = self.0.lock();
        let count = counts.entry((asset.clone(), state)).or_default();
        *count = count.saturating_add(1);
    }

    /// Each state of each asset, and how many came to it.
    pub(super) fn counts(&self) -> Vec<(AssetId, &'static str, u64)> {
        self.0.lock().iter().map(|((asset, state), count)| (asset.clone(), *state, *count)).collect()
    }
}
