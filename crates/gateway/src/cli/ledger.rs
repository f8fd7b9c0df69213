//! What stands in the books, for operators and their accountants: statements, the journal, exports. Row by row: no ledger is
//! too long for them.

mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tollgate_domain::{Amount, AssetId, Assets, Principal, UnixMillis};
use tollgate_ledger::statement::{Effect, Side, Statement};
use tollgate_ledger::{AccountName, Transfer};
use tollgate_store::{Part, Row};

use super::books::{self, open};
use super::out::one_line;
use super::{DataArgs, Out};

/// Which rows of the books, and how amounts are told.
#[derive(Debug, Args)]
pub(crate) struct Selected {
    /// Only this asset: a symbol, such as USDC, or its CAIP-19 id.
    #[arg(long, value_name = "ASSET")]
    asset: Option<String>,
    /// Only from this moment on (UTC): 2026-11-27 or 2026-11-27T10:30.
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// The configuration whose assets are known. Default: those of dev mode.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatementArgs {
    /// An account (payable:search, credit:key_1…), or a payer (key_1…, eip155:0x…) for its credit.
    #[arg(value_name = "ACCOUNT|PRINCIPAL")]
    account: String,
    #[command(flatten)]
    selected: Selected,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// What to write out.
    #[arg(value_enum)]
    what: What,
    /// In which form.
    #[arg(long, value_enum)]
    format: Format,
    #[command(flatten)]
    selected: Selected,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Transfers,
    Settlements,
    Receipts,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// RFC 4180, with a line of names.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// A moment as the beginning of its RFC 3339 form, to which rows are compared as text.
#[derive(Clone, Debug)]
pub(crate) struct Since(String);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "0000-00-00T00:00:00.000Z";
        let fits =
            |(digit, form): (u8, u8)| if form == b'0' { digit.is_ascii_digit() } else { digit == form };
        let is_beginning = ("0000-00-00".len()..=FORM.len()).contains(&text.len())
            && text.bytes().zip(FORM.bytes()).all(fits);
        if is_beginning {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected 2026-11-27 or 2026-11-27T10:30".to_owned())
        }
    }
}

/// What is left of [`Selected`] once it is understood.
struct Choice {
    assets: Assets,
    asset: Option<AssetId>,
    since: Option<Since>,
    json: bool,
}

impl Choice {
    fn of(selected: &Selected) -> anyhow::Result<Self> {
        let assets = books::assets(selected.config.as_deref())?;
        let asset = selected.asset.as_deref().map(|text| match assets.by_symbol(text) {
            Some(asset) => Ok(asset.id().clone()),
            None => text.parse().with_context(|| format!("{text} is no known symbol and no CAIP-19 id")),
        });
        let (asset, since) = (asset.transpose()?, selected.since.clone());
        Ok(Self { assets, asset, since, json: selected.data.json })
    }

    fn is_late_enough(&self, at: UnixMillis) -> bool {
        self.since.as_ref().is_none_or(|Since(since)| at.to_string() >= *since)
    }

    fn takes(&self, asset: &AssetId, at: UnixMillis) -> bool {
        self.asset.as_ref().is_none_or(|wanted| wanted == asset) && self.is_late_enough(at)
    }

    /// The same amount in whole tokens, where the asset is known.
    fn whole(&self, asset: &AssetId, amount: Amount) -> Option<String> {
        self.assets.by_id(asset).map(|asset| asset.decimal(amount))
    }

    fn symbol(&self, asset: &AssetId) -> Option<&str> {
        self.assets.by_id(asset).map(tollgate_domain::Asset::symbol)
    }

    /// An amount in both forms, for people.
    fn shown(&self, asset: &AssetId, amount: Amount) -> String {
        match (self.whole(asset, amount), self.symbol(asset)) {
            (Some(whole), Some(symbol)) => format!("{amount} ({whole} {symbol})"),
            _ => format!("{amount} of {asset}"),
        }
    }
}

