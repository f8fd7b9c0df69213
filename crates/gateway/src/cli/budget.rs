//! `tollgate budget`: what is used of the budgets, and the kill switch. Works beside a running gateway; a stop counts from its
//! next claim on.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tollgate_domain::{Assets, Caller, Principal};
use tollgate_ledger::LedgerStore;
use tollgate_ledger::budget::{self, Change, Changed, Plan, Spender, Spent, Stop, Target};
use tollgate_store::{AuditRecord, ControlStore, Store};

use super::books::open;
use super::{DataArgs, Out};
use crate::config::{Config, Environment, Overrides, load};
use crate::spending::{of_node, spent_json, stops_json};
use crate::{clock, dev};

#[derive(Debug, Subcommand)]
pub(crate) enum BudgetCommand {
    /// What is used of every budget, and what is stopped.
    List {
        /// What bounds this caller: key_1…, or eip155:0x… of a paying wallet.
        #[arg(long, value_name = "CALLER")]
        caller: Option<String>,
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Stop spending, at once and until it is resumed.
    Stop {
        #[command(flatten)]
        what: What,
        /// Why; kept with the stop.
        #[arg(long, default_value = "stopped by the operator")]
        reason: String,
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Let it go on.
    Resume {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration with the tree of budgets. Default: what holds for every caller in dev mode.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct What {
    /// A node of the tree and everything below it, such as acme/research; needs --config.
    node: Option<String>,
    /// One caller: key_1…, or eip155:0x… of a paying wallet.
    #[arg(long, value_name = "CALLER")]
    caller: Option<String>,
    /// All spending of every caller.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(command: BudgetCommand) -> anyhow::Result<ExitCode> {
    match command {
        BudgetCommand::List { caller, config, data } => {
            let (plan, assets) = configured(config.config.as_deref())?;
            list(caller.as_deref(), &plan, &assets, &data).await?;
        }
        BudgetCommand::Stop { what, reason, config, data } => {
            let target = what.target()?;
            check(&target, config.config.as_deref())?;
            let stop = Stop { reason, by: "the command line".to_owned(), at: clock::now() };
            let change = Change::Stop { target: target.clone(), stop };
            switch(&data, target, true, change).await?;
        }
        BudgetCommand::Resume { what, data } => {
            let target = what.target()?;
            let change = Change::Resume(target.clone());
            switch(&data, target, false, change).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl What {
    fn target(&self) -> anyhow::Result<Target> {
        Ok(match (&self.node, &self.caller) {
            (Some(node), _) => format!("node:{node}").parse()?,
            (None, Some(caller)) => Target::Caller(caller.parse()?),
            (None, None) => Target::Everything,
        })
    }
}

/// The budgets of a configuration, be it for `serve` or for `dev`.
pub(super) fn configured(file: Option<&Path>) -> anyhow::Result<(Plan, Assets)> {
    let environment = Environment::read(".".as_ref()).map_err(anyhow::Error::msg)?;
    let sandbox =
        || dev::rails(([127, 0, 0, 1], 0).into(), tollgate_rails::evm::Address::from_bytes([1; 20]));
    let of = |config: Config| (config.budgets, config.assets);
    let Some(file) = file else {
        return Ok(of(load(None, &environment, &Overrides::default(), Some(sandbox()?))?));
    };
    let read = |rails| load(Some(file), &environment, &Overrides::default(), rails);
    match read(None) {
        Ok(config) => Ok(of(config)),
        Err(problems) => match read(Some(sandbox()?)) {
            Ok(config) => Ok(of(config)),
            Err(_) => Err(problems.into()),
        },
    }
}

/// A name that is mistyped must not look stopped.
fn check(target: &Target, config: Option<&Path>) -> anyhow::Result<()> {
    let Target::Node(path) = target else { return Ok(()) };
    if config.is_none() {
        bail!("name the configuration with --config: whether there is a node {path} stands there");
    }
    let (plan, _) = configured(config)?;
    if !plan.paths().any(|branch| branch.path == *path) {
        let known: Vec<&str> = plan.paths().map(|branch| &*branch.path).collect();
        bail!("no budget node has the path {path}; there are: {}", known.join(", "));
    }
    Ok(())
}

async fn switch(data: &DataArgs, target: Target, is_stop: bool, change: Change) -> anyhow::Result<()> {
    let changed = open(data).await?.change_budget(change).await? == Changed::Stopped(true);
    let after = json!({ "stopped": is_stop });
    if changed {
        let what = if is_stop { "stop_spending" } else { "resume_spending" };
        written_down(data, what, &target.to_string(), &after).await?;
    }
    Out::line(&if data.json {
        json!({ "target": target.to_string(), "stopped": is_stop, "changed": changed }).to_string()
    } else {
        match (is_stop, changed) {
            (true, true) => format!("stopped {target}: it spends nothing from the next call on"),
            (true, false) => format!("{target} is stopped already"),
            (false, true) => format!("resumed {target}"),
            (false, false) => format!("{target} was not stopped"),
        }
    });
    Ok(())
}

/// A change in the audit: whoever has the data directory made it.
pub(super) async fn written_down(
    data: &DataArgs,
    what: &str,
    target: &str,
    after: &Value,
) -> anyhow::Result<()> {
    let record = AuditRecord {
        at: clock::now(),
        admin: None,
        what: what.to_owned(),
        target: target.to_owned(),
        before: "null".to_owned(),
        after: after.to_string(),
    };
    Ok(ControlStore::open_shared(&data.data)?.record(record).await?)
}

async fn list(caller: Option<&str>, plan: &Plan, assets: &Assets, data: &DataArgs) -> anyhow::Result<()> {
    let store = open(data).await?;
    let now = clock::now();
    match caller {
        Some(caller) => {
            for line in &of_caller(&store, caller.parse()?, plan, assets).await? {
                show(line, assets, data);
            }
        }
        None => {
            for branch in plan.paths() {
                for line in &of_node(&store, plan, branch, assets, now).await? {
                    show(line, assets, data);
                }
            }
        }
    }
    for stop in stops_json(&store.stops().await?) {
        Out::line(&if data.json {
            json!({ "stop": stop }).to_string()
        } else {
            let text = |name: &str| stop.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("STOPPED  {}  since {} by {}: {}", text("target"), text("at"), text("by"), text("reason"))
        });
    }
    Ok(())
}

async fn of_caller(
    store: &Store,
    principal: Principal,
    plan: &Plan,
    assets: &Assets,
) -> anyhow::Result<Vec<Spent>> {
    let caller = principal.caller();
    let labels = match caller {
        Caller::ApiKey(id) => {
            let keys = store.keys().await?;
            keys.into_iter().find(|key| key.id == id).map(|key| key.labels).unwrap_or_default()
        }
        Caller::Anonymous | Caller::Wallet(_) | Caller::Preimage(_) => Default::default(),
    };
    let spender = Spender { caller, principal: &principal, labels: &labels, tool: None };
    let ids: Vec<_> = assets.iter().map(|asset| asset.id().clone()).collect();
    Ok(budget::spending(store, plan, &spender, &ids, clock::now()).await?)
}

fn show(line: &Spent, assets: &Assets, data: &DataArgs) {
    if data.json {
        return Out::line(&spent_json(line, assets).to_string());
    }
    let shown = |amount| {
        let asset = assets.by_id(&line.asset);
        asset.map_or_else(|| format!("{amount} of {}", line.asset), |asset| asset.display(amount))
    };
    let limit = line.limit.map_or_else(|| "no limit".to_owned(), shown);
    Out::line(&format!(
        "{:<40} {:<8} {:>20} of {limit:<20} until {}",
        line.node.path(),
        line.span.word(),
        shown(line.used),
        line.resets
    ));
}
