//! Looks at what tools answer for text that is aimed at a model, access keys and personal data, where the operator wants that.
//!
//! A help, as the scan of definitions is: it knows tricks, not intentions. It never changes an answer: one passes whole, with a
//! note beside it, or not at all. The log names rules, never a server's words.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_domain::{FailureKind, Outcome, ToolName};
use tollgate_gate::ToolAnswer;
use tollgate_mcp::{Frame, Kind, raw};
use tollgate_registry::{ResultPolicy, scan_result};

use crate::config::Server;
use crate::telemetry::SUSPICIOUS_RESULTS;

/// The header in which an answer carries the note.
const NOTE_HEADER: HeaderName = HeaderName::from_static("tollgate-findings");
/// The key of the note in `_meta`.
pub(crate) const NOTE_META: &str = "tollgate/findings";

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

/// A note beside an answer: the score and what it is made of, such as `score 60 = high override 60`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note(String);

impl Note {
    /// Writes the note into the head of an answer.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        if let Ok(text) = HeaderValue::from_str(&self.0) {
            headers.insert(NOTE_HEADER, text);
        }
    }

    /// The raw JSON of [`NOTE_META`].
    pub(crate) fn json(&self) -> String {
        serde_json::json!({ "explained": self.0 }).to_string()
    }
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
        match found(policy, bytes, tool.as_str()) {
            None => outcome.into(),
            Some(_) if policy == ResultPolicy::Block => Outcome::Lost(FailureKind::Suspicious).into(),
            note => Noted { outcome, note },
        }
    }

    /// What is done about an answer of which nobody knows any more to which tool it belongs, such as what a task came to: the
    /// strictest that is done about any.
    pub(crate) fn strictest(&self) -> ResultPolicy {
        let has = |policy| self.tools.values().chain([&self.every]).any(|own| *own == policy);
        [ResultPolicy::Block, ResultPolicy::Warn].into_iter().find(|policy| has(*policy)).unwrap_or_default()
    }
}

/// Looks at what a tool says. A serious finding is counted and logged.
pub(crate) fn found(policy: ResultPolicy, said: &[u8], tool: &str) -> Option<Note> {
    let [warned, blocked] = &SUSPICIOUS_RESULTS;
    let counter = match policy {
        ResultPolicy::Off => return None,
        ResultPolicy::Warn => warned,
        ResultPolicy::Block => blocked,
    };
    let report = scan_result(said);
    if !report.is_serious() {
        return None;
    }
    counter.increment();
    let findings = report.explained();
    tracing::warn!(
        tool,
        action = policy.word(),
        findings,
        "an answer contains text that is aimed at a model, an access key or personal data"
    );
    Some(Note(findings))
}

/// What a tool says in a message that is no answer to its call: the result on a resumed stream or of `tasks/result`, and what a task
/// came to in `tasks/get` and `notifications/tasks`.
pub(crate) fn said_later(message: &Frame) -> Option<Bytes> {
    let of_task = |task: &Bytes| raw::member(task, "result").or_else(|| raw::member(task, "error"));
    match message.kind() {
        Kind::Response => {
            let result = message.result()?;
            let is_of_tool = message.result_member("content").or(message.result_member("structuredContent"));
            if is_of_tool.is_some() { Some(result) } else { of_task(&result) }
        }
        Kind::ErrorResponse => message.error(),
        Kind::Notification => of_task(&message.params()?),
        Kind::Request => None,
    }
}
