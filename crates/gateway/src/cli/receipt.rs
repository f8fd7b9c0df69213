//! What a receipt says and whether it is to be believed: `tollgate receipt verify`, offline, with a public key alone.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tollgate_attest::{PublicKey, Signer, Verified, VerifyError, keys_from_jwks, verify};

use super::out::one_line;
use super::{FINDING, Out, VerifyArgs};
use crate::data::DataDirectory;

/// What a call returns: the envelope and, for the parties, the salts of its digests.
#[derive(Deserialize)]
struct Given<'a> {
    #[serde(borrow)]
    envelope: &'a RawValue,
    #[serde(default)]
    salts: Option<Salts>,
}

/// What `tollgate call --json` prints, and the REST API answers.
#[derive(Deserialize)]
struct Printed<'a> {
    #[serde(borrow)]
    receipt: Given<'a>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Salts {
    args: String,
    result: String,
}

pub(crate) fn verify_file(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let VerifyArgs { file, keys, data, arguments, result, json } = args;
    let text = read(&file)?;
    let keys = public_keys(keys.as_deref(), &data)?;
    let (given, beside) = given(&text);
    let envelope = given.as_ref().map_or(text.as_str(), |given| given.envelope.get());
    let verified = match verify(envelope, &keys) {
        Ok(verified) => verified,
        Err(error) => {
            Out::problem(&format!("the receipt does not verify: {error}"));
            if matches!(error, VerifyError::Envelope(_)) {
                Out::note(
                    "name a file with what `tollgate call --json` printed, its receipt, or an envelope",
                );
            }
            return Ok(ExitCode::from(FINDING));
        }
    };
    let salts = given.and_then(|given| given.salts);
    if let Some(path) = arguments
        && !is_of_arguments(&verified, salts.as_ref(), read(&path)?.trim())?
    {
        Out::problem("these are not the arguments of the receipt");
        return Ok(ExitCode::from(FINDING));
    }
    if let Some(path) = result
        && !is_of_result(&verified, salts.as_ref(), read(&path)?.trim())?
    {
        Out::problem("this is not the result of the receipt");
        return Ok(ExitCode::from(FINDING));
    }
    let statement: Value = serde_json::from_str(verified.payload())?;
    let is_delivered = statement.get("outcome").is_some_and(|outcome| outcome == "delivered");
    // Whoever is handed the file reads the result in it. What came of a tool that failed is told in other words at some doors.
    let of_other = match beside.filter(|_| is_delivered && salts.is_some()) {
        Some(beside) => !is_of_result(&verified, salts.as_ref(), beside.get())?,
        None => false,
    };
    if of_other {
        Out::problem(
            "the result in this file is not the one of the receipt: somebody changed it, or a gateway in front of several \
             servers put links of its own into it",
        );
        Out::note(
            "ask whoever gave you the file for the result itself; the receipt alone can be verified without it",
        );
        return Ok(ExitCode::from(FINDING));
    }
    if json {
        Out::json(verified.payload());
    } else {
        Out::line(&said(&statement));
        Out::line(&format!("valid: signed by {}", verified.place().gateway));
    }
    Ok(ExitCode::SUCCESS)
}

/// A receipt that one of these keys signed, and that is about the call with these arguments.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct OfCall {
    /// The gateway that signed it: a `did:key`.
    pub(super) gateway: String,
    /// Whether its result is this one.
    pub(super) is_of_result: bool,
}

/// Checks the receipt `{envelope, salts}` that a call returned, as its party.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_of_call(
    receipt: &str,
    keys: &[PublicKey],
    arguments: &str,
    result: &str,
) -> anyhow::Result<OfCall> {
    let given: Given<'_> = serde_json::from_str(receipt).context("it cannot be read")?;
    let verified = verify(given.envelope.get(), keys)?;
    let salts = given.salts.as_ref();
    if !is_of_arguments(&verified, salts, arguments)? {
        bail!("it is about a call with other arguments");
    }
    let is_of_result = is_of_result(&verified, salts, result)?;
    Ok(OfCall { gateway: verified.place().gateway.clone(), is_of_result })
}

fn is_of_arguments(verified: &Verified, salts: Option<&Salts>, arguments: &str) -> anyhow::Result<bool> {
    let salt = salt(salts.map(|salts| salts.args.as_str()))?;
    let canonical = tollgate_mcp::canonical::canonical(arguments.as_bytes())?;
    Ok(verified.matches_arguments(&salt, &canonical))
}

