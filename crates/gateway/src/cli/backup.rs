//! `tollgate backup` and `tollgate restore`: a data directory, and books that are in PostgreSQL, as a folder of checked files; and
//! their way back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use tokio::runtime::Handle;
use tollgate_store::{DatabaseUrl, Options, Store, copy_books, write_books};
use tollgate_till::backup::{self, BOOKS, Manifest};
use tollgate_till::ledger_is_in;

use super::Out;
use super::books::{DATABASE_URL, database, named_database};
use crate::clock;

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The folder to make; it must not be there, or be empty.
    #[arg(value_name = "DIR")]
    into: PathBuf,
    /// The data directory; a gateway may be using it.
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    data: PathBuf,
    /// Print the manifest as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The folder that `tollgate backup` made.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The data directory to make; it must not be there, or be empty.
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    data: PathBuf,
    /// Of books in PostgreSQL, which several gateways share: leave the database alone, it holds them already.
    #[arg(long)]
    directory_only: bool,
    /// Print the manifest as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn backup(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let BackupArgs { into, data, json } = args;
    let database = database(&data)?;
    let runtime = Handle::current();
    let copying = move || match database {
        None => anyhow::Ok(backup::create(&data, &into, clock::now())?),
        Some(database) => backup::create_with(&data, &into, clock::now(), |books| {
            anyhow::Ok(runtime.block_on(copy_books(&database, books))?)
        }),
    };
    let made = tokio::task::spawn_blocking(copying).await??;
    say("backed up", &made, json)
}

pub(crate) async fn restore(args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let RestoreArgs { from, data, directory_only, json } = args;
    let books = Books { database: named_database()?, is_there: directory_only };
    let runtime = Handle::current();
    let restoring = move || {
        backup::restore(&from, &data, |staging| runtime.block_on(books.restore(staging)))
            .with_context(|| format!("{} was not made", data.display()))
    };
    let manifest = tokio::task::spawn_blocking(restoring).await??;
    let said = say("restored", &manifest, json)?;
    Out::note(
        "Calls that were open at the backup are kept as in doubt at the next start. Payments made after the backup are not known here: see docs/guides/backup.md.",
    );
    Ok(said)
}

/// Where the books of a backup belong.
struct Books {
    database: Option<DatabaseUrl>,
    /// Whether they are in the database already.
    is_there: bool,
}

impl Books {
    /// Has the books checked, and writes those of a database into it; it is the last step before the directory is put in place.
    async fn restore(self, staging: &Path) -> anyhow::Result<()> {
        let copy = staging.join(BOOKS);
        match self.database {
            None if copy.is_file() => {
                bail!("the books of this backup were in PostgreSQL: name an empty database in {DATABASE_URL}")
            }
            None => check(staging).await,
            Some(database) if !copy.is_file() => {
                bail!(
                    "the books of this backup are a file, and {DATABASE_URL} names {database}: restore without it, and serve without it"
                )
            }
            Some(database) => {
                // The directory stays with these books, from before its first start on.
                ledger_is_in(staging, &database).context("write down where the ledger is")?;
                if !self.is_there {
                    write_books(&copy, &database).await?;
                }
                // The data directory has no books of its own.
                std::fs::remove_file(&copy).with_context(|| format!("remove {}", copy.display()))
            }
        }
    }
}

/// The whole `ledger check`, before anything is put in place.
async fn check(staging: &Path) -> anyhow::Result<()> {
    let findings = match Store::open_shared(staging, Options::default()) {
        Ok(store) => store.check().await?,
        // Only the gateway migrates.
        Err(tollgate_store::OpenError::OlderSchema { .. }) => {
            Out::note(
                "the ledger is of an older version: start the gateway once, then run `tollgate ledger check`",
            );
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if findings.is_empty() {
        return Ok(());
    }
    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    bail!("the books of the backup are not in order: {}", findings.join("; "))
}

fn say(what: &str, manifest: &Manifest, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        Out::line(&json!(manifest).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    for file in &manifest.files {
        let schema = file.schema.map(|version| format!("  schema {version}")).unwrap_or_default();
        Out::line(&format!(
            "{what}  {:<16} {:>12} bytes  sha256 {}{schema}",
            file.name, file.bytes, file.sha256
        ));
    }
    Ok(ExitCode::SUCCESS)
}
