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

use crate::json::{JsonError, Scanner, StringToken, quote};

/// The form so far, and the members of the objects that are still open.
pub(super) struct Writer<'a> {
    text: &'a [u8],
    out: Vec<u8>,
    /// The part of the text that belongs behind `out`.
    run: Range<usize>,
    members: Vec<Member<'a>>,
}

/// A member of an open object: its name, and where it stands in the form.
struct Member<'a> {
    name: Cow<'a, [u8]>,
    place: Range<usize>,
}

impl<'a> Writer<'a> {
    /// A writer of what `text` says.
    pub(super) fn new(text: &'a str) -> Self {
        let (out, members) = (Vec::with_capacity(text.len()), Vec::with_capacity(16));
        Self { text: text.as_bytes(), out, run: 0..0, members }
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.end_run();
        self.out
    }

    /// Writes one value; of an object, without the members named in `omitted`.
    #[inline]
    pub(super) fn value(&mut self, scanner: &mut Scanner<'a>, omitted: &[&str]) -> Result<(), JsonError> {
        match scanner.peek() {
            Some(b'"') => {
                let token = scanner.string()?;
                self.string(scanner, &token);
                Ok(())
            }
            Some(b'{') => self.object(scanner, omitted),
            Some(b'[') => self.array(scanner),
            _ => {
                let token = scanner.value()?;
                self.token(token);
                Ok(())
            }
        }
    }

    fn array(&mut self, scanner: &mut Scanner<'a>) -> Result<(), JsonError> {
        self.mark(b'[');
        let mut is_first = true;
        scanner.array(|scanner| {
            if !mem::take(&mut is_first) {
                self.mark(b',');
            }
            self.value(scanner, &[])
        })?;
        self.mark(b']');
        Ok(())
    }

    fn object(&mut self, scanner: &mut Scanner<'a>, omitted: &[&str]) -> Result<(), JsonError> {
        let (outer, mut in_order) = (self.members.len(), true);
        self.mark(b'{');
        let begin = self.len();
        scanner.members(|scanner, token| {
            let name = scanner.unescaped(token);
            if omitted.iter().any(|omitted| omitted.as_bytes() == &*name) {
                return scanner.value().map(drop);
            }
            if self.members.len() > outer {
                self.mark(b',');
            }
            let start = self.len();
            self.name(scanner, token);
            self.value(scanner, &[])?;
            let before = self.members.get(outer..).and_then(<[Member<'_>]>::last);
            in_order &= before.is_none_or(|before| order(&before.name, &name).is_lt());
            self.members.push(Member { name, place: start..self.len() });
            Ok::<_, JsonError>(())
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
        self.out.reserve(end - begin);
        for member in members {
            if self.out.len() > end {
                self.out.push(b',');
            }
            self.out.extend_from_within(member.place.clone());
        }
        self.out.copy_within(end.., begin);
        self.out.truncate(end);
    }

    /// A name and its colon, behind which the cursor stands.
    #[inline]
    fn name(&mut self, scanner: &Scanner<'a>, token: &StringToken) {
        if !token.escaped && scanner.at() == token.inner.end + 2 {
            self.token(token.inner.start - 1..scanner.at());
        } else {
            self.string(scanner, token);
            self.mark(b':');
        }
    }

    /// A string. One that is spelled without escapes has nothing to escape.
    #[inline]
    fn string(&mut self, scanner: &Scanner<'a>, token: &StringToken) {
        let whole = token.inner.start - 1..token.inner.end + 1;
        if !token.escaped {
            return self.token(whole);
        }
        self.end_run();
        self.out.extend_from_slice(quote(&scanner.unescape(token)).as_bytes());
        self.run = whole.end..whole.end;
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
        if self.text.get(self.run.end) == Some(&mark) {
            self.run.end += 1;
        } else {
            self.end_run();
            self.out.push(mark);
        }
    }

    #[inline]
    fn end_run(&mut self) {
        self.out.extend_from_slice(self.text.get(self.run.clone()).unwrap_or_default());
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
#[inline]
fn order(left: &[u8], right: &[u8]) -> Ordering {
    let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let rank = |name: &[u8]| {
        name.get(same).map(|byte| if matches!(byte, 0xee | 0xef) { byte | 0x10 } else { *byte })
    };
    rank(left).cmp(&rank(right))
}
