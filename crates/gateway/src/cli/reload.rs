//! `tollgate reload`: has the running gateway read its configuration again, and says what has changed.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::operator::{Asked, RunningGateway};
use super::out::one_line;
use super::{DataArgs, FINDING, Out, refusal};

#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    gateway: RunningGateway,
    #[command(flatten)]
    data: DataArgs,
}

pub(crate) async fn reload(args: ReloadArgs) -> anyhow::Result<ExitCode> {
    let asked =
        Asked { command: "tollgate reload", of: json!("reload"), path: "reload", body: Some(json!({})) };
    let (is_done, answer) = args.gateway.ask(&args.data, asked).await?;
    Out::line(&if args.data.json { answer.to_string() } else { in_words(is_done, &answer) });
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

fn in_words(is_done: bool, answer: &Value) -> String {
    if !is_done {
        let of = |problem: &Value, member| {
            one_line(problem.pointer(member).and_then(Value::as_str).unwrap_or_default())
        };
        let problems = answer.pointer("/error/problems").and_then(Value::as_array);
        let mut lines = vec![format!("nothing has changed: {}", refusal::in_words(answer))];
        let each = problems.into_iter().flatten();
        lines.extend(each.map(|problem| format!("  {}: {}", of(problem, "/at"), of(problem, "/message"))));
        return lines.join("\n");
    }
    let names = |path: &str| -> Vec<&str> {
        answer
            .pointer(path)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    };
    let lines: Vec<String> = [
        ("added", "/servers/added"),
        ("removed", "/servers/removed"),
        ("changed", "/servers/changed"),
        ("settings", "/settings"),
    ]
    .into_iter()
    .map(|(what, path)| (what, names(path)))
    .filter(|(_, names)| !names.is_empty())
    .map(|(what, names)| format!("{what:<9} {}", names.join(", ")))
    .collect();
    if lines.is_empty() { "the configuration is as it was".to_owned() } else { lines.join("\n") }
}
