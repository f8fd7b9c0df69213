//! `tollgate pins`: what was approved of the tools' definitions, what changed, and the approval. Works beside a running
//! gateway, which notices within half a second.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tollgate_domain::{Digest, ToolRef};
use tollgate_registry::{Approval, Change, Definition, PinRecord, Report, State, diff, scan, visible};
use tollgate_store::Store;

use super::books::open;
use super::out::one_line;
use super::{DataArgs, FINDING, Out, PinsCommand};
use crate::clock;

pub(crate) async fn run(command: PinsCommand) -> anyhow::Result<ExitCode> {
    match command {
        PinsCommand::List(data) => list(&data).await,
        PinsCommand::Diff { tool, data } => changes(&tool, &data).await,
        PinsCommand::Approve { tool: Some(tool), expect, data, .. } => {
            one(&tool, expect.as_deref(), &data).await
        }
        PinsCommand::Approve { tool: None, data, .. } => all(&data).await,
    }
}

/// A record with what a scan finds in the definition that counts now: the one that waits, else the approved one.
struct Reviewed<'a> {
    record: &'a PinRecord,
    report: Report,
}

impl<'a> Reviewed<'a> {
    fn of(record: &'a PinRecord, all: &[PinRecord]) -> Self {
        let others = all.iter().filter(|other| other.tool.server != record.tool.server);
        let others: BTreeSet<String> = others.map(|other| other.tool.tool.to_string()).collect();
        let report = current(record).map(|definition| scan(definition, &others)).unwrap_or_default();
        Self { record, report }
    }

    fn json(&self) -> Value {
        let Self { record, report } = self;
        let findings: Vec<Value> = report
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "rule": finding.rule.word(), "severity": finding.severity.word(),
                    "at": finding.pointer, "excerpt": finding.excerpt,
                })
            })
            .collect();
        json!({
            "server": record.tool.server, "tool": record.tool.tool, "state": record.state().word(),
            "approved": record.approved.as_ref().map(|pin| json!({
                "hash": pin.definition.hash(), "at": pin.at.to_string(), "by": pin.by.word(),
            })),
            "pending": record.pending.as_ref().map(|pending| json!({
                "hash": pending.definition.hash(), "since": pending.since.to_string(),
            })),
            "score": report.score(), "findings": findings,
        })
    }
}

fn current(record: &PinRecord) -> Option<&Definition> {
    let pending = record.pending.as_ref().map(|pending| &pending.definition);
    pending.or(record.approved.as_ref().map(|pin| &pin.definition))
}

fn ending(is_finding: bool) -> ExitCode {
    if is_finding { ExitCode::from(FINDING) } else { ExitCode::SUCCESS }
}

async fn list(data: &DataArgs) -> anyhow::Result<ExitCode> {
    let records = open(data).await?.pins().await?;
    if records.is_empty() && !data.json {
        Out::note("no definition was seen yet; start a gateway with a server that has a policy");
    }
    for record in &records {
        let reviewed = Reviewed::of(record, &records);
        Out::line(&if data.json {
            reviewed.json().to_string()
        } else {
            let hash = current(record).map(|definition| definition.hash().to_string()).unwrap_or_default();
            let short = hash.get(..16).unwrap_or_default();
            let by = record.approved.as_ref().map_or("", |pin| pin.by.word());
            let (state, score) = (record.state().word(), reviewed.report.score());
            format!(
                "{state:<8} {:<40} {short}  score {score:>3}  {by}",
                one_line(&visible(&record.tool.to_string()))
            )
        });
    }
    Ok(ending(records.iter().any(|record| record.state() != State::Pinned)))
}

async fn changes(tool: &str, data: &DataArgs) -> anyhow::Result<ExitCode> {
    let records = open(data).await?.pins().await?;
    let record = find(tool, &records)?;
    let reviewed = Reviewed::of(record, &records);
    let nothing = Definition::read(b"{}", |_key| false)?;
    let before = record.approved.as_ref().map_or(&nothing, |pin| &pin.definition);
    let changes = record.pending.as_ref().map(|now| diff(before, &now.definition)).unwrap_or_default();
    if data.json {
        let shown: Vec<Value> = changes
            .iter()
            .map(|change| {
                let lines: Vec<String> = change.lines.iter().map(ToString::to_string).collect();
                json!({ "at": change.pointer, "lines": lines })
            })
            .collect();
        let mut whole = reviewed.json();
        if let Some(members) = whole.as_object_mut() {
            members.insert("changes".to_owned(), json!(shown));
        }
        Out::line(&whole.to_string());
    } else {
        tell(&reviewed, &changes);
    }
    Ok(ending(record.state() != State::Pinned))
}

