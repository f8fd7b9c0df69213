//! What an operator wrote: the shape of `tollgate.yaml`. Its JSON Schema is generated from here.

mod budgets;
mod payouts;
mod price;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use tollgate_till::raw::{RawAsset, RawLightning, RawPayment, RawX402};

pub use self::budgets::{RawBudgetLimits, RawBudgetNode, RawBudgetWarnings, RawBudgets, RawSelect};
pub use self::payouts::{RawPayoutLimits, RawPayouts, RawProvider};
use crate::builtin::Builtin;

pub use price::{RawGrade, RawMeasure, RawPrice, RawPricing, RawTier, RawWindow};

/// The configuration of `tollgate serve`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Address and port to listen on. Default: 127.0.0.1:3100.
    pub listen: Option<String>,
    /// The folder of the ledger, keys and receipts; used by one process at a time. Default: ./tollgate-data.
    pub data: Option<String>,
    /// The database that several gateways share. Default: none, the ledger is a file in `data`.
    pub database: RawDatabase,
    /// The URL that callers use, without a trailing slash. Default: http:// and the listen address.
    pub public_url: Option<String>,
    /// Host names (with optional port) by which callers may address this gateway, besides those of `public_url` and loopback.
    pub hosts: Vec<String>,
    /// The certificate for TLS on the listener, with HTTP/2 where clients speak it. Default: plain HTTP/1.1.
    pub tls: Option<RawTls>,
    /// The MCP servers behind this gateway, by name.
    pub servers: BTreeMap<String, RawServer>,
    /// How several servers appear as one at `/mcp`.
    pub federation: RawFederation,
    /// Virtual servers: named selections of tools across servers, each at `/servers/NAME/mcp`.
    #[serde(rename = "virtual")]
    pub virtual_servers: BTreeMap<String, RawVirtual>,
    /// How money arrives.
    pub payment: RawPayment,
    /// How far callers may spend.
    pub budgets: RawBudgets,
    /// Limits.
    pub limits: RawLimits,
    /// Receipts.
    pub receipts: RawReceipts,
    /// Who may read `/metrics`. Default: callers on the gateway's own machine.
    pub metrics: RawMetrics,
    /// What escrows are agreed on with. One that was agreed on keeps its terms.
    pub escrow: RawEscrow,
    /// What providers have earned, and how it is paid out. Default: nothing is.
    pub payouts: RawPayouts,
    /// The gate API, for tools that run elsewhere. Without it there is none.
    pub gate_api: Option<RawGateApi>,
    /// Tools about this gateway itself (what is for sale, the caller's credit and receipts), at `/servers/tollgate/mcp`: true
    /// for all, or a list of their names. Default: none.
    pub builtin_tools: RawBuiltinTools,
    /// The proxies in front of this gateway. Default: none, the address of a client is the one it connects from.
    pub trusted_proxies: RawProxies,
    /// The admin API. There is none before an admin key was made: `tollgate keys create --admin`.
    pub admin: RawAdmin,
    /// Traces and metrics over OpenTelemetry's protocol, besides `/metrics`. Only in a binary that was built with it.
    pub telemetry: RawTelemetry,
}

/// Traces and metrics over OpenTelemetry's protocol.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTelemetry {
    /// The collector. Without it, and without `OTEL_EXPORTER_OTLP_ENDPOINT`, nothing is sent.
    pub otlp: Option<RawOtlp>,
    /// Whether spans say who called. Default: false.
    pub callers: bool,
}

/// A collector that takes OTLP over HTTP (`http/protobuf`). OpenTelemetry's own environment names lie over these settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawOtlp {
    /// Its address, such as `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` are added.
    pub endpoint: Option<String>,
    /// Headers of each request to it, such as `authorization: Bearer ${OTLP_TOKEN}`.
    pub headers: BTreeMap<String, String>,
    /// The share of traces that begin here and are sent, 0 to 1. A trace that a caller began is sent if the caller says so.
    /// Default: 1.
    pub sample: Option<RawShare>,
    /// How long the collector may take for one request, in milliseconds. Default: 10000.
    pub timeout_ms: Option<u64>,
    /// How many spans wait for the collector; what comes beyond is dropped and counted. Default: 2048.
    pub spans_max: Option<usize>,
    /// How often metrics are sent, in milliseconds. Default: 60000.
    pub metrics_interval_ms: Option<u64>,
}

