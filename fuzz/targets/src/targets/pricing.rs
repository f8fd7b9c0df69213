//! Formulas of prices, against a second evaluator that shares nothing with the first.

use tollgate_domain::{Formula, FormulaError};

/// What formulas are made of.
pub(crate) const WORDS: &[&str] =
    &["min(", "max(", "n", " + ", " - ", " * ", " / ", "(", ")", ",", "0", "18446744073709551615", "0.5"];

/// The values that the name of every measure is given.
const COUNTS: [u64; 4] = [0, 1, 7, u64::MAX];

/// Any text: it panics nobody; a formula is printed and read to the same, and has the value of the second evaluator, rounded up
/// and never wrapped.
pub(crate) fn formula(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(formula) = text.parse::<Formula>() else { return };
    let printed = formula.to_string();
    match printed.parse::<Formula>() {
        Ok(again) => assert_eq!(again, formula, "{printed}"),
        // Parentheses that were not written make a text longer and deeper; nothing else may keep it from being read.
        Err(error) => assert_eq!(error, FormulaError::TooLarge, "{printed}"),
    }
    for count in COUNTS {
        let value = formula.value(&|_| Some(count)).map(|amount| i128::try_from(amount.get()).ok());
        let mut second = Second { rest: &printed, count };
        let expected = second.expression();
        assert!(second.rest.is_empty(), "{printed}");
        match value {
            Ok(value) => assert_eq!(value, expected, "{printed} for {count}"),
            Err(FormulaError::BelowZero) => assert!(expected.is_some_and(|value| value < 0), "{printed}"),
            Err(_) => assert_eq!(expected, None, "{printed} for {count}"),
        }
    }
}

/// Reads a printed formula, which has all its parentheses, and computes at once. `None`: there is no value.
struct Second<'a> {
    rest: &'a str,
    count: u64,
}

impl Second<'_> {
    fn expression(&mut self) -> Option<i128> {
        for (name, least) in [("min(", true), ("max(", false)] {
            if let Some(rest) = self.rest.strip_prefix(name) {
                self.rest = rest;
                let (left, right) = self.two(", ");
                return left
                    .zip(right)
                    .map(|(left, right)| if (left < right) == least { left } else { right });
            }
        }
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            let left = self.expression();
            let sign = self.rest.as_bytes().get(1).copied();
            self.rest = self.rest.get(3..).unwrap_or_default(); // the sign between two spaces
            let right = self.expression();
            self.skip(")");
            let (left, right) = (left?, right?);
            return match sign {
                Some(b'+') => left.checked_add(right),
                Some(b'-') => left.checked_sub(right),
                Some(b'*') => left.checked_mul(right),
                _ if right == 0 => None,
                _ => {
                    let down = left.checked_div_euclid(right)?;
                    let exact = left.checked_rem_euclid(right)? == 0;
                    // Euclid rounds down for a positive divisor and up for a negative one.
                    if exact || right < 0 { Some(down) } else { down.checked_add(1) }
                }
            };
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            word.parse().ok()
        } else {
            Some(self.count.into())
        }
    }

    /// Two expressions with this between them, and what closes them.
    fn two(&mut self, between: &str) -> (Option<i128>, Option<i128>) {
        let left = self.expression();
        self.skip(between);
        let right = self.expression();
        self.skip(")");
        (left, right)
    }

    fn skip(&mut self, expected: &str) {
        assert!(self.rest.starts_with(expected), "{expected:?} is missing before {:?}", self.rest);
        self.rest = self.rest.get(expected.len()..).unwrap_or_default();
    }
}
