//! `tollgate server add`: one server, from the words of the command line.

use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use tollgate_domain::ServerName;

use super::settings::Settings;
use super::vault::Vault;
use super::{AddArgs, environment, refused};
use crate::assemble;
use crate::cli::Out;
use crate::config::edit::{self, Existing};

pub(super) async fn add(args: AddArgs) -> anyhow::Result<ExitCode> {
    let name: ServerName = args.name.parse()?;
    let mut vault = Vault::open(environment()?)?;
    let mut server = described(&args)?;
    let concealed = vault.conceal(name.as_str(), &mut server)?;
    let mut settings = Settings::open(&args.file.config)?;
    let existing = if args.replace { Existing::Replaced } else { Existing::Kept };
    settings.put(name.as_str(), &server, existing)?;
    let checked = match settings.check(&vault.environment()) {
        Ok(checked) => checked,
        Err(problems) => return Ok(refused(&problems, args.file.json)),
    };
    if let Some(added) = checked.config.servers.get(&name) {
        assemble::check_way(&name, added, &checked.config).await.context("nothing was written")?;
    }
    if args.dry_run {
        Out::line(edit::put("", name.as_str(), &server, Existing::Kept)?.trim_end());
    } else {
        // First what the settings refer to: a gateway that reads them at once must find it.
        vault.write()?;
        settings.write()?;
    }
    concealed.iter().for_each(|note| Out::note(note));
    checked.note();
    if args.file.json {
        let said = json!({
            "server": name, "file": settings.path().to_string(), "written": !args.dry_run,
            "variables": vault.names(), "only_dev": checked.only_dev.is_some(),
        });
        Out::line(&said.to_string());
    } else if !args.dry_run {
        Out::line(&format!(
            "{name} is in {}; look at it with: tollgate server probe {name}",
            settings.path()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The server as it is written into the file.
fn described(args: &AddArgs) -> anyhow::Result<Value> {
    let mut server = Map::new();
    let text = [("openapi", &args.openapi), ("url", &args.url), ("transport", &args.transport)];
    for (key, value) in text {
        if let Some(value) = value {
            server.insert(key.to_owned(), json!(value));
        }
    }
    if !args.command.is_empty() {
        server.insert("command".to_owned(), json!(args.command));
    }
    if let Some(cwd) = &args.cwd {
        server.insert("cwd".to_owned(), json!(cwd));
    }
    server.extend(own_headers(&args.header)?);
    let mut env = Map::new();
    for text in &args.env {
        let (name, value) =
            text.split_once('=').with_context(|| format!("--env {text}: expected NAME=VALUE"))?;
        if env.insert(name.to_owned(), json!(value)).is_some() {
            bail!("--env {name} is given twice");
        }
    }
    if !env.is_empty() {
        server.insert("env".to_owned(), Value::Object(env));
    }
    let Prices { tools, every } = prices(&args.price)?;
    if !tools.is_empty() {
        server.insert("tools".to_owned(), Value::Object(tools));
    }
    if let Some(every) = every {
        server.insert("every_tool".to_owned(), json!({ "price": every }));
    }
    Ok(Value::Object(server))
}

/// Headers as a server's settings: see [`headers_of`].
pub(super) fn own_headers(headers: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut all: Vec<(String, String)> = Vec::new();
    for header in headers {
        // Not the text itself: what was meant for a value may be a secret.
        let (name, value) = header.split_once(':').context("--header is not \"Name: value\"")?;
        let name = name.trim().to_ascii_lowercase();
        if all.iter().any(|(known, _)| *known == name) {
            bail!("--header {name} is given twice");
        }
        all.push((name, value.trim().to_owned()));
    }
    Ok(headers_of(all))
}

/// Headers by their names in lower case as a server's settings: the only one is its credential, and of several `authorization`.
pub(super) fn headers_of(headers: Vec<(String, String)>) -> Map<String, Value> {
    let is_alone = headers.len() == 1;
    let (mut server, mut others) = (Map::new(), Map::new());
    for (name, value) in headers {
        match name.as_str() {
            "authorization" => drop(server.insert("credential".to_owned(), json!({ "value": value }))),
            _ if is_alone => {
                drop(server.insert("credential".to_owned(), json!({ "header": name, "value": value })));
            }
            _ => drop(others.insert(name, json!(value))),
        }
    }
    if !others.is_empty() {
        server.insert("headers".to_owned(), Value::Object(others));
    }
    server
}

/// The prices of single tools, and that of every other one.
struct Prices {
    tools: Map<String, Value>,
    every: Option<Vec<String>>,
}

fn prices(texts: &[String]) -> anyhow::Result<Prices> {
    let mut tools: Map<String, Value> = Map::new();
    let mut every: Option<Vec<String>> = None;
    for text in texts {
        let (tool, price) = text
            .rsplit_once('=')
            .with_context(|| format!("--price {text}: expected TOOL=PRICE, such as search=0.01USDC"))?;
        let paid = (price != "free").then(|| price.to_owned());
        if tool == "*" {
            every.get_or_insert_default().extend(paid);
            continue;
        }
        let policy = tools.entry(tool.to_owned()).or_insert_with(|| json!({ "price": [] }));
        if let Some(prices) = policy.pointer_mut("/price").and_then(Value::as_array_mut) {
            prices.extend(paid.map(Value::from));
        }
    }
    Ok(Prices { tools, every })
}
