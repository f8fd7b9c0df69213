//! `tollgate connect`: the stdio bridge. Nothing but MCP on standard output; everything else goes to standard error.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_domain::{Amount, Asset, Assets};
use tollgate_payer::Retries;
use tollgate_payer::bridge::{Bridge, Endpoint, Purse};
use tollgate_payer::budget::{Allowance, Allowances, Budget, Counted, Day, Limits};

use super::log;
use super::paying::{self, Funds};
use super::{ConnectArgs, Out};
use crate::budget_file::BudgetFile;
use crate::clock;
use crate::config::Environment;
use crate::data::DataDirectory;

/// How long a tool may work before the head of its answer is there. Clients have limits of their own and cancel.
const ANSWER_MS_MAX: u64 = 600_000;
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks and lines that wait for the other side.
const WAITING_MAX: usize = 16;

/// What is allowed of an asset where nobody says otherwise, in its whole units: per call, per day, in all. Small and on: an
/// agent that goes astray is stopped by it.
const DEFAULTS: &[(&str, [&str; 3])] = &[("USDC", ["0.05", "0.5", "5"]), ("sat", ["50", "500", "5000"])];

/// What only the bridge itself may say in a header.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "payment-signature",
    "transfer-encoding",
    "x-payment",
];

pub(crate) async fn connect(args: ConnectArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    let funds = if args.live { Funds::Live } else { Funds::Sandbox };
    let allowances = allowances(&args, &funds.assets()?)?;
    let data = DataDirectory::open(&args.data)?;
    let budget = Budget::new(allowances, Arc::new(BudgetFile::of(&data)));
    if args.budget {
        return show(&budget, args.json).await;
    }
    log::set_up(&environment);
    let url = paying::endpoint(&args.url)?;
    let client = paying::client(&url, ANSWER_MS_MAX);
    let wallets = funds.wallets(&url, &args.data, client.clone())?;
    if wallets.evm.is_none() {
        Out::note(&format!(
            "note: there is no {}, so nothing is paid in USDC; `tollgate dev` makes one",
            data.path("payer.key").display()
        ));
    }
    let endpoint = Endpoint { client, url: args.url.clone(), headers: headers(&args.header, &environment)? };
    let purse =
        Purse { wallets, randomness: Arc::new(paying::randomness()), budget, clock: Arc::new(clock::now) };
    let money = if args.live { "REAL money" } else { "SANDBOX and test money only" };
    // Clients keep what their servers say here in files of their own.
    let url = tollgate_egress::shown_url(&args.url);
    Out::note(&format!("tollgate connect: {url} by stdio; {money}"));
    bridge(endpoint, purse).await
}

