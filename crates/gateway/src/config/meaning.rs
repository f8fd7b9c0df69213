//! What a configuration means: values that can be served.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use tollgate_domain::{Assets, Bps, Digest, Pricing, Requirement, ServerName, Settle, Splits, ToolName};
use tollgate_egress::shown_url;
use tollgate_federation::{Pattern, Separator};
use tollgate_gate::CallEscrows;
use tollgate_ledger::budget::Plan as Budgets;
use tollgate_ledger::escrow::Timings;
use tollgate_registry::{PinPolicy, ResultPolicy};
use tollgate_risk::Plan;
use tollgate_store::DatabaseUrl;
pub use tollgate_till::{Lightning, LightningBackend, SandboxRails, Secret, Settling, X402};

use super::Problem;
use crate::builtin::Builtin;
use crate::proxies::TrustedProxies;

/// Where values came from, so that a problem can name its origin.
#[derive(Clone, Debug)]
pub struct Source {
    file: String,
    set: Vec<(String, String)>,
}

impl Source {
    pub(super) fn new(file: String, set: Vec<(String, String)>) -> Self {
        Self { file, set }
    }

    /// The problem of the value at a path.
    pub fn problem(&self, at: &str, message: impl Into<String>) -> Problem {
        let origin =
            self.set.iter().rev().find(|(path, _)| at == path || at.starts_with(&format!("{path}.")));
        Problem {
            at: at.to_owned(),
            origin: origin.map_or_else(|| self.file.clone(), |(_, origin)| origin.clone()),
            message: message.into(),
        }
    }
}

/// A configuration that can be served.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// The base URL callers use, without a trailing slash.
    pub public_url: String,
    /// Accepted host names beside loopback.
    pub hosts: Vec<String>,
    /// TLS on the listener.
    pub tls: Option<TlsFiles>,
    /// The servers.
    pub servers: BTreeMap<ServerName, Server>,
    /// How several servers appear as one.
    pub federation: Federation,
    /// Virtual servers and the tools that they offer.
    pub virtual_servers: BTreeMap<ServerName, Vec<Pattern>>,
    /// The tools that run elsewhere, asked for over the gate API, by server.
    pub gate_servers: BTreeMap<ServerName, BTreeMap<ToolName, ToolPolicy>>,
    /// The gate API, if it is open.
    pub gate_api: Option<GateApi>,
    /// The built-in tools that are offered; `None`: there is no such endpoint.
    pub builtin_tools: Option<Vec<Builtin>>,
    /// The admin API.
    pub admin: Admin,
    /// The assets that prices may be in.
    pub assets: Assets,
    /// x402, if taken.
    pub x402: Option<X402>,
    /// Lightning, if taken.
    pub lightning: Option<Lightning>,
    /// How long a quoted price is honoured.
    pub quote_ttl_ms: u64,
    /// The database that several gateways share, if there is one.
    pub database: Option<Database>,
    /// The secret that quotes and macaroons are derived from, where the operator gave one.
    pub secret: Option<Secret>,
    /// Limits.
    pub limits: Limits,
    /// How often callers may come.
    pub rates: Plan,
    /// How far callers may spend.
    pub budgets: Budgets,
    /// The proxies in front of this gateway.
    pub trusted_proxies: TrustedProxies,
    /// Receipts.
    pub receipts: Receipts,
    /// Who may read the metrics.
    pub metrics: Metrics,
    /// What escrows are agreed on with, where their payers say nothing else.
    pub escrow: Escrow,
    /// What providers have earned, and how it is paid out.
    pub payouts: super::Payouts,
    /// A floor under every tool's least reputation (`MCP_TRUST_MIN_REPUTATION`).
    pub min_reputation: Bps,
    /// Accepted settings that have no effect in this version.
    pub notices: Vec<String>,
    /// What programs of stdio servers see of our environment: PATH and HOME.
    pub inherited: Vec<(String, String)>,
    /// Where traces and metrics are sent, if they are.
    pub otlp: Option<Otlp>,
}

