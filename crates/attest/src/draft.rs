//! Writing a draft: the canonical text of a statement (RFC 8785), with a [`GAP`] for each value that only sealing knows.
//!
//! Members are written once and in the order of their names, by whoever knows them all: nothing is sorted, and nothing is read
//! again. All names are ours, plain ASCII, so the order of their bytes is that of RFC 8785 section 3.2.3.

use std::fmt::{Display, Write as _};

/// Stands where sealing fills in a value. No JSON text has it: in a string, a control character is escaped.
pub(crate) const GAP: char = '\u{1f}';

/// Enough for most drafts.
const USUAL_BYTES: usize = 1_024;

/// An object whose members are being written.
pub(crate) struct Draft(String);

impl Draft {
    /// The text of an object with the members that `members` writes.
    pub(crate) fn of(members: impl FnOnce(&mut Self)) -> String {
        let mut draft = Self(String::with_capacity(USUAL_BYTES));
        draft.braces(members);
        draft.0
    }

    /// A value whose text form has nothing to escape, as a string.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) {
        self.name(name);
        self.0.push('"');
        self.display(value);
        self.0.push('"');
    }

    /// Any string.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        if value.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
            // serde_json escapes what RFC 8785 section 3.2.2.2 escapes, and as it does; a string always encodes.
            self.0.push_str(&serde_json::to_string(value).unwrap_or_default());
        } else {
            self.0.extend(["\"", value, "\""]);
        }
    }

    /// A boolean, or a number that is exact everywhere.
    pub(crate) fn bare(&mut self, name: &str, value: impl Display) {
        self.name(name);
        self.display(value);
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str, members: impl FnOnce(&mut Self)) {
        self.name(name);
        self.braces(members);
    }

    /// An array of objects, one for each item.
    pub(crate) fn objects<T>(&mut self, name: &str, items: &[T], members: impl Fn(&mut Self, &T)) {
        self.name(name);
        self.0.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            self.braces(|draft| members(draft, item));
        }
        self.0.push(']');
    }

    fn braces(&mut self, members: impl FnOnce(&mut Self)) {
        self.0.push('{');
        members(self);
        self.0.push('}');
    }

    fn name(&mut self, name: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn display(&mut self, value: impl Display) {
        // Writing to a `String` cannot fail.
        write!(self.0, "{value}").unwrap_or_default();
    }
}