fn is_of_result(verified: &Verified, salts: Option<&Salts>, result: &str) -> anyhow::Result<bool> {
    let salt = salt(salts.map(|salts| salts.result.as_str()))?;
    let canonical = tollgate_mcp::canonical::canonical_without(result.as_bytes(), &["_meta"])?;
    Ok(verified.matches_result(&salt, &canonical))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// The receipt in a file, and the result beside it.
fn given(text: &str) -> (Option<Given<'_>>, Option<&RawValue>) {
    match serde_json::from_str::<Printed<'_>>(text) {
        Ok(printed) => (Some(printed.receipt), printed.result),
        Err(_) => (serde_json::from_str(text).ok(), None),
    }
}

fn salt(hexadecimal: Option<&str>) -> anyhow::Result<[u8; 16]> {
    let Some(text) = hexadecimal else {
        bail!("the file has no salts: only the parties of a call are given them")
    };
    let mut salt = [0; 16];
    hex::decode_to_slice(text, &mut salt).context("read the salt")?;
    Ok(salt)
}

fn public_keys(file: Option<&Path>, data: &Path) -> anyhow::Result<Vec<PublicKey>> {
    if let Some(file) = file {
        return keys_from_jwks(&read(file)?).with_context(|| format!("read the keys in {}", file.display()));
    }
    if !data.join("receipts.key").exists() {
        bail!(
            "no --keys given and no key in {}; save the gateway's /.well-known/jwks.json and pass it",
            data.display()
        );
    }
    Ok(vec![own_key(data)?])
}

/// The public key of the receipts of the gateway with this data directory.
pub(crate) fn own_key(data: &Path) -> anyhow::Result<PublicKey> {
    Ok(Signer::from_seed(&DataDirectory::open(data)?.key("receipts.key")?)?.public())
}

/// A receipt's statement for people, from its payload.
pub(crate) fn said(payload: &Value) -> String {
    if payload.get("kind").is_some() {
        return said_of_escrow(payload);
    }
    let text = |pointer: &str| one_line(payload.pointer(pointer).and_then(Value::as_str).unwrap_or("none"));
    let charged = if payload.pointer("/charged").and_then(Value::as_bool) == Some(true) {
        "charged"
    } else {
        "not charged"
    };
    let price = match payload.get("price") {
        None => "free".to_owned(),
        Some(_) => {
            format!(
                "{} atomic units of {} by {}",
                text("/price/amount"),
                text("/price/asset"),
                text("/price/rail")
            )
        }
    };
    let number = payload.get("seq").map_or_else(|| "none".to_owned(), Value::to_string);
    let mut lines = vec![
        format!(
            "receipt    {} (number {number} of its key, {})",
            text("/receipt_id"),
            text("/mode").to_uppercase()
        ),
        format!("call       {} at {}", text("/call_id"), text("/ts")),
        format!("tool       {}/{}", text("/tool/server"), text("/tool/name")),
        format!("caller     {}", text("/caller/principal")),
        format!("outcome    {}, {charged}, settlement {}", text("/outcome"), text("/settlement")),
        format!("price      {price}"),
    ];
    // Of a price by the size of the result a part is charged, and an operator may give some of it back.
    for (member, label) in [("/amount_charged", "of it kept"), ("/refunded", "went back")] {
        if let Some(amount) = payload.pointer(member).and_then(Value::as_str) {
            lines.push(format!("{label:<10} {} atomic units", one_line(amount)));
        }
    }
    if payload.get("escrow_id").is_some() {
        lines.push(format!("escrow     {}", text("/escrow_id")));
    }
    lines.push(format!("reference  {}", text("/payment_ref")));
    lines.join("\n")
}

/// The same of money that an escrow moved.
fn said_of_escrow(payload: &Value) -> String {
    let text = |pointer: &str| one_line(payload.pointer(pointer).and_then(Value::as_str).unwrap_or("none"));
    let number = |pointer: &str| payload.pointer(pointer).map_or_else(|| "none".to_owned(), Value::to_string);
    let mut lines = vec![
        format!(
            "receipt    {} (number {} of its key, {})",
            text("/receipt_id"),
            number("/seq"),
            text("/mode").to_uppercase()
        ),
        format!("escrow     {} at {}, version {}", text("/escrow_id"), text("/ts"), number("/version")),
        format!("call       {}", text("/call_id")),
        format!("event      {} by {}, now {}", text("/event"), text("/by"), text("/state")),
        format!("parties    {} pays {}", text("/payer"), text("/provider")),
    ];
    for movement in payload.get("movements").and_then(Value::as_array).into_iter().flatten() {
        let of = |name: &str| one_line(movement.get(name).and_then(Value::as_str).unwrap_or("none"));
        let (amount, from, to) = (of("amount"), of("from"), of("to"));
        lines.push(format!("moved      {amount} atomic units of {} from {from} to {to}", text("/asset")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
