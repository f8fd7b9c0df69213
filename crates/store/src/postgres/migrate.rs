//! The tables of the ledger in a database: made, brought up to date, or refused.

use tokio_postgres::Client;

use super::connect::described;
use super::url::DatabaseUrl;
use crate::database::Opener;
use crate::open::OpenError;

/// Every version of the schema, each from the one before it.
const MIGRATIONS: &[&str] = &[
    include_str!("../schema/postgres_1.sql"),
    include_str!("../schema/postgres_2.sql"),
    include_str!("../schema/postgres_3.sql"),
    include_str!("../schema/postgres_4.sql"),
    include_str!("../schema/postgres_5.sql"),
    include_str!("../schema/postgres_6.sql"),
    include_str!("../schema/postgres_7.sql"),
    include_str!("../schema/postgres_8.sql"),
];

/// Only one process migrates at a time: the key of a lock that ends with the transaction.
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"TollGate");

/// Brings the tables up to date; only the owner, a gateway, changes any. All or nothing.
pub(super) async fn migrate(client: &Client, url: &DatabaseUrl, opener: Opener) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::Database {
        step: "prepare the tables in",
        database: url.to_string(),
        reason: described(&error),
    };
    client.batch_execute("BEGIN").await.map_err(failed)?;
    let migrated = migrate_locked(client, url, opener).await;
    let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(failed);
    migrated.and(ended)
}

async fn migrate_locked(client: &Client, url: &DatabaseUrl, opener: Opener) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::Database {
        step: "prepare the tables in",
        database: url.to_string(),
        reason: described(&error),
    };
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await.map_err(failed)?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let found = version(client, url).await?;
    if found == known {
        return Ok(());
    }
    let database = url.to_string();
    if found > known {
        return Err(OpenError::NewerDatabase { database, found, known });
    }
    if opener == Opener::Guest && found != 0 {
        return Err(OpenError::OlderDatabase { database, found, known });
    }
    if found == 0 {
        let first = "CREATE SCHEMA tollgate; SET search_path = tollgate; CREATE TABLE schema_version (version bigint NOT NULL); \
             INSERT INTO schema_version VALUES (0)";
        client.batch_execute(first).await.map_err(failed)?;
    }
    let from = usize::try_from(found).unwrap_or(usize::MAX);
    for migration in MIGRATIONS.iter().skip(from) {
        client.batch_execute(migration).await.map_err(failed)?;
    }
    let update = "UPDATE schema_version SET version = $1";
    client.execute(update, &[&i64::from(known)]).await.map(|_| ()).map_err(failed)
}

/// The version of the tables; 0 where there are none. A schema of this name that is somebody else's is refused.
async fn version(client: &Client, url: &DatabaseUrl) -> Result<u32, OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::Database {
        step: "read the schema version of",
        database: url.to_string(),
        reason: described(&error),
    };
    let row = client
        .query_one(
            "SELECT to_regnamespace('tollgate') IS NOT NULL, to_regclass('tollgate.schema_version') IS NOT NULL",
            &[],
        )
        .await
        .map_err(failed)?;
    match (row.get(0), row.get(1)) {
        (false, _) => Ok(0),
        (true, false) => Err(OpenError::ForeignDatabase { database: url.to_string() }),
        (true, true) => {
            let row = client.query_one("SELECT version FROM schema_version", &[]).await.map_err(failed)?;
            let version: i64 = row.get(0);
            u32::try_from(version).map_err(|_| OpenError::ForeignDatabase { database: url.to_string() })
        }
    }
}
