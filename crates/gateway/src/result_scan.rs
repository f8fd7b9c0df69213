//! Looks at what tools answer for text that is aimed at a model, access keys and personal data, where the operator wants that.
//!
//! A help, as the scan of definitions is: it knows tricks, not intentions. An answer passes whole with a note beside it, with marks in
//! the place of keys and personal data, or not at all. The log names rules, never a server's words.

mod note;
mod said;

use std::collections::BTreeMap;

use bytes::Bytes;
use tollgate_domain::{FailureKind, Outcome, ToolName};
use tollgate_gate::ToolAnswer;
use tollgate_mcp::Frame;
use tollgate_registry::{Redaction, ResultPolicy, redact_result, scan_result};

use crate::config::Server;
use crate::telemetry::SUSPICIOUS_RESULTS;
pub(crate) use note::{NOTE_META, Note};
pub(crate) use said::Said;

/// What is done about the answers of one server's tools.
#[derive(Clone, Debug)]
pub(crate) struct ResultScan {
    tools: BTreeMap<ToolName, ResultPolicy>,
    every: ResultPolicy,
}

/// How a call ended, and what is to be said beside its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noted {
    /// How it ended.
    pub outcome: Outcome<ToolAnswer>,
    /// What the scan found, without a word of the answer.
    pub note: Option<Note>,
}

impl From<Outcome<ToolAnswer>> for Noted {
    fn from(outcome: Outcome<ToolAnswer>) -> Self {
        Self { outcome, note: None }
    }
}

impl ResultScan {
    /// What the operator wants of a server; `None`: nothing of any tool is looked at.
    pub(crate) fn of(server: &Server) -> Option<Self> {
        let policy =
            |(tool, policy): (&ToolName, &crate::config::ToolPolicy)| (tool.clone(), policy.result_findings);
        let every = server.every_tool.as_ref().map(|policy| policy.result_findings).unwrap_or_default();
        let tools: BTreeMap<_, _> = server.tools.iter().map(policy).collect();
        let is_off = tools.values().chain([&every]).all(|policy| *policy == ResultPolicy::Off);
        (!is_off).then_some(Self { tools, every })
    }

    /// The outcome of a call of a tool, after a look at what it says.
    pub(crate) fn look(&self, tool: &ToolName, outcome: Outcome<ToolAnswer>) -> Noted {
        let policy = self.tools.get(tool).copied().unwrap_or(self.every);
        let (Outcome::Delivered(answer) | Outcome::Failed(answer)) = &outcome else { return outcome.into() };
        let (ToolAnswer::Result(bytes) | ToolAnswer::Error(bytes)) = answer else { return outcome.into() };
        match judged(policy, bytes, tool.as_str()) {
            Judged::Passes => outcome.into(),
            Judged::Noted(note) => Noted { outcome, note: Some(note) },
            Judged::Redacted(own, note) => Noted { outcome: saying(outcome, own), note: Some(note) },
            Judged::Withheld => Noted::withheld(),
        }
    }

    /// What is done about an answer of which nobody knows any more to which tool it belongs, such as what a task came to: the
    /// strictest that is done about any.
    pub(crate) fn strictest(&self) -> ResultPolicy {
        let has = |policy| self.tools.values().chain([&self.every]).any(|own| *own == policy);
        let strict_first = [ResultPolicy::Block, ResultPolicy::Redact, ResultPolicy::Warn];
        strict_first.into_iter().find(|policy| has(*policy)).unwrap_or_default()
    }
}

impl Noted {
    /// What is withheld.
    fn withheld() -> Self {
        Outcome::Lost(FailureKind::Suspicious).into()
    }

    /// With the message of the answer as the outcome has it; `None`: as it came. Where it cannot be put together, it is withheld: as it
    /// came it must not go on.
    pub(crate) fn with_message(self, answer: &Frame) -> (Self, Option<Frame>) {
        let (Outcome::Delivered(ToolAnswer::Result(own) | ToolAnswer::Error(own))
        | Outcome::Failed(ToolAnswer::Result(own) | ToolAnswer::Error(own))) = &self.outcome
        else {
            return (self, None);
        };
        if self.note.as_ref().is_none_or(|note| !note.says_redacted()) {
            return (self, None);
        }
        match Said::at_once(answer).and_then(|said| said.replaced(answer.bytes(), own)) {
            Some(message) => (self, Some(message)),
            None => (Self::withheld(), None),
        }
    }
}

/// The same end of a call with another answer of the same kind.
fn saying(outcome: Outcome<ToolAnswer>, own: Bytes) -> Outcome<ToolAnswer> {
    let other = |answer| match answer {
        ToolAnswer::Result(_) => ToolAnswer::Result(own),
        ToolAnswer::Error(_) => ToolAnswer::Error(own),
        ToolAnswer::Digest(digest) => ToolAnswer::Digest(digest),
    };
    match outcome {
        Outcome::Delivered(answer) => Outcome::Delivered(other(answer)),
        Outcome::Failed(answer) => Outcome::Failed(other(answer)),
        Outcome::Lost(kind) => Outcome::Lost(kind),
    }
}

/// What is done about something that a tool says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Judged {
    /// It passes.
    Passes,
    /// It passes with this beside it.
    Noted(Note),
    /// This passes in its place, with this beside it.
    Redacted(Bytes, Note),
    /// It does not pass.
    Withheld,
}

/// Looks at what a tool says, and decides. A serious finding is counted and logged.
pub(crate) fn judged(policy: ResultPolicy, said: &[u8], tool: &str) -> Judged {
    let (report, redaction) = match policy {
        ResultPolicy::Off => return Judged::Passes,
        ResultPolicy::Warn | ResultPolicy::Block => (scan_result(said), Redaction::Unneeded),
        ResultPolicy::Redact => redact_result(said),
    };
    if redaction == Redaction::Unneeded && !report.is_serious() {
        return Judged::Passes;
    }
    let obstacle = match &redaction {
        Redaction::Impossible(obstacle) => Some(obstacle.to_string()),
        Redaction::Unneeded | Redaction::Done { .. } => None,
    };
    let explained = report.explained();
    let note = |marks| Note::new(explained.clone(), marks);
    let (action, judged) = match redaction {
        Redaction::Impossible(_) => ("block", Judged::Withheld),
        Redaction::Done { result, marks } => ("redact", Judged::Redacted(result.into(), note(marks))),
        Redaction::Unneeded if policy == ResultPolicy::Block => ("block", Judged::Withheld),
        Redaction::Unneeded => ("warn", Judged::Noted(note(BTreeMap::new()))),
    };
    let counters = SUSPICIOUS_RESULTS.iter().filter(|(counted, _)| *counted == action);
    counters.for_each(|(_, counter)| counter.increment());
    tracing::warn!(
        tool,
        action,
        findings = explained.as_str(),
        obstacle,
        "an answer contains text that is aimed at a model, an access key or personal data"
    );
    judged
}
