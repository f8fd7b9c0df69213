//! `GET /api/v1/payments/spending/{agent_id}`: what an agent has spent, and what it may still spend.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tollgate_domain::{Amount, KeyId, Period, Principal};
use tollgate_gate::{Denial, Fault, Refusal};
use tollgate_ledger::budget::Target;
use tollgate_ledger::{AccountName, LedgerStore, Spent, StoreError};
use tollgate_trust::admin_presented;

use super::{denied_plainly, key_holder, plain, refused};
use crate::clock;
use crate::doors::Peer;
use crate::doors::asked::Segments;
use crate::doors::execute::into_response;
use crate::doors::holder::bearer;
use crate::doors::metrics::is_near;
use crate::gateway::Gateway;
use crate::spending::{Allowance, allowance};

/// What one agent has spent, for itself or for an operator.
pub(super) async fn spending(
    State(gateway): State<Arc<Gateway>>,
    axum::Extension(peer): axum::Extension<Peer>,
    Segments(agent_id): Segments<String>,
    headers: HeaderMap,
) -> Response {
    let answered = async {
        let agent = permitted(&gateway, peer, &headers, &agent_id).await?;
        told(&gateway, &agent).await.map_err(|error| Refused::Faulted(store_fault(&error)))
    };
    into_response(match answered.await {
        Ok(body) => plain(StatusCode::OK, &body),
        Err(Refused::Denied(denial)) => denied_plainly(&gateway, &denial),
        Err(Refused::Faulted(fault)) => refused(&gateway, &Refusal::faulted(fault), ""),
    })
}

enum Refused {
    Denied(Denial),
    Faulted(Fault),
}

/// The agent, if whoever asks may know: an operator, or the agent itself. Nobody learns whether another agent exists.
async fn permitted(
    gateway: &Gateway,
    peer: Peer,
    headers: &HeaderMap,
    agent_id: &str,
) -> Result<Principal, Refused> {
    let agent = agent_id.parse::<KeyId>().ok().and_then(|id| id.to_string().parse::<Principal>().ok());
    if is_admin(gateway, peer, headers).await? {
        return agent.ok_or(Refused::Denied(Denial::NotYours));
    }
    let caller = key_holder(gateway, headers).map_err(Refused::Denied)?.principal();
    agent.filter(|agent| *agent == caller).ok_or(Refused::Denied(Denial::NotYours))
}

/// Whether an admin key is shown from where admin keys are taken.
async fn is_admin(gateway: &Gateway, peer: Peer, headers: &HeaderMap) -> Result<bool, Refused> {
    let Some(presented) = bearer(headers) else { return Ok(false) };
    if !gateway.config.admin.remote && !is_near(peer.address, headers) {
        return Ok(false);
    }
    let keys = gateway.foundation.control.admin_keys().await;
    let mut keys = keys.map_err(|error| Refused::Faulted(store_fault(&error)))?;
    keys.retain(|key| key.revoked.is_none());
    Ok(admin_presented(presented, &keys, |key| &key.hash).is_some())
}

async fn told(gateway: &Gateway, agent: &Principal) -> Result<Value, StoreError> {
    let now = clock::now();
    let (day, month) = (Period::Day.start(now), Period::Month.start(now));
    let store = &gateway.gate.ports().store;
    let spent = store.spent(agent, [day, month]).await?;
    let account = AccountName::Credit(agent.clone());
    let mut assets = Vec::new();
    for asset in gateway.config.assets.iter() {
        let nothing = [Amount::ZERO; 2];
        let none =
            Spent { asset: asset.id().clone(), since: nothing, ever: Amount::ZERO, reserved: Amount::ZERO };
        let of = spent.iter().find(|spent| spent.asset == *asset.id()).unwrap_or(&none);
        let available = store.balance(&account, asset.id()).await?.available().unwrap_or_default();
        let [today, this_month] = of.since;
        assets.push(json!({
            "asset": asset.id(), "symbol": asset.symbol(), "decimals": asset.decimals(),
            "today": today, "this_month": this_month, "ever": of.ever, "reserved": of.reserved,
            "display": {
                "today": asset.display(today), "this_month": asset.display(this_month),
                "ever": asset.display(of.ever), "reserved": asset.display(of.reserved),
            },
            "limits": limits(&allowance(gateway, agent, asset.id(), now).await?, available),
        }));
    }
    Ok(json!({
        "agent_id": agent, "spending": assets, "today_since": day.to_string(),
        "this_month_since": month.to_string(), "mode": gateway.foundation.mode.word(),
    }))
}

/// What bounds an agent in one asset. Credit cannot be overdrawn: what is left of it is a limit too.
fn limits(allowance: &Allowance, credit: Amount) -> Value {
    let windows = allowance.windows.iter().filter_map(|line| {
        let limit = line.limit?;
        Some(json!({
            "node": line.node.path(), "window": line.span.word(), "limit": limit, "used": line.used,
            "left": line.left(), "resets_at": line.resets.to_string(),
        }))
    });
    let windows: Vec<Value> = windows.collect();
    // As the refusal names it.
    let stopped = allowance.stopped.as_ref().map(|target| match target {
        Target::Everything => "everything",
        Target::Node(path) => path,
        Target::Caller(_) => "caller",
    });
    json!({
        "credit_available": credit, "per_call": allowance.per_call, "approve_above": allowance.approve_above,
        "windows": windows, "left": allowance.left(), "stopped": stopped,
    })
}

fn store_fault(error: &StoreError) -> Fault {
    match error {
        StoreError::Busy | StoreError::NoSpace => Fault::StoreBusy,
        other => Fault::Internal(other.to_string()),
    }
}
