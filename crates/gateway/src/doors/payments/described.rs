//! How the payments API is described.

use crate::described::{
    Access, Body, Example, Group, Operation, Parameter, Place, Schema, Shape, Told, UNREAD,
};

/// What stands between a call and its price.
const PRICED: &[&str] = &[
    "unauthenticated",
    "trust_insufficient",
    "unknown_tool",
    "unknown_server",
    "tool_not_approved",
    "invalid_arguments",
    "price_above_maximum",
    "price_unknown",
    "payment_unreadable",
    "payment_ambiguous",
    "payment_carrier_refused",
    "upstream_unreachable",
    "upstream_timed_out",
    "upstream_broken",
    "store_busy",
    "store_closed",
    "wallet_unavailable",
    "internal",
];

/// [`super::challenge`].
pub(super) const CHALLENGE: Operation = Operation {
    id: "challengePayment",
    group: Group::Payments,
    access: Access::Caller,
    summary: "What one call would cost, and every way to pay it.",
    about: "The same offers that the call itself would answer 402 with, in headers and body; nothing is called. Pay one, and send the call to `/api/v1/execute`.",
    parameters: &[],
    body: Some(Body {
        shape: Shape::Named("PricedCall"),
        examples: &[Example {
            shows: "One call.",
            json: r#"{"tool_name":"web-search","arguments":{"query":"hello"}}"#,
        }],
    }),
    told: &[Told {
        headers: &[
            ("PAYMENT-REQUIRED", "x402: the offers, in base64."),
            ("WWW-Authenticate", "The offers of L402 and of the HTTP `Payment` scheme."),
        ],
        ..Told::json(
            200,
            "The price.",
            Shape::Named("Challenge"),
            Some(
                r#"{"payment_required":true,"amount":"500000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","recipient":"0x1111111111111111111111111111111111111111","price":["0.5 USDC"],"sandbox":true,"pricing":{"type":"per_call","price":"500000","options":[]},"expires_at":"2026-11-27T06:00:00.000Z","message":"This call costs 0.5 USDC."}"#,
            ),
        )
    }],
    codes: &[UNREAD, PRICED],
};

/// [`super::verify`].
pub(super) const VERIFY: Operation = Operation {
    id: "verifyPayment",
    group: Group::Payments,
    access: Access::Caller,
    summary: "Whether a payment would pay for one call.",
    about: "The payment comes in its own headers, or an x402 payment in `payment`. It is judged as the call would judge it, and not used up: whether the payer has the money is found out when it is claimed.",
    parameters: &[],
    body: Some(Body {
        shape: Shape::Named("PricedCall"),
        examples: &[Example {
            shows: "One call, with an x402 payment.",
            json: r#"{"tool_name":"web-search","arguments":{"query":"hello"},"payment":{"x402Version":2,"payload":{}}}"#,
        }],
    }),
    told: &[Told::json(
        200,
        "The judgement; `reason` is the code that the call would be refused with.",
        Shape::Named("Judged"),
        Some(
            r#"{"valid":true,"payment_required":true,"rail":"x402","payer":"eip155:84532:0x1111111111111111111111111111111111111111","amount":"500000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","expires_at":"2026-11-27T06:00:00.000Z"}"#,
        ),
    )],
    codes: &[UNREAD, PRICED],
};

