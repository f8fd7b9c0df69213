//! One server of a client's file as a server of ours.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use tollgate_domain::ServerName;

use super::super::add::headers_of;
use super::super::vault::Vault;
use super::env_file;
use super::placeholders::{Words, resolved, shown};
use super::source::Source;
use crate::config::Config;

/// Members that say nothing about the server itself: what a client may do without asking, how it shows it.
const IGNORED: &[&str] = &[
    "alwaysAllow",
    "autoApprove",
    "description",
    "dev",
    "disabledTools",
    "enabled",
    "gallery",
    "icon",
    "includeTools",
    "excludeTools",
    "name",
    "sandbox",
    "sandboxEnabled",
    "timeout",
    "tools",
    "trust",
    "version",
];
/// Members without which the server would not be what it was.
const NEEDED: &[(&str, &str)] = &[
    ("auth", "Tollgate shows a server who it is by a header: write it into `headers`"),
    ("oauth", "Tollgate shows a server who it is by a header: write it into `headers`"),
    ("headersHelper", "what it would print belongs into `headers`"),
];

/// A server, ready for the configuration.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) name: String,
    pub(super) server: Value,
    /// Variables of its program that stood in a file of their own, by name.
    pub(super) kept_apart: BTreeMap<String, String>,
    pub(super) notes: Vec<String>,
}

/// Why a server is not taken over.
#[derive(Debug)]
pub(super) enum Refused {
    /// It should not be.
    Skipped(String),
    /// It cannot be.
    Problems(Vec<String>),
}

/// Translates one entry.
///
/// # Errors
/// [`Refused`].
pub(super) fn translate(
    source: &Source,
    label: &str,
    entry: &Value,
    config: &Config,
    vault: &Vault,
) -> Result<Translated, Refused> {
    let Some(entry) = entry.as_object() else {
        return Err(Refused::Problems(vec!["it is no object".to_owned()]));
    };
    if entry.get("disabled") == Some(&Value::Bool(true)) || entry.get("enabled") == Some(&Value::Bool(false))
    {
        return Err(Refused::Skipped("it is switched off there".to_owned()));
    }
    if let Some(why) = own(entry, config) {
        return Err(Refused::Skipped(why));
    }
    let (own, kept_apart) = (BTreeMap::new(), BTreeMap::new());
    let mut reading = Reading { source, vault, own, kept_apart, problems: Vec::new(), notes: Vec::new() };
    let name = reading.name(label);
    let server = reading.server(entry);
    let Reading { kept_apart, problems, notes, .. } = reading;
    match (name, problems.is_empty()) {
        (Some(name), true) => Ok(Translated { name: name.to_string(), server, kept_apart, notes }),
        _ => Err(Refused::Problems(problems)),
    }
}

/// Whether it leads back to this gateway: taken over, a call would go round in circles.
fn own(entry: &Map<String, Value>, config: &Config) -> Option<String> {
    let text = |member: &str| entry.get(member).and_then(Value::as_str);
    let arguments: Vec<&str> =
        entry.get("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let program = text("command").map(|command| command.rsplit(['/', '\\']).next().unwrap_or(command));
    let is_tollgate = |name: &str| name == "tollgate" || name == "tollgate.exe";
    if program.is_some_and(is_tollgate) && arguments.first() == Some(&"connect") {
        return Some("it is Tollgate's own bridge to a gateway".to_owned());
    }
    let mut urls = arguments.into_iter().chain(["url", "serverUrl", "httpUrl"].into_iter().filter_map(text));
    let leads_here = |url: &str| {
        let Ok(url) = url.parse::<http::Uri>() else { return false };
        let Ok(public) = config.public_url.parse::<http::Uri>() else { return false };
        is_same_place(&url, &public) || is_at(&url, config.listen)
    };
    urls.any(leads_here).then(|| format!("it leads to this gateway itself, {}", config.public_url))
}

fn is_same_place(url: &http::Uri, public: &http::Uri) -> bool {
    url.scheme_str().is_some() && url.host() == public.host() && port(url) == port(public)
}

/// Whether a URL leads to the listener: the same port on this machine.
fn is_at(url: &http::Uri, listen: std::net::SocketAddr) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == listen.ip());
    url.scheme_str().is_some() && is_local && port(url) == listen.port()
}

fn port(url: &http::Uri) -> u16 {
    url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 })
}

struct Reading<'a> {
    source: &'a Source,
    vault: &'a Vault,
    /// The variables of its program, while its arguments are read.
    own: BTreeMap<String, String>,
    kept_apart: BTreeMap<String, String>,
    problems: Vec<String>,
    notes: Vec<String>,
}

