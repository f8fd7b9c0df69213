//! `tollgate server list`: what the configuration file offers, without a word to any server.

use std::process::ExitCode;

use serde_json::{Value, json};
use tollgate_egress::shown_url;
use tollgate_gate::pricing;

use super::settings::Settings;
use super::{FileArgs, environment, invalid};
use crate::cli::Out;
use crate::config::{Config, Server, ToolPolicy, Transport};

pub(super) fn list(args: &FileArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::open(&args.config)?;
    if !settings.exists() {
        anyhow::bail!("there is no {}; tollgate server add makes it", settings.path());
    }
    let checked = match settings.check(&environment()?) {
        Ok(checked) => checked,
        Err(problems) => return Ok(invalid(&problems, args.json)),
    };
    let config = &checked.config;
    if config.servers.is_empty() && config.gate_servers.is_empty() && !args.json {
        Out::note(&format!("{} names no server", settings.path()));
    }
    for (name, server) in &config.servers {
        let (kind, place) = way(server);
        let policies = || server.tools.iter().map(|(tool, policy)| (tool.as_str(), policy));
        let every = server.every_tool.as_ref();
        Out::line(&if args.json {
            let tools: serde_json::Map<String, Value> =
                policies().map(|(tool, policy)| (tool.to_owned(), policy_json(policy))).collect();
            json!({
                "server": name, "kind": kind, "at": place, "policy": server.has_policy(), "tools": tools,
                "every_tool": every.map(policy_json), "mcp_url": mcp_url(config, name.as_str()),
            })
            .to_string()
        } else {
            let prices: Vec<String> = policies()
                .chain(every.map(|policy| ("*", policy)))
                .map(|(tool, policy)| format!("{tool} {}", price(policy)))
                .collect();
            let prices = if prices.is_empty() { "no policy".to_owned() } else { prices.join(", ") };
            format!("{name:<20} {kind:<16} {place}   {prices}")
        });
    }
    for (name, tools) in &config.gate_servers {
        Out::line(&if args.json {
            let tools: serde_json::Map<String, Value> =
                tools.iter().map(|(tool, policy)| (tool.to_string(), policy_json(policy))).collect();
            json!({ "server": name, "kind": "gate", "at": null, "policy": true, "tools": tools }).to_string()
        } else {
            format!("{name:<20} {:<16} its tools run elsewhere", "gate")
        });
    }
    checked.note();
    Ok(ExitCode::SUCCESS)
}

fn mcp_url(config: &Config, name: &str) -> String {
    format!("{}/servers/{name}/mcp", config.public_url)
}

/// How a server is reached, without what may be a secret: a query, arguments, an environment.
pub(super) fn way(server: &Server) -> (&'static str, String) {
    let bare = |url: &http::Uri| shown_url(&url.to_string());
    match &server.transport {
        Transport::Http(url) => ("streamable-http", bare(url)),
        Transport::Sse(url) => ("sse", bare(url)),
        Transport::Rest { url, .. } => ("openapi", bare(url)),
        Transport::Stdio { command, .. } => ("stdio", command.first().cloned().unwrap_or_default()),
    }
}

fn price(policy: &ToolPolicy) -> String {
    policy.price.to_string()
}

fn policy_json(policy: &ToolPolicy) -> Value {
    json!({
        "price": match policy.price.per_call() {
            Some(price) => json!(price.options().iter().map(ToString::to_string).collect::<Vec<_>>()),
            None => pricing(&policy.price),
        },
        "api_key": policy.requirement.api_key,
        "min_reputation": policy.requirement.min_reputation,
    })
}
