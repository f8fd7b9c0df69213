//! From what was written to what it means: every value parsed, every problem reported.

mod budgets;
mod builtin;
mod escrow;
mod federation;
mod gate_api;
mod own_headers;
mod payouts;
mod price;
mod rates;
mod telemetry;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;

use tollgate_domain::{
    Assets, Bps, Digest, MoneyError, Pricing, Requirement, ServerName, Settle, Splits, ToolName,
};
use tollgate_registry::{PinPolicy, PolicyError};
use tollgate_store::DatabaseUrl;
use tollgate_till::{Complaint, QUOTE_TTL_SECONDS, gate_secret};

use super::meaning::{
    Admin, Breaker, Config, Database, Document, Lightning, Limits, Metrics, Receipts, SandboxRails, Secret,
    Server, Source, TlsFiles, ToolPolicy, Transport, X402,
};
use super::raw::RawShare;
use super::raw::{
    RawBreaker, RawConfig, RawDatabase, RawLimits, RawMetrics, RawServer, RawTls, RawTool, RawTransport,
    RawWord,
};
use super::{Environment, Problem, Problems};

/// The default deadline of a tool.
const DEADLINE_MS: u64 = 60_000;

/// Collects problems while values are read.
struct Reader<'a> {
    source: &'a Source,
    problems: Vec<Problem>,
    /// Whether the ledger is in a database, which other gateways may use too.
    has_database: bool,
    /// The assets of which it was said that none can be taken here: what helps is the same wherever one is named.
    untaken: BTreeSet<String>,
}

impl Reader<'_> {
    fn refuse(&mut self, at: &str, message: impl Into<String>) {
        let problem = self.source.problem(at, message);
        self.problems.push(problem);
    }

    /// An amount of money cannot be read.
    fn refuse_money(&mut self, at: &str, error: &MoneyError) {
        match error {
            MoneyError::UnknownAsset { symbol, known } if known.is_empty() => {
                if self.untaken.insert(symbol.clone()) {
                    self.refuse(
                        at,
                        format!(
                            "{symbol:?} cannot be taken here: set payment.x402.pay_to (USDC) or payment.lightning (sat), or \
                             run `tollgate dev`, which has sandbox money"
                        ),
                    );
                }
            }
            error => self.refuse(at, error.to_string()),
        }
    }

    fn parse<T: std::str::FromStr>(&mut self, at: &str, text: &str, expected: &str) -> Option<T> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.refuse(at, format!("{text:?} is not {expected}"));
        }
        parsed
    }
}

