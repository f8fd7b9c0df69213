//! API keys: who may name itself, and by which secret. Holds digests of secrets, never a secret.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tollgate_domain::{Digest, KeyId, KyaTier, Labels, UnixMillis};
use tollgate_ledger::StoreError;

use crate::convert::{self, millis};
use crate::ledger::LedgerSession;
use crate::writer::{Batch, Failure};

/// A key to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKey {
    /// Its id: the caller's name from now on.
    pub id: KeyId,
    /// What the operator calls it.
    pub name: String,
    /// The SHA-256 digest of its secret.
    pub hash: Digest,
    /// How far the operator verified who will hold it.
    pub tier: KyaTier,
    /// To what its holder belongs.
    pub labels: Labels,
    /// Now.
    pub now: UnixMillis,
}

/// A key as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// What the operator calls it.
    pub name: String,
    /// The SHA-256 digest of its secret.
    pub hash: Digest,
    /// How far the operator verified who holds it.
    pub tier: KyaTier,
    /// To what its holder belongs.
    pub labels: Labels,
    /// When it was created.
    pub created: UnixMillis,
    /// When it was taken back, if it was. A revoked key stays known, so that its holder is told so.
    pub revoked: Option<UnixMillis>,
}

const TIERS: [KyaTier; 3] = [KyaTier::Sandbox, KyaTier::Organizational, KyaTier::Auditable];

/// The tier of this level.
pub(crate) fn tier_of(level: u8) -> Option<KyaTier> {
    TIERS.into_iter().find(|tier| tier.level() == level)
}

/// A stored tier that is none.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no KYA tier")]
struct TierError(u8);

macro_rules! keys {
    ($tail:literal) => {
        concat!("SELECT id, name, hash, tier, created, revoked, labels FROM api_keys ", $tail)
    };
}

fn key(row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    let level: u8 = row.get(3)?;
    let tier = tier_of(level);
    Ok(KeyRecord {
        id: convert::id(row, 0)?,
        name: row.get(1)?,
        hash: convert::digest(row, 2)?,
        tier: tier.ok_or_else(|| convert::malformed(3, Type::Integer, TierError(level)))?,
        created: convert::moment(row, 4)?,
        revoked: convert::optional_moment(row, 5)?,
        labels: convert::text(row, 6)?,
    })
}

/// Every key, oldest first.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<KeyRecord>> {
    connection.prepare_cached(keys!("ORDER BY id"))?.query_map([], key)?.collect()
}

/// The key whose secret has this digest; revoked ones too.
pub(crate) fn by_hash(connection: &Connection, hash: &Digest) -> rusqlite::Result<Option<KeyRecord>> {
    connection.prepare_cached(keys!("WHERE hash = ?1"))?.query_row(params![hash.as_bytes()], key).optional()
}

fn by_id(connection: &Connection, id: &KeyId) -> rusqlite::Result<Option<KeyRecord>> {
    connection.prepare_cached(keys!("WHERE id = ?1"))?.query_row(params![id.as_bytes()], key).optional()
}

/// How often the keys have changed, whichever process changed them.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT version FROM api_keys_version WHERE one = 1")?
        .query_row([], |row| convert::count(row, 0))
}

fn changed(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE api_keys_version SET version = version + 1 WHERE one = 1")?
        .execute([])?;
    Ok(())
}

impl Batch<'_, LedgerSession> {
    pub(crate) fn create_key(&mut self, new: &NewKey) -> Result<KeyRecord, Failure> {
        if by_hash(self.connection, &new.hash)?.is_some() || by_id(self.connection, &new.id)?.is_some() {
            let reason = "an API key with this id or secret is there already".to_owned();
            return Err(Failure::Refused(StoreError::Definite(reason)));
        }
        self.connection
            .prepare_cached(
                "INSERT INTO api_keys (id, name, hash, tier, created, labels) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                new.id.as_bytes(),
                new.name,
                new.hash.as_bytes(),
                new.tier.level(),
                millis(new.now),
                new.labels.to_string(),
            ])?;
        changed(self.connection)?;
        let NewKey { id, name, hash, tier, labels, now } = new.clone();
        Ok(KeyRecord { id, name, hash, tier, labels, created: now, revoked: None })
    }

    /// Revoking twice keeps the first moment.
    pub(crate) fn revoke_key(&mut self, id: &KeyId, now: UnixMillis) -> Result<Option<KeyRecord>, Failure> {
        let revoked = self
            .connection
            .prepare_cached("UPDATE api_keys SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL")?
            .execute(params![id.as_bytes(), millis(now)])?;
        if revoked > 0 {
            changed(self.connection)?;
        }
        Ok(by_id(self.connection, id)?)
    }
}
