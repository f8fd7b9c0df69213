//! `GET /admin/v1/reconciliation`: the books, held against what the rails themselves show.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};

use super::Desk;
use super::answer::Failed;
use crate::clock;
use crate::described::{Access, Group, Operation, Parameter, Place, Schema, Shape, Told};
use crate::reconciliation::reconcile;

const HOURS: u64 = 24;
const HOURS_MAX: u64 = 24 * 366;
const HOUR_MS: u64 = 3_600_000;

pub(super) async fn read(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Result<Response, Failed> {
    let hours = hours(query.as_deref().unwrap_or_default())?;
    let since = clock::now().get().saturating_sub(hours.saturating_mul(HOUR_MS));
    let report = reconcile(&desk.gateway, tollgate_domain::UnixMillis::new(since)).await?;
    Ok(axum::Json(report.to_json()).into_response())
}

fn hours(query: &str) -> Result<u64, Failed> {
    if query.is_empty() {
        return Ok(HOURS);
    }
    let digits =
        query.strip_prefix("hours=").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let hours = digits.and_then(|digits| digits.parse().ok());
    hours
        .filter(|hours| (1..=HOURS_MAX).contains(hours))
        .ok_or_else(|| Failed::Malformed(format!("the query is hours=NUMBER (1 to {HOURS_MAX})")))
}

/// How [`read`] is described.
pub(super) const RECONCILIATION: Operation = Operation {
    id: "adminReconciliation",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Holds the books against what chain and wallet show.",
    about: "Every payment of the last hours that the books say came in is asked for on its rail, and what came in on a chain of late is looked for in \
        the books. Changes nothing. At most 5,000 payments at once; `is_cut` says that there were more.",
    parameters: &[Parameter {
        place: Place::Query,
        name: "hours",
        about: "How far back; 24 unless it is said.",
        shape: Shape::Json(r#"{"type":"integer","minimum":1,"maximum":8784}"#),
        example: "24",
    }],
    body: None,
    told: &[Told::json(
        200,
        "What was compared, and what differs.",
        Shape::Named("Reconciliation"),
        Some(
            r#"{"since":"2026-11-26T04:46:09.000Z","compared":2,"payouts_compared":0,"is_cut":false,"in_order":false,"differences":[{"kind":"missing_on_rail","rail":"x402","call_id":"call_103518Rpy1IgAnbQiqcrFy6","reference":"0xabc","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","in_books":"500000","state":"settled"}]}"#,
        ),
    )],
    codes: &[&["malformed"]],
};

/// What this operation names.
pub(super) const SCHEMAS: &[Schema] = &[Schema {
    name: "Reconciliation",
    json: r##"{"type":"object","required":["since","compared","payouts_compared","is_cut","in_order","differences"],"properties":{
        "since":{"type":"string"},
        "compared":{"type":"integer","minimum":0,"description":"How many payments of the books were asked for on their rail."},
        "payouts_compared":{"type":"integer","minimum":0,"description":"How many payouts of the books were asked for on their rail."},
        "is_cut":{"type":"boolean"},
        "in_order":{"type":"boolean"},
        "differences":{"type":"array","items":{"type":"object","required":["kind","rail"],"properties":{
            "kind":{"enum":["missing_on_rail","missing_in_books","amount_differs","in_doubt","not_answered","payout_missing_on_rail","payout_amount_differs","payout_in_doubt","payout_not_answered"]},
            "rail":{"type":"string"},
            "call_id":{"anyOf":[{"$ref":"#/components/schemas/CallId"},{"type":"null"}]},
            "payout_id":{"$ref":"#/components/schemas/PayoutId"},
            "reference":{"type":["string","null"],"description":"What the rail calls the payment."},
            "payer":{"type":"string"},
            "asset":{"type":"string"},
            "in_books":{"$ref":"#/components/schemas/Amount"},
            "on_rail":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}]},
            "state":{"type":"string"},
            "reason":{"type":["string","null"]}}}}}}"##,
}];
