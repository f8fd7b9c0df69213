//! What a caller has, and what is proved about calls.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_attest::verify as verify_envelope;
use tollgate_domain::{CallId, Principal, ReceiptId};
use tollgate_gate::Denial;
use tollgate_ledger::{AccountName, CallHistory, LedgerStore};

use super::Refused;
use crate::gateway::Gateway;

const LIMIT: u32 = 20;
/// The longest page.
const LIMIT_MAX: u32 = 100;

/// Prepaid credit in each asset of this gateway.
pub(super) async fn balance(gateway: &Gateway, owner: &Principal) -> Result<Value, Refused> {
    let account = AccountName::Credit(owner.clone());
    let mut balances = Vec::new();
    for asset in gateway.config.assets.iter() {
        let stands = gateway.gate.ports().store.balance(&account, asset.id()).await?;
        let available = stands.available().unwrap_or_default();
        balances.push(json!({
            "asset": asset.id(), "symbol": asset.symbol(), "decimals": asset.decimals(),
            "available": available, "display": asset.display(available),
            "reserved": stands.debits_pending, "spent": stands.debits_posted,
        }));
    }
    Ok(json!({ "owner": owner, "balances": balances, "mode": gateway.foundation.mode.word() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Latest {
    limit: u32,
    /// The `next_before` of the page before.
    before: Option<String>,
}

impl Default for Latest {
    fn default() -> Self {
        Self { limit: LIMIT, before: None }
    }
}

/// The latest paid calls of one caller, and of nobody else.
pub(super) async fn receipts(
    gateway: &Gateway,
    owner: &Principal,
    latest: &Latest,
) -> Result<Value, Refused> {
    let before = latest.before.as_deref().map(str::parse::<CallId>).transpose();
    let before = before.map_err(|_| {
        Refused::Denied(Denial::InvalidArguments(vec!["`before` is the `next_before` of a page".to_owned()]))
    })?;
    let limit = latest.limit.clamp(1, LIMIT_MAX);
    // One more, to know whether there is another page.
    let mut calls = gateway.gate.ports().store.calls_of(owner, before, limit.saturating_add(1)).await?;
    let is_cut = calls.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    calls.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = calls.last().map(|call| call.call).filter(|_| is_cut);
    let own = calls.into_iter().filter_map(|call| {
        let paid = call.paid?;
        let asset = gateway.config.assets.iter().find(|asset| *asset.id() == paid.asset);
        Some(json!({
            "call_id": call.call, "receipt_id": call.receipt, "server": paid.tool.server, "tool": paid.tool.tool,
            "amount": paid.amount, "asset": paid.asset, "display": asset.map(|asset| asset.display(paid.amount)),
            "state": paid.state.word(), "at": paid.claimed.to_string(),
        }))
    });
    let own: Vec<Value> = own.collect();
    Ok(
        json!({ "owner": owner, "receipts": own, "next_before": next, "mode": gateway.foundation.mode.word() }),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    receipt_id: String,
}

/// The sealed envelope. Its id is a secret of the parties: whoever knows it may see it, as at the HTTP API.
pub(super) async fn receipt(gateway: &Gateway, which: &Which) -> Result<Value, Refused> {
    let unknown = || Refused::NotFound("This gateway knows no such receipt; check the id.");
    let id: ReceiptId = which.receipt_id.parse().map_err(|_| unknown())?;
    let envelope = gateway.gate.ports().store.receipt(&id).await?.ok_or_else(unknown)?;
    let envelope: Value = serde_json::from_str(&envelope).unwrap_or_default();
    Ok(json!({ "receipt_id": id, "envelope": envelope }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given<'a> {
    #[serde(borrow)]
    receipt: &'a RawValue,
}

/// What a call returns beside its result.
#[derive(Deserialize)]
struct Returned<'a> {
    #[serde(borrow)]
    envelope: &'a RawValue,
}

/// Whether a receipt is one of this gateway's, with the keys it has and those it had.
pub(super) async fn verify(gateway: &Gateway, given: &Given<'_>) -> Result<Value, Refused> {
    let returned: Option<Returned<'_>> = serde_json::from_str(given.receipt.get()).ok();
    let envelope = returned.map_or(given.receipt.get(), |returned| returned.envelope.get());
    let mut keys = gateway.foundation.receipt_keys.clone();
    keys.extend(gateway.gate.ports().store.signers().await?);
    Ok(match verify_envelope(envelope, &keys) {
        Ok(verified) => {
            let statement: Value = serde_json::from_str(verified.payload()).unwrap_or_default();
            json!({ "valid": true, "signed_by": verified.place().gateway, "statement": statement })
        }
        Err(error) => json!({ "valid": false, "reason": error.to_string() }),
    })
}