impl Config {
    pub(super) fn from_raw(
        raw: RawConfig,
        environment: &Environment,
        source: &Source,
        sandbox: Option<SandboxRails>,
    ) -> Result<Self, Problems> {
        let mut reader = Reader {
            source,
            problems: Vec::new(),
            has_database: raw.database.url.is_some(),
            untaken: BTreeSet::new(),
        };
        let listen_text = raw.listen.as_deref().unwrap_or("127.0.0.1:3100");
        let listen = reader.parse("listen", listen_text, "an address and port such as 127.0.0.1:3100");
        let (x402, lightning) = match sandbox {
            None => (
                raw.payment.x402.as_ref().and_then(|raw| reader.kept(X402::understand(raw))),
                raw.payment.lightning.as_ref().and_then(|raw| reader.kept(Lightning::understand(raw))),
            ),
            Some(SandboxRails { x402, lightning }) => {
                if raw.payment.x402.is_some() || raw.payment.lightning.is_some() {
                    reader.refuse(
                        "payment",
                        "dev mode plays with SANDBOX money only; use `tollgate serve` for real rails",
                    );
                }
                (Some(x402), Some(lightning))
            }
        };
        let assets = Assets::new(
            x402.iter()
                .map(|x402| x402.asset.clone())
                .chain(lightning.iter().map(|lightning| lightning.asset.clone())),
        );
        let floor = environment.get("MCP_TRUST_MIN_REPUTATION").unwrap_or("0.0");
        let min_reputation: Bps =
            reader.parse("MCP_TRUST_MIN_REPUTATION", floor, "a share between 0 and 1").unwrap_or_default();
        let tls = raw.tls.as_ref().and_then(|tls| reader.tls(tls));
        let servers = reader.servers(&raw.servers, &assets, min_reputation);
        let federation = reader.federation(&raw);
        let virtual_servers = reader.virtual_servers(&raw.virtual_servers, &servers);
        let gate_api = raw.gate_api.as_ref().and_then(|raw| reader.gate_api(raw));
        let gate_servers = reader.gate_servers(&raw.servers, &assets, min_reputation, gate_api.is_some());
        let builtin_tools = reader.builtin_tools(&raw);
        let rates = reader.rates(&raw);
        let budgets = reader.budgets(&raw.budgets, &assets, x402.as_ref(), environment);
        let trusted_proxies = reader.proxies(&raw.trusted_proxies);
        let secret = reader.kept(gate_secret(environment)).flatten();
        let database = reader.database(&raw.database, secret.is_some());
        let metrics = reader.metrics(raw.metrics);
        let escrow = reader.escrow(&raw.escrow, environment);
        let ways = payouts::Ways { assets: &assets, x402: x402.as_ref(), lightning: lightning.as_ref() };
        let payouts = reader.payouts(&raw.payouts, ways);
        let mut notices = reader.notices(environment, x402.is_some() || raw.payment.x402.is_some());
        let (otlp, without_otlp) = reader.otlp(&raw.telemetry, environment);
        notices.extend(without_otlp);
        notices.extend(budgets::unbounded(&budgets, &assets));
        let Some(listen): Option<SocketAddr> = listen else { return Err(Problems(reader.problems)) };
        let public_url = raw.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
        if !reader.problems.is_empty() {
            return Err(Problems(reader.problems));
        }
        // A Lightning credential lives no longer than the quote in it: a shorter default would cut its documented life.
        let quote_ttl_seconds = raw.payment.quote_ttl_seconds.unwrap_or_else(|| {
            lightning
                .as_ref()
                .map_or(QUOTE_TTL_SECONDS, |lightning| lightning.ttl_seconds.max(QUOTE_TTL_SECONDS))
        });
        Ok(Self {
            listen,
            data: raw.data.unwrap_or_else(|| "tollgate-data".to_owned()).into(),
            public_url: if public_url.is_empty() {
                format!("{}://{listen}", if tls.is_some() { "https" } else { "http" })
            } else {
                public_url.to_owned()
            },
            hosts: raw.hosts,
            tls,
            servers,
            federation,
            virtual_servers,
            gate_servers,
            gate_api,
            builtin_tools,
            admin: Admin { remote: raw.admin.remote, commands: raw.admin.commands },
            assets,
            x402,
            lightning,
            quote_ttl_ms: quote_ttl_seconds.saturating_mul(1_000),
            database,
            secret,
            limits: limits(&raw.limits),
            rates,
            budgets,
            trusted_proxies,
            receipts: Receipts {
                free_calls: raw.receipts.free_calls,
                result_ttl_ms: raw.receipts.result_ttl_seconds.unwrap_or(86_400).saturating_mul(1_000),
            },
            metrics,
            escrow,
            payouts,
            min_reputation,
            notices,
            inherited: ["PATH", "HOME"]
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), environment.get(name)?.to_owned())))
                .collect(),
            otlp,
        })
    }
}

/// Tool calls of one caller, unless it is said otherwise.
const CALLS_AT_ONCE: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

