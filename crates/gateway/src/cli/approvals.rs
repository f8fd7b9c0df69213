//! `tollgate approvals`: calls that wait for an operator. Works beside a running gateway; the next call counts.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::json;
use tollgate_domain::{ApprovalId, Assets};
use tollgate_ledger::LedgerStore;
use tollgate_ledger::budget::{APPROVAL_TTL_MS, Approval, ApprovalEvent, Change, Changed};

use super::books::{AssetsArgs, open};
use super::budget::written_down;
use super::{DataArgs, Out};
use crate::clock;
use crate::spending::{approval_json, state};

/// How many are listed, the latest first.
const LISTED: u32 = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// The calls that wait; with --all, decided and expired ones too.
    List {
        /// Decided and expired ones too.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        assets: AssetsArgs,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Let this one call be made: this caller, tool, arguments and amount, once.
    Approve {
        /// The approval's id: appr_1…
        id: String,
        /// For how many seconds.
        #[arg(long, default_value_t = APPROVAL_TTL_MS / 1_000, value_parser = clap::value_parser!(u64).range(1..))]
        for_seconds: u64,
        #[command(flatten)]
        assets: AssetsArgs,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Let it not be made; also takes an approval back that nobody has used.
    Reject {
        /// The approval's id: appr_1…
        id: String,
        #[command(flatten)]
        assets: AssetsArgs,
        #[command(flatten)]
        data: DataArgs,
    },
}

pub(crate) async fn run(command: ApprovalsCommand) -> anyhow::Result<ExitCode> {
    match command {
        ApprovalsCommand::List { all, assets, data } => list(all, &assets.assets()?, &data).await?,
        ApprovalsCommand::Approve { id, for_seconds, assets, data } => {
            let expires = clock::now().plus_millis(for_seconds.saturating_mul(1_000));
            let event = ApprovalEvent::Approve { by: BY.to_owned(), expires };
            decide(&id, event, &assets.assets()?, &data).await?;
        }
        ApprovalsCommand::Reject { id, assets, data } => {
            let event = ApprovalEvent::Reject { by: BY.to_owned() };
            decide(&id, event, &assets.assets()?, &data).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whoever has the data directory.
const BY: &str = "the command line";

async fn list(all: bool, assets: &Assets, data: &DataArgs) -> anyhow::Result<()> {
    let now = clock::now();
    let approvals = open(data).await?.approvals(LISTED).await?;
    let listed: Vec<&Approval> =
        approvals.iter().filter(|approval| all || state(approval, now) == "waiting").collect();
    for approval in &listed {
        show(approval, assets, data);
    }
    if listed.is_empty() && !data.json {
        Out::note("no call waits for an approval");
    }
    Ok(())
}

fn show(approval: &Approval, assets: &Assets, data: &DataArgs) {
    let now = clock::now();
    if data.json {
        return Out::line(&approval_json(approval, assets, now).to_string());
    }
    let wanted = &approval.wanted;
    let price = assets.by_id(&wanted.asset).map_or_else(
        || format!("{} of {}", wanted.amount, wanted.asset),
        |asset| asset.display(wanted.amount),
    );
    Out::line(&format!(
        "{}  {:<8} {price:<16} {}  {}  until {}  arguments {}",
        approval.id,
        state(approval, now),
        wanted.tool,
        wanted.caller,
        approval.expires,
        wanted.args
    ));
}

async fn decide(id: &str, event: ApprovalEvent, assets: &Assets, data: &DataArgs) -> anyhow::Result<()> {
    let known: ApprovalId =
        id.parse().context("an approval is named by its id, appr_1…; see `tollgate approvals list`")?;
    let store = open(data).await?;
    let change = Change::Decide { id: known, event, now: clock::now() };
    let Changed::Decided(Some(approval)) =
        store.change_budget(change).await.context("decide the approval")?
    else {
        bail!("no approval has the id {id}; see `tollgate approvals list`");
    };
    written_down(data, "decide_approval", id, &json!({ "state": approval.state.word() })).await?;
    show(&approval, assets, data);
    Ok(())
}
