//! Puts a gateway together from its configuration: keys, store, rails, upstreams, street.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use anyhow::Context;
use http::HeaderName;
use tokio_util::task::TaskTracker;
use tollgate_domain::ServerName;
use tollgate_egress::Policy;
use tollgate_exec::breaker::BreakerLimits;
use tollgate_exec::client::ClientLimits;
use tollgate_exec::http::{Credential, HttpConfig};
use tollgate_exec::openapi::{RestConfig, RestLimits};
use tollgate_exec::probe::{ProbeLimits, Probed};
use tollgate_exec::sse::{SseConfig, SseLimits};
use tollgate_exec::stdio::{StdioConfig, StdioLimits};
use tollgate_exec::{Health, HttpUpstream, McpClient, RestUpstream, SseUpstream, StdioUpstream, Upstream};
use tollgate_federation::Keys;
use tollgate_gate::{Gate, GateLimits, Mode};
use tollgate_mcp::origin::AllowedHosts;
use tollgate_rails::carriers::PAYMENT_HEADERS;
use tollgate_risk::Limits as RateLimits;
use tollgate_till::{CALLERS_MAX, FINALITY_MS, Funding, Till};

use crate::builtin::BuiltinTools;
use crate::carrier::Carrier;
use crate::catalog::Tools;
use crate::config::{Breaker, Config, Server, Transport};
use crate::federation::Federations;
use crate::gateway::Gateway;
use crate::lease::Leases;
use crate::pins::Pins;
use crate::ports::GatewayPorts;
use crate::server::Readiness;
use crate::telemetry::{CommitTimes, Telemetry};
use crate::tls::Tls;
use crate::{clock, document};

/// Assembles a gateway. Nothing is served yet; [`recover`](tollgate_gate::Gate::recover) must run first.
///
/// # Errors
/// What is missing or cannot be opened, as a sentence for the operator.
pub async fn assemble(config: Config, mode: Mode, tasks: TaskTracker) -> anyhow::Result<Gateway> {
    let commits = Arc::new(CommitTimes::default());
    let Till { data: _, store, keys, rails, marks, receipt_keys, secret, dev } = Till::open(Funding {
        data: &config.data,
        public_url: &config.public_url,
        x402: config.x402.as_ref(),
        lightning: config.lightning.as_ref(),
        secret: config.secret.as_ref(),
        result_ttl_ms: config.receipts.result_ttl_ms,
        commits: Some(Arc::clone(&commits) as _),
    })
    .await?;
    let mut carriers = BTreeMap::new();
    let mut listed = Vec::new();
    for (name, server) in &config.servers {
        let upstream = upstream(name, server, &config, &tasks).await?;
        let client = McpClient::new(Arc::clone(&upstream), client_limits(&config));
        let client = Arc::new(client.watched_by(Arc::new(health(server))));
        listed.push((name.clone(), server.clone(), Arc::clone(&client)));
        carriers.insert(
            name.clone(),
            Arc::new(Carrier::new(name.clone(), server, upstream, client, Arc::clone(&marks))),
        );
    }
    let pins = Arc::new(Pins::open(store.clone()).await?);
    let tools = Arc::new(Tools::new(listed, Arc::clone(&pins)).with_elsewhere(&config.gate_servers));
    let ports = GatewayPorts {
        tools: Arc::clone(&tools),
        store,
        keys: Arc::clone(&keys),
        rails,
        limits: RateLimits::new(&config.rates, CALLERS_MAX),
        marks: Arc::clone(&marks),
    };
    let limits = GateLimits {
        quote_ttl_ms: config.quote_ttl_ms,
        receipts_for_free_calls: config.receipts.free_calls,
        finality_ms: FINALITY_MS,
        mode,
    };
    let hosts = allowed_hosts(&config)?;
    let tls = config.tls.clone().map(Tls::read).transpose()?.map(Arc::new);
    let federations = Federations::new(
        &config,
        &carriers,
        Keys::derive(&secret).context("derive the keys of federated sessions")?,
    );
    Ok(Gateway {
        mode,
        gate: Gate::new(ports, limits),
        tools,
        carriers,
        federations,
        keys,
        pins,
        marks,
        leases: Leases::default(),
        builtin: config.builtin_tools.as_deref().map(|tools| Arc::new(BuiltinTools::new(tools))),
        hosts,
        receipt_keys,
        calls: TaskTracker::new(),
        tasks,
        tls,
        telemetry: Telemetry::new(commits),
        readiness: Readiness::default(),
        dev,
        config,
    })
}

/// Connects to one server for real, asks what it is, and ends what was started for it.
///
/// # Errors
/// When its configuration cannot be used; a server that does not answer is a finding, not an error.
pub async fn probe(
    name: &ServerName,
    server: &Server,
    config: &Config,
    limits: ProbeLimits,
) -> anyhow::Result<Probed> {
    let tasks = TaskTracker::new();
    let upstream = upstream(name, server, config, &tasks).await?;
    let probed = tollgate_exec::probe::probe(&*upstream, limits).await;
    upstream.stop();
    tasks.close();
    tasks.wait().await;
    Ok(probed)
}

