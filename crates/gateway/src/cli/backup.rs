//! `tollgate backup` and `tollgate restore`: a data directory as a folder of checked files, and its way back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use tollgate_store::{Options, Store};
use tollgate_till::backup::{self, Manifest};

use super::Out;
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
    /// Print the manifest as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn backup(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let BackupArgs { into, data, json } = args;
    let made = tokio::task::spawn_blocking(move || backup::create(&data, &into, clock::now())).await?;
    say("backed up", &made?, json)
}

pub(crate) async fn restore(args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let RestoreArgs { from, data, json } = args;
    let runtime = tokio::runtime::Handle::current();
    let restoring = move || {
        backup::restore(&from, &data, |staging| runtime.block_on(check(staging)))
            .with_context(|| format!("{} was not made", data.display()))
    };
    let manifest = tokio::task::spawn_blocking(restoring).await??;
    let said = say("restored", &manifest, json)?;
    Out::note(
        "Calls that were open at the backup are kept as in doubt at the next start. Payments made after the backup are not known here: see docs/guides/backup.md.",
    );
    Ok(said)
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
