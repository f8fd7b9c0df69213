use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::operation::{codes, has_page};
use super::{Described, openapi, page};

fn described() -> Described {
    crate::doors::described()
}

/// Calls `look` with every object of a document and the place where it stands.
fn every(value: &Value, at: &str, look: &mut impl FnMut(&Value, &str)) {
    look(value, at);
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| every(member, &format!("{at}/{name}"), look));
        }
        Value::Array(items) => items.iter().for_each(|item| every(item, at, look)),
        _ => {}
    }
}

/// A validator for a schema of the document, which may refer to others.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let whole = json!({ "components": document["components"], "allOf": [schema] });
    jsonschema::draft202012::new(&whole).unwrap()
}

#[test]
fn the_checked_in_document_is_the_one_of_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let hint = "run: cargo run --bin tollgate -- schema --openapi > docs/reference/openapi.json";
    assert_eq!(committed, openapi(), "{hint}");
}

#[test]
fn every_constant_is_json_and_every_name_and_code_is_known() {
    let document = openapi();
    let mut references = BTreeSet::new();
    every(&document, "", &mut |value, at| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            references.insert((reference.to_owned(), at.to_owned()));
        }
        // What cannot be read becomes null, which is no schema.
        assert!(value.get("schema").is_none_or(Value::is_object), "a schema that is no JSON at {at}");
    });
    assert!(references.len() > 20);
    for (reference, at) in references {
        let target = document.pointer(reference.trim_start_matches('#'));
        assert!(target.is_some_and(Value::is_object), "{reference} at {at}");
    }
    let mut ids = BTreeSet::new();
    for served in &described().served {
        let operation = served.operation;
        assert!(ids.insert(operation.id), "{} twice", operation.id);
        let known = |word: &&str| codes().any(|(known, _)| known == *word);
        let words = operation.codes.iter().flat_map(|some| some.iter());
        assert!(words.clone().all(known), "{}: {:?}", operation.id, words.collect::<Vec<_>>());
        let variables = served.path.matches('{').count();
        let named = operation.parameters.iter().filter(|parameter| {
            parameter.place.word() == "path" && served.path.contains(&format!("{{{}}}", parameter.name))
        });
        assert_eq!(named.count(), variables, "{}", served.path);
    }
    let mut names = BTreeSet::from(["Error"]);
    assert!(described().schemas().all(|schema| names.insert(schema.name)), "a schema twice");
}

#[test]
fn every_example_fits_its_schema() {
    let document = openapi();
    let mut seen = 0;
    every(&document, "", &mut |value, at| {
        let Some(schema) = value.get("schema") else { return };
        let several = value.get("examples").and_then(Value::as_object);
        let several = several.into_iter().flatten().map(|(_, example)| &example["value"]);
        for example in value.get("example").into_iter().chain(several) {
            seen += 1;
            let problems: Vec<String> = validator(&document, schema)
                .iter_errors(example)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(problems.is_empty(), "{at}: {problems:?}");
        }
    });
    assert!(seen > 40, "{seen}");
    let broken = json!({ "tool_name": 7 });
    let schema = json!({ "$ref": "#/components/schemas/Execute" });
    assert!(!validator(&document, &schema).is_valid(&broken), "control");
}

#[test]
fn the_page_shows_every_operation_loads_nothing_and_runs_nothing() {
    let html = page::of(&described());
    for served in &described().served {
        assert!(html.contains(&format!("<section id=\"{}\">", served.operation.id)), "{}", served.path);
    }
    for word in codes().map(|(word, _)| word).filter(|word| has_page(word)) {
        let is_described = described()
            .served
            .iter()
            .any(|served| served.operation.errors().iter().any(|(_, words)| words.contains(&word)));
        assert_eq!(html.contains(&format!("href=\"/docs/errors/{word}\"")), is_described, "{word}");
    }
    for forbidden in ["<script", "javascript:", " src=", "@import", "url(", " style="] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    let targets = html.split(" href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    for target in targets {
        match target.strip_prefix('#') {
            Some(id) => assert!(html.contains(&format!(" id=\"{id}\"")), "{target}"),
            None => assert!(target.starts_with('/') && !target.starts_with("//"), "{target}"),
        }
    }
    let (opened, closed) = (html.matches("<details").count(), html.matches("</details>").count());
    assert_eq!(opened, closed);
    let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let digest = tollgate_domain::Digest::of(style.as_bytes());
    use base64::Engine as _;
    let digest = base64::engine::general_purpose::STANDARD.encode(digest.as_bytes());
    assert!(
        super::CONTENT_SECURITY_POLICY.contains(&digest),
        "the browser would refuse the page's own style"
    );
}
