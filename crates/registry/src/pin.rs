//! What was approved of a tool and what its server says now: the only spelling of how one becomes the other.

use tollgate_domain::{Digest, ToolRef, UnixMillis};

use crate::definition::Definition;
use crate::policy::{Drift, Findings, FirstUse, PinPolicy};

/// An approved definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// The definition itself.
    pub definition: Definition,
    /// When it was approved.
    pub at: UnixMillis,
    /// By whom.
    pub by: Approver,
}

/// Who approved a definition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Approver {
    /// Nobody looked: it was the first one seen, and the policy trusts those.
    FirstUse,
    /// Nobody looked: it changed, and the policy is `drift: off`.
    Policy,
    /// A person, by its hash.
    Operator,
}

impl Approver {
    /// The word in lists and in the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::FirstUse => "first_use",
            Self::Policy => "policy",
            Self::Operator => "operator",
        }
    }

    /// The approver of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::FirstUse, Self::Policy, Self::Operator].into_iter().find(|approver| approver.word() == word)
    }
}

/// A definition that waits for an approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pending {
    /// The definition.
    pub definition: Definition,
    /// When it was first seen.
    pub since: UnixMillis,
}

/// What is known of one tool's definition. At least one of the two is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinRecord {
    /// Which tool of which server.
    pub tool: ToolRef,
    /// The approved definition.
    pub approved: Option<Pin>,
    /// What the server says now, where that is not approved.
    pub pending: Option<Pending>,
}

/// Where a record stands, whatever the policy makes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The server says what was approved.
    Pinned,
    /// The server says something else by now.
    Drifted,
    /// Nothing was ever approved.
    Held,
}

impl State {
    /// The word in lists.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Drifted => "drifted",
            Self::Held => "held",
        }
    }
}

impl PinRecord {
    /// Where the record stands.
    pub fn state(&self) -> State {
        match (&self.approved, &self.pending) {
            (None, _) => State::Held,
            (Some(_), Some(_)) => State::Drifted,
            (Some(_), None) => State::Pinned,
        }
    }

    /// The hash of the approved definition.
    pub fn approved_hash(&self) -> Option<Digest> {
        self.approved.as_ref().map(|pin| pin.definition.hash())
    }

    /// The hash of the definition that waits for an approval.
    pub fn pending_hash(&self) -> Option<Digest> {
        self.pending.as_ref().map(|pending| pending.definition.hash())
    }
}

/// A definition as it was just read from its server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sighting {
    /// Whose.
    pub tool: ToolRef,
    /// The definition.
    pub definition: Definition,
    /// Whether a scan found something serious in it.
    pub is_suspicious: bool,
}

/// Whether a tool may be listed and called with the definition that was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It may.
    Approved,
    /// Another definition was approved.
    Drifted,
    /// None was ever approved.
    Unapproved,
}

/// What a sighting makes of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// The record from now on.
    pub record: PinRecord,
    /// Whether the tool may be used as it was seen.
    pub standing: Standing,
}

/// Compares what a server says with what was approved.
pub fn observe(
    known: Option<&PinRecord>,
    sighting: &Sighting,
    policy: PinPolicy,
    now: UnixMillis,
) -> Observed {
    let Sighting { tool, definition, is_suspicious } = sighting;
    let approved = known.and_then(|record| record.approved.clone());
    if approved.as_ref().is_some_and(|pin| pin.definition == *definition) {
        let record = PinRecord { tool: tool.clone(), approved, pending: None };
        return Observed { record, standing: Standing::Approved };
    }
    let is_stopped = *is_suspicious && policy.findings == Findings::Block;
    let pinned = |by| Some(Pin { definition: definition.clone(), at: now, by });
    let earlier = known.and_then(|record| record.pending.clone());
    let pending = earlier
        .filter(|pending| pending.definition == *definition)
        .unwrap_or_else(|| Pending { definition: definition.clone(), since: now });
    let (approved, pending, standing) = match (approved, policy.drift, policy.first_use) {
        (Some(_), Drift::Off, _) if !is_stopped => (pinned(Approver::Policy), None, Standing::Approved),
        (Some(pin), Drift::Warn, _) if !is_stopped => (Some(pin), Some(pending), Standing::Approved),
        (Some(pin), Drift::Block | Drift::Warn | Drift::Off, _) => {
            (Some(pin), Some(pending), Standing::Drifted)
        }
        (None, _, FirstUse::Trust) if !is_stopped => (pinned(Approver::FirstUse), None, Standing::Approved),
        (None, _, FirstUse::Trust | FirstUse::Approve) => (None, Some(pending), Standing::Unapproved),
    };
    Observed { record: PinRecord { tool: tool.clone(), approved, pending }, standing }
}

/// What became of an approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Approval {
    /// The record with the new pin.
    Given(PinRecord),
    /// This very definition was approved before.
    Already(PinRecord),
    /// The tool has another definition by now than the one that was reviewed.
    Moved(PinRecord),
}

/// Approves the definition with this hash, and no other.
pub fn approve(record: &PinRecord, hash: Digest, now: UnixMillis) -> Approval {
    match &record.pending {
        Some(pending) if pending.definition.hash() == hash => {
            let pin = Pin { definition: pending.definition.clone(), at: now, by: Approver::Operator };
            Approval::Given(PinRecord { tool: record.tool.clone(), approved: Some(pin), pending: None })
        }
        None if record.approved_hash() == Some(hash) => Approval::Already(record.clone()),
        Some(_) | None => Approval::Moved(record.clone()),
    }
}

#[cfg(test)]
mod tests;
