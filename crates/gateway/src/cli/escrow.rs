//! `tollgate escrow`: which escrows there are, what happened to one, and the operator's word on a dispute, which the running
//! gateway books.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tollgate_domain::{Assets, Bps, EscrowId};
use tollgate_ledger::escrow::{EscrowFilter, EscrowRow, EscrowState, EscrowStore, Role};

use super::books::AssetsArgs;
use super::operator::{Asked, RunningGateway};
use super::{DataArgs, FINDING, Out, books, refusal};
use crate::escrow::view;

#[derive(Debug, Subcommand)]
pub(crate) enum EscrowCommand {
    /// The latest escrows.
    List {
        /// Only those in this state: created, funded, locked, delivered, disputed, released, refunded, resolved, cancelled, expired.
        #[arg(long)]
        state: Option<String>,
        /// Only disputes that wait for the operator.
        #[arg(long, conflicts_with = "state")]
        waiting: bool,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        assets: AssetsArgs,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Where an escrow stands, and everything that happened to it.
    Show {
        /// The escrow: esc_1…
        escrow: String,
        #[command(flatten)]
        assets: AssetsArgs,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Decide a dispute. Exit 1 if the escrow cannot be decided now.
    Resolve(ResolveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// The escrow: esc_1…
    escrow: String,
    #[command(flatten)]
    ruling: Ruling,
    /// What becomes of the payer's stake: return or forfeit. Default: forfeit with --release, else return.
    #[arg(long, value_name = "WORD", value_parser = ["return", "forfeit"])]
    stake: Option<String>,
    /// Why; kept with the escrow, and shown to both parties.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    gateway: RunningGateway,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Ruling {
    /// What is left goes to the provider.
    #[arg(long)]
    release: bool,
    /// What is left goes back to the payer.
    #[arg(long)]
    refund: bool,
    /// The provider gets this share of what is left, such as 0.25, rounded down; the rest goes back to the payer.
    #[arg(long, value_name = "SHARE")]
    split: Option<String>,
}

pub(crate) async fn run(command: EscrowCommand) -> anyhow::Result<ExitCode> {
    match command {
        EscrowCommand::List { state, waiting, limit, assets, data } => {
            list(state, waiting, limit, &assets.assets()?, data).await
        }
        EscrowCommand::Show { escrow, assets, data } => show(&escrow, &assets.assets()?, data).await,
        EscrowCommand::Resolve(args) => resolve(args).await,
    }
}

async fn list(
    state: Option<String>,
    waiting: bool,
    limit: u32,
    assets: &Assets,
    data: DataArgs,
) -> anyhow::Result<ExitCode> {
    let state = match state {
        None => None,
        Some(text) => {
            let known = EscrowState::WORDS.into_iter().find(|word| *word == text);
            Some(known.with_context(|| format!("{text:?} is none of {}", EscrowState::WORDS.join(", ")))?)
        }
    };
    let filter = EscrowFilter { state, phase: waiting.then_some("operator"), ..EscrowFilter::default() };
    let page = books::open(&data).await?.escrows(filter, limit).await?;
    for row in &page.rows {
        Out::line(&match data.json {
            true => view::escrow(row, Some(Role::Operator), assets).to_string(),
            false => line(row, assets),
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn line(row: &EscrowRow, assets: &Assets) -> String {
    let terms = &row.terms;
    let stands = match &row.state {
        EscrowState::Disputed(dispute) => format!("disputed/{}", dispute.phase.word()),
        state => state.word().to_owned(),
    };
    let due = row.state.due().map_or_else(String::new, |due| format!("  until {due}"));
    let amount = assets.by_id(&terms.asset).map_or_else(
        || format!("{} {}", terms.amount, terms.asset),
        |asset| asset.display(terms.amount).to_string(),
    );
    format!(
        "{}  {}  {stands:<18} {amount:>20}  {} -> {}{due}",
        row.created, row.id, terms.payer, terms.provider
    )
}

async fn show(escrow: &str, assets: &Assets, data: DataArgs) -> anyhow::Result<ExitCode> {
    let id: EscrowId = escrow.parse().context("an escrow is named by its id: esc_1…")?;
    let store = books::open(&data).await?;
    let Some(row) = store.escrow(&id).await? else {
        bail!("there is no escrow {id}; see `tollgate escrow list`")
    };
    let history = store.escrow_history(&id).await?;
    let shown = view::with_events(&row, Some(Role::Operator), assets, &history);
    if data.json {
        Out::line(&shown.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    Out::line(&line(&row, assets));
    Out::line(&format!(
        "  released {}, refunded {}, of {} {}",
        row.released, row.refunded, row.terms.amount, row.terms.asset
    ));
    if let Some(about) = &row.terms.description {
        // Somebody else's words: escaped, so that they cannot pretend to be lines of this command.
        Out::line(&format!("  {:?}", about.as_str()));
    }
    for record in &history {
        Out::line(&format!("  {:>3}  {}", record.version, told(&view::event(record))));
    }
    Ok(ExitCode::SUCCESS)
}

/// One event on one line: what it is, and as JSON what was said.
fn told(event: &Value) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut said = event.clone();
    if let Some(members) = said.as_object_mut() {
        members.retain(|name, _| !["version", "at", "by", "event", "state"].contains(&name.as_str()));
    }
    let said = if said.as_object().is_some_and(serde_json::Map::is_empty) {
        String::new()
    } else {
        said.to_string()
    };
    format!("{}  {:<9} -> {:<10} by {}  {said}", text("at"), text("event"), text("state"), text("by"))
}

async fn resolve(args: ResolveArgs) -> anyhow::Result<ExitCode> {
    let id: EscrowId = args.escrow.parse().context("an escrow is named by its id: esc_1…")?;
    let (ruling, share) = match &args.ruling {
        Ruling { split: Some(share), .. } => {
            let share: Bps = share.parse().context("--split is a share between 0 and 1")?;
            ("split", Some(share))
        }
        Ruling { release: true, .. } => ("release", None),
        Ruling { .. } => ("refund", None),
    };
    let body =
        json!({ "ruling": ruling, "provider_share": share, "stake": args.stake, "reason": args.reason });
    let path = format!("escrows/{id}/resolve");
    let asked = Asked { command: "tollgate escrow resolve", of: json!(id), path: &path, body: Some(body) };
    let (is_done, answer) = args.gateway.ask(&args.data, asked).await?;
    if args.data.json {
        Out::line(&answer.to_string());
    } else if !is_done {
        Out::line(&refusal::in_words(&answer));
    } else {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        Out::line(&format!(
            "{id} {}: {} to {}, {} back to {}",
            text("state"),
            text("released"),
            text("provider"),
            text("refunded"),
            text("payer")
        ));
    }
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}