/// [`super::authorize::authorize`].
pub(super) const AUTHORIZE: Operation = Operation {
    id: "authorizePayment",
    group: Group::Payments,
    access: Access::Caller,
    summary: "Reserves the price of one call from prepaid credit.",
    about: "Needs an API key. Execute the same tool with the same arguments and the id as `authorization`, once, before it expires; an authorization that runs out, or that a restart of the gateway loses, gives the credit back.",
    parameters: &[],
    body: Some(Body {
        shape: Shape::Named("PricedCall"),
        examples: &[Example {
            shows: "For a minute, at most 1 USDC.",
            json: r#"{"tool_name":"web-search","arguments":{"query":"hello"},"max_price":"1000000","expires_in_seconds":60}"#,
        }],
    }),
    told: &[Told::json(
        200,
        "What is reserved.",
        Shape::Named("Authorization"),
        Some(
            r#"{"authorization_id":"call_103518Rpy1IgAnbQiqcrFy6","tool":"web-search","server":"search","agent_id":"key_103518Rpy1IgAnbQiqcrFy6","amount":"500000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","display":"0.5 USDC","expires_at":"2026-11-27T06:00:00.000Z","next_step":"Execute once with the same tool and arguments and this id as `authorization`, before it expires.","mode":"sandbox"}"#,
        ),
    )],
    codes: &[UNREAD, PRICED, &["payment_required", "payment_in_flight", "settlement_pending"]],
};