fn tell(reviewed: &Reviewed<'_>, changes: &[Change]) {
    let Reviewed { record, report } = reviewed;
    let tool = one_line(&visible(&record.tool.to_string()));
    if let Some(pin) = &record.approved {
        Out::line(&format!("approved  {}  {} by {}", pin.definition.hash(), pin.at, pin.by.word()));
    }
    if let Some(pending) = &record.pending {
        Out::line(&format!("pending   {}  since {}", pending.definition.hash(), pending.since));
    }
    for change in changes {
        Out::line(&format!("\n{}", one_line(&change.pointer)));
        for line in &change.lines {
            Out::line(&format!("  {line}"));
        }
    }
    Out::line(&format!("\n{}", report.explained()));
    for finding in &report.findings {
        Out::line(&format!("  {}", one_line(&finding.to_string())));
    }
    match &record.pending {
        Some(pending) => Out::note(&format!(
            "\nto approve exactly this: tollgate pins approve \"{tool}\" --expect {}",
            pending.definition.hash()
        )),
        None => Out::note(&format!("\n{tool} is as it was approved")),
    }
}

async fn one(tool: &str, expect: Option<&str>, data: &DataArgs) -> anyhow::Result<ExitCode> {
    let store = open(data).await?;
    let records = store.pins().await?;
    let record = find(tool, &records)?;
    let expected: Option<Digest> =
        expect.map(str::parse).transpose().context("--expect is a hash as `tollgate pins diff` shows it")?;
    // Without --expect, what waits at this moment: still by its hash, so that nothing slips in between.
    let waiting = record.pending_hash().or(record.approved_hash());
    match expected.or(waiting) {
        Some(hash) => give(&store, &record.tool, hash, data).await,
        None => bail!("{tool} has no definition yet: its server has to be asked for its tools first"),
    }
}

async fn all(data: &DataArgs) -> anyhow::Result<ExitCode> {
    let store = open(data).await?;
    let mut ended = ExitCode::SUCCESS;
    let mut waiting = 0_usize;
    for record in store.pins().await? {
        let Some(hash) = record.pending_hash() else { continue };
        waiting = waiting.saturating_add(1);
        let given = give(&store, &record.tool, hash, data).await?;
        if given != ExitCode::SUCCESS {
            ended = given;
        }
    }
    if waiting == 0 {
        Out::note("nothing waits for an approval");
    }
    Ok(ended)
}

async fn give(store: &Store, tool: &ToolRef, hash: Digest, data: &DataArgs) -> anyhow::Result<ExitCode> {
    let shown = one_line(&visible(&tool.to_string()));
    let (word, record) = match store.approve_pin(tool.clone(), hash, clock::now()).await? {
        None => bail!("no tool {shown} was ever seen; see `tollgate pins list`"),
        Some(Approval::Given(record)) => ("approved", record),
        Some(Approval::Already(record)) => ("already", record),
        Some(Approval::Moved(record)) => ("moved", record),
    };
    let is_moved = word == "moved";
    if data.json {
        let now = record.pending_hash().or(record.approved_hash());
        Out::line(
            &json!({ "server": tool.server, "tool": tool.tool, "outcome": word, "hash": hash, "now": now })
                .to_string(),
        );
    } else if is_moved {
        Out::problem(&format!(
            "{shown} has another definition by now than {hash}; nothing was approved. Look again: tollgate pins diff \"{shown}\""
        ));
    } else {
        Out::line(&format!("{word}  {shown}  {hash}"));
    }
    Ok(ending(is_moved))
}

/// The record of SERVER/TOOL.
fn find<'a>(tool: &str, records: &'a [PinRecord]) -> anyhow::Result<&'a PinRecord> {
    let found = records.iter().find(|record| record.tool.to_string() == tool);
    found.with_context(|| format!("no tool {:?} was ever seen; see `tollgate pins list`", visible(tool)))
}