/// Whether the way to a server can be built as configured: reads its OpenAPI document, connects to nothing else.
///
/// # Errors
/// Why not.
pub async fn check_way(name: &ServerName, server: &Server, config: &Config) -> anyhow::Result<()> {
    upstream(name, server, config, &TaskTracker::new()).await.map(drop)
}

fn allowed_hosts(config: &Config) -> anyhow::Result<AllowedHosts> {
    let public: http::Uri = config.public_url.parse()?;
    let named = public.authority().map(|authority| authority.to_string());
    let hosts = AllowedHosts::new(config.hosts.iter().cloned().chain(named))?;
    Ok(hosts.and(AllowedHosts::loopback()))
}

/// The way to one server. What identifies or pays for the caller never goes there.
async fn upstream(
    name: &ServerName,
    server: &Server,
    config: &Config,
    tasks: &TaskTracker,
) -> anyhow::Result<Arc<dyn Upstream>> {
    let credential = server.credential.as_ref().map(|c| Credential::new(c.header.clone(), c.value.clone()));
    match &server.transport {
        Transport::Http(url) => {
            let mut config = HttpConfig::new(name.clone(), url.clone(), endpoint_policy(url));
            config.strip = stripped_headers();
            config.credential = credential;
            Ok(Arc::new(HttpUpstream::new(config)?))
        }
        Transport::Sse(url) => {
            let config = SseConfig {
                name: name.clone(),
                url: url.clone(),
                credential,
                policy: endpoint_policy(url),
                limits: SseLimits::default(),
            };
            Ok(Arc::new(SseUpstream::new(config, clock::random_16, tasks.clone())?))
        }
        Transport::Rest { url, document } => Ok(Arc::new(RestUpstream::new(RestConfig {
            name: name.clone(),
            document: document::read(document).await.with_context(|| format!("servers.{name}.openapi"))?,
            url: url.clone(),
            credential,
            policy: endpoint_policy(url),
            limits: RestLimits {
                message_bytes_max: config.limits.body_bytes_max,
                answer_bytes_max: config.limits.answer_bytes_max,
                exchange_ms_max: longest_ms([server]),
                ..RestLimits::default()
            },
        })?)),
        Transport::Stdio { command, env } => {
            Ok(Arc::new(stdio(name, command, env, &config.inherited, tasks)?))
        }
    }
}

/// The longest deadline of a tool of these servers, and at least a minute.
fn longest_ms<'a>(servers: impl IntoIterator<Item = &'a Server>) -> u64 {
    let tools = servers.into_iter().flat_map(|server| server.tools.values().chain(&server.every_tool));
    tools.map(|tool| tool.deadline_ms).max().unwrap_or_default().max(60_000)
}

/// The health of a server: how its failures are counted.
fn health(server: &Server) -> Health {
    let Breaker { failures_in_a_row, failed_percent, rest_ms } = server.breaker;
    let default = BreakerLimits::default();
    match server.transport {
        Transport::Http(_) | Transport::Sse(_) | Transport::Rest { .. } => Health::new(BreakerLimits {
            failures_in_a_row_max: failures_in_a_row.unwrap_or(default.failures_in_a_row_max),
            failed_percent_max: failed_percent.unwrap_or(default.failed_percent_max),
            rest_ms_first: rest_ms.unwrap_or(default.rest_ms_first),
            ..default
        }),
        Transport::Stdio { .. } => Health::watched_only(),
    }
}

fn client_limits(config: &Config) -> ClientLimits {
    // Each tool has its own deadline; this bounds the longest of them.
    ClientLimits {
        answer_bytes_max: config.limits.answer_bytes_max,
        exchange_ms_max: longest_ms(config.servers.values()),
        ..ClientLimits::default()
    }
}

/// A program started with nothing of our environment but PATH and HOME.
fn stdio(
    name: &ServerName,
    command: &[String],
    env: &[(String, String)],
    inherited: &[(String, String)],
    tasks: &TaskTracker,
) -> anyhow::Result<StdioUpstream> {
    let pair = |(name, value): &(String, String)| (OsString::from(name), OsString::from(value));
    let config = StdioConfig {
        name: name.clone(),
        argv: command.iter().map(OsString::from).collect(),
        env: inherited.iter().chain(env).map(pair).collect(),
        directory: None,
        limits: StdioLimits::default(),
    };
    Ok(StdioUpstream::new(config, clock::random_16, tasks.clone())?)
}

/// Headers that end at the gateway: credentials and payments of the caller.
fn stripped_headers() -> Vec<HeaderName> {
    PAYMENT_HEADERS
        .iter()
        .copied()
        .chain(["authorization", "x-api-key", "cookie", "idempotency-key"])
        .filter_map(|name| name.parse().ok())
        .collect()
}

/// The operator wrote this endpoint into the configuration: it may be reached wherever it is.
fn endpoint_policy(url: &http::Uri) -> Policy {
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
    Policy::public().allow_endpoint(url.host().unwrap_or_default(), port)
}
