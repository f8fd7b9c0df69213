//! `/admin/v1/payouts` and the lists of destinations: the operator's word on large payouts, credit of wallets that goes back to them, and
//! where money may go at all.

use axum::body::Body as Sent;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_domain::{AdminKeyId, Amount, PayoutId};
use tollgate_ledger::payout::{
    Actor, ChangeList, ListChange, ListedBy, MovePayout, PayoutAnswer, PayoutCommand, PayoutEvent,
    PayoutRefusal, PayoutStore, ProviderName, RequestPayout, Source, credit_payout_id_for,
};
use tollgate_rails::payout::PayoutOrder;

use super::answer::Failed;
use super::{Admin, CODES, Desk, read};
use crate::clock;
use crate::config::{Provider, destination};
use crate::described::{Access, Body, Doors, Example, Group, Operation, Shape, Told};
use crate::doors::asked::Segments;
use crate::doors::payouts::{ID, PAGE, PERIOD, PROVIDER, REPORT, limits_of, page, rail_to, report, span};
use crate::gateway::Gateway;
use crate::payouts::{align, view};

/// How long the word is that makes one payout of a request that is sent again.
const ID_CHARS_MAX: usize = 64;
const DESTINATIONS: &str = "/admin/v1/providers/{provider}/destinations";

/// The doors of this file.
pub(super) fn doors() -> Doors<Desk> {
    Doors::new(&[])
        .get("/admin/v1/payouts", list, &LIST)
        .post("/admin/v1/payouts", request, &REQUEST)
        .post("/admin/v1/payouts/{id}/approve", approve, &APPROVE)
        .post("/admin/v1/payouts/{id}/cancel", cancel, &CANCEL)
        .get(DESTINATIONS, destinations, &SHOW)
        .post(DESTINATIONS, add, &ADD)
        .post("/admin/v1/providers/{provider}/destinations/remove", remove, &REMOVE)
        .get("/admin/v1/revenue", revenue, &REVENUE)
}

