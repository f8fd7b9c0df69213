//! How the admin API is described.

use crate::described::{Access, Body, Example, Group, Operation, Parameter, Place, Schema, Shape, Told};

const SERVER_NAME: Parameter = Parameter {
    place: Place::Path,
    name: "server",
    about: "The server's name.",
    shape: Shape::Json(r#"{"type":"string"}"#),
    example: "search",
};
const TOOL_NAME: Parameter = Parameter {
    place: Place::Path,
    name: "tool",
    about: "The tool's name.",
    shape: Shape::Json(r#"{"type":"string"}"#),
    example: "web-search",
};
const IF_MATCH: Parameter = Parameter {
    place: Place::Header,
    name: "If-Match",
    about: "The ETag of what was read, so that nobody else's change is lost. Without it, or with `*`: whatever there is.",
    shape: Shape::Json(r#"{"type":"string"}"#),
    example: "*",
};
/// What a change may be refused with.
const CHANGE: &[&str] = &[
    "malformed",
    "no_configuration_file",
    "configuration_refused",
    "needs_restart",
    "version_mismatch",
    "command_refused",
    "masked_value",
    "store_busy",
];
const ETAG: &[(&str, &str)] = &[("ETag", "The version that counts, for If-Match.")];
const APPLIED: Told = Told {
    headers: ETAG,
    ..Told::json(
        200,
        "What counts now.",
        Shape::Named("Applied"),
        Some(
            r#"{"version":"5f2c1a9e7d0b3c48","changed":true,"servers":{"added":[],"removed":[],"changed":["search"]},"settings":[]}"#,
        ),
    )
};
const ONE_SERVER: &str = r#"{"name":"search","from":"file","settings":{"url":"http://127.0.0.1:9000/mcp","tools":{"web-search":{"price":["0.5USDC"]}}},"health":{"state":"ok","failures_in_a_row":0,"tools":1},"tools":[{"name":"web-search","description":"Searches the web.","pricing":{"type":"free"},"price_from":"file","may_be_called":true}]}"#;

/// [`super::view::servers`].
pub(super) const SERVERS: Operation = Operation {
    id: "adminServers",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Every server: what is written, where it comes from, how it is doing.",
    about: "Secrets are shown as `***`.",
    parameters: &[],
    body: None,
    told: &[Told {
        headers: ETAG,
        ..Told::json(
            200,
            "The servers.",
            Shape::Named("Servers"),
            Some(r#"{"version":"5f2c1a9e7d0b3c48","servers":[],"removed_from_file":[]}"#),
        )
    }],
    codes: &[],
};

/// [`super::view::server`].
pub(super) const SERVER: Operation = Operation {
    id: "adminServer",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "One of them.",
    about: "The same view as in the list.",
    parameters: &[SERVER_NAME],
    body: None,
    told: &[Told {
        headers: ETAG,
        ..Told::json(200, "The server.", Shape::Named("Server"), Some(ONE_SERVER))
    }],
    codes: &[],
};

/// [`super::put_server`].
pub(super) const PUT_SERVER: Operation = Operation {
    id: "adminPutServer",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Adds a server, or replaces its settings.",
    about: "The settings as they would stand in the configuration file. Running calls end by the configuration under which they began.",
    parameters: &[SERVER_NAME, IF_MATCH],
    body: Some(Body {
        shape: Shape::Json(
            r#"{"type":"object","description":"The settings of a server; `tollgate schema` describes them."}"#,
        ),
        examples: &[Example {
            shows: "A server whose tools are all for sale.",
            json: r#"{"url":"http://127.0.0.1:9000/mcp","every_tool":{"price":["0.01USDC"]}}"#,
        }],
    }),
    told: &[APPLIED],
    codes: &[CHANGE],
};

/// [`super::remove_server`].
pub(super) const REMOVE_SERVER: Operation = Operation {
    id: "adminRemoveServer",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Takes a server away.",
    about: "Also one of the configuration file, which itself stays as it is.",
    parameters: &[SERVER_NAME, IF_MATCH],
    body: None,
    told: &[APPLIED],
    codes: &[CHANGE],
};

/// [`super::put_price`].
pub(super) const PUT_PRICE: Operation = Operation {
    id: "adminPutPrice",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Sets the price of a tool.",
    about: "It counts for calls that begin from now on.",
    parameters: &[SERVER_NAME, TOOL_NAME, IF_MATCH],
    body: Some(Body {
        shape: Shape::Json(
            r#"{"type":"object","required":["price"],"additionalProperties":false,"properties":{"price":{"type":"array","items":{"type":"string"},"description":"One price per asset; an empty list: free."}}}"#,
        ),
        examples: &[
            Example { shows: "One cent, or ten satoshi.", json: r#"{"price":["0.01USDC","10sat"]}"# },
            Example { shows: "Free.", json: r#"{"price":[]}"# },
        ],
    }),
    told: &[APPLIED],
    codes: &[CHANGE],
};

/// [`super::remove_price`].
pub(super) const REMOVE_PRICE: Operation = Operation {
    id: "adminRemovePrice",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Takes a price that was set back.",
    about: "The price in the server's own settings counts again.",
    parameters: &[SERVER_NAME, TOOL_NAME, IF_MATCH],
    body: None,
    told: &[APPLIED],
    codes: &[CHANGE],
};

/// [`super::reload`].
pub(super) const RELOAD: Operation = Operation {
    id: "adminReload",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Reads the configuration file again.",
    about: "It is taken as a whole or not at all.",
    parameters: &[],
    body: None,
    told: &[APPLIED],
    codes: &[CHANGE],
};

/// [`super::audit`].
pub(super) const AUDIT: Operation = Operation {
    id: "adminAudit",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "What was changed, by whom; the latest first.",
    about: "Entries are never changed and never removed.",
    parameters: &[
        Parameter {
            place: Place::Query,
            name: "limit",
            about: "How many; 100 unless it is said, and 1,000 at most.",
            shape: Shape::Json(r#"{"type":"integer","minimum":1,"maximum":1000}"#),
            example: "100",
        },
        Parameter {
            place: Place::Query,
            name: "before",
            about: "Only what came before the entry with this number.",
            shape: Shape::Json(r#"{"type":"integer","minimum":0}"#),
            example: "1000",
        },
    ],
    body: None,
    told: &[Told::json(
        200,
        "A page of the audit.",
        Shape::Named("Audit"),
        Some(
            r#"{"entries":[{"seq":1,"at":"2026-11-27T04:46:09.000Z","admin":"adm_103518Rpy1IgAnbQiqcrFy6","what":"put_price","target":"servers/search/tools/web-search/price","before":null,"after":["0.01USDC"]}]}"#,
        ),
    )],
    codes: &[&["malformed"]],
};

/// [`super::refunds::refund`].
pub(super) const REFUND: Operation = Operation {
    id: "adminRefund",
    group: Group::Admin,
    access: Access::AdminKey,
    summary: "Gives back what was kept of a paid call, or a part of it.",
    about: "As credit of whoever paid, with a new receipt. Under one `id` it is booked once; all refunds of a call together are at most what was paid.",
    parameters: &[],
    body: Some(Body {
        shape: Shape::Json(
            r##"{"type":"object","required":["call_id","reason"],"additionalProperties":false,"properties":{"call_id":{"$ref":"#/components/schemas/CallId"},"reason":{"type":"string","minLength":1,"maxLength":500},"amount":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}],"description":"All that is left without it."},"id":{"type":"string","maxLength":64}}}"##,
        ),
        examples: &[Example {
            shows: "A part.",
            json: r#"{"call_id":"call_103518Rpy1IgAnbQiqcrFy6","reason":"one page of three","amount":"600000","id":"page-2"}"#,
        }],
    }),
    told: &[Told::json(
        200,
        "What was booked, and what went back in all.",
        Shape::Named("RefundMade"),
        Some(
            r#"{"call_id":"call_103518Rpy1IgAnbQiqcrFy6","transfer_id":"xfer_103518Rpy1IgAnbQiqcrFy6","again":false,"refunded":{"amount":"600000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","as":"credit","to":"eip155:0x70997970c51812dc3a010c7d01b50e0d17dc79c8"},"receipt":null}"#,
        ),
    )],
    codes: &[&[
        "malformed",
        "nothing_to_refund",
        "refund_exceeds",
        "refund_id_reused",
        "store_busy",
        "store_closed",
    ]],
};

/// What these operations name.
pub(super) const SCHEMAS: &[Schema] = &[
    Schema {
        name: "RefundMade",
        json: r##"{"type":"object","required":["call_id","transfer_id","again","refunded","receipt"],"properties":{
            "call_id":{"$ref":"#/components/schemas/CallId"},
            "transfer_id":{"type":"string"},
            "again":{"type":"boolean","description":"Whether exactly this had been booked before."},
            "refunded":{"type":"object","required":["amount","asset","as","to"],"properties":{
                "amount":{"$ref":"#/components/schemas/Amount"},"asset":{"type":"string"},"as":{"const":"credit"},"to":{"type":"string"}}},
            "receipt":{"anyOf":[{"$ref":"#/components/schemas/Envelope"},{"type":"null"}]}}}"##,
    },
    Schema {
        name: "Server",
        json: r##"{"type":"object","required":["name","from","tools"],"properties":{
            "name":{"type":"string"},
            "from":{"enum":["file","admin"]},
            "settings":{"description":"As they are written, without secrets."},
            "health":{"anyOf":[{"$ref":"#/components/schemas/ServerHealth"},{"type":"null"}]},
            "tools":{"type":"array","items":{"type":"object","required":["name","pricing","price_from","may_be_called"],"properties":{
                "name":{"type":"string"},
                "description":{"type":["string","null"]},
                "pricing":{"$ref":"#/components/schemas/Pricing"},
                "price_from":{"enum":["file","admin"]},
                "may_be_called":{"type":"boolean","description":"Whether its definition is an approved one."}}}}}}"##,
    },
    Schema {
        name: "Servers",
        json: r##"{"type":"object","required":["version","servers","removed_from_file"],"properties":{
            "version":{"type":"string"},
            "servers":{"type":"array","items":{"$ref":"#/components/schemas/Server"}},
            "removed_from_file":{"type":"array","items":{"type":"string"}}}}"##,
    },
    Schema {
        name: "Applied",
        json: r#"{"type":"object","required":["version","changed","servers","settings"],"properties":{
            "version":{"type":"string"},
            "changed":{"type":"boolean"},
            "servers":{"type":"object","required":["added","removed","changed"],"properties":{
                "added":{"type":"array","items":{"type":"string"}},
                "removed":{"type":"array","items":{"type":"string"}},
                "changed":{"type":"array","items":{"type":"string"}}}},
            "settings":{"type":"array","items":{"type":"string"},"description":"Other settings that changed, by their first name."}}}"#,
    },
    Schema {
        name: "Audit",
        json: r#"{"type":"object","required":["entries"],"properties":{"entries":{"type":"array","items":{
            "type":"object","required":["seq","at","what","target","before","after"],"properties":{
                "seq":{"type":"integer"},
                "at":{"type":"string"},
                "admin":{"type":["string","null"],"description":"Whose key; none for a change by file or signal."},
                "what":{"type":"string"},
                "target":{"type":"string"},
                "before":{},"after":{}}}}}}"#,
    },
];
