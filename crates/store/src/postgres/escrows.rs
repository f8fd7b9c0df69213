//! Escrows in the database: written with the batch that moves them, read beside it.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use tollgate_domain::{EscrowId, UnixMillis};
use tollgate_ledger::StoreError;
use tollgate_ledger::escrow::{
    DueEscrow, EscrowChanges, EscrowFilter, EscrowHistory, EscrowPage, EscrowRecord, EscrowRow, EscrowState,
    EscrowStore, Mediator, Role,
};

use super::PostgresStore;
use super::convert::{self, ReadError, malformed, plain};
use super::written::WriteError;
use crate::convert::{integer, millis};
use crate::escrows::stored;

/// The columns of [`escrow`], then more.
macro_rules! escrows {
    ($tail:literal) => {
        concat!("SELECT id, terms, version, standing, seq FROM escrows ", $tail)
    };
}

/// The escrows with these ids.
pub(super) const BY_IDS: &str = escrows!("WHERE id = ANY($1)");
/// Every escrow, in the order of creation.
pub(super) const EVERY: &str = escrows!("ORDER BY seq");

pub(super) fn escrow(row: &Row) -> Result<EscrowRow, ReadError> {
    let terms = stored::terms(plain(row, 1)?).map_err(|error| malformed(1, error))?;
    stored::row(convert::id(row, 0)?, terms, convert::count(row, 2)?, plain(row, 3)?)
        .map_err(|error| malformed(3, error))
}

/// Writes each escrow as it stands now, provided that it still stood where it was read, and what happened to it. One escrow may
/// have moved more than once in a batch, so they are written one after the other.
pub(super) async fn write(client: &Client, changes: &[EscrowChanges]) -> Result<(), WriteError> {
    for change in changes {
        write_one(client, change).await?;
        write_record(client, change).await?;
    }
    Ok(())
}

async fn write_one(client: &Client, changes: &EscrowChanges) -> Result<(), WriteError> {
    let EscrowChanges { before, row, .. } = changes;
    let phase = match row.state {
        EscrowState::Disputed(dispute) => Some(dispute.phase.word()),
        _ => None,
    };
    let standing = stored::standing_text(row).map_err(unwritable)?;
    let (id, due, version) =
        (row.id.as_bytes().as_slice(), row.state.due().map(millis), integer(row.version));
    let Some(before) = before else {
        let mediator = match &row.terms.mediator {
            Mediator::Principal(mediator) => Some(mediator.as_str()),
            Mediator::Nobody | Mediator::Service => None,
        };
        let insert = "INSERT INTO escrows (id, payer, provider, mediator, terms, state, phase, due, version, standing) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let parameters: &[(&(dyn ToSql + Sync), Type)] = &[
            (&id, Type::BYTEA),
            (&row.terms.payer.as_str(), Type::TEXT),
            (&row.terms.provider.to_string(), Type::TEXT),
            (&mediator, Type::TEXT),
            (&stored::terms_text(&row.terms).map_err(unwritable)?, Type::TEXT),
            (&row.state.word(), Type::TEXT),
            (&phase, Type::TEXT),
            (&due, Type::INT8),
            (&version, Type::INT8),
            (&standing, Type::TEXT),
        ];
        return WriteError::unless("escrows", 1, client.execute_typed(insert, parameters).await);
    };
    let update = "UPDATE escrows SET state = $3, phase = $4, due = $5, version = $6, standing = $7 \
         WHERE id = $1 AND version = $2";
    let parameters: &[(&(dyn ToSql + Sync), Type)] = &[
        (&id, Type::BYTEA),
        (&integer(*before), Type::INT8),
        (&row.state.word(), Type::TEXT),
        (&phase, Type::TEXT),
        (&due, Type::INT8),
        (&version, Type::INT8),
        (&standing, Type::TEXT),
    ];
    WriteError::unless("escrows", 1, client.execute_typed(update, parameters).await)
}

async fn write_record(client: &Client, changes: &EscrowChanges) -> Result<(), WriteError> {
    let EscrowChanges { row, record, .. } = changes;
    let insert = "INSERT INTO escrow_events (escrow, version, at, who, event, detail, state) \
         SELECT seq, $2, $3, $4, $5, $6, $7 FROM escrows WHERE id = $1";
    let word = record.event.as_ref().map_or("create", |event| event.word());
    let parameters: &[(&(dyn ToSql + Sync), Type)] = &[
        (&row.id.as_bytes().as_slice(), Type::BYTEA),
        (&integer(record.version), Type::INT8),
        (&millis(record.at), Type::INT8),
        (&record.by.to_string(), Type::TEXT),
        (&word, Type::TEXT),
        (&stored::event_text(record.event.as_ref()).map_err(unwritable)?, Type::TEXT),
        (&record.state, Type::TEXT),
    ];
    WriteError::unless("escrow_events", 1, client.execute_typed(insert, parameters).await)
}

