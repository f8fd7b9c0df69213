//! Buckets of all gateways: one row each, and one round trip for a call, over a connection of their own.
//!
//! A call never waits long for them: what they count is no money. Who cannot be told in time goes by the gateway's own count.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use tollgate_domain::UnixMillis;
use tollgate_ledger::StoreError;

use super::connect::Connector;
use super::convert::{ReadError, plain};
use crate::shared_limits::{SHARED_FULL_MS_MAX, SharedTake, SharedWait};

/// How long one call may take.
const ASK: Duration = Duration::from_secs(1);
/// How often full buckets are looked for.
const FORGOTTEN_EVERY_MS: u64 = 60_000;
const NANOS_PER_MILLI: u64 = 1_000_000;
const TAKE: &str = "SELECT crowded, wait FROM take_shared_limits($1, $2, $3)";

/// The connection, which carries the questions of all calls at once.
pub(super) struct SharedLimits {
    connector: Connector,
    client: Mutex<Option<Arc<Client>>>,
    forgotten_ms: AtomicU64,
}

impl SharedLimits {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, client: Mutex::new(None), forgotten_ms: AtomicU64::new(0) }
    }

    /// Whether it is time to forget what is full; it is not again for a while.
    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        let before = UnixMillis::new(self.forgotten_ms.load(Ordering::Relaxed));
        let is_due = now.millis_since(before) >= FORGOTTEN_EVERY_MS;
        if is_due {
            self.forgotten_ms.store(now.get(), Ordering::Relaxed);
        }
        is_due
    }

    /// Takes from all of these buckets or from none.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be told in time: what was sent may have been taken.
    pub(super) async fn take(&self, takes: &[SharedTake]) -> Result<Option<SharedWait>, StoreError> {
        let asked = tokio::time::timeout(ASK, async {
            let client = self.client().await?;
            Ok(ask(&client, takes).await?)
        });
        asked.await.unwrap_or_else(|_elapsed| Err(StoreError::Definite("no answer in time".to_owned())))
    }

    /// Who finds another one connecting waits for that one.
    async fn client(&self) -> Result<Arc<Client>, StoreError> {
        let mut kept = self.client.lock().await;
        if let Some(client) = kept.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        let client =
            self.connector.connect().await.map_err(|error| {
                StoreError::Definite(format!("connect to {}: {error}", self.connector.url()))
            })?;
        let client = Arc::new(client);
        *kept = Some(Arc::clone(&client));
        Ok(client)
    }
}

impl fmt::Debug for SharedLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLimits").finish_non_exhaustive()
    }
}

async fn ask(client: &Client, takes: &[SharedTake]) -> Result<Option<SharedWait>, ReadError> {
    let most = i64::try_from(SHARED_FULL_MS_MAX.saturating_mul(NANOS_PER_MILLI)).unwrap_or(i64::MAX);
    let nanos = |nanos: u128| i64::try_from(nanos).unwrap_or(most).min(most);
    let keys: Vec<&[u8]> = takes.iter().map(|take| take.key.as_bytes().as_slice()).collect();
    let costs: Vec<i64> = takes.iter().map(|take| nanos(take.cost_nanos)).collect();
    let fulls: Vec<i64> = takes.iter().map(|take| nanos(take.full_nanos)).collect();
    let parameters: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)] =
        &[(&keys, Type::BYTEA_ARRAY), (&costs, Type::INT8_ARRAY), (&fulls, Type::INT8_ARRAY)];
    let rows = client.query_typed(TAKE, parameters).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (place, wait): (i64, i64) = (plain(row, 0)?, plain(row, 1)?);
    let place = usize::try_from(place.saturating_sub(1)).unwrap_or_default();
    let wait_ms = u64::try_from(wait).unwrap_or_default().div_ceil(NANOS_PER_MILLI).max(1);
    Ok(Some(SharedWait { place, wait_ms }))
}

/// Forgets the buckets that have been full for a minute: longer than any statement lasts that is about to take from one.
pub(super) async fn forget(client: &Client) -> Result<(), ReadError> {
    let delete = "DELETE FROM shared_limits \
         WHERE full_at < (extract(epoch FROM clock_timestamp()) - 60)::bigint * 1000000000";
    client.execute_typed(delete, &[]).await?;
    Ok(())
}
