//! The rows of escrows: written by the writer inside its transaction, read by it and beside it.

pub(crate) mod stored;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use tollgate_domain::{EscrowId, UnixMillis};
use tollgate_ledger::StoreError;
use tollgate_ledger::escrow::{
    DueEscrow, EscrowChanges, EscrowFilter, EscrowHistory, EscrowPage, EscrowRecord, EscrowRow, EscrowState,
    EscrowStore, Mediator, Role,
};

use crate::convert::{self, integer, millis};
use crate::database::exactly_one;
use crate::store::Store;

/// Writes an escrow as it stands now, provided that it still stood where it was read, and what happened to it.
pub(crate) fn write(connection: &Connection, changes: &EscrowChanges) -> rusqlite::Result<()> {
    let EscrowChanges { before, row, record, movements: _ } = changes;
    let failed = |error: stored::Malformed| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    let phase = match row.state {
        EscrowState::Disputed(dispute) => Some(dispute.phase.word()),
        _ => None,
    };
    let standing = stored::standing_text(row).map_err(failed)?;
    match before {
        None => {
            let mediator = match &row.terms.mediator {
                Mediator::Principal(mediator) => Some(mediator.as_str()),
                Mediator::Nobody | Mediator::Service => None,
            };
            let mut insert = connection.prepare_cached(
                "INSERT INTO escrows (id, payer, provider, mediator, terms, state, phase, due, version, standing) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            insert.execute(params![
                row.id.as_bytes(),
                row.terms.payer.as_str(),
                row.terms.provider.to_string(),
                mediator,
                stored::terms_text(&row.terms).map_err(failed)?,
                row.state.word(),
                phase,
                row.state.due().map(millis),
                integer(row.version),
                standing,
            ])?;
        }
        Some(before) => {
            let mut update = connection.prepare_cached(
                "UPDATE escrows SET state = ?3, phase = ?4, due = ?5, version = ?6, standing = ?7 \
                 WHERE id = ?1 AND version = ?2",
            )?;
            let changed = update.execute(params![
                row.id.as_bytes(),
                integer(*before),
                row.state.word(),
                phase,
                row.state.due().map(millis),
                integer(row.version),
                standing,
            ])?;
            exactly_one(changed)?;
        }
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO escrow_events (escrow, version, at, who, event, detail, state) \
         SELECT seq, ?2, ?3, ?4, ?5, ?6, ?7 FROM escrows WHERE id = ?1",
    )?;
    let word = record.event.as_ref().map_or("create", |event| event.word());
    let added = insert.execute(params![
        row.id.as_bytes(),
        integer(record.version),
        millis(record.at),
        record.by.to_string(),
        word,
        stored::event_text(record.event.as_ref()).map_err(failed)?,
        record.state,
    ])?;
    exactly_one(added)
}

/// The columns of an escrow, in the order in which [`escrow`] reads them.
macro_rules! escrows {
    ($tail:expr) => {
        concat!("SELECT id, terms, version, standing, seq FROM escrows ", $tail)
    };
}

fn escrow(row: &Row<'_>) -> rusqlite::Result<EscrowRow> {
    let failed = |column| move |error: stored::Malformed| convert::malformed(column, Type::Text, error);
    let terms = stored::terms(row.get_ref(1)?.as_str()?).map_err(failed(1))?;
    stored::row(convert::id(row, 0)?, terms, convert::count(row, 2)?, row.get_ref(3)?.as_str()?)
        .map_err(failed(3))
}

/// One escrow.
pub(crate) fn by_id(connection: &Connection, id: &EscrowId) -> rusqlite::Result<Option<EscrowRow>> {
    let mut query = connection.prepare_cached(escrows!("WHERE id = ?1"))?;
    query.query_row(params![id.as_bytes()], escrow).optional()
}

/// Every escrow, in the order of creation.
pub(crate) fn each(connection: &Connection, mut visit: impl FnMut(EscrowRow)) -> rusqlite::Result<()> {
    let mut query = connection.prepare(escrows!("ORDER BY seq"))?;
    for row in query.query_map([], escrow)? {
        visit(row?);
    }
    Ok(())
}

