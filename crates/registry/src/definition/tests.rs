use proptest::prelude::*;

use super::*;

const TOOL: &str = r#"{"name":"add","description":"Adds.","inputSchema":{"type":"object","properties":{"a":{"type":"number","maximum":9007199254740993}}}}"#;

fn read(text: &str) -> Definition {
    Definition::read(text.as_bytes(), |key| key.starts_with("tollgate/")).unwrap()
}

#[test]
fn order_and_whitespace_of_members_do_not_count() {
    let other = r#" { "inputSchema" : {"properties":{"a":{"maximum":9007199254740993,"type":"number"}},"type":"object"},
        "description":"\u0041dds.", "name":"add" }"#;
    assert_eq!(read(other), read(TOOL));
}

/// T3: name, description, schema, annotations and everything else that can be read.
#[test]
fn t3_every_member_that_can_be_read_counts() {
    let base = read(TOOL);
    let changed = [
        TOOL.replace("\"add\"", "\"sub\""),
        TOOL.replace("Adds.", "Adds. "),
        TOOL.replace("Adds.", "Adds.\u{200b}"),
        TOOL.replace("\"number\"", "\"string\""),
        TOOL.replace("9007199254740993", "9007199254740992"),
        TOOL.replace("{\"name\"", "{\"title\":\"Add\",\"name\""),
        TOOL.replace("{\"name\"", "{\"outputSchema\":{\"type\":\"object\"},\"name\""),
        TOOL.replace("{\"name\"", "{\"annotations\":{\"readOnlyHint\":true},\"name\""),
        TOOL.replace("{\"name\"", "{\"execution\":{\"taskSupport\":\"required\"},\"name\""),
        TOOL.replace("{\"name\"", "{\"icons\":[{\"src\":\"https://icons.example/a.png\"}],\"name\""),
        TOOL.replace("{\"name\"", "{\"_meta\":{\"vendor/hint\":\"x\"},\"name\""),
        TOOL.replace("{\"name\"", "{\"heardOfTomorrow\":1,\"name\""),
    ];
    for text in changed {
        assert_ne!(read(&text), base, "{text}");
    }
}

#[test]
fn what_no_client_sees_or_belongs_to_one_exchange_does_not_count() {
    let base = read(TOOL);
    for meta in
        ["{}", r#"{"traceparent":"00-a-b-01"}"#, r#"{"tollgate/pricing":{"type":"free"},"baggage":"k=v"}"#]
    {
        let text = TOOL.replace("{\"name\"", &format!("{{\"_meta\":{meta},\"name\""));
        assert_eq!(read(&text), base, "{meta}");
    }
    let one = TOOL.replace("{\"name\"", r#"{"_meta":{"traceparent":"1","vendor/hint":"x"},"name""#);
    let two = TOOL.replace("{\"name\"", r#"{"_meta":{"vendor/hint":"x","traceparent":"2"},"name""#);
    assert_eq!(read(&one), read(&two));
    assert_ne!(read(&one), base);
    assert_eq!(read(r#"{"_meta":{"vendor/hint":"x"}}"#).text(), r#"{"_meta":{"vendor/hint":"x"}}"#);
}

#[test]
fn what_has_two_readings_or_is_too_long_has_no_hash() {
    assert!(Definition::read(TOOL.as_bytes(), |_| false).is_ok(), "control");
    let twice = TOOL.replace("{\"name\"", "{\"name\":\"harmless\",\"name\"");
    assert!(matches!(Definition::read(twice.as_bytes(), |_| false), Err(DefinitionError::Json(_))));
    assert_eq!(Definition::read(b"[]", |_| false), Err(DefinitionError::NotAnObject));
    let fitting = TOOL.replace("Adds.", &"x".repeat(DEFINITION_BYTES_MAX - TOOL.len()));
    assert!(Definition::read(fitting.as_bytes(), |_| false).is_ok(), "control");
    let long = TOOL.replace("Adds.", &"x".repeat(DEFINITION_BYTES_MAX));
    assert!(matches!(Definition::read(long.as_bytes(), |_| false), Err(DefinitionError::TooLarge { .. })));
}

#[test]
fn a_stored_definition_must_have_its_hash() {
    let base = read(TOOL);
    assert_eq!(Definition::stored(base.text(), base.hash()), Ok(base.clone()));
    let touched = base.text().replace("Adds", "Ads");
    assert_eq!(Definition::stored(&touched, base.hash()), Err(DefinitionError::OtherHash(base.hash())));
}

proptest! {
    #[test]
    fn strangers_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256), text in ".{0,64}") {
        let _no_panic = Definition::read(&bytes, |_| false);
        let tool = serde_json::json!({ "name": text, "_meta": { text.clone(): text } }).to_string();
        let read = Definition::read(tool.as_bytes(), |_| false).unwrap();
        prop_assert_eq!(Definition::read(read.text().as_bytes(), |_| false).unwrap(), read);
    }
}
