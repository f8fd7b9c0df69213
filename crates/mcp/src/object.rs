//! An object inside a message, by the places of its members, and edits of it as byte splices.
//!
//! What an edit does not name keeps its bytes: order, whitespace and the spelling of numbers.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::json::{JsonError, Name, Scanner, quote};

/// One member: where its name starts, where its value stands, and the name if it was written with escapes.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    name: Range<usize>,
    unescaped: Option<Box<str>>,
    pub(crate) value: Range<usize>,
}

/// The members of one object of `body`, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) span: Range<usize>,
    members: Vec<Member>,
}

impl Object {
    /// Scans an object and notes its members. `visit` must consume exactly the value of the name it is given.
    pub(crate) fn scan<'a, E: From<JsonError>>(
        scanner: &mut Scanner<'a>,
        mut visit: impl FnMut(&mut Scanner<'a>, &Name<'a>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut members = Vec::with_capacity(8);
        let span = scanner.object(|scanner, name| {
            let start = scanner.at();
            visit(scanner, name)?;
            members.push(Member {
                name: name.inner.clone(),
                unescaped: name.unescaped(),
                value: start..scanner.at(),
            });
            Ok::<_, E>(())
        })?;
        Ok(Self { span, members })
    }

    /// [`Object::scan`] where only the places matter.
    pub(crate) fn scan_values(scanner: &mut Scanner<'_>) -> Result<Self, JsonError> {
        Self::scan(scanner, |scanner, _| scanner.value().map(|_| ()))
    }

    fn name<'a>(&'a self, body: &'a [u8], member: &'a Member) -> &'a [u8] {
        match &member.unescaped {
            Some(text) => text.as_bytes(),
            None => body.get(member.name.clone()).unwrap_or_default(),
        }
    }

    /// Where the value of the member `name` stands.
    pub(crate) fn find(&self, body: &[u8], name: &str) -> Option<Range<usize>> {
        let member = self.members.iter().find(|member| self.name(body, member) == name.as_bytes())?;
        Some(member.value.clone())
    }

    /// Sets the members of `set` to raw values and removes those that `remove` names; a name in both is set, a name
    /// twice in `set` counts once. A value
    /// that is already there is replaced in its place, a new one goes to the end.
    pub(crate) fn edit(
        &self,
        body: &[u8],
        set: &[(&str, &str)],
        remove: impl Fn(&str) -> bool,
        edits: &mut Edits,
    ) {
        let mut last_kept: Option<&Member> = None;
        let mut present = vec![false; set.len()];
        let mut next = self.members.iter().skip(1);
        let mut before: Option<&Member> = None;
        for member in &self.members {
            let name = std::str::from_utf8(self.name(body, member)).unwrap_or_default();
            let after = next.next();
            if let Some(index) = set.iter().position(|(key, _)| *key == name) {
                if let (Some((_, raw)), Some(present)) = (set.get(index), present.get_mut(index)) {
                    edits.replace(member.value.clone(), raw.as_bytes());
                    *present = true;
                }
                last_kept = Some(member);
            } else if remove(name) {
                // One comma goes with each member: the one before it, or, while nothing is kept yet, the one after it.
                let gone = match (last_kept.and(before), after) {
                    (Some(before), _) => before.value.end..member.value.end,
                    (None, Some(after)) => member.start()..after.start(),
                    (None, None) => member.start()..member.value.end,
                };
                edits.replace(gone, b"");
            } else {
                last_kept = Some(member);
            }
            before = Some(member);
        }
        let repeated = |index: usize, key: &str| set.iter().take(index).any(|(earlier, _)| *earlier == key);
        let missing = set.iter().zip(&present).enumerate();
        let missing = missing.filter(|(index, ((key, _), present))| !**present && !repeated(*index, key));
        let text = members_text(missing.map(|(_, ((key, raw), _))| (*key, *raw)));
        if !text.is_empty() {
            match last_kept {
                Some(last) => edits.insert(last.value.end, format!(",{text}").as_bytes()),
                None => edits.insert(self.span.start + 1, text.as_bytes()),
            }
        }
    }
}

impl Member {
    /// Where the opening quote of the name stands.
    fn start(&self) -> usize {
        self.name.start.saturating_sub(1)
    }
}

/// `"key":raw` joined by commas.
pub(crate) fn members_text<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (key, raw) in members {
        debug_assert!(
            crate::json::check(raw.as_bytes(), crate::json::Limits::UPSTREAM).is_ok(),
            "a spliced value is one JSON value"
        );
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&quote(key));
        text.push(':');
        text.push_str(raw);
    }
    text
}

/// Replacements of ranges of one text that do not overlap.
#[derive(Debug, Default)]
pub(crate) struct Edits(Vec<(Range<usize>, Vec<u8>)>);

impl Edits {
    pub(crate) fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        self.0.push((range, with.to_vec()));
    }

    pub(crate) fn insert(&mut self, at: usize, what: &[u8]) {
        self.replace(at..at, what);
    }

    /// `body` with the replacements made; without any, the same bytes without a copy.
    pub(crate) fn apply(mut self, body: &Bytes) -> Bytes {
        if self.0.is_empty() {
            return body.clone();
        }
        // An insertion stands before a removal that starts at the same place.
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let added: usize = self.0.iter().map(|(_, with)| with.len()).sum();
        let mut out = BytesMut::with_capacity(body.len() + added);
        let mut at = 0;
        for (range, with) in &self.0 {
            out.extend_from_slice(body.get(at..range.start).unwrap_or_default());
            out.extend_from_slice(with);
            at = range.end;
        }
        out.extend_from_slice(body.get(at..).unwrap_or_default());
        out.freeze()
    }
}

#[cfg(test)]
impl Object {
    /// The unescaped names, in their order.
    pub(crate) fn names(&self, body: &[u8]) -> Vec<String> {
        self.members
            .iter()
            .map(|member| String::from_utf8(self.name(body, member).to_vec()).unwrap())
            .collect()
    }
}
