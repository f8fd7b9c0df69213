//! How several servers introduce themselves as one: `initialize` of the era of sessions, `server/discover` of the modern one.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tollgate_domain::ServerName;
use tollgate_mcp::era::SERVER_INFO_KEY;
use tollgate_mcp::{Era, raw};

use crate::lists::{Failure, OTHER_ERA};

#[cfg(test)]
mod tests;

/// `_meta` key of what the federated door says about its servers.
pub(crate) const FEDERATION_META: &str = "tollgate/federation";
/// Instructions of one server, and of all together, in bytes. They go to a model: a server must not crowd out the others.
const INSTRUCTIONS_BYTES_MAX: usize = 4 * 1024;
const ALL_INSTRUCTIONS_BYTES_MAX: usize = 16 * 1024;

/// What a server offers, as far as it decides whom to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features(u8);

impl Features {
    /// Tools.
    pub const TOOLS: Self = Self(1);
    /// Prompts.
    pub const PROMPTS: Self = Self(2);
    /// Resources and their templates.
    pub const RESOURCES: Self = Self(4);
    /// Completions.
    pub const COMPLETIONS: Self = Self(8);
    /// Logging.
    pub const LOGGING: Self = Self(16);
    /// Tasks of 2025-11-25.
    pub const TASKS: Self = Self(32);