async fn list(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Result<Response, Failed> {
    let (filter, limit) = page(query.as_deref().unwrap_or_default()).map_err(Failed::Malformed)?;
    let gateway = &desk.gateway;
    let page = gateway.gate.ports().store.payouts(filter, limit).await?;
    let rows: Vec<Value> = page.rows.iter().map(|row| view::payout(row, &gateway.config.assets)).collect();
    Ok(axum::Json(json!({ "payouts": rows, "next_before": page.next })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    wallet: String,
    amount: Amount,
    /// The id or the symbol.
    asset: String,
    id: String,
}

/// Credit of a wallet, back to the wallet. What a provider has earned is the provider's to ask for.
async fn request(
    State(desk): State<Desk>,
    Extension(Admin(admin)): Extension<Admin>,
    body: Sent,
) -> Result<Response, Failed> {
    let asked: Asked = read(body).await?;
    let request = credit_back(&desk.gateway, admin, &asked)?;
    let id = request.id;
    let answered = desk.gateway.gate.ports().store.payout_command(PayoutCommand::Request(request)).await?;
    let PayoutAnswer::Payout { row, replayed } = answered else {
        return Err(Failed::Conflict("the ledger gave the answer to another question".to_owned()));
    };
    let shown = view::payout(&row, &desk.gateway.config.assets);
    if replayed {
        return Ok(axum::Json(shown).into_response());
    }
    desk.write_down(admin, "payout_credit", &id.to_string(), (&Value::Null, &shown)).await?;
    tracing::info!(payout = %id, %admin, source = %row.source, amount = %row.amount, "an operator sends credit back");
    Ok((StatusCode::CREATED, axum::Json(shown)).into_response())
}

/// What is asked for, with everything that the ledger decides by.
fn credit_back(gateway: &Gateway, admin: AdminKeyId, asked: &Asked) -> Result<RequestPayout, Failed> {
    let Asked { wallet, amount, asset, id: word } = asked;
    if !(1..=ID_CHARS_MAX).contains(&word.len()) || !word.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failed::Malformed(format!(
            "`id` is a word of 1 to {ID_CHARS_MAX} visible ASCII characters: the same request under it is the same payout"
        )));
    }
    let no_wallet = || Failed::Malformed("`wallet` is an address: 0x and 40 hexadecimal digits".to_owned());
    let address = Some(wallet).filter(|text| text.starts_with("0x")).ok_or_else(no_wallet)?;
    let destination = destination(gateway.config.x402.as_ref(), None, address).map_err(Failed::Malformed)?;
    let wallet = destination.wallet().ok_or_else(no_wallet)?;
    let rail = rail_to(gateway, &destination, asset).map_err(Failed::Payout)?;
    let (id, now) = (credit_payout_id_for(&wallet, word), clock::now());
    let order = PayoutOrder { id, to: destination.to().to_owned(), amount: *amount, invoice: None };
    rail.read(&order, now).map_err(|reason| Failed::Payout(PayoutRefusal::Unpayable(reason)))?;
    let limits = limits_of(&gateway.config.payouts.wallet_credit, destination.asset());
    let source = Source::Credit { wallet, by: Some(admin) };
    Ok(RequestPayout { id, source, destination, amount: *amount, invoice: None, of_key: None, limits, now })
}

async fn approve(
    State(desk): State<Desk>,
    Extension(Admin(admin)): Extension<Admin>,
    Segments(id): Segments<String>,
) -> Result<Response, Failed> {
    step(&desk, admin, &id, PayoutEvent::Approve).await
}

async fn cancel(
    State(desk): State<Desk>,
    Extension(Admin(admin)): Extension<Admin>,
    Segments(id): Segments<String>,
) -> Result<Response, Failed> {
    step(&desk, admin, &id, PayoutEvent::Cancel).await
}

async fn step(desk: &Desk, admin: AdminKeyId, id: &str, event: PayoutEvent) -> Result<Response, Failed> {
    let id: PayoutId = id.parse().map_err(|error| Failed::Malformed(format!("{error}")))?;
    let (what, by) = (event.word(), Actor::Operator(Some(admin)));
    let step = MovePayout { id, by, event, expected: None, now: clock::now() };
    let moved = desk.gateway.gate.ports().store.payout_command(PayoutCommand::Move(step)).await?;
    let PayoutAnswer::Payout { row, .. } = moved else {
        return Err(Failed::Conflict("the ledger gave the answer to another question".to_owned()));
    };
    let shown = view::payout(&row, &desk.gateway.config.assets);
    desk.write_down(admin, &format!("payout_{what}"), &id.to_string(), (&Value::Null, &shown)).await?;
    tracing::info!(payout = %id, %admin, state = %row.state, "an operator has decided about a payout");
    Ok(axum::Json(shown).into_response())
}

fn provider<'a>(desk: &'a Desk, name: &str) -> Result<(&'a ProviderName, &'a Provider), Failed> {
    let unknown = || Failed::Unknown(format!("provider {name} in the configuration"));
    let name: ProviderName = name.parse().map_err(|_| unknown())?;
    desk.gateway.config.payouts.providers.get_key_value(&name).ok_or_else(unknown)
}

async fn listed(desk: &Desk, name: &ProviderName, of: &Provider) -> Result<Value, Failed> {
    let payee = desk.gateway.gate.ports().store.payee(name).await?;
    let now = clock::now();
    let cool_off = |asset| of.limits.get(asset).map_or(0, |limits| limits.cool_off_ms);
    let shown = payee.iter().flat_map(|payee| &payee.destinations);
    let shown = shown.map(|listed| view::destination(listed, cool_off(listed.destination.asset()), now));
    Ok(json!({ "provider": name.as_str(), "destinations": shown.collect::<Vec<_>>() }))
}