/// A collector of traces and metrics, with OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Where traces go; `None`: nowhere.
    pub traces: Option<http::Uri>,
    /// Where metrics go; `None`: nowhere.
    pub metrics: Option<http::Uri>,
    /// Headers of each request.
    pub headers: OtlpHeaders,
    /// How long the collector may take for one request.
    pub timeout_ms: u64,
    /// Which traces are sent.
    pub sampling: Sampling,
    /// Whether spans say who called.
    pub callers: bool,
    /// How many spans wait to be sent.
    pub spans_max: usize,
    /// How many are sent at once.
    pub batch_max: usize,
    /// How long a span waits for others to be sent with.
    pub batch_ms: u64,
    /// How often metrics are sent.
    pub metrics_ms: u64,
    /// The name under which all of it stands (`service.name`).
    pub service: String,
    /// What else is said of this process.
    pub resource: Vec<(String, String)>,
}

/// Headers for a collector; they may hold a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpHeaders(pub Vec<(http::HeaderName, http::HeaderValue)>);

impl std::fmt::Debug for OtlpHeaders {
    /// Names only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Which traces are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// The share of those that begin here.
    pub share: Bps,
    /// Whether a trace that a caller began is sent if and only if the caller says so; else the share decides there too.
    pub by_parent: bool,
}

/// A database that several gateways share.
#[derive(Clone, Debug)]
pub struct Database {
    /// Where it is.
    pub url: DatabaseUrl,
    /// The digest of the URL as it was written: whether another one is named can be seen without showing it.
    pub digest: Digest,
}

impl PartialEq for Database {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Database {}

/// The files of the listener's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The admin API, for whoever has an admin key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// Whether it also answers callers that are not on this machine.
    pub remote: bool,
    /// Whether it takes servers that are programs to start.
    pub commands: bool,
}

/// How several servers appear as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Federation {
    /// What stands between a server and its tool.
    pub separator: Separator,
    /// The server whose names stay as they are.
    pub plain: Option<ServerName>,
    /// How long one server may take for its part of a list.
    pub list_ms_max: u64,
    /// Whether stateless requests are answered.
    pub stateless: bool,
    /// How long a session lasts.
    pub session_ttl_ms: u64,
    /// The keys of sessions and tasks, the one that seals first; never empty.
    pub session_keys: Vec<SessionKey>,
}

/// Where a key of sessions and tasks comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionKey {
    /// From this gateway's own secret.
    Own,
    /// From a text that several gateways may share.
    Given(Secret),
}

/// The gate API.
#[derive(Clone)]
pub struct GateApi {
    /// The digest of its key.
    pub key: Digest,
    /// Whether it answers users that are not on this machine.
    pub remote: bool,
    /// How many leases may be open at once.
    pub leases_max: usize,
}

impl std::fmt::Debug for GateApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GateApi")
            .field("remote", &self.remote)
            .field("leases_max", &self.leases_max)
            .finish_non_exhaustive()
    }
}

/// One server.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// How it is reached.
    pub transport: Transport,
    /// The gateway's own headers for it, its credential among them.
    pub headers: Vec<OwnHeader>,
    /// The policy of single tools.
    pub tools: BTreeMap<ToolName, ToolPolicy>,
    /// The policy of all other tools; `None` with empty `tools` means: no policy, streamed unparsed.
    pub every_tool: Option<ToolPolicy>,
    /// Whether a demand to pay is a plain HTTP 402.
    pub payment_as_http: bool,
    /// Whether a list shows each caller only what they may call.
    pub list_callable_only: bool,
    /// What happens when a definition is new, changed or suspicious. Without a policy nothing is parsed, so nothing is
    /// compared either.
    pub pins: PinPolicy,
    /// When it is given a rest.
    pub breaker: Breaker,
}

/// When a server is given a rest; `None`: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// After so many failures in a row; zero: never.
    pub failures_in_a_row: Option<u32>,
    /// Or when so many of a hundred exchanges fail.
    pub failed_percent: Option<u32>,
    /// The first rest, in milliseconds.
    pub rest_ms: Option<u64>,
}

impl Server {
    /// Whether anything of this server is decided on; else it is streamed unparsed.
    pub fn has_policy(&self) -> bool {
        !self.tools.is_empty() || self.every_tool.is_some()
    }

    /// Whether a call of any of its tools costs something.
    pub fn has_price(&self) -> bool {
        self.tools.values().chain(&self.every_tool).any(|policy| !policy.price.is_free())
    }

    /// The policy of one tool: its own, else that of every tool, else free and open.
    pub fn policy(&self, tool: &ToolName) -> ToolPolicy {
        self.tools.get(tool).or(self.every_tool.as_ref()).cloned().unwrap_or_default()
    }
}

