use super::*;

fn introduction(server: &str, result: Value) -> Introduction {
    Introduction { server: server.parse().unwrap(), result: result.to_string().into() }
}

fn value(raw: Option<Bytes>) -> Value {
    serde_json::from_slice(&raw.unwrap()).unwrap()
}

#[test]
fn a_session_has_the_lowest_version_and_all_capabilities() {
    let a = introduction(
        "a",
        json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": { "listChanged": false }, "x": 1 } }),
    );
    let b = introduction(
        "b",
        json!({ "protocolVersion": "2025-06-18", "capabilities": {
            "tools": { "listChanged": true }, "prompts": {}, "x": 2, "experimental": { "future/thing": {} } } }),
    );
    assert_eq!(a.features(), Features::TOOLS);
    assert!(b.features().has(Features::PROMPTS) && !b.features().has(Features::RESOURCES));
    let failed = Failure { server: "c".parse().unwrap(), reason: "upstream_unreachable" };
    let both = value(initialized(&[a.clone(), b.clone()], std::slice::from_ref(&failed), false));
    assert_eq!(both["protocolVersion"], "2025-06-18");
    let capabilities = json!({
        "tools": { "listChanged": true }, "prompts": {}, "x": 1, "experimental": { "future/thing": {} } });
    assert_eq!(both["capabilities"], capabilities);
    assert_eq!(both["serverInfo"]["name"], "tollgate");
    let said = &both["_meta"][FEDERATION_META];
    assert_eq!(said["servers"][1], json!({ "server": "b", "era": "legacy", "versions": ["2025-06-18"] }));
    assert_eq!(said["failed"][0]["server"], "c");
    let tools = value(initialized(&[a, b], &[], true));
    assert_eq!(tools["capabilities"], json!({ "tools": { "listChanged": true } }));
    assert_eq!(initialized(&[], &[failed], false), None);
}

#[test]
fn a_discovery_has_every_version_and_the_narrowest_cache() {
    let a = introduction(
        "a",
        json!({ "supportedVersions": ["2026-07-28"], "capabilities": {}, "ttlMs": 7, "cacheScope": "public" }),
    );
    let b = introduction(
        "b",
        json!({ "supportedVersions": ["2027-01-01", "2026-07-28"], "capabilities": {}, "ttlMs": 9,
            "cacheScope": "public" }),
    );
    let both = value(discovered(&[a.clone(), b], &[], false));
    assert_eq!(both["supportedVersions"], json!(["2027-01-01", "2026-07-28"]));
    assert_eq!((&both["ttlMs"], &both["cacheScope"]), (&json!(7), &json!("public")));
    let failed = Failure { server: "b".parse().unwrap(), reason: "upstream_timed_out" };
    let one = value(discovered(&[a], &[failed], false));
    assert_eq!(
        (&one["ttlMs"], &one["cacheScope"]),
        (&json!(0), &json!("private")),
        "it may come back any moment"
    );
}

#[test]
fn instructions_are_joined_within_bounds() {
    let long = "\u{e9}".repeat(INSTRUCTIONS_BYTES_MAX);
    let said = |server: &str, text: &str| {
        let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "instructions": text });
        introduction(server, result)
    };
    let both = value(initialized(&[said("a", "Be brief."), said("b", &long), said("c", "")], &[], false));
    let text = both["instructions"].as_str().unwrap();
    assert!(text.starts_with("a: Be brief.\n\nb: \u{e9}"), "{text:.40}");
    assert!(text.len() <= INSTRUCTIONS_BYTES_MAX + 32 && !text.contains("c:"));
    let many: Vec<Introduction> = ["a", "b", "c", "d", "e", "f"].map(|server| said(server, &long)).into();
    let text = value(initialized(&many, &[], false));
    assert!(text["instructions"].as_str().unwrap().len() <= ALL_INSTRUCTIONS_BYTES_MAX);
}