/// Which built-in tools are offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("type" = ["array", "boolean", "null"]))]
pub struct RawBuiltinTools(pub Option<Vec<String>>);

impl<'de> Deserialize<'de> for RawBuiltinTools {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refused =
            |what: &str| serde::de::Error::custom(format!("{what} is neither true nor a list of tools"));
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Null | serde_json::Value::Bool(false) => Ok(Self(None)),
            serde_json::Value::Bool(true) => {
                Ok(Self(Some(Builtin::ALL.into_iter().map(|builtin| builtin.name().to_owned()).collect())))
            }
            serde_json::Value::Array(names) => {
                let name = |name: serde_json::Value| {
                    name.as_str().map(str::to_owned).ok_or_else(|| refused(&name.to_string()))
                };
                names.into_iter().map(name).collect::<Result<_, _>>().map(|names| Self(Some(names)))
            }
            other => Err(refused(&other.to_string())),
        }
    }
}

/// Proxies whose word on the address of a client is taken.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawProxies {
    /// Their addresses, or networks of addresses such as 10.0.0.0/8.
    pub addresses: Vec<String>,
    /// The one header in which they say who asked them, and which they do not let a client write. Default: x-forwarded-for.
    pub header: RawForwarded,
}

/// A header in which proxies say who asked them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawForwarded {
    /// `X-Forwarded-For`: addresses, the last proxy's word at the end.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The admin API: `/admin/v1`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawAdmin {
    /// Whether it also answers callers that are not on this machine. Default: false.
    pub remote: bool,
    /// Whether it takes servers with a `command`: whoever has an admin key can then start any program. Default: false.
    pub commands: bool,
}

/// The gate API: `/gate/v1/authorize` and `/gate/v1/complete`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawGateApi {
    /// The key that its users present as `Authorization: Bearer`; at least 32 random characters, such as `${GATE_KEY}`.
    pub key: Option<String>,
    /// Whether it also answers users that are not on this machine. Default: false.
    pub remote: bool,
    /// How many leases may be open at once, at most 1000000. Default: 10000.
    pub leases_max: Option<u32>,
}

/// A database of PostgreSQL for the ledger, API keys and pins of several gateways. Each gateway keeps a data directory of its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawDatabase {
    /// `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`. It holds a password: better `${NAME}`, or TOLLGATE__DATABASE__URL in the
    /// environment. Over a network the connection is encrypted and the server's certificate verified.
    pub url: Option<String>,
}

/// A certificate and its key; both are read again when they change.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTls {
    /// The file with the certificate chain, in PEM, the listener's own certificate first.
    pub cert: Option<String>,
    /// The file with its private key, in PEM.
    pub key: Option<String>,
}

/// One MCP server behind the gateway. With neither `tools` nor `every_tool` it has no policy and is streamed unparsed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawServer {
    /// The URL of its streamable HTTP endpoint; with `openapi`, the base URL of the REST API. Either this or `command`.
    pub url: Option<String>,
    /// The OpenAPI 3.0 or 3.1 document of a REST API, JSON or YAML: a file, or an http or https URL that is read at the start. Its
    /// operations become the tools; its own `servers` are not looked at.
    pub openapi: Option<String>,
    /// How `url` is spoken to. Default: streamable-http.
    pub transport: Option<RawTransport>,
    /// Its tools run elsewhere, in a program that asks the gate API before it runs one: neither `url` nor `command`, and
    /// `tools` names every tool. Default: false.
    pub gate: bool,
    /// The program and arguments of a stdio server; started without a shell. Either this or `url`.
    pub command: Vec<String>,
    /// Environment variables for `command`; nothing else is inherited but PATH and HOME.
    pub env: BTreeMap<String, String>,
    /// The folder that `command` is started in. Default: the gateway's own.
    pub cwd: Option<String>,
    /// Whether `command` hears of the folders that its callers name as roots; a server of files takes them in place of its own. Say false
    /// where others than yourself may call it. Default: true.
    pub roots: Option<bool>,
    /// This gateway's own credential for the server; it replaces whatever a caller sends under that name.
    pub credential: Option<RawCredential>,
    /// More headers of this gateway's own for `url`, such as `x-tenant: acme` or `x-api-key: ${SEARCH_KEY}`; each replaces whatever a
    /// caller sends under that name.
    pub headers: BTreeMap<String, String>,
    /// The policy of single tools, by name.
    pub tools: BTreeMap<String, RawTool>,
    /// The policy of every tool that `tools` does not name.
    pub every_tool: Option<RawTool>,
    /// Whether a demand to pay on the MCP endpoint is a plain HTTP 402 instead of a tool result. Default: false.
    pub payment_as_http: bool,
    /// Whether a list shows each caller only those tools that they may call, by the API key of the request and its standing; only for a
    /// server with a policy. Default: false.
    pub list_callable_only: bool,
    /// What happens when the definition of a tool is new, changed or suspicious; only for a server with a policy.
    pub pins: RawPins,
    /// When the server is given a rest because it keeps failing. Not for `command`: programs have a pause between starts.
    pub breaker: RawBreaker,
    /// Its names at `/mcp` beside other servers: `prefixed` (`server__tool`) or `plain` (its own; one server at most).
    /// Default: prefixed.
    pub names: RawNames,
    /// How often this server may be asked, besides `limits`.
    pub rates: Vec<RawRate>,
}