fn history(connection: &Connection, id: &EscrowId) -> rusqlite::Result<EscrowHistory> {
    let mut query = connection.prepare_cached(
        "SELECT version, at, who, detail, state FROM escrow_events \
         WHERE escrow = (SELECT seq FROM escrows WHERE id = ?1) ORDER BY version",
    )?;
    let records = query.query_map(params![id.as_bytes()], |row| {
        let event = stored::event(row.get_ref(3)?.as_str()?)
            .map_err(|error| convert::malformed(3, Type::Text, error))?;
        Ok(EscrowRecord {
            version: convert::count(row, 0)?,
            at: convert::moment(row, 1)?,
            by: convert::text(row, 2)?,
            event,
            state: row.get(4)?,
        })
    })?;
    records.collect()
}

fn page(connection: &Connection, filter: &EscrowFilter, limit: u32) -> rusqlite::Result<EscrowPage> {
    let mut conditions: Vec<&str> = Vec::new();
    let party = filter.party.as_ref().map(|party| party.as_str().to_owned());
    let before = filter.before.map(integer);
    let more = i64::from(limit).saturating_add(1);
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":limit", &more)];
    if let Some(party) = &party {
        conditions.push(match filter.role {
            Some(Role::Payer) => "payer = :party",
            Some(Role::Provider) => "provider = :party",
            Some(Role::Mediator) => "mediator = :party",
            Some(Role::Operator | Role::Clock) | None => {
                "(payer = :party OR provider = :party OR mediator = :party)"
            }
        });
        values.push((":party", party));
    }
    if let Some(state) = &filter.state {
        conditions.push("state = :state");
        values.push((":state", state));
    }
    if let Some(phase) = &filter.phase {
        conditions.push("phase = :phase");
        values.push((":phase", phase));
    }
    if let Some(before) = &before {
        conditions.push("seq < :before");
        values.push((":before", before));
    }
    let selected = if conditions.is_empty() { "1 = 1".to_owned() } else { conditions.join(" AND ") };
    let query = format!("{}WHERE {selected} ORDER BY seq DESC LIMIT :limit", escrows!(""));
    let mut query = connection.prepare_cached(&query)?;
    let found = query.query_map(values.as_slice(), |row| Ok((convert::count(row, 4)?, escrow(row)?)))?;
    let mut found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_cut = found.len() > kept;
    found.truncate(kept);
    let next = found.last().map(|(place, _)| *place).filter(|_| is_cut);
    Ok(EscrowPage { rows: found.into_iter().map(|(_, row)| row).collect(), next })
}

/// Counted in an index of those that are open: its condition is this one, word for word.
const OPEN: &str = "SELECT state, count(*) FROM escrows \
     WHERE state IN ('created', 'funded', 'locked', 'delivered', 'disputed') GROUP BY state";
const DUE: &str =
    "SELECT id, due FROM escrows WHERE due IS NOT NULL AND due <= ?1 ORDER BY due, seq LIMIT ?2";

fn open(connection: &Connection) -> rusqlite::Result<Vec<(&'static str, u64)>> {
    let mut query = connection.prepare_cached(OPEN)?;
    let counted = query.query_map([], |row| {
        let state = row.get_ref(0)?.as_str()?;
        let word = EscrowState::word_of(state);
        let word = word.ok_or_else(|| convert::malformed(0, Type::Text, stored::unknown_state(state)))?;
        Ok((word, convert::count(row, 1)?))
    })?;
    counted.collect()
}

fn due(connection: &Connection, now: UnixMillis, limit: u32) -> rusqlite::Result<Vec<DueEscrow>> {
    let mut query = connection.prepare_cached(DUE)?;
    let due = query
        .query_map(params![millis(now), limit], |row| Ok((convert::id(row, 0)?, convert::moment(row, 1)?)))?;
    due.collect()
}

impl EscrowStore for Store {
    async fn escrow(&self, id: &EscrowId) -> Result<Option<EscrowRow>, StoreError> {
        let id = *id;
        self.readers().read(move |connection| by_id(connection, &id)).await
    }

    async fn escrow_history(&self, id: &EscrowId) -> Result<EscrowHistory, StoreError> {
        let id = *id;
        self.readers().read(move |connection| history(connection, &id)).await
    }

    async fn escrows(&self, filter: EscrowFilter, limit: u32) -> Result<EscrowPage, StoreError> {
        self.readers().read(move |connection| page(connection, &filter, limit)).await
    }

    async fn open_escrows(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        self.readers().read(open).await
    }

    async fn due_escrows(&self, now: UnixMillis, limit: u32) -> Result<Vec<DueEscrow>, StoreError> {
        self.readers().read(move |connection| due(connection, now, limit)).await
    }
}

#[cfg(test)]
mod tests;
