//! The admin API, `/admin/v1`: what is served, changed by operators while it is.
//!
//! There is none before an admin key was made. Its keys are a kind of their own: an API key of a payer opens nothing here.

mod answer;
mod budgets;
mod described;
mod escrows;
mod payouts;
mod reconciliation;
mod refunds;
mod view;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tollgate_domain::AdminKeyId;
use tollgate_gate::{Door, denied};
use tollgate_risk::Entrance;
use tollgate_store::AuditRecord;
use tollgate_trust::admin_presented;

use self::answer::Failed;
use super::Peer;
use super::asked::Segments;
use super::body::object;
use super::documents::{method_not_allowed, not_found};
use super::execute::into_response;
use super::holder::{bearer, private};
use super::metrics::is_near;
use super::rates::admit;
use crate::clock;
use crate::control::{Author, Change, Control};
use crate::described::Doors;
use crate::gateway::Gateway;

/// What every path of the admin API begins with.
pub(super) const PREFIX: &str = "/admin/v1/";
/// The longest body.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The longest page of the audit, and how long one is unless it is said.
const AUDIT_MAX: u32 = 1_000;
const AUDIT: u32 = 100;

/// What an operator's request is about.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) control: Arc<Control>,
    pub(super) gateway: Arc<Gateway>,
}

/// Whose key a request shows.
#[derive(Clone, Copy)]
struct Admin(AdminKeyId);

/// What an operator is told of a request that cannot be read, or when the ledger is not there.
const CODES: &[&str] = &["malformed", "store_busy", "store_closed"];

impl Desk {
    /// Into the audit: what an operator did to what, and how that stood before and after.
    async fn write_down(
        &self,
        admin: AdminKeyId,
        what: &str,
        target: &str,
        (before, after): (&Value, &Value),
    ) -> Result<(), Failed> {
        let record = AuditRecord {
            at: clock::now(),
            admin: Some(admin),
            what: what.to_owned(),
            target: target.to_owned(),
            before: before.to_string(),
            after: after.to_string(),
        };
        Ok(self.control.foundation().control.record(record).await?)
    }
}

/// Answers whoever shows an admin key.
pub(super) async fn answer(desk: Desk, mut request: Request<Body>, peer: Peer) -> Response {
    let admitted = admitted(&desk, request.headers(), peer).await;
    // Limits are for strangers: an operator must get in to change one that is too tight. Whoever guesses is a stranger.
    if admitted.is_err()
        && let Err(denial) = admit(&desk.gateway, Entrance::Shared, peer)
    {
        return into_response(denied(&denial, None, Door::Rest, desk.gateway.naming("")));
    }
    match admitted {
        Ok(admin) => {
            request.extensions_mut().insert(admin);
            let router =
                doors().into_router().fallback(not_found).method_not_allowed_fallback(method_not_allowed);
            let answered = tower::ServiceExt::oneshot(router.with_state(desk), request).await;
            private(answered.unwrap_or_else(|never| match never {}))
        }
        // As if nothing were here: whether there is an admin API is nobody's business.
        Err(Failed::Closed) => not_found().await.into_response(),
        Err(failed) => private(failed.into_response()),
    }
}

/// The paths of the admin API.
pub(super) fn doors() -> Doors<Desk> {
    const SERVER: &str = "/admin/v1/servers/{server}";
    const PRICE: &str = "/admin/v1/servers/{server}/tools/{tool}/price";
    Doors::new(described::SCHEMAS)
        .get("/admin/v1/servers", view::servers, &described::SERVERS)
        .get(SERVER, view::server, &described::SERVER)
        .put(SERVER, put_server, &described::PUT_SERVER)
        .delete(SERVER, remove_server, &described::REMOVE_SERVER)
        .put(PRICE, put_price, &described::PUT_PRICE)
        .delete(PRICE, remove_price, &described::REMOVE_PRICE)
        .post("/admin/v1/reload", reload, &described::RELOAD)
        .get("/admin/v1/audit", audit, &described::AUDIT)
        .post("/admin/v1/refunds", refunds::refund, &described::REFUND)
        .get("/admin/v1/escrows", escrows::list, &escrows::LIST)
        .get("/admin/v1/escrows/{id}", escrows::show, &escrows::SHOW)
        .post("/admin/v1/escrows/{id}/resolve", escrows::resolve, &escrows::RESOLVE)
        .merge(Doors::new(reconciliation::SCHEMAS).get(
            "/admin/v1/reconciliation",
            reconciliation::read,
            &reconciliation::RECONCILIATION,
        ))
        .merge(budgets::doors())
        .merge(payouts::doors())
}

