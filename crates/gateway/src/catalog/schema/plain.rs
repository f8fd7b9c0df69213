//! The plain part of JSON Schema, checked on the bytes of the arguments: no tree of them is built.
//!
//! Most schemas of tools say types, members, items, lengths and bounds, and no more. Owns those keywords and only the answer
//! "they fit": where that is not certain, the library is asked, which also has the words for what does not fit. So a doubt
//! costs time and never changes a verdict; that no "fits" is wrong is what the property test beside this file is for.

mod reading;

#[cfg(test)]
mod tests;

use tollgate_mcp::json::{JsonError, Limits, Scanner};

/// Digits of a number that a double holds exactly, whoever reads it.
const EXACT_DIGITS_MAX: usize = 15;

/// A schema that says only plain things.
#[derive(Debug)]
pub(super) struct Plain(Rule);

/// What one place of the arguments must be.
#[derive(Debug)]
enum Rule {
    Anything,
    Nothing,
    Constrained(Box<Constraints>),
}

/// Every keyword binds only values of its kind; what a schema does not say is as wide as can be.
#[derive(Debug)]
struct Constraints {
    kinds: Kinds,
    /// `enum` or `const`.
    values: Option<Vec<Scalar>>,
    bounds: Bounds,
    characters: Count,
    items: Rule,
    item_count: Count,
    /// The members that the schema names, by name.
    members: Vec<Member>,
    required_count: usize,
    /// Members that it does not name.
    other_members: Rule,
    /// `anyOf`; empty where the schema has none.
    any_of: Vec<Rule>,
}

#[derive(Debug)]
struct Member {
    name: Box<str>,
    is_required: bool,
    /// `None`: the name is only required.
    rule: Option<Rule>,
}

/// A set of kinds of values, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Kinds(u8);

impl Kinds {
    const NULL: Self = Self(1);
    const BOOLEAN: Self = Self(1 << 1);
    const INTEGER: Self = Self(1 << 2);
    const FRACTION: Self = Self(1 << 3);
    const NUMBER: Self = Self::INTEGER.or(Self::FRACTION);
    const STRING: Self = Self(1 << 4);
    const ARRAY: Self = Self(1 << 5);
    const OBJECT: Self = Self(1 << 6);
    const ALL: Self = Self(0x7f);

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A value of `enum` or `const` that can be told from its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Scalar {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(Box<str>),
}

/// How many: both ends included.
#[derive(Clone, Copy, Debug)]
struct Count {
    min: u64,
    max: u64,
}

impl Count {
    const ANY: Self = Self { min: 0, max: u64::MAX };

    fn check(self, count: usize) -> Result<(), Unsure> {
        let count = u64::try_from(count).map_err(|_| Unsure)?;
        certain((self.min..=self.max).contains(&count))
    }
}

/// `minimum`, `exclusiveMinimum`, `maximum`, `exclusiveMaximum`.
#[derive(Clone, Copy, Default, Debug)]
struct Bounds {
    min: Option<f64>,
    above: Option<f64>,
    max: Option<f64>,
    below: Option<f64>,
}

impl Bounds {
    fn check(self, token: &str) -> Result<(), Unsure> {
        let Self { min, above, max, below } = self;
        if [min, above, max, below].iter().all(Option::is_none) {
            return Ok(());
        }
        let number = exact(token).ok_or(Unsure)?;
        certain(
            min.is_none_or(|min| number >= min)
                && above.is_none_or(|above| number > above)
                && max.is_none_or(|max| number <= max)
                && below.is_none_or(|below| number < below),
        )
    }
}

/// It may not fit: the library decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Unsure;

impl From<JsonError> for Unsure {
    fn from(_: JsonError) -> Self {
        Self
    }
}

fn certain(fits: bool) -> Result<(), Unsure> {
    if fits { Ok(()) } else { Err(Unsure) }
}

impl Plain {
    /// Whether these arguments, which passed the strict parser, certainly fit.
    pub(super) fn fits(&self, arguments: &[u8]) -> bool {
        (arguments.starts_with(b"{") && self.0.takes_every_object()) || self.0.fits(arguments)
    }
}

impl Rule {
    /// Whether there is nothing about an object to look at.
    fn takes_every_object(&self) -> bool {
        match self {
            Self::Anything => true,
            Self::Nothing => false,
            Self::Constrained(constraints) => constraints.takes_every_object(),
        }
    }

    fn fits(&self, raw: &[u8]) -> bool {
        let Ok(mut scanner) = Scanner::new(raw, Limits::CALLER) else { return false };
        let checked = scanner.whole(|scanner| self.check(scanner));
        // The library reads numbers as doubles and refuses those that are none.
        checked.is_ok() && !scanner.has_unusual_number()
    }

