//! `tollgate payout` and `tollgate revenue`: withdrawals as a provider, the operator's word on them, credit that goes back to wallets, and
//! what was earned.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use tollgate_domain::{Amount, Assets, PayoutId};
use tollgate_ledger::payout::{PayoutFilter, PayoutRow, PayoutState, PayoutStore, ProviderName};

use super::books::AssetsArgs;
use super::operator::{Asked, RunningGateway};
use super::out::one_line;
use super::{DataArgs, FINDING, Out, books, connect, paying, refusal};
use crate::config::Environment;
use crate::payouts::view;

const TIMEOUT_MS_MAX: u64 = 30_000;

#[derive(Debug, Subcommand)]
pub(crate) enum PayoutsCommand {
    /// The latest payouts.
    List {
        /// Only those of this provider.
        #[arg(long, value_name = "NAME")]
        provider: Option<ProviderName>,
        /// Only those in this state: requested, held, submitted, unknown, settled, failed, cancelled.
        #[arg(long)]
        state: Option<PayoutState>,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        assets: AssetsArgs,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Withdraw, as a provider. Exit 1 if it is refused.
    Request(RequestArgs),
    /// Send credit of a wallet back to the wallet, as the operator. Exit 1 if it is refused.
    Credit(CreditArgs),
    /// Give up a payout that was not submitted yet, as the operator. Exit 1 if it is too late.
    Cancel(DecideArgs),
    /// Let a large payout go, as the operator. Exit 1 if it does not wait for that.
    Approve(DecideArgs),
    /// Where a provider's money may go; list one more destination, or take one off.
    Destinations(DestinationsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// Who is paid, as the configuration names it.
    #[arg(long, value_name = "NAME")]
    provider: ProviderName,
    /// Whose earnings; needed of a provider with several servers.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// A listed address, or the public key of a listed Lightning node.
    #[arg(long, value_name = "DESTINATION")]
    to: String,
    /// How much, in atomic units.
    #[arg(long, value_name = "UNITS")]
    amount: u128,
    /// Of what: a symbol such as USDC, or the id of an asset.
    #[arg(long)]
    asset: String,
    /// Over Lightning: the invoice that is paid.
    #[arg(long)]
    invoice: Option<String>,
    /// A word that means this payout for ever: asking again under it pays once.
    #[arg(long, value_name = "WORD")]
    id: String,
    /// A header such as "Authorization: Bearer ${KEY}" with the API key; ${NAME} is read from the environment.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The gateway.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3100")]
    url: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CreditArgs {
    /// Whose credit, and where it goes: the address of the wallet (0x…).
    wallet: String,
    /// How much, in atomic units.
    #[arg(long, value_name = "UNITS")]
    amount: u128,
    /// Of what: a symbol such as USDC, or the id of an asset.
    #[arg(long)]
    asset: String,
    /// A word that means this payout for ever: asking again under it pays once.
    #[arg(long, value_name = "WORD")]
    id: String,
    #[command(flatten)]
    gateway: RunningGateway,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The payout: po_1…
    payout: PayoutId,
    #[command(flatten)]
    gateway: RunningGateway,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DestinationsArgs {
    /// The provider.
    provider: ProviderName,
    /// List this one; it can be used after the cool-off.
    #[arg(long, value_name = "DESTINATION", conflicts_with = "remove")]
    add: Option<String>,
    /// Take this one off.
    #[arg(long, value_name = "DESTINATION")]
    remove: Option<String>,
    #[command(flatten)]
    gateway: RunningGateway,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RevenueArgs {
    /// How many hours back.
    #[arg(long, value_name = "NUMBER", default_value_t = 720)]
    hours: u64,
    #[command(flatten)]
    gateway: RunningGateway,
    #[command(flatten)]
    data: DataArgs,
}

pub(crate) async fn run(command: PayoutsCommand) -> anyhow::Result<ExitCode> {
    match command {
        PayoutsCommand::List { provider, state, limit, assets, data } => {
            let filter = PayoutFilter { provider, state, before: None };
            list(filter, limit, &assets.assets()?, &data).await
        }
        PayoutsCommand::Request(args) => request(args).await,
        PayoutsCommand::Credit(args) => credit(args).await,
        PayoutsCommand::Cancel(args) => decide(args, "cancel").await,
        PayoutsCommand::Approve(args) => decide(args, "approve").await,
        PayoutsCommand::Destinations(args) => destinations(args).await,
    }
}

async fn list(
    filter: PayoutFilter,
    limit: u32,
    assets: &Assets,
    data: &DataArgs,
) -> anyhow::Result<ExitCode> {
    let page = books::open(data).await?.payouts(filter, limit).await?;
    for row in &page.rows {
        Out::line(&if data.json { view::payout(row, assets).to_string() } else { line(row) });
    }
    Ok(ExitCode::SUCCESS)
}

fn line(row: &PayoutRow) -> String {
    // Words of a node or a wallet.
    let found = one_line(row.reference.as_deref().or(row.evidence.as_deref()).unwrap_or_default());
    format!(
        "{}  {}  {:<10} {:>12} {}  {} -> {}  {found}",
        row.created,
        row.id,
        row.state.word(),
        row.amount,
        row.destination.asset(),
        row.source,
        row.destination
    )
}

async fn request(args: RequestArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    let mut headers = connect::headers(&args.header, &environment)?;
    headers.insert("idempotency-key", HeaderValue::from_str(&args.id).context("--id is one word")?);
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let body = json!({
        "provider": args.provider.as_str(), "server": args.server, "destination": args.to,
        "amount": Amount::new(args.amount), "asset": args.asset, "invoice": args.invoice,
    });
    let at = paying::endpoint(&format!("{}/api/v1/payouts", args.url.trim_end_matches('/')))?;
    let mut request = Request::post(at.clone()).body(Bytes::from(body.to_string()))?;
    *request.headers_mut() = headers;
    let answer = paying::client(&at, TIMEOUT_MS_MAX).send(request).await;
    let answer = answer.with_context(|| {
        format!(
            "ask the gateway at {}: it has to be running; name it with --url",
            tollgate_egress::shown_url(&args.url)
        )
    })?;
    let said: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let is_done = answer.status().is_success();
    Out::line(&if args.json { said.to_string() } else { in_words(is_done, &said) });
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

fn text(said: &Value, pointer: &str) -> String {
    one_line(said.pointer(pointer).and_then(Value::as_str).unwrap_or_default())
}

fn in_words(is_done: bool, said: &Value) -> String {
    if !is_done {
        return refusal::in_words(said);
    }
    format!(
        "{} {}: {} of {} to {}",
        text(said, "/payout_id"),
        text(said, "/state"),
        text(said, "/amount"),
        text(said, "/asset"),
        text(said, "/destination")
    )
}

async fn credit(args: CreditArgs) -> anyhow::Result<ExitCode> {
    let body = json!({
        "wallet": args.wallet, "amount": Amount::new(args.amount), "asset": args.asset, "id": args.id,
    });
    let (command, of) = ("tollgate payout credit", json!(args.wallet));
    let asked = Asked { command, of, path: "payouts", body: Some(body) };
    let (is_done, said) = args.gateway.ask(&args.data, asked).await?;
    Out::line(&if args.data.json { said.to_string() } else { in_words(is_done, &said) });
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

async fn decide(args: DecideArgs, word: &str) -> anyhow::Result<ExitCode> {
    let path = format!("payouts/{}/{word}", args.payout);
    let command = format!("tollgate payout {word}");
    let asked = Asked { command: &command, of: json!(args.payout), path: &path, body: Some(json!({})) };
    let (is_done, said) = args.gateway.ask(&args.data, asked).await?;
    Out::line(&if args.data.json { said.to_string() } else { in_words(is_done, &said) });
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

async fn destinations(args: DestinationsArgs) -> anyhow::Result<ExitCode> {
    let place = format!("providers/{}/destinations", args.provider);
    let (path, body) = match (args.add, args.remove) {
        (Some(add), _) => (place, Some(json!({ "destination": add }))),
        (None, Some(remove)) => (format!("{place}/remove"), Some(json!({ "destination": remove }))),
        (None, None) => (place, None),
    };
    let of = json!(args.provider.as_str());
    let asked = Asked { command: "tollgate payout destinations", of, path: &path, body };
    let (is_done, said) = args.gateway.ask(&args.data, asked).await?;
    if args.data.json || !is_done {
        Out::line(&if args.data.json { said.to_string() } else { in_words(false, &said) });
    } else {
        for listed in said.pointer("/destinations").and_then(Value::as_array).into_iter().flatten() {
            Out::line(&format!(
                "{}  {}  by {}, usable from {}",
                text(listed, "/rail"),
                text(listed, "/destination"),
                text(listed, "/listed_by"),
                text(listed, "/usable_from")
            ));
        }
    }
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

pub(crate) async fn revenue(args: RevenueArgs) -> anyhow::Result<ExitCode> {
    let path = format!("revenue?hours={}", args.hours);
    let asked = Asked { command: "tollgate revenue", of: json!("revenue"), path: &path, body: None };
    let (is_done, said) = args.gateway.ask(&args.data, asked).await?;
    if args.data.json || !is_done {
        Out::line(&if args.data.json { said.to_string() } else { in_words(false, &said) });
        return Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(FINDING) });
    }
    Out::line(&format!("calls made from {} to {}", text(&said, "/since"), text(&said, "/until")));
    for (title, member) in [("revenue", "/revenue"), ("self-payments, no revenue", "/self_payments")] {
        let lines = said.pointer(member).and_then(Value::as_array);
        Out::line(&format!("{title}:"));
        for line in lines.into_iter().flatten() {
            let calls = line.get("calls").and_then(Value::as_u64).unwrap_or_default();
            let provider = Some(text(line, "/provider"))
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "nobody's".to_owned());
            Out::line(&format!(
                "  {provider:<16} {}/{}  {calls} calls  gross {}  refunded {}  net {}  {}",
                text(line, "/server"),
                text(line, "/tool"),
                text(line, "/gross"),
                text(line, "/refunded"),
                text(line, "/net"),
                text(line, "/asset")
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
