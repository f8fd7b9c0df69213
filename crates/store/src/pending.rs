//! Settlements that have not ended, and those of them that wait for a rail; each answered from an index of those alone.

use rusqlite::{Connection, params};
use tollgate_domain::CallId;
use tollgate_ledger::{PendingSettlements, SettlementRow};

use crate::convert;
use crate::rows::{settlement, settlements};

/// The condition is the one of the index, word for word.
const PENDING: &str = "SELECT count(*), min(claimed) FROM settlements \
     WHERE state = 'executed' OR state = 'submitted' OR state = 'unknown'";
const UNKNOWN: &str = settlements!("WHERE state = 'unknown' AND call > ?1 ORDER BY call LIMIT ?2");

/// The index is named, because the order alone would have the whole table read by its rows' ids.
const OPEN: &str = settlements!(
    "INDEXED BY settlements_open WHERE state <> 'settled' AND state <> 'delivered' AND state <> 'refunded' \
     AND state <> 'voided' AND state <> 'failed' AND state <> 'in_doubt' \
     AND id > coalesce((SELECT id FROM settlements WHERE call = ?1), 0) ORDER BY id LIMIT ?2"
);

pub(crate) fn open(
    connection: &Connection,
    after: Option<CallId>,
    limit: u32,
) -> rusqlite::Result<Vec<SettlementRow>> {
    let after = after.map(|call| *call.as_bytes());
    connection.prepare_cached(OPEN)?.query_map(params![after, limit], settlement)?.collect()
}

pub(crate) fn pending(connection: &Connection) -> rusqlite::Result<PendingSettlements> {
    connection.prepare_cached(PENDING)?.query_row([], |row| {
        Ok(PendingSettlements { count: convert::count(row, 0)?, oldest: convert::optional_moment(row, 1)? })
    })
}

pub(crate) fn unknown(
    connection: &Connection,
    after: Option<CallId>,
    limit: u32,
) -> rusqlite::Result<Vec<SettlementRow>> {
    let after = after.map(|call| *call.as_bytes());
    let after: &[u8] = after.as_ref().map_or(&[], |bytes| bytes);
    connection.prepare_cached(UNKNOWN)?.query_map(params![after, limit], settlement)?.collect()
}

#[cfg(test)]
mod tests;