impl Reading<'_> {
    /// A name that can stand in a path: `GitHub MCP` becomes `github-mcp`.
    fn name(&mut self, label: &str) -> Option<ServerName> {
        let mut name = String::new();
        for c in label.trim().chars().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' | '0'..='9' => name.push(c),
                _ if name.is_empty() || name.ends_with('-') => {}
                _ => name.push('-'),
            }
        }
        let name: String = name.trim_end_matches('-').chars().take(64).collect();
        let parsed = name.parse().ok();
        if parsed.is_none() {
            self.problems.push(format!("no server name can be made of {:?}: rename it there", shown(label)));
        }
        parsed
    }

    fn server(&mut self, entry: &Map<String, Value>) -> Value {
        let mut server = Map::new();
        let url = ["url", "serverUrl", "httpUrl"].iter().find_map(|member| entry.get(*member));
        match (url, entry.get("command")) {
            (Some(url), None) => self.remote(entry, url, &mut server),
            (None, Some(command)) => self.program(entry, command, &mut server),
            (Some(_), Some(_)) => self.problems.push("it has both a `command` and a `url`".to_owned()),
            (None, None) => self.problems.push("it has neither a `command` nor a `url`".to_owned()),
        }
        for (member, advice) in
            NEEDED.iter().filter(|(member, _)| entry.get(*member).is_some_and(|value| !value.is_null()))
        {
            self.problems.push(format!("`{member}` cannot be taken over: {advice}"));
        }
        let read = [
            "args",
            "command",
            "cwd",
            "disabled",
            "env",
            "envFile",
            "headers",
            "httpUrl",
            "serverUrl",
            "transport",
            "type",
            "url",
        ];
        let known =
            |member: &str| read.contains(&member) || NEEDED.iter().any(|(needed, _)| *needed == member);
        let left: Vec<String> =
            entry.keys().filter(|member| !known(member)).map(|member| shown(member)).collect();
        let (harmless, unknown): (Vec<String>, Vec<String>) =
            left.into_iter().partition(|member| IGNORED.contains(&member.as_str()));
        if !harmless.is_empty() {
            self.notes
                .push(format!("left out, for they are the client's own affair: {}", harmless.join(", ")));
        }
        if !unknown.is_empty() {
            self.notes.push(format!("left out, for Tollgate does not know them: {}", unknown.join(", ")));
        }
        Value::Object(server)
    }

    fn remote(&mut self, entry: &Map<String, Value>, url: &Value, server: &mut Map<String, Value>) {
        if let Some(url) = self.text("url", url) {
            server.insert("url".to_owned(), json!(url));
        }
        if entry.get("envFile").is_some_and(|file| !file.is_null()) {
            self.problems.push("`envFile` is about a `command` only: take it out there".to_owned());
        }
        let word =
            entry.get("type").or_else(|| entry.get("transport")).and_then(Value::as_str).unwrap_or("http");
        match word.to_ascii_lowercase().as_str() {
            "http" | "streamable-http" | "streamablehttp" | "streamable_http" => {}
            "sse" => {
                server.insert("transport".to_owned(), json!("sse"));
            }
            other => self.problems.push(format!("its type {:?} is none that Tollgate speaks", shown(other))),
        }
        let Some(headers) = entry.get("headers").and_then(Value::as_object).filter(|all| !all.is_empty())
        else {
            return;
        };
        let mut all: Vec<(String, String)> = Vec::new();
        for (label, value) in headers {
            let name = label.to_ascii_lowercase();
            if all.iter().any(|(known, _)| *known == name) {
                self.problems.push(format!("header {} is named twice", shown(label)));
            } else if let Some(value) = self.text(&format!("header {}", shown(label)), value) {
                all.push((name, value));
            }
        }
        server.extend(headers_of(all));
    }

    fn program(&mut self, entry: &Map<String, Value>, command: &Value, server: &mut Map<String, Value>) {
        if let Some(word) = entry.get("type").or_else(|| entry.get("transport")).and_then(Value::as_str)
            && word != "stdio"
        {
            self.problems.push(format!("it has a `command`, and its type is {:?}", shown(word)));
        }
        let arguments = match entry.get("args") {
            None | Some(Value::Null) => &Vec::new(),
            Some(Value::Array(arguments)) => arguments,
            Some(_) => {
                self.problems.push("`args` is no list".to_owned());
                return;
            }
        };
        if let Some(cwd) = entry.get("cwd").filter(|cwd| !cwd.is_null())
            && let Some(cwd) = self.text("`cwd`", cwd)
        {
            server.insert("cwd".to_owned(), json!(cwd));
        }
        self.kept_apart = self.env_file(entry.get("envFile").unwrap_or(&Value::Null));
        let mut env = Map::new();
        match entry.get("env") {
            None | Some(Value::Null) => {}
            Some(Value::Object(variables)) => {
                for (name, value) in variables {
                    // What stands here counts more than the file, and nothing means that it is not set.
                    self.kept_apart.remove(name);
                    if value.is_null() {
                        continue;
                    }
                    if let Some(value) = self.text(&format!("the value of {}", shown(name)), value) {
                        env.insert(name.clone(), json!(value));
                    }
                }
            }
            Some(_) => self.problems.push("`env` is no object".to_owned()),
        }
        self.own =
            env.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
        let words: Vec<Value> = std::iter::once(command)
            .chain(arguments)
            .filter_map(|word| self.text("a word of its command", word))
            .map(Value::from)
            .collect();
        server.insert("command".to_owned(), Value::Array(words));
        self.own.clear();
        if !env.is_empty() {
            server.insert("env".to_owned(), Value::Object(env));
        }
    }

    /// The variables in the file that `envFile` names.
    fn env_file(&mut self, named: &Value) -> BTreeMap<String, String> {
        if named.is_null() {
            return BTreeMap::new();
        }
        let Some(path) = self.text("`envFile`", named) else { return BTreeMap::new() };
        let read = self.vault.environment().fill(&path).map_err(|name| format!("{name} is not set"));
        let read = read.and_then(|path| env_file::read(Path::new(&path), self.source.workspace.as_deref()));
        match read {
            Ok(variables) => variables,
            Err(problem) => {
                self.problems.push(format!("`envFile` {}: {problem}", shown(&path)));
                BTreeMap::new()
            }
        }
    }

    /// A text with its placeholders resolved. Numbers and switches are texts to a program.
    fn text(&mut self, place: &str, value: &Value) -> Option<String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                self.problems.push(format!("{place} is no text"));
                return None;
            }
        };
        let words = Words { source: self.source, vault: self.vault, own: &self.own };
        match resolved(&text, words) {
            Ok(text) => Some(text),
            Err(problems) => {
                self.problems.extend(problems.into_iter().map(|problem| format!("{place}: {problem}")));
                None
            }
        }
    }
}
