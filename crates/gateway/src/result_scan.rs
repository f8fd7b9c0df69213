//! Looks at what tools answer for text that is aimed at a model, where the operator wants that.
//!
//! A help, as the scan of definitions is: it knows tricks, not intentions. It never changes an answer: one passes whole, with a
//! note beside it, or not at all. The log names rules, never a server's words.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_domain::{FailureKind, Outcome, ToolName};
use tollgate_gate::ToolAnswer;
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
        let [warned, blocked] = &SUSPICIOUS_RESULTS;
        let counter = match policy {
            ResultPolicy::Off => return outcome.into(),
            ResultPolicy::Warn => warned,
            ResultPolicy::Block => blocked,
        };
        let report = scan_result(bytes);
        if !report.is_serious() {
            return outcome.into();
        }
        counter.increment();
        let findings = report.explained();
        tracing::warn!(%tool, action = policy.word(), findings, "an answer contains text that is aimed at a model");
        match policy {
            ResultPolicy::Block => Outcome::Lost(FailureKind::Suspicious).into(),
            ResultPolicy::Off | ResultPolicy::Warn => Noted { outcome, note: Some(Note(findings)) },
        }
    }
}
