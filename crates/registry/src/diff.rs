//! What changed between two definitions, for people: member by member, texts line by line, hidden characters visible.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::definition::Definition;
use crate::visible::visible;

mod lines;

/// One member that is not as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Where: a JSON pointer (RFC 6901) such as `/inputSchema/properties/city`, hidden characters visible.
    pub pointer: String,
    /// The lines of the old and the new value. A member that was added has only new ones, a removed one only old ones.
    pub lines: Vec<Line>,
}

/// One line of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Which side has it.
    pub side: Side,
    /// Its text, hidden characters visible.
    pub text: String,
}

/// Which of two definitions has a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Both; shown where it helps to find the place.
    Both,
    /// Only the old one.
    Old,
    /// Only the new one.
    New,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = match self.side {
            Side::Both => ' ',
            Side::Old => '-',
            Side::New => '+',
        };
        write!(f, "{mark} {}", self.text)
    }
}

/// Every member in which two definitions differ, in the order of their pointers. Empty only for equal definitions.
pub fn diff(old: &Definition, new: &Definition) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", old.text(), new.text(), &mut changes);
    changes
}

/// Both texts are canonical: equal values have equal texts, numbers too long for a float among them.
fn compare(pointer: &str, old: &str, new: &str, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    if let (Some(old), Some(new)) = (object(old), object(new)) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let at = format!("{pointer}/{}", visible(&name.replace('~', "~0").replace('/', "~1")));
            side_by_side(&at, old.get(name).copied(), new.get(name).copied(), changes);
        }
        return;
    }
    if let (Some(old), Some(new)) = (array(old), array(new)) {
        for index in 0..old.len().max(new.len()) {
            let at = format!("{pointer}/{index}");
            side_by_side(&at, old.get(index).copied(), new.get(index).copied(), changes);
        }
        return;
    }
    changes.push(Change { pointer: pointer.to_owned(), lines: lines::between(&shown(old), &shown(new)) });
}

fn side_by_side(at: &str, old: Option<&RawValue>, new: Option<&RawValue>, changes: &mut Vec<Change>) {
    let whole = |raw: &RawValue, side| Change {
        pointer: at.to_owned(),
        lines: shown(raw.get()).split('\n').map(|text| Line { side, text: text.to_owned() }).collect(),
    };
    match (old, new) {
        (Some(old), Some(new)) => compare(at, old.get(), new.get(), changes),
        (Some(old), None) => changes.push(whole(old, Side::Old)),
        (None, Some(new)) => changes.push(whole(new, Side::New)),
        (None, None) => {}
    }
}

/// A value as people read it: the text of a string, the JSON of anything else.
fn shown(raw: &str) -> String {
    match serde_json::from_str::<String>(raw) {
        Ok(text) => visible(&text),
        Err(_) => visible(raw),
    }
}

fn object(raw: &str) -> Option<BTreeMap<String, &RawValue>> {
    raw.starts_with('{').then(|| serde_json::from_str(raw).ok()).flatten()
}

fn array(raw: &str) -> Option<Vec<&RawValue>> {
    raw.starts_with('[').then(|| serde_json::from_str(raw).ok()).flatten()
}

#[cfg(test)]
mod tests;
