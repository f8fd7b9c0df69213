//! How the doors of escrows are described.

use crate::described::{
    Access, Body, Example, Group, Operation, Parameter, Place, Schema, Shape, Told, UNREAD,
};
use crate::doors::holder::{CODES, key};
use crate::doors::pages::{BEFORE, LIMIT};

/// An escrow, in a path.
pub(in crate::doors) const ID: Parameter = Parameter {
    place: Place::Path,
    name: "id",
    about: "The escrow.",
    shape: Shape::Named("EscrowId"),
    example: "esc_103518Rpy1IgAnbQiqcrFy6",
};
const KEY: Parameter = key(
    "A word of the caller's own: the same request under it is carried out once, another one is refused.",
    "order-7",
);
const IF_MATCH: Parameter = Parameter {
    place: Place::Header,
    name: "If-Match",
    about: "The ETag of what was looked at: if the escrow has moved on since, nothing is done.",
    shape: Shape::Json(r#"{"type":"string"}"#),
    example: "*",
};
const STEP: &[Parameter] = &[ID, KEY, IF_MATCH];
const ETAG: &[(&str, &str)] = &[("ETag", "The version of the escrow, for If-Match.")];
const NO_BODY: Body = Body {
    shape: Shape::Json(r#"{"type":"object","additionalProperties":false}"#),
    examples: &[Example { shows: "Nothing needs to be said; the body may be left out.", json: "{}" }],
};
/// What any step may be refused with.
const REFUSED: &[&str] = &[
    "escrow_not_found",
    "escrow_wrong_party",
    "escrow_wrong_state",
    "escrow_deadline_passed",
    "escrow_changed",
    "escrow_key_reused",
    "escrow_full",
];
const STEP_CODES: &[&[&str]] = &[UNREAD, CODES, REFUSED];
const FUNDS: &[&str] = &["escrow_underfunded"];

/// An escrow, as the examples show it.
macro_rules! example {
    ($state:literal, $deadline:literal, $dispute:literal, $more:literal) => {
        concat!(
            r#"{"escrow_id":"esc_103518Rpy1IgAnbQiqcrFy6","state":""#,
            $state,
            r#"","payer":"key_103518Rpy1IgAnbQiqcrFy6","provider":"key_103518Rpy1IgAnbQiqcrFy7","mediator":null,"amount":"1000000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","symbol":"USDC","display":"1 USDC","released":"0","refunded":"0","rest":"1000000","milestones":[],"description":"Translate the report.","terms":{"open_seconds":86400,"timeout_seconds":300,"dispute_window_seconds":86400,"evidence_seconds":259200,"mediation_seconds":259200,"dispute_stake":"50000","mediator_stake":"0","confidence_min":"0.8"},"deadline":"#,
            $deadline,
            r#","dispute":"#,
            $dispute,
            r#","resolution":null,"version":3,"created_at":"2026-11-27T04:46:09.000Z","updated_at":"2026-11-27T04:46:10.000Z","your_role":"payer""#,
            $more,
            "}"
        )
    };
}
const DELIVERED: &str = example!("delivered", r#""2026-11-28T04:46:10.000Z""#, "null", "");

const fn stands(example: &'static str) -> Told {
    Told {
        headers: ETAG,
        ..Told::json(200, "Where the escrow stands now.", Shape::Named("Escrow"), Some(example))
    }
}

/// [`super::create`].
pub(super) const CREATE: Operation = Operation {
    id: "createEscrow",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "Agrees on an escrow; the caller is its payer.",
    about: "No money moves yet. Deadlines and stakes are fixed now: what is not said is as the operator has set it. `provider` is the id of an API key, \
        `mediator` is another one, `service` for the operator's mediation service, or nobody: then the operator decides disputes.",
    parameters: &[KEY],
    body: Some(Body {
        shape: Shape::Json(
            r##"{"type":"object","required":["amount","asset"],"additionalProperties":false,"properties":{
                "provider":{"type":"string","description":"The id of the API key that works and is paid."},
                "provider_id":{"type":"string","description":"The same, in the words of others."},
                "amount":{"$ref":"#/components/schemas/Amount"},
                "asset":{"type":"string","description":"The symbol or the id of an asset that this gateway takes."},
                "description":{"type":["string","null"],"maxLength":4096},
                "mediator":{"type":["string","null"]},
                "milestones":{"type":"array","maxItems":32,"description":"Parts that the payer may release one by one; they sum to the amount.","items":{"type":"object","required":["title","amount"],"additionalProperties":false,"properties":{
                    "title":{"type":"string","minLength":1,"maxLength":200},"amount":{"$ref":"#/components/schemas/Amount"}}}},
                "timeout_seconds":{"type":["integer","null"],"minimum":1,"description":"From lock until it must be delivered."},
                "dispute_window_seconds":{"type":["integer","null"],"minimum":1,"description":"From delivery until what is left is released."}}}"##,
        ),
        examples: &[
            Example {
                shows: "1 USDC for one piece of work.",
                json: r#"{"provider":"key_103518Rpy1IgAnbQiqcrFy7","amount":"1000000","asset":"USDC","description":"Translate the report."}"#,
            },
            Example {
                shows: "In two parts, with a mediator.",
                json: r#"{"provider":"key_103518Rpy1IgAnbQiqcrFy7","amount":"1000000","asset":"USDC","mediator":"key_103518Rpy1IgAnbQiqcrFy8","milestones":[{"title":"draft","amount":"400000"},{"title":"final","amount":"600000"}]}"#,
            },
        ],
    }),
    told: &[
        Told {
            headers: &[
                ("ETag", "The version of the escrow, for If-Match."),
                ("Location", "Where the escrow is."),
            ],
            ..Told::json(
                201,
                "The escrow.",
                Shape::Named("Escrow"),
                Some(example!("created", r#""2026-11-28T04:46:09.000Z""#, "null", "")),
            )
        },
        stands(DELIVERED),
    ],
    codes: &[UNREAD, CODES, &["escrow_terms_refused", "escrow_key_reused"]],
};

/// [`super::list`].
pub(super) const LIST: Operation = Operation {
    id: "listEscrows",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "The caller's escrows, the newest first.",
    about: "Those in which the caller is payer, provider or mediator.",
    parameters: &PAGE,
    body: None,
    told: &[Told::json(
        200,
        "A page of them.",
        Shape::Named("Escrows"),
        Some(concat!(
            r#"{"escrows":["#,
            example!("delivered", "null", "null", ""),
            r#"],"next_before":null}"#
        )),
    )],
    codes: &[CODES, &["malformed_frame"]],
};

/// How a page of escrows is asked for.
pub(in crate::doors) const PAGE: [Parameter; 5] = [
    Parameter {
        place: Place::Query,
        name: "role",
        about: "Only those in which the caller is this.",
        shape: Shape::Json(r#"{"enum":["payer","provider","mediator"]}"#),
        example: "payer",
    },
    Parameter {
        place: Place::Query,
        name: "state",
        about: "Only those in this state.",
        shape: Shape::Json(
            r#"{"enum":["created","funded","locked","delivered","disputed","released","refunded","resolved","cancelled","expired"]}"#,
        ),
        example: "disputed",
    },
    Parameter {
        place: Place::Query,
        name: "phase",
        about: "Only disputes in this phase.",
        shape: Shape::Json(r#"{"enum":["evidence","mediation","operator"]}"#),
        example: "operator",
    },
    LIMIT,
    BEFORE,
];

/// [`super::show`].
pub(super) const SHOW: Operation = Operation {
    id: "escrow",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "Where an escrow stands, and everything that happened to it.",
    about: "For its parties and its mediator; to anybody else there is none.",
    parameters: &[ID],
    body: None,
    told: &[stands(example!(
        "delivered",
        r#""2026-11-28T04:46:10.000Z""#,
        "null",
        r#","events":[{"version":1,"at":"2026-11-27T04:46:09.000Z","by":"key_103518Rpy1IgAnbQiqcrFy6","event":"create","state":"created"}]"#
    ))],
    codes: &[CODES, &["malformed_frame", "escrow_not_found"]],
};

/// [`super::fund`].
pub(super) const FUND: Operation = Operation {
    id: "fundEscrow",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "The payer pays the whole amount in.",
    about: "From prepaid credit, within the payer's budgets. Until the lock either party may cancel, and the payer has it back.",
    parameters: STEP,
    body: Some(NO_BODY),
    told: &[stands(example!("funded", r#""2026-11-28T04:46:09.000Z""#, "null", ""))],
    codes: &[UNREAD, CODES, REFUSED, FUNDS, &["budget_exceeded", "spending_stopped"]],
};

/// [`super::lock`].
pub(super) const LOCK: Operation = Operation {
    id: "lockEscrow",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "The work begins.",
    about: "By either party. From now on the provider has `timeout_seconds` to deliver; if it does not, the payer has everything back by itself.",
    parameters: STEP,
    body: Some(NO_BODY),
    told: &[stands(example!("locked", r#""2026-11-27T04:51:10.000Z""#, "null", ""))],
    codes: STEP_CODES,
};

/// [`super::complete`].
pub(super) const COMPLETE: Operation = Operation {
    id: "completeEscrow",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "The provider has delivered.",
    about: "What is left is released by itself when `dispute_window_seconds` are over, or earlier when the payer accepts.",
    parameters: STEP,
    body: Some(Body {
        shape: Shape::Json(
            r#"{"type":"object","additionalProperties":false,"properties":{"result_sha256":{"type":["string","null"],"pattern":"^[0-9a-f]{64}$"},"note":{"type":["string","null"],"maxLength":4096}}}"#,
        ),
        examples: &[Example {
            shows: "With the digest of what was delivered.",
            json: r#"{"result_sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","note":"12 pages, sent by mail"}"#,
        }],
    }),
    told: &[stands(DELIVERED)],
    codes: STEP_CODES,
};

/// [`super::accept`].
pub(super) const ACCEPT: Operation = Operation {
    id: "acceptEscrow",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "The payer releases what is left, or a part of it.",
    about: "A milestone by its place from 0, or, where there are none, an amount. Before the delivery only parts can be released; in a dispute it ends the dispute.",
    parameters: STEP,
    body: Some(Body {
        shape: Shape::Json(
            r##"{"type":"object","additionalProperties":false,"properties":{"milestone":{"type":["integer","null"],"minimum":0,"maximum":255},"amount":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}]}}}"##,
        ),
        examples: &[
            Example { shows: "All that is left.", json: "{}" },
            Example { shows: "The first milestone.", json: r#"{"milestone":0}"# },
        ],
    }),
    told: &[stands(DELIVERED)],
    codes: &[UNREAD, CODES, REFUSED, &["escrow_part_refused"]],
};

/// [`super::cancel`].
pub(super) const CANCEL: Operation = Operation {
    id: "cancelEscrow",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "A party gives it up; what is left goes back to the payer.",
    about: "Before the lock either party may; after it only the provider.",
    parameters: STEP,
    body: Some(Body {
        shape: Shape::Json(
            r#"{"type":"object","additionalProperties":false,"properties":{"reason":{"type":["string","null"],"maxLength":4096}}}"#,
        ),
        examples: &[Example { shows: "With a reason.", json: r#"{"reason":"no time after all"}"# }],
    }),
    told: &[stands(DELIVERED)],
    codes: STEP_CODES,
};

/// [`super::dispute`].
pub(super) const DISPUTE: Operation = Operation {
    id: "disputeEscrow",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "The payer disputes the delivery.",
    about: "Within the dispute window, with a stake from prepaid credit: lost if the delivery is judged to be wholly in order.",
    parameters: STEP,
    body: Some(Body {
        shape: Shape::Json(
            r##"{"type":"object","required":["reason"],"additionalProperties":false,"properties":{"reason":{"type":"string","minLength":1,"maxLength":4096},"stake":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}],"description":"The agreed one without it."}}}"##,
        ),
        examples: &[Example {
            shows: "With the agreed stake.",
            json: r#"{"reason":"half of the pages are missing"}"#,
        }],
    }),
    told: &[stands(example!(
        "disputed",
        r#""2026-11-30T04:46:10.000Z""#,
        r#"{"phase":"evidence","about":"the parties show their evidence","evidence":{"payer":0,"provider":0},"stake":"50000","mediator_stake":null}"#,
        ""
    ))],
    codes: &[UNREAD, CODES, REFUSED, FUNDS, &["escrow_stake_too_small"]],
};

/// [`super::evidence`].
pub(super) const EVIDENCE: Operation = Operation {
    id: "escrowEvidence",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "A party of a dispute shows evidence.",
    about: "Once both have, the mediator decides. If one is silent until the deadline, the other has won. Both parties and the mediator read it under `GET /api/v1/escrow/{id}`.",
    parameters: STEP,
    body: Some(Body {
        shape: Shape::Json(
            r#"{"type":"object","required":["statement"],"additionalProperties":false,"properties":{"statement":{"type":"string","minLength":1,"maxLength":4096},"document_sha256":{"type":["string","null"],"pattern":"^[0-9a-f]{64}$"}}}"#,
        ),
        examples: &[Example { shows: "A statement.", json: r#"{"statement":"pages 7 to 12 are empty"}"# }],
    }),
    told: &[stands(DELIVERED)],
    codes: STEP_CODES,
};

/// [`super::mediate`].
pub(super) const MEDIATE: Operation = Operation {
    id: "mediateEscrow",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "The mediator takes a dispute on, with a stake.",
    about: "The stake comes back with the verdict; a mediator that does not decide in time loses it to the parties.",
    parameters: STEP,
    body: Some(NO_BODY),
    told: &[stands(DELIVERED)],
    codes: &[UNREAD, CODES, REFUSED, FUNDS],
};

/// [`super::resolve`].
pub(super) const RESOLVE: Operation = Operation {
    id: "resolveEscrow",
    group: Group::Escrow,
    access: Access::ApiKey,
    summary: "The mediator decides a dispute: release, refund or split.",
    about: "A verdict that is less sure than agreed hands over to the operator. Of a split the provider's part is rounded down; the rest is the payer's.",
    parameters: STEP,
    body: Some(Body {
        shape: Shape::Json(VERDICT),
        examples: &[Example {
            shows: "A quarter for the provider.",
            json: r#"{"ruling":"split","provider_share":"0.25","confidence":"0.9","reason":"a quarter was delivered"}"#,
        }],
    }),
    told: &[stands(DELIVERED)],
    codes: &[UNREAD, CODES, REFUSED, &["escrow_not_taken_up"]],
};

/// A verdict.
const VERDICT: &str = r#"{"type":"object","required":["ruling"],"additionalProperties":false,"properties":{
    "ruling":{"enum":["release","refund","split"]},
    "provider_share":{"type":["string","null"],"pattern":"^[01](\\.[0-9]{1,4})?$","description":"With `split`: the provider's share of what is left."},
    "confidence":{"type":["string","null"],"pattern":"^[01](\\.[0-9]{1,4})?$","description":"How sure; 1.0 without it."},
    "stake":{"enum":["return","forfeit",null],"description":"What becomes of the payer's stake; without it: forfeit with `release`, else return."},
    "reason":{"type":["string","null"],"maxLength":4096}}}"#;

/// What these operations name.
pub(super) const SCHEMAS: &[Schema] = &[
    Schema { name: "EscrowId", json: r#"{"type":"string","pattern":"^esc_1[0-9A-Za-z]{22}$"}"# },
    Schema {
        name: "Escrows",
        json: r##"{"type":"object","required":["escrows","next_before"],"properties":{
            "escrows":{"type":"array","items":{"$ref":"#/components/schemas/Escrow"}},
            "next_before":{"type":["integer","null"],"description":"Where the next page begins; null: there is none."}}}"##,
    },
    Schema {
        name: "Escrow",
        json: r##"{"type":"object","required":["escrow_id","state","payer","provider","mediator","amount","asset","released","refunded","rest","milestones","terms","deadline","dispute","resolution","version","created_at","updated_at"],"properties":{
            "escrow_id":{"$ref":"#/components/schemas/EscrowId"},
            "state":{"enum":["created","funded","locked","delivered","disputed","released","refunded","resolved","cancelled","expired"]},
            "payer":{"type":"string"},
            "provider":{"type":"string","description":"Whose key; `server:NAME` where a delivered call of that server began the escrow."},
            "call_id":{"type":["string","null"],"description":"The call that began it, if one did."},
            "mediator":{"type":["string","null"],"description":"Whose key; `service`: the operator's mediation service; null: the operator decides."},
            "amount":{"$ref":"#/components/schemas/Amount"},
            "asset":{"type":"string"},
            "symbol":{"type":["string","null"]},
            "display":{"type":["string","null"],"description":"The amount for people."},
            "released":{"$ref":"#/components/schemas/Amount"},
            "refunded":{"$ref":"#/components/schemas/Amount"},
            "rest":{"$ref":"#/components/schemas/Amount"},
            "milestones":{"type":"array","items":{"type":"object","required":["title","amount","released"],"properties":{
                "title":{"type":"string"},"amount":{"$ref":"#/components/schemas/Amount"},"released":{"type":"boolean"}}}},
            "description":{"type":["string","null"]},
            "terms":{"type":"object","required":["open_seconds","timeout_seconds","dispute_window_seconds","evidence_seconds","mediation_seconds","dispute_stake","mediator_stake","confidence_min"]},
            "deadline":{"type":["string","null"],"description":"From this moment on nobody can act: what follows happens by itself."},
            "dispute":{"type":["object","null"],"required":["phase","evidence","stake"],"properties":{
                "phase":{"enum":["evidence","mediation","operator"]},
                "about":{"type":"string"},
                "evidence":{"type":"object","properties":{"payer":{"type":"integer"},"provider":{"type":"integer"}}},
                "stake":{"$ref":"#/components/schemas/Amount"},
                "mediator_stake":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}]}}},
            "resolution":{"type":["object","null"],"required":["ruling","by_default"],"properties":{
                "ruling":{"enum":["release","refund","split"]},
                "provider_share":{"type":"string"},
                "by_default":{"type":"boolean","description":"Whether because one side was silent."}}},
            "version":{"type":"integer","minimum":1},
            "created_at":{"type":"string"},
            "updated_at":{"type":"string"},
            "your_role":{"enum":["payer","provider","mediator","operator"]},
            "events":{"type":"array","items":{"type":"object","required":["version","at","by","event","state"],"properties":{
                "version":{"type":"integer"},"at":{"type":"string"},"by":{"type":"string"},"event":{"type":"string"},"state":{"type":"string"},"receipt_id":{"type":"string","description":"The receipt of what moved with it, if something did."}}}},
            "receipt":{"$ref":"#/components/schemas/Envelope"}}}"##,
    },
];
