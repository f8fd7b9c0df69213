//! Budgets for people: what is used and left, as JSON and as lines.

use serde_json::{Value, json};
use tollgate_domain::{Amount, AssetId, Assets, Caller, Labels, Principal, UnixMillis};
use tollgate_ledger::budget::{self, Approval, Ask, Branch, Plan, Spender, Spent, Stops, Target};
use tollgate_ledger::{LedgerStore, StoreError};
use tollgate_store::Store;
use tollgate_trust::KeyDirectory;

use crate::gateway::Gateway;

fn ids(assets: &Assets) -> Vec<AssetId> {
    assets.iter().map(|asset| asset.id().clone()).collect()
}

/// What bounds one caller whatever it calls, and how much of it is used.
///
/// # Errors
/// When the books cannot be read.
pub async fn of_caller(
    gateway: &Gateway,
    principal: &Principal,
    now: UnixMillis,
) -> Result<Vec<Spent>, StoreError> {
    let labels = labels(gateway, principal);
    let spender = Spender { caller: principal.caller(), principal, labels: &labels, tool: None };
    let ports = gateway.gate.ports();
    budget::spending(&ports.store, &gateway.config.budgets, &spender, &ids(&gateway.config.assets), now).await
}

fn labels(gateway: &Gateway, principal: &Principal) -> Labels {
    match principal.caller() {
        Caller::ApiKey(id) => gateway.foundation.keys.labels(&id),
        Caller::Anonymous | Caller::Wallet(_) | Caller::Preimage(_) => Labels::default(),
    }
}

/// What one caller may spend in one asset whatever it calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// The most that one call may cost.
    pub per_call: Option<Amount>,
    /// Above which a call waits for an operator.
    pub approve_above: Option<Amount>,
    /// Every window that bounds the caller.
    pub windows: Vec<Spent>,
    /// What has stopped its spending.
    pub stopped: Option<Target>,
}

impl Allowance {
    /// What may be spent now before some limit is reached: nothing of what is stopped, `None` where nothing bounds it.
    pub fn left(&self) -> Option<Amount> {
        let windows = self.windows.iter().filter_map(Spent::left);
        windows.chain(self.stopped.as_ref().map(|_| Amount::ZERO)).min()
    }
}

/// Everything that bounds what one caller spends in one asset, whatever it calls.
pub(crate) fn ask(gateway: &Gateway, principal: &Principal, asset: &AssetId) -> Ask {
    let labels = labels(gateway, principal);
    let spender = Spender { caller: principal.caller(), principal, labels: &labels, tool: None };
    gateway.config.budgets.ask(&spender, asset)
}

/// What one caller may spend in one asset whatever it calls.
///
/// # Errors
/// When the books cannot be read.
pub async fn allowance(
    gateway: &Gateway,
    principal: &Principal,
    asset: &AssetId,
    now: UnixMillis,
) -> Result<Allowance, StoreError> {
    let ask = ask(gateway, principal, asset);
    let store = &gateway.gate.ports().store;
    let usages = store.usages(ask.counters(asset).map(|(counter, ..)| counter).collect()).await?;
    Ok(Allowance {
        per_call: ask.nodes.iter().filter_map(|node| node.per_call).min(),
        approve_above: ask.nodes.iter().filter_map(|node| node.approve_above).min(),
        windows: budget::spent(&ask, asset, &usages, now),
        stopped: store.stops().await?.holding(&ask, principal),
    })
}

/// What is used of a node that all its callers share; nothing of one in which each has counters of its own.
///
/// # Errors
/// When the books cannot be read.
pub async fn of_node(
    store: &Store,
    plan: &Plan,
    branch: &Branch,
    assets: &Assets,
    now: UnixMillis,
) -> Result<Vec<Spent>, StoreError> {
    let mut all = Vec::new();
    if branch.each.is_some() {
        return Ok(all);
    }
    for asset in ids(assets) {
        let ask = Ask { calendar: plan.calendar, nodes: branch.shared(&asset).into_iter().collect() };
        let counters = ask.counters(&asset).map(|(counter, _, _)| counter).collect();
        let usages = store.usages(counters).await?;
        all.extend(budget::spent(&ask, &asset, &usages, now));
    }
    Ok(all)
}

/// Every node with what is used of it.
///
/// # Errors
/// When the books cannot be read.
pub async fn budgets_json(
    store: &Store,
    plan: &Plan,
    assets: &Assets,
    now: UnixMillis,
) -> Result<Vec<Value>, StoreError> {
    let mut nodes = Vec::new();
    for branch in plan.paths() {
        let spent = of_node(store, plan, branch, assets, now).await?;
        let windows: Vec<Value> = spent.iter().map(|line| spent_json(line, assets)).collect();
        nodes.push(json!({ "node": branch.path, "kind": branch.kind.word(), "windows": windows }));
    }
    Ok(nodes)
}

/// One window.
pub fn spent_json(line: &Spent, assets: &Assets) -> Value {
    let shown = |amount| assets.by_id(&line.asset).map(|asset| asset.display(amount));
    json!({
        "node": line.node.path(),
        "window": line.span.word(),
        "asset": line.asset,
        "used": line.used,
        "limit": line.limit,
        "left": line.left(),
        "warn": line.warn,
        "used_shown": shown(line.used),
        "limit_shown": line.limit.and_then(shown),
        "resets_at": line.resets.to_string(),
    })
}

/// What is stopped.
pub fn stops_json(stops: &Stops) -> Vec<Value> {
    let stop = |(target, stop): (&budget::Target, &budget::Stop)| {
        json!({
            "target": target.to_string(), "reason": stop.reason, "by": stop.by, "at": stop.at.to_string(),
        })
    };
    stops.0.iter().map(stop).collect()
}

/// One approval.
pub fn approval_json(approval: &Approval, assets: &Assets, now: UnixMillis) -> Value {
    let wanted = &approval.wanted;
    let asset = assets.by_id(&wanted.asset);
    json!({
        "id": approval.id,
        "state": state(approval, now),
        "caller": wanted.caller,
        "server": wanted.tool.server,
        "tool": wanted.tool.tool,
        "args_sha256": wanted.args,
        "amount": wanted.amount,
        "asset": wanted.asset,
        "price": asset.map(|asset| asset.display(wanted.amount)),
        "asked": approval.asked.to_string(),
        "expires": approval.expires.to_string(),
        "decided": approval.decided.map(|moment| moment.to_string()),
        "by": approval.by,
        "call_id": approval.call,
    })
}

/// Where an approval stands for people: what nobody used in time has expired.
pub fn state(approval: &Approval, now: UnixMillis) -> &'static str {
    let is_over = now >= approval.expires && approval.state != budget::ApprovalState::Used;
    if is_over { "expired" } else { approval.state.word() }
}