    const BY_NAME: [(&'static str, Self); 6] = [
        ("tools", Self::TOOLS),
        ("prompts", Self::PROMPTS),
        ("resources", Self::RESOURCES),
        ("completions", Self::COMPLETIONS),
        ("logging", Self::LOGGING),
        ("tasks", Self::TASKS),
    ];

    /// The features that a raw `capabilities` object declares.
    pub fn of(capabilities: &Bytes) -> Self {
        let declared = Self::BY_NAME.iter().filter(|(name, _)| raw::member(capabilities, name).is_some());
        Self(declared.fold(0, |bits, (_, feature)| bits | feature.0))
    }

    /// Whether all of these are offered.
    pub const fn has(self, features: Self) -> bool {
        self.0 & features.0 == features.0
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// One server's own words.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// The server.
    pub server: ServerName,
    /// Its raw result of `initialize` or `server/discover`.
    pub result: Bytes,
}

impl Introduction {
    /// What it offers.
    pub fn features(&self) -> Features {
        raw::member(&self.result, "capabilities").map(|raw| Features::of(&raw)).unwrap_or_default()
    }

    /// The versions it names: the one of `initialize`, or all of `server/discover`.
    pub fn versions(&self) -> Vec<String> {
        if let Some(version) = raw::text(&self.result, "protocolVersion") {
            return vec![version];
        }
        let versions = raw::member(&self.result, "supportedVersions");
        let versions = versions.and_then(|raw| serde_json::from_slice::<Vec<Value>>(&raw).ok());
        let text = |version: Value| version.as_str().map(str::to_owned);
        versions.unwrap_or_default().into_iter().filter_map(text).collect()
    }
}

/// The result of `initialize`: the lowest version that anybody agreed to, and what all of them offer together. With
/// `tools_only`, nothing but tools. `None` without any server.
pub fn initialized(parts: &[Introduction], failures: &[Failure], tools_only: bool) -> Option<Bytes> {
    let version = parts.iter().flat_map(Introduction::versions).min()?;
    let mut result = Map::new();
    result.insert("protocolVersion".to_owned(), json!(version));
    result.insert("capabilities".to_owned(), Value::Object(capabilities(parts, tools_only)));
    result.insert("serverInfo".to_owned(), server_info());
    instructions(parts, &mut result);
    result.insert("_meta".to_owned(), json!({ FEDERATION_META: said(parts, failures, Era::Legacy) }));
    Some(Value::Object(result).to_string().into())
}

/// The result of `server/discover`: every version that anybody speaks, and what all of them offer together. `None` without
/// any server.
pub fn discovered(parts: &[Introduction], failures: &[Failure], tools_only: bool) -> Option<Bytes> {
    let mut versions: Vec<String> = parts.iter().flat_map(Introduction::versions).collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions.dedup();
    if versions.is_empty() {
        return None;
    }
    let hint = |part: &Introduction| {
        raw::member(&part.result, "ttlMs").and_then(|raw| std::str::from_utf8(&raw).ok()?.parse::<u64>().ok())
    };
    let is_public =
        |part: &Introduction| raw::text(&part.result, "cacheScope").is_some_and(|s| s == "public");
    // Who speaks another era will not be back with the next answer.
    let whole = failures.iter().all(|failure| failure.reason == OTHER_ERA);
    let ttl_ms = parts.iter().map(|part| hint(part).unwrap_or_default()).min().filter(|_| whole);
    let scope = if whole && parts.iter().all(is_public) { "public" } else { "private" };
    let mut result = Map::new();
    result.insert("resultType".to_owned(), json!("complete"));
    result.insert("supportedVersions".to_owned(), json!(versions));
    result.insert("capabilities".to_owned(), Value::Object(capabilities(parts, tools_only)));
    instructions(parts, &mut result);
    result.insert("ttlMs".to_owned(), json!(ttl_ms.unwrap_or_default()));
    result.insert("cacheScope".to_owned(), json!(scope));
    let meta = json!({ SERVER_INFO_KEY: server_info(), FEDERATION_META: said(parts, failures, Era::Modern) });
    result.insert("_meta".to_owned(), meta);
    Some(Value::Object(result).to_string().into())
}

/// Who speaks here: the gateway.
pub fn server_info() -> Value {
    json!({ "name": "tollgate", "version": env!("CARGO_PKG_VERSION") })
}

/// Who gave no answer, for `_meta`.
pub(crate) fn failures_json(failures: &[Failure]) -> Value {
    failures.iter().map(|failure| json!({ "server": failure.server, "reason": failure.reason })).collect()
}

/// Which servers answered in this era with which versions, and which did not.
fn said(parts: &[Introduction], failures: &[Failure], era: Era) -> Value {
    let era = if era == Era::Modern { "modern" } else { "legacy" };
    let server =
        |part: &Introduction| json!({ "server": part.server, "era": era, "versions": part.versions() });
    let servers: Vec<Value> = parts.iter().map(server).collect();
    json!({ "servers": servers, "failed": failures_json(failures) })
}

fn capabilities(parts: &[Introduction], tools_only: bool) -> Map<String, Value> {
    let mut all = Map::new();
    for part in parts {
        let own = raw::member(&part.result, "capabilities");
        if let Some(Value::Object(own)) = own.and_then(|raw| serde_json::from_slice(&raw).ok()) {
            unite(&mut all, own);
        }
    }
    if tools_only {
        all.retain(|name, _| ["tools", "tasks", "extensions"].contains(&name.as_str()));
    }
    all
}

/// What either of two declares: flags that one sets are set, objects are united, of two other values the first stays.
fn unite(all: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        match (all.get_mut(&name), value) {
            (None, value) => {
                all.insert(name, value);
            }
            (Some(Value::Object(known)), Value::Object(more)) => unite(known, more),
            (Some(Value::Bool(known)), Value::Bool(more)) => *known |= more,
            (Some(_), _) => {}
        }
    }
}

fn instructions(parts: &[Introduction], result: &mut Map<String, Value>) {
    let mut all = String::new();
    for part in parts {
        let Some(own) = raw::text(&part.result, "instructions").filter(|own| !own.is_empty()) else {
            continue;
        };
        let own = format!("{}: {}\n\n", part.server, cut(&own, INSTRUCTIONS_BYTES_MAX));
        if all.len() + own.len() <= ALL_INSTRUCTIONS_BYTES_MAX {
            all.push_str(&own);
        }
    }
    if !all.is_empty() {
        result.insert("instructions".to_owned(), json!(all.trim_end()));
    }
}

/// The start of a text, at most so many bytes of whole characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
