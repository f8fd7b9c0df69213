//! `POST /admin/v1/refunds`: gives back what was kept of a call, as credit of whoever paid.

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_domain::{Amount, CallId};
use tollgate_gate::RefundAsked;

use super::answer::Failed;
use super::{Admin, Desk, read};

const REASON_CHARS_MAX: usize = 500;
const ID_CHARS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    call_id: CallId,
    reason: String,
    /// Atomic units of the asset that was paid; all that is left without it.
    #[serde(default)]
    amount: Option<Amount>,
    #[serde(default)]
    id: String,
}

pub(super) async fn refund(
    State(desk): State<Desk>,
    Extension(Admin(admin)): Extension<Admin>,
    body: Body,
) -> Result<Response, Failed> {
    let Asked { call_id, reason, amount, id } = read(body).await?;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX || reason.chars().any(char::is_control)
    {
        return Err(Failed::Malformed(format!("`reason` is 1 to {REASON_CHARS_MAX} characters on one line")));
    }
    if id.chars().count() > ID_CHARS_MAX {
        return Err(Failed::Malformed(format!("`id` has at most {ID_CHARS_MAX} characters")));
    }
    let asked = RefundAsked { call: call_id, amount, reason: reason.to_owned(), id };
    let made = desk.gateway.gate.refund(asked).await?;
    tracing::info!(call = %call_id, %admin, transfer = %made.transfer, total = %made.refund.amount, "refunded");
    let receipt: Value = made.receipt.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let body = json!({
        "call_id": call_id,
        "transfer_id": made.transfer,
        "again": made.again,
        "refunded": made.refund.to_json(),
        "receipt": receipt,
    });
    Ok(axum::Json(body).into_response())
}
