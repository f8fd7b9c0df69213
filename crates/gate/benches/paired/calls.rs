//! The calls of the load: one body for everybody, and payments that are signed for it ahead.

use std::collections::HashMap;
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tollgate_domain::UnixMillis;
use tollgate_rails::evm::SigningKey;
use tollgate_rails::x402::sign_payment;
use tollgate_testkit::http::{self, Answer, HttpError};
use tollgate_testkit::wrk::{Report, Request};

use crate::gateway::Gateway;

const ARGUMENTS: &str = include_str!("../gate/arguments.json");
const MODERN: &str = "2026-07-28";
const WALLETS: u8 = 16;
/// What each wallet is given, in atomic units of the sandbox token; a call costs one.
const FUNDS: u64 = 1_000_000_000;
/// Payments for the first slice; later ones know better.
const FIRST_PAYMENTS: u64 = 12_000;

/// Wallets, and how many payments a slice takes.
pub(crate) struct Payments {
    wallets: Vec<SigningKey>,
    /// By connections.
    needed: HashMap<u32, u64>,
}

/// A POST of some 1.9 KB, with a payment in its `_meta` or without.
pub(crate) fn call(payment: Option<&str>) -> Request {
    let meta = payment.map(|payment| format!(r#","_meta":{{"x402/payment":{payment}}}"#)).unwrap_or_default();
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    Request {
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{ARGUMENTS}{meta}}}}}"#
        ),
    }
}

/// A message of the same size that no policy is about.
pub(crate) fn ping() -> Request {
    let call = call(None);
    Request { headers: call.headers, body: call.body.replacen("tools/call", "ping", 1) }
}

/// The same of the era without sessions, under the tool's name at a federated door.
pub(crate) fn modern(tool: &str) -> Request {
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", MODERN),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", tool),
    ];
    let meta = format!(
        r#"{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"0"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    );
    Request {
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{ARGUMENTS},"_meta":{meta}}}}}"#
        ),
    }
}

/// The body with which a program that runs the tool itself asks whether it may, for a caller with this API key.
pub(crate) fn held(tool: &str, api_key: &str) -> String {
    format!(r#"{{"tool":"elsewhere/{tool}","arguments":{ARGUMENTS},"api_key":"{api_key}","auto_pay":true}}"#)
}

/// Sends one prepared call.
pub(crate) async fn send(url: &str, request: &Request) -> Result<Answer, HttpError> {
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http::send(::http::Method::POST, url, &headers, request.body.clone()).await
}

impl Payments {
    /// Wallets with money in the gateway's sandbox.
    pub(crate) async fn funded_at(gateway: &Gateway) -> Result<Self, Box<dyn Error>> {
        let mut wallets = Vec::new();
        for wallet in 1..=WALLETS {
            let wallet = SigningKey::from_bytes(&[wallet; 32])?;
            let mint = json!({"address": wallet.address().to_string(), "amount": FUNDS.to_string()});
            let answer = http::post_json(&gateway.at("/dev/sandbox/mint"), &[], &mint).await?;
            if answer.status != 200 {
                return Err(format!("mint sandbox money: {} {}", answer.status, answer.text()).into());
            }
            wallets.push(wallet);
        }
        Ok(Self { wallets, needed: HashMap::new() })
    }

    /// As many paid calls as a slice with so many connections may take.
    pub(crate) async fn calls_for_a_slice(
        &self,
        gateway: &Gateway,
        connections: u32,
    ) -> Result<Vec<Request>, Box<dyn Error>> {
        let needed = self.needed.get(&connections).copied().unwrap_or(FIRST_PAYMENTS);
        self.calls(gateway, usize::try_from(needed)?).await
    }

    /// Remembers what a slice took, with room for a faster one.
    pub(crate) fn learn(&mut self, connections: u32, report: &Report) {
        let room = if report.exhausted { 3 * report.requests } else { report.requests + report.requests / 2 };
        let needed = self.needed.entry(connections).or_default();
        *needed = (*needed).max(room + 500);
    }

    /// Paid calls, each with a payment of its own. One demand is signed many times: nonces make the payments differ.
    pub(crate) async fn calls(
        &self,
        gateway: &Gateway,
        count: usize,
    ) -> Result<Vec<Request>, Box<dyn Error>> {
        let demand = send(&gateway.paid_url(), &call(None)).await?.json()?;
        let entry =
            demand.pointer("/error/data/x402/accepts/0").ok_or("the demand offers no x402")?.to_string();
        let now = now();
        let turns = self.wallets.iter().cycle().take(count);
        turns.map(|wallet| Ok(call(Some(&sign_payment(&entry, None, wallet, random()?, now)?)))).collect()
    }

    /// How many units all wallets have spent.
    pub(crate) async fn spent(&self, gateway: &Gateway) -> Result<u64, Box<dyn Error>> {
        let mut spent = 0;
        for wallet in &self.wallets {
            let path = format!("/dev/sandbox/balances/{}", wallet.address());
            let balance = http::get(&gateway.at(&path), &[]).await?.json()?;
            let balance = balance.get("amount").and_then(Value::as_str).ok_or("a wallet has no balance")?;
            spent += FUNDS - balance.parse::<u64>()?;
        }
        Ok(spent)
    }
}

fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[expect(clippy::disallowed_methods, reason = "the edge of the bench")]
fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
