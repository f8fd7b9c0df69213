use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(schema: &Value) -> Option<Plain> {
    jsonschema::validator_for(schema).ok()?;
    Plain::read(schema)
}

/// What the gateway did before there was a plain reading: the verdict that counts.
fn library_accepts(schema: &Value, arguments: &[u8]) -> bool {
    let Ok(arguments) = serde_json::from_slice::<Value>(arguments) else { return false };
    jsonschema::validator_for(schema).unwrap().is_valid(&arguments)
}

#[test]
fn what_most_schemas_say_is_decided_without_the_library() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "title": "Search",
        "properties": {
            "query": {"type": "string", "minLength": 1, "maxLength": 3, "description": "what"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 20, "default": 5},
            "order": {"enum": ["up", "down", null, 1]},
            "since": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
            "rows": {"type": "array", "maxItems": 2, "items": {"type": ["number", "boolean"]}},
        },
        "required": ["query", "extra"],
        "additionalProperties": {"type": "boolean"},
    });
    let plain = read(&schema).unwrap();
    let whole = r#"{"query":"\u00e9éé","limit":20.0,"order":1,"since":null,"rows":[1.5,true],"extra":false}"#;
    assert!(plain.fits(whole.as_bytes()), "control");
    for (from, to) in [
        ("\\u00e9éé", "éééé"),
        ("\\u00e9éé", ""),
        ("20.0", "20.5"),
        ("20.0", "21"),
        ("20.0", "0"),
        ("\"order\":1", "\"order\":2"),
        ("\"order\":1", "\"order\":\"left\""),
        ("null", "7"),
        ("true]", "true,1]"),
        ("true]", "\"true\"]"),
        ("\"extra\":false", "\"other\":false"),
        ("\"extra\":false", "\"extra\":0"),
        ("1.5", "1e5"),
    ] {
        let changed = whole.replacen(from, to, 1);
        assert!(!plain.fits(changed.as_bytes()), "{changed}");
    }
}

#[test]
fn what_is_not_plain_is_left_to_the_library() {
    assert!(read(&json!({"type": "string", "format": "date"})).is_some(), "control");
    for schema in [
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "format": "date"}),
        json!({"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer"}),
        json!({"pattern": "^a"}),
        json!({"not": {}}),
        json!({"oneOf": [true]}),
        json!({"$ref": "#"}),
        json!({"$id": "urn:x"}),
        json!({"properties": {"a": {"patternProperties": {}}}}),
        json!({"enum": [1.5]}),
        json!({"const": {}}),
        json!({"minimum": 1e300}),
        json!({"uniqueItems": true}),
        json!({"nullable": true}),
    ] {
        assert!(read(&schema).is_none(), "{schema}");
    }
}

/// Numbers on and around the places where readers of numbers part ways.
fn number() -> impl Strategy<Value = String> {
    let spelled = prop::sample::select(vec![
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1",
        "1.0",
        "1.5",
        "2",
        "-1",
        "1e0",
        "1E2",
        "1e400",
        "-1e400",
        "0.1",
        "0.30000000000000004",
        "9007199254740992",
        "9007199254740993",
        "9007199254740993.0",
        "18446744073709551616",
        "999999999999999",
        "1000000000000000.5",
        "0.9999999999999999999",
        "1.00000000000000000001",
        "4.999999999999999",
    ]);
    prop_oneof![
        4 => (-3i32..4).prop_map(|number| number.to_string()),
        2 => (-30i32..30).prop_map(|tenths| format!("{:.1}", f64::from(tenths) / 10.0)),
        2 => spelled.prop_map(str::to_owned),
        1 => Just("1".repeat(310)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let spelled = prop::sample::select(vec![
        r#""""#,
        r#""a""#,
        r#""\u0061""#,
        r#""é""#,
        r#""e\u0301""#,
        r#""😀""#,
        r#""\ud83d\ude00""#,
    ]);
    prop_oneof![spelled.prop_map(str::to_owned), "[abé😀]{0,4}".prop_map(|text| format!("\"{text}\""))]
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "é"])
}

