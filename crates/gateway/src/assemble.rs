//! Puts a gateway together from its configuration and what it stands on: the ways to its servers, tools, street, doors.
//!
//! A gateway is a snapshot: it never changes, and a call ends on the one on which it began. What another configuration
//! leaves as it is goes over to the next snapshot: the way to a server with its sessions and processes, what is known of
//! its tools, how often a caller has called.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use anyhow::Context;
use http::HeaderName;
use tokio_util::task::TaskTracker;
use tollgate_domain::{Digest, ServerName};
use tollgate_egress::Policy;
use tollgate_exec::breaker::BreakerLimits;
use tollgate_exec::client::ClientLimits;
use tollgate_exec::http::{HttpConfig, OwnHeader};
use tollgate_exec::openapi::{RestConfig, RestLimits};
use tollgate_exec::probe::{ProbeLimits, Probed};
use tollgate_exec::sse::{SseConfig, SseLimits};
use tollgate_exec::stdio::{StdioConfig, StdioLimits};
use tollgate_exec::{Health, HttpUpstream, McpClient, RestUpstream, SseUpstream, StdioUpstream, Upstream};
use tollgate_federation::Keys;
use tollgate_gate::{Gate, GateLimits};
use tollgate_mcp::origin::AllowedHosts;
use tollgate_rails::carriers::PAYMENT_HEADERS;
use tollgate_risk::{AtOnce, Limits, Room};
use tollgate_till::{CALLERS_MAX, FINALITY_MS};

use crate::builtin::BuiltinTools;
use crate::carrier::Carrier;
use crate::catalog::Tools;
use crate::config::{Breaker, Config, Server, SessionKey, Transport};
use crate::federation::Federations;
use crate::foundation::Foundation;
use crate::gateway::Gateway;
use crate::ports::GatewayPorts;
use crate::{clock, document};

/// Assembles a gateway that takes over from `previous` what the configuration leaves as it is. Nothing is served yet; before
/// the first one does, [`recover`](tollgate_gate::Gate::recover) must run.
///
/// # Errors
/// What is missing or cannot be opened, as a sentence for the operator.
pub async fn assemble(
    config: Config,
    foundation: &Foundation,
    previous: Option<&Gateway>,
) -> anyhow::Result<Gateway> {
    let mut carriers = BTreeMap::new();
    let mut listed = Vec::new();
    for (name, server) in &config.servers {
        let kept = previous.and_then(|previous| kept(name, server, &config, previous));
        let (carrier, client) = match kept {
            Some(kept) => kept,
            None => {
                let answers = &foundation.answers;
                let upstream = upstream(name, server, &config, &foundation.tasks, Some(answers)).await?;
                let client = McpClient::new(Arc::clone(&upstream), client_limits(server, &config))
                    .within(Arc::clone(answers));
                let client = Arc::new(client.watched_by(Arc::new(health(server))));
                let marks = Arc::clone(&foundation.marks);
                (Carrier::new(name.clone(), server, upstream, Arc::clone(&client), marks), client)
            }
        };
        listed.push((name.clone(), server.clone(), client));
        carriers.insert(name.clone(), Arc::new(carrier));
    }
    let tools = Tools::new(listed, Arc::clone(&foundation.pins)).with_elsewhere(&config.gate_servers);
    let tools = Arc::new(match previous {
        Some(previous) => tools.following(&previous.tools),
        None => tools,
    });
    // A rule that stays as it was keeps its buckets: nobody gets a full one by a change of the configuration.
    let limits = match previous {
        Some(previous) => previous.gate.ports().limits.followed_by(&config.rates, CALLERS_MAX),
        None => Limits::new(&config.rates, CALLERS_MAX),
    };
    let ports = GatewayPorts {
        tools: Arc::clone(&tools),
        store: foundation.store.clone(),
        keys: Arc::clone(&foundation.keys),
        rails: foundation.rails.clone(),
        limits,
        budgets: config.budgets.clone(),
        telemetry: Arc::clone(&foundation.telemetry),
        marks: Arc::clone(&foundation.marks),
    };
    let limits = GateLimits {
        quote_ttl_ms: config.quote_ttl_ms,
        receipts_for_free_calls: config.receipts.free_calls,
        finality_ms: FINALITY_MS,
        mode: foundation.mode,
        escrows: config.escrow.of_calls(),
    };
    let hosts = allowed_hosts(&config)?;
    let previous_federations = previous.map(|previous| &previous.federations);
    let handle_keys = Arc::new(session_keys(&config, &foundation.sessions)?);
    let federations = Federations::new(&config, &carriers, Arc::clone(&handle_keys), previous_federations);
    Ok(Gateway {
        foundation: foundation.clone(),
        gate: Gate::new(ports, limits),
        tools,
        carriers,
        federations,
        handle_keys,
        builtin: config.builtin_tools.as_deref().map(|tools| Arc::new(BuiltinTools::new(tools))),
        hosts,
        crowd: crowd(&config, previous),
        config,
    })
}

