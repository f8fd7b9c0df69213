//! Pins of tool definitions in the database: rows as `tollgate_registry` decides them, one process at a time.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use tollgate_domain::{Digest, ServerName, ToolRef, UnixMillis};
use tollgate_ledger::StoreError;
use tollgate_registry::{
    Approval, Approver, Definition, Observed, Pending, Pin, PinPolicy, PinRecord, Sighting, Standing,
    approve, observe,
};

use super::PostgresStore;
use super::convert::{self, ReadError, malformed, plain};
use crate::convert::millis;
use crate::pins::PINS_PER_SERVER_MAX;

macro_rules! pins {
    ($tail:literal) => {
        concat!(
            "SELECT server, tool, approved, definition, approved_at, approved_by, pending, proposed, since FROM pins ",
            $tail
        )
    };
}

fn record(row: &Row) -> Result<PinRecord, ReadError> {
    let tool = ToolRef { server: convert::text(row, 0)?, tool: convert::text(row, 1)? };
    let approved = match definition(row, 2, 3)? {
        None => None,
        Some(definition) => {
            let word: &str = plain(row, 5)?;
            let by = Approver::of_word(word);
            let by = by.ok_or_else(|| malformed(5, format_args!("{word:?} approves nothing")))?;
            Some(Pin { definition, at: convert::moment(row, 4)?, by })
        }
    };
    let pending = match definition(row, 6, 7)? {
        None => None,
        Some(definition) => Some(Pending { definition, since: convert::moment(row, 8)? }),
    };
    Ok(PinRecord { tool, approved, pending })
}

/// A definition is only believed with its hash: a row that was touched does not change what was approved.
fn definition(row: &Row, hash: usize, text: usize) -> Result<Option<Definition>, ReadError> {
    let Some(bytes) = convert::optional_bytes(row, hash)? else { return Ok(None) };
    let stored = Definition::stored(plain(row, text)?, Digest::from_bytes(bytes));
    stored.map(Some).map_err(|error| malformed(text, error))
}

async fn of(client: &Client, tool: &ToolRef) -> Result<Option<PinRecord>, ReadError> {
    let (server, name) = (tool.server.as_str(), tool.tool.as_str());
    let query = pins!("WHERE server = $1 AND tool = $2");
    let found = client.query_typed(query, &[(&server, Type::TEXT), (&name, Type::TEXT)]).await?;
    found.first().map(record).transpose()
}

async fn count(client: &Client, server: &ServerName) -> Result<u32, ReadError> {
    let query = "SELECT count(*) FROM pins WHERE server = $1";
    let row = client.query_typed_one(query, &[(&server.as_str(), Type::TEXT)]).await?;
    convert::small_count(&row, 0)
}

async fn write(client: &Client, record: &PinRecord) -> Result<(), ReadError> {
    let PinRecord { tool, approved, pending } = record;
    let write = "INSERT INTO pins (server, tool, approved, definition, approved_at, approved_by, pending, proposed, since) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (server, tool) DO UPDATE SET approved = excluded.approved, \
         definition = excluded.definition, approved_at = excluded.approved_at, approved_by = excluded.approved_by, \
         pending = excluded.pending, proposed = excluded.proposed, since = excluded.since";
    let approved_hash = approved.as_ref().map(|pin| pin.definition.hash());
    let pending_hash = pending.as_ref().map(|pending| pending.definition.hash());
    let parameters: &[(&(dyn ToSql + Sync), Type)] = &[
        (&tool.server.as_str(), Type::TEXT),
        (&tool.tool.as_str(), Type::TEXT),
        (&approved_hash.as_ref().map(|hash| hash.as_bytes().as_slice()), Type::BYTEA),
        (&approved.as_ref().map(|pin| pin.definition.text()), Type::TEXT),
        (&approved.as_ref().map(|pin| millis(pin.at)), Type::INT8),
        (&approved.as_ref().map(|pin| pin.by.word()), Type::TEXT),
        (&pending_hash.as_ref().map(|hash| hash.as_bytes().as_slice()), Type::BYTEA),
        (&pending.as_ref().map(|pending| pending.definition.text()), Type::TEXT),
        (&pending.as_ref().map(|pending| millis(pending.since)), Type::INT8),
    ];
    client.execute_typed(write, parameters).await?;
    client.execute("UPDATE versions SET version = version + 1 WHERE of = 'pins'", &[]).await?;
    Ok(())
}

/// What one server says now, against what the rows say now.
async fn observe_all(
    client: &Client,
    server: &ServerName,
    sightings: &[Sighting],
    policy: PinPolicy,
    now: UnixMillis,
) -> Result<Vec<Observed>, ReadError> {
    let mut room = PINS_PER_SERVER_MAX.saturating_sub(count(client, server).await?);
    let mut observed = Vec::with_capacity(sightings.len());
    for sighting in sightings {
        let known = of(client, &sighting.tool).await?;
        let mut found = observe(known.as_ref(), sighting, policy, now);
        match (&known, room) {
            // What cannot be remembered cannot be compared later: it is not trusted either.
            (None, 0) => found.standing = Standing::Unapproved,
            (None, _) => {
                room = room.saturating_sub(1);
                write(client, &found.record).await?;
            }
            (Some(known), _) if *known != found.record => write(client, &found.record).await?,
            (Some(_), _) => {}
        }
        observed.push(found);
    }
    Ok(observed)
}

impl PostgresStore {
    /// Does `work` while no other process changes a pin. A connection whose work failed is not used again, which undoes it.
    async fn alone<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let done = self.readers.with_patience(async |client| {
            client.batch_execute("BEGIN; SELECT version FROM versions WHERE of = 'pins' FOR UPDATE").await?;
            let done = work(client).await?;
            client.batch_execute("COMMIT").await?;
            Ok(done)
        });
        done.await
    }

    pub(crate) async fn observe_pins(
        &self,
        sightings: Vec<Sighting>,
        policy: PinPolicy,
        now: UnixMillis,
    ) -> Result<Vec<Observed>, StoreError> {
        let Some(first) = sightings.first() else { return Ok(Vec::new()) };
        let server = &first.tool.server;
        self.alone(async |client| observe_all(client, server, &sightings, policy, now).await).await
    }

    pub(crate) async fn approve_pin(
        &self,
        tool: ToolRef,
        hash: Digest,
        now: UnixMillis,
    ) -> Result<Option<Approval>, StoreError> {
        let approved = self.alone(async |client| {
            let Some(known) = of(client, &tool).await? else { return Ok(None) };
            let approval = approve(&known, hash, now);
            if let Approval::Given(record) = &approval {
                write(client, record).await?;
            }
            Ok(Some(approval))
        });
        approved.await
    }

    pub(crate) async fn pins(&self) -> Result<Vec<PinRecord>, StoreError> {
        self.rows(pins!("ORDER BY server COLLATE \"C\", tool COLLATE \"C\""), &[], record).await
    }

    pub(crate) async fn pins_version(&self) -> Result<u64, StoreError> {
        let query = "SELECT version FROM versions WHERE of = 'pins'";
        Ok(self.row(query, &[], |row| convert::count(row, 0)).await?.unwrap_or_default())
    }
}
