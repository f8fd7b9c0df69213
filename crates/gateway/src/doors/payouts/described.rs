//! How the doors of payouts are described.

use crate::described::{
    Access, Body, Example, Group, Operation, Parameter, Place, Schema, Shape, Told, UNREAD,
};
use crate::doors::holder::{CODES, key};
use crate::doors::pages::{BEFORE, LIMIT};

/// A payout, in a path.
pub(in crate::doors) const ID: Parameter = Parameter {
    place: Place::Path,
    name: "id",
    about: "The payout.",
    shape: Shape::Named("PayoutId"),
    example: "po_103518Rpy1IgAnbQiqcrFy6",
};
/// A provider, in a path.
pub(in crate::doors) const PROVIDER: Parameter = Parameter {
    place: Place::Path,
    name: "provider",
    about: "The provider, as the operator's configuration names it.",
    shape: Shape::Json(r#"{"type":"string","pattern":"^[a-z0-9][a-z0-9-]{0,63}$"}"#),
    example: "acme",
};
const KEY: Parameter = key(
    "A word of the caller's own: the same request under it is the same payout, another one is refused. Needed.",
    "november",
);
/// A page of payouts.
pub(in crate::doors) const PAGE: [Parameter; 4] = [
    Parameter {
        place: Place::Query,
        name: "provider",
        about: "Of which provider; needed by whoever withdraws for several.",
        shape: Shape::Json(r#"{"type":"string","pattern":"^[a-z0-9][a-z0-9-]{0,63}$"}"#),
        example: "acme",
    },
    Parameter {
        place: Place::Query,
        name: "state",
        about: "Only those in this state.",
        shape: Shape::Json(
            r#"{"enum":["requested","held","submitted","unknown","settled","failed","cancelled"]}"#,
        ),
        example: "settled",
    },
    LIMIT,
    BEFORE,
];
/// How far back a report looks.
pub(in crate::doors) const PERIOD: Parameter = Parameter {
    place: Place::Query,
    name: "hours",
    about: "How far back; 720 unless it is said.",
    shape: Shape::Json(r#"{"type":"integer","minimum":1,"maximum":8784}"#),
    example: "720",
};
const MINE: &[&str] = &["payout_not_allowed"];

macro_rules! example {
    ($state:literal, $reference:literal) => {
        concat!(
            r#"{"payout_id":"po_103518Rpy1IgAnbQiqcrFy6","state":""#,
            $state,
            r#"","provider":"acme","server":"weather","credit_of":null,"requested_by":"key_103518Rpy1IgAnbQiqcrFy6","rail":"evm","destination":"0x1111111111111111111111111111111111111111","amount":"5000000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","symbol":"USDC","display":"5 USDC","invoice":null,"reference":"#,
            $reference,
            r#","evidence":null,"approved_by":null,"version":1,"created_at":"2026-11-27T09:00:00.000Z","updated_at":"2026-11-27T09:00:00.000Z"}"#
        )
    };
}
const HELD: &str = example!("held", "null");
const CANCELLED: &str = example!("cancelled", "null");
const SETTLED: &str = example!("settled", r#""0xab""#);

/// [`super::request`].
pub(super) const REQUEST: Operation = Operation {
    id: "requestPayout",
    group: Group::Payouts,
    access: Access::ApiKey,
    summary: "Withdraws what a server has earned, to a listed destination.",
    about: "The amount is reserved at once and sent soon after; read the payout for what became of it. Over Lightning the request brings an invoice of \
        the listed node over exactly the amount. A payout above the operator's limit for that waits for the operator: `requested`.",
    parameters: &[KEY],
    body: Some(Body {
        shape: Shape::Json(
            r##"{"type":"object","required":["provider","destination","amount","asset"],"additionalProperties":false,"properties":{
                "provider":{"type":"string"},
                "server":{"type":["string","null"],"description":"Whose earnings; may be left out by a provider with one server."},
                "destination":{"type":"string","description":"A listed address, or the public key of a listed Lightning node."},
                "amount":{"$ref":"#/components/schemas/Amount"},
                "asset":{"type":"string","description":"The symbol or the id of the asset, which must be the destination's."},
                "invoice":{"type":["string","null"],"description":"Over Lightning: the BOLT 11 invoice that is paid."}}}"##,
        ),
        examples: &[Example {
            shows: "5 USDC to an address.",
            json: r#"{"provider":"acme","destination":"0x1111111111111111111111111111111111111111","amount":"5000000","asset":"USDC"}"#,
        }],
    }),
    told: &[
        Told {
            headers: &[("Location", "Where the payout is.")],
            ..Told::json(201, "The payout; its amount is reserved.", Shape::Named("Payout"), Some(HELD))
        },
        Told::json(
            200,
            "The payout that this request had asked for before, as it stands now.",
            Shape::Named("Payout"),
            Some(SETTLED),
        ),
    ],
    codes: &[
        UNREAD,
        CODES,
        MINE,
        &[
            "payout_destination_unlisted",
            "payout_cooling_off",
            "payout_too_small",
            "payout_limit_exceeded",
            "payout_underfunded",
            "payout_unpayable",
            "payout_key_reused",
        ],
    ],
};

/// [`super::list`].
pub(super) const LIST: Operation = Operation {
    id: "listPayouts",
    group: Group::Payouts,
    access: Access::ApiKey,
    summary: "The payouts of a provider, the newest first.",
    about: "Of one that the caller withdraws for.",
    parameters: &PAGE,
    body: None,
    told: &[Told::json(
        200,
        "A page of them.",
        Shape::Named("Payouts"),
        Some(r#"{"payouts":[],"next_before":null}"#),
    )],
    codes: &[CODES, MINE, &["malformed_frame"]],
};

/// [`super::show`].
pub(super) const SHOW: Operation = Operation {
    id: "payout",
    group: Group::Payouts,
    access: Access::ApiKey,
    summary: "Where a payout stands.",
    about: "`unknown` is not `failed`: it is looked up until its rail says what became of it, and it is never paid twice.",
    parameters: &[ID],
    body: None,
    told: &[Told::json(200, "The payout.", Shape::Named("Payout"), Some(SETTLED))],
    codes: &[CODES, &["malformed_frame", "payout_not_found"]],
};

/// [`super::cancel`].
pub(super) const CANCEL: Operation = Operation {
    id: "cancelPayout",
    group: Group::Payouts,
    access: Access::ApiKey,
    summary: "Gives a payout up that was not submitted yet.",
    about: "What was reserved is available again, and does not count in the limit of the day.",
    parameters: &[ID],
    body: None,
    told: &[Told::json(200, "The payout.", Shape::Named("Payout"), Some(CANCELLED))],
    codes: &[CODES, &["malformed_frame", "payout_not_found", "payout_wrong_state"]],
};

/// [`super::balance`].
pub(super) const BALANCE: Operation = Operation {
    id: "providerBalance",
    group: Group::Payouts,
    access: Access::ApiKey,
    summary: "What a provider's servers have earned, what can be paid out, and where to.",
    about: "Amounts are in atomic units. `available` is `earned` less what was paid out, refunded or is reserved.",
    parameters: &[PROVIDER],
    body: None,
    told: &[Told::json(
        200,
        "The balances, and the destinations that are listed.",
        Shape::Named("ProviderBalance"),
        Some(
            r#"{"provider":"acme","balances":[{"server":"weather","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","symbol":"USDC","available":"5000000","display":"5 USDC","overdrawn":false,"earned":"9000000","not_settled_yet":"0","paid_out_or_refunded":"4000000","reserved":"0"}],"destinations":[{"destination":"0x1111111111111111111111111111111111111111","rail":"evm","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","listed_at":"2026-11-27T09:00:00.000Z","listed_by":"config","usable_from":"2026-11-28T09:00:00.000Z","usable":false}]}"#,
        ),
    )],
    codes: &[CODES, MINE],
};

/// [`super::earned`].
pub(super) const REVENUE: Operation = Operation {
    id: "providerRevenue",
    group: Group::Payouts,
    access: Access::ApiKey,
    summary: "What each tool of a provider has earned of late.",
    about: "By the moment at which calls were made. What the provider paid to itself, with a key, wallet, destination or organisation of its own, is no \
        revenue and stands apart.",
    parameters: &[PROVIDER, PERIOD],
    body: None,
    told: &[Told::json(200, "The report.", Shape::Named("Revenue"), Some(REPORT))],
    codes: &[CODES, MINE, &["malformed_frame"]],
};

/// A report of revenue.
pub(in crate::doors) const REPORT: &str = r#"{"since":"2026-10-28T09:00:00.000Z","until":"2026-11-27T09:00:00.000Z","revenue":[{"provider":"acme","server":"weather","tool":"forecast","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","symbol":"USDC","calls":3,"gross":"30000","refunded":"10000","net":"20000","display":"0.02 USDC"}],"self_payments":[]}"#;

/// What these operations name.
pub(super) const SCHEMAS: &[Schema] = &[
    Schema { name: "PayoutId", json: r#"{"type":"string","pattern":"^po_1[0-9A-Za-z]{22}$"}"# },
    Schema {
        name: "Payouts",
        json: r##"{"type":"object","required":["payouts","next_before"],"properties":{
            "payouts":{"type":"array","items":{"$ref":"#/components/schemas/Payout"}},
            "next_before":{"type":["integer","null"],"description":"`before` of the next page; null: there is none."}}}"##,
    },
    Schema {
        name: "Payout",
        json: r##"{"type":"object","required":["payout_id","state","provider","server","credit_of","requested_by","rail","destination","amount","asset","symbol","display","invoice","reference","evidence","approved_by","version","created_at","updated_at"],"properties":{
            "payout_id":{"$ref":"#/components/schemas/PayoutId"},
            "state":{"enum":["requested","held","submitted","unknown","settled","failed","cancelled"]},
            "provider":{"type":["string","null"],"description":"Who is paid; null where credit goes back to a wallet."},
            "server":{"type":["string","null"],"description":"Whose earnings it takes."},
            "credit_of":{"type":["string","null"],"description":"The wallet whose credit goes back to it: at an operator's word alone."},
            "requested_by":{"type":"string"},
            "rail":{"enum":["evm","lightning","sandbox"]},
            "destination":{"type":"string"},
            "amount":{"$ref":"#/components/schemas/Amount"},
            "asset":{"type":"string"},
            "symbol":{"type":["string","null"]},
            "display":{"type":["string","null"],"description":"The amount for people."},
            "invoice":{"type":["string","null"]},
            "reference":{"type":["string","null"],"description":"Where it is found on its rail, once it is settled: a transaction or a payment hash."},
            "evidence":{"type":["string","null"],"description":"What the rail said last, or why it failed."},
            "approved_by":{"type":["string","null"]},
            "version":{"type":"integer","minimum":1},
            "created_at":{"type":"string"},
            "updated_at":{"type":"string"}}}"##,
    },
    Schema {
        name: "ProviderBalance",
        json: r##"{"type":"object","required":["provider","balances","destinations"],"properties":{
            "provider":{"type":"string"},
            "balances":{"type":"array","items":{"type":"object","required":["server","asset","available","earned","not_settled_yet","paid_out_or_refunded","reserved","overdrawn"],"properties":{
                "server":{"type":"string"},"asset":{"type":"string"},"symbol":{"type":["string","null"]},
                "available":{"$ref":"#/components/schemas/Amount"},"display":{"type":["string","null"]},
                "overdrawn":{"type":"boolean","description":"Whether refunds took more than there was: nothing is paid out until it is earned back."},
                "earned":{"$ref":"#/components/schemas/Amount"},
                "not_settled_yet":{"$ref":"#/components/schemas/Amount"},
                "paid_out_or_refunded":{"$ref":"#/components/schemas/Amount"},
                "reserved":{"$ref":"#/components/schemas/Amount"}}}},
            "destinations":{"type":"array","items":{"$ref":"#/components/schemas/ListedDestination"}}}}"##,
    },
    Schema {
        name: "ListedDestination",
        json: r##"{"type":"object","required":["destination","rail","asset","listed_at","listed_by","usable_from","usable"],"properties":{
            "destination":{"type":"string"},"rail":{"enum":["evm","lightning","sandbox"]},"asset":{"type":"string"},
            "listed_at":{"type":"string"},"listed_by":{"type":"string"},"usable_from":{"type":"string"},"usable":{"type":"boolean"}}}"##,
    },
    Schema {
        name: "Revenue",
        json: r##"{"type":"object","required":["since","until","revenue","self_payments"],"properties":{
            "since":{"type":"string"},"until":{"type":"string"},
            "revenue":{"type":"array","items":{"$ref":"#/components/schemas/RevenueLine"}},
            "self_payments":{"type":"array","description":"What providers paid to themselves.","items":{"$ref":"#/components/schemas/RevenueLine"}}}}"##,
    },
    Schema {
        name: "RevenueLine",
        json: r##"{"type":"object","required":["provider","server","tool","asset","calls","gross","refunded","net"],"properties":{
            "provider":{"type":["string","null"]},"server":{"type":"string"},"tool":{"type":"string"},"asset":{"type":"string"},
            "symbol":{"type":["string","null"]},"calls":{"type":"integer","minimum":0},
            "gross":{"$ref":"#/components/schemas/Amount"},"refunded":{"$ref":"#/components/schemas/Amount"},
            "net":{"$ref":"#/components/schemas/Amount"},"display":{"type":["string","null"]}}}"##,
    },
];