fn unwritable(error: stored::Malformed) -> WriteError {
    WriteError::Malformed(error.to_string())
}

impl EscrowStore for PostgresStore {
    async fn escrow(&self, id: &EscrowId) -> Result<Option<EscrowRow>, StoreError> {
        self.row(escrows!("WHERE id = $1"), &[(&id.as_bytes().as_slice(), Type::BYTEA)], escrow).await
    }

    async fn escrow_history(&self, id: &EscrowId) -> Result<EscrowHistory, StoreError> {
        let query = "SELECT version, at, who, detail, state FROM escrow_events \
             WHERE escrow = (SELECT seq FROM escrows WHERE id = $1) ORDER BY version";
        let record = |row: &Row| {
            Ok(EscrowRecord {
                version: convert::count(row, 0)?,
                at: convert::moment(row, 1)?,
                by: convert::text(row, 2)?,
                event: stored::event(plain(row, 3)?).map_err(|error| malformed(3, error))?,
                state: plain(row, 4)?,
            })
        };
        self.rows(query, &[(&id.as_bytes().as_slice(), Type::BYTEA)], record).await
    }

    async fn escrows(&self, filter: EscrowFilter, limit: u32) -> Result<EscrowPage, StoreError> {
        let party = filter.party.as_ref().map(|party| party.as_str().to_owned());
        let role = match filter.role {
            Some(Role::Payer) => Some("payer"),
            Some(Role::Provider) => Some("provider"),
            Some(Role::Mediator) => Some("mediator"),
            Some(Role::Operator | Role::Clock) | None => None,
        };
        let (before, more) = (filter.before.map(integer), i64::from(limit).saturating_add(1));
        let query = escrows!(
            "WHERE ($1 IS NULL OR (payer = $1 AND ($2 IS NULL OR $2 = 'payer')) \
             OR (provider = $1 AND ($2 IS NULL OR $2 = 'provider')) OR (mediator = $1 AND ($2 IS NULL OR $2 = 'mediator'))) \
             AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR phase = $4) AND ($5 IS NULL OR seq < $5) \
             ORDER BY seq DESC LIMIT $6"
        );
        let parameters: &[(&(dyn ToSql + Sync), Type)] = &[
            (&party, Type::TEXT),
            (&role, Type::TEXT),
            (&filter.state, Type::TEXT),
            (&filter.phase, Type::TEXT),
            (&before, Type::INT8),
            (&more, Type::INT8),
        ];
        let found = self.rows(query, parameters, |row| Ok((convert::count(row, 4)?, escrow(row)?)));
        let mut found = found.await?;
        let kept = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_cut = found.len() > kept;
        found.truncate(kept);
        let next = found.last().map(|(place, _)| *place).filter(|_| is_cut);
        Ok(EscrowPage { rows: found.into_iter().map(|(_, row)| row).collect(), next })
    }

    async fn open_escrows(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let query = "SELECT state, count(*) FROM escrows \
             WHERE state IN ('created', 'funded', 'locked', 'delivered', 'disputed') GROUP BY state";
        let counted = |row: &Row| {
            let state: &str = plain(row, 0)?;
            let word = EscrowState::word_of(state);
            let word = word.ok_or_else(|| malformed(0, stored::unknown_state(state)))?;
            Ok((word, convert::count(row, 1)?))
        };
        self.rows(query, &[], counted).await
    }

    async fn due_escrows(&self, now: UnixMillis, limit: u32) -> Result<Vec<DueEscrow>, StoreError> {
        let query =
            "SELECT id, due FROM escrows WHERE due IS NOT NULL AND due <= $1 ORDER BY due, seq LIMIT $2";
        let parameters: &[(&(dyn ToSql + Sync), Type)] =
            &[(&millis(now), Type::INT8), (&i64::from(limit), Type::INT8)];
        self.rows(query, parameters, |row| Ok((convert::id(row, 0)?, convert::moment(row, 1)?))).await
    }
}
