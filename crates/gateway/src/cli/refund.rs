//! `tollgate refund`: asks the running gateway, which alone seals receipts, to give back what was kept of a call.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tollgate_domain::CallId;

use super::operator::{Asked, RunningGateway};
use super::{DataArgs, FINDING, Out, refusal};

#[derive(Debug, Args)]
pub(crate) struct RefundArgs {
    /// The call: call_1…
    call: String,
    /// Why; kept with the transfer.
    #[arg(long)]
    reason: String,
    /// How much, in atomic units of the asset that was paid. Default: all that is left.
    #[arg(long, value_name = "UNITS")]
    amount: Option<u128>,
    /// A word that means this refund for ever: asking again under it books once. Needed for a second refund of one call.
    #[arg(long, value_name = "WORD", default_value = "")]
    id: String,
    #[command(flatten)]
    gateway: RunningGateway,
    #[command(flatten)]
    data: DataArgs,
}

pub(crate) async fn refund(args: RefundArgs) -> anyhow::Result<ExitCode> {
    let call: CallId = args.call.parse().context("a refund is for a call: call_1…")?;
    let body = match args.amount {
        Some(amount) => {
            json!({ "call_id": call, "reason": args.reason, "id": args.id, "amount": amount.to_string() })
        }
        None => json!({ "call_id": call, "reason": args.reason, "id": args.id }),
    };
    let asked = Asked { command: "tollgate refund", of: json!(call), path: "refunds", body: Some(body) };
    let (is_done, answer) = args.gateway.ask(&args.data, asked).await?;
    if args.data.json {
        Out::line(&answer.to_string());
    } else if !is_done {
        Out::line(&refusal::in_words(&answer));
    } else {
        let text = |path: &str| answer.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let again = answer.get("again").and_then(Value::as_bool) == Some(true);
        let what = if again { "was refunded before" } else { "refunded" };
        Out::line(&format!(
            "{call} {what}: {} of {} in all, credit of {}",
            text("/refunded/amount"),
            text("/refunded/asset"),
            text("/refunded/to")
        ));
    }
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}
