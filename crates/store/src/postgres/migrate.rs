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
    include_str!("../schema/postgres_9.sql"),
    include_str!("../schema/postgres_10.sql"),
    include_str!("../schema/postgres_11.sql"),
];

/// Only one process migrates at a time: the key of a lock that ends with the transaction.
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"TollGate");

/// Keeps the tables as they are until the transaction ends, and waits for whoever is changing them. Whoever reads them may.
pub(super) const KEEP: &str = "LOCK TABLE schema_version IN ACCESS SHARE MODE";
/// Waits for everybody who keeps the tables as they are.
const CHANGE: &str = "LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE";

/// Brings the tables up to date; only the owner, a gateway, changes any. All or nothing.
pub(super) async fn migrate(client: &Client, url: &DatabaseUrl, opener: Opener) -> Result<(), OpenError> {
    client.batch_execute("BEGIN").await.map_err(failed(url))?;
    let migrated = migrate_locked(client, url, opener).await;
    let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(failed(url));
    migrated.and(ended)
}

async fn migrate_locked(client: &Client, url: &DatabaseUrl, opener: Opener) -> Result<(), OpenError> {
    lock(client, url).await?;
    let (found, known) = (version(client, url).await?, known());
    if found == known {
        return Ok(());
    }
    if found > known {
        return Err(OpenError::NewerDatabase { database: url.to_string(), found, known });
    }
    if opener == Opener::Guest && found != 0 {
        return Err(OpenError::OlderDatabase { database: url.to_string(), found, known });
    }
    if found == 0 { make(client, url, known).await } else { bring(client, url, found, known).await }
}

/// Waits until no other process makes or changes tables, and keeps all others from it until the transaction ends.
pub(super) async fn lock(client: &Client, url: &DatabaseUrl) -> Result<(), OpenError> {
    let locked = client.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await;
    locked.map(|_| ()).map_err(failed(url))
}

/// The newest version of the tables.
pub(super) fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Makes the tables where there are none, as they are in a version.
pub(super) async fn make(client: &Client, url: &DatabaseUrl, version: u32) -> Result<(), OpenError> {
    let first = "CREATE SCHEMA tollgate; SET search_path = tollgate; CREATE TABLE schema_version (version bigint NOT NULL); \
         INSERT INTO schema_version VALUES (0)";
    client.batch_execute(first).await.map_err(failed(url))?;
    bring(client, url, 0, version).await
}

/// Brings the tables from one version to another that is not older, inside an open transaction.
pub(super) async fn bring(client: &Client, url: &DatabaseUrl, from: u32, to: u32) -> Result<(), OpenError> {
    client.batch_execute(CHANGE).await.map_err(failed(url))?;
    let [from, past] = [from, to].map(|version| usize::try_from(version).unwrap_or(usize::MAX));
    for migration in MIGRATIONS.iter().take(past).skip(from) {
        client.batch_execute(migration).await.map_err(failed(url))?;
    }
    let update = "UPDATE schema_version SET version = $1";
    client.execute(update, &[&i64::from(to)]).await.map(|_| ()).map_err(failed(url))
}

fn failed(url: &DatabaseUrl) -> impl Fn(tokio_postgres::Error) -> OpenError {
    let database = url.to_string();
    move |error| OpenError::Database {
        step: "prepare the tables in",
        database: database.clone(),
        reason: described(&error),
    }
}

/// The version of the tables; 0 where there are none. A schema of this name that is somebody else's is refused.
pub(super) async fn version(client: &Client, url: &DatabaseUrl) -> Result<u32, OpenError> {
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
