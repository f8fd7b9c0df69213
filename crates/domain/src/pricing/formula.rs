//! Formulas over counts: whole numbers, `+ - * /`, `min` and `max`. A division rounds up; nothing ever wraps.

use std::fmt;
use std::str::FromStr;

use crate::Amount;

/// The longest text of a formula.
const CHARS_MAX: usize = 256;
/// How many numbers, names and operations it may have.
const NODES_MAX: usize = 64;
/// How deep its parts may stand in each other.
const DEPTH_MAX: usize = 16;

/// A formula such as `max(1000, 250 + characters * 3)`, in atomic units of one asset. Its text form has all its parentheses.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Formula(Node);

/// Why a text is no formula, or a formula has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormulaError {
    /// Something else stands where a number, a name or an operation should.
    #[error("the formula has {found:?} at character {at}, where {expected} should stand")]
    Syntax {
        /// The first character that does not fit, or nothing at the end.
        found: String,
        /// Which character, from 1.
        at: usize,
        /// What would fit.
        expected: &'static str,
    },
    /// A number with a point.
    #[error(
        "a formula counts whole atomic units, so it has no {0:?}: multiply first, then divide; a division rounds up"
    )]
    Fraction(String),
    /// Too long, too many parts, or too deep.
    #[error(
        "a formula has at most {CHARS_MAX} characters, {NODES_MAX} parts and {DEPTH_MAX} parts within each other"
    )]
    TooLarge,
    /// A name that nothing was counted for.
    #[error("the formula names {0:?}, which is not among its measures")]
    UnknownName(String),
    /// A division by zero.
    #[error("the formula divides by zero for these arguments")]
    DivisionByZero,
    /// A value past 2^127.
    #[error("the formula's value is too large for these arguments")]
    Overflow,
    /// A result below zero.
    #[error("the formula is below zero for these arguments")]
    BelowZero,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Node {
    Number(i128),
    Name(String),
    Operation(Operator, Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Min,
    Max,
}

impl Formula {
    /// The value for these counts by name.
    ///
    /// # Errors
    /// [`FormulaError`] when a name is unknown, a value does not fit, zero divides, or the result is below zero.
    pub fn value(&self, count: &dyn Fn(&str) -> Option<u64>) -> Result<Amount, FormulaError> {
        let value = self.0.value(count)?;
        u128::try_from(value).map(Amount::new).map_err(|_| FormulaError::BelowZero)
    }

    /// The names in it, each as often as it stands there.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.0.names(&mut names);
        names
    }
}

impl Node {
    fn value(&self, count: &dyn Fn(&str) -> Option<u64>) -> Result<i128, FormulaError> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Name(name) => {
                count(name).map(i128::from).ok_or_else(|| FormulaError::UnknownName(name.clone()))
            }
            Self::Operation(operator, left, right) => {
                let (left, right) = (left.value(count)?, right.value(count)?);
                let value = match operator {
                    Operator::Add => left.checked_add(right),
                    Operator::Subtract => left.checked_sub(right),
                    Operator::Multiply => left.checked_mul(right),
                    Operator::Divide if right == 0 => return Err(FormulaError::DivisionByZero),
                    Operator::Divide => divided_up(left, right),
                    Operator::Min => Some(left.min(right)),
                    Operator::Max => Some(left.max(right)),
                };
                value.ok_or(FormulaError::Overflow)
            }
        }
    }

    fn names<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Number(_) => {}
            Self::Name(name) => names.push(name),
            Self::Operation(_, left, right) => {
                left.names(names);
                right.names(names);
            }
        }
    }
}

/// The quotient, rounded up to the next whole number.
fn divided_up(left: i128, right: i128) -> Option<i128> {
    let quotient = left.checked_div(right)?;
    let rest = left.checked_rem(right)?;
    let is_cut = rest != 0 && (rest > 0) == (right > 0);
    quotient.checked_add(i128::from(is_cut))
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
            Self::Operation(Operator::Min, left, right) => write!(f, "min({left}, {right})"),
            Self::Operation(Operator::Max, left, right) => write!(f, "max({left}, {right})"),
            Self::Operation(operator, left, right) => {
                let sign = match operator {
                    Operator::Add => '+',
                    Operator::Subtract => '-',
                    Operator::Multiply => '*',
                    Operator::Divide | Operator::Min | Operator::Max => '/',
                };
                write!(f, "({left} {sign} {right})")
            }
        }
    }
}

