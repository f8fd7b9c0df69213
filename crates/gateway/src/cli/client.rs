//! `tollgate client`: the block to paste into an MCP client.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use tollgate_domain::ServerName;

use super::{Out, server};
use crate::clients::{ClientKind, Endpoint};
use crate::config::{Config, Environment};

/// The name of the only server of `tollgate dev` without a configuration.
const DEMO: &str = "demo";

#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// Which client.
    #[arg(value_enum)]
    client: Client,
    /// One server instead of all of them: its own names, at its own endpoint.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Send an API key. Default: where a tool in the configuration asks for one.
    #[arg(long)]
    key: bool,
    /// The gateway's own URL. Default: as the configuration says.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The configuration file. Default: tollgate.yaml, if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder with the payer's key and the budget of `tollgate connect`. Default: as the configuration says.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON: the block, where it belongs, the command.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Client {
    ClaudeCode,
    ClaudeDesktop,
    Cursor,
    Vscode,
}

impl Client {
    const fn kind(self) -> ClientKind {
        match self {
            Self::ClaudeCode => ClientKind::ClaudeCode,
            Self::ClaudeDesktop => ClientKind::ClaudeDesktop,
            Self::Cursor => ClientKind::Cursor,
            Self::Vscode => ClientKind::VsCode,
        }
    }
}

pub(crate) fn client(args: &ClientArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    let is_written = args.config.is_some() || Path::new("tollgate.yaml").exists();
    let file = args.config.clone().unwrap_or_else(|| PathBuf::from("tollgate.yaml"));
    if is_written && !file.exists() {
        bail!(
            "there is no {}; name another with --config, or make one with tollgate server add",
            file.display()
        );
    }
    let config = server::meaning(&file, &environment)?;
    let path = path(&config, args.server.as_deref(), is_written)?;
    let base = args.url.as_deref().unwrap_or(&config.public_url).trim_end_matches('/');
    super::paying::endpoint(base)?;
    let kind = args.client.kind();
    let binary = std::env::current_exe().context("find this very binary")?;
    let url = format!("{base}{path}");
    let endpoint = Endpoint {
        label: args.server.as_deref().unwrap_or("tollgate"),
        url: &url,
        with_key: args.key || asks_for_key(&config, args.server.as_deref()),
        binary: &binary,
        data: args.data.as_deref().unwrap_or(&config.data),
    };
    let (block, command) = (kind.block(&endpoint), kind.command(&endpoint));
    if args.json {
        let said = json!({
            "client": kind.word(), "url": url, "file": kind.file(), "command": command, "with_key": endpoint.with_key, "block": block,
        });
        Out::line(&said.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    Out::line(&serde_json::to_string_pretty(&block)?);
    Out::note(&format!("paste it into {}", kind.file()));
    if let Some(command) = command {
        Out::note(&format!("or run: {command}"));
    }
    if endpoint.with_key {
        Out::note(&format!("{} (make one: tollgate keys create --name NAME)", kind.about_key()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The path of the endpoint.
fn path(config: &Config, server: Option<&str>, is_written: bool) -> anyhow::Result<String> {
    let Some(name) = server else { return Ok("/mcp".to_owned()) };
    let parsed: ServerName = name.parse()?;
    let is_known = config.servers.contains_key(&parsed)
        || config.virtual_servers.contains_key(&parsed)
        || (config.builtin_tools.is_some() && name == crate::builtin::SERVER)
        || (!is_written && name == DEMO);
    if !is_known {
        bail!("there is no server {name}; see tollgate server list");
    }
    Ok(format!("/servers/{name}/mcp"))
}

/// Whether a tool behind the endpoint asks for an API key.
fn asks_for_key(config: &Config, server: Option<&str>) -> bool {
    let chosen = |name: &ServerName| match server {
        Some(server) if config.servers.keys().any(|known| known.as_str() == server) => {
            name.as_str() == server
        }
        Some(_) | None => true,
    };
    config.servers.iter().filter(|(name, _)| chosen(name)).any(|(_, server)| {
        server.tools.values().chain(&server.every_tool).any(|policy| policy.requirement.api_key)
    })
}
