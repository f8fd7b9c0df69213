//! The rows of payouts and providers: written by the writer inside its transaction, read by it and beside it.

pub(crate) mod stored;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tollgate_domain::PayoutId;
use tollgate_ledger::StoreError;
use tollgate_ledger::payout::{
    Payee, PayeeChange, PayeeRow, PayoutChanges, PayoutFilter, PayoutPage, PayoutRow, PayoutStore,
    ProviderName,
};

use crate::convert::{self, integer};
use crate::database::exactly_one;
use crate::store::Store;

/// Writes a payout as it stands now, provided that it still stood where it was read.
pub(crate) fn write(connection: &Connection, changes: &PayoutChanges) -> rusqlite::Result<()> {
    let PayoutChanges { before, row } = changes;
    let standing = stored::payout_text(row).map_err(failed)?;
    let changed = match before {
        None => connection
            .prepare_cached(
                "INSERT INTO payouts (id, payee, state, version, standing) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                row.id.as_bytes(),
                row.source.payee().as_str(),
                row.state.word(),
                integer(row.version),
                standing,
            ])?,
        Some(before) => connection
            .prepare_cached(
                "UPDATE payouts SET state = ?3, version = ?4, standing = ?5 WHERE id = ?1 AND version = ?2",
            )?
            .execute(params![
                row.id.as_bytes(),
                integer(*before),
                row.state.word(),
                integer(row.version),
                standing,
            ])?,
    };
    exactly_one(changed)
}

/// Writes what is remembered of a payee, provided that it still was what was read.
pub(crate) fn write_payee(connection: &Connection, change: &PayeeChange) -> rusqlite::Result<()> {
    let PayeeChange { before, row } = change;
    let standing = stored::payee_text(row).map_err(failed)?;
    let mut upsert = connection.prepare_cached(
        "INSERT INTO payees (payee, version, standing) VALUES (?1, ?3, ?4) \
         ON CONFLICT (payee) DO UPDATE SET version = excluded.version, standing = excluded.standing \
         WHERE version = ?2",
    )?;
    let changed =
        upsert.execute(params![row.payee.as_str(), integer(*before), integer(row.version), standing])?;
    exactly_one(changed)
}

fn failed(error: stored::Malformed) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// The columns of a payout, in the order in which [`payout`] reads them.
macro_rules! payouts {
    ($tail:expr) => {
        concat!("SELECT id, payee, state, version, standing, seq FROM payouts ", $tail)
    };
}

fn payout(row: &Row<'_>) -> rusqlite::Result<PayoutRow> {
    let columns = stored::Columns {
        id: convert::id(row, 0)?,
        payee: row.get_ref(1)?.as_str()?,
        state: row.get_ref(2)?.as_str()?,
        version: convert::count(row, 3)?,
    };
    stored::payout(&columns, row.get_ref(4)?.as_str()?)
        .map_err(|error| convert::malformed(4, Type::Text, error))
}

/// One payout.
pub(crate) fn by_id(connection: &Connection, id: &PayoutId) -> rusqlite::Result<Option<PayoutRow>> {
    let mut query = connection.prepare_cached(payouts!("WHERE id = ?1"))?;
    query.query_row(params![id.as_bytes()], payout).optional()
}

/// What is remembered of a payee.
pub(crate) fn payee(connection: &Connection, payee: &Payee) -> rusqlite::Result<Option<PayeeRow>> {
    let mut query =
        connection.prepare_cached("SELECT payee, version, standing FROM payees WHERE payee = ?1")?;
    let read = |row: &Row<'_>| {
        stored::payee(row.get_ref(0)?.as_str()?, convert::count(row, 1)?, row.get_ref(2)?.as_str()?)
            .map_err(|error| convert::malformed(2, Type::Text, error))
    };
    query.query_row(params![payee.as_str()], read).optional()
}

/// Every payout, in the order in which they were asked for.
pub(crate) fn each(connection: &Connection, mut visit: impl FnMut(PayoutRow)) -> rusqlite::Result<()> {
    let mut query = connection.prepare(payouts!("ORDER BY seq"))?;
    for row in query.query_map([], payout)? {
        visit(row?);
    }
    Ok(())
}

fn page(connection: &Connection, filter: &PayoutFilter, limit: u32) -> rusqlite::Result<PayoutPage> {
    let mut query = connection.prepare_cached(payouts!(
        "WHERE (?1 IS NULL OR payee = ?1) AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR seq < ?3) \
         ORDER BY seq DESC LIMIT ?4"
    ))?;
    let found = query.query_map(
        params![
            filter.provider.as_ref().map(ProviderName::as_str),
            filter.state.map(tollgate_ledger::payout::PayoutState::word),
            filter.before.map(integer),
            i64::from(limit).saturating_add(1),
        ],
        |row| Ok((convert::count(row, 5)?, payout(row)?)),
    )?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(cut(found, limit))
}

/// A page out of one row more than it has, if there is one more.
pub(crate) fn cut(mut found: Vec<(u64, PayoutRow)>, limit: u32) -> PayoutPage {
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_cut = found.len() > kept;
    found.truncate(kept);
    let next = found.last().map(|(place, _)| *place).filter(|_| is_cut);
    PayoutPage { rows: found.into_iter().map(|(_, row)| row).collect(), next }
}

fn open(connection: &Connection, after: Option<PayoutId>, limit: u32) -> rusqlite::Result<Vec<PayoutRow>> {
    let after = after.map(|id| *id.as_bytes());
    let mut query = connection.prepare_cached(payouts!(
        "WHERE state IN ('held', 'submitted', 'unknown') \
         AND seq > coalesce((SELECT seq FROM payouts WHERE id = ?1), 0) ORDER BY seq LIMIT ?2"
    ))?;
    query.query_map(params![after, limit], payout)?.collect()
}

impl PayoutStore for Store {
    async fn payout(&self, id: &PayoutId) -> Result<Option<PayoutRow>, StoreError> {
        let id = *id;
        self.readers().read(move |connection| by_id(connection, &id)).await
    }

    async fn payouts(&self, filter: PayoutFilter, limit: u32) -> Result<PayoutPage, StoreError> {
        self.readers().read(move |connection| page(connection, &filter, limit)).await
    }

    async fn open_payouts(&self, after: Option<PayoutId>, limit: u32) -> Result<Vec<PayoutRow>, StoreError> {
        self.readers().read(move |connection| open(connection, after, limit)).await
    }

    async fn payee(&self, provider: &ProviderName) -> Result<Option<PayeeRow>, StoreError> {
        let provider = Payee::Provider(provider.clone());
        self.readers().read(move |connection| payee(connection, &provider)).await
    }
}
