//! The texts of a raw JSON value, one by one, each with its place: values and member names alike, since a model is shown both.
//!
//! Read by the strict scanner, so that a text is seen here if and only if whoever reads the answer sees it, and nothing is held as a
//! tree: a result may be megabytes long.

use std::borrow::Cow;
use std::ops::Range;

use tollgate_mcp::json::{self, JsonError, Limits, Scanner};

use super::places::Kind;
use super::withheld::{self, Sought};

/// One text of a raw value.
#[derive(Debug)]
pub(super) struct Text<'w> {
    /// Where it stands: a JSON pointer, in which nothing is repeated that must not be.
    pub(super) pointer: &'w str,
    /// What it says.
    pub(super) says: &'w str,
    /// Where it is written, in bytes, between its quotes; `None` for the name of a member, of which only the place is known.
    pub(super) written: Option<Range<usize>>,
    /// What it is.
    pub(super) kind: Kind,
}

/// Hands over every text of `raw` in its order, for as long as `see` wants more.
///
/// # Errors
/// What `see` says, and [`JsonError`] where `raw` is not exactly one strict JSON value; what was seen by then was seen.
pub(super) fn walk<E: From<JsonError>>(
    raw: &[u8],
    see: impl FnMut(Text<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut walk = Walk { pointer: String::new(), see };
    Scanner::new(raw, Limits::UPSTREAM)?.whole(|scanner| walk.value(scanner))
}

/// What is written between the quotes of a JSON string, as it is read.
pub(super) fn read(written: &str) -> Cow<'_, str> {
    if written.contains('\\') {
        // It was scanned before, so there is always something to read.
        Cow::Owned(json::string(format!("\"{written}\"").as_bytes()).unwrap_or_default())
    } else {
        Cow::Borrowed(written)
    }
}

struct Walk<S> {
    pointer: String,
    see: S,
}

impl<S> Walk<S> {
    fn value<E: From<JsonError>>(&mut self, scanner: &mut Scanner<'_>) -> Result<(), E>
    where
        S: FnMut(Text<'_>) -> Result<(), E>,
    {
        match scanner.peek() {
            Some(b'"') => {
                let literal = scanner.value()?;
                let written = literal.start + 1..literal.end - 1;
                let says = read(scanner.slice(written.clone()));
                let written = Some(written);
                (self.see)(Text { pointer: &self.pointer, says: &says, written, kind: Kind::Text })
            }
            Some(b'[') => {
                let mut index = 0_usize;
                let elements = scanner.array(|scanner| {
                    let read = self.at(&index.to_string(), |walk| walk.value(scanner));
                    index += 1;
                    read
                });
                elements.map(drop)
            }
            Some(b'{') => {
                let members = scanner.object(|scanner, name| {
                    let says = name.text();
                    // A name can be a key too, and a place is shown.
                    let shown = withheld::without(says, &withheld::find(says, Sought::Everything));
                    self.at(&shown, |walk| {
                        // A name that hides something is as good a place as any.
                        let pointer = walk.pointer.as_str();
                        (walk.see)(Text { pointer, says, written: None, kind: Kind::MemberName })?;
                        walk.value(scanner)
                    })
                });
                members.map(drop)
            }
            _ => scanner.value().map(drop).map_err(E::from),
        }
    }

    fn at<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let read = read(self);
        self.pointer.truncate(before);
        read
    }
}