/// The calls under way. A bound that stays as it was goes on counting those that began before.
fn crowd(config: &Config, previous: Option<&Gateway>) -> Arc<AtOnce> {
    let calls_max = config.limits.calls_at_once;
    let same = previous.map(|previous| &previous.crowd).filter(|crowd| crowd.calls_max() == calls_max);
    same.map_or_else(|| AtOnce::new("limits.calls_at_once", calls_max), Arc::clone)
}

/// The keys of federated sessions: the first seals, and all of them open.
fn session_keys(config: &Config, own: &Keys) -> anyhow::Result<Keys> {
    let keys = config.federation.session_keys.iter().map(|key| match key {
        SessionKey::Own => Some(own.clone()),
        SessionKey::Given(text) => Keys::derive(Digest::of(&text.0).as_bytes()),
    });
    let keys: Option<Vec<Keys>> = keys.collect();
    let joined = keys.and_then(|keys| keys.into_iter().reduce(|newer, older| newer.then(&older)));
    joined.context("derive the keys of federated sessions")
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
    let upstream = upstream(name, server, config, &tasks, None).await?;
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
    upstream(name, server, config, &TaskTracker::new(), None).await.map(drop)
}

/// The way to a server as it is, where nothing about it changes but its policy.
fn kept(
    name: &ServerName,
    server: &Server,
    config: &Config,
    previous: &Gateway,
) -> Option<(Carrier, Arc<McpClient>)> {
    let before = previous.config.servers.get(name)?;
    let is_same = before.transport == server.transport
        && before.headers == server.headers
        && before.breaker == server.breaker
        && previous.config.inherited == config.inherited
        // The client's own bound on one exchange: a tool must not be cut off before its deadline.
        && longest_ms([server]) <= longest_ms([before]);
    let carrier = previous.carriers.get(name).filter(|_| is_same)?;
    Some((carrier.under(server), Arc::clone(previous.tools.client(name)?)))
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
    answers: Option<&Arc<Room>>,
) -> anyhow::Result<Arc<dyn Upstream>> {
    let headers =
        server.headers.iter().map(|own| OwnHeader::new(own.name.clone(), own.value.clone())).collect();
    match &server.transport {
        Transport::Http(url) => {
            let mut config = HttpConfig::new(name.clone(), url.clone(), endpoint_policy(url));
            config.strip = stripped_headers();
            config.headers = headers;
            Ok(Arc::new(HttpUpstream::new(config)?))
        }
        Transport::Sse(url) => {
            let config = SseConfig {
                name: name.clone(),
                url: url.clone(),
                headers,
                policy: endpoint_policy(url),
                limits: SseLimits {
                    message_bytes_max: message_bytes_max(&config.limits),
                    ..SseLimits::default()
                },
                room: answers.cloned(),
            };
            Ok(Arc::new(SseUpstream::new(config, clock::random_16, tasks.clone())?))
        }
        Transport::Rest { url, document } => Ok(Arc::new(RestUpstream::new(RestConfig {
            name: name.clone(),
            document: document::read(document).await.with_context(|| format!("servers.{name}.openapi"))?,
            url: url.clone(),
            headers,
            policy: endpoint_policy(url),
            limits: RestLimits {
                message_bytes_max: config.limits.body_bytes_max,
                answer_bytes_max: config.limits.answer_bytes_max,
                exchange_ms_max: longest_ms([server]),
                ..RestLimits::default()
            },
            room: answers.cloned(),
        })?)),
        Transport::Stdio { command, env, cwd, roots } => {
            // A program started with nothing of our environment but PATH and HOME.
            let pair = |(name, value): &(String, String)| (OsString::from(name), OsString::from(value));
            let message_bytes_max = message_bytes_max(&config.limits);
            let config = StdioConfig {
                name: name.clone(),
                argv: command.iter().map(OsString::from).collect(),
                env: config.inherited.iter().chain(env).map(pair).collect(),
                directory: cwd.clone(),
                roots: *roots,
                limits: StdioLimits { message_bytes_max, ..StdioLimits::default() },
                room: answers.cloned(),
            };
            Ok(Arc::new(StdioUpstream::new(config, clock::random_16, tasks.clone())?))
        }
    }
}

/// The longest deadline of a tool of these servers, and at least a minute.
pub(crate) fn longest_ms<'a>(servers: impl IntoIterator<Item = &'a Server>) -> u64 {
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

fn client_limits(server: &Server, config: &Config) -> ClientLimits {
    // Each tool has its own deadline; this bounds the longest of them.
    ClientLimits {
        answer_bytes_max: config.limits.answer_bytes_max,
        exchange_ms_max: longest_ms([server]),
        ..ClientLimits::default()
    }
}

/// The longest message either way, where it has one limit for both.
fn message_bytes_max(limits: &crate::config::Limits) -> usize {
    limits.body_bytes_max.max(limits.answer_bytes_max)
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
pub(crate) fn endpoint_policy(url: &http::Uri) -> Policy {
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
    Policy::public().allow_endpoint(url.host().unwrap_or_default(), port)
}
