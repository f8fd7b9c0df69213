//! `tollgate validate`, `schema` and `doctor`: what a set-up means and what is wrong with it.

mod database;
mod money;
mod running;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tollgate_egress::{Client, Limits, Policy, shown_url};
use tollgate_rails::evm::Address;

use super::out::one_line;
use super::receipt::own_key;
use super::run::overrides;
use super::{FINDING, Out, ServeArgs, program};
use crate::config::{Config, Environment, Overrides, Settling, Transport, load, schema as config_schema};
use crate::data::DataDirectory;
use crate::{assemble, described, dev};

pub(crate) fn schema(openapi: bool) -> anyhow::Result<ExitCode> {
    let schema = if openapi { described::openapi() } else { config_schema() };
    Out::line(&serde_json::to_string_pretty(&schema)?);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn validate(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    match load(args.config.as_deref(), &environment, &overrides(args), None) {
        Ok(config) => {
            Out::line(&meaning(&config));
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            Out::problem(&problems.to_string());
            Ok(ExitCode::from(FINDING))
        }
    }
}

fn meaning(config: &Config) -> String {
    let mut lines = vec![
        format!("listen      {}", config.listen),
        format!("data        {}", config.data.display()),
        format!("public url  {}", config.public_url),
    ];
    if let Some(x402) = &config.x402 {
        let at = match &x402.settling {
            Settling::Sandbox => "its own books (SANDBOX)".to_owned(),
            Settling::Chain { rpc_url, .. } => rpc_url.host().unwrap_or_default().to_owned(),
        };
        lines.push(format!("x402        {:?} to {}, settled at {at}", x402.asset, x402.pay_to));
    }
    if let Some(lightning) = &config.lightning {
        lines
            .push(format!("lightning   {:?}, credentials live {} s", lightning.asset, lightning.ttl_seconds));
    }
    for (name, server) in &config.servers {
        let at = match &server.transport {
            Transport::Http(url) | Transport::Sse(url) => shown_url(&url.to_string()),
            Transport::Rest { url, document } => format!("{} as in {document}", shown_url(&url.to_string())),
            Transport::Stdio { command, .. } => command.first().cloned().unwrap_or_default(),
        };
        let policy = if server.has_policy() { "" } else { " (no policy: streamed unparsed)" };
        lines.push(format!("server      {name} at {at}{policy}"));
        let every = server.every_tool.iter().map(|policy| ("every other tool".to_owned(), policy));
        for (tool, policy) in
            server.tools.iter().map(|(name, policy)| (name.to_string(), policy)).chain(every)
        {
            lines.push(format!("  {tool:<24} {}", policy.price));
        }
    }
    lines.extend(federated(config));
    lines.extend(budgets(config));
    lines.extend(config.notices.iter().map(|notice| format!("note: {notice}")));
    lines.join("\n")
}

/// What every caller may spend, and the nodes of the tree.
fn budgets(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    for (asset, bounds) in &config.budgets.per_caller.0 {
        let Some(asset) = config.assets.by_id(asset) else { continue };
        let mut parts: Vec<String> = bounds
            .limit
            .iter()
            .map(|(span, limit)| format!("{} per {span}", asset.display(*limit)))
            .collect();
        parts.extend(bounds.per_call.map(|limit| format!("{} per call", asset.display(limit))));
        parts.extend(bounds.approve_above.map(|above| format!("approval above {}", asset.display(above))));
        lines.push(format!("each caller {}", parts.join(", ")));
    }
    lines.extend(
        config.budgets.paths().map(|branch| format!("budget      {} ({})", branch.path, branch.kind)),
    );
    lines
}

/// How several servers appear as one.
fn federated(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    if config.servers.len() > 1 {
        let separator = config.federation.separator.as_str();
        let plain = config.federation.plain.as_ref();
        let plain = plain.map(|name| format!("; the names of {name} stay as they are")).unwrap_or_default();
        lines.push(format!("/mcp        all servers as one: server{separator}tool{plain}"));
    }
    for name in config.virtual_servers.keys() {
        lines.push(format!("virtual     {name} at /servers/{name}/mcp"));
    }
    lines
}

/// One thing that was looked at.
struct Check {
    what: String,
    found: Found,
}

/// What was found.
#[derive(PartialEq, Eq, Debug)]
enum Found {
    /// It is in order.
    Well,
    /// It is not wrong, and worth knowing.
    Note(String),
    /// It is wrong: what, and what to do about it.
    Problem(String),
}

impl Check {
    fn new(what: impl Into<String>, problem: Option<String>) -> Self {
        Self { what: what.into(), found: problem.map_or(Found::Well, Found::Problem) }
    }

    fn is_problem(&self) -> bool {
        matches!(self.found, Found::Problem(_))
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = &self.what;
        match &self.found {
            Found::Well => write!(f, "✓ {what}"),
            Found::Note(note) => write!(f, "· {what}: {}", one_line(note)),
            Found::Problem(problem) => write!(f, "✗ {what}: {}", one_line(problem)),
        }
    }
}

pub(crate) async fn doctor(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    let (config, found) = match load(args.config.as_deref(), &environment, &overrides(args), None) {
        Ok(config) => (config, Found::Well),
        Err(problems) => match for_dev(args, &environment) {
            Some(config) => {
                let note = "as `tollgate dev` takes it, with SANDBOX money; what `tollgate serve` still needs is told by \
                            `tollgate validate`";
                (config, Found::Note(note.to_owned()))
            }
            None => {
                Out::line("✗ configuration");
                Out::problem(&problems.to_string());
                return Ok(ExitCode::from(FINDING));
            }
        },
    };
    let mut checks = vec![Check { what: "configuration".to_owned(), found }];
    if config.servers.is_empty() && config.gate_servers.is_empty() {
        let note = "none is configured; name the configuration with --config, or make one with `tollgate server add`";
        checks.push(Check { what: "servers".to_owned(), found: Found::Note(note.to_owned()) });
    }
    let port = port(&config).await;
    // Nobody else is told the token for the metrics.
    let is_ours = matches!(port.found, Found::Note(_));
    checks.push(port);
    if is_ours {
        checks.extend(resting(&config).await);
    }
    checks.extend(data(&config));
    checks.extend(database::checks(&config).await);
    checks.push(files());
    for (name, server) in &config.servers {
        if matches!(server.transport, Transport::Rest { .. }) {
            let problem = assemble::check_way(name, server, &config).await.err();
            let what = format!("OpenAPI document of server {name}");
            checks.push(Check::new(what, problem.map(|error| format!("{error:#}"))));
        }
        match &server.transport {
            Transport::Http(url) | Transport::Sse(url) | Transport::Rest { url, .. } => {
                checks.push(reach(&format!("server {name}"), url).await);
            }
            Transport::Stdio { command, env, cwd, .. } => {
                let folders = program::path_of(config.inherited.iter().chain(env));
                let problem =
                    command.first().and_then(|name| program::problem(name, folders, cwd.as_deref()));
                let problem = problem.map(|problem| format!("{problem}; install it, or name its path"));
                checks.push(Check::new(format!("program of server {name}"), problem));
            }
        }
    }
    checks.extend(money::checks(&config).await);
    for check in &checks {
        Out::line(&check.to_string());
    }
    let found = checks.iter().any(Check::is_problem);
    Ok(if found { ExitCode::from(FINDING) } else { ExitCode::SUCCESS })
}

/// What a file means to `tollgate dev`, which has an address and rails of its own; `None` where that does not take it either.
fn for_dev(args: &ServeArgs, environment: &Environment) -> Option<Config> {
    let listen = args.listen.clone().or_else(|| environment.listen().map(|(listen, _)| listen));
    let listen: std::net::SocketAddr = listen.as_deref().unwrap_or("127.0.0.1:3100").parse().ok()?;
    let data = args.data.clone().unwrap_or_else(|| "tollgate-data".to_owned());
    let flags = Overrides { listen: Some(listen.to_string()), data: Some(data) };
    let rails = dev::rails(listen, Address::from_bytes([0; 20])).ok()?;
    load(args.config.as_deref(), environment, &flags, Some(rails)).ok()
}

async fn port(config: &Config) -> Check {
    let what = format!("listen on {}", config.listen);
    let Err(error) = tokio::net::TcpListener::bind(config.listen).await else {
        return Check::new(what, None);
    };
    let runs = running::receipt_keys(config).await;
    let found = match (own_key(&config.data), runs) {
        // The first is the one that it signs with. Gateways that share a database publish each other's.
        (Ok(own), Some(keys)) if keys.first().is_some_and(|key| key.key_id() == own.key_id()) => {
            Found::Note("the gateway of this data directory runs there".to_owned())
        }
        (_, Some(_)) => Found::Problem(format!(
            "{error}; another gateway runs there: choose another address with --listen"
        )),
        (_, None) => Found::Problem(format!("{error}; choose another address with --listen")),
    };
    Check { what, found }
}

/// How the gateway that runs at this address sees its servers; nothing if none runs there.
async fn resting(config: &Config) -> Vec<Check> {
    let servers = running::servers(config).await.unwrap_or_default();
    servers.iter().filter_map(|(name, server)| seen(name, server)).collect()
}

/// How a running gateway sees one server; nothing if it has not asked it for anything yet.
fn seen(name: &str, server: &serde_json::Value) -> Option<Check> {
    let word = |member: &str| server.get(member).and_then(serde_json::Value::as_str);
    let state = word("state").filter(|state| *state != "unknown")?;
    let failures = server.get("failures_in_a_row").and_then(serde_json::Value::as_u64).unwrap_or_default();
    let last = word("last_failure").unwrap_or("unknown");
    let problem = (state == "resting").then(|| {
        format!("{failures} failures in a row, the last one: {last}; its calls are refused until a trial is answered")
    });
    Some(Check::new(format!("server {name}, as the running gateway sees it"), problem))
}

fn data(config: &Config) -> Vec<Check> {
    let what = format!("data directory {}", config.data.display());
    let is_new = !config.data.exists();
    let data = match DataDirectory::open(&config.data) {
        Ok(data) => data,
        Err(error) => return vec![Check::new(what, Some(error.to_string()))],
    };
    let found = match ["receipts.key", "gate.key"].into_iter().find_map(|name| data.key(name).err()) {
        Some(error) => Found::Problem(error.to_string()),
        None if is_new => Found::Note(
            "it was not there, and is made now; if there was to be one, name it with --data".to_owned(),
        ),
        None => Found::Well,
    };
    let probe = data.path("doctor.probe");
    let synced = std::fs::File::create(&probe).and_then(|mut file| {
        file.write_all(b"probe")?;
        file.sync_all()
    });
    drop(std::fs::remove_file(&probe));
    vec![
        Check { what, found },
        Check::new(
            "the disk keeps what it is given (write and sync)",
            synced.err().map(|error| format!("{error}; free space or move the data directory")),
        ),
    ]
}

fn files() -> Check {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    let problem = match limit {
        Ok((soft, _)) if soft < 1_024 => {
            Some(format!("only {soft} open files are allowed; raise it (ulimit -n 8192)"))
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    Check::new("open files", problem)
}

/// Whether anything answers there: any HTTP answer will do.
async fn reach(what: &str, url: &http::Uri) -> Check {
    let request = http::Request::get(url.clone()).header("accept", "application/json, text/event-stream");
    let problem = match request.body(bytes::Bytes::new()) {
        Err(error) => Some(error.to_string()),
        Ok(request) => match tokio::time::timeout(Duration::from_secs(6), client(url).send(request)).await {
            Ok(Ok(_)) => None,
            // A stream that stays open is an answer too.
            Ok(Err(tollgate_egress::EgressError::Timeout(_))) | Err(_) => None,
            Ok(Err(error)) => Some(format!("{error}; is it running?")),
        },
    };
    Check::new(format!("{what} at {}", place(url)), problem)
}

/// Host and port: the rest of a URL may hold a secret.
fn place(url: &http::Uri) -> String {
    format!("{}:{}", url.host().unwrap_or_default(), port_of(url))
}

fn port_of(url: &http::Uri) -> u16 {
    url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 })
}

/// The operator wrote the URL into the configuration: it may be reached wherever it is.
fn client(url: &http::Uri) -> Client {
    let limits = Limits { timeout_ms_max: 5_000, response_bytes_max: 1024 * 1024 };
    let policy = Policy::public().allow_endpoint(url.host().unwrap_or_default(), port_of(url));
    Client::new(policy, limits)
}