async fn destinations(
    State(desk): State<Desk>,
    Segments(name): Segments<String>,
) -> Result<Response, Failed> {
    let (name, of) = provider(&desk, &name)?;
    align(&desk.gateway.gate.ports().store, name, of).await?;
    Ok(axum::Json(listed(&desk, name, of).await?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    destination: String,
}

async fn add(
    State(desk): State<Desk>,
    Extension(Admin(admin)): Extension<Admin>,
    Segments(name): Segments<String>,
    body: Sent,
) -> Result<Response, Failed> {
    let by = ListedBy::Operator(Some(admin));
    let listing = |found| ListChange::Add(found, by);
    changed(&desk, admin, &name, read(body).await?, "list_destination", listing).await
}

async fn remove(
    State(desk): State<Desk>,
    Extension(Admin(admin)): Extension<Admin>,
    Segments(name): Segments<String>,
    body: Sent,
) -> Result<Response, Failed> {
    changed(&desk, admin, &name, read(body).await?, "unlist_destination", ListChange::Remove).await
}

async fn changed(
    desk: &Desk,
    admin: AdminKeyId,
    name: &str,
    Named { destination: text }: Named,
    what: &str,
    change: impl FnOnce(tollgate_ledger::payout::Destination) -> ListChange,
) -> Result<Response, Failed> {
    let (name, of) = provider(desk, name)?;
    let (store, config) = (&desk.gateway.gate.ports().store, &desk.gateway.config);
    let found = destination(config.x402.as_ref(), config.lightning.as_ref(), &text);
    let found = found.map_err(Failed::Malformed)?;
    align(store, name, of).await?;
    let change = change(found.clone());
    if matches!(change, ListChange::Remove(_)) && of.destinations.contains(&found) {
        return Err(Failed::Conflict(
            "the configuration lists this destination: take it out there, or it comes back".to_owned(),
        ));
    }
    let before = listed(desk, name, of).await?;
    let command = ChangeList { provider: name.clone(), change, now: clock::now() };
    store.payout_command(PayoutCommand::List(command)).await?;
    let after = listed(desk, name, of).await?;
    desk.write_down(admin, what, &format!("providers/{name}/destinations"), (&before, &after)).await?;
    Ok(axum::Json(after).into_response())
}

async fn revenue(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Result<Response, Failed> {
    let span = span(query.as_deref().unwrap_or_default()).map_err(Failed::Malformed)?;
    Ok(axum::Json(report(&desk.gateway, span, None).await?).into_response())
}

const STANDS: Told = Told::json(200, "Where the payout stands now.", Shape::Named("Payout"), None);
const LISTED: Told = Told::json(
    200,
    "Where the provider's money may go.",
    Shape::Json(
        r##"{"type":"object","required":["provider","destinations"],"properties":{"provider":{"type":"string"},
            "destinations":{"type":"array","items":{"$ref":"#/components/schemas/ListedDestination"}}}}"##,
    ),
    Some(r#"{"provider":"acme","destinations":[]}"#),
);
const NAMED: Body = Body {
    shape: Shape::Json(
        r#"{"type":"object","required":["destination"],"additionalProperties":false,"properties":{
            "destination":{"type":"string","description":"An address, or the public key of a Lightning node."}}}"#,
    ),
    examples: &[Example {
        shows: "An address.",
        json: r#"{"destination":"0x1111111111111111111111111111111111111111"}"#,
    }],
};

