//! The operator's view of the books: check, recent calls, credit. Works beside a running gateway.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use tollgate_domain::{Amount, AssetId, Assets, Caller, KeyId, TransferId};
use tollgate_ledger::{AccountBalance, Balances, Clearing, Grant, LedgerStore};
use tollgate_store::{DatabaseUrl, Options, Store, has_books};
use tollgate_till::ledger_elsewhere;

use super::budget::configured;
use super::{CreditCommand, DataArgs, FINDING, Out};
use crate::config::{Environment, Overrides, load};
use crate::telemetry::Checked;
use crate::{clock, dev};

/// The setting `database.url` in the environment.
pub(super) const DATABASE_URL: &str = "TOLLGATE__DATABASE__URL";

/// The database that the environment names.
pub(super) fn named_database() -> anyhow::Result<Option<DatabaseUrl>> {
    let environment = Environment::read(".".as_ref()).map_err(anyhow::Error::msg)?;
    environment.get(DATABASE_URL).map(|url| url.parse().context(DATABASE_URL)).transpose()
}

/// The database with the ledger of the gateway with this data directory; `None` where it is the file in it.
pub(super) fn database(data: &Path) -> anyhow::Result<Option<DatabaseUrl>> {
    if let Some(database) = named_database()? {
        return Ok(Some(database));
    }
    if !data.is_dir() {
        bail!("{} is no data directory; name it with --data, or start a gateway first", data.display());
    }
    if let Some(database) = ledger_elsewhere(data) {
        bail!("the ledger of this gateway is in {database}; name it in {DATABASE_URL}");
    }
    Ok(None)
}

/// The ledger of the gateway with this data directory: the file in it, or the database that the environment names. None is made: an empty
/// one in a folder, or a database, that was named by mistake would look like books in order.
pub(super) async fn open(args: &DataArgs) -> anyhow::Result<Store> {
    let named = named_database()?;
    if let Some(database) = &named
        && !has_books(database).await?
    {
        bail!("{database} holds no books; name another in {DATABASE_URL}, or start a gateway first");
    }
    if named.is_none() && args.data.is_dir() && ledger_elsewhere(&args.data).is_none() {
        let ledger = args.data.join("ledger.db");
        if !ledger.is_file() {
            bail!(
                "there is no {}; name the data directory with --data, or start a gateway first",
                ledger.display()
            );
        }
    }
    open_or_make(args).await
}

/// The same for a command that may be the first.
pub(super) async fn open_or_make(args: &DataArgs) -> anyhow::Result<Store> {
    if let Some(database) = database(&args.data)? {
        return Ok(Store::connect_shared(database, Options::default()).await?);
    }
    Store::open_shared(&args.data, Options::default())
        .with_context(|| format!("open {}", args.data.display()))
}

/// Where the assets are named in which amounts are shown.
#[derive(Debug, Args)]
pub(crate) struct AssetsArgs {
    /// The configuration whose assets amounts are shown in. Default: the assets of dev mode.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl AssetsArgs {
    /// The assets.
    pub(super) fn assets(&self) -> anyhow::Result<Assets> {
        assets(self.config.as_deref())
    }
}

/// The assets of a configuration, be it for `serve` or for `dev`; without one those of dev mode.
pub(super) fn assets(config: Option<&Path>) -> anyhow::Result<Assets> {
    match config {
        None => Ok(dev::assets()?),
        Some(_) => Ok(configured(config)?.1),
    }
}

