//! One pass over a value that writes its canonical form: no tree in between.
//!
//! Members are written in the order in which they come, each with a comma behind it; an object whose names turn out to be
//! unsorted is put in order once its last member is written. Most objects of most clients need that once at most.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use crate::json::{JsonError, Scanner, quote_into};

/// The text written so far, and the members of the objects that are still open.
pub(super) struct Writer<'a> {
    out: String,
    members: Vec<Member<'a>>,
    /// Where members are put in order; kept to be used again.
    sorted: String,
}

/// A member of an open object: its name, and where its text stands, comma included.
struct Member<'a> {
    name: Cow<'a, str>,
    text: Range<usize>,
}

impl<'a> Writer<'a> {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), members: Vec::new(), sorted: String::new() }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out.into_bytes()
    }

    /// Writes one value; of an object, without the members named in `omitted`.
    pub(super) fn value(&mut self, scanner: &mut Scanner<'a>, omitted: &[&str]) -> Result<(), JsonError> {
        match scanner.peek() {
            Some(b'"') => {
                let token = scanner.string()?;
                let text = scanner.unescape(&token);
                self.text(&text, matches!(text, Cow::Owned(_)));
            }
            Some(b'[') => {
                self.out.push('[');
                scanner.array(|scanner| {
                    self.value(scanner, &[])?;
                    self.out.push(',');
                    Ok::<_, JsonError>(())
                })?;
                self.close(']');
            }
            Some(b'{') => self.object(scanner, omitted)?,
            _ => {
                let span = scanner.value()?;
                self.out.push_str(scanner.slice(span));
            }
        }
        Ok(())
    }

    fn object(&mut self, scanner: &mut Scanner<'a>, omitted: &[&str]) -> Result<(), JsonError> {
        let (first, mut in_order) = (self.members.len(), true);
        self.out.push('{');
        let begin = self.out.len();
        scanner.object(|scanner, name| {
            let start = self.out.len();
            self.text(&name.text, matches!(name.text, Cow::Owned(_)));
            self.out.push(':');
            self.value(scanner, &[])?;
            self.out.push(',');
            if omitted.contains(&name.text.as_ref()) {
                self.out.truncate(start);
                return Ok(());
            }
            let before = self.members.get(first..).and_then(<[Member<'_>]>::last);
            in_order &= before.is_none_or(|before| order(&before.name, &name.text).is_lt());
            self.members.push(Member { name: name.text.clone(), text: start..self.out.len() });
            Ok::<_, JsonError>(())
        })?;
        if !in_order && let Some(members) = self.members.get_mut(first..) {
            members.sort_unstable_by(|left, right| order(&left.name, &right.name));
            self.sorted.clear();
            let texts = members.iter().filter_map(|member| self.out.get(member.text.clone()));
            texts.for_each(|text| self.sorted.push_str(text));
            self.out.truncate(begin);
            self.out.push_str(&self.sorted);
        }
        self.members.truncate(first);
        self.close('}');
        Ok(())
    }

    /// Ends an array or object: the comma behind its last part, if it has one, gives way.
    fn close(&mut self, end: char) {
        if self.out.ends_with(',') {
            self.out.pop();
        }
        self.out.push(end);
    }

    /// Writes a text. One that was spelled without escapes has nothing to escape.
    fn text(&mut self, text: &str, was_escaped: bool) {
        if was_escaped {
            quote_into(text, &mut self.out);
        } else {
            self.out.push('"');
            self.out.push_str(text);
            self.out.push('"');
        }
    }
}

/// By UTF-16 code units (RFC 8785 section 3.2.3). UTF-8 sorts by code points, which is the same but for one pair of ranges:
/// characters past U+FFFF (lead bytes from F0) are surrogates in UTF-16, and stand before U+E000 … U+FFFF (EE and EF).
fn order(left: &str, right: &str) -> Ordering {
    let rank = |byte: u8| if matches!(byte, 0xee | 0xef) { byte | 0x10 } else { byte };
    left.bytes().map(rank).cmp(right.bytes().map(rank))
}