/// [`super::spending::spending`].
pub(super) const SPENDING: Operation = Operation {
    id: "readSpending",
    group: Group::Payments,
    access: Access::Caller,
    summary: "What an agent has spent, and what it may still spend.",
    about: "Told to the agent itself, by its API key, and to operators, by an admin key. What was refunded was not spent.",
    parameters: &[Parameter {
        place: Place::Path,
        name: "agent_id",
        about: "The id of the agent's API key.",
        shape: Shape::Json(r#"{"type":"string"}"#),
        example: "key_103518Rpy1IgAnbQiqcrFy6",
    }],
    body: None,
    told: &[Told::json(
        200,
        "By asset.",
        Shape::Named("Spending"),
        Some(
            r#"{"agent_id":"key_103518Rpy1IgAnbQiqcrFy6","spending":[{"asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","symbol":"USDC","decimals":6,"today":"500000","this_month":"500000","ever":"500000","reserved":"0","display":{"today":"0.5 USDC","this_month":"0.5 USDC","ever":"0.5 USDC","reserved":"0 USDC"},"limits":{"credit_available":"1500000","per_call":null,"approve_above":"100000000","windows":[{"node":"per_caller","window":"day","limit":"1000000000","used":"500000","left":"999500000","resets_at":"2026-11-28T00:00:00.000Z"}],"left":"999500000","stopped":null}}],"today_since":"2026-11-27T00:00:00.000Z","this_month_since":"2026-11-01T00:00:00.000Z","mode":"sandbox"}"#,
        ),
    )],
    codes: &[&["unauthenticated", "not_yours", "not_found", "store_busy", "internal"]],
};

/// What these operations name.
pub(super) const SCHEMAS: &[Schema] = &[
    Schema {
        name: "PricedCall",
        json: r##"{"type":"object","required":["tool_name"],"additionalProperties":false,"properties":{
            "tool_name":{"type":"string","description":"The tool, or `server/tool` where several servers have one of that name."},
            "arguments":{"type":["object","null"],"description":"Of the call. Default: none."},
            "payment":{"type":["object","null"],"description":"To be verified: an x402 payment payload. Other payments come in their headers."},
            "max_price":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}],"description":"The most to pay, in the asset of the tool's first price."},
            "expires_in_seconds":{"type":["integer","null"],"minimum":1,"maximum":3600,"description":"For how long credit is to be reserved. Default: 600."}}}"##,
    },
    Schema {
        name: "Challenge",
        json: r##"{"type":"object","required":["payment_required","pricing"],"properties":{
            "payment_required":{"type":"boolean","description":"`false` for a free tool, and while the caller has a free call left."},
            "pricing":{"$ref":"#/components/schemas/Pricing"},
            "free":{"type":"object","description":"The free calls of this caller, one of which is left.","required":["calls","per"],"properties":{
                "calls":{"type":"integer","minimum":1},"per":{"type":"string"}}},
            "amount":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}]},
            "asset":{"type":["string","null"],"description":"A CAIP-19 id."},
            "recipient":{"type":["string","null"]},
            "price":{"type":"array","description":"Each way to pay, for people.","items":{"type":"string"}},
            "sandbox":{"type":"boolean"},
            "x402":{"type":"object","description":"The body of `PAYMENT-REQUIRED`."},
            "l402":{"type":"object","description":"The macaroon and its invoice."},
            "expires_at":{"type":"string","description":"Until when the price is honoured."},
            "message":{"type":"string"}}}"##,
    },
    Schema {
        name: "Judged",
        json: r##"{"type":"object","required":["valid","payment_required"],"properties":{
            "valid":{"type":"boolean"},
            "payment_required":{"type":"boolean"},
            "rail":{"type":"string"},
            "payer":{"type":"string"},
            "amount":{"$ref":"#/components/schemas/Amount"},
            "asset":{"type":"string"},
            "expires_at":{"type":"string"},
            "reason":{"type":"string","description":"The code of the refusal."},
            "message":{"type":"string"},
            "next_step":{"type":["string","null"]},
            "docs_url":{"type":"string"}}}"##,
    },
    Schema {
        name: "Authorization",
        json: r##"{"type":"object","required":["authorization_id","tool","server","agent_id","amount","asset","expires_at","mode"],"properties":{
            "authorization_id":{"$ref":"#/components/schemas/CallId"},
            "tool":{"type":"string"},
            "server":{"type":"string"},
            "agent_id":{"type":"string"},
            "amount":{"$ref":"#/components/schemas/Amount"},
            "asset":{"type":["string","null"],"description":"`null` where the call costs nothing."},
            "display":{"type":["string","null"]},
            "expires_at":{"type":"string"},
            "next_step":{"type":"string"},
            "mode":{"enum":["sandbox","live"]}}}"##,
    },
    Schema {
        name: "Spending",
        json: r##"{"type":"object","required":["agent_id","spending","today_since","this_month_since","mode"],"properties":{
            "agent_id":{"type":"string"},
            "spending":{"type":"array","items":{
                "type":"object","required":["asset","symbol","decimals","today","this_month","ever","reserved","display","limits"],"properties":{
                    "asset":{"type":"string"},
                    "symbol":{"type":"string"},
                    "decimals":{"type":"integer","minimum":0},
                    "today":{"$ref":"#/components/schemas/Amount"},
                    "this_month":{"$ref":"#/components/schemas/Amount"},
                    "ever":{"$ref":"#/components/schemas/Amount"},
                    "reserved":{"$ref":"#/components/schemas/Amount"},
                    "display":{"type":"object","description":"The same for people.","additionalProperties":{"type":"string"}},
                    "limits":{"type":"object","required":["credit_available","per_call","approve_above","windows","left","stopped"],"properties":{
                        "credit_available":{"$ref":"#/components/schemas/Amount"},
                        "per_call":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}],"description":"The most that one call may cost."},
                        "approve_above":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}],"description":"A call that costs more waits for an operator."},
                        "windows":{"type":"array","description":"Every budget that bounds the agent whatever it calls.","items":{
                            "type":"object","required":["node","window","limit","used","left","resets_at"],"properties":{
                                "node":{"type":"string"},
                                "window":{"enum":["hour","day","month","session"]},
                                "limit":{"$ref":"#/components/schemas/Amount"},
                                "used":{"$ref":"#/components/schemas/Amount"},
                                "left":{"$ref":"#/components/schemas/Amount"},
                                "resets_at":{"type":"string"}}}},
                        "left":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}],"description":"What may be spent before one of these is reached; credit is needed as well. Null: nothing bounds it."},
                        "stopped":{"type":["string","null"],"description":"What an operator has stopped: `everything`, a node, or `caller`."}}}}}},
            "today_since":{"type":"string"},
            "this_month_since":{"type":"string"},
            "mode":{"enum":["sandbox","live"]}}}"##,
    },
];