/// Runs a bridge on standard input and output until the input ends or a signal comes.
async fn bridge(endpoint: Endpoint, purse: Purse) -> anyhow::Result<ExitCode> {
    let (output, lines) = mpsc::channel(WAITING_MAX);
    let (chunks, input) = mpsc::channel(WAITING_MAX);
    let bridge = Bridge::new(endpoint, purse, Retries::default(), output)?;
    // Threads of their own: a read that waits for the client must not keep the process from ending.
    thread::Builder::new().name("stdin".to_owned()).spawn(move || read(&chunks))?;
    let (writing, mut written) = mpsc::channel(1);
    thread::Builder::new().name("stdout".to_owned()).spawn(move || write(lines, &writing))?;
    let stop = CancellationToken::new();
    let signals = TaskTracker::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stopping = stop.clone();
    signals.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping.cancel();
    });
    bridge.run(input, stop.clone()).await;
    // What was said last is still on its way to a client that reads; one that does not is not waited for after a signal.
    tokio::select! {
        None = written.recv() => {}
        () = stop.cancelled() => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn read(chunks: &mpsc::Sender<Bytes>) {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                let chunk = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                if chunks.blocking_send(chunk).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Writes until nobody sends or nobody reads; dropping `_writing` says that it is over.
fn write(mut lines: mpsc::Receiver<Bytes>, _writing: &mpsc::Sender<()>) {
    let mut output = io::stdout().lock();
    while let Some(line) = lines.blocking_recv() {
        // A client that went away ends the bridge: the channel closes.
        if output.write_all(&line).and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}

/// The limits of each asset: the defaults, and what the command line says instead.
fn allowances(args: &ConnectArgs, assets: &Assets) -> anyhow::Result<Allowances> {
    let per_call = named(&args.max_per_call, assets).context("read --max-per-call")?;
    let per_day = named(&args.max_per_day, assets).context("read --max-per-day")?;
    let total = named(&args.max_total, assets).context("read --max-total")?;
    let allowance = |asset: &Asset| {
        let defaults = DEFAULTS.iter().find(|(symbol, _)| *symbol == asset.symbol());
        let default = |texts: fn(&[&'static str; 3]) -> &'static str| match defaults {
            Some((_, defaults)) => asset.parse(texts(defaults)),
            None => Ok(Amount::ZERO),
        };
        let said = |limits: &[(Asset, Amount)]| {
            limits.iter().find(|(named, _)| named == asset).map(|(_, amount)| *amount)
        };
        let limits = Limits {
            per_call: said(&per_call).map_or_else(|| default(|texts| texts[0]), Ok)?,
            per_day: said(&per_day).map_or_else(|| default(|texts| texts[1]), Ok)?,
            total: said(&total).map_or_else(|| default(|texts| texts[2]), Ok)?,
        };
        Ok(Allowance { asset: asset.clone(), limits })
    };
    let assets: anyhow::Result<Vec<Allowance>> = assets.iter().map(allowance).collect();
    Ok(Allowances { assets: assets?, tools: args.allow.clone() })
}

/// Sums of money, each asset at most once.
fn named(texts: &[String], assets: &Assets) -> anyhow::Result<Vec<(Asset, Amount)>> {
    let mut named: Vec<(Asset, Amount)> = Vec::with_capacity(texts.len());
    for text in texts {
        let money = assets.parse(text)?;
        if named.iter().any(|(asset, _)| *asset == money.asset) {
            bail!("{} is limited twice", money.asset.symbol());
        }
        named.push((money.asset, money.amount));
    }
    Ok(named)
}

/// The owner's headers. A header is never printed: it may hold a secret.
pub(super) fn headers(texts: &[String], environment: &Environment) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (index, text) in texts.iter().enumerate() {
        let place = format!("--header number {}", index + 1);
        let (name, value) =
            text.split_once(':').with_context(|| format!("{place} is not \"Name: value\""))?;
        let name: HeaderName = name.trim().parse().with_context(|| format!("{place} has no valid name"))?;
        if OWN_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("mcp-") {
            bail!("{name} is set by the bridge itself; leave it out of --header");
        }
        let value = environment.fill(value.trim()).map_err(|name| {
            anyhow::anyhow!("{place} names ${{{name}}}, which is not set in the environment")
        })?;
        let mut value =
            HeaderValue::from_str(&value).with_context(|| format!("{place} has no valid value"))?;
        value.set_sensitive(true);
        if headers.insert(name.clone(), value).is_some() {
            bail!("{name} is given twice in --header");
        }
    }
    Ok(headers)
}

async fn show(budget: &Budget, as_json: bool) -> anyhow::Result<ExitCode> {
    let today = Day::of(clock::now());
    let mut rows = Vec::new();
    for allowance in &budget.allowances().assets {
        let counted = budget.counted(allowance).await?;
        rows.push(if as_json {
            row_json(allowance, counted, today).to_string()
        } else {
            row(allowance, counted, today)
        });
    }
    Out::line(&rows.join("\n"));
    Ok(ExitCode::SUCCESS)
}

/// What was spent on `today`.
fn of_today(counted: Counted, today: Day) -> Amount {
    if counted.day >= today { counted.of_day } else { Amount::ZERO }
}

fn row(allowance: &Allowance, counted: Counted, today: Day) -> String {
    let shown = |amount| allowance.asset.display(amount);
    let open = match counted.open.is_zero() {
        true => String::new(),
        false => format!(", of which {} without an answer", shown(counted.open)),
    };
    format!(
        "{:<5} {} of {} in all{open}; {} of {} today (UTC); at most {} per call   {}",
        allowance.asset.symbol(),
        shown(counted.total),
        shown(allowance.limits.total),
        shown(of_today(counted, today)),
        shown(allowance.limits.per_day),
        shown(allowance.limits.per_call),
        allowance.asset.id(),
    )
}

fn row_json(allowance: &Allowance, counted: Counted, today: Day) -> serde_json::Value {
    json!({
        "asset": allowance.asset.id(),
        "symbol": allowance.asset.symbol(),
        "spent_total": counted.total,
        "spent_today": of_today(counted, today),
        "without_answer": counted.open,
        "max_per_call": allowance.limits.per_call,
        "max_per_day": allowance.limits.per_day,
        "max_total": allowance.limits.total,
    })
}

#[cfg(test)]
mod tests;
