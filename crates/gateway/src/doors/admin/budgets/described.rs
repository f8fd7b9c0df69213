//! How the admin API of budgets and approvals is described.

use crate::described::{Access, Body, Example, Group, Operation, Parameter, Place, Schema, Shape, Told};

const PRINCIPAL: Parameter = Parameter {
    place: Place::Path,
    name: "principal",
    about: "Who calls: `anonymous`, `key_1…`, `eip155:0x…` or `lightning:…`, as calls and receipts name it.",
    shape: Shape::Json(r#"{"type":"string"}"#),
    example: "anonymous",
};
const APPROVAL_ID: Parameter = Parameter {
    place: Place::Path,
    name: "id",
    about: "The id of the approval, as `approval_required` gave it.",
    shape: Shape::Json(r#"{"type":"string"}"#),
    example: "appr_103518Rpy1IgAnbQiqcrFy6",
};
const STOPPING: Shape = Shape::Json(
    r#"{"type":"object","required":["target"],"additionalProperties":false,"properties":{
        "target":{"type":"string","description":"`everything`, `node:<path>` with everything below it, or `caller:<principal>`."},
        "reason":{"type":"string","maxLength":200,"description":"For the audit."}}}"#,
);
const ONE_APPROVAL: &str = r#"{"id":"appr_103518Rpy1IgAnbQiqcrFy6","state":"waiting","caller":"key_103518Rpy1IgAnbQiqcrFy6","server":"search","tool":"web-search","args_sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","amount":"500000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","price":"0.5 USDC","asked":"2026-11-27T04:46:09.000Z","expires":"2026-11-28T04:46:09.000Z","decided":null,"by":null,"call_id":null}"#;
const APPROVED: &str = r#"{"id":"appr_103518Rpy1IgAnbQiqcrFy6","state":"approved","caller":"key_103518Rpy1IgAnbQiqcrFy6","server":"search","tool":"web-search","args_sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","amount":"500000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","price":"0.5 USDC","asked":"2026-11-27T04:46:09.000Z","expires":"2026-11-28T04:50:00.000Z","decided":"2026-11-27T04:50:00.000Z","by":"adm_103518Rpy1IgAnbQiqcrFy6","call_id":null}"#;
const REJECTED: &str = r#"{"id":"appr_103518Rpy1IgAnbQiqcrFy6","state":"rejected","caller":"key_103518Rpy1IgAnbQiqcrFy6","server":"search","tool":"web-search","args_sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","amount":"500000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","price":"0.5 USDC","asked":"2026-11-27T04:46:09.000Z","expires":"2026-11-28T04:46:09.000Z","decided":"2026-11-27T04:50:00.000Z","by":"adm_103518Rpy1IgAnbQiqcrFy6","call_id":null}"#;

/// [`super::budgets`].
pub(super) const BUDGETS: Operation = Operation {
    id: "adminBudgets",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Every budget with what is used of it, and what is stopped.",
    about: "A node in which each caller has a counter of its own shows no windows; the callers' show them. \
        What a budget refuses, a call is told as `budget_exceeded`.",
    parameters: &[],
    body: None,
    told: &[Told::json(
        200,
        "The budgets.",
        Shape::Named("Budgets"),
        Some(
            r#"{"budgets":[{"node":"acme","kind":"org","windows":[{"node":"acme","window":"day","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","used":"500000","limit":"10000000","left":"9500000","warn":"8000000","used_shown":"0.5 USDC","limit_shown":"10 USDC","resets_at":"2026-11-28T00:00:00.000Z"}]}],"stops":[{"target":"node:acme/research","reason":"a runaway agent","by":"adm_103518Rpy1IgAnbQiqcrFy6","at":"2026-11-27T04:46:09.000Z"}]}"#,
        ),
    )],
    codes: &[],
};

