//! The cursor that walks a text by the grammar and hands out ranges.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::{JsonError, Limits, text};

/// Up to here the names of one object are compared one by one; beyond, a hash set with a random key takes over, so that
/// a stranger cannot make the comparison quadratic.
const NAMES_COMPARED_MAX: usize = 16;

/// A number without an exponent and with so few characters is smaller than what a double can hold.
const USUAL_CHARS_MAX: usize = 300;

/// The names of an object that has many, or some with escapes.
type Many<'a> = Option<Box<HashSet<Cow<'a, [u8]>>>>;

/// A string token: the range between its quotes.
pub(crate) struct StringToken {
    pub(crate) inner: Range<usize>,
    pub(crate) escaped: bool,
}

/// A member name as the scanner met it.
#[derive(Clone, Debug)]
pub struct Name<'a> {
    /// The name, unescaped.
    pub(crate) text: Cow<'a, str>,
    /// Where it stands between its quotes.
    pub(crate) inner: Range<usize>,
}

impl Name<'_> {
    /// The name, unescaped.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name, where it was written with escapes and so differs from its place in the text.
    pub(crate) fn unescaped(&self) -> Option<Box<str>> {
        match &self.text {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text.as_str().into()),
        }
    }
}

/// A cursor over a text that is known to be UTF-8. It hands out what it passes and builds no tree.
///
/// Every method that scans a value wants the cursor on the value's first byte ([`Scanner::peek`] shows it) and leaves it
/// behind the last one. What a method accepts is strict JSON within the bounds of the scan, whoever calls it in which order.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    limits: Limits,
    has_unusual_number: bool,
    /// Names met so far in the objects that are open, the outer ones first; not those of objects with many or with escapes.
    names: Vec<&'a [u8]>,
}

