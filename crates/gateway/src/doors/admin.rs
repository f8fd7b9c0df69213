//! The admin API, `/admin/v1`: what is served, changed by operators while it is.
//!
//! There is none before an admin key was made. Its keys are a kind of their own: an API key of a payer opens nothing here.

mod answer;
mod budgets;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tollgate_domain::AdminKeyId;
use tollgate_mcp::{Limits, json as strict};
use tollgate_trust::admin_presented;

use self::answer::Failed;
use super::Peer;
use super::metrics::is_near;
use crate::control::{Author, Change, Control};
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

/// Answers whoever shows an admin key.
pub(super) async fn answer(desk: Desk, mut request: Request<Body>, peer: Peer) -> Response {
    match admitted(&desk, request.headers(), peer).await {
        Ok(admin) => {
            request.extensions_mut().insert(admin);
            let answered = tower::ServiceExt::oneshot(router().with_state(desk), request).await;
            answered.unwrap_or_else(|never| match never {})
        }
        // As if nothing were here: whether there is an admin API is nobody's business.
        Err(Failed::Closed) => super::documents::not_found().await.into_response(),
        Err(failed) => failed.into_response(),
    }
}

fn router() -> Router<Desk> {
    Router::new()
        .route("/admin/v1/servers", get(view::servers))
        .route("/admin/v1/servers/{server}", get(view::server).put(put_server).delete(remove_server))
        .route("/admin/v1/servers/{server}/tools/{tool}/price", put(put_price).delete(remove_price))
        .route("/admin/v1/reload", post(reload))
        .route("/admin/v1/audit", get(audit))
        .merge(budgets::routes())
        .fallback(super::documents::not_found)
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
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let presented = match (lines.next(), lines.next()) {
        (Some(line), None) => line.as_bytes().strip_prefix(b"Bearer "),
        _ => None,
    };
    let found = presented.and_then(|presented| admin_presented(presented, &keys, |key| &key.hash));
    found.map(|key| Admin(key.id)).ok_or(Failed::NoKey)
}

/// `PUT /admin/v1/servers/{server}`: the server's settings, as they would stand in the configuration file.
async fn put_server(
    State(desk): State<Desk>,
    Extension(admin): Extension<Admin>,
    Path(server): Path<String>,
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
    Path(server): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    changed(&desk, admin, &headers, Change::RemoveServer(server)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    price: Vec<String>,
}

/// `PUT /admin/v1/servers/{server}/tools/{tool}/price {"price": ["0.01USDC", "10sat"]}`; an empty list: free.
async fn put_price(
    State(desk): State<Desk>,
    Extension(admin): Extension<Admin>,
    Path((server, tool)): Path<(String, String)>,
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
    Path((server, tool)): Path<(String, String)>,
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
    let (mut before, mut limit) = (None, AUDIT);
    for pair in query.iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
        let unknown = || Failed::Malformed("the query is limit=NUMBER and before=SEQ".to_owned());
        match pair.split_once('=').ok_or_else(unknown)? {
            ("limit", number) => limit = number.parse().map_err(|_| unknown())?,
            ("before", number) => before = Some(number.parse().map_err(|_| unknown())?),
            _ => return Err(unknown()),
        }
    }
    let entries = desk.control.foundation().control.audit(before, limit.clamp(1, AUDIT_MAX)).await?;
    Ok(answer::audit(&entries))
}

/// The version that a change is made to: `If-Match` with one ETag; without it, or with `*`, whatever there is.
fn expected(headers: &HeaderMap) -> Result<Option<String>, Failed> {
    let mut lines = headers.get_all(header::IF_MATCH).iter();
    let malformed = || Failed::Malformed("If-Match takes one ETag as it was given".to_owned());
    match (lines.next().map(|line| line.to_str()), lines.next()) {
        (None, _) | (Some(Ok("*")), None) => Ok(None),
        (Some(Ok(tag)), None) => {
            let version =
                tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(malformed)?;
            Ok(Some(version.to_owned()))
        }
        (Some(_), _) => Err(malformed()),
    }
}

/// Strictly first: two parsers must not read two different changes.
async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Failed> {
    let body: Bytes = axum::body::to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| Failed::Malformed(format!("the body is longer than {BODY_BYTES_MAX} bytes")))?;
    strict::check(&body, Limits::CALLER).map_err(|error| Failed::Malformed(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| Failed::Malformed(error.to_string()))
}
