//! Budgets in the ledger file: counters, approvals, stops. Read by the writer inside its transaction and by readers beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OptionalExtension, Row, params};
use tollgate_domain::{ApprovalId, Principal, ToolRef, UnixMillis};
use tollgate_ledger::budget::{
    Approval, BudgetChanges, Counter, NodeKey, Stop, Stops, Target, Usage, Wanted,
};

use crate::convert::{self, millis};
use crate::later::Later;
use crate::redo::Redo;

macro_rules! approvals {
    ($tail:literal) => {
        concat!(
            "SELECT id, caller, server, tool, args, asset, amount, state, asked, expires, decided, decided_by, call ",
            "FROM approvals ",
            $tail
        )
    };
}

fn read_approval(row: &Row<'_>) -> rusqlite::Result<Approval> {
    Ok(Approval {
        id: convert::id(row, 0)?,
        wanted: Wanted {
            caller: convert::text(row, 1)?,
            tool: ToolRef { server: convert::text(row, 2)?, tool: convert::text(row, 3)? },
            args: convert::digest(row, 4)?,
            asset: convert::text(row, 5)?,
            amount: convert::text(row, 6)?,
        },
        state: convert::text(row, 7)?,
        asked: convert::moment(row, 8)?,
        expires: convert::moment(row, 9)?,
        decided: convert::optional_moment(row, 10)?,
        by: row.get(11)?,
        call: convert::optional_id(row, 12)?,
    })
}

/// What a counter says.
pub(crate) fn usage(connection: &Connection, counter: &Counter) -> rusqlite::Result<Option<Usage>> {
    let mut query = connection.prepare_cached(
        "SELECT start, last, used FROM budget_usage WHERE node = ?1 AND asset = ?2 AND span = ?3",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Usage {
            start: convert::moment(row, 0)?,
            last: convert::moment(row, 1)?,
            used: convert::text(row, 2)?,
        })
    };
    let key = params![counter.node.as_str(), counter.asset.as_str(), counter.span.word()];
    query.query_row(key, read).optional()
}

/// Every counter.
pub(crate) fn usages(connection: &Connection) -> rusqlite::Result<Vec<(Counter, Usage)>> {
    let mut query = connection.prepare("SELECT node, asset, span, start, last, used FROM budget_usage")?;
    let read = |row: &Row<'_>| {
        let counter = Counter {
            node: NodeKey::stored(row.get_ref(0)?.as_str()?),
            asset: convert::text(row, 1)?,
            span: convert::text(row, 2)?,
        };
        let (start, last) = (convert::moment(row, 3)?, convert::moment(row, 4)?);
        Ok((counter, Usage { start, last, used: convert::text(row, 5)? }))
    };
    query.query_map([], read)?.collect()
}

/// Everything that may not spend.
pub(crate) fn stops(connection: &Connection) -> rusqlite::Result<Arc<Stops>> {
    let mut query = connection.prepare_cached("SELECT target, reason, stopped_by, at FROM budget_stops")?;
    let read = |row: &Row<'_>| {
        let target: Target = convert::text(row, 0)?;
        Ok((target, Stop { reason: row.get(1)?, by: row.get(2)?, at: convert::moment(row, 3)? }))
    };
    let stops = query.query_map([], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(Arc::new(Stops(stops)))
}

/// The latest approval that was asked for exactly this and is not used.
pub(crate) fn approval_of(connection: &Connection, wanted: &Wanted) -> rusqlite::Result<Option<Approval>> {
    let mut query = connection.prepare_cached(approvals!(
        "WHERE caller = ?1 AND state <> 'used' AND server = ?2 AND tool = ?3 AND args = ?4 AND asset = ?5 AND amount = ?6 \
         ORDER BY asked DESC, id DESC LIMIT 1"
    ))?;
    let Wanted { caller, tool, args, asset, amount } = wanted;
    let (server, tool) = (tool.server.as_str(), tool.tool.as_str());
    let key = params![caller.as_str(), server, tool, args.as_bytes(), asset.as_str(), amount.to_string()];
    query.query_row(key, read_approval).optional()
}

/// The approval with this id.
pub(crate) fn approval(connection: &Connection, id: &ApprovalId) -> rusqlite::Result<Option<Approval>> {
    connection
        .prepare_cached(approvals!("WHERE id = ?1"))?
        .query_row(params![id.as_bytes()], read_approval)
        .optional()
}

