//! Budgets as operators see and change them: what is used, what is stopped, what waits for an approval.

mod described;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_domain::{ApprovalId, Principal};
use tollgate_ledger::LedgerStore;
use tollgate_ledger::budget::{ApprovalEvent, Change, Changed, Stop, Target};

use super::answer::Failed;
use super::{Admin, Desk, read};
use crate::clock;
use crate::described::Doors;
use crate::doors::asked::Segments;
use crate::spending::{approval_json, budgets_json, of_caller, spent_json, stops_json};

/// How many approvals are listed, the latest first.
const APPROVALS: u32 = 500;
const REASON_CHARS_MAX: usize = 200;

/// The paths of budgets and approvals.
pub(super) fn doors() -> Doors<Desk> {
    Doors::new(described::SCHEMAS)
        .get("/admin/v1/budgets", budgets, &described::BUDGETS)
        .post("/admin/v1/budgets/stop", stop, &described::STOP)
        .post("/admin/v1/budgets/resume", resume, &described::RESUME)
        .get("/admin/v1/budgets/callers/{principal}", caller, &described::CALLER)
        .get("/admin/v1/approvals", approvals, &described::APPROVALS)
        .get("/admin/v1/approvals/{id}", approval, &described::APPROVAL)
        .post("/admin/v1/approvals/{id}/approve", approve, &described::APPROVE)
        .post("/admin/v1/approvals/{id}/reject", reject, &described::REJECT)
}

/// `GET /admin/v1/budgets`: the tree with what is used, and what is stopped.
async fn budgets(State(desk): State<Desk>) -> Result<Response, Failed> {
    let store = &desk.control.foundation().store;
    let config = &desk.gateway.config;
    let nodes = budgets_json(store, &config.budgets, &config.assets, clock::now()).await?;
    let stops = stops_json(&store.stops().await?);
    Ok(axum::Json(json!({ "budgets": nodes, "stops": stops })).into_response())
}

