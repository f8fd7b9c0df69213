//! Somebody's own calls, a page at a time.

use tokio_postgres::types::{ToSql, Type};
use tollgate_domain::{CallId, Principal};
use tollgate_ledger::{CallHistory, RecentCall, StoreError};

use super::PostgresStore;
use super::rows::{self, settlements};
use crate::history::LAST;

impl CallHistory for PostgresStore {
    async fn calls_of(
        &self,
        caller: &Principal,
        before: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<RecentCall>, StoreError> {
        let (before, limit) = (before.unwrap_or(LAST), i64::from(limit));
        let query = settlements!("WHERE caller = $1 AND call < $2 ORDER BY call DESC LIMIT $3");
        let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
            (&caller.as_str(), Type::TEXT),
            (&before.as_bytes().as_slice(), Type::BYTEA),
            (&limit, Type::INT8),
        ];
        self.rows(query, &parameters, |row| rows::settlement(row).map(rows::recent_paid)).await
    }
}
