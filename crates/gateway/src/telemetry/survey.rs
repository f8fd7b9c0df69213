//! What only the books know, read from them in the background: open settlements, revenue, and what the last check of the
//! whole ledger found.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tollgate_domain::{Amount, AssetId};
use tollgate_ledger::budget::Spent;
use tollgate_ledger::escrow::EscrowStore;
use tollgate_ledger::{LedgerStore, StoreError};

use super::checked::Checked;
use crate::clock;
use crate::gateway::Gateway;
use crate::spending::{of_node, state};

/// What the last look at the books found. Locked by a look and a scrape only, never on the path of a call.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// Settlements whose tool has answered and whose money is not decided.
    pub(super) pending: AtomicU64,
    /// How long the oldest of them has been open.
    pub(super) age_max_ms: AtomicU64,
    pub(super) earned: Mutex<BTreeMap<AssetId, Amount>>,
    /// Escrows that have not ended, by the word of their state.
    pub(super) open_escrows: Mutex<Vec<(&'static str, u64)>>,
    pub(super) checked: Mutex<Option<Checked>>,
    /// Calls that wait for an approval.
    pub(super) approvals_waiting: AtomicU64,
    /// What an operator has stopped.
    pub(super) stops: AtomicU64,
    /// What is used of each node of the budgets that its callers share.
    pub(super) budgets: Mutex<Vec<Spent>>,
}

/// How many approvals are looked at, the latest: more than may wait of a few dozen callers.
const APPROVALS: u32 = 1_000;

/// Looks once at open settlements, revenue and the last check.
///
/// # Errors
/// When the ledger cannot be read; what was known stays.
pub async fn look(gateway: &Gateway) -> Result<(), StoreError> {
    let store = &gateway.gate.ports().store;
    let surveyed = &gateway.foundation.telemetry.surveyed;
    let data = gateway.config.data.clone();
    if let Ok(checked) = tokio::task::spawn_blocking(move || Checked::last(&data)).await {
        *surveyed.checked.lock() = checked;
    }
    let now = clock::now();
    let pending = store.pending_settlements().await?;
    let age_max_ms = pending.oldest.map_or(0, |oldest| now.millis_since(oldest));
    surveyed.pending.store(pending.count, Ordering::Relaxed);
    surveyed.age_max_ms.store(age_max_ms, Ordering::Relaxed);
    for asset in gateway.config.assets.iter() {
        let earned = store.earned(asset.id()).await?;
        surveyed.earned.lock().insert(asset.id().clone(), earned);
    }
    *surveyed.open_escrows.lock() = store.open_escrows().await?;
    look_at_budgets(gateway).await
}

async fn look_at_budgets(gateway: &Gateway) -> Result<(), StoreError> {
    let (store, config) = (&gateway.gate.ports().store, &gateway.config);
    let surveyed = &gateway.foundation.telemetry.surveyed;
    let now = clock::now();
    let approvals = store.approvals(APPROVALS).await?;
    let waiting = approvals.iter().filter(|approval| state(approval, now) == "waiting").count();
    surveyed.approvals_waiting.store(u64::try_from(waiting).unwrap_or(u64::MAX), Ordering::Relaxed);
    let stops = store.stops().await?.0.len();
    surveyed.stops.store(u64::try_from(stops).unwrap_or(u64::MAX), Ordering::Relaxed);
    let mut spent = Vec::new();
    for branch in config.budgets.paths() {
        spent.extend(of_node(store, &config.budgets, branch, &config.assets, now).await?);
    }
    *surveyed.budgets.lock() = spent;
    Ok(())
}
