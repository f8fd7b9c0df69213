//! `tollgate reconcile`: asks the running gateway to hold its books against chain and wallet.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::operator::{Asked, RunningGateway};
use super::out::one_line;
use super::{DataArgs, FINDING, Out, refusal};

#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// How many hours back.
    #[arg(long, value_name = "NUMBER", default_value_t = 24)]
    hours: u64,
    #[command(flatten)]
    gateway: RunningGateway,
    #[command(flatten)]
    data: DataArgs,
}

pub(crate) async fn reconcile(args: ReconcileArgs) -> anyhow::Result<ExitCode> {
    let path = format!("reconciliation?hours={}", args.hours);
    let asked = Asked { command: "tollgate reconcile", of: json!("reconciliation"), path: &path, body: None };
    let (is_done, answer) = args.gateway.ask(&args.data, asked).await?;
    Out::line(&if args.data.json { answer.to_string() } else { in_words(is_done, &answer) });
    let in_order = is_done && answer.get("in_order").and_then(Value::as_bool) == Some(true);
    Ok(if in_order { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

fn in_words(is_done: bool, answer: &Value) -> String {
    let of = |value: &Value, member: &str| match value.pointer(member) {
        Some(Value::String(text)) => one_line(text),
        None | Some(Value::Null) => "none".to_owned(),
        Some(other) => other.to_string(),
    };
    if !is_done {
        return refusal::in_words(answer);
    }
    let mut lines =
        vec![format!("payments since {}: {} compared", of(answer, "/since"), of(answer, "/compared"))];
    if answer.get("payouts_compared").and_then(Value::as_u64).is_some_and(|payouts| payouts > 0) {
        lines.push(format!("payouts: {} compared", of(answer, "/payouts_compared")));
    }
    for difference in answer.pointer("/differences").and_then(Value::as_array).into_iter().flatten() {
        let of = |member| of(difference, member);
        let (call, rail, reference, asset) = (of("/call_id"), of("/rail"), of("/reference"), of("/asset"));
        let (books, shown) = (of("/in_books"), of("/on_rail"));
        lines.push(match of("/kind").as_str() {
            "missing_on_rail" => {
                format!("missing on {rail}: {call}, {books} of {asset}, booked under {reference}")
            }
            "missing_in_books" => {
                format!("missing in the books: {shown} of {asset} from {} under {reference}", of("/payer"))
            }
            "amount_differs" => {
                format!(
                    "differs: {call}, {books} in the books and {shown} on {rail} of {asset} under {reference}"
                )
            }
            "payout_missing_on_rail" => format!(
                "missing on {rail}: payout {}, {books} of {asset}, booked under {reference}",
                of("/payout_id")
            ),
            "payout_amount_differs" => format!(
                "differs: payout {}, {books} in the books and {shown} on {rail} of {asset} under {reference}",
                of("/payout_id")
            ),
            "payout_in_doubt" => {
                format!("in doubt: payout {}, {books} of {asset}, {}", of("/payout_id"), of("/state"))
            }
            "payout_not_answered" => {
                format!("{rail} did not answer for payout {}: {}", of("/payout_id"), of("/reason"))
            }
            "in_doubt" => format!("in doubt: {call}, {books} of {asset}, {}", of("/state")),
            // Of no call: what came in on the rail was not told.
            _ if difference.get("call_id").is_none_or(Value::is_null) => {
                format!("{rail} did not say what came in: {}", of("/reason"))
            }
            _ => format!("{rail} did not answer for {call}: {}", of("/reason")),
        });
    }
    if answer.get("is_cut").and_then(Value::as_bool) == Some(true) {
        lines.push("there were more payments than are compared at once: ask for fewer --hours".to_owned());
    }
    if answer.get("in_order").and_then(Value::as_bool) == Some(true) {
        lines.push("books and rails agree".to_owned());
    }
    lines.join("\n")
}
