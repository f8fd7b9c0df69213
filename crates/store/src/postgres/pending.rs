//! Settlements that have not ended, and those of them that wait for a rail; each answered from an index of those alone.

use tokio_postgres::Row;
use tollgate_ledger::PendingSettlements;

use super::convert::{self, ReadError};
use super::rows::settlements;

/// Of this gateway, or of all of them, those claimed after the one of a call. The condition is the one of the index.
pub(super) const OPEN: &str = settlements!(
    "WHERE state NOT IN ('settled', 'delivered', 'refunded', 'voided', 'failed', 'in_doubt') \
     AND owner = coalesce($1, owner) AND id > coalesce((SELECT id FROM settlements WHERE call = $2), 0) \
     ORDER BY id LIMIT $3"
);
/// Of other gateways, of whose session nobody holds the lock, those that have not moved since a moment. The condition is the one of
/// the index.
pub(super) const ABANDONED: &str = settlements!(
    "WHERE state NOT IN ('settled', 'delivered', 'refunded', 'voided', 'failed', 'in_doubt') \
     AND owner IS DISTINCT FROM $1 AND updated < $2 AND id > coalesce((SELECT id FROM settlements WHERE call = $3), 0) \
     AND NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted \
        AND classid = $4::oid AND objid = settlements.owner::oid \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) \
     ORDER BY id LIMIT $5"
);
/// One call of a caller, if it is open and of another gateway.
pub(super) const OPEN_ELSEWHERE: &str = "SELECT 1 FROM settlements WHERE call = $1 AND caller = $2 AND owner <> $3 \
     AND state NOT IN ('settled', 'delivered', 'refunded', 'voided', 'failed', 'in_doubt')";
/// Of this gateway, or of all of them. The condition is the one of the index.
pub(super) const PENDING: &str = "SELECT count(*), min(claimed) FROM settlements \
     WHERE state IN ('executed', 'submitted', 'unknown') AND owner = coalesce($1, owner)";
/// The same, those in doubt that are after one call.
pub(super) const UNKNOWN: &str = settlements!(
    "WHERE state = 'unknown' AND owner = coalesce($1, owner) AND call > $2 ORDER BY call LIMIT $3"
);

/// A row of [`PENDING`].
pub(super) fn counted(row: &Row) -> Result<PendingSettlements, ReadError> {
    Ok(PendingSettlements { count: convert::count(row, 0)?, oldest: convert::optional_moment(row, 1)? })
}
