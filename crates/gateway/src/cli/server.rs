//! `tollgate server`: the servers of a configuration file, and what they are like.
//!
//! Nothing here speaks to a running gateway: it picks the file up by itself.

mod add;
mod import;
mod list;
mod probe;
mod settings;
mod vault;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Out, USAGE};
use crate::config::Problems;
use settings::Settings;

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Add a server to the configuration file, and leave the rest of it as it is.
    Add(AddArgs),
    /// The servers of the configuration file.
    List(FileArgs),
    /// Take a server out of the configuration file.
    Remove {
        /// The server.
        name: String,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Connect to servers and say what they are: eras, who they are, what they offer, what their definitions hide. Exit 1 if
    /// one does not answer or hides something serious.
    Probe(ProbeArgs),
    /// Take over the servers of Claude Desktop, Claude Code, Cursor or VS Code.
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "tollgate.yaml")]
    pub(super) config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The server's name: a-z, 0-9 and "-".
    name: String,
    /// The URL of its streamable HTTP endpoint; with --openapi, the base URL of the API.
    #[arg(long, value_name = "URL", required_unless_present = "command", conflicts_with = "command")]
    url: Option<String>,
    /// The OpenAPI document of a REST API: a file or a URL.
    #[arg(long, value_name = "FILE|URL", requires = "url")]
    openapi: Option<String>,
    /// How the URL is spoken to: streamable-http (default) or sse.
    #[arg(long, value_name = "WORD", requires = "url", value_parser = ["streamable-http", "sse"])]
    transport: Option<String>,
    /// A header of the gateway's own for the server, such as its credential, "Authorization: Bearer ${TOKEN}". Repeatable.
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    header: Vec<String>,
    /// An environment variable for the program. Repeatable.
    #[arg(long, value_name = "NAME=VALUE", requires = "command")]
    env: Vec<String>,
    /// The folder that the program is started in; the gateway's own otherwise.
    #[arg(long, value_name = "FOLDER", requires = "command")]
    cwd: Option<String>,
    /// The price of one tool, such as search=0.01USDC or echo=free; once per tool and asset. `*` is every other tool.
    #[arg(long, value_name = "TOOL=PRICE")]
    price: Vec<String>,
    /// Replace the server of this name, if there is one.
    #[arg(long)]
    replace: bool,
    /// Print what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    file: FileArgs,
    /// The server's program and its arguments, after `--`.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// A server of the configuration file. Default: all of them.
    name: Option<String>,
    /// A server at this URL instead, which need not be in the file.
    #[arg(long, value_name = "URL", conflicts_with = "name")]
    url: Option<String>,
    /// With --url: a header, such as "Authorization: Bearer ${TOKEN}". Repeatable.
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    header: Vec<String>,
    /// How long one answer may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
    #[command(flatten)]
    file: FileArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The client's files: claude_desktop_config.json, .mcp.json, .cursor/mcp.json, .vscode/mcp.json.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take over what can be taken over, instead of nothing when one server cannot.
    #[arg(long)]
    skip_invalid: bool,
    /// Replace servers of the same names.
    #[arg(long)]
    replace: bool,
    /// Print what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    file: FileArgs,
}

pub(crate) async fn run(command: ServerCommand) -> anyhow::Result<ExitCode> {
    match command {
        ServerCommand::Add(args) => add::add(args).await,
        ServerCommand::List(args) => list::list(&args),
        ServerCommand::Remove { name, file } => remove(&name, &file),
        ServerCommand::Probe(args) => probe::probe(args).await,
        ServerCommand::Import(args) => import::import(&args).await,
    }
}

fn remove(name: &str, args: &FileArgs) -> anyhow::Result<ExitCode> {
    let environment = environment()?;
    let mut settings = Settings::open(&args.config)?;
    settings.remove(name)?;
    if let Err(problems) = settings.check(&environment) {
        return Ok(refused(&problems, args.json));
    }
    settings.write()?;
    if args.json {
        Out::line(&json!({ "removed": name, "file": settings.path().to_string() }).to_string());
    } else {
        Out::line(&format!("removed {name} from {}", settings.path()));
    }
    Ok(ExitCode::SUCCESS)
}

fn environment() -> anyhow::Result<crate::config::Environment> {
    crate::config::Environment::read(std::path::Path::new(".")).map_err(anyhow::Error::msg)
}

/// A file with which the gateway would not start: there is nothing to be said about its servers.
fn invalid(problems: &Problems, as_json: bool) -> ExitCode {
    if as_json {
        Out::line(&json!({ "problems": settings::problems_json(problems) }).to_string());
    }
    Out::problem(&problems.to_string());
    ExitCode::from(USAGE)
}

/// What the gateway would not start with is not written.
fn refused(problems: &Problems, as_json: bool) -> ExitCode {
    if as_json {
        let said: Value = json!({ "written": false, "problems": settings::problems_json(problems) });
        Out::line(&said.to_string());
    }
    Out::problem(&format!("nothing was written: {problems}"));
    ExitCode::from(USAGE)
}

/// What a configuration file means, to `tollgate serve` or to `tollgate dev`; one that is not there has the defaults.
pub(super) fn meaning(
    file: &std::path::Path,
    environment: &crate::config::Environment,
) -> anyhow::Result<crate::config::Config> {
    Ok(Settings::open(file)?.check(environment)?.config)
}