/// [`super::caller`].
pub(super) const CALLER: Operation = Operation {
    id: "adminCallerBudgets",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "What bounds one caller, and how much of it is used.",
    about: "Budgets of single tools are not among them: they depend on what is called.",
    parameters: &[PRINCIPAL],
    body: None,
    told: &[Told::json(
        200,
        "The caller's budgets.",
        Shape::Named("CallerBudgets"),
        Some(r#"{"caller":"anonymous","budgets":[]}"#),
    )],
    codes: &[],
};

/// [`super::stop`].
pub(super) const STOP: Operation = Operation {
    id: "adminStopSpending",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Stops all spending, that of a node, or that of a caller.",
    about: "It counts from the next claim on: priced calls are refused with `spending_stopped`, and nothing is charged. Calls that \
        already hold their money end as they would have.",
    parameters: &[],
    body: Some(Body {
        shape: STOPPING,
        examples: &[
            Example { shows: "Everything.", json: r#"{"target":"everything","reason":"an incident"}"# },
            Example { shows: "One team.", json: r#"{"target":"node:acme/research"}"# },
        ],
    }),
    told: &[Told::json(
        200,
        "It is stopped.",
        Shape::Named("Stopped"),
        Some(r#"{"target":"everything","stopped":true,"changed":true}"#),
    )],
    codes: &[&["malformed", "conflict"]],
};

/// [`super::resume`].
pub(super) const RESUME: Operation = Operation {
    id: "adminResumeSpending",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Takes a stop back.",
    about: "Exactly the one of this target: others that hold the same callers up stay.",
    parameters: &[],
    body: Some(Body {
        shape: STOPPING,
        examples: &[Example { shows: "Everything.", json: r#"{"target":"everything"}"# }],
    }),
    told: &[Told::json(
        200,
        "It is not stopped.",
        Shape::Named("Stopped"),
        Some(r#"{"target":"everything","stopped":false,"changed":true}"#),
    )],
    codes: &[&["malformed", "conflict"]],
};

/// [`super::approvals`].
pub(super) const APPROVALS: Operation = Operation {
    id: "adminApprovals",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Calls that wait, or waited, for an operator; the latest first.",
    about: "The latest 500. A call that asks for one is told `approval_required`.",
    parameters: &[],
    body: None,
    told: &[Told::json(200, "The approvals.", Shape::Named("Approvals"), Some(r#"{"approvals":[]}"#))],
    codes: &[],
};

/// [`super::approval`].
pub(super) const APPROVAL: Operation = Operation {
    id: "adminApproval",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "One of them.",
    about: "The same view as in the list.",
    parameters: &[APPROVAL_ID],
    body: None,
    told: &[Told::json(200, "The approval.", Shape::Named("Approval"), Some(ONE_APPROVAL))],
    codes: &[],
};

/// [`super::approve`].
pub(super) const APPROVE: Operation = Operation {
    id: "adminApprove",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Lets the call that waits through, once.",
    about: "For exactly this caller, tool, arguments and price, until it expires.",
    parameters: &[APPROVAL_ID],
    body: None,
    told: &[Told::json(200, "The approval as it stands now.", Shape::Named("Approval"), Some(APPROVED))],
    codes: &[&["conflict"]],
};

/// [`super::reject`].
pub(super) const REJECT: Operation = Operation {
    id: "adminReject",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Refuses the call that waits.",
    about: "Asked again, the same call is told that it was rejected.",
    parameters: &[APPROVAL_ID],
    body: None,
    told: &[Told::json(200, "The approval as it stands now.", Shape::Named("Approval"), Some(REJECTED))],
    codes: &[&["conflict"]],
};

/// What these operations name.
pub(super) const SCHEMAS: &[Schema] = &[
    Schema {
        name: "Spent",
        json: r##"{"type":"object","description":"One window of one node.","required":["node","window","asset","used","limit","left","warn","used_shown","limit_shown","resets_at"],"properties":{
            "node":{"type":"string"},
            "window":{"enum":["hour","day","month","session"]},
            "asset":{"type":"string"},
            "used":{"$ref":"#/components/schemas/Amount"},
            "limit":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}],"description":"The most that may be used; null: it only warns."},
            "left":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}]},
            "warn":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}],"description":"From how much on somebody is warned."},
            "used_shown":{"type":["string","null"],"description":"For people."},
            "limit_shown":{"type":["string","null"],"description":"For people."},
            "resets_at":{"type":"string","description":"When all of it may be spent again."}}}"##,
    },
    Schema {
        name: "Budgets",
        json: r##"{"type":"object","required":["budgets","stops"],"properties":{
            "budgets":{"type":"array","items":{"type":"object","required":["node","kind","windows"],"properties":{
                "node":{"type":"string"},
                "kind":{"enum":["org","team","project","agent","tool"]},
                "windows":{"type":"array","items":{"$ref":"#/components/schemas/Spent"}}}}},
            "stops":{"type":"array","items":{"type":"object","required":["target","reason","by","at"],"properties":{
                "target":{"type":"string"},
                "reason":{"type":"string"},
                "by":{"type":"string"},
                "at":{"type":"string"}}}}}}"##,
    },
    Schema {
        name: "CallerBudgets",
        json: r##"{"type":"object","required":["caller","budgets"],"properties":{
            "caller":{"type":"string"},
            "budgets":{"type":"array","items":{"$ref":"#/components/schemas/Spent"}}}}"##,
    },
    Schema {
        name: "Stopped",
        json: r#"{"type":"object","required":["target","stopped","changed"],"properties":{
            "target":{"type":"string"},
            "stopped":{"type":"boolean"},
            "changed":{"type":"boolean","description":"Whether it was otherwise before."}}}"#,
    },
    Schema {
        name: "Approval",
        json: r##"{"type":"object","required":["id","state","caller","server","tool","args_sha256","amount","asset","price","asked","expires","decided","by","call_id"],"properties":{
            "id":{"type":"string"},
            "state":{"enum":["waiting","approved","rejected","used","expired"]},
            "caller":{"type":"string"},
            "server":{"type":"string"},
            "tool":{"type":"string"},
            "args_sha256":{"type":"string","description":"Of the arguments that it is for."},
            "amount":{"$ref":"#/components/schemas/Amount"},
            "asset":{"type":"string"},
            "price":{"type":["string","null"],"description":"The amount for people."},
            "asked":{"type":"string"},
            "expires":{"type":"string"},
            "decided":{"type":["string","null"],"description":"When an operator said so."},
            "by":{"type":["string","null"],"description":"Whose admin key."},
            "call_id":{"anyOf":[{"$ref":"#/components/schemas/CallId"},{"type":"null"}],"description":"The call that used it."}}}"##,
    },
    Schema {
        name: "Approvals",
        json: r##"{"type":"object","required":["approvals"],"properties":{"approvals":{"type":"array","items":{"$ref":"#/components/schemas/Approval"}}}}"##,
    },
];