fn limits(raw: &RawLimits) -> Limits {
    let body_bytes_max = raw.body_bytes_max.unwrap_or(4 * 1024 * 1024);
    let answer_bytes_max = raw.answer_bytes_max.unwrap_or(4 * 1024 * 1024);
    Limits {
        body_bytes_max,
        bodies_bytes_max: raw.bodies_bytes_max.unwrap_or(128 * 1024 * 1024).max(body_bytes_max),
        calls_at_once: raw.calls_at_once.unwrap_or(CALLS_AT_ONCE),
        answer_bytes_max,
        answers_bytes_max: raw.answers_bytes_max.unwrap_or(128 * 1024 * 1024).max(answer_bytes_max),
        head_ms_max: raw.head_ms_max.unwrap_or(10_000),
        body_ms_max: raw.body_ms_max.unwrap_or(30_000),
        unread_ms_max: raw.unread_ms_max.unwrap_or(30_000),
        connections_max: raw.connections_max.unwrap_or(4_096),
        drain_ms: raw.drain_ms.unwrap_or(10_000),
    }
}

impl Reader<'_> {
    fn servers(
        &mut self,
        raw: &BTreeMap<String, RawServer>,
        assets: &Assets,
        floor: Bps,
    ) -> BTreeMap<ServerName, Server> {
        let mut servers = BTreeMap::new();
        for (name, server) in raw.iter().filter(|(_, server)| !server.gate) {
            let at = format!("servers.{name}");
            let parsed = self.server_name(&at, name);
            if let (Some(name), Some(server)) = (parsed, self.server(&at, server, assets, floor)) {
                servers.insert(name, server);
            }
        }
        servers
    }

    fn tls(&mut self, raw: &RawTls) -> Option<TlsFiles> {
        let (Some(cert), Some(key)) = (&raw.cert, &raw.key) else {
            self.refuse("tls", "needs `cert` and `key`: the files of the certificate and of its private key");
            return None;
        };
        Some(TlsFiles { cert: cert.into(), key: key.into() })
    }

    fn server_name(&mut self, at: &str, name: &str) -> Option<ServerName> {
        self.parse(at, name, "a server name (a-z, 0-9 and \"-\", at most 64 characters)")
    }

    fn server(&mut self, at: &str, raw: &RawServer, assets: &Assets, floor: Bps) -> Option<Server> {
        let transport = match (&raw.url, &raw.openapi, raw.command.is_empty()) {
            (Some(url), None, true) => {
                let speaking = match raw.transport.unwrap_or(RawTransport::StreamableHttp) {
                    RawTransport::StreamableHttp => Transport::Http,
                    RawTransport::Sse => Transport::Sse,
                };
                self.url(&format!("{at}.url"), url).map(speaking)
            }
            (Some(url), Some(document), true) => self.rest(at, url, document),
            (None, None, false) => Some(Transport::Stdio {
                command: raw.command.clone(),
                env: raw.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
                cwd: raw.cwd.as_ref().map(Into::into),
                roots: raw.roots.unwrap_or(true),
            }),
            (None, Some(_), true) => {
                self.refuse(
                    at,
                    "needs `url` beside `openapi`: the base URL of the API, which no document may name",
                );
                None
            }
            (_, Some(_), false) | (Some(_), None, false) | (None, None, true) => {
                self.refuse(at, "needs exactly one of `url` and `command`");
                None
            }
        };
        if raw.transport.is_some() && (raw.openapi.is_some() || !raw.command.is_empty()) {
            self.refuse(&format!("{at}.transport"), "is about the `url` of an MCP server only");
        }
        if raw.cwd.is_some() && raw.command.is_empty() {
            self.refuse(&format!("{at}.cwd"), "is about a `command` only");
        }
        if raw.roots.is_some() && raw.command.is_empty() {
            self.refuse(&format!("{at}.roots"), "is about a `command` only");
        }
        if !raw.headers.is_empty() && raw.url.is_none() {
            self.refuse(&format!("{at}.headers"), "is about a `url` only: a program has `env`");
        }
        let tools = self.tools(at, &raw.tools, assets, floor);
        let every_tool = raw
            .every_tool
            .as_ref()
            .and_then(|tool| self.tool(&format!("{at}.every_tool"), tool, assets, floor));
        Some(Server {
            transport: transport?,
            headers: self.own_headers(at, raw),
            tools,
            every_tool,
            payment_as_http: raw.payment_as_http,
            list_callable_only: self.list_callable_only(at, raw),
            pins: self.pins(at, raw),
            breaker: self.breaker(at, &raw.breaker),
        })
    }

    fn rest(&mut self, at: &str, url: &str, document: &str) -> Option<Transport> {
        let is_remote = document.starts_with("http://") || document.starts_with("https://");
        let document = if is_remote {
            self.url(&format!("{at}.openapi"), document).map(Document::Url)
        } else {
            Some(Document::File(document.into()))
        };
        let url = self.url(&format!("{at}.url"), url)?;
        if url.query().is_some() {
            self.refuse(&format!("{at}.url"), "the base URL of an API has no query");
            return None;
        }
        Some(Transport::Rest { url, document: document? })
    }

    fn breaker(&mut self, at: &str, raw: &RawBreaker) -> Breaker {
        if raw.failed_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
            self.refuse(&format!("{at}.breaker.failed_percent"), "is not between 1 and 100");
        }
        if raw.rest_ms.is_some_and(|rest| !(1..=30_000).contains(&rest)) {
            self.refuse(&format!("{at}.breaker.rest_ms"), "is not between 1 and 30000");
        }
        Breaker {
            failures_in_a_row: raw.failures_in_a_row,
            failed_percent: raw.failed_percent,
            rest_ms: raw.rest_ms,
        }
    }

    fn list_callable_only(&mut self, at: &str, raw: &RawServer) -> bool {
        if raw.list_callable_only && raw.tools.is_empty() && raw.every_tool.is_none() {
            self.refuse(
                &format!("{at}.list_callable_only"),
                "this server has no policy: everybody may call everything; add `every_tool: { api_key: true }`",
            );
        }
        raw.list_callable_only
    }

    fn pins(&mut self, at: &str, raw: &RawServer) -> PinPolicy {
        let pins = &raw.pins;
        let is_written = pins.drift.is_some() || pins.first_use.is_some() || pins.findings.is_some();
        if is_written && raw.tools.is_empty() && raw.every_tool.is_none() {
            self.refuse(
                &format!("{at}.pins"),
                "this server has no policy: it is streamed unparsed, so nothing can be pinned; add `every_tool: {}`",
            );
        }
        PinPolicy {
            drift: self.choice(&format!("{at}.pins.drift"), pins.drift.as_ref()),
            first_use: self.choice(&format!("{at}.pins.first_use"), pins.first_use.as_ref()),
            findings: self.choice(&format!("{at}.pins.findings"), pins.findings.as_ref()),
        }
    }

    fn choice<T: std::str::FromStr<Err = PolicyError> + Default>(
        &mut self,
        at: &str,
        word: Option<&RawWord>,
    ) -> T {
        match word.map(|word| word.0.parse()) {
            None => T::default(),
            Some(Ok(choice)) => choice,
            Some(Err(error)) => {
                self.refuse(at, error.to_string());
                T::default()
            }
        }
    }

    fn tools(
        &mut self,
        at: &str,
        raw: &BTreeMap<String, RawTool>,
        assets: &Assets,
        floor: Bps,
    ) -> BTreeMap<ToolName, ToolPolicy> {
        let mut tools = BTreeMap::new();
        for (name, tool) in raw {
            let at = format!("{at}.tools.{name}");
            let name: Option<ToolName> = self.parse(&at, name, "a tool name");
            if let (Some(name), Some(policy)) = (name, self.tool(&at, tool, assets, floor)) {
                tools.insert(name, policy);
            }
        }
        tools
    }

    fn tool(&mut self, at: &str, raw: &RawTool, assets: &Assets, floor: Bps) -> Option<ToolPolicy> {
        let price = self.price(&format!("{at}.price"), &raw.price, assets);
        let asked: Bps = match &raw.min_reputation {
            Some(share) => {
                self.parse(&format!("{at}.min_reputation"), &share.0, "a share between 0 and 1")?
            }
            None => Bps::ZERO,
        };
        let settle = self.settle(at, raw.settle.as_deref(), price.as_ref().is_some_and(Pricing::is_free));
        if raw.overlap && settle != Settle::After {
            let message = format!(
                "with `settle: {settle}` the money is taken before the tool runs: leave out one of the two"
            );
            self.refuse(&format!("{at}.overlap"), message);
        }
        let splits = self.splits(at, &raw.splits);
        Some(ToolPolicy {
            settle,
            overlaps: raw.overlap,
            splits,
            price: price?,
            // An escrow takes days, and nobody else can be known again.
            requirement: Requirement {
                api_key: raw.api_key || settle == Settle::Escrow,
                min_reputation: asked.max(floor),
            },
            deadline_ms: raw.deadline_ms.unwrap_or(DEADLINE_MS),
            result_findings: self.choice(&format!("{at}.result_findings"), raw.result_findings.as_ref()),
        })
    }

    fn settle(&mut self, at: &str, word: Option<&str>, is_free: bool) -> Settle {
        let Some(word) = word else { return Settle::default() };
        let at = format!("{at}.settle");
        if is_free {
            self.refuse(&at, "a free tool settles nothing: leave it out, or name a `price`");
        }
        self.parse(&at, word, "after, before or escrow").unwrap_or_default()
    }

    fn splits(&mut self, at: &str, raw: &BTreeMap<String, RawShare>) -> Splits {
        let at = format!("{at}.splits");
        let mut shares = Vec::new();
        for (payee, share) in raw {
            let at = format!("{at}.{payee}");
            let name = self.parse(&at, payee, "a name of a-z, 0-9 and \"-\"");
            let share = self.parse(&at, &share.0, "a share between 0 and 1 with at most four decimals");
            shares.extend(name.zip(share));
        }
        Splits::new(shares).map_err(|error| self.refuse(&at, error.to_string())).unwrap_or_default()
    }

    /// A quote or credential of one gateway must count at the others too.
    fn database(&mut self, raw: &RawDatabase, has_secret: bool) -> Option<Database> {
        let text = raw.url.as_deref()?;
        if !has_secret {
            let message = "all gateways on one database need the same secret (openssl rand -hex 32)";
            self.refuse("GATE_HMAC_SECRET", message);
        }
        let url = text.parse::<DatabaseUrl>();
        let url = url.map_err(|error| self.refuse("database.url", error.to_string())).ok()?;
        Some(Database { url, digest: Digest::of(text.as_bytes()) })
    }

    fn kept<T>(&mut self, understood: Result<T, Complaint>) -> Option<T> {
        understood.map_err(|Complaint { at, message }| self.refuse(&at, message)).ok()
    }

    fn url(&mut self, at: &str, text: &str) -> Option<http::Uri> {
        self.kept(tollgate_till::url(at, text))
    }

    fn metrics(&mut self, raw: RawMetrics) -> Metrics {
        let is_weak = |token: &String| token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic());
        if raw.token.as_ref().is_some_and(is_weak) {
            self.refuse("metrics.token", "needs at least 16 visible ASCII characters (openssl rand -hex 16)");
        }
        if raw.token.is_some() && raw.public {
            self.refuse("metrics.public", "cannot be true beside metrics.token: choose one");
        }
        Metrics { token: raw.token.map(|token| Secret(token.into_bytes())), public: raw.public }
    }

    /// Compatible names that are read and checked, and whose capability is not in this version: said, never silent.
    fn notices(&self, environment: &Environment, with_x402: bool) -> Vec<String> {
        let mut notices = Vec::new();
        for name in [
            "A2A_EXCHANGE_URL",
            "MCP_TRUST_DECAY_FACTOR",
            "MCP_TRUST_DEFAULT_KYA",
            "OAUTH_ISSUER",
            "OAUTH_SIGNING_KEY",
        ] {
            if environment.get(name).is_some() {
                notices.push(format!(
                    "{name} is set; OAuth and the exchange are not part of this version, so it has no effect"
                ));
            }
        }
        let idle = environment.without_payee(with_x402);
        if !idle.is_empty() {
            notices.push(format!(
                "no x402 payments are taken: {} set, but nobody to pay; set PAY_TO",
                idle.join(", ")
            ));
        }
        notices
    }
}
