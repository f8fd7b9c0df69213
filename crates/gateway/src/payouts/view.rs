//! Payouts, balances and lists in JSON: the one form in which providers and operators see them.

use serde_json::{Value, json};
use tollgate_domain::{Asset, Assets, ServerName, UnixMillis};
use tollgate_ledger::Balances;
use tollgate_ledger::payout::{ListedDestination, PayoutRow, Source};

/// A payout. Its instruction is not shown: it may be a bearer secret.
pub(crate) fn payout(row: &PayoutRow, assets: &Assets) -> Value {
    let asset = assets.by_id(row.destination.asset());
    let (provider, server, wallet) = match &row.source {
        Source::Earned { provider, server, .. } => (Some(provider.as_str()), Some(server), None),
        Source::Credit { wallet, .. } => (None, None, Some(wallet)),
    };
    json!({
        "payout_id": row.id,
        "state": row.state.word(),
        "provider": provider,
        "server": server,
        "credit_of": wallet,
        "requested_by": row.source.asked_by(),
        "rail": row.destination.rail().word(),
        "destination": row.destination.to(),
        "amount": row.amount,
        "asset": row.destination.asset(),
        "symbol": asset.map(|asset| asset.symbol()),
        "display": asset.map(|asset| asset.display(row.amount)),
        "invoice": row.invoice.as_deref(),
        "reference": row.reference,
        "evidence": row.evidence,
        "approved_by": row.approved,
        "version": row.version,
        "created_at": row.created.to_string(),
        "updated_at": row.updated.to_string(),
    })
}

/// A listed destination, with when it can be used.
pub(crate) fn destination(listed: &ListedDestination, cool_off_ms: u64, now: UnixMillis) -> Value {
    let usable = listed.added.plus_millis(cool_off_ms);
    json!({
        "destination": listed.destination.to(),
        "rail": listed.destination.rail().word(),
        "asset": listed.destination.asset(),
        "listed_at": listed.added.to_string(),
        "listed_by": listed.by.to_string(),
        "usable_from": usable.to_string(),
        "usable": now >= usable,
    })
}

/// What a server has earned in an asset, and what became of it.
pub(crate) fn balance(server: &ServerName, asset: &Asset, balances: &Balances) -> Value {
    let available = balances.available();
    json!({
        "server": server,
        "asset": asset.id(),
        "symbol": asset.symbol(),
        "available": available.unwrap_or_default(),
        "display": asset.display(available.unwrap_or_default()),
        "overdrawn": available.is_none(),
        "earned": balances.credits_posted,
        "not_settled_yet": balances.credits_pending,
        "paid_out_or_refunded": balances.debits_posted,
        "reserved": balances.debits_pending,
    })
}
