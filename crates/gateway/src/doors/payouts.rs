//! `/api/v1/payouts` and `/api/v1/providers/{provider}/…`: what providers have earned, and how they withdraw it.
//!
//! A door finds out who asks and what for; whether the money may go is decided in the ledger, in the commit that reserves it.

mod described;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_domain::{Amount, AssetId, Caller, KeyId, PayoutId, ServerName, UnixMillis};
use tollgate_gate::{Denial, Fault};
use tollgate_ledger::payout::{
    Actor, Destination, MovePayout, PayoutAnswer, PayoutCommand, PayoutEvent, PayoutFilter, PayoutLimits,
    PayoutRefusal, PayoutRow, PayoutStore, ProviderName, RequestPayout, Source, payout_id_for,
};
use tollgate_ledger::{AccountName, Balances, LedgerStore, StoreError};
use tollgate_rails::payout::{PayoutOrder, PayoutRail};

pub(super) use self::described::{ID, PAGE, PERIOD, PROVIDER, REPORT};
use super::asked::{Segments, read_json};
use super::holder::{
    KEY_BYTES_MAX, No, answer, at_place, holder, idempotency_key, ledger, malformed, private,
};
use super::pages;
use crate::clock;
use crate::config::{Provider, destination};
use crate::described::Doors;
use crate::gateway::Gateway;
use crate::payouts::revenue::{Parties, Span, revenue};
use crate::payouts::{align, provider_of, rail, view};

/// How far back a report of revenue looks unless it is said, and at most.
const HOURS: u64 = 24 * 30;
const HOURS_MAX: u64 = 24 * 366;
const HOUR_MS: u64 = 3_600_000;

/// The doors of this file.
pub(super) fn doors() -> Doors {
    Doors::new(described::SCHEMAS)
        .post("/api/v1/payouts", request, &described::REQUEST)
        .get("/api/v1/payouts", list, &described::LIST)
        .get("/api/v1/payouts/{id}", show, &described::SHOW)
        .post("/api/v1/payouts/{id}/cancel", cancel, &described::CANCEL)
        .get("/api/v1/providers/{provider}/balance", balance, &described::BALANCE)
        .get("/api/v1/providers/{provider}/revenue", earned, &described::REVENUE)
}

fn unpayable(reason: impl Into<String>) -> No {
    PayoutRefusal::Unpayable(reason.into()).into()
}

fn not_allowed(provider: &str) -> No {
    PayoutRefusal::NotAllowed(provider.chars().take(64).collect()).into()
}

/// Who asks.
fn withdrawer(gateway: &Gateway, headers: &HeaderMap) -> Result<KeyId, Denial> {
    holder(gateway, headers, "Providers withdraw with an API key, and none was sent.")
}

/// Money goes out once, however often a request is repeated, so each has a key.
fn needed_key(headers: &HeaderMap) -> Result<String, Denial> {
    idempotency_key(headers)?.ok_or_else(|| {
        malformed(format!(
            "a payout needs one Idempotency-Key of 1 to {KEY_BYTES_MAX} visible ASCII characters"
        ))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    provider: String,
    #[serde(default)]
    server: Option<ServerName>,
    destination: String,
    amount: Amount,
    /// The id or the symbol; checked against the destination's.
    asset: String,
    #[serde(default)]
    invoice: Option<String>,
}

const EXPECTED: &str = r#"{"provider","server","destination","amount","asset","invoice"}"#;

/// `POST /api/v1/payouts`.
pub(crate) async fn request(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let requested = async {
        let key = withdrawer(&gateway, &headers)?;
        let word = needed_key(&headers)?;
        let asked: Asked = read_json(&gateway, body, EXPECTED).await?;
        let (name, provider) =
            provider_of(&gateway, &asked.provider, key).ok_or_else(|| not_allowed(&asked.provider))?;
        let request = understood(&gateway, (name, provider), key, &word, asked)?;
        // What the configuration lists now counts now, not when somebody looks next.
        align(ledger(&gateway), name, provider).await?;
        let answered = ledger(&gateway).payout_command(PayoutCommand::Request(request)).await?;
        let (row, replayed) = payout_of(answered)?;
        tracing::info!(payout = %row.id, source = %row.source, by = row.source.asked_by(), amount = %row.amount, replayed, "a payout was asked for");
        let status = if replayed { StatusCode::OK } else { StatusCode::CREATED };
        Ok(at_place(shown(status, &gateway, &row), &format!("/api/v1/payouts/{}", row.id)))
    };
    answer(&gateway, requested.await)
}

/// What is asked for, with everything that the ledger decides by.
fn understood(
    gateway: &Gateway,
    (name, provider): (&ProviderName, &Provider),
    key: KeyId,
    word: &str,
    asked: Asked,
) -> Result<RequestPayout, No> {
    let server = match (asked.server, provider.servers.first(), provider.servers.len()) {
        (Some(server), _, _) if provider.servers.contains(&server) => server,
        (Some(_), _, _) => return Err(not_allowed(&asked.provider)),
        (None, Some(only), 1) => only.clone(),
        (None, _, _) => {
            return Err(unpayable(
                "the provider has several servers: name the one whose earnings are paid out",
            ));
        }
    };
    let config = &gateway.config;
    let found = destination(config.x402.as_ref(), config.lightning.as_ref(), &asked.destination);
    let destination = found.map_err(unpayable)?;
    let rail = rail_to(gateway, &destination, &asked.asset)?;
    let by = Caller::ApiKey(key).principal();
    let now = clock::now();
    let mut order = PayoutOrder {
        id: payout_id_for(&by, word, None),
        to: destination.to().to_owned(),
        amount: asked.amount,
        invoice: asked.invoice.map(|invoice| invoice.trim().to_ascii_lowercase()),
    };
    let hash = rail.read(&order, now).map_err(unpayable)?;
    let of_key = hash.is_some().then_some(order.id);
    order.id = payout_id_for(&by, word, hash.as_ref());
    let limits = limits_of(&provider.limits, destination.asset());
    Ok(RequestPayout {
        id: order.id,
        source: Source::Earned { provider: name.clone(), server, by },
        destination,
        amount: asked.amount,
        invoice: order.invoice.map(Into::into),
        of_key,
        limits,
        now,
    })
}

/// What carries this asset, by its id or symbol, to this destination.
pub(super) fn rail_to<'a>(
    gateway: &'a Gateway,
    destination: &Destination,
    asset: &str,
) -> Result<&'a Arc<dyn PayoutRail>, PayoutRefusal> {
    let assets = &gateway.config.assets;
    let known = asset.parse().ok().and_then(|id| assets.by_id(&id));
    if known.or_else(|| assets.by_symbol(asset)).is_none_or(|asset| asset.id() != destination.asset()) {
        let reason = format!("the destination takes {}, which is another asset", destination.asset());
        return Err(PayoutRefusal::Unpayable(reason));
    }
    let no_rail = || format!("this gateway pays nothing over {}", destination.rail());
    rail(gateway, destination).ok_or_else(|| PayoutRefusal::Unpayable(no_rail()))
}

