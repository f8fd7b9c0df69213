//! What an operator is told.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tollgate_gate::{Denial, RefundRefused};
use tollgate_ledger::escrow::EscrowRefusal;
use tollgate_ledger::payout::PayoutRefusal;
use tollgate_ledger::{Refusal, StoreError};
use tollgate_store::AuditEntry;

use crate::control::{Applied, Difference, Refused};

/// Why an operator's request is not carried out.
#[derive(Debug)]
pub(super) enum Failed {
    /// There is no admin key, so there is no admin API.
    Closed,
    /// Not from here.
    Remote,
    /// No admin key, or another one.
    NoKey,
    /// It cannot be read.
    Malformed(String),
    /// The configuration stays as it is.
    Refused(Refused),
    /// Nothing goes back.
    Refund(RefundRefused),
    /// An escrow stays as it is.
    Escrow(EscrowRefusal),
    /// A payout stays as it is.
    Payout(PayoutRefusal),
    /// The data directory cannot be read.
    Store(StoreError),
    /// There is nothing like that.
    Unknown(String),
    /// It cannot be done as things stand.
    Conflict(String),
}

impl From<RefundRefused> for Failed {
    fn from(refused: RefundRefused) -> Self {
        Self::Refund(refused)
    }
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(Refusal::Escrow(refusal)) => Self::Escrow(refusal),
            StoreError::Refused(Refusal::Payout(refusal)) => Self::Payout(*refusal),
            StoreError::Refused(refusal) => Self::Conflict(refusal.to_string()),
            error => Self::Store(error),
        }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (status, code, message, next_step) = match &self {
            Self::Closed => (
                StatusCode::NOT_FOUND,
                "not_found",
                "There is nothing at this path.".to_owned(),
                "Make an admin key: tollgate keys create --admin.",
            ),
            Self::Remote => (
                StatusCode::FORBIDDEN,
                "origin_refused",
                "The admin API answers on this machine only.".to_owned(),
                "Ask from the gateway's own machine without a proxy, or set `admin.remote: true`.",
            ),
            Self::NoKey => (
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "No valid admin key is presented.".to_owned(),
                "Send an admin key (tga_…, from `tollgate keys create --admin`) as `Authorization: Bearer`.",
            ),
            Self::Malformed(reason) => {
                (StatusCode::BAD_REQUEST, "malformed", reason.clone(), "Send what the message asks for.")
            }
            Self::Refused(refused) => {
                (status(refused), refused.code(), refused.to_string(), refused.next_step())
            }
            Self::Refund(refused) => no_refund(refused),
            Self::Escrow(refusal) => {
                let denial = Denial::from(refusal.clone());
                let code = denial.code();
                let status = StatusCode::from_u16(code.http).unwrap_or(StatusCode::CONFLICT);
                (status, code.word, denial.message(), denial.next_step())
            }
            Self::Payout(refusal) => {
                let denial = Denial::from(refusal.clone());
                let code = denial.code();
                let status = StatusCode::from_u16(code.http).unwrap_or(StatusCode::CONFLICT);
                (status, code.word, denial.message(), denial.next_step())
            }
            Self::Unknown(what) => (
                StatusCode::NOT_FOUND,
                "not_found",
                format!("There is no {what}."),
                "GET /admin/v1/approvals and /admin/v1/budgets list what there is.",
            ),
            Self::Conflict(reason) => {
                (StatusCode::CONFLICT, "conflict", reason.clone(), "Look at it again; nothing was changed.")
            }
            Self::Store(error) => {
                tracing::error!(%error, "could not read the data directory");
                let message = "The data directory cannot be read now.".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", message, "Try again later.")
            }
        };
        let mut error = json!({
            "code": code,
            "message": message,
            "next_step": next_step,
            "retryable": status == StatusCode::SERVICE_UNAVAILABLE,
        });
        if let Self::Refused(refused) = &self {
            detail(&mut error, refused);
        }
        let mut response = (status, axum::Json(json!({ "error": error }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn no_refund(refused: &RefundRefused) -> (StatusCode, &'static str, String, &'static str) {
    let message = || refused.to_string();
    match refused {
        RefundRefused::Unknown => (
            StatusCode::NOT_FOUND,
            "not_found",
            message(),
            "Check the id: `tollgate calls list` shows paid calls.",
        ),
        RefundRefused::NothingKept { .. } => (
            StatusCode::CONFLICT,
            "nothing_to_refund",
            message(),
            "Read `GET /api/v1/calls/{call_id}`: only a call that was charged can be refunded.",
        ),
        RefundRefused::InEscrow { .. } => (
            StatusCode::CONFLICT,
            "nothing_to_refund",
            message(),
            "Rule on the dispute over it, or wait until it has ended: `tollgate escrow show`.",
        ),
        RefundRefused::Exceeds { .. } => {
            (StatusCode::CONFLICT, "refund_exceeds", message(), "Ask for at most what is left.")
        }
        RefundRefused::Reused => (
            StatusCode::CONFLICT,
            "refund_id_reused",
            message(),
            "Ask for another refund under another `id`; the one under this `id` was booked.",
        ),
        RefundRefused::Fault(fault) => {
            let status = StatusCode::from_u16(fault.code().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, fault.code().word, fault.message().to_owned(), fault.next_step())
        }
    }
}

fn status(refused: &Refused) -> StatusCode {
    match refused {
        Refused::Fixed | Refused::NeedsRestart(_) => StatusCode::CONFLICT,
        Refused::Problems(_) | Refused::Unusable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::OtherVersion { .. } => StatusCode::PRECONDITION_FAILED,
        Refused::Unknown(_) => StatusCode::NOT_FOUND,
        Refused::Command => StatusCode::FORBIDDEN,
        Refused::Masked => StatusCode::BAD_REQUEST,
        Refused::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Interrupted => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn detail(error: &mut Value, refused: &Refused) {
    if let Refused::NeedsRestart(settings) = refused {
        error["needs_restart"] = json!(settings);
    }
    let problem = |problem: &crate::config::Problem| json!({ "at": problem.at, "origin": problem.origin, "message": problem.message });
    if !refused.problems().is_empty() {
        error["message"] = json!("The configuration is not in order.");
        error["problems"] = refused.problems().iter().map(problem).collect();
    }
}

/// A change that counts.
pub(super) fn applied(applied: &Applied) -> Response {
    let Difference { added, removed, changed, settings } = &applied.difference;
    let body = json!({
        "version": applied.version,
        "changed": !applied.difference.is_empty(),
        "servers": { "added": added, "removed": removed, "changed": changed },
        "settings": settings,
    });
    versioned(&applied.version, &body)
}

/// What counts at a version.
pub(super) fn versioned(version: &str, body: &Value) -> Response {
    let mut response = axum::Json(body).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// A page of the audit.
pub(super) fn audit(entries: &[AuditEntry]) -> Response {
    let json_of = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let entry = |AuditEntry { seq, record }: &AuditEntry| {
        json!({
            "seq": seq,
            "at": record.at.to_string(),
            "admin": record.admin,
            "what": record.what,
            "target": record.target,
            "before": json_of(&record.before),
            "after": json_of(&record.after),
        })
    };
    axum::Json(json!({ "entries": entries.iter().map(entry).collect::<Vec<_>>() })).into_response()
}