    fn check(&self, scanner: &mut Scanner<'_>) -> Result<(), Unsure> {
        match self {
            Self::Anything => Ok(scanner.value().map(|_| ())?),
            Self::Nothing => Err(Unsure),
            Self::Constrained(constraints) => constraints.check(scanner),
        }
    }
}

impl Constraints {
    fn takes_every_object(&self) -> bool {
        self.kinds.has(Kinds::OBJECT)
            && self.values.is_none()
            && self.members.is_empty()
            && self.any_of.is_empty()
            && matches!(self.other_members, Rule::Anything)
    }

    fn check(&self, scanner: &mut Scanner<'_>) -> Result<(), Unsure> {
        if self.any_of.is_empty() {
            return self.check_by_kind(scanner);
        }
        let span = scanner.value()?;
        let raw = scanner.slice(span).as_bytes();
        certain(self.any_of.iter().any(|rule| rule.fits(raw)))?;
        Scanner::new(raw, Limits::CALLER)?.whole(|scanner| self.check_by_kind(scanner))
    }

    fn check_by_kind(&self, scanner: &mut Scanner<'_>) -> Result<(), Unsure> {
        match scanner.peek() {
            Some(b'{') => self.check_object(scanner),
            Some(b'[') => self.check_array(scanner),
            Some(b'"') => self.check_text(scanner),
            _ => self.check_scalar(scanner),
        }
    }

    fn check_object(&self, scanner: &mut Scanner<'_>) -> Result<(), Unsure> {
        certain(self.kinds.has(Kinds::OBJECT) && self.values.is_none())?;
        if self.members.is_empty() && matches!(self.other_members, Rule::Anything) {
            return Ok(scanner.value().map(|_| ())?);
        }
        // The scanner refuses a name that appears twice, so counting the required ones is enough.
        let mut required_left = self.required_count;
        scanner.object(|scanner, name| {
            let named = self.members.binary_search_by(|member| (*member.name).cmp(name.text()));
            let member = named.ok().and_then(|index| self.members.get(index));
            required_left =
                required_left.saturating_sub(usize::from(member.is_some_and(|member| member.is_required)));
            member.and_then(|member| member.rule.as_ref()).unwrap_or(&self.other_members).check(scanner)
        })?;
        certain(required_left == 0)
    }

    fn check_array(&self, scanner: &mut Scanner<'_>) -> Result<(), Unsure> {
        certain(self.kinds.has(Kinds::ARRAY) && self.values.is_none())?;
        let mut count: usize = 0;
        scanner.array(|scanner| {
            count = count.saturating_add(1);
            self.items.check(scanner)
        })?;
        self.item_count.check(count)
    }

    fn check_text(&self, scanner: &mut Scanner<'_>) -> Result<(), Unsure> {
        certain(self.kinds.has(Kinds::STRING))?;
        let text = scanner.text()?;
        if let Some(values) = &self.values {
            certain(values.iter().any(|value| matches!(value, Scalar::Text(one) if **one == *text)))?;
        }
        // Characters are code points (2020-12 Validation, section 6.3.1). A text has no more of them than bytes.
        match self.characters {
            Count { min: 0, max } if u64::try_from(text.len()).is_ok_and(|bytes| bytes <= max) => Ok(()),
            characters => characters.check(text.chars().count()),
        }
    }

    /// Null, booleans and numbers.
    fn check_scalar(&self, scanner: &mut Scanner<'_>) -> Result<(), Unsure> {
        let span = scanner.value()?;
        let token = scanner.slice(span);
        let (kind, value) = match token {
            "null" => (Kinds::NULL, Some(Scalar::Null)),
            "true" => (Kinds::BOOLEAN, Some(Scalar::Boolean(true))),
            "false" => (Kinds::BOOLEAN, Some(Scalar::Boolean(false))),
            number => {
                self.bounds.check(number)?;
                (kind_of_number(number), integer(number).map(Scalar::Integer))
            }
        };
        certain(self.kinds.has(kind))?;
        match (&self.values, value) {
            (None, _) => Ok(()),
            (Some(values), value) => certain(value.is_some_and(|value| values.contains(&value))),
        }
    }
}

/// A number whose fraction is zero is an integer (2020-12 Validation, section 6.1.1).
fn kind_of_number(token: &str) -> Kinds {
    match token.split_once('.') {
        None => Kinds::INTEGER,
        Some((_, fraction)) if fraction.bytes().all(|digit| digit == b'0') => Kinds::INTEGER,
        Some(_) => Kinds::FRACTION,
    }
}

/// A number that every reader takes for the same double: no exponent, few digits.
fn exact(token: &str) -> Option<f64> {
    let digits = token.bytes().filter(u8::is_ascii_digit).count();
    let is_usual = digits <= EXACT_DIGITS_MAX && !token.bytes().any(|byte| matches!(byte, b'e' | b'E'));
    if is_usual { token.parse().ok() } else { None }
}

/// An integer that is written as one; `-0` is left to the library.
fn integer(token: &str) -> Option<i64> {
    if token.len() > EXACT_DIGITS_MAX || token == "-0" {
        return None;
    }
    token.parse().ok()
}
