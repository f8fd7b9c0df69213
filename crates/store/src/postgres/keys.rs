//! API keys in the database: a key that was made or revoked by any process counts for all gateways.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use tollgate_domain::{Digest, KeyId, UnixMillis};
use tollgate_ledger::StoreError;

use super::PostgresStore;
use super::convert::{self, ReadError, malformed, plain};
use crate::convert::millis;
use crate::keys::{KeyRecord, NewKey, tier_of};

macro_rules! keys {
    ($tail:literal) => {
        concat!("SELECT id, name, hash, tier, created, revoked, labels FROM api_keys ", $tail)
    };
}

/// The change is seen by whoever compares versions: both in one statement.
macro_rules! changed {
    ($change:literal) => {
        concat!(
            "WITH changed AS (",
            $change,
            " RETURNING id) UPDATE versions SET version = version + 1 WHERE of = 'api_keys' AND EXISTS (SELECT 1 FROM changed)"
        )
    };
}

fn key(row: &Row) -> Result<KeyRecord, ReadError> {
    let tier: i32 = plain(row, 3)?;
    let known = u8::try_from(tier).ok().and_then(tier_of);
    Ok(KeyRecord {
        id: convert::id(row, 0)?,
        name: plain(row, 1)?,
        hash: convert::digest(row, 2)?,
        tier: known.ok_or_else(|| malformed(3, format_args!("{tier} is no KYA tier")))?,
        created: convert::moment(row, 4)?,
        revoked: convert::optional_moment(row, 5)?,
        labels: convert::text(row, 6)?,
    })
}

/// Whether the key was added; `false` when its id or secret is there already.
async fn insert(client: &Client, new: &NewKey) -> Result<bool, ReadError> {
    let NewKey { id, name, hash, tier, labels, now } = new;
    let insert = changed!(
        "INSERT INTO api_keys (id, name, hash, tier, created, labels) VALUES ($1, $2, $3, $4, $5, $6)"
    );
    let parameters: &[(&(dyn ToSql + Sync), Type)] = &[
        (&id.as_bytes().as_slice(), Type::BYTEA),
        (name, Type::TEXT),
        (&hash.as_bytes().as_slice(), Type::BYTEA),
        (&i32::from(tier.level()), Type::INT4),
        (&millis(*now), Type::INT8),
        (&labels.to_string(), Type::TEXT),
    ];
    match client.execute_typed(insert, parameters).await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl PostgresStore {
    pub(crate) async fn create_key(&self, new: NewKey) -> Result<KeyRecord, StoreError> {
        if self.readers.with_patience(async |client| insert(client, &new).await).await? {
            let NewKey { id, name, hash, tier, labels, now } = new;
            return Ok(KeyRecord { id, name, hash, tier, labels, created: now, revoked: None });
        }
        Err(StoreError::Definite("an API key with this id or secret is there already".to_owned()))
    }

    pub(crate) async fn revoke_key(
        &self,
        id: KeyId,
        now: UnixMillis,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let revoke = changed!("UPDATE api_keys SET revoked = $2 WHERE id = $1 AND revoked IS NULL");
        let (bytes, now) = (id.as_bytes().as_slice(), millis(now));
        let revoked = self.readers.with_patience(async |client| {
            client.execute_typed(revoke, &[(&bytes, Type::BYTEA), (&now, Type::INT8)]).await?;
            let found = client.query_typed(keys!("WHERE id = $1"), &[(&bytes, Type::BYTEA)]).await?;
            found.first().map(key).transpose()
        });
        revoked.await
    }

    pub(crate) async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.rows(keys!("ORDER BY id"), &[], key).await
    }

    pub(crate) async fn key_by_hash(&self, hash: Digest) -> Result<Option<KeyRecord>, StoreError> {
        self.row(keys!("WHERE hash = $1"), &[(&hash.as_bytes().as_slice(), Type::BYTEA)], key).await
    }

    pub(crate) async fn keys_version(&self) -> Result<u64, StoreError> {
        let query = "SELECT version FROM versions WHERE of = 'api_keys'";
        Ok(self.row(query, &[], |row| convert::count(row, 0)).await?.unwrap_or_default())
    }
}