impl FromStr for Formula {
    type Err = FormulaError;

    fn from_str(text: &str) -> Result<Self, FormulaError> {
        if text.len() > CHARS_MAX {
            return Err(FormulaError::TooLarge);
        }
        let mut parser = Parser { text, rest: text, nodes: 0 };
        let node = parser.sum(0)?;
        match parser.peek() {
            None => Ok(Self(node)),
            Some(_) => Err(parser.unexpected("an operation or the end")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    nodes: usize,
}

impl<'a> Parser<'a> {
    /// Terms with `+` and `-` between them, the left ones first.
    fn sum(&mut self, depth: usize) -> Result<Node, FormulaError> {
        let mut left = self.product(depth)?;
        loop {
            let operator = match self.peek() {
                Some('+') => Operator::Add,
                Some('-') => Operator::Subtract,
                Some(_) | None => return Ok(left),
            };
            self.skip();
            let right = self.product(depth)?;
            left = self.node(Node::Operation(operator, Box::new(left), Box::new(right)))?;
        }
    }

    fn product(&mut self, depth: usize) -> Result<Node, FormulaError> {
        let mut left = self.factor(depth)?;
        loop {
            let operator = match self.peek() {
                Some('*') => Operator::Multiply,
                Some('/') => Operator::Divide,
                Some(_) | None => return Ok(left),
            };
            self.skip();
            let right = self.factor(depth)?;
            left = self.node(Node::Operation(operator, Box::new(left), Box::new(right)))?;
        }
    }

    fn factor(&mut self, depth: usize) -> Result<Node, FormulaError> {
        if depth >= DEPTH_MAX {
            return Err(FormulaError::TooLarge);
        }
        let depth = depth.saturating_add(1);
        match self.peek() {
            Some('(') => {
                self.skip();
                let inner = self.sum(depth)?;
                self.expect(')', "an operation or \")\"")?;
                Ok(inner)
            }
            Some(first) if first.is_ascii_digit() => {
                let digits = self.word(|c| c.is_ascii_digit() || c == '.');
                if digits.contains('.') {
                    return Err(FormulaError::Fraction(digits.to_owned()));
                }
                let number = digits.parse().map_err(|_| FormulaError::Overflow)?;
                self.node(Node::Number(number))
            }
            Some(first) if first.is_ascii_alphabetic() => {
                let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_');
                let operator = match name {
                    "min" => Operator::Min,
                    "max" => Operator::Max,
                    name => return self.node(Node::Name(name.to_owned())),
                };
                self.expect('(', "\"(\"")?;
                let mut left = self.sum(depth)?;
                self.expect(',', "an operation or \",\"")?;
                loop {
                    let right = self.sum(depth)?;
                    left = self.node(Node::Operation(operator, Box::new(left), Box::new(right)))?;
                    if self.peek() != Some(',') {
                        break;
                    }
                    self.skip();
                }
                self.expect(')', "\",\" or \")\"")?;
                Ok(left)
            }
            Some(_) | None => Err(self.unexpected("a number, a name, min, max or \"(\"")),
        }
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start_matches(' ');
        self.rest.chars().next()
    }

    fn skip(&mut self) {
        let mut rest = self.rest.chars();
        rest.next();
        self.rest = rest.as_str();
    }

    fn expect(&mut self, wanted: char, expected: &'static str) -> Result<(), FormulaError> {
        if self.peek() != Some(wanted) {
            return Err(self.unexpected(expected));
        }
        self.skip();
        Ok(())
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn node(&mut self, node: Node) -> Result<Node, FormulaError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > NODES_MAX { Err(FormulaError::TooLarge) } else { Ok(node) }
    }

    fn unexpected(&self, expected: &'static str) -> FormulaError {
        let read = self.text.get(..self.text.len().saturating_sub(self.rest.len())).unwrap_or_default();
        FormulaError::Syntax {
            found: self.rest.chars().take(8).collect(),
            at: read.chars().count().saturating_add(1),
            expected,
        }
    }
}

#[cfg(test)]
mod tests;
