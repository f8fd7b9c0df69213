//! `tollgate server probe`: what servers say of themselves when they are asked, and what their definitions hide.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tollgate_domain::ServerName;
use tollgate_exec::probe::{Introduced, Offered, ProbeLimits, Probed, Spoken};
use tollgate_federation::Names;
use tollgate_registry::{Definition, Report, scan};

use super::add::own_headers;
use super::list::way;
use super::settings::Settings;
use super::{ProbeArgs, environment, invalid};
use crate::assemble;
use crate::cli::out::one_line;
use crate::cli::{FINDING, Out};
use crate::config::{Config, Environment, Overrides, Server, load_tree};
use crate::reserved::is_reserved;

/// The name of a server that is in no file.
const UNNAMED: &str = "probed";
/// Longer names of tools are refused by the APIs of some models, and with one such tool all of a request.
const NAME_CHARS_USUAL: usize = 64;

/// One server that was looked at.
struct Seen {
    name: ServerName,
    kind: &'static str,
    place: String,
    outcome: Result<Probed, String>,
    tools: Vec<Tool>,
    /// Tools that have a policy and are not listed.
    unlisted: Vec<String>,
    /// Names at the door of all servers that have more than [`NAME_CHARS_USUAL`] characters.
    long: Vec<String>,
}

/// One tool and what a scan finds in its definition.
struct Tool {
    name: String,
    report: Result<Report, String>,
}

pub(super) async fn probe(args: ProbeArgs) -> anyhow::Result<ExitCode> {
    let environment = environment()?;
    let limits = ProbeLimits { answer_ms_max: args.timeout.saturating_mul(1_000), ..ProbeLimits::default() };
    let seen = match &args.url {
        Some(url) => vec![at_url(url, &args.header, &environment, limits).await?],
        None => {
            let settings = Settings::open(&args.file.config)?;
            if !settings.exists() {
                bail!("there is no {}; name a server with --url", settings.path());
            }
            match settings.check(&environment) {
                Ok(checked) => of_file(&checked.config, args.name.as_deref(), limits).await?,
                Err(problems) => return Ok(invalid(&problems, args.file.json)),
            }
        }
    };
    for seen in &seen {
        if args.file.json { Out::line(&seen.json().to_string()) } else { seen.tell() }
    }
    let is_finding = seen.iter().any(Seen::is_finding);
    Ok(if is_finding { ExitCode::from(FINDING) } else { ExitCode::SUCCESS })
}

async fn of_file(config: &Config, name: Option<&str>, limits: ProbeLimits) -> anyhow::Result<Vec<Seen>> {
    let chosen: Vec<(&ServerName, &Server)> = match name {
        None => config.servers.iter().collect(),
        Some(name) => {
            let found = config.servers.iter().find(|(known, _)| known.as_str() == name);
            vec![found.with_context(|| format!("there is no server {name}; see tollgate server list"))?]
        }
    };
    let federation = &config.federation;
    let names =
        Names::new(federation.separator.clone(), config.servers.keys().cloned(), federation.plain.clone());
    let mut all = Vec::new();
    for (name, server) in chosen {
        let outcome = assemble::probe(name, server, config, limits).await;
        // Names that other servers are known to offer: a definition that speaks of them is worth a look.
        let others = config.servers.iter().filter(|(other, _)| *other != name);
        let mut others: BTreeSet<String> =
            others.flat_map(|(_, server)| server.tools.keys().map(ToString::to_string)).collect();
        others.extend(all.iter().flat_map(|seen: &Seen| seen.tools.iter().map(|tool| tool.name.clone())));
        let mut seen = Seen::of(name, server, outcome.map_err(|error| format!("{error:#}")), &others);
        if config.servers.len() > 1 {
            let public = seen.tools.iter().map(|tool| names.public(name, &tool.name));
            seen.long = public.filter(|name| name.len() > NAME_CHARS_USUAL).map(Cow::into_owned).collect();
        }
        all.push(seen);
    }
    Ok(all)
}

