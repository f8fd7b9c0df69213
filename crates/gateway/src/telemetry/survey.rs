//! What only the books know, read from them in the background: open settlements, revenue, and what the last check of the
//! whole ledger found.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tollgate_domain::{Amount, AssetId};
use tollgate_ledger::{LedgerStore, State, StoreError};

use super::checked::Checked;
use crate::clock;
use crate::gateway::Gateway;

/// What the last look at the books found. Locked by a look and a scrape only, never on the path of a call.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// Settlements whose tool has answered and whose money is not decided.
    pub(super) pending: AtomicU64,
    /// How long the oldest of them has been open.
    pub(super) age_max_ms: AtomicU64,
    pub(super) earned: Mutex<BTreeMap<AssetId, Amount>>,
    pub(super) checked: Mutex<Option<Checked>>,
}

/// Looks once at open settlements, revenue and the last check.
///
/// # Errors
/// When the ledger cannot be read; what was known stays.
pub async fn look(gateway: &Gateway) -> Result<(), StoreError> {
    let store = &gateway.gate.ports().store;
    let surveyed = &gateway.telemetry.surveyed;
    let data = gateway.config.data.clone();
    if let Ok(checked) = tokio::task::spawn_blocking(move || Checked::last(&data)).await {
        *surveyed.checked.lock() = checked;
    }
    let now = clock::now();
    let (mut pending, mut age_max_ms) = (0, 0);
    for row in store.open_settlements().await? {
        if matches!(row.state, State::Executed | State::Submitted | State::Unknown) {
            pending += 1;
            age_max_ms = age_max_ms.max(now.millis_since(row.claimed));
        }
    }
    surveyed.pending.store(pending, Ordering::Relaxed);
    surveyed.age_max_ms.store(age_max_ms, Ordering::Relaxed);
    for asset in gateway.config.assets.iter() {
        let earned = store.earned(asset.id()).await?;
        surveyed.earned.lock().insert(asset.id().clone(), earned);
    }
    Ok(())
}
