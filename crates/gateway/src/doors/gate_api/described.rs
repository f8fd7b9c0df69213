//! How the gate API is described.

use crate::described::{Access, Body, Example, Group, Operation, Schema, Shape, Told, UNREAD};

/// [`super::authorize`].
pub(super) const AUTHORIZE: Operation = Operation {
    id: "gateAuthorize",
    group: Group::GateApi,
    access: Access::GateKey,
    summary: "May this call run, and if not, what is its caller to be told.",
    about: "Run the tool only after `\"decision\": \"allow\"`, and complete the lease before its deadline. Every other answer, and no answer, \
        means: do not run it.",
    parameters: &[],
    body: Some(Body {
        shape: Shape::Named("Authorize"),
        examples: &[Example {
            shows: "A call with what its caller sent.",
            json: r#"{"tool":"app/render","arguments":{"text":"hello"},"headers":{"authorization":"L402 AgEE:00ff"},"resource":"https://example.com/render"}"#,
        }],
    }),
    told: &[Told::json(
        200,
        "The decision.",
        Shape::Named("Decision"),
        Some(
            r#"{"decision":"allow","call_id":"call_103518Rpy1IgAnbQiqcrFy6","lease":"call_103518Rpy1IgAnbQiqcrFy6.00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","fence":1,"deadline":1780000000000,"caller":"eip155:0x2e5c000000000000000000000000000000009d41","paid":{"amount":"10000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","rail":"x402"}}"#,
        ),
    )],
    codes: &[
        UNREAD,
        &[
            "payment_ambiguous",
            "upstream_unreachable",
            "settlement_pending",
            "store_busy",
            "store_closed",
            "wallet_unavailable",
        ],
    ],
};

/// [`super::complete`].
pub(super) const COMPLETE: Operation = Operation {
    id: "gateComplete",
    group: Group::GateApi,
    access: Access::GateKey,
    summary: "How the tool ended; answered with what was settled, and the receipt.",
    about: "Only `delivered` is charged. Saying it again brings the same answer.",
    parameters: &[],
    body: Some(Body {
        shape: Shape::Named("Complete"),
        examples: &[Example {
            shows: "The tool ran and its result is here.",
            json: r#"{"lease":"call_103518Rpy1IgAnbQiqcrFy6.00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","outcome":"delivered","result":{"image":"a.png"}}"#,
        }],
    }),
    told: &[Told::json(
        200,
        "What became of the call.",
        Shape::Named("Completed"),
        Some(
            r#"{"call_id":"call_103518Rpy1IgAnbQiqcrFy6","ending":"delivered","deliver":true,"charged":true,"headers":[["cache-control","private, no-store"]],"meta":{}}"#,
        ),
    )],
    codes: &[UNREAD, &["settlement_pending", "store_busy", "store_closed"]],
};

/// What these operations name.
pub(super) const SCHEMAS: &[Schema] = &[
    Schema {
        name: "Authorize",
        json: r#"{"type":"object","required":["tool"],"additionalProperties":false,"not":{"required":["arguments","args_digest"]},"properties":{
            "tool":{"type":"string","description":"`server/tool`, or the tool alone beside `server`."},
            "server":{"type":["string","null"],"pattern":"^[a-z0-9][a-z0-9-]{0,63}$"},
            "arguments":{"type":["object","null"],"description":"The arguments of the call."},
            "args_digest":{"type":["string","null"],"pattern":"^[0-9a-f]{64}$","description":"In their place: the SHA-256 of their canonical form (RFC 8785)."},
            "headers":{"type":"object","description":"Headers of the caller's request; those that identify or pay are looked at.",
                "additionalProperties":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]}},
            "meta":{"type":"object","description":"Members of the caller's `params._meta`."},
            "api_key":{"type":["string","null"]},
            "payment":{"description":"An x402 payment, as in `_meta[\"x402/payment\"]`."},
            "auto_pay":{"type":"boolean","default":false,"description":"Whether prepaid credit may be spent."},
            "resource":{"type":["string","null"],"maxLength":2048,"description":"The URL to name in a demand."},
            "origin":{"type":["string","null"],"maxLength":2048,"description":"Where the caller's request comes from."}}}"#,
    },
    Schema {
        name: "Decision",
        json: r##"{"type":"object","required":["decision"],"oneOf":[
            {"type":"object","required":["decision","call_id","lease","fence","deadline","caller"],"properties":{
                "decision":{"const":"allow"},
                "call_id":{"$ref":"#/components/schemas/CallId"},
                "lease":{"type":"string"},
                "fence":{"type":"integer","description":"Grows with each attempt of the same payment: storage that refuses a smaller one is safe from a late attempt."},
                "deadline":{"type":"integer","description":"Milliseconds since 1970."},
                "caller":{"type":"string"},
                "paid":{"type":["object","null"],"properties":{
                    "amount":{"$ref":"#/components/schemas/Amount"},"asset":{"type":"string"},"rail":{"type":"string"}}}}},
            {"type":"object","required":["decision","code","challenge"],"properties":{
                "decision":{"const":"pay"},
                "call_id":{"type":["string","null"]},
                "code":{"type":"string"},
                "challenge":{"$ref":"#/components/schemas/Passed"}}},
            {"type":"object","required":["decision","call_id","answer"],"properties":{
                "decision":{"const":"repeated"},
                "call_id":{"$ref":"#/components/schemas/CallId"},
                "answer":{"$ref":"#/components/schemas/Passed"}}},
            {"type":"object","required":["decision","code","reason","next_step","answer"],"properties":{
                "decision":{"const":"deny"},
                "call_id":{"type":["string","null"]},
                "code":{"type":"string"},
                "reason":{"type":"string"},
                "next_step":{"type":"string"},
                "retry_after_ms":{"type":["integer","null"]},
                "answer":{"$ref":"#/components/schemas/Passed"}}}]}"##,
    },
    Schema {
        name: "Passed",
        json: r#"{"type":"object","description":"What to send to the caller.","required":["status","headers","body"],"properties":{
            "status":{"type":"integer"},
            "headers":{"type":"array","description":"Pairs of name and value; a name may come several times.","items":{"type":"array","items":{"type":"string"},"minItems":2,"maxItems":2}},
            "body":{}}}"#,
    },
    Schema {
        name: "Complete",
        json: r#"{"type":"object","required":["lease","outcome"],"additionalProperties":false,"not":{"required":["result","result_digest"]},"properties":{
            "lease":{"type":"string"},
            "outcome":{"enum":["delivered","failed","timed_out","broken","abandoned"]},
            "result":{"type":["object","null"],"description":"The tool's result; kept, so that a repeated payment brings it."},
            "result_digest":{"type":["string","null"],"pattern":"^[0-9a-f]{64}$","description":"In its place: its SHA-256."}}}"#,
    },
    Schema {
        name: "Completed",
        json: r##"{"type":"object","required":["call_id","ending","deliver","charged","headers","meta"],"properties":{
            "call_id":{"$ref":"#/components/schemas/CallId"},
            "ending":{"type":"string"},
            "deliver":{"type":"boolean","description":"Whether the tool's own answer may go to the caller."},
            "charged":{"type":"boolean"},
            "headers":{"type":"array","items":{"type":"array","items":{"type":"string"},"minItems":2,"maxItems":2}},
            "meta":{"type":"object","description":"What belongs into the `_meta` of an MCP result."},
            "answer":{"$ref":"#/components/schemas/Passed"},
            "receipt":{"$ref":"#/components/schemas/Receipt"}}}"##,
    },
];