/// A server that is in no file: streamable HTTP, else the first HTTP transport.
async fn at_url(
    url: &str,
    headers: &[String],
    environment: &Environment,
    limits: ProbeLimits,
) -> anyhow::Result<Seen> {
    // Only the variables that they refer to: no setting of this gateway's own matters here.
    let headers: Result<Vec<String>, String> =
        headers.iter().map(|header| environment.fill(header)).collect();
    let headers = headers
        .map_err(|name| anyhow::anyhow!("--header names ${{{name}}}, which is not set in the environment"))?;
    let bare = Environment::of(
        ["PATH", "HOME"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), environment.get(name)?.to_owned()))),
    );
    let mut first = None;
    for transport in ["streamable-http", "sse"] {
        let mut server = json!({ "url": url, "transport": transport });
        if let Some(members) = server.as_object_mut() {
            members.extend(own_headers(&headers)?);
        }
        let tree = json!({ "servers": { UNNAMED: server } });
        let config = load_tree(tree, "the command line".to_owned(), &bare, &Overrides::default(), None)?;
        for (name, server) in &config.servers {
            let outcome = assemble::probe(name, server, &config, limits).await;
            let seen =
                Seen::of(name, server, outcome.map_err(|error| format!("{error:#}")), &BTreeSet::new());
            if seen.speaks() {
                return Ok(seen);
            }
            first.get_or_insert(seen);
        }
    }
    first.context("the server was not looked at")
}

impl Seen {
    fn of(
        name: &ServerName,
        server: &Server,
        outcome: Result<Probed, String>,
        others: &BTreeSet<String>,
    ) -> Self {
        let listed =
            outcome.as_ref().ok().and_then(|probed| probed.offered.as_ref()?.tools.as_ref()?.as_ref().ok());
        let tools: Vec<Tool> = listed
            .into_iter()
            .flatten()
            .map(|tool| Tool {
                name: tool.name.clone(),
                report: Definition::read(&tool.raw, is_reserved)
                    .map(|definition| scan(&definition, others))
                    .map_err(|error| error.to_string()),
            })
            .collect();
        let is_listed = |name: &str| tools.iter().any(|tool| tool.name == name);
        let unlisted = match listed {
            Some(_) => server.tools.keys().map(ToString::to_string).filter(|name| !is_listed(name)).collect(),
            None => Vec::new(),
        };
        let (kind, place) = way(server);
        Self { name: name.clone(), kind, place, outcome, tools, unlisted, long: Vec::new() }
    }