/// Raw JSON, names unique in each object: what passes a door.
fn instance() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        number(),
        text(),
        prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let object = prop::collection::btree_map(name(), inner.clone(), 0..4).prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            object,
        ]
    })
}

fn schema() -> impl Strategy<Value = Value> {
    let kind =
        prop::sample::select(vec!["null", "boolean", "integer", "number", "string", "array", "object"]);
    let value = || prop_oneof![number(), text(), Just("null".to_owned()), Just("true".to_owned())];
    let parsed = |raw: String| serde_json::from_str::<Value>(&raw).unwrap_or(Value::Null);
    let bound = number().prop_map(parsed).prop_filter("a number", Value::is_number);
    let keyword = prop_oneof![
        4 => kind.clone().prop_map(|kind| ("type", json!(kind))),
        2 => prop::collection::btree_set(kind, 1..3).prop_map(|kinds| ("type", json!(kinds))),
        1 => prop::collection::vec(value().prop_map(parsed), 1..4).prop_map(|values| ("enum", json!(values))),
        1 => value().prop_map(move |raw| ("const", parsed(raw))),
        3 => (prop::sample::select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), bound)
            .prop_map(|(keyword, bound)| (keyword, bound)),
        3 => (prop::sample::select(vec!["minLength", "maxLength", "minItems", "maxItems"]), 0u8..4)
            .prop_map(|(keyword, count)| (keyword, json!(count))),
        1 => prop::sample::select(vec!["date", "ipv4", "email"]).prop_map(|format| ("format", json!(format))),
        1 => text().prop_map(move |raw| ("default", parsed(raw))),
        2 => prop::collection::btree_set(name(), 0..3).prop_map(|names| ("required", json!(names))),
    ];
    let object = |keywords: Vec<(&'static str, Value)>| {
        Value::Object(keywords.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let leaf = prop_oneof![
        8 => prop::collection::vec(keyword.clone(), 0..3).prop_map(object),
        1 => any::<bool>().prop_map(Value::Bool),
    ];
    let nested = leaf.prop_recursive(3, 24, 4, move |inner| {
        let applied = prop_oneof![
            3 => prop::collection::btree_map(name(), inner.clone(), 0..4)
                .prop_map(|members| ("properties", json!(members))),
            2 => inner.clone().prop_map(|schema| ("additionalProperties", schema)),
            2 => inner.clone().prop_map(|schema| ("items", schema)),
            1 => prop::collection::vec(inner, 1..3).prop_map(|schemas| ("anyOf", json!(schemas))),
        ];
        prop::collection::vec(prop_oneof![keyword.clone(), applied], 0..5).prop_map(object)
    });
    let draft = prop::option::of(prop::sample::select(vec![
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema#",
    ]));
    (nested, draft).prop_map(|(mut schema, draft)| {
        if let (Some(members), Some(draft)) = (schema.as_object_mut(), draft) {
            members.insert("$schema".to_owned(), json!(draft));
        }
        schema
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, ..ProptestConfig::default() })]

    /// A wrong "fits" would let somebody pay for arguments that the tool refuses; a needless doubt only costs time, and is
    /// allowed for numbers alone.
    #[test]
    fn a_plain_verdict_is_that_of_the_library(schema in schema(), arguments in instance()) {
        if let Some(plain) = read(&schema) {
            let fits = plain.fits(arguments.as_bytes());
            let accepted = library_accepts(&schema, arguments.as_bytes());
            // Where nothing is asked of an object, a number in it that the library cannot read does not matter.
            let is_unasked = arguments.starts_with('{') && plain.0.takes_every_object();
            prop_assert!(!fits || accepted || is_unasked, "{} fits {}", arguments, schema);
            if !arguments.bytes().any(|byte| byte.is_ascii_digit()) {
                prop_assert_eq!(fits, accepted, "{} and {}", arguments, schema);
            }
        }
    }
}