const LIST: Operation = Operation {
    id: "adminPayouts",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Every payout, the newest first.",
    about: "With `state=requested`: those that wait for the operator.",
    parameters: &PAGE,
    body: None,
    told: &[Told::json(
        200,
        "A page of them.",
        Shape::Named("Payouts"),
        Some(r#"{"payouts":[],"next_before":null}"#),
    )],
    codes: &[CODES],
};
const SENT_BACK: &str = r#"{"payout_id":"po_103518Rpy1IgAnbQiqcrFy6","state":"held","provider":null,"server":null,"credit_of":"eip155:0x1111111111111111111111111111111111111111","requested_by":"operator:adm_103518Rpy1IgAnbQiqcrFy6","rail":"evm","destination":"0x1111111111111111111111111111111111111111","amount":"5000000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","symbol":"USDC","display":"5 USDC","invoice":null,"reference":null,"evidence":null,"approved_by":null,"version":1,"created_at":"2026-11-27T09:00:00.000Z","updated_at":"2026-11-27T09:00:00.000Z"}"#;
const REQUEST: Operation = Operation {
    id: "adminPayCreditBack",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Sends credit of a wallet back to the wallet.",
    about: "To its own address on the network of `payment.x402` and nowhere else, within the limits of `payouts.wallet_credit`, which count over all wallets. \
        The amount is reserved at once and sent soon after; `GET /admin/v1/payouts` tells what became of it. Written down in the audit.",
    parameters: &[],
    body: Some(Body {
        shape: Shape::Json(
            r##"{"type":"object","required":["wallet","amount","asset","id"],"additionalProperties":false,"properties":{
                "wallet":{"type":"string","description":"Its address: 0x and 40 hexadecimal digits."},
                "amount":{"$ref":"#/components/schemas/Amount"},
                "asset":{"type":"string","description":"The symbol or the id of the asset of `payment.x402`."},
                "id":{"type":"string","minLength":1,"maxLength":64,"description":"A word of the operator's own: the same request under it is the same payout, another one is refused."}}}"##,
        ),
        examples: &[Example {
            shows: "5 USDC of what a wallet has.",
            json: r#"{"wallet":"0x1111111111111111111111111111111111111111","amount":"5000000","asset":"USDC","id":"november"}"#,
        }],
    }),
    told: &[
        Told::json(201, "The payout; its amount is reserved.", Shape::Named("Payout"), Some(SENT_BACK)),
        Told::json(
            200,
            "The payout that this request had asked for before, as it stands now.",
            Shape::Named("Payout"),
            Some(SENT_BACK),
        ),
    ],
    codes: &[
        CODES,
        &[
            "payout_too_small",
            "payout_limit_exceeded",
            "payout_underfunded",
            "payout_unpayable",
            "payout_key_reused",
        ],
    ],
};
const APPROVE: Operation = Operation {
    id: "adminApprovePayout",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Lets a large payout go.",
    about: "Once, and only one that waits for it. Whoever asked for it cannot approve it: an API key opens nothing here.",
    parameters: &[ID],
    body: None,
    told: &[STANDS],
    codes: &[CODES, &["payout_not_found", "payout_wrong_state"]],
};
const CANCEL: Operation = Operation {
    id: "adminCancelPayout",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Gives a payout up that was not submitted yet.",
    about: "What was reserved is available to the provider, or the wallet, again.",
    parameters: &[ID],
    body: None,
    told: &[STANDS],
    codes: &[CODES, &["payout_not_found", "payout_wrong_state"]],
};
const SHOW: Operation = Operation {
    id: "adminDestinations",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Where a provider's money may go, and from when on.",
    about: "By the configuration and by operators.",
    parameters: &[PROVIDER],
    body: None,
    told: &[LISTED],
    codes: &[CODES],
};
const ADD: Operation = Operation {
    id: "adminListDestination",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Lists a destination for a provider.",
    about: "It can be used after the cool-off, counted from now. One that is listed keeps its moment. Written down in the audit.",
    parameters: &[PROVIDER],
    body: Some(NAMED),
    told: &[LISTED],
    codes: &[CODES, &["payout_limit_exceeded"]],
};
const REMOVE: Operation = Operation {
    id: "adminUnlistDestination",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Takes a destination off a provider's list.",
    about: "At once. What was submitted before goes its way. One that the configuration lists is taken out there. Written down in the audit.",
    parameters: &[PROVIDER],
    body: Some(NAMED),
    told: &[LISTED],
    codes: &[CODES, &["conflict"]],
};
const REVENUE: Operation = Operation {
    id: "adminRevenue",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "What each provider's tools have earned of late.",
    about: "By the moment at which calls were made. `provider` is null for servers that belong to none. What providers paid to themselves is no revenue \
        and stands apart.",
    parameters: &[PERIOD],
    body: None,
    told: &[Told::json(200, "The report.", Shape::Named("Revenue"), Some(REPORT))],
    codes: &[CODES],
};