    fn speaks(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|probed| probed.offered.is_some())
    }

    /// Whether somebody should look.
    fn is_finding(&self) -> bool {
        let is_odd = |tool: &Tool| tool.report.as_ref().map_or(true, Report::is_serious);
        let unreadable = match &self.outcome {
            Ok(Probed { offered: Some(Offered { tools: Some(Err(_)), .. }), .. }) => true,
            Ok(_) | Err(_) => false,
        };
        !self.speaks() || unreadable || !self.unlisted.is_empty() || self.tools.iter().any(is_odd)
    }

    fn tell(&self) {
        Out::line(&format!("{} by {} at {}", self.name, self.kind, self.place));
        let probed = match &self.outcome {
            Ok(probed) => probed,
            Err(reason) => return Out::line(&format!("  ✗ {}", visible(reason))),
        };
        for (era, spoken) in [("up to 2025-11-25", &probed.legacy), ("from 2026-07-28", &probed.modern)] {
            Out::line(&match spoken {
                Spoken::Yes(introduced) => format!("  ✓ {era:<17} {}", presented(introduced)),
                Spoken::No(reason) => format!("  ✗ {era:<17} {}", visible(reason)),
            });
        }
        let Some(offered) = &probed.offered else { return };
        let tools = match &offered.tools {
            None => "none".to_owned(),
            Some(Ok(tools)) => tools.len().to_string(),
            Some(Err(reason)) => format!("unreadable: {}", visible(reason)),
        };
        Out::line(&format!(
            "  tools {tools}, resources {}, templates {}, prompts {}",
            counted(offered.resources.as_ref()),
            counted(offered.templates.as_ref()),
            counted(offered.prompts.as_ref())
        ));
        for tool in &self.tools {
            let (name, found) = (visible(&tool.name), &tool.report);
            match found {
                Ok(report) if report.findings.is_empty() => Out::line(&format!("    {name}")),
                Ok(report) => {
                    Out::line(&format!("    {name}   {}", report.explained()));
                    report
                        .findings
                        .iter()
                        .for_each(|finding| Out::line(&format!("      {}", one_line(&finding.to_string()))));
                }
                Err(reason) => Out::line(&format!("    {name}   cannot be pinned: {}", visible(reason))),
            }
        }
        for name in &self.unlisted {
            Out::line(&format!(
                "  ✗ {} has a price or a requirement, and the server does not list it",
                visible(name)
            ));
        }
        for name in &self.long {
            Out::line(&format!(
                "  ! {} is its name at /mcp, with {} characters; some model APIs take {NAME_CHARS_USUAL}",
                visible(name),
                name.len()
            ));
        }
    }

    fn json(&self) -> Value {
        let probed = self.outcome.as_ref().ok();
        let offered = probed.and_then(|probed| probed.offered.as_ref());
        let count = |of: fn(&Offered) -> &Option<Result<usize, String>>| {
            offered.and_then(|offered| of(offered).as_ref()?.as_ref().ok().copied())
        };
        json!({
            "server": self.name, "kind": self.kind, "at": self.place, "speaks": self.speaks(),
            "problem": self.outcome.as_ref().err(),
            "legacy": probed.map(|probed| spoken_json(&probed.legacy)),
            "modern": probed.map(|probed| spoken_json(&probed.modern)),
            "tools": self.tools.iter().map(tool_json).collect::<Vec<_>>(),
            "resources": count(|offered| &offered.resources),
            "resource_templates": count(|offered| &offered.templates),
            "prompts": count(|offered| &offered.prompts),
            "unlisted": self.unlisted,
            "long_names": self.long,
            "finding": self.is_finding(),
        })
    }
}

/// A server's own words with everything unseen written out, on one line.
fn visible(text: &str) -> String {
    one_line(&tollgate_registry::visible(text))
}

fn presented(introduced: &Introduced) -> String {
    let info =
        introduced.info.as_ref().map(|(name, version)| format!("{} {}", visible(name), visible(version)));
    format!(
        "{}   ({}; {})",
        info.unwrap_or_else(|| "does not say who it is".to_owned()),
        visible(&introduced.versions.join(", ")),
        visible(&introduced.capabilities.join(", "))
    )
}

fn counted(list: Option<&Result<usize, String>>) -> String {
    match list {
        None => "none".to_owned(),
        Some(Ok(count)) => count.to_string(),
        Some(Err(reason)) => format!("unreadable ({})", visible(reason)),
    }
}

fn spoken_json(spoken: &Spoken) -> Value {
    match spoken {
        Spoken::No(reason) => json!({ "spoken": false, "reason": reason }),
        Spoken::Yes(Introduced { info, versions, capabilities, .. }) => json!({
            "spoken": true, "versions": versions, "capabilities": capabilities,
            "info": info.as_ref().map(|(name, version)| json!({ "name": name, "version": version })),
        }),
    }
}

fn tool_json(tool: &Tool) -> Value {
    match &tool.report {
        Err(reason) => json!({ "name": tool.name, "problem": reason }),
        Ok(report) => {
            let finding = |finding: &tollgate_registry::Finding| {
                json!({
                    "rule": finding.rule.word(), "severity": finding.severity.word(), "at": finding.pointer,
                    "excerpt": finding.excerpt,
                })
            };
            let findings: Vec<Value> = report.findings.iter().map(finding).collect();
            json!({ "name": tool.name, "score": report.score(), "serious": report.is_serious(), "findings": findings })
        }
    }
}
