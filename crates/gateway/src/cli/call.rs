//! `tollgate call`: the paying client.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use tollgate_attest::keys_from_jwks;
use tollgate_payer::{Asked, Paid, PayError, PayingClient};

use super::paying::{self, Funds};
use super::{CallArgs, Out, receipt};
use crate::clock;

/// How long a call may take.
const TIMEOUT_MS_MAX: u64 = 120_000;

pub(crate) async fn call(args: CallArgs) -> anyhow::Result<ExitCode> {
    let arguments = arguments(&args.arguments)?;
    let limit = Funds::Sandbox.assets()?.parse(&args.max).context("read --max")?;
    // Before anything is paid: a file that is there is not written over, and the payment would be lost.
    if let Some(file) = args.payment_to.as_deref().filter(|file| file.exists()) {
        bail!("{} is there already; name a new file for the payment. Nothing was paid", file.display());
    }
    let payer = payer(&args.url, &args.data)?;
    let now = clock::now();
    let asked = match payer.ask(&args.tool, &arguments, &limit, now).await {
        Ok(asked) => asked,
        Err(error) => return Ok(failed(&error)),
    };
    let paid = match asked {
        Asked::Answered(paid) => Ok(paid),
        Asked::Priced(priced) => {
            let terms = priced.terms();
            Out::note(&format!(
                "paying {} on {} by {} (SANDBOX) to {}",
                terms.money, terms.network, terms.rail, terms.recipient
            ));
            payer.pay(priced, clock::now()).await
        }
    };
    match paid {
        Ok(paid) => {
            // The result first: it is paid for.
            show(&paid, args.json)?;
            keep(&paid, args.payment_to.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(PayError::ToolFailed(paid)) => {
            show(&paid, args.json)?;
            Out::problem("the tool failed; the receipt says what became of the payment");
            Ok(ExitCode::from(PayError::ToolFailed(paid).exit_code().code()))
        }
        Err(error) => Ok(failed(&error)),
    }
}

/// The call that `tollgate dev --demo` makes: over the wire, as any client would, with the receipt checked against the
/// gateway's public key.
pub(crate) async fn demo(base_url: &str, data: &Path) -> anyhow::Result<()> {
    let url = format!("{base_url}/mcp");
    let limit = Funds::Sandbox.assets()?.parse("0.01USDC")?;
    Out::line(&format!("$ tollgate call weather city=Oslo --max 0.01USDC --url {url}"));
    let paid = payer(&url, data)?.call("weather", r#"{"city":"Oslo"}"#, &limit, clock::now()).await?;
    show(&paid, false)?;
    let jwks = http::Request::get(format!("{base_url}/.well-known/jwks.json")).body(bytes::Bytes::new())?;
    let jwks = paying::client(&paying::endpoint(&url)?, TIMEOUT_MS_MAX).send(jwks).await?;
    let keys = keys_from_jwks(std::str::from_utf8(jwks.body())?)?;
    let envelope = envelope(&paid)?;
    tollgate_attest::verify(&envelope, &keys).context("check the receipt")?;
    Out::line("the receipt verifies with the gateway's public key alone\n");
    Ok(())
}

/// Pays on the networks of dev mode only: sandbox USDC and regtest Lightning. A live network is refused.
fn payer(url: &str, data: &Path) -> anyhow::Result<PayingClient> {
    let at = paying::endpoint(url)?;
    let client = paying::client(&at, TIMEOUT_MS_MAX);
    let wallets = Funds::Sandbox.wallets(&at, data, client.clone())?;
    let payer = PayingClient::new(client, url, wallets, Arc::new(paying::randomness()));
    Ok(payer.allow_networks_of(&Funds::Sandbox.assets()?))
}

/// `key=value` pairs as one JSON object. A value that reads as JSON is JSON, anything else is text.
fn arguments(pairs: &[String]) -> anyhow::Result<String> {
    let mut object = Map::new();
    for pair in pairs {
        let Some((name, value)) = pair.split_once('=') else { bail!("{pair:?} is not KEY=VALUE") };
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        if object.insert(name.to_owned(), value).is_some() {
            bail!("{name} is given twice");
        }
    }
    Ok(Value::Object(object).to_string())
}

fn show(paid: &Paid, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let receipt = paid.receipt.as_deref().unwrap_or("null");
        Out::line(&format!("{{\"result\":{},\"receipt\":{receipt}}}", paid.result));
        return Ok(());
    }
    Out::line(&text_of(&paid.result));
    if let Some(with) = &paid.paid {
        let reference = with.reference.as_deref().unwrap_or("unnamed");
        Out::line(&format!(
            "\npaid {} on {} by {} (SANDBOX), reference {reference}",
            with.money, with.network, with.rail
        ));
    }
    if paid.receipt.is_some() {
        let envelope = envelope(paid)?;
        if let Some(statement) = unchecked(&envelope) {
            Out::line(&receipt::said(&statement));
        }
    }
    Ok(())
}

/// Writes the payment into a new file that nobody else may read.
fn keep(paid: &Paid, file: Option<&Path>) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let (Some(file), Some(with)) = (file, &paid.paid) else { return Ok(()) };
    let mut open = OpenOptions::new();
    let opened = open.write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut file| writeln!(file, "{}", with.proof.expose()));
    written.with_context(|| format!("write the payment to {}", file.display()))
}

fn envelope(paid: &Paid) -> anyhow::Result<String> {
    let receipt = paid.receipt.as_deref().context("the gateway gave no receipt")?;
    let receipt: Value = serde_json::from_str(receipt).context("read the receipt")?;
    Ok(receipt.get("envelope").context("the receipt has no envelope")?.to_string())
}

/// What a receipt says before its signature is checked: shown, never relied on.
fn unchecked(envelope: &str) -> Option<Value> {
    use base64::Engine;
    let envelope: Value = serde_json::from_str(envelope).ok()?;
    let payload =
        base64::engine::general_purpose::STANDARD.decode(envelope.get("payload")?.as_str()?).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// The text blocks of a result, or all of it where it has none.
pub(super) fn text_of(result: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(result).ok();
    let texts: Vec<&str> = parsed
        .iter()
        .filter_map(|result| result.get("content")?.as_array())
        .flatten()
        .filter_map(|block| block.get("text")?.as_str())
        .collect();
    if texts.is_empty() { result.to_owned() } else { texts.join("\n") }
}

fn failed(error: &PayError) -> ExitCode {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    if let PayError::Refused { next_step: Some(step), .. } = error {
        text.push_str(&format!("\nnext step: {step}"));
    }
    Out::problem(&text);
    ExitCode::from(error.exit_code().code())
}
