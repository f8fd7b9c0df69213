//! What a user of the gate API says, read strictly.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_domain::{Digest, FailureKind, Origin, Outcome, ServerName, ToolName, ToolRef};
use tollgate_gate::{CreditUse, Denial, Found, MAXIMUM_META, Request, ToolAnswer, request};
use tollgate_rails::carriers::PAYMENT_HEADERS;

use crate::doors::Peer;
use crate::doors::members::Members;
use crate::gateway::Gateway;
use crate::lease::LeaseToken;

/// The longest URL of a resource, and the longest origin.
const TEXT_BYTES_MAX: usize = 2_048;

/// The members of `POST /gate/v1/authorize`: which call, what its caller sent (headers that identify or pay, raw members of
/// `params._meta`, an API key, an x402 payment as in `_meta["x402/payment"]`), whether prepaid credit may be spent without asking, the URL
/// that is paid for, and where the caller's request comes from (an address): limits of callers who are not known otherwise.
const AUTHORIZE: &[&str; 11] = &[
    "tool",
    "server",
    "arguments",
    "args_digest",
    "headers",
    "meta",
    "api_key",
    "payment",
    "auto_pay",
    "resource",
    "origin",
];
/// The members of `POST /gate/v1/complete`.
const COMPLETE: &[&str; 4] = &["lease", "outcome", "result", "result_digest"];

/// One header line, or several of the same name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    Several(Vec<String>),
}

/// A call that its user wants to carry out.
pub(super) struct Authorize {
    pub(super) tool: ToolRef,
    pub(super) resource: String,
    arguments: Bytes,
    args_digest: Option<Digest>,
    headers: HeaderMap,
    meta: BTreeMap<String, Bytes>,
    auto_pay: bool,
    origin: Origin,
}

/// Reads a request to authorize a call.
pub(super) fn authorize(body: &Bytes, peer: Peer) -> Result<Authorize, Denial> {
    let expected = "{\"tool\",\"arguments\"|\"args_digest\",\"headers\",\"meta\",\"api_key\",\"payment\",\"auto_pay\",\"resource\",\"origin\"}";
    let wrong = |reason: String| malformed(&format!("{reason}; expected {expected}"));
    let raw = Members::read(body, AUTHORIZE).map_err(wrong)?;
    let name: String =
        raw.value("tool").map_err(wrong)?.ok_or_else(|| wrong("it names no `tool`".to_owned()))?;
    let tool = tool(raw.value("server").map_err(wrong)?, &name)?;
    let args_digest: Option<Digest> = raw.value("args_digest").map_err(wrong)?;
    let arguments = match (raw.raw("arguments"), args_digest) {
        (Some(_), Some(_)) => return Err(malformed("send either `arguments` or `args_digest`")),
        (Some(raw), None) if raw.starts_with('{') => body.slice_ref(raw.as_bytes()),
        (Some(_), None) => return Err(malformed("`arguments` is not an object")),
        (None, _) => Bytes::from_static(b"{}"),
    };
    let mut headers = credentials(raw.present("headers").map_err(wrong)?.unwrap_or_default())?;
    if let Some(key) = raw.value::<String>("api_key").map_err(wrong)? {
        headers.append(HeaderName::from_static("x-api-key"), value("api_key", &key)?);
    }
    let meta: BTreeMap<String, &RawValue> = raw.present("meta").map_err(wrong)?.unwrap_or_default();
    let own = |raw: &str| Bytes::copy_from_slice(raw.as_bytes());
    let mut meta: BTreeMap<String, Bytes> =
        meta.into_iter().map(|(key, raw)| (key, own(raw.get()))).collect();
    if let Some(payment) = raw.raw("payment")
        && meta.insert("x402/payment".to_owned(), own(payment)).is_some()
    {
        return Err(Denial::PaymentAmbiguous("`payment` and `meta[\"x402/payment\"]`".to_owned()));
    }
    let resource: Option<String> = raw.value("resource").map_err(wrong)?;
    let origin: Option<String> = raw.value("origin").map_err(wrong)?;
    let auto_pay = raw.present("auto_pay").map_err(wrong)?.unwrap_or(false);
    let resource = resource.unwrap_or_else(|| format!("mcp://tool/{}", tool.tool));
    let is_long = |text: &str| text.len() > TEXT_BYTES_MAX;
    if is_long(&resource) || origin.as_deref().is_some_and(is_long) {
        return Err(malformed("`resource` and `origin` have at most 2048 bytes"));
    }
    let origin = origin.as_deref().map_or(peer.origin, Origin::named);
    Ok(Authorize { tool, resource, arguments, args_digest, headers, meta, auto_pay, origin })
}

