//! API keys in memory: read again when any process changed them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tollgate_domain::{Digest, KeyId, Labels};
use tollgate_ledger::StoreError;
use tollgate_store::Store;
use tollgate_trust::{ApiKeys, KeyDirectory, KeyRecord};

/// A key that was revoked by `tollgate keys revoke` stops working within this time.
const WATCH_MS: u64 = 500;

/// All API keys, swapped whole when another process changed them.
#[derive(Debug, Default)]
pub struct KeySnapshot(ArcSwap<ApiKeys>);

impl KeySnapshot {
    /// Replaces all keys.
    pub fn replace(&self, keys: ApiKeys) {
        self.0.store(Arc::new(keys));
    }
}

impl KeyDirectory for KeySnapshot {
    fn find(&self, hash: &Digest) -> Option<KeyRecord> {
        self.0.load().find(hash)
    }

    fn labels(&self, id: &KeyId) -> Labels {
        self.0.load().labels(id)
    }
}

/// Reads all keys.
///
/// # Errors
/// When the store cannot be read.
pub async fn reload(store: &Store, snapshot: &KeySnapshot) -> Result<(), StoreError> {
    let record = |key: tollgate_store::KeyRecord| {
        let known = KeyRecord {
            id: key.id,
            name: key.name.as_str().into(),
            revoked: key.revoked.is_some(),
            tier: key.tier,
            labels: key.labels,
        };
        (key.hash, known)
    };
    snapshot.replace(ApiKeys::new(store.keys().await?.into_iter().map(record)));
    Ok(())
}

/// Watches for changes until `stop` is cancelled.
pub async fn watch(store: Store, snapshot: Arc<KeySnapshot>, stop: CancellationToken) {
    // Nothing is known at first: a key that was made while this task waited for its first turn must not be missed.
    let mut known = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(WATCH_MS)) => {}
        }
        let version = store.keys_version().await.ok();
        if version != known {
            match reload(&store, &snapshot).await {
                Ok(()) => known = version,
                Err(error) => tracing::warn!(%error, "could not read the API keys again"),
            }
        }
    }
}
