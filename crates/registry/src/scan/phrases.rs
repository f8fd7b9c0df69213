//! Words aimed at the model instead of describing the tool.
//!
//! Honest descriptions use imperatives too ("call this first"), so that single signs weigh little and only what hardly any
//! honest author writes weighs much.

use std::collections::BTreeSet;

use super::places::{Kind, Place};
use super::words::{self, Pattern};
use super::{Report, Rule, Severity, around};
use crate::visible::{spelled, unseen};

const PEOPLE: &[&str] = &["user", "human", "operator", "anyone", "anybody", "customer"];
const TAKE: &[&str] = &[
    "read", "open", "load", "include", "send", "pass", "copy", "paste", "attach", "provide", "supply",
    "append", "forward", "submit", "upload", "embed", "print", "output", "put", "cat", "fetch", "extract",
    "contents", "content", "share",
];
const SECRETS: &[&str] = &[
    "password",
    "passwords",
    "passphrase",
    "secret",
    "secrets",
    "credential",
    "credentials",
    "token",
    "tokens",
    "mnemonic",
    "apikey",
    "cookies",
];
const ORDERS: &[&str] =
    &["instructions", "instruction", "prompt", "prompts", "guardrails", "directives", "guidelines", "rules"];
const EVERYTHING: &[&str] = &["all", "every", "each", "full", "entire", "whole", "complete", "any"];
const GOODS: &[&str] = &[
    "email",
    "emails",
    "message",
    "messages",
    "conversation",
    "conversations",
    "chat",
    "history",
    "files",
    "data",
    "documents",
    "context",
    "transcript",
];

/// What is looked for in every text.
const PATTERNS: &[(Rule, Severity, Pattern)] = &[
    (
        Rule::Override,
        Severity::High,
        &[
            (0, &["ignore", "disregard", "forget", "bypass"]),
            (3, &["previous", "prior", "above", "earlier", "preceding", "system", "safety", "your"]),
            (2, ORDERS),
        ],
    ),
    (
        Rule::Override,
        Severity::High,
        &[
            (0, &["ignore", "disregard", "forget"]),
            (1, &["all", "any", "other"]),
            (1, &["instructions", "prompts", "guardrails", "directives"]),
        ],
    ),
    (
        Rule::Override,
        Severity::High,
        &[
            (0, &["new", "updated", "real", "actual"]),
            (1, &["system"]),
            (0, &["prompt", "instruction", "instructions", "message"]),
        ],
    ),
    (
        Rule::Override,
        Severity::Medium,
        &[
            (0, &["regardless"]),
            (0, &["of"]),
            (5, &["instructions", "asked", "asks", "prompt", "policy", "policies"]),
        ],
    ),
    (
        Rule::Secrecy,
        Severity::High,
        &[
            (0, &["not", "never", "dont", "without", "avoid"]),
            (
                2,
                &[
                    "tell",
                    "telling",
                    "mention",
                    "mentioning",
                    "inform",
                    "informing",
                    "reveal",
                    "revealing",
                    "disclose",
                    "disclosing",
                ],
            ),
            (5, PEOPLE),
        ],
    ),
    (
        Rule::Secrecy,
        Severity::Medium,
        &[
            (0, &["not", "never", "dont", "without", "avoid"]),
            (
                2,
                &[
                    "notify",
                    "notifying",
                    "show",
                    "showing",
                    "alert",
                    "alerting",
                    "warn",
                    "warning",
                    "display",
                    "mention",
                ],
            ),
            (5, PEOPLE),
        ],
    ),
    (
        Rule::Secrecy,
        Severity::High,
        &[(0, &["keep", "keeping"]), (3, &["secret", "hidden", "confidential"]), (2, &["from"]), (2, PEOPLE)],
    ),
    (Rule::Secrecy, Severity::Medium, &[(0, &["hide", "conceal", "silently", "secretly"]), (6, PEOPLE)]),
    (Rule::SecretBait, Severity::Medium, &[(0, TAKE), (6, SECRETS)]),
    (
        Rule::SecretBait,
        Severity::Medium,
        &[(0, TAKE), (6, &["private", "api", "secret", "ssh"]), (0, &["key", "keys"])],
    ),
    (Rule::SecretBait, Severity::Medium, &[(0, TAKE), (6, &["seed"]), (0, &["phrase", "words"])]),
    (
        Rule::SecretBait,
        Severity::Medium,
        &[(0, TAKE), (6, &["environment", "env"]), (0, &["variables", "vars"])],
    ),
    (
        Rule::PromptProbe,
        Severity::High,
        &[
            (
                0,
                &[
                    "reveal", "print", "output", "include", "send", "repeat", "pass", "show", "copy",
                    "provide", "append",
                ],
            ),
            (6, &["system", "initial", "original"]),
            (0, &["prompt", "instructions"]),
        ],
    ),
    (
        Rule::Exfiltration,
        Severity::Medium,
        &[
            (0, &["send", "forward", "bcc", "cc", "upload", "transmit", "exfiltrate", "relay", "leak"]),
            (4, EVERYTHING),
            (4, GOODS),
        ],
    ),
    (
        Rule::Exfiltration,
        Severity::Medium,
        &[
            (0, &["include", "pass", "put", "attach", "add", "provide", "supply"]),
            (4, &["full", "entire", "whole", "complete", "all"]),
            (3, &["conversation", "conversations", "chat", "transcript"]),
        ],
    ),
    (
        Rule::Steering,
        Severity::Medium,
        &[
            (0, &["before", "after", "when", "whenever", "instead"]),
            (2, &["using", "calling", "invoking", "running", "any", "every", "other"]),
            (3, &["tool", "tools"]),
            (12, &["must", "always", "first", "never", "read", "call"]),
        ],
    ),
    (
        Rule::Steering,
        Severity::Medium,
        &[
            (0, &["must", "always", "never"]),
            (2, &["call", "invoke", "run", "use", "read"]),
            (6, &["tool", "tools", "before", "first", "instead"]),
        ],
    ),
    (
        Rule::Steering,
        Severity::Medium,
        &[
            (0, &["this"]),
            (0, &["tool", "rule", "instruction"]),
            (3, &["overrides", "supersedes", "replaces", "outranks", "precedes"]),
            (3, &["other", "all", "any", "every"]),
        ],
    ),
    (
        Rule::RolePlay,
        Severity::Medium,
        &[
            (0, &["you"]),
            (0, &["are", "act", "must"]),
            (3, &["assistant", "agent", "ai", "model", "llm", "administrator", "root"]),
        ],
    ),
    (
        Rule::RolePlay,
        Severity::Medium,
        &[
            (0, &["the", "as"]),
            (1, &["assistant", "ai", "model", "llm", "agent"]),
            (0, &["must", "should", "shall", "has"]),
        ],
    ),
];

