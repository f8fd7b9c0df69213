//! A server as YAML: one setting a line, what is inside of tools in one line each.

use serde_json::{Map, Value};

/// Words that a YAML parser may take for something else than text.
const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf"];
/// The settings of a server whose members stand on lines of their own.
const TALL: &[&str] = &["tools", "env"];

/// One server as block YAML, each line ended.
pub(super) fn block(name: &str, server: &Value, indent: usize, step: usize, line: &str) -> String {
    let mut text = String::new();
    let mut say = |depth: usize, said: &str| {
        text.push_str(&" ".repeat(indent + depth * step));
        text.push_str(said);
        text.push_str(line);
    };
    let members = server.as_object().filter(|members| !members.is_empty());
    let Some(members) = members else {
        say(0, &format!("{}: {}", key(name), flow(server)));
        return text;
    };
    say(0, &format!("{}:", key(name)));
    for (setting, value) in ordered(members) {
        let inner = value.as_object().filter(|inner| TALL.contains(&setting.as_str()) && !inner.is_empty());
        match inner {
            Some(inner) => {
                say(1, &format!("{}:", key(setting)));
                for (name, value) in inner {
                    say(2, &format!("{}: {}", key(name), flow(value)));
                }
            }
            None => say(1, &format!("{}: {}", key(setting), flow(value))),
        }
    }
    text
}

/// A value in one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members: Vec<String> = ordered(members)
                .into_iter()
                .map(|(name, value)| format!("{}: {}", key(name), flow(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
    }
}

pub(super) fn key(name: &str) -> String {
    scalar(name)
}

/// How a server is reached comes first; the rest in its own order.
fn ordered(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    const FIRST: &[&str] = &[
        "openapi",
        "url",
        "transport",
        "command",
        "cwd",
        "roots",
        "env",
        "credential",
        "headers",
        "tools",
        "every_tool",
    ];
    let place = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
    let mut all: Vec<(&String, &Value)> = members.iter().collect();
    all.sort_by_key(|(name, _)| place(name));
    all
}

/// Plain where every parser reads the same text in it, else quoted; JSON's quotes are YAML's.
fn scalar(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@".contains(&byte);
    let is_safe = text.bytes().all(is_plain)
        && !text.ends_with(':')
        && (text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/') || is_money(text))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_safe { text.to_owned() } else { Value::from(text).to_string() }
}

/// Digits and then the letters of a currency: no number to any parser.
fn is_money(text: &str) -> bool {
    let letters = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    text.starts_with(|first: char| first.is_ascii_digit())
        && letters.len() >= 3
        && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !letters.starts_with(['e', 'E', 'x', 'X', 'o', 'O', 'b', 'B'])
}
