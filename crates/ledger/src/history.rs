//! The port through which somebody's own calls are read, a page at a time.

use std::future::Future;

use tollgate_domain::{CallId, Principal};

use crate::{LedgerStore, RecentCall, StoreError};

/// The paid calls of one caller.
pub trait CallHistory: LedgerStore {
    /// At most `limit` paid calls of a caller, the newest first, of those with a smaller id than `before`. Ids are in time order.
    fn calls_of(
        &self,
        caller: &Principal,
        before: Option<CallId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<RecentCall>, StoreError>> + Send;
}
