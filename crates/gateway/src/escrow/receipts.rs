//! Which events of an escrow have a receipt.

use std::collections::BTreeMap;

use tollgate_domain::{EscrowId, ReceiptId};
use tollgate_ledger::escrow::{EscrowRecord, escrow_receipt_id};
use tollgate_ledger::{LedgerStore, StoreError};
use tollgate_store::Store;

/// The receipt of each event that moved money, by the version that it made. An escrow has some hundred events at most.
pub(crate) async fn of(
    store: &Store,
    escrow: EscrowId,
    history: &[EscrowRecord],
) -> Result<BTreeMap<u64, ReceiptId>, StoreError> {
    let mut receipts = BTreeMap::new();
    for EscrowRecord { version, at, .. } in history {
        let id = escrow_receipt_id(&escrow, *version, *at);
        if store.receipt(&id).await?.is_some() {
            receipts.insert(*version, id);
        }
    }
    Ok(receipts)
}