impl Authorize {
    /// The street's request.
    pub(super) fn request(self, gateway: &Gateway) -> Result<Request, Denial> {
        let said = self.meta.get(MAXIMUM_META).map(AsRef::as_ref);
        let maximum = gateway.tools.most(&self.tool, said, &gateway.config.assets)?;
        let found = Found {
            tool: self.tool,
            arguments: self.arguments,
            headers: &self.headers,
            query: None,
            credit: if self.auto_pay { CreditUse::Allowed } else { CreditUse::Refused },
            maximum,
            origin: self.origin,
        };
        let request = request(found, |key| self.meta.get(key).map(AsRef::as_ref))?;
        Ok(Request { args_digest: self.args_digest, ..request })
    }
}

/// The headers that identify or pay; nothing else of the caller's request matters here.
fn credentials(raw: BTreeMap<String, Lines>) -> Result<HeaderMap, Denial> {
    let mut headers = HeaderMap::new();
    for (name, lines) in raw {
        let name = name.to_ascii_lowercase();
        let known = PAYMENT_HEADERS.iter().copied().chain(["authorization", "x-api-key", "idempotency-key"]);
        let Some(known) = known.into_iter().find(|known| *known == name) else { continue };
        let lines = match lines {
            Lines::One(line) => vec![line],
            Lines::Several(lines) => lines,
        };
        for line in lines {
            headers.append(HeaderName::from_static(known), value(known, &line)?);
        }
    }
    Ok(headers)
}

fn value(name: &str, text: &str) -> Result<HeaderValue, Denial> {
    HeaderValue::from_str(text).map_err(|_| malformed(&format!("{name} is not a header value")))
}

fn tool(server: Option<ServerName>, name: &str) -> Result<ToolRef, Denial> {
    let no_tool = || malformed("`tool` is `server/tool`, or a tool's name beside `server`");
    let (server, tool) = match server {
        Some(server) => (server, name),
        None => {
            let (server, tool) = name.split_once('/').ok_or_else(no_tool)?;
            (server.parse().map_err(|_| no_tool())?, tool)
        }
    };
    let tool: ToolName = tool.parse().map_err(|_| no_tool())?;
    Ok(ToolRef { server, tool })
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Delivered,
    Failed,
    TimedOut,
    Broken,
    Abandoned,
}

/// How a leased call ended, as its holder says.
pub(super) struct Said {
    pub(super) lease: LeaseToken,
    pub(super) outcome: Outcome<ToolAnswer>,
}

/// Reads the word about the end of a call.
pub(super) fn complete(body: &Bytes) -> Result<Said, Denial> {
    let wrong = |reason: String| {
        malformed(&format!("{reason}; expected {{\"lease\",\"outcome\",\"result\"|\"result_digest\"}}"))
    };
    let missing = |name: &str| wrong(format!("it has no `{name}`"));
    let raw = Members::read(body, COMPLETE).map_err(wrong)?;
    let lease: String = raw.value("lease").map_err(wrong)?.ok_or_else(|| missing("lease"))?;
    let word: Word = raw.value("outcome").map_err(wrong)?.ok_or_else(|| missing("outcome"))?;
    let digest: Option<Digest> = raw.value("result_digest").map_err(wrong)?;
    let answer = match (raw.raw("result"), digest) {
        (Some(_), Some(_)) => return Err(malformed("send either `result` or `result_digest`")),
        (Some(raw), None) if raw.starts_with('{') => {
            Some(ToolAnswer::Result(Bytes::copy_from_slice(raw.as_bytes())))
        }
        (Some(_), None) => return Err(malformed("`result` is not an object")),
        (None, Some(digest)) => Some(ToolAnswer::Digest(digest)),
        (None, None) => None,
    };
    let outcome = match (word, answer) {
        (Word::Delivered, Some(answer)) => Outcome::Delivered(answer),
        (Word::Delivered, None) => {
            return Err(malformed("what was delivered is named by `result` or `result_digest`"));
        }
        (Word::Failed, Some(answer)) => Outcome::Failed(answer),
        (Word::Failed | Word::Broken, _) => Outcome::Lost(FailureKind::Broken),
        (Word::TimedOut, _) => Outcome::Lost(FailureKind::TimedOut),
        (Word::Abandoned, _) => Outcome::Lost(FailureKind::Abandoned),
    };
    let lease =
        lease.parse().map_err(|error: crate::lease::LeaseTokenError| malformed(&error.to_string()))?;
    Ok(Said { lease, outcome })
}

fn malformed(reason: &str) -> Denial {
    Denial::MalformedFrame { json_rpc: -32_600, reason: reason.to_owned() }
}
