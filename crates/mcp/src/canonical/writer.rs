//! One pass over a value that writes its canonical form: no tree in between.
//!
//! Most of what clients write is canonical as it stands, so the form is copied from the text in runs: a run goes on while the
//! next part of the form also comes next in the text, and is copied once it ends, at a space or an escape. Members are written
//! in the order in which they come; an object whose names turn out to be unsorted is put in order once its last member is
//! written.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::mem;
use std::ops::Range;

use crate::json::{JsonError, Name, Scanner, quote_into};

/// The form so far, and the members of the objects that are still open.
pub(super) struct Writer<'a> {
    text: &'a str,
    out: String,
    /// The part of the text that belongs behind `out`.
    run: Range<usize>,
    members: Vec<Member<'a>>,
}

/// A member of an open object: its name, and where it stands in the form.
struct Member<'a> {
    name: Cow<'a, str>,
    place: Range<usize>,
}

impl<'a> Writer<'a> {
    /// A writer of what `text` says.
    pub(super) fn new(text: &'a str) -> Self {
        let (out, members) = (String::with_capacity(text.len()), Vec::with_capacity(16));
        Self { text, out, run: 0..0, members }
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.end_run();
        self.out.into_bytes()
    }

    /// Writes one value; of an object, without the members named in `omitted`.
    pub(super) fn value(&mut self, scanner: &mut Scanner<'a>, omitted: &[&str]) -> Result<(), JsonError> {
        match scanner.peek() {
            Some(b'"') => {
                let token = scanner.string()?;
                let says = scanner.unescape(&token);
                self.string(&token.inner, matches!(says, Cow::Owned(_)).then_some(&says));
            }
            Some(b'[') => {
                self.mark(b'[');
                let mut is_first = true;
                scanner.array(|scanner| {
                    if !mem::take(&mut is_first) {
                        self.mark(b',');
                    }
                    self.value(scanner, &[])
                })?;
                self.mark(b']');
            }
            Some(b'{') => self.object(scanner, omitted)?,
            _ => {
                let token = scanner.value()?;
                self.token(token);
            }
        }
        Ok(())
    }

    fn object(&mut self, scanner: &mut Scanner<'a>, omitted: &[&str]) -> Result<(), JsonError> {
        let (outer, mut in_order) = (self.members.len(), true);
        self.mark(b'{');
        let begin = self.len();
        scanner.object(|scanner, name| {
            if omitted.contains(&name.text()) {
                return scanner.value().map(drop);
            }
            if let Some(before) = self.members.get(outer..).and_then(<[Member<'_>]>::last) {
                in_order &= order(&before.name, name.text()).is_lt();
                self.mark(b',');
            }
            let start = self.len();
            self.name(name, scanner.at());
            self.value(scanner, &[])?;
            self.members.push(Member { name: name.text.clone(), place: start..self.len() });
            Ok(())
        })?;
        if !in_order {
            self.sort(outer, begin);
        }
        self.members.truncate(outer);
        self.mark(b'}');
        Ok(())
    }

    /// Puts the members from `outer` on in order; the first of them stands at `begin`.
    fn sort(&mut self, outer: usize, begin: usize) {
        self.end_run();
        let end = self.out.len();
        let members = self.members.get_mut(outer..).unwrap_or_default();
        members.sort_unstable_by(|left, right| order(&left.name, &right.name));
        for member in members {
            if self.out.len() > end {
                self.out.push(',');
            }
            self.out.extend_from_within(member.place.clone());
        }
        self.out.drain(begin..end);
    }

    /// A name and its colon, behind which the text goes on `at`.
    #[inline]
    fn name(&mut self, name: &Name<'a>, at: usize) {
        if matches!(name.text, Cow::Borrowed(_)) && at == name.inner.end + 2 {
            self.token(name.inner.start - 1..at);
        } else {
            self.string(&name.inner, matches!(name.text, Cow::Owned(_)).then_some(&name.text));
            self.mark(b':');
        }
    }

    /// A string between its quotes, and what it says if it was spelled with escapes: one without has nothing to escape.
    fn string(&mut self, inner: &Range<usize>, says: Option<&str>) {
        let token = inner.start - 1..inner.end + 1;
        match says {
            None => self.token(token),
            Some(says) => {
                self.end_run();
                quote_into(says, &mut self.out);
                self.run = token.end..token.end;
            }
        }
    }

    /// A part of the text that is canonical as it stands.
    #[inline(always)]
    fn token(&mut self, token: Range<usize>) {
        if token.start != self.run.end {
            self.end_run();
            self.run.start = token.start;
        }
        self.run.end = token.end;
    }

    /// A bracket, comma or colon, which may stand next in the text or not.
    #[inline(always)]
    fn mark(&mut self, mark: u8) {
        if self.text.as_bytes().get(self.run.end) == Some(&mark) {
            self.run.end += 1;
        } else {
            self.end_run();
            self.out.push(char::from(mark));
        }
    }

    #[inline]
    fn end_run(&mut self) {
        self.out.push_str(self.text.get(self.run.clone()).unwrap_or_default());
        self.run.start = self.run.end;
    }

    /// How long the form is by now.
    #[inline]
    fn len(&self) -> usize {
        self.out.len() + self.run.len()
    }
}

/// By UTF-16 code units (RFC 8785 section 3.2.3). UTF-8 sorts by code points, which is the same but for one pair of ranges:
/// characters past U+FFFF (lead bytes from F0) are surrogates in UTF-16, and stand before U+E000 … U+FFFF (EE and EF).
fn order(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let rank = |name: &[u8]| {
        name.get(same).map(|byte| if matches!(byte, 0xee | 0xef) { byte | 0x10 } else { *byte })
    };
    rank(left).cmp(&rank(right))
}