/// How an MCP server at a URL is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawTransport {
    /// The transport of 2025-03-26 and later.
    StreamableHttp,
    /// The first one (2024-11-05): `url` is a stream of events that names the endpoint for messages.
    Sse,
}

/// When a server is given a rest: its calls are refused at once, until one call that is let through is answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawBreaker {
    /// After so many failures in a row (not reached, broken off, not in time). Default: 5. 0: never.
    pub failures_in_a_row: Option<u32>,
    /// Or when so many of a hundred exchanges fail, of at least 20 in 30 seconds. Default: 50.
    pub failed_percent: Option<u32>,
    /// The first rest, in milliseconds; each further one is twice as long, up to 30 seconds. Default: 1000.
    pub rest_ms: Option<u64>,
}

/// Pins of tool definitions: what was approved stays, what changes waits.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPins {
    /// When a definition is not the approved one any more: block the tool until it is approved, warn, or off. Default: block.
    #[schemars(extend("enum" = ["block", "warn", "off", false, null]))]
    pub drift: Option<RawWord>,
    /// When a tool was never seen before: trust it, or let it wait until it is approved. Default: trust.
    #[schemars(extend("enum" = ["trust", "approve", null]))]
    pub first_use: Option<RawWord>,
    /// When the scan finds something serious in a definition that nobody approved: block, warn, or off. Default: block.
    #[schemars(extend("enum" = ["block", "warn", "off", false, null]))]
    pub findings: Option<RawWord>,
}

/// A word of a few. An unquoted `off` is `false` to a YAML parser, and means `off` all the same.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(extend("type" = ["string", "boolean"]))]
pub struct RawWord(pub String);

impl<'de> Deserialize<'de> for RawWord {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(word) => Ok(Self(word)),
            serde_json::Value::Bool(false) => Ok(Self("off".to_owned())),
            other => Err(serde::de::Error::custom(format!("{other} is none of the words"))),
        }
    }
}

/// How the names of a server appear at `/mcp` beside other servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawNames {
    /// With the server's name in front.
    #[default]
    Prefixed,
    /// As the server spells them.
    Plain,
}

/// How several servers appear as one at `/mcp`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawFederation {
    /// What stands between a server and its tool: 1 to 8 characters that start with `_` or `.`. Default: `__`.
    pub separator: Option<String>,
    /// How long one server may take for its part of a list, in milliseconds, and a third of what it may take to introduce itself;
    /// then the answer comes without it. Default: 10000.
    pub list_ms_max: Option<u64>,
    /// Whether stateless requests (2026-07-28) are answered. With `false`, a client that speaks both eras opens a session, and has the
    /// servers that speak sessions only as well; those that speak 2026-07-28 only it has no more. Default: true.
    pub stateless: Option<bool>,
    /// How long a session of the era of sessions lasts, in seconds. Default: 86400.
    pub session_ttl_seconds: Option<u64>,
    /// The keys of sessions and tasks, such as `${SESSION_KEY}` with at least 32 random characters: the first seals, all open. `own`
    /// is the one that follows from this gateway's own secret. Default: [own].
    pub session_keys: Vec<String>,
}

/// A virtual server.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawVirtual {
    /// The tools it offers: `server/tool`, where the tool may have `*` for any characters.
    pub tools: Vec<String>,
}