/// The limits of an asset; one without any is not paid out at all.
pub(super) fn limits_of(limits: &BTreeMap<AssetId, PayoutLimits>, asset: &AssetId) -> PayoutLimits {
    limits.get(asset).cloned().unwrap_or(PayoutLimits {
        cool_off_ms: 0,
        least: Amount::ZERO,
        per_payout: Amount::ZERO,
        per_day: Amount::ZERO,
        approve_above: None,
    })
}

pub(super) fn payout_of(answered: PayoutAnswer) -> Result<(Arc<PayoutRow>, bool), No> {
    match answered {
        PayoutAnswer::Payout { row, replayed } => Ok((row, replayed)),
        PayoutAnswer::Listed(_) => {
            Err(No::Faulted(Fault::Internal("the ledger gave the answer to another question".to_owned())))
        }
    }
}

fn shown(status: StatusCode, gateway: &Gateway, row: &PayoutRow) -> Response {
    private((status, axum::Json(view::payout(row, &gateway.config.assets))).into_response())
}

/// `GET /api/v1/payouts?provider=&state=&limit=&before=`: those of a provider that the caller withdraws for.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let listed = async {
        let key = withdrawer(&gateway, &headers)?;
        let (mut filter, limit) = page(query.as_deref().unwrap_or_default()).map_err(malformed)?;
        let mine =
            gateway.config.payouts.providers.iter().filter(|(_, provider)| provider.keys.contains(&key));
        let mine: Vec<&ProviderName> = mine.map(|(name, _)| name).collect();
        filter.provider = match (filter.provider, mine.as_slice()) {
            (Some(named), mine) if mine.contains(&&named) => Some(named),
            (Some(named), _) => return Err(not_allowed(named.as_str())),
            (None, [only]) => Some((*only).clone()),
            (None, []) => return Err(not_allowed("")),
            (None, _) => {
                return Err(malformed("you withdraw for several providers: name one, provider=NAME").into());
            }
        };
        let page = ledger(&gateway).payouts(filter, limit).await?;
        let rows: Vec<Value> =
            page.rows.iter().map(|row| view::payout(row, &gateway.config.assets)).collect();
        let body = json!({ "payouts": rows, "next_before": page.next });
        Ok(private(axum::Json(body).into_response()))
    };
    answer(&gateway, listed.await)
}

/// Which payouts are asked for, and how many.
pub(super) fn page(query: &str) -> Result<(PayoutFilter, u32), String> {
    let (mut filter, mut limit) = (PayoutFilter::default(), pages::LENGTH);
    let unknown = || {
        format!("the query is provider=NAME, state=STATE, limit=1..{} and before=PLACE", pages::LENGTH_MAX)
    };
    for member in pages::members(query) {
        let (name, value) = member.ok_or_else(unknown)?;
        match name {
            "provider" => filter.provider = Some(value.parse().map_err(|_| unknown())?),
            "state" => filter.state = Some(value.parse().map_err(|_| unknown())?),
            "limit" => limit = pages::limit(value).ok_or_else(unknown)?,
            "before" => filter.before = Some(pages::before(value).ok_or_else(unknown)?),
            _ => return Err(unknown()),
        }
    }
    Ok((filter, limit))
}

