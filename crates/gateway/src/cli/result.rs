//! `tollgate receipt result`: reads the result of a paid call again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tollgate_domain::ReceiptId;

use super::{FINDING, Out, call, connect, paying, refusal};
use crate::config::Environment;

const TIMEOUT_MS_MAX: u64 = 30_000;

#[derive(Debug, Args)]
pub(crate) struct ResultArgs {
    /// The receipt: rcpt_1…
    receipt: String,
    /// The file with the payment of the call: one line as an HTTP header, as `tollgate call --payment-to` writes it.
    #[arg(long, value_name = "FILE")]
    payment: Option<PathBuf>,
    /// A header such as "Authorization: Bearer ${KEY}" with the API key of the call; ${NAME} is read from the environment.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The gateway.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3100")]
    url: String,
    /// Print `{"result":…,"receipt":…}` and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
    #[serde(borrow, default)]
    receipt: Option<&'a RawValue>,
}

pub(crate) async fn result(args: ResultArgs) -> anyhow::Result<ExitCode> {
    let receipt: ReceiptId = args
        .receipt
        .parse()
        .context("a result is read by its receipt, rcpt_1…, as `tollgate call` shows it")?;
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    let mut headers: HeaderMap = connect::headers(&args.header, &environment)?;
    if let Some(file) = &args.payment {
        let (name, value) = kept_payment(file)?;
        headers.insert(name, value);
    }
    if headers.is_empty() {
        bail!(
            "a result is for whoever made the call: give its payment with --payment or its API key with --header"
        );
    }
    let url = format!("{}/api/v1/receipts/{receipt}/result", args.url.trim_end_matches('/'));
    let at = paying::endpoint(&url)?;
    let mut request = Request::get(at.clone()).body(Bytes::new())?;
    *request.headers_mut() = headers;
    let answer = paying::client(&at, TIMEOUT_MS_MAX).send(request).await;
    let answer = answer.with_context(|| {
        format!(
            "ask the gateway at {}: it has to be running; name it with --url",
            tollgate_egress::shown_url(&args.url)
        )
    })?;
    let body = std::str::from_utf8(answer.body()).context("the gateway answered no text")?;
    if !answer.status().is_success() {
        let said: Value = serde_json::from_str(body).unwrap_or_default();
        Out::problem(&refusal::in_words(&said));
        return Ok(ExitCode::from(FINDING));
    }
    let answered: Answered<'_> = serde_json::from_str(body).context("read the gateway's answer")?;
    if args.json {
        let receipt = answered.receipt.map_or("null", RawValue::get);
        Out::json(&format!("{{\"result\":{},\"receipt\":{receipt}}}", answered.result.get()));
    } else {
        Out::line(&call::text_of(answered.result.get()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The payment as it was kept. It is never printed.
fn kept_payment(file: &Path) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("read the payment in {}", file.display()))?;
    let header = text.trim().split_once(':').and_then(|(name, value)| {
        let mut value = HeaderValue::from_str(value.trim()).ok()?;
        value.set_sensitive(true);
        Some((name.trim().parse().ok()?, value))
    });
    header.with_context(|| {
        format!("{} is no payment: one line as `tollgate call --payment-to` writes it", file.display())
    })
}
