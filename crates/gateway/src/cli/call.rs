//! `tollgate call`: the paying client.

mod checked;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use http::HeaderValue;
use serde_json::{Map, Value, json};
use tollgate_payer::{Asked, Paid, PayError, PayingClient};

use self::checked::{Checked, Published};
use super::out::one_line;
use super::paying::{self, Funds};
use super::{CallArgs, FINDING, Out, receipt};
use crate::clock;
use crate::config::Environment;

/// How long a call may take.
const TIMEOUT_MS_MAX: u64 = 120_000;

pub(crate) async fn call(args: CallArgs) -> anyhow::Result<ExitCode> {
    let arguments = arguments(&args.arguments)?;
    let limit = Funds::Sandbox.assets()?.parse(&args.max).context("read --max")?;
    // Before anything is paid: a file that is there is not written over, and the payment would be lost.
    if let Some(file) = args.payment_to.as_deref().filter(|file| file.exists()) {
        bail!("{} is there already; name a new file for the payment. Nothing was paid", file.display());
    }
    let key = args.api_key_env.as_deref().map(api_key).transpose()?;
    let (mut payer, published) = payer(&args.url, &args.data)?;
    if let Some(key) = key {
        payer = payer.with_api_key(key);
    }
    let now = clock::now();
    let paid = match payer.ask(&args.tool, &arguments, &limit, now).await {
        Err(error) => Err(error),
        Ok(Asked::Answered(paid)) => Ok(paid),
        Ok(Asked::Priced(priced)) => {
            let terms = priced.terms();
            Out::note(&format!(
                "paying {} on {} by {} ({}) to {}",
                terms.money,
                terms.network,
                terms.rail,
                paying::kind_of_money(&terms.network, terms.is_sandbox),
                terms.recipient
            ));
            payer.pay(priced, clock::now()).await
        }
    };
    match paid {
        Ok(paid) => {
            // The result first, and what paid for it: whatever is wrong with the receipt, they are paid for.
            show(&paid, "paid", args.json);
            keep(&paid, args.payment_to.as_deref())?;
            let is_sound = tell_receipt(&paid, &published, &arguments, args.json).await;
            Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
        }
        Err(PayError::ToolFailed(paid)) => {
            // Whether it was kept, given back or never moved, the receipt says.
            show(&paid, "presented", args.json);
            tell_receipt(&paid, &published, &arguments, args.json).await;
            let of_payment =
                if paid.paid.is_some() { "; the receipt says what became of the payment" } else { "" };
            Out::problem(&format!("the tool failed{of_payment}"));
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
    let arguments = r#"{"city":"Oslo"}"#;
    let (payer, published) = payer(&url, data)?;
    let paid = payer.call("weather", arguments, &limit, clock::now()).await?;
    show(&paid, "paid", false);
    let receipt = paid.receipt.as_deref().context("the gateway gave no receipt")?;
    let checked = Checked::of(receipt, published.keys().await, arguments, &paid.result);
    tell(receipt, &checked, &published);
    if !matches!(checked, Checked::Valid(_)) {
        bail!("the receipt of the demo does not verify");
    }
    Out::line("the receipt verifies with the gateway's public key alone\n");
    Ok(())
}

/// Pays on the networks of dev mode only: sandbox USDC and regtest Lightning. A live network is refused. And where the keys of
/// receipts are published, asked over the same connections.
fn payer(url: &str, data: &Path) -> anyhow::Result<(PayingClient, Published)> {
    let at = paying::endpoint(url)?;
    let client = paying::client(&at, TIMEOUT_MS_MAX);
    let wallets = Funds::Sandbox.wallets(&at, data, client.clone())?;
    let published = Published::beside(&at, &client);
    let payer = PayingClient::new(client, url, wallets, Arc::new(paying::randomness()));
    Ok((payer.allow_networks_of(&Funds::Sandbox.assets()?), published))
}

/// The API key that a variable holds. On the command line itself everybody on this machine could read it.
fn api_key(name: &str) -> anyhow::Result<HeaderValue> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    // Not named: it may be a key that was written in place of a name.
    let key = environment.get(name).context(
        "--api-key-env gives the name of a variable with the key, never the key itself; neither the environment nor .env has one \
         of this name",
    )?;
    HeaderValue::from_str(key.trim()).ok().context("the variable that --api-key-env names holds no API key")
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

fn show(paid: &Paid, done: &str, as_json: bool) {
    if as_json {
        let receipt = paid.receipt.as_deref().unwrap_or("null");
        return Out::json(&format!("{{\"result\":{},\"receipt\":{receipt}}}", paid.result));
    }
    Out::line(&text_of(&paid.result));
    if let Some(with) = &paid.paid {
        let reference = with.reference.as_deref().map(|named| format!(", reference {}", one_line(named)));
        Out::line(&format!(
            "\n{done} {} on {} by {} ({}){}",
            with.money,
            with.network,
            with.rail,
            paying::kind_of_money(&with.network, with.is_sandbox),
            reference.unwrap_or_default()
        ));
    }
}

/// Checks the receipt, if there is one, and says what it says and whether that is to be believed. `false`: it is not what a gateway
/// gives for this call.
async fn tell_receipt(paid: &Paid, published: &Published, arguments: &str, as_json: bool) -> bool {
    let Some(receipt) = paid.receipt.as_deref() else { return true };
    let checked = Checked::of(receipt, published.keys().await, arguments, &paid.result);
    if !as_json {
        tell(receipt, &checked, published);
    } else if !matches!(checked, Checked::Valid(_)) {
        Out::problem(&checked.in_words(published));
    }
    !matches!(checked, Checked::Wrong(_))
}

fn tell(receipt: &str, checked: &Checked, published: &Published) {
    if let Some(statement) = unchecked(receipt) {
        Out::line(&receipt::said(&statement));
    }
    Out::line(&checked.in_words(published));
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

/// What a receipt says, whoever signed it: shown beside whether that is to be believed.
fn unchecked(receipt: &str) -> Option<Value> {
    use base64::Engine;
    let receipt: Value = serde_json::from_str(receipt).ok()?;
    let payload = receipt.pointer("/envelope/payload")?.as_str()?;
    let payload = base64::engine::general_purpose::STANDARD.decode(payload).ok()?;
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
    Out::problem(&explained(error));
    ExitCode::from(error.exit_code().code())
}

/// An error with its causes on one line, whoever chose the words, and the next step on another.
fn explained(error: &PayError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    match next_step(error) {
        Some(step) => format!("{}\nnext step: {}", one_line(&text), one_line(&step)),
        None => one_line(&text),
    }
}

/// What the server advises, or what helps whoever called.
fn next_step(error: &PayError) -> Option<String> {
    Some(match error {
        PayError::Refused { next_step, .. } => return next_step.clone(),
        PayError::Unreachable { .. } => {
            "start the gateway (tollgate dev), or name the endpoint with --url".to_owned()
        }
        PayError::NotMcp { .. } => {
            "name the MCP endpoint with --url: a gateway's is /mcp, or /servers/NAME/mcp".to_owned()
        }
        PayError::PriceAboveLimit { price, .. } => {
            format!("allow as much with --max {}", price.to_string().replace(' ', ""))
        }
        PayError::NoOffer { .. } => {
            "name with --max what it takes and this command pays: USDC of Base Sepolia, or sat of regtest"
                .to_owned()
        }
        PayError::NetworkNotAllowed { .. } => {
            "pay real money with `tollgate connect --live`, within a budget".to_owned()
        }
        PayError::NoWallet { .. } => {
            "name the folder with payer.key with --data; `tollgate dev` makes one".to_owned()
        }
        PayError::InDoubt { .. } => {
            "ask whoever runs the gateway for the call (`tollgate calls list`, GET /api/v1/calls/ID)"
                .to_owned()
        }
        PayError::Request(_)
        | PayError::ToolFailed(_)
        | PayError::UnsoundOffer(_)
        | PayError::Lightning(_)
        | PayError::WrongPreimage
        | PayError::PaymentRefused { .. }
        | PayError::NoRandomness(_) => return None,
    })
}

#[cfg(test)]
mod tests;