/// A header of the gateway's own for a server; it may hold a credential.
#[derive(Clone, PartialEq)]
pub struct OwnHeader {
    /// The header.
    pub name: http::HeaderName,
    /// Its value.
    pub value: http::HeaderValue,
}

impl std::fmt::Debug for OwnHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: [redacted]", self.name)
    }
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Transport {
    /// Streamable HTTP.
    Http(http::Uri),
    /// MCP's first HTTP transport: a stream of events.
    Sse(http::Uri),
    /// A REST API.
    Rest {
        /// Its base URL.
        url: http::Uri,
        /// Where its OpenAPI document is.
        document: Document,
    },
    /// A program over stdio.
    Stdio {
        /// Program and arguments.
        command: Vec<String>,
        /// Its environment.
        env: Vec<(String, String)>,
        /// The folder it is started in; `None`: the gateway's own.
        cwd: Option<PathBuf>,
        /// Whether it hears of the folders that its callers name.
        roots: bool,
    },
}

/// Where an OpenAPI document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// In a file.
    File(PathBuf),
    /// At a URL.
    Url(http::Uri),
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(&shown_url(&url.to_string())),
        }
    }
}

/// What a tool costs and asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolPolicy {
    /// What calls cost.
    pub price: Pricing,
    /// When the money for it moves.
    pub settle: Settle,
    /// Whether it may run while the claim of prepaid credit is being committed.
    pub overlaps: bool,
    /// Who shares what it earns.
    pub splits: Splits,
    /// What it asks of callers.
    pub requirement: Requirement,
    /// How long it may run; zero means the default.
    pub deadline_ms: u64,
    /// What happens when its answers look suspicious.
    pub result_findings: ResultPolicy,
}

/// Limits with their defaults filled in.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest request body.
    pub body_bytes_max: usize,
    /// Bodies of all requests under way together, beyond small ones.
    pub bodies_bytes_max: usize,
    /// How many tool calls of one caller may be under way.
    pub calls_at_once: NonZeroU32,
    /// Largest answer of a priced tool.
    pub answer_bytes_max: usize,
    /// Answers that are held, together, beyond small ones.
    pub answers_bytes_max: usize,
    /// Time for the head of a request, and of a connection without one.
    pub head_ms_max: u64,
    /// Time for the body of a request.
    pub body_ms_max: u64,
    /// Time for which an answer may lie unread.
    pub unread_ms_max: u64,
    /// Open connections.
    pub connections_max: usize,
    /// Time to finish after SIGTERM.
    pub drain_ms: u64,
}

/// Receipts with their defaults filled in.
#[derive(Clone, Copy, Debug)]
pub struct Receipts {
    /// Whether free calls get one.
    pub free_calls: bool,
    /// How long results of paid calls are kept.
    pub result_ttl_ms: u64,
}

/// Who may read the metrics: with neither, callers on this machine.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// A bearer token that every reader must send.
    pub token: Option<Secret>,
    /// Whether everybody may.
    pub public: bool,
}

/// What escrows are agreed on with, where their payers say nothing else. An escrow that was agreed on keeps its terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Escrow {
    /// How long each step may take.
    pub timings: Timings,
    /// The least stake of a dispute, as a share of the amount; zero: none.
    pub dispute_stake: Bps,
    /// The stake of a mediator who is a principal, likewise.
    pub mediator_stake: Bps,
    /// How sure a mediator must be.
    pub confidence_min: Bps,
    /// The operator's mediation service.
    pub mediation: Option<MediationService>,
}

impl Escrow {
    /// What the escrows of calls are agreed on with.
    pub(crate) fn of_calls(&self) -> CallEscrows {
        let Self { timings, dispute_stake, confidence_min, mediation, .. } = self;
        CallEscrows {
            timings: *timings,
            dispute_stake: *dispute_stake,
            confidence_min: *confidence_min,
            with_service: mediation.is_some(),
        }
    }
}

/// A mediation service, asked over a webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct MediationService {
    /// Where it is.
    pub url: http::Uri,
    /// What its requests are signed with.
    pub secret: Secret,
    /// How long it may take for one answer.
    pub timeout_ms: u64,
    /// How often it is asked about one dispute at most.
    pub attempts_max: u32,
    /// The pause before it is asked a second time; each further one is twice as long.
    pub retry_ms: u64,
}
