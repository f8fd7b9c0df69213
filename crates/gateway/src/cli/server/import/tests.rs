use serde_json::json;

use super::entry::{Refused, translate};
use super::*;
use crate::config::{Environment, Overrides, load_text};

const KNOWN: &[(&str, &str)] = &[("HOME", "/home/me"), ("API_TOKEN", "t"), ("GITHUB_TOKEN", "g")];

fn config() -> Config {
    load_text(
        "listen: 127.0.0.1:3100\n",
        "test".to_owned(),
        &Environment::of([]),
        &Overrides::default(),
        None,
    )
    .unwrap()
}

fn vault() -> Vault {
    Vault::open(Environment::of(KNOWN.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))))
        .unwrap()
}

fn one(entry: &str) -> Result<Value, Refused> {
    let mut source = Source::parse("test", &format!("{{\"mcpServers\":{{\"x\":{entry}}}}}")).unwrap();
    source.workspace = Some("/projects/here".into());
    let (label, entry) = &source.entries[0];
    translate(&source, label, entry, &config(), &vault()).map(|translated| translated.server)
}

fn problems(entry: &str) -> String {
    match one(entry) {
        Err(Refused::Problems(problems)) => problems.join("; "),
        other => panic!("{entry} is not refused: {other:?}"),
    }
}

fn skipped(entry: &str) -> String {
    match one(entry) {
        Err(Refused::Skipped(why)) => why,
        other => panic!("{entry} is not left out: {other:?}"),
    }
}

