//! `tollgate wrap -- CMD`: a gateway in front of one stdio server, without a configuration file.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use tollgate_gate::Mode;

use super::{Out, WrapArgs, log, program, run};
use crate::clients::{self, Endpoint};
use crate::config::{Config, Environment, Overrides, Settings, Transport, load_tree};

/// The server's name: in its path, its account and its receipts.
const NAME: &str = "wrapped";
/// Where its settings come from, when one of them is wrong.
const ORIGIN: &str = "the command line";

pub(crate) async fn wrap(args: WrapArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    log::set_up(&environment);
    let tree = settings(&args)?;
    let running = if args.live {
        let flags = Overrides {
            listen: args.listen.map(|listen| listen.to_string()),
            data: Some(args.data.display().to_string()),
        };
        let config = load_tree(tree, ORIGIN.to_owned(), &environment, &flags, None)?;
        let listener = run::bind(config.listen).await?;
        run::start(fixed(with_command(config, &args, &environment)?), Mode::Live, listener).await?
    } else {
        run::sandbox(&environment, args.listen, &args.data, |flags, rails| {
            let config = load_tree(tree, ORIGIN.to_owned(), &environment, flags, Some(rails))?;
            with_command(config, &args, &environment).map(fixed)
        })
        .await?
    };
    welcome(&running.gateway().config, args.live);
    running.until_stopped().await
}

/// A command line is not read again.
fn fixed(config: Config) -> run::Start {
    run::Start { source: None, settings: Settings::fixed(config) }
}

/// The configuration that the command line amounts to, but for the program itself.
fn settings(args: &WrapArgs) -> anyhow::Result<Value> {
    let mut tools: Map<String, Value> = Map::new();
    for text in &args.tool {
        let (name, price) = text
            .rsplit_once('=')
            .with_context(|| format!("--tool {text}: expected NAME=PRICE, such as search=0.01USDC"))?;
        let tool = tools.entry(name.to_owned()).or_insert_with(|| json!({ "price": [] }));
        match tool.pointer_mut("/price").and_then(Value::as_array_mut) {
            Some(prices) if price != "free" => prices.push(json!(price)),
            Some(_) | None => {}
        }
    }
    // A stand-in for the program, whose own words must not be read as settings (`${…}`).
    let server = json!({ "command": [NAME], "tools": tools, "every_tool": { "price": args.price } });
    Ok(json!({ "servers": { NAME: server } }))
}

/// The program as it was given, byte for byte: a shell has expanded it already.
fn with_command(mut config: Config, args: &WrapArgs, environment: &Environment) -> anyhow::Result<Config> {
    let mut variables = Vec::new();
    for text in &args.env {
        match (text.split_once('='), environment.get(text)) {
            (Some((name, value)), _) => variables.push((name.to_owned(), value.to_owned())),
            (None, Some(value)) => variables.push((text.clone(), value.to_owned())),
            (None, None) => bail!("--env {text}: this environment variable is not set"),
        }
    }
    let folders = program::path_of(config.inherited.iter().chain(&variables));
    if let Some(problem) = args.command.first().and_then(|name| program::problem(name, folders, None)) {
        bail!(problem);
    }
    for server in config.servers.values_mut() {
        if let Transport::Stdio { command, env, .. } = &mut server.transport {
            command.clone_from(&args.command);
            env.append(&mut variables);
        }
    }
    Ok(config)
}

fn welcome(config: &Config, is_live: bool) {
    let url = &config.public_url;
    let mcp = format!("{url}/mcp");
    let endpoint = Endpoint {
        label: "tollgate",
        url: &mcp,
        with_key: false,
        binary: Path::new("tollgate"),
        data: &config.data,
    };
    let money = if is_live { "LIVE: real money" } else { "SANDBOX: no real money, loopback only" };
    Out::line(&format!(
        "\
Tollgate wrap  {url}   {money}
  MCP          {url}/mcp
  tools        {url}/api/v1/tools
  data         {data}

{clients}",
        data = config.data.display(),
        clients = clients::lines(&endpoint),
    ));
}
