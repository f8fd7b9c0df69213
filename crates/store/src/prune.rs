//! Forgetting the results of calls that ended long ago.

use rusqlite::params;
use tollgate_domain::UnixMillis;
use tollgate_ledger::State;

use crate::convert;
use crate::ledger::LedgerSession;
use crate::writer::{Batch, Failure};

/// What one round of pruning did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pruned {
    /// How many results were deleted.
    pub(crate) forgotten: usize,
    /// Up to which settlement results were looked at; `None` when there are no older ones left.
    pub(crate) looked_at: Option<i64>,
}

impl Batch<'_, LedgerSession> {
    /// Looks at the results of at most `limit` settlements past `after`, in the order of claiming, and deletes those of calls
    /// that ended before `before`.
    pub(crate) fn prune(&mut self, before: UnixMillis, after: i64, limit: u32) -> Result<Pruned, Failure> {
        let mut query = self.connection.prepare_cached(
            "SELECT r.settlement, r.stored, s.updated, s.state, s.claimed FROM results r \
             JOIN settlements s ON s.id = r.settlement WHERE r.settlement > ?1 ORDER BY r.settlement LIMIT ?2",
        )?;
        let mut delete = self.connection.prepare_cached("DELETE FROM results WHERE settlement = ?1")?;
        let mut pruned = Pruned { forgotten: 0, looked_at: None };
        let mut looked_at = query.query(params![after, limit])?;
        while let Some(row) = looked_at.next()? {
            // Whatever was claimed later was stored later: there is nothing old behind it.
            if convert::moment(row, 4)? >= before {
                pruned.looked_at = None;
                break;
            }
            let settlement: i64 = row.get(0)?;
            pruned.looked_at = Some(settlement);
            let (stored, updated) = (convert::moment(row, 1)?, convert::moment(row, 2)?);
            if stored < before && updated < before && convert::text::<State>(row, 3)?.is_terminal() {
                pruned.forgotten = pruned.forgotten.saturating_add(delete.execute(params![settlement])?);
            }
        }
        Ok(pruned)
    }
}
