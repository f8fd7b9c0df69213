use serde_json::json;

use super::*;

fn heard(code: i32, is_ours: bool, data: Option<serde_json::Value>) -> Heard {
    let facts = data.map(|data| serde_json::from_value(data).expect("facts")).unwrap_or_default();
    Heard::Error(RpcError { code, message: String::new(), is_ours, facts })
}

fn nothing() -> Heard {
    Heard::Nothing { reason: String::new() }
}

#[test]
fn a_server_of_the_legacy_era_is_told_from_a_refusal() {
    let legacy = [
        // What official SDK servers answer to a request without a session.
        (400, heard(-32_000, false, None)),
        (400, heard(-32_600, false, None)),
        (404, heard(-32_001, false, None)),
        (422, nothing()),
        (400, nothing()),
        // What a gateway says in its place.
        (400, heard(-31_043, true, Some(json!({ "error": "sessions_only" })))),
        (
            400,
            heard(
                UNSUPPORTED_PROTOCOL_VERSION,
                true,
                Some(json!({ "supported": ["2025-11-25", "2025-06-18"] })),
            ),
        ),
    ];
    for (status, heard) in legacy {
        assert!(
            speaks_only_legacy(StatusCode::from_u16(status).expect("a status"), &heard),
            "{status} {heard:?}"
        );
    }
    let modern = [
        (200, nothing()),
        (500, nothing()),
        (401, nothing()),
        (403, nothing()),
        (404, nothing()),
        (405, nothing()),
        (413, nothing()),
        (429, nothing()),
        (400, heard(HEADER_MISMATCH, false, None)),
        (400, heard(MISSING_CLIENT_CAPABILITY, false, None)),
        (404, heard(-32_602, true, None)),
        (400, heard(-32_602, true, Some(json!({ "error": "invalid_arguments" })))),
        (
            400,
            heard(
                UNSUPPORTED_PROTOCOL_VERSION,
                true,
                Some(json!({ "supported": ["2027-01-01", "2026-07-28"] })),
            ),
        ),
        (400, heard(UNSUPPORTED_PROTOCOL_VERSION, true, None)),
        (200, heard(-32_602, true, None)),
    ];
    for (status, heard) in modern {
        assert!(
            !speaks_only_legacy(StatusCode::from_u16(status).expect("a status"), &heard),
            "{status} {heard:?}"
        );
    }
}
