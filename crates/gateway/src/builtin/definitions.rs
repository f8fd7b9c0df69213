//! What the built-in tools say of themselves. Schemas are strict: an argument that is not theirs is refused.

use serde_json::{Value, json};

use super::Builtin;

/// The entry of `tools/list`.
pub(super) fn of(builtin: Builtin) -> Value {
    let (title, description, properties, required) = match builtin {
        Builtin::ListToolsForSale => (
            "List tools for sale",
            "Search the tools behind this gateway by words in their names and descriptions; with prices and where to call them.",
            json!({
                "query": { "type": "string", "maxLength": 200, "description": "Words to look for. Without it: all tools." },
                "server": { "type": "string", "maxLength": 64, "description": "Tools of this server only." },
                "include_free": { "type": "boolean", "description": "Whether free tools are listed too. Default: true." },
                "limit": { "type": "integer", "minimum": 1, "maximum": 100, "description": "How many at most. Default: 20." },
            }),
            json!([]),
        ),
        Builtin::PriceOf => (
            "Price of a call",
            "What one call of a tool would cost, without paying and without calling it. Arguments, if given, are checked against the tool's schema.",
            json!({
                "tool": { "type": "string", "minLength": 1, "maxLength": 200, "description": "The tool's name, or server/tool." },
                "server": { "type": "string", "maxLength": 64, "description": "Its server, where several have a tool of this name." },
                "arguments": { "type": "object", "description": "The arguments that the call would have." },
            }),
            json!(["tool"]),
        ),
        Builtin::MyBalance => (
            "My balance",
            "The prepaid credit of the API key that this request presents, in each asset.",
            json!({}),
            json!([]),
        ),
        Builtin::MyReceipts => (
            "My receipts",
            "The paid calls of the API key that this request presents, the newest first, with the ids of their receipts. A page at a time: `next_before` of one is `before` of the next.",
            json!({
                "limit": { "type": "integer", "minimum": 1, "maximum": 100, "description": "How many at most. Default: 20." },
                "before": { "type": "string", "minLength": 1, "maxLength": 64, "description": "Where the page begins: the `next_before` of the one before." },
            }),
            json!([]),
        ),
        Builtin::Receipt => (
            "Receipt",
            "The signed receipt with this id.",
            json!({
                "receipt_id": { "type": "string", "minLength": 1, "maxLength": 64, "description": "Such as rcpt_1…" },
            }),
            json!(["receipt_id"]),
        ),
        Builtin::VerifyReceipt => (
            "Verify a receipt",
            "Whether a receipt was signed by this gateway and is unchanged, and what it states.",
            json!({
                "receipt": {
                    "type": "object",
                    "description": "The signed envelope, or the object with `envelope` that a call returned.",
                },
            }),
            json!(["receipt"]),
        ),
    };
    json!({
        "name": builtin.name(),
        "title": title,
        "description": description,
        "inputSchema": {
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        },
        "annotations": { "readOnlyHint": true, "destructiveHint": false, "openWorldHint": false },
    })
}