/// `tollgate ledger statement`.
pub(crate) async fn statement(args: StatementArgs) -> anyhow::Result<ExitCode> {
    let name = &args.account;
    let account = name.parse::<AccountName>().or_else(|error| match name.parse::<Principal>() {
        Ok(principal) => Ok(AccountName::Credit(principal)),
        Err(_) => Err(error),
    })?;
    let choice = Choice::of(&args.selected)?;
    let store = open(&args.selected.data).await?;
    let state = (Statement::of(account), Ok(()), choice);
    let visit = |(statement, failed, choice): &mut (Statement, Result<(), _>, Choice), row| {
        let Row::Transfer(transfer) = row else { return };
        match statement.take(&transfer) {
            Ok(Some(line)) if choice.takes(&transfer.asset, transfer.at) => {
                Out::line(&shown_line(choice, &transfer, &line));
            }
            Ok(_) => {}
            Err(error) => *failed = Err(error),
        }
    };
    let (statement, failed, choice) = store.each_row(vec![Part::Transfers], state, visit).await?;
    failed?;
    for (asset, balance, reserved) in statement.balances() {
        if choice.asset.as_ref().is_some_and(|wanted| wanted != asset) {
            continue;
        }
        let sign = if balance.is_negative() { "-" } else { "" };
        Out::line(&if choice.json {
            json!({
                "asset": asset, "symbol": choice.symbol(asset),
                "balance": balance.to_string(),
                "balance_whole": choice.whole(asset, balance.size()).map(|whole| format!("{sign}{whole}")),
                "reserved": reserved, "reserved_whole": choice.whole(asset, reserved),
            })
            .to_string()
        } else {
            let balance = format!("{sign}{}", choice.shown(asset, balance.size()));
            format!("balance {balance}, of it reserved {}", choice.shown(asset, reserved))
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn shown_line(choice: &Choice, transfer: &Transfer, line: &tollgate_ledger::statement::Line) -> String {
    let effect = match line.effect {
        Effect::Moved => "moved",
        Effect::Reserved => "reserved",
        Effect::Released => "released",
    };
    let side = match line.side {
        Side::Debit => "debit",
        Side::Credit => "credit",
    };
    if choice.json {
        let mut row = table::transfer(choice, transfer);
        for (name, value) in [
            ("effect", json!(effect)),
            ("side", json!(side)),
            ("counterpart", json!(line.counterpart.to_string())),
            ("balance", json!(line.balance.to_string())),
            ("reserved", json!(line.reserved)),
        ] {
            row.push((name, value));
        }
        return table::object(row).to_string();
    }
    format!(
        "{}  {effect:<8} {side:<6} {:>28}  {:<40} balance {}  {}",
        transfer.at,
        choice.shown(&transfer.asset, transfer.amount),
        line.counterpart.to_string(),
        line.balance,
        one_line(&transfer.note)
    )
}

/// `tollgate ledger journal`.
pub(crate) async fn journal(selected: Selected) -> anyhow::Result<ExitCode> {
    let choice = Choice::of(&selected)?;
    let store = open(&selected.data).await?;
    let visit = |choice: &mut Choice, row| {
        let Row::Transfer(transfer) = row else { return };
        if !choice.takes(&transfer.asset, transfer.at) {
            return;
        }
        Out::line(&if choice.json {
            table::object(table::transfer(choice, &transfer)).to_string()
        } else {
            format!(
                "{}  {:<12} {:>28}  {} -> {}  {}",
                transfer.at,
                transfer.kind.word(),
                choice.shown(&transfer.asset, transfer.amount),
                transfer.debit,
                transfer.credit,
                one_line(&transfer.note)
            )
        });
    };
    store.each_row(vec![Part::Transfers], choice, visit).await?;
    Ok(ExitCode::SUCCESS)
}

/// `tollgate ledger export`.
pub(crate) async fn export(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let choice = Choice::of(&args.selected)?;
    let store = open(&args.selected.data).await?;
    let (part, names) = match args.what {
        What::Transfers => (Part::Transfers, table::TRANSFER),
        What::Settlements => (Part::Settlements, table::SETTLEMENT),
        What::Receipts => (Part::Receipts, table::RECEIPT),
    };
    let format = args.format;
    let mut out = table::Sheet::begin(format, names)?;
    let visit = move |choice: &mut Choice, row| {
        if let Some(cells) = cells(choice, row) {
            out.row(cells);
        }
    };
    store.each_row(vec![part], choice, visit).await?;
    Ok(ExitCode::SUCCESS)
}

fn cells(choice: &Choice, row: Row) -> Option<Vec<(&'static str, Value)>> {
    match row {
        Row::Transfer(transfer) => {
            choice.takes(&transfer.asset, transfer.at).then(|| table::transfer(choice, &transfer))
        }
        Row::Settlement(row) => {
            choice.takes(&row.asset, row.claimed).then(|| table::settlement(choice, &row))
        }
        Row::Receipt { id, call, envelope } => Some(table::receipt(&id, &call, &envelope)),
    }
}

#[cfg(test)]
mod tests;