impl<'a> Scanner<'a> {
    /// A cursor at the start of `bytes`.
    ///
    /// # Errors
    /// A byte order mark, or what is not UTF-8.
    pub fn new(bytes: &'a [u8], limits: Limits) -> Result<Self, JsonError> {
        if bytes.starts_with(b"\xef\xbb\xbf") {
            return Err(JsonError::ByteOrderMark);
        }
        let text =
            std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 { at: error.valid_up_to() })?;
        Ok(Self { text, at: 0, depth: 0, limits, has_unusual_number: false, names: Vec::with_capacity(24) })
    }

    /// Runs `value` between leading and trailing whitespace and wants the end of the text after it.
    ///
    /// # Errors
    /// What `value` says, or that something follows it.
    pub fn whole<T, E: From<JsonError>>(
        &mut self,
        value: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.whitespace();
        let found = value(self)?;
        self.whitespace();
        if self.at < self.text.len() {
            return Err(JsonError::TrailingData { at: self.at }.into());
        }
        Ok(found)
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The byte under the cursor: it tells which kind of value starts here.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// All of the text, wherever the cursor stands.
    pub(crate) fn whole_text(&self) -> &'a str {
        self.text
    }

    /// The text of a range that this cursor handed out.
    pub fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[cold]
    fn error(&self, expected: &'static str) -> JsonError {
        match self.peek() {
            Some(_) => JsonError::Syntax { at: self.at, expected },
            None => JsonError::Truncated,
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.error(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Scans one value of any kind.
    ///
    /// # Errors
    /// What is not strict JSON.
    #[inline]
    pub fn value(&mut self) -> Result<Range<usize>, JsonError> {
        let start = self.at;
        self.skip()?;
        Ok(start..self.at)
    }

    /// Most values are strings and numbers: they need no call.
    #[inline(always)]
    fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.skip_other(),
        }
    }

    fn skip_other(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{') => self.members(|scanner, _| scanner.skip()),
            Some(b'[') => self.array(Self::skip).map(|_| ()),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(self.error("the start of a value")),
        }
    }

    #[inline]
    fn literal<const LENGTH: usize>(&mut self, word: &[u8; LENGTH]) -> Result<(), JsonError> {
        if self.rest().first_chunk() != Some(word) {
            return Err(self.error("true, false or null"));
        }
        self.at += LENGTH;
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.error("a digit")) } else { Ok(()) }
    }

    #[inline]
    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let has_exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if has_exponent {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let chars_max = self.limits.number_chars_max;
        let chars = self.at - start;
        if chars > chars_max {
            return Err(JsonError::NumberTooLong { at: start, chars_max });
        }
        self.has_unusual_number |= has_exponent || chars > USUAL_CHARS_MAX;
        Ok(())
    }

    /// Scans a string; the cursor stands on its opening quote.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<StringToken, JsonError> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        self.at += text::plain_run(self.rest());
        let escaped = self.peek() != Some(b'"');
        if escaped {
            self.escaped_string()?;
        }
        let end = self.at;
        self.at += 1;
        Ok(StringToken { inner: start..end, escaped })
    }

    /// The rest of a string from its first escape on, up to the closing quote.
    #[cold]
    fn escaped_string(&mut self) -> Result<(), JsonError> {
        loop {
            match self.peek() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape()?,
                _ => return Err(self.error("a character of a string")),
            }
            self.at += text::plain_run(self.rest());
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let lone = JsonError::LoneSurrogate { at: start };
                match self.code_unit()? {
                    0xd800..=0xdbff => {
                        if !self.rest().starts_with(b"\\u") {
                            return Err(lone);
                        }
                        self.at += 1;
                        if !matches!(self.code_unit()?, 0xdc00..=0xdfff) {
                            return Err(lone);
                        }
                    }
                    0xdc00..=0xdfff => return Err(lone),
                    _ => {}
                }
            }
            _ => return Err(self.error("an escape")),
        }
        Ok(())
    }

    /// Reads `uXXXX`; the cursor stands on the `u`.
    fn code_unit(&mut self) -> Result<u16, JsonError> {
        self.at += 1;
        let mut unit: u16 = 0;
        for _ in 0..4 {
            let digit =
                self.peek().and_then(text::hex_digit).ok_or_else(|| self.error("a hexadecimal digit"))?;
            unit = unit << 4 | u16::from(digit);
            self.at += 1;
        }
        Ok(unit)
    }

    /// Scans a string and unescapes it.
    ///
    /// # Errors
    /// What is no string of strict JSON.
    pub fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let token = self.string()?;
        Ok(self.unescape(&token))
    }

    /// Whether a number was met that a double may not hold: one with an exponent, or with hundreds of characters.
    pub fn has_unusual_number(&self) -> bool {
        self.has_unusual_number
    }

    #[inline]
    pub(crate) fn unescape(&self, token: &StringToken) -> Cow<'a, str> {
        let inner = self.slice(token.inner.clone());
        if token.escaped { Cow::Owned(text::unescape(inner)) } else { Cow::Borrowed(inner) }
    }

    /// The same as bytes: where nothing was escaped, those of the text.
    #[inline]
    pub(crate) fn unescaped(&self, token: &StringToken) -> Cow<'a, [u8]> {
        let inner = self.text.as_bytes().get(token.inner.clone()).unwrap_or_default();
        if token.escaped {
            Cow::Owned(self.unescape(token).into_owned().into_bytes())
        } else {
            Cow::Borrowed(inner)
        }
    }

    #[inline]
    fn enter(&mut self) -> Result<(), JsonError> {
        let depth_max = self.limits.depth_max;
        if self.depth >= depth_max {
            return Err(JsonError::TooDeep { at: self.at, depth_max });
        }
        self.depth += 1;
        self.at += 1;
        self.whitespace();
        Ok(())
    }

    /// Scans an array; `element` must consume exactly one value.
    ///
    /// # Errors
    /// What is not strict JSON, or what `element` says.
    pub fn array<E: From<JsonError>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<Range<usize>, E> {
        let start = self.at;
        self.enter()?;
        if self.peek() == Some(b']') {
            self.leave();
            return Ok(start..self.at);
        }
        loop {
            element(self)?;
            self.whitespace();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.leave();
                    return Ok(start..self.at);
                }
                _ => return Err(self.error("a comma or the end of an array").into()),
            }
            self.whitespace();
        }
    }

    /// Scans an object; `member` must consume exactly one value, that of the name it is given.
    ///
    /// # Errors
    /// What is not strict JSON, or what `member` says.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, &Name<'a>) -> Result<(), E>,
    ) -> Result<Range<usize>, E> {
        let start = self.at;
        self.members(|scanner, token| {
            let name = Name { text: scanner.unescape(token), inner: token.inner.clone() };
            member(scanner, &name)
        })?;
        Ok(start..self.at)
    }

    /// The members of an object, their names by where they stand.
    #[inline]
    pub(crate) fn members<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, &StringToken) -> Result<(), E>,
    ) -> Result<(), E> {
        let outer = self.names.len();
        let mut many = None;
        self.enter()?;
        if self.peek() == Some(b'}') {
            self.leave();
            return Ok(());
        }
        loop {
            let name = self.name()?;
            self.unique(&name, outer, &mut many)?;
            member(self, &name)?;
            self.whitespace();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.names.truncate(outer);
                    self.leave();
                    return Ok(());
                }
                _ => return Err(self.error("a comma or the end of an object").into()),
            }
            self.whitespace();
        }
    }

    #[inline]
    fn leave(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    #[inline(always)]
    fn name(&mut self) -> Result<StringToken, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.error("a member name"));
        }
        let token = self.string()?;
        self.whitespace();
        self.expect(b':', "a colon")?;
        self.whitespace();
        Ok(token)
    }

    /// Notes the name of a member. Few and plain ones are compared one by one, others by their hashes.
    #[inline(always)]
    fn unique(&mut self, name: &StringToken, outer: usize, many: &mut Many<'a>) -> Result<(), JsonError> {
        let met = self.names.get(outer..).unwrap_or_default();
        let is_new = if !name.escaped && many.is_none() && met.len() < NAMES_COMPARED_MAX {
            let text = self.text.as_bytes().get(name.inner.clone()).unwrap_or_default();
            // Most names differ by their length or first letter, which needs no call.
            let is_new =
                !met.iter().any(|met| met.len() == text.len() && met.first() == text.first() && *met == text);
            self.names.push(text);
            is_new
        } else {
            self.unique_of_many(name, outer, many)
        };
        if is_new { Ok(()) } else { Err(JsonError::DuplicateName { at: name.inner.start.saturating_sub(1) }) }
    }

    #[cold]
    fn unique_of_many(&self, name: &StringToken, outer: usize, many: &mut Many<'a>) -> bool {
        let met = self.names.get(outer..).unwrap_or_default();
        let plain = || Box::new(met.iter().map(|name| Cow::Borrowed(*name)).collect());
        many.get_or_insert_with(plain).insert(self.unescaped(name))
    }
}