/// The latest approvals, newest first.
pub(crate) fn approvals(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<Approval>> {
    let mut query = connection.prepare_cached(approvals!("ORDER BY asked DESC, id DESC LIMIT ?1"))?;
    query.query_map(params![limit], read_approval)?.collect()
}

/// How many calls of a caller wait.
pub(crate) fn waiting(connection: &Connection, caller: &Principal, now: UnixMillis) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM approvals WHERE caller = ?1 AND state <> 'used' AND state = 'waiting' AND expires > ?2",
        )?
        .query_row(params![caller.as_str(), millis(now)], |row| convert::small_count(row, 0))
}

/// Writes what a batch changes.
pub(crate) fn write(
    connection: &Connection,
    redo: &mut Redo,
    later: &mut Later,
    changes: &BudgetChanges,
) -> rusqlite::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    for (counter, usage) in &changes.usages {
        later.set_usage(redo, counter, usage)?;
    }
    for approval in &changes.approvals {
        write_approval(connection, approval)?;
    }
    for (target, stop) in &changes.stops {
        write_stop(connection, target, stop.as_ref())?;
    }
    Ok(())
}

fn write_approval(connection: &Connection, approval: &Approval) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO approvals (id, caller, server, tool, args, asset, amount, state, asked, expires, decided, decided_by, call) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (id) DO UPDATE \
         SET state = excluded.state, expires = excluded.expires, decided = excluded.decided, \
             decided_by = excluded.decided_by, call = excluded.call",
    )?;
    let wanted = &approval.wanted;
    upsert.execute(params![
        approval.id.as_bytes(),
        wanted.caller.as_str(),
        wanted.tool.server.as_str(),
        wanted.tool.tool.as_str(),
        wanted.args.as_bytes(),
        wanted.asset.as_str(),
        wanted.amount.to_string(),
        approval.state.word(),
        millis(approval.asked),
        millis(approval.expires),
        approval.decided.map(millis),
        approval.by,
        approval.call.map(|call| *call.as_bytes()),
    ])?;
    Ok(())
}

/// What a batch leaves of a stop: it may have been ended and begun anew in it, or begun and ended.
fn write_stop(connection: &Connection, target: &Target, stop: Option<&Stop>) -> rusqlite::Result<()> {
    match stop {
        Some(Stop { reason, by, at }) => connection
            .prepare_cached(
                "INSERT INTO budget_stops (target, reason, stopped_by, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (target) DO UPDATE \
                 SET reason = excluded.reason, stopped_by = excluded.stopped_by, at = excluded.at",
            )?
            .execute(params![target.to_string(), reason, by, millis(*at)])?,
        None => connection
            .prepare_cached("DELETE FROM budget_stops WHERE target = ?1")?
            .execute(params![target.to_string()])?,
    };
    Ok(())
}

/// How long a counter is kept after it was last used, and an approval that nobody used after it expired. Longer than any month:
/// a row that is gone says the same as one whose window is over.
pub(crate) const KEPT_MS: u64 = 32 * 86_400_000;

/// How often counters are looked through for those that say nothing any more: all of them are read for it.
const FORGOTTEN_EVERY_MS: u64 = 3_600_000;

/// When counters were last looked through.
#[derive(Debug, Default)]
pub(crate) struct Forgotten(AtomicU64);

impl Forgotten {
    /// Whether it is time again.
    pub(crate) fn is_due(&self, now: UnixMillis) -> bool {
        now.millis_since(UnixMillis::new(self.0.load(Ordering::Relaxed))) >= FORGOTTEN_EVERY_MS
    }

    /// They were, now.
    pub(crate) fn done(&self, now: UnixMillis) {
        self.0.store(now.get(), Ordering::Relaxed);
    }
}

/// Forgets what says nothing any more.
pub(crate) fn forget(connection: &Connection, now: UnixMillis) -> rusqlite::Result<usize> {
    let before = params![millis(now.minus_millis(KEPT_MS))];
    let counters = connection.prepare_cached("DELETE FROM budget_usage WHERE last < ?1")?.execute(before)?;
    let approvals = connection
        .prepare_cached("DELETE FROM approvals WHERE state <> 'used' AND expires < ?1")?
        .execute(before)?;
    Ok(counters.saturating_add(approvals))
}
