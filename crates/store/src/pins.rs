//! Pins of tool definitions: rows as `tollgate_registry` decides them, inside the writer's transaction, so that an
//! approval by another process is never overwritten by what this one remembered.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tollgate_domain::{Digest, ServerName, ToolRef, UnixMillis};
use tollgate_registry::{
    Approval, Approver, Definition, Observed, Pending, Pin, PinPolicy, PinRecord, Sighting, Standing,
    approve, observe,
};

use crate::convert::{self, malformed, millis};
use crate::ledger::LedgerSession;
use crate::writer::{Batch, Failure};

/// How many tools of one server are remembered: a server that lists ever new names does not fill the disk.
pub const PINS_PER_SERVER_MAX: u32 = 10_000;

/// A stored approver that is none.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} approves nothing")]
struct ApproverError(String);

macro_rules! pins {
    ($tail:literal) => {
        concat!(
            "SELECT server, tool, approved, definition, approved_at, approved_by, pending, proposed, since FROM pins ",
            $tail
        )
    };
}

fn record(row: &Row<'_>) -> rusqlite::Result<PinRecord> {
    let tool = ToolRef { server: convert::text(row, 0)?, tool: convert::text(row, 1)? };
    let approved = match definition(row, 2, 3)? {
        None => None,
        Some(definition) => {
            let word: String = row.get(5)?;
            let by = Approver::of_word(&word);
            let by = by.ok_or_else(|| malformed(5, Type::Text, ApproverError(word)))?;
            Some(Pin { definition, at: convert::moment(row, 4)?, by })
        }
    };
    let pending = match definition(row, 6, 7)? {
        None => None,
        Some(definition) => Some(Pending { definition, since: convert::moment(row, 8)? }),
    };
    Ok(PinRecord { tool, approved, pending })
}

/// A definition is only believed with its hash: a file that was touched does not change what was approved.
fn definition(row: &Row<'_>, hash: usize, text: usize) -> rusqlite::Result<Option<Definition>> {
    let Some(bytes) = row.get::<_, Option<[u8; 32]>>(hash)? else { return Ok(None) };
    let stored = Definition::stored(row.get_ref(text)?.as_str()?, Digest::from_bytes(bytes));
    stored.map(Some).map_err(|error| malformed(text, Type::Text, error))
}

/// Every pin, by server and tool.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<PinRecord>> {
    connection.prepare_cached(pins!("ORDER BY server, tool"))?.query_map([], record)?.collect()
}

fn of(connection: &Connection, tool: &ToolRef) -> rusqlite::Result<Option<PinRecord>> {
    let mut found = connection.prepare_cached(pins!("WHERE server = ?1 AND tool = ?2"))?;
    found.query_row(params![tool.server.as_str(), tool.tool.as_str()], record).optional()
}

fn count(connection: &Connection, server: &ServerName) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT count(*) FROM pins WHERE server = ?1")?
        .query_row(params![server.as_str()], |row| convert::small_count(row, 0))
}

/// How often the pins have changed, whichever process changed them.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT version FROM pins_version WHERE one = 1")?
        .query_row([], |row| convert::count(row, 0))
}

fn write(connection: &Connection, record: &PinRecord) -> rusqlite::Result<()> {
    let PinRecord { tool, approved, pending } = record;
    connection
        .prepare_cached(
            "INSERT INTO pins (server, tool, approved, definition, approved_at, approved_by, pending, proposed, since) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (server, tool) DO UPDATE SET \
             approved = excluded.approved, definition = excluded.definition, approved_at = excluded.approved_at, \
             approved_by = excluded.approved_by, pending = excluded.pending, proposed = excluded.proposed, \
             since = excluded.since",
        )?
        .execute(params![
            tool.server.as_str(),
            tool.tool.as_str(),
            approved.as_ref().map(|pin| *pin.definition.hash().as_bytes()),
            approved.as_ref().map(|pin| pin.definition.text()),
            approved.as_ref().map(|pin| millis(pin.at)),
            approved.as_ref().map(|pin| pin.by.word()),
            pending.as_ref().map(|pending| *pending.definition.hash().as_bytes()),
            pending.as_ref().map(|pending| pending.definition.text()),
            pending.as_ref().map(|pending| millis(pending.since)),
        ])?;
    connection.prepare_cached("UPDATE pins_version SET version = version + 1 WHERE one = 1")?.execute([])?;
    Ok(())
}

impl Batch<'_, LedgerSession> {
    /// What one server says now, against what the rows say now; in the order of the sightings.
    pub(crate) fn observe_pins(
        &mut self,
        sightings: &[Sighting],
        policy: PinPolicy,
        now: UnixMillis,
    ) -> Result<Vec<Observed>, Failure> {
        let Some(first) = sightings.first() else { return Ok(Vec::new()) };
        let mut room = PINS_PER_SERVER_MAX.saturating_sub(count(self.connection, &first.tool.server)?);
        let mut observed = Vec::with_capacity(sightings.len());
        for sighting in sightings {
            let known = of(self.connection, &sighting.tool)?;
            let mut found = observe(known.as_ref(), sighting, policy, now);
            match (&known, room) {
                // What cannot be remembered cannot be compared later: it is not trusted either.
                (None, 0) => found.standing = Standing::Unapproved,
                (None, _) => {
                    room = room.saturating_sub(1);
                    write(self.connection, &found.record)?;
                }
                (Some(known), _) if *known != found.record => write(self.connection, &found.record)?,
                (Some(_), _) => {}
            }
            observed.push(found);
        }
        Ok(observed)
    }

    /// Approves the definition with this hash, if that is still what waits.
    pub(crate) fn approve_pin(
        &mut self,
        tool: &ToolRef,
        hash: Digest,
        now: UnixMillis,
    ) -> Result<Option<Approval>, Failure> {
        let Some(known) = of(self.connection, tool)? else { return Ok(None) };
        let approval = approve(&known, hash, now);
        if let Approval::Given(record) = &approval {
            write(self.connection, record)?;
        }
        Ok(Some(approval))
    }
}