/// A header with this gateway's own credential.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCredential {
    /// The header's name. Default: authorization.
    pub header: Option<String>,
    /// Its value, such as `Bearer ${WEATHER_TOKEN}`.
    pub value: Option<String>,
}

/// What one tool costs and asks of callers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTool {
    /// The price of one call, in each asset that is accepted: `0.01USDC`, `10sat`. Empty: free. Or a rule that it follows from.
    pub price: RawPrice,
    /// When the money moves: `after` the tool has delivered, or `before` it is asked; what was taken for a tool that fails is
    /// refunded then. `escrow`: before as well, and what the tool delivers puts it into an escrow, until whoever called accepts;
    /// such a tool asks for an API key. Default: after.
    #[schemars(extend("enum" = ["after", "before", "escrow", null]))]
    pub settle: Option<String>,
    /// Whether the tool may run while the claim of prepaid credit is being committed; its answer waits for both. For tools that only read: a
    /// crash in that moment can cost you a run for which nobody paid. Payments by x402 and Lightning are claimed first all
    /// the same. Only with `settle: after`. Default: false.
    pub overlap: bool,
    /// Who shares what the tool earns with its server: a share for each payee, such as `reviewers: 0.2`, rounded down; the remainder is
    /// the server's. Each payee has an account `payable:<payee>`. Default: nobody.
    pub splits: BTreeMap<String, RawShare>,
    /// The least local reputation, 0 to 1, such as 0.6.
    pub min_reputation: Option<RawShare>,
    /// Whether the caller must present an API key.
    pub api_key: bool,
    /// How long the tool may run, in milliseconds. Default: 60000.
    pub deadline_ms: Option<u64>,
    /// As how many calls one call counts in every limit on calls. Default: 1.
    pub weight: Option<u32>,
    /// When the scan finds hidden text, words aimed at a model, access keys or personal data in what the tool answers: off, warn (a
    /// note beside the answer), redact (as warn, with a mark in the place of each key and of personal data; withheld where one cannot be
    /// taken out), or block (it is withheld and not charged). The first 64 KiB of text are read, and the first MiB is searched
    /// for keys and personal data. Default: off.
    #[schemars(extend("enum" = ["off", "warn", "redact", "block", false, null]))]
    pub result_findings: Option<RawWord>,
    /// How often the tool may be called, besides the limits of its server and `limits`. In `every_tool`: each tool for itself.
    pub rates: Vec<RawRate>,
}

/// How often callers may come.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawRate {
    /// How many per second, minute, hour or day: `60/minute`.
    pub rate: String,
    /// How many at once after a pause. Default: as many as `rate` says for one period.
    pub burst: Option<u32>,
    /// Whose calls are counted together: `caller`, `address`, `tool`, `server`, a list of these (such as [caller, tool]), or
    /// `all`. Default: caller; address for requests.
    pub per: Option<RawPer>,
    /// What is counted: `calls` of tools, `offers` (demands to pay), or `requests` of any kind, which are counted before anything
    /// of them is read. Default: calls.
    pub of: RawCounts,
    /// How the limit is called in refusals and metrics. Default: where it stands, such as limits.rates[0].
    pub name: Option<String>,
    /// Whether all gateways on one `database.url` count together; for `calls`. Default: each gateway counts for itself.
    pub shared: bool,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawCounts {
    /// Tool calls.
    #[default]
    Calls,
    /// Demands to pay.
    Offers,
    /// Requests of any kind.
    Requests,
}

/// One word, or a list of words.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(extend("type" = ["string", "array"]))]
pub struct RawPer(pub Vec<String>);

impl<'de> Deserialize<'de> for RawPer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |value| serde::de::Error::custom(format!("{value} is no word and no list of words"));
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(word) => Ok(Self(vec![word])),
            serde_json::Value::Array(words) => {
                let words =
                    words.into_iter().map(|word| word.as_str().map(str::to_owned).ok_or_else(|| wrong(word)));
                Ok(Self(words.collect::<Result<_, _>>()?))
            }
            other => Err(wrong(other)),
        }
    }
}

/// A share between 0 and 1, as a number or as text. Kept as it was written: no float ever decides about trust.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(extend("type" = ["number", "string"]))]
pub struct RawShare(pub String);

impl<'de> Deserialize<'de> for RawShare {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            serde_json::Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(serde::de::Error::custom(format!("{other} is not a share between 0 and 1"))),
        }
    }
}