pub(crate) async fn check(args: DataArgs) -> anyhow::Result<ExitCode> {
    let store = open(&args).await?;
    let findings = store.check().await?;
    let accounts = store.trial_balance().await?;
    if let Err(error) = Checked::of(&findings, clock::now()).keep(&args.data) {
        Out::note(&format!("the gateway's metrics will not show this check: {error}"));
    }
    let totals = totals(&accounts);
    if args.json {
        let rows: Vec<_> = accounts
            .iter()
            .map(|row| {
                json!({
                    "asset": row.asset, "account": row.account.to_string(),
                    "debits_posted": row.balances.debits_posted, "credits_posted": row.balances.credits_posted,
                    "debits_pending": row.balances.debits_pending, "credits_pending": row.balances.credits_pending,
                })
            })
            .collect();
        let totals: Vec<_> = totals
            .iter()
            .map(|(asset, [debits, credits, debits_pending, credits_pending])| {
                json!({
                    "asset": asset, "debits_posted": debits, "credits_posted": credits,
                    "debits_pending": debits_pending, "credits_pending": credits_pending,
                })
            })
            .collect();
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        let report =
            json!({ "ok": findings.is_empty(), "findings": findings, "accounts": rows, "totals": totals });
        Out::line(&report.to_string());
    } else {
        Out::line(&format!("{:<64} {:>16} {:>16}", "account", "debits", "credits"));
        for (asset, [debits, credits, ..]) in &totals {
            Out::line(&format!("{asset}"));
            for row in accounts.iter().filter(|row| row.asset == **asset) {
                let account = row.account.to_string();
                Out::line(&format!(
                    "  {account:<62} {:>16} {:>16}",
                    row.balances.debits_posted, row.balances.credits_posted
                ));
            }
            let [debits, credits] =
                [debits, credits].map(|sum| sum.map_or_else(|| "?".to_owned(), |sum| sum.to_string()));
            Out::line(&format!("  {:<62} {debits:>16} {credits:>16}", "total"));
        }
        for finding in &findings {
            Out::line(&format!("FINDING: {finding}"));
        }
        if findings.is_empty() {
            Out::line(
                "ok: debits equal credits in every asset, every hold has its call, the chain of receipts is whole",
            );
        }
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

/// The sums of each asset's accounts: debits and credits posted, then pending. `None` where one does not fit: the check has a finding then.
fn totals(accounts: &[AccountBalance]) -> BTreeMap<&AssetId, [Option<Amount>; 4]> {
    let mut totals = BTreeMap::new();
    for AccountBalance { asset, balances, .. } in accounts {
        let sums: &mut [Option<Amount>; 4] = totals.entry(asset).or_insert([Some(Amount::ZERO); 4]);
        let Balances { debits_posted, credits_posted, debits_pending, credits_pending } = *balances;
        let parts = [debits_posted, credits_posted, debits_pending, credits_pending];
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum = sum.and_then(|sum| sum.checked_add(part)));
    }
    totals
}

pub(crate) async fn calls(limit: u32, args: DataArgs) -> anyhow::Result<ExitCode> {
    let store = open(&args).await?;
    for call in store.recent_calls(limit).await? {
        if args.json {
            let paid = call.paid.as_ref().map(|paid| {
                json!({
                    "server": paid.tool.server, "tool": paid.tool.tool, "caller": paid.caller, "amount": paid.amount,
                    "asset": paid.asset, "rail": paid.key.rail(), "state": paid.state.word(),
                    "claimed": paid.claimed.to_string(),
                })
            });
            Out::line(&json!({ "call_id": call.call, "receipt_id": call.receipt, "paid": paid }).to_string());
            continue;
        }
        match call.paid {
            Some(paid) => Out::line(&format!(
                "{}  {}  {:<24} {:<10} {:>12} {}  {}",
                paid.claimed,
                call.call,
                paid.tool.to_string(),
                paid.state.word(),
                paid.amount,
                paid.asset,
                paid.caller
            )),
            None => Out::line(&format!("{:<24}  {}  free", "", call.call)),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The assets that the gateway of these books takes: those of the configuration; without one those that it took when it was started last.
/// Where that was before it wrote them down, or never, those of dev mode where it has been, else those of the environment. Credit in another
/// asset would look given, and pay for nothing.
async fn taken(store: &Store, config: Option<&Path>, data: &Path) -> anyhow::Result<Assets> {
    if config.is_some() {
        return assets(config);
    }
    if let Some(taken) = tollgate_till::taken(data)? {
        if taken.iter().next().is_none() {
            bail!(
                "the gateway of this data directory takes no money, so there is nothing that credit could pay for"
            );
        }
        return Ok(taken);
    }
    if dev::has_been(store).await? {
        return Ok(dev::assets()?);
    }
    let environment = Environment::read(".".as_ref()).map_err(anyhow::Error::msg)?;
    let configured = load(None, &environment, &Overrides::default(), None)?.assets;
    if configured.iter().next().is_none() {
        bail!(
            "no gateway was started here yet, and the environment names no money: name the configuration with --config, or \
             start the gateway once"
        );
    }
    Ok(configured)
}

pub(crate) async fn credit(command: CreditCommand) -> anyhow::Result<ExitCode> {
    let CreditCommand::Add { key, money, note, dry_run, config, data } = command;
    let key: KeyId =
        key.parse().context("credit is given to an API key, by its id: key_1…; see `tollgate keys list`")?;
    let store = open(&data).await?;
    let assets = taken(&store, config.as_deref(), &data.data).await?;
    let money = assets.parse(&money)?;
    if money.amount.is_zero() {
        bail!("credit of nothing is no credit; name an amount such as 5USDC");
    }
    if !store.keys().await?.iter().any(|known| known.id == key && known.revoked.is_none()) {
        bail!("no valid API key has the id {key}; see `tollgate keys list`");
    }
    if dry_run {
        Out::line(&format!("would give {key} {money}"));
        return Ok(ExitCode::SUCCESS);
    }
    let now = clock::now();
    let granted = store
        .grant_credit(Grant {
            from: Clearing::Manual,
            to: Caller::ApiKey(key).principal(),
            amount: money.amount,
            asset: money.asset.id().clone(),
            id: TransferId::new(now, clock::random()?),
            note,
            now,
        })
        .await?;
    let available = money.asset.display(granted.available);
    Out::line(&if data.json {
        json!({ "key": key, "granted": money.amount, "available": granted.available, "asset": money.asset.id() }).to_string()
    } else {
        format!("gave {key} {money}; available now: {available}")
    });
    Ok(ExitCode::SUCCESS)
}
