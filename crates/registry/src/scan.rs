//! Looks for what a tool's definition should not contain: hidden text, disguised names, words aimed at the model.
//!
//! A help for whoever reviews. It knows tricks, not intentions: an instruction in innocent words, in another language, or
//! spread over several tools is not found, and nothing here makes a definition trustworthy. English phrases only.

mod hidden;
mod markup;
mod names;
mod phrases;
mod places;
mod redact;
mod result;
mod texts;
mod withheld;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::definition::Definition;
use crate::visible::visible;
use places::Place;
pub use redact::{Obstacle, Redaction, redact_result};
pub use result::{RESULT_BYTES_MAX, RESULT_KEY_BYTES_MAX, scan_result};

/// From this score on, a definition needs a person's look: one high finding, or three kinds of medium ones.
pub const SCORE_HIGH: u32 = 60;
/// How many findings a report keeps, the more serious ones rather than others.
const FINDINGS_MAX: usize = 64;
/// How much of a text a finding shows, in characters.
const EXCERPT_CHARS_MAX: usize = 160;

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// ASCII in the Unicode tags block, which is never drawn.
    TagCharacters,
    /// Characters of no width where no script needs them.
    ZeroWidth,
    /// Embeddings, overrides, isolates: what is read is not what is written.
    Bidi,
    /// Rows of variation selectors, which can spell anything.
    VariationSelectors,
    /// Control characters, fillers, private use.
    ControlCharacters,
    /// Escape sequences of a terminal.
    TerminalEscape,
    /// A name that mixes letters of several scripts that look alike.
    Homoglyph,
    /// A comment that Markdown and HTML do not show.
    HtmlComment,
    /// Markup that poses as a system message.
    RoleMarkup,
    /// A text in Base64.
    EncodedBlob,
    /// Room that pushes text out of sight.
    Padding,
    /// A text longer than any description needs to be.
    LongText,
    /// Words that take back what the model was told before.
    Override,
    /// Words that keep something from the user.
    Secrecy,
    /// Words that ask for keys, passwords or the files they are in.
    SecretBait,
    /// Words that ask for the system prompt.
    PromptProbe,
    /// Words that send conversations or files somewhere.
    Exfiltration,
    /// Words about when other tools are to be used.
    Steering,
    /// The name of another server's tool.
    Shadowing,
    /// Words that give the model a part to play.
    RolePlay,
    /// A key, token or password of which the shape says that it opens something.
    AccessKey,
    /// The number of a person's card, account or social security.
    PersonalData,
}

impl Rule {
    /// The rule's word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TagCharacters => "tag_characters",
            Self::ZeroWidth => "zero_width",
            Self::Bidi => "bidi",
            Self::VariationSelectors => "variation_selectors",
            Self::ControlCharacters => "control_characters",
            Self::TerminalEscape => "terminal_escape",
            Self::Homoglyph => "homoglyph",
            Self::HtmlComment => "html_comment",
            Self::RoleMarkup => "role_markup",
            Self::EncodedBlob => "encoded_blob",
            Self::Padding => "padding",
            Self::LongText => "long_text",
            Self::Override => "override",
            Self::Secrecy => "secrecy",
            Self::SecretBait => "secret_bait",
            Self::PromptProbe => "prompt_probe",
            Self::Exfiltration => "exfiltration",
            Self::Steering => "steering",
            Self::Shadowing => "shadowing",
            Self::RolePlay => "role_play",
            Self::AccessKey => "access_key",
            Self::PersonalData => "personal_data",
        }
    }
}

/// How serious a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Worth knowing; honest definitions have it.
    Low,
    /// Unusual; some honest definitions have it.
    Medium,
    /// Hardly ever honest.
    High,
}

impl Severity {
    /// What one rule that found something this serious adds to the score.
    pub const fn weight(self) -> u32 {
        match self {
            Self::Low => 5,
            Self::Medium => 20,
            Self::High => SCORE_HIGH,
        }
    }

    /// The word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What.
    pub rule: Rule,
    /// How serious it is.
    pub severity: Severity,
    /// Where: a JSON pointer, hidden characters visible.
    pub pointer: String,
    /// The text around it, hidden characters visible. Of an access key and of personal data it says only what kind it is.
    pub excerpt: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, severity, pointer, excerpt } = self;
        write!(f, "{} {} at {pointer}: {excerpt}", severity.word(), rule.word())
    }
}

/// Everything that was found in one definition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The findings, most serious first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// 0 to 100: for each rule that found something, the weight of its most serious finding.
    pub fn score(&self) -> u32 {
        self.parts().iter().map(|(_, severity)| severity.weight()).sum::<u32>().min(100)
    }

    /// Whether a person should look before a model does.
    pub fn is_serious(&self) -> bool {
        self.score() >= SCORE_HIGH
    }

    /// The score and what it is made of: `score 80 = high tag_characters 60 + medium steering 20`.
    pub fn explained(&self) -> String {
        let parts: Vec<String> = self
            .parts()
            .iter()
            .map(|(rule, severity)| format!("{} {} {}", severity.word(), rule.word(), severity.weight()))
            .collect();
        let sum = if parts.is_empty() { "nothing found".to_owned() } else { parts.join(" + ") };
        format!("score {} = {sum}", self.score())
    }

    /// Each rule with its most serious finding, the most serious first.
    fn parts(&self) -> Vec<(Rule, Severity)> {
        let mut worst = BTreeMap::<Rule, Severity>::new();
        for finding in &self.findings {
            let severity = worst.entry(finding.rule).or_insert(finding.severity);
            *severity = finding.severity.max(*severity);
        }
        let mut parts: Vec<(Rule, Severity)> = worst.into_iter().collect();
        parts.sort_by_key(|(_, severity)| std::cmp::Reverse(*severity));
        parts
    }

    fn add(&mut self, rule: Rule, severity: Severity, place: &Place, excerpt: &str) {
        let known = self.findings.iter().filter(|finding| finding.rule == rule);
        let is_known = known.clone().any(|f| f.pointer == place.pointer && f.severity >= severity);
        if is_known {
            return;
        }
        let found = Finding { rule, severity, pointer: place.pointer.clone(), excerpt: shortened(excerpt) };
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(found);
        } else if let Some(lesser) = self.findings.iter_mut().find(|other| other.severity < severity) {
            // However much is found before it, what is serious is not lost.
            *lesser = found;
        }
    }
}

/// Scans a definition. `others` are the names of the tools of other servers, for cross-tool shadowing.
pub fn scan(definition: &Definition, others: &BTreeSet<String>) -> Report {
    let mut report = Report::default();
    for place in places::of(definition) {
        hidden::scan(&place, &mut report);
        names::scan(&place, &mut report);
        markup::scan(&place, &mut report);
        phrases::scan(&place, others, &mut report);
    }
    report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    report
}

/// One line of at most [`EXCERPT_CHARS_MAX`] characters, hidden ones visible.
fn shortened(text: &str) -> String {
    let line = visible(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// The text around a place in it.
fn around(text: &str, at: usize) -> &str {
    let half = EXCERPT_CHARS_MAX / 2;
    let start = text.get(..at).unwrap_or_default().char_indices().rev().take(half).last();
    let end = text.get(at..).unwrap_or_default().char_indices().nth(half);
    let (start, end) =
        (start.map_or(at, |(index, _)| index), end.map_or(text.len(), |(index, _)| at + index));
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