/// The payout of this id, and its provider, for whoever withdraws for that one.
async fn found(gateway: &Gateway, id: &str, key: KeyId) -> Result<(PayoutRow, ProviderName), No> {
    let id: PayoutId = id.parse().map_err(|error| malformed(format!("{error}")))?;
    let row = ledger(gateway).payout(&id).await?;
    let mine = row.and_then(|row| {
        let provider = row.source.provider()?.clone();
        provider_of(gateway, provider.as_str(), key).map(|_| (row, provider))
    });
    mine.ok_or_else(|| PayoutRefusal::NotFound(id).into())
}

/// `GET /api/v1/payouts/{id}`.
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let key = withdrawer(&gateway, &headers)?;
        let (row, _) = found(&gateway, &id, key).await?;
        Ok(shown(StatusCode::OK, &gateway, &row))
    };
    answer(&gateway, found.await)
}

/// `POST /api/v1/payouts/{id}/cancel`: as long as it is not submitted.
pub(crate) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
) -> Response {
    let cancelled = async {
        let key = withdrawer(&gateway, &headers)?;
        let (row, provider) = found(&gateway, &id, key).await?;
        let principal = Caller::ApiKey(key).principal();
        let by = Actor::Provider { provider, principal };
        let event = PayoutEvent::Cancel;
        let step = MovePayout { id: row.id, by, event, expected: None, now: clock::now() };
        let (row, _) = payout_of(ledger(&gateway).payout_command(PayoutCommand::Move(step)).await?)?;
        Ok(shown(StatusCode::OK, &gateway, &row))
    };
    answer(&gateway, cancelled.await)
}

/// `GET /api/v1/providers/{provider}/balance`: what was earned, what can be paid out, and where to.
pub(crate) async fn balance(
    State(gateway): State<Arc<Gateway>>,
    Segments(provider): Segments<String>,
    headers: HeaderMap,
) -> Response {
    let told = async {
        let key = withdrawer(&gateway, &headers)?;
        let (name, of) = provider_of(&gateway, &provider, key).ok_or_else(|| not_allowed(&provider))?;
        let store = ledger(&gateway);
        align(store, name, of).await?;
        let mut balances = Vec::new();
        for server in &of.servers {
            let account = AccountName::Payable(server.clone());
            for asset in gateway.config.assets.iter() {
                let found = store.balance(&account, asset.id()).await?;
                if found != Balances::default() {
                    balances.push(view::balance(server, asset, &found));
                }
            }
        }
        let payee = store.payee(name).await?;
        let now = clock::now();
        let cool_off = |asset| of.limits.get(asset).map_or(0, |limits| limits.cool_off_ms);
        let listed: Vec<Value> = payee
            .iter()
            .flat_map(|payee| &payee.destinations)
            .map(|listed| view::destination(listed, cool_off(listed.destination.asset()), now))
            .collect();
        let body = json!({
            "provider": name.as_str(),
            "balances": balances,
            "destinations": listed,
        });
        Ok(private(axum::Json(body).into_response()))
    };
    answer(&gateway, told.await)
}

/// `GET /api/v1/providers/{provider}/revenue?hours=`.
pub(crate) async fn earned(
    State(gateway): State<Arc<Gateway>>,
    Segments(provider): Segments<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let told = async {
        let key = withdrawer(&gateway, &headers)?;
        let (name, _) = provider_of(&gateway, &provider, key).ok_or_else(|| not_allowed(&provider))?;
        let span = span(query.as_deref().unwrap_or_default()).map_err(malformed)?;
        let body = report(&gateway, span, Some(name)).await?;
        Ok(private(axum::Json(body).into_response()))
    };
    answer(&gateway, told.await)
}

/// The report of revenue of one provider, or of all.
pub(super) async fn report(
    gateway: &Gateway,
    span: Span,
    only: Option<&ProviderName>,
) -> Result<Value, StoreError> {
    let store = ledger(gateway);
    let parties = Parties::of(&gateway.config.payouts, store).await?;
    let revenue = revenue(store, &parties, span).await?;
    Ok(revenue.to_json(span, only, &gateway.config.assets))
}

/// The last hours, up to now.
pub(super) fn span(query: &str) -> Result<Span, String> {
    let refused = || format!("the query is hours=NUMBER (1 to {HOURS_MAX})");
    let hours = match query {
        "" => HOURS,
        query => {
            let digits = query.strip_prefix("hours=").ok_or_else(refused)?;
            let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            let hours = digits.parse().ok().filter(|hours| is_digits && (1..=HOURS_MAX).contains(hours));
            hours.ok_or_else(refused)?
        }
    };
    let until = clock::now();
    let since = UnixMillis::new(until.get().saturating_sub(hours.saturating_mul(HOUR_MS)));
    // What is claimed at this very moment is in.
    Ok(Span { since, until: until.plus_millis(1) })
}