/// Words that make the mention of another tool an order.
const DIRECTS: &[&str] =
    &["must", "always", "never", "instead", "before", "after", "whenever", "when", "first", "also"];

/// Files in which secrets are, as they are written.
const SECRET_PATHS: &[&str] = &[
    "~/.ssh",
    ".ssh/",
    "id_rsa",
    "id_ed25519",
    ".aws/credentials",
    "/etc/passwd",
    "/etc/shadow",
    "mcp.json",
    "claude_desktop_config",
    ".netrc",
    ".npmrc",
    ".git-credentials",
    "wallet.dat",
    ".gnupg",
    ".kube/config",
    ".config/gcloud",
    "/.env",
    "`.env`",
    " .env ",
];

pub(super) fn scan(place: &Place, others: &BTreeSet<String>, report: &mut Report) {
    if place.kind == Kind::Image {
        return;
    }
    read(place, &place.text, others, report);
    // What rows of tags or variation selectors spell is read too.
    for row in place.text.split(|c| unseen(c).is_none()) {
        if let Some(text) = spelled(row) {
            read(place, &text, others, report);
        }
    }
}

/// The same for a text that is no part of a definition: no other tools are looked for.
pub(super) fn scan_alone(place: &Place, report: &mut Report) {
    scan(place, &BTreeSet::new(), report);
}

fn read(place: &Place, text: &str, others: &BTreeSet<String>, report: &mut Report) {
    let words = words::of(text);
    let goes_somewhere = text.contains("://") || text.contains('@');
    for (rule, severity, pattern) in PATTERNS {
        let Some(range) = words::find(&words, pattern) else { continue };
        let leaves = *rule == Rule::Exfiltration && goes_somewhere;
        let severity = if leaves { Severity::High } else { *severity };
        report.add(*rule, severity, place, &words.get(range).unwrap_or_default().join(" "));
    }
    secret_paths(place, text, &words, report);
    shadowing(place, text, &words, others, report);
}

/// A file of secrets is named by honest tools too; one that is to be read is bait.
fn secret_paths(place: &Place, text: &str, words: &[String], report: &mut Report) {
    let lower = text.to_lowercase();
    for path in SECRET_PATHS {
        let Some(at) = lower.find(path) else { continue };
        let near = around(&lower, at);
        let is_asked_for = words::of(near).iter().any(|word| TAKE.contains(&word.as_str()));
        let severity = if is_asked_for && words.len() > 3 { Severity::High } else { Severity::Medium };
        report.add(Rule::SecretBait, severity, place, near);
    }
}

/// The name of another server's tool. A common word counts only where it is set off as a name.
fn shadowing(place: &Place, text: &str, words: &[String], others: &BTreeSet<String>, report: &mut Report) {
    if place.kind != Kind::Text || others.is_empty() {
        return;
    }
    let is_directive = words.iter().any(|word| DIRECTS.contains(&word.as_str()));
    let severity = if is_directive { Severity::High } else { Severity::Medium };
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut from = 0;
    while let Some(start) = text.get(from..).and_then(|rest| rest.find(is_part)).map(|at| from + at) {
        let rest = text.get(start..).unwrap_or_default();
        let end = start + rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (before, after) = (text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default());
        let name = text.get(start..end).unwrap_or_default().trim_end_matches('.');
        let is_distinctive = name.len() >= 6 && name.chars().any(|c| !c.is_ascii_lowercase());
        let is_set_off = before.ends_with(['`', '"', '\'']) || after.starts_with(" tool");
        if (is_distinctive || is_set_off) && others.contains(name) {
            report.add(Rule::Shadowing, severity, place, around(text, start));
        }
        from = end;
    }
}
