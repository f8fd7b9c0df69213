//! What an operator changes while a gateway runs: admin keys, the changes over the configuration file, and the audit of both
//! in the same transaction. A file of its own: nothing here stands in the way of a paid call.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};
use tollgate_domain::{AdminKeyId, Digest, UnixMillis};
use tollgate_ledger::StoreError;

use crate::convert::{self, integer, millis};
use crate::database::{self, Kept, Opener, Schema};
use crate::open::{OpenError, Options};
use crate::readers::Readers;
use crate::writer::{Batch, Failure, Hooks, Session, Writer};

/// The file.
pub(crate) static CONTROL: Schema = Schema {
    file: "control.db",
    application_id: i32::from_be_bytes(*b"TGct"),
    migrations: &[include_str!("schema/control_1.sql")],
    kept: Kept::OverPowerCut,
    redo: None,
};

/// An admin key as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminKeyRecord {
    /// Its id.
    pub id: AdminKeyId,
    /// What the operator calls it.
    pub name: String,
    /// The SHA-256 digest of its secret.
    pub hash: Digest,
    /// When it was made.
    pub created: UnixMillis,
    /// When it was taken back, if it was.
    pub revoked: Option<UnixMillis>,
}

/// The changes over the configuration file, as a text that means nothing here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredOverlay {
    /// Grows with every change.
    pub version: u64,
    /// The changes.
    pub text: String,
}

/// What is written down of a change; texts are JSON, without secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRecord {
    /// When.
    pub at: UnixMillis,
    /// Whose key; `None`: the configuration file was changed.
    pub admin: Option<AdminKeyId>,
    /// What was done: a word.
    pub what: String,
    /// To what.
    pub target: String,
    /// What was there before.
    pub before: String,
    /// What is there now.
    pub after: String,
}

/// A record in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Its place, from 1, without gaps.
    pub seq: u64,
    /// The record.
    pub record: AuditRecord,
}

/// The writer remembers nothing between transactions.
#[derive(Debug, Default)]
struct ControlSession;

impl Session for ControlSession {
    fn begin(&mut self, _connection: &Connection, _is_first: bool) -> rusqlite::Result<()> {
        Ok(())
    }

    fn flush(&mut self, _connection: &Connection) -> Result<(), Failure> {
        Ok(())
    }

    fn committed(&mut self) {}
}

/// Admin keys, changes over the configuration file, and their audit. Clones share the file.
#[derive(Clone, Debug)]
pub struct ControlStore {
    file: Arc<ControlFile>,
}

#[derive(Debug)]
struct ControlFile {
    writer: Arc<Writer<ControlSession>>,
    readers: Readers<ControlSession>,
}

impl ControlStore {
    /// Opens or makes the file in `directory`, which [`crate::Store::open`] keeps from other gateways.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::start(directory, Opener::Owner)
    }

    /// Opens the file beside a gateway that may be running, for a short operation such as a new key.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub fn open_shared(directory: &Path) -> Result<Self, OpenError> {
        Self::start(directory, Opener::Guest)
    }

    fn start(directory: &Path, opener: Opener) -> Result<Self, OpenError> {
        database::make_directory(directory)?;
        let connection = CONTROL.open(directory, opener)?;
        let waiting = Options::default().queue_commands_max;
        let writer =
            Writer::start("control-writer", connection, ControlSession, None, waiting, Hooks::default());
        let writer = Arc::new(writer.map_err(OpenError::Thread)?);
        let readers = Readers::new(&CONTROL, directory.to_owned(), Arc::clone(&writer));
        Ok(Self { file: Arc::new(ControlFile { writer, readers }) })
    }

    /// Every admin key, oldest first, revoked ones included.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub async fn admin_keys(&self) -> Result<Vec<AdminKeyRecord>, StoreError> {
        self.file.readers.read(keys).await
    }

    /// Adds an admin key, and writes that down.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write.
    pub async fn create_admin_key(&self, new: AdminKeyRecord, record: AuditRecord) -> Result<(), StoreError> {
        self.file.writer.write(move |batch| batch.create_key(&new, &record)).await
    }

    /// Takes an admin key back, and writes that down; whether there is one with this id. Revoking twice keeps the first
    /// moment.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write.
    pub async fn revoke_admin_key(&self, id: AdminKeyId, record: AuditRecord) -> Result<bool, StoreError> {
        self.file.writer.write(move |batch| batch.revoke_key(&id, &record)).await
    }

    /// The changes over the configuration file.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub async fn overlay(&self) -> Result<StoredOverlay, StoreError> {
        self.file.readers.read(overlay).await
    }

    /// Puts `text` in place of the changes of this version, and writes down what that changes: both or nothing. `false`: the
    /// version is another one, nothing was done.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write.
    pub async fn change(&self, version: u64, text: String, record: AuditRecord) -> Result<bool, StoreError> {
        self.file.writer.write(move |batch| batch.change(version, &text, &record)).await
    }

    /// Writes down what was changed elsewhere.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write.
    pub async fn record(&self, record: AuditRecord) -> Result<(), StoreError> {
        self.file.writer.write(move |batch| Ok(batch.append(&record)?)).await
    }

    /// Records of the audit, the latest first; those before `before` only, if it is given.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub async fn audit(&self, before: Option<u64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let before = before.map_or(i64::MAX, integer);
        self.file.readers.read(move |connection| audit(connection, before, limit)).await
    }
}

