//! Somebody's own calls, a page at a time.

use tollgate_domain::{CallId, Principal};
use tollgate_ledger::{CallHistory, RecentCall, StoreError};

use crate::rows;
use crate::store::Store;

/// Where the first page begins: behind every call.
pub(crate) const LAST: CallId = CallId::from_bytes([u8::MAX; 16]);

impl CallHistory for Store {
    async fn calls_of(
        &self,
        caller: &Principal,
        before: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<RecentCall>, StoreError> {
        let (caller, before) = (caller.clone(), before.unwrap_or(LAST));
        self.readers().read(move |connection| rows::calls_of(connection, &caller, before, limit)).await
    }
}