/// `GET /admin/v1/budgets/callers/{principal}`: what bounds one caller.
async fn caller(State(desk): State<Desk>, Segments(principal): Segments<String>) -> Result<Response, Failed> {
    let unknown = || Failed::Unknown(format!("caller {}", principal.chars().take(96).collect::<String>()));
    let known: Principal = principal.parse().map_err(|_| unknown())?;
    let lines = of_caller(&desk.gateway, &known, clock::now()).await?;
    let lines: Vec<Value> = lines.iter().map(|line| spent_json(line, &desk.gateway.config.assets)).collect();
    Ok(axum::Json(json!({ "caller": known, "budgets": lines })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stopping {
    target: String,
    #[serde(default)]
    reason: String,
}

/// What is to be stopped or resumed, and why.
async fn asked(body: Body) -> Result<Stopping, Failed> {
    let stopping: Stopping = read(body).await?;
    if stopping.reason.chars().count() > REASON_CHARS_MAX {
        return Err(Failed::Malformed(format!("the reason is longer than {REASON_CHARS_MAX} characters")));
    }
    Ok(stopping)
}

/// `POST /admin/v1/budgets/stop {"target": "everything", "reason": "…"}`.
async fn stop(
    State(desk): State<Desk>,
    Extension(admin): Extension<Admin>,
    body: Body,
) -> Result<Response, Failed> {
    let Stopping { target, reason } = asked(body).await?;
    let target = known(&desk, &target)?;
    let stop = Stop { reason: reason.clone(), by: admin.0.to_string(), at: clock::now() };
    let change = Change::Stop { target: target.clone(), stop };
    stopped(&desk, admin, ("stop_spending", target, true, &reason), change).await
}

/// `POST /admin/v1/budgets/resume {"target": "everything"}`.
async fn resume(
    State(desk): State<Desk>,
    Extension(admin): Extension<Admin>,
    body: Body,
) -> Result<Response, Failed> {
    let Stopping { target, reason } = asked(body).await?;
    // Also of a node that is not configured any more: what is stopped can always go on.
    let target: Target = target.parse().map_err(|error| Failed::Malformed(format!("{error}")))?;
    let change = Change::Resume(target.clone());
    stopped(&desk, admin, ("resume_spending", target, false, &reason), change).await
}

/// A target that a stop would have an effect on: a name that is mistyped must not look stopped.
fn known(desk: &Desk, text: &str) -> Result<Target, Failed> {
    let target: Target = text.parse().map_err(|error| Failed::Malformed(format!("{error}")))?;
    match &target {
        Target::Node(path) if !desk.gateway.config.budgets.paths().any(|branch| branch.path == *path) => {
            Err(Failed::Unknown(format!("budget node {path}")))
        }
        Target::Everything | Target::Node(_) | Target::Caller(_) => Ok(target),
    }
}

async fn stopped(
    desk: &Desk,
    admin: Admin,
    (what, target, is_stop, reason): (&str, Target, bool, &str),
    change: Change,
) -> Result<Response, Failed> {
    let foundation = desk.control.foundation();
    let changed = match foundation.store.change_budget(change).await? {
        Changed::Stopped(changed) => changed,
        Changed::Asked(_) | Changed::Decided(_) => false,
    };
    if changed {
        tracing::warn!(%target, is_stop, reason, admin = %admin.0, "spending was stopped or resumed");
        let after = json!({ "stopped": is_stop, "reason": reason });
        let before = json!({ "stopped": !is_stop });
        desk.write_down(admin.0, what, &target.to_string(), (&before, &after)).await?;
    }
    Ok(axum::Json(json!({ "target": target.to_string(), "stopped": is_stop, "changed": changed }))
        .into_response())
}

/// `GET /admin/v1/approvals`: the latest, newest first.
async fn approvals(State(desk): State<Desk>) -> Result<Response, Failed> {
    let store = &desk.control.foundation().store;
    let (assets, now) = (&desk.gateway.config.assets, clock::now());
    let all = store.approvals(APPROVALS).await?;
    let all: Vec<Value> = all.iter().map(|approval| approval_json(approval, assets, now)).collect();
    Ok(axum::Json(json!({ "approvals": all })).into_response())
}

/// `GET /admin/v1/approvals/{id}`.
async fn approval(State(desk): State<Desk>, Segments(id): Segments<String>) -> Result<Response, Failed> {
    let found = match id.parse::<ApprovalId>() {
        Ok(id) => desk.control.foundation().store.approval(&id).await?,
        Err(_) => None,
    };
    let found = found.ok_or_else(|| no_approval(&id))?;
    let shown = approval_json(&found, &desk.gateway.config.assets, clock::now());
    Ok(axum::Json(shown).into_response())
}

/// `POST /admin/v1/approvals/{id}/approve`.
async fn approve(
    State(desk): State<Desk>,
    Extension(admin): Extension<Admin>,
    Segments(id): Segments<String>,
) -> Result<Response, Failed> {
    let expires = clock::now().plus_millis(desk.gateway.config.budgets.approval_ttl_ms);
    decided(&desk, admin, &id, ApprovalEvent::Approve { by: admin.0.to_string(), expires }).await
}

/// `POST /admin/v1/approvals/{id}/reject`.
async fn reject(
    State(desk): State<Desk>,
    Extension(admin): Extension<Admin>,
    Segments(id): Segments<String>,
) -> Result<Response, Failed> {
    decided(&desk, admin, &id, ApprovalEvent::Reject { by: admin.0.to_string() }).await
}

async fn decided(desk: &Desk, admin: Admin, text: &str, event: ApprovalEvent) -> Result<Response, Failed> {
    let id: ApprovalId = text.parse().map_err(|_| no_approval(text))?;
    let store = &desk.control.foundation().store;
    let before = store.approval(&id).await?.map(|approval| approval.state.word());
    let now = clock::now();
    let Changed::Decided(Some(approval)) = store.change_budget(Change::Decide { id, event, now }).await?
    else {
        return Err(no_approval(text));
    };
    let after = json!({ "state": approval.state.word() });
    desk.write_down(admin.0, "decide_approval", text, (&json!({ "state": before }), &after)).await?;
    Ok(axum::Json(approval_json(&approval, &desk.gateway.config.assets, now)).into_response())
}

fn no_approval(id: &str) -> Failed {
    Failed::Unknown(format!("approval {}", id.chars().take(64).collect::<String>()))
}