#[test]
fn programs_and_urls_become_servers() {
    assert_eq!(
        one(r#"{ "type": "stdio", "command": "npx", "args": ["-y", "pkg", 8080], "env": { "A": "1", "B": true, "C": null } }"#).unwrap(),
        json!({ "command": ["npx", "-y", "pkg", "8080"], "env": { "A": "1", "B": "true" } })
    );
    assert_eq!(
        one(r#"{ "command": "x", "cwd": "${workspaceFolder}/src" }"#).unwrap(),
        json!({ "command": ["x"], "cwd": "/projects/here/src" })
    );
    assert_eq!(
        one(r#"{ "type": "http", "url": "https://a/mcp", "headers": { "Authorization": "Bearer ${env:API_TOKEN}" } }"#).unwrap(),
        json!({ "url": "https://a/mcp", "credential": { "value": "Bearer ${API_TOKEN}" } })
    );
    assert_eq!(
        one(r#"{ "type": "sse", "serverUrl": "https://a/sse", "headers": { "X-Key": "${API_TOKEN}" } }"#)
            .unwrap(),
        json!({ "url": "https://a/sse", "transport": "sse", "credential": { "header": "x-key", "value": "${API_TOKEN}" } })
    );
}

#[test]
fn of_several_headers_authorization_is_the_credential() {
    assert_eq!(
        one(r#"{ "url": "https://a/mcp", "headers": { "X-Tenant": "acme", "Authorization": "Bearer ${API_TOKEN}" } }"#)
            .unwrap(),
        json!({ "url": "https://a/mcp", "credential": { "value": "Bearer ${API_TOKEN}" }, "headers": { "x-tenant": "acme" } })
    );
    assert_eq!(
        one(r#"{ "url": "https://a/mcp", "headers": { "X-A": "1", "X-B": "${API_TOKEN}" } }"#).unwrap(),
        json!({ "url": "https://a/mcp", "headers": { "x-a": "1", "x-b": "${API_TOKEN}" } })
    );
}

#[test]
fn variables_of_an_env_file_are_those_that_env_does_not_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.env"), "A=file\nB=file\nC=file\n").unwrap();
    let mut source = Source::parse(
        "test",
        r#"{ "servers": { "x": { "command": "x", "envFile": "${workspaceFolder}/a.env", "env": { "B": "own", "C": null } } } }"#,
    )
    .unwrap();
    source.workspace = Some(folder.path().to_owned());
    let (label, entry) = &source.entries[0];
    let translated = translate(&source, label, entry, &config(), &vault()).unwrap();
    assert_eq!(translated.kept_apart, [("A".to_owned(), "file".to_owned())].into());
    assert_eq!(translated.server["env"], json!({ "B": "own" }));
}

#[test]
fn placeholders_become_references_or_are_refused_by_name() {
    let argument = |text: &str| one(&json!({ "command": "x", "args": [text] }).to_string());
    for (given, becomes) in [
        ("${env:API_TOKEN}", "${API_TOKEN}"),
        ("${API_TOKEN:-none}", "${API_TOKEN}"),
        ("${NOT_SET:-a default}", "a default"),
        ("${workspaceFolder}/src", "/projects/here/src"),
        ("${userHome}${/}x", "${HOME}/x"),
        ("${input:api-token}", "${API_TOKEN}"),
        ("$5 and {x}", "$5 and {x}"),
    ] {
        assert_eq!(argument(given).unwrap()["command"][1], becomes, "{given}");
    }
    for (given, named) in [
        ("${env:NOT_SET}", "set NOT_SET in the environment"),
        ("${input:other-key}", "set OTHER_KEY in the environment"),
        ("${command:pick}", "${command:pick} is a word of that client alone"),
        ("${unended", "without an end"),
    ] {
        let said = problems(&json!({ "command": "x", "args": [given] }).to_string());
        assert!(said.contains(named), "{given}: {said}");
    }
}

#[test]
fn what_would_not_be_the_same_server_is_refused_by_name() {
    assert!(one(r#"{ "command": "x", "autoApprove": [] }"#).is_ok(), "control");
    for (entry, named) in [
        (r#"{ "command": "x", "cwd": ["/srv"] }"#, "`cwd`"),
        (
            r#"{ "command": "x", "envFile": "${workspaceFolder}/.none" }"#,
            "`envFile` /projects/here/.none: it cannot",
        ),
        (r#"{ "command": "x", "envFile": [] }"#, "`envFile`"),
        (r#"{ "url": "https://a/", "envFile": ".env" }"#, "`envFile`"),
        (r#"{ "url": "https://a/", "auth": {} }"#, "`auth`"),
        (r#"{ "url": "https://a/", "command": "x" }"#, "both"),
        (r#"{ "args": [] }"#, "neither"),
        (r#"{ "url": "https://a/", "type": "websocket" }"#, "websocket"),
        (r#"{ "url": "https://a/", "headers": { "A": "1", "a": "2" } }"#, "named twice"),
        (r#"{ "url": "https://a/", "headers": { "A": "1", "B": ["2"] } }"#, "header B is no text"),
        (r#"{ "command": ["x"] }"#, "is no text"),
        (r#""x""#, "no object"),
    ] {
        assert!(problems(entry).contains(named), "{entry}: {}", problems(entry));
    }
    assert!(skipped(r#"{ "command": "x", "disabled": true }"#).contains("switched off"));
}

#[test]
fn the_gateways_own_entry_never_comes_back_to_it() {
    for entry in [
        r#"{ "command": "/usr/bin/tollgate", "args": ["connect", "http://127.0.0.1:3100/mcp"] }"#,
        r#"{ "command": "tollgate", "args": ["connect"] }"#,
        r#"{ "url": "http://127.0.0.1:3100/mcp" }"#,
        r#"{ "type": "http", "url": "http://localhost:3100/servers/weather/mcp" }"#,
        r#"{ "command": "npx", "args": ["mcp-remote", "http://127.0.0.1:3100/mcp"] }"#,
    ] {
        assert!(skipped(entry).contains("gateway"), "{entry}");
    }
    assert!(one(r#"{ "url": "http://127.0.0.1:3101/mcp" }"#).is_ok(), "control: another port");
    assert!(
        one(r#"{ "command": "tollgate", "args": ["demo-server"] }"#).is_ok(),
        "control: another command of it"
    );
}

#[test]
fn names_are_made_valid() {
    let name = |label: &str| {
        let text = json!({ "mcpServers": { label: { "command": "x" } } }).to_string();
        let source = Source::parse("test", &text).unwrap();
        translate(&source, label, &source.entries[0].1, &config(), &vault()).map(|translated| translated.name)
    };
    assert_eq!(name("GitHub MCP (work)").unwrap(), "github-mcp-work");
    assert_eq!(name("  a__b.c  ").unwrap(), "a-b-c");
    assert!(matches!(name("北京"), Err(Refused::Problems(_))));
}

#[test]
fn a_file_may_have_comments_and_trailing_commas_and_is_json_otherwise() {
    let text = "\u{feff}{ // servers\n  \"inputs\": [{ \"id\": \"k\", \"description\": \"Key\" }],\n  /* here */ \"servers\": { \"a\": { \"command\": \"x // y\", }, },\n}";
    let source = Source::parse("mcp.json", text).unwrap();
    assert_eq!(source.entries, [("a".to_owned(), json!({ "command": "x // y" }))]);
    assert_eq!(source.inputs, [("k".to_owned(), "Key".to_owned())]);
    assert!(Source::parse("x", "{ 'servers': {} }").is_err());
    assert!(Source::parse("x", "{ \"servers\": {} ").is_err());
    assert!(Source::parse("x", "{}").unwrap_err().to_string().contains("neither `mcpServers` nor `servers`"));
}

#[test]
fn what_claude_code_keeps_for_single_projects_is_taken_over_too() {
    let [x, y, z] = ["x", "y", "z"].map(|command| json!({ "command": command }));
    let projects = json!({
        "/a": { "mcpServers": { "one": x, "two": y }, "history": [] },
        "/b": { "mcpServers": { "one": x, "two": z } },
        "/c": { "mcpServers": {} },
        "/d": {},
    });
    let labels = |whole: Value| -> Vec<(String, Value)> {
        Source::parse(".claude.json", &whole.to_string()).unwrap().entries
    };
    let named = |label: &str, entry: &Value| (label.to_owned(), entry.clone());
    let own = [named("one", &x), named("two", &y), named("two", &z)];
    assert_eq!(labels(json!({ "projects": projects })), own, "the same one once, others of its name too");
    let all = [&[named("user", &x)], &own[..]].concat();
    assert_eq!(labels(json!({ "mcpServers": { "user": x }, "projects": projects })), all);
}

#[test]
fn an_argument_that_names_a_variable_of_its_own_program_gets_its_value() {
    let remote = json!({ "command": "npx", "args": ["mcp-remote", "https://a/", "--header", "Authorization:${AUTH}"],
        "env": { "AUTH": "Bearer ${API_TOKEN}" } });
    let taken = one(&remote.to_string()).unwrap();
    assert_eq!(taken["command"][4], "Authorization:Bearer ${API_TOKEN}");
    assert_eq!(taken["env"]["AUTH"], "Bearer ${API_TOKEN}");
    // A variable that is set here counts first, and none is made of itself.
    let taken =
        one(r#"{ "command": "x", "args": ["${API_TOKEN}"], "env": { "API_TOKEN": "own" } }"#).unwrap();
    assert_eq!(taken["command"][1], "${API_TOKEN}");
    assert!(problems(r#"{ "command": "x", "env": { "NOT_SET": "${NOT_SET}" } }"#).contains("set NOT_SET"));
}