fn keys(connection: &Connection) -> rusqlite::Result<Vec<AdminKeyRecord>> {
    let mut found =
        connection.prepare_cached("SELECT id, name, hash, created, revoked FROM admin_keys ORDER BY id")?;
    let key = |row: &Row<'_>| {
        Ok(AdminKeyRecord {
            id: convert::id(row, 0)?,
            name: row.get(1)?,
            hash: convert::digest(row, 2)?,
            created: convert::moment(row, 3)?,
            revoked: convert::optional_moment(row, 4)?,
        })
    };
    found.query_map([], key)?.collect()
}

fn overlay(connection: &Connection) -> rusqlite::Result<StoredOverlay> {
    let mut found = connection.prepare_cached("SELECT version, text FROM overlay WHERE one = 1")?;
    found.query_row([], |row| Ok(StoredOverlay { version: convert::count(row, 0)?, text: row.get(1)? }))
}

fn audit(connection: &Connection, before: i64, limit: u32) -> rusqlite::Result<Vec<AuditEntry>> {
    let mut found = connection.prepare_cached(
        "SELECT seq, at, admin, what, target, before, after FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let entry = |row: &Row<'_>| {
        let record = AuditRecord {
            at: convert::moment(row, 1)?,
            admin: convert::optional_id(row, 2)?,
            what: row.get(3)?,
            target: row.get(4)?,
            before: row.get(5)?,
            after: row.get(6)?,
        };
        Ok(AuditEntry { seq: convert::count(row, 0)?, record })
    };
    found.query_map(params![before, limit], entry)?.collect()
}

impl Batch<'_, ControlSession> {
    fn create_key(&mut self, new: &AdminKeyRecord, record: &AuditRecord) -> Result<(), Failure> {
        let AdminKeyRecord { id, name, hash, created, .. } = new;
        self.connection
            .prepare_cached("INSERT INTO admin_keys (id, name, hash, created) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id.as_bytes(), name, hash.as_bytes(), millis(*created)])?;
        Ok(self.append(record)?)
    }

    fn revoke_key(&mut self, id: &AdminKeyId, record: &AuditRecord) -> Result<bool, Failure> {
        let revoked = self
            .connection
            .prepare_cached("UPDATE admin_keys SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL")?
            .execute(params![id.as_bytes(), millis(record.at)])?;
        if revoked > 0 {
            self.append(record)?;
        }
        Ok(keys(self.connection)?.iter().any(|key| key.id == *id))
    }

    fn change(&mut self, version: u64, text: &str, record: &AuditRecord) -> Result<bool, Failure> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE overlay SET version = version + 1, text = ?2 WHERE one = 1 AND version = ?1",
            )?
            .execute(params![integer(version), text])?;
        if changed > 0 {
            self.append(record)?;
        }
        Ok(changed > 0)
    }

    fn append(&mut self, record: &AuditRecord) -> rusqlite::Result<()> {
        let AuditRecord { at, admin, what, target, before, after } = record;
        self.connection
            .prepare_cached(
                "INSERT INTO audit (at, admin, what, target, before, after) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![millis(*at), admin.map(|id| *id.as_bytes()), what, target, before, after])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