/// The key first, then from where: whoever has none learns nothing else.
async fn admitted(desk: &Desk, headers: &HeaderMap, peer: Peer) -> Result<Admin, Failed> {
    let mut keys = desk.control.foundation().control.admin_keys().await?;
    keys.retain(|key| key.revoked.is_none());
    if keys.is_empty() {
        return Err(Failed::Closed);
    }
    if !desk.gateway.config.admin.remote && !is_near(peer.address, headers) {
        return Err(Failed::Remote);
    }
    let presented = bearer(headers);
    let found = presented.and_then(|presented| admin_presented(presented, &keys, |key| &key.hash));
    found.map(|key| Admin(key.id)).ok_or(Failed::NoKey)
}

/// `PUT /admin/v1/servers/{server}`: the server's settings, as they would stand in the configuration file.
async fn put_server(
    State(desk): State<Desk>,
    Extension(admin): Extension<Admin>,
    Segments(server): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let settings: Value = read(body).await?;
    if !settings.is_object() {
        return Err(Failed::Malformed("expected the settings of a server as an object".to_owned()));
    }
    changed(&desk, admin, &headers, Change::PutServer(server, settings)).await
}

/// `DELETE /admin/v1/servers/{server}`.
async fn remove_server(
    State(desk): State<Desk>,
    Extension(admin): Extension<Admin>,
    Segments(server): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    changed(&desk, admin, &headers, Change::RemoveServer(server)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    /// As it would stand in the configuration file.
    price: Value,
}

/// `PUT /admin/v1/servers/{server}/tools/{tool}/price {"price": ["0.01USDC", "10sat"]}`; an empty list: free; or a rule.
async fn put_price(
    State(desk): State<Desk>,
    Extension(admin): Extension<Admin>,
    Segments((server, tool)): Segments<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let Price { price } = read(body).await?;
    changed(&desk, admin, &headers, Change::PutPrice(server, tool, price)).await
}

/// `DELETE …/price`: the price in the server's own settings counts again.
async fn remove_price(
    State(desk): State<Desk>,
    Extension(admin): Extension<Admin>,
    Segments((server, tool)): Segments<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    changed(&desk, admin, &headers, Change::RemovePrice(server, tool)).await
}

async fn changed(desk: &Desk, admin: Admin, headers: &HeaderMap, change: Change) -> Result<Response, Failed> {
    let author = Author { admin: admin.0, expected: expected(headers)? };
    Ok(answer::applied(&desk.control.change(author, change).await?))
}

/// `POST /admin/v1/reload`: the configuration file is read again.
async fn reload(State(desk): State<Desk>, Extension(admin): Extension<Admin>) -> Result<Response, Failed> {
    Ok(answer::applied(&desk.control.reload(Some(admin.0)).await?))
}

/// `GET /admin/v1/audit?limit=&before=`: what was changed, the latest first.
async fn audit(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Result<Response, Failed> {
    let (before, limit) = page(query.as_deref().unwrap_or_default())?;
    let entries = desk.control.foundation().control.audit(before, limit).await?;
    Ok(answer::audit(&entries))
}

/// The page of the audit that is asked for: before which entry, and how many.
fn page(query: &str) -> Result<(Option<u64>, u32), Failed> {
    let unknown =
        || Failed::Malformed(format!("the query is limit=NUMBER (1 to {AUDIT_MAX}) and before=SEQ"));
    let (mut before, mut limit) = (None, AUDIT);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').ok_or_else(unknown)? {
            ("limit", number) => {
                let read = number.parse().ok().filter(|limit| (1..=AUDIT_MAX).contains(limit));
                limit = read.ok_or_else(unknown)?;
            }
            ("before", number) => before = Some(number.parse().map_err(|_| unknown())?),
            _ => return Err(unknown()),
        }
    }
    Ok((before, limit))
}

/// The version that a change is made to: `If-Match` with one ETag; without it, or with `*`, whatever there is.
fn expected(headers: &HeaderMap) -> Result<Option<String>, Failed> {
    let mut lines = headers.get_all(header::IF_MATCH).iter();
    let malformed = || Failed::Malformed("If-Match takes one ETag as it was given".to_owned());
    match (lines.next().map(|line| line.to_str()), lines.next()) {
        (None, _) | (Some(Ok("*")), None) => Ok(None),
        (Some(Ok(tag)), None) => {
            let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            // A list of them, of which any could be meant, is no single version.
            let version = version.filter(|version| !version.contains('"')).ok_or_else(malformed)?;
            Ok(Some(version.to_owned()))
        }
        (Some(_), _) => Err(malformed()),
    }
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Failed> {
    let body: Bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        Failed::Malformed(format!("the body is longer than {BODY_BYTES_MAX} bytes, or broke off"))
    })?;
    object(&body).map_err(Failed::Malformed)
}

#[cfg(test)]
mod tests;