/// Limits, each with a safe default.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// The largest request body, in bytes. Default: 4194304.
    pub body_bytes_max: Option<usize>,
    /// How much the bodies of all requests under way may take together, in bytes; those up to 16384 bytes pass always. Default:
    /// 134217728, and at least as much as one body.
    pub bodies_bytes_max: Option<usize>,
    /// The largest answer or message of a server that is held whole, in bytes. Default: 4194304.
    pub answer_bytes_max: Option<usize>,
    /// How much all answers and messages that are held whole may take together, in bytes; those up to 16384 bytes pass always.
    /// Default: 134217728, and at least as much as one answer.
    pub answers_bytes_max: Option<usize>,
    /// How long a caller may take to send the head of a request, and a connection may be idle, in milliseconds. Default: 10000.
    pub head_ms_max: Option<u64>,
    /// How long a caller may take to send the body of a request, in milliseconds. Default: 30000.
    pub body_ms_max: Option<u64>,
    /// How long a caller may take nothing of an answer that waits for it, in milliseconds; then the connection is closed.
    /// Default: 30000.
    pub unread_ms_max: Option<u64>,
    /// How many connections may be open. Default: 4096.
    pub connections_max: Option<usize>,
    /// How many tool calls of one caller may be under way at once. Default: 1000.
    pub calls_at_once: Option<NonZeroU32>,
    /// Tool calls per minute and caller. Default: 6000.
    pub calls_per_minute: Option<u32>,
    /// Demands to pay per minute and caller; each may cost a Lightning invoice. Default: 600.
    pub offers_per_minute: Option<u32>,
    /// How long running calls may take to finish after SIGTERM, in milliseconds. Default: 10000.
    pub drain_ms: Option<u64>,
    /// More limits on how often callers may come, whichever server or tool they ask.
    pub rates: Vec<RawRate>,
}

/// Receipts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawReceipts {
    /// Whether free calls get a receipt too; each costs one durable write. Default: false.
    pub free_calls: bool,
    /// How long results of paid calls are kept for a repeated payment, in seconds. Default: 86400.
    pub result_ttl_seconds: Option<u64>,
}

/// Who may read `/metrics`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawMetrics {
    /// A bearer token that every reader must send, such as `${METRICS_TOKEN}`; at least 16 characters.
    pub token: Option<String>,
    /// Whether everybody may read them without a token. Default: false.
    pub public: bool,
}

/// What escrows are agreed on with, where their payers say nothing else.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawEscrow {
    /// From its creation until it must be funded and locked. Default: 86400.
    pub open_seconds: Option<u64>,
    /// From lock until it must be delivered; then the payer has the money back. `ESCROW_TIMEOUT` lies over it. Default: 300.
    pub timeout_seconds: Option<u64>,
    /// From delivery until what is left is released, unless the payer disputes. `DISPUTE_WINDOW` lies over it. Default: 86400.
    pub dispute_window_seconds: Option<u64>,
    /// How long the parties of a dispute may show evidence. Default: 259200.
    pub evidence_seconds: Option<u64>,
    /// How long a mediator may take; then the operator decides. Default: 259200.
    pub mediation_seconds: Option<u64>,
    /// The stake of whoever disputes, as a share of the amount, and at least 10 atomic units; 0: none. Default: 0.05.
    pub dispute_stake: Option<RawShare>,
    /// The stake of a mediator who is no service, likewise. Default: 0.05.
    pub mediator_stake: Option<RawShare>,
    /// How sure a mediator must be for a verdict to count; one that is less sure hands over to the operator. Default: 0.8.
    pub confidence_min: Option<RawShare>,
    /// A mediation service that is asked over a webhook. Default: none.
    pub mediation: Option<RawMediation>,
}

/// A mediation service. Its requests are signed: `Tollgate-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of `SECONDS.BODY`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawMediation {
    /// Where disputes are sent, by POST.
    pub url: String,
    /// What the requests are signed with; at least 32 random characters, such as `${MEDIATION_SECRET}`.
    pub secret: String,
    /// How long it may take for one answer, in milliseconds. Default: 10000.
    pub timeout_ms: Option<u64>,
    /// How often it is asked about one dispute at most. Default: 5.
    pub attempts: Option<u32>,
    /// The pause before it is asked again, in milliseconds; each further one is twice as long. Default: 5000.
    pub retry_ms: Option<u64>,
}
