//! `tollgate refund`: asks the running gateway, which alone seals receipts, to give back what was kept of a call.

use std::process::ExitCode;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::Request;
use serde_json::{Value, json};
use tollgate_domain::{AdminKeyId, CallId};
use tollgate_egress::{Client, Limits, Policy};
use tollgate_store::{AdminKeyRecord, ControlStore};
use tollgate_trust::AdminKey;

use super::keys::told;
use super::{DataArgs, FINDING, Out};
use crate::clock;

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
    /// The running gateway.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3100")]
    url: String,
    #[command(flatten)]
    data: DataArgs,
}

pub(crate) async fn refund(args: RefundArgs) -> anyhow::Result<ExitCode> {
    let call: CallId = args.call.parse().context("a refund is for a call: call_1…")?;
    if !args.data.data.is_dir() {
        bail!("{} is no data directory; name it with --data", args.data.data.display());
    }
    // Whoever has the data directory may make admin keys: this one lives as long as the request.
    let control = ControlStore::open_shared(&args.data.data)?;
    let secret = AdminKey::from_random(clock::random()?);
    let created = clock::now();
    let id = AdminKeyId::new(created, clock::random()?);
    let name = "tollgate refund".to_owned();
    let made = told("create_admin_key", id, &json!({ "name": name, "for": call }));
    let new = AdminKeyRecord { id, name, hash: secret.hash(), created, revoked: None };
    control.create_admin_key(new, made).await?;
    let asked = ask(&args, call, secret.expose()).await;
    control.revoke_admin_key(id, told("revoke_admin_key", id, &json!({ "revoked": true }))).await?;
    let (is_done, answer) = asked?;
    if args.data.json || !is_done {
        Out::line(&answer.to_string());
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

async fn ask(args: &RefundArgs, call: CallId, secret: &str) -> anyhow::Result<(bool, Value)> {
    let url: http::Uri = format!("{}/admin/v1/refunds", args.url.trim_end_matches('/')).parse()?;
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
    // The operator named it.
    let policy = Policy::public().allow_endpoint(url.host().unwrap_or_default(), port);
    let body = match args.amount {
        Some(amount) => {
            json!({ "call_id": call, "reason": args.reason, "id": args.id, "amount": amount.to_string() })
        }
        None => json!({ "call_id": call, "reason": args.reason, "id": args.id }),
    };
    let request = Request::post(url)
        .header("authorization", format!("Bearer {secret}"))
        .header("content-type", "application/json")
        .body(Bytes::from(body.to_string()))?;
    let answered = Client::new(policy, Limits::default()).send(request).await;
    let answer = answered.with_context(|| {
        format!(
            "ask the gateway at {}: a refund is sealed by the gateway that runs; name it with --url",
            args.url
        )
    })?;
    let is_done = answer.status().is_success();
    Ok((is_done, serde_json::from_slice(answer.body()).unwrap_or_default()))
}
