use super::*;

#[test]
fn m3_case_variants_and_look_alikes_are_seen() {
    let doubles = [
        ("Method", "method"),
        ("METHOD", "method"),
        ("methоd", "method"), // Cyrillic о
        ("ｍｅｔｈｏｄ", "method"),
        ("𝐦ethod", "method"),
        ("ⓜethod", "method"),
        ("method\0", "method"),
        (" method", "method"),
        ("met\u{200b}hod", "method"),
        ("me\u{301}thod", "method"),
        ("method\u{fe0f}", "method"),
        ("paramſ", "params"),
        ("PARAMS", "params"),
        ("рarams", "params"), // Cyrillic р
        ("jsonRpc", "jsonrpc"),
        ("JSONRPC", "jsonrpc"),
        ("Id", "id"),
        ("ıd", "id"),
        ("İd", "id"),
        ("ID", "id"),
        ("Name", "name"),
        ("nаme", "name"), // Cyrillic а
        ("Arguments", "arguments"),
        ("_Meta", "_meta"),
        ("＿meta", "_meta"),
        ("taskid", "taskId"),
        ("tas\u{212a}Id", "taskId"),
        ("X402/Payment-Response", "x402/payment-response"),
        ("x402∕payment‐response", "x402/payment-response"),
    ];
    for (name, reserved) in doubles {
        assert!(looks_like(name, reserved), "{name:?} {reserved}");
    }
}

#[test]
fn other_names_and_the_reserved_ones_themselves_pass() {
    let others = [
        ("method", "method"),
        ("methods", "method"),
        ("parameter", "params"),
        ("identity", "id"),
        ("名前", "name"),
        ("имя", "name"),
        ("progressToken", "name"),
        ("", "id"),
        ("meta", "_meta"),
    ];
    for (name, reserved) in others {
        assert!(!looks_like(name, reserved), "{name:?} {reserved}");
    }
}
