//! Which calls belong to a node.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::Spender;

/// A text in which `*` stands for any characters. 1 to 256 characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(String);

/// Why a text is no [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not 1 to 256 visible characters, in which * stands for any")]
pub struct PatternError(String);

impl Pattern {
    /// Whether it stands for this text.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        let mut rest = rest;
        for part in parts {
            // The earliest place leaves the most for what comes behind.
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
            return Err(PatternError(text.chars().take(64).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which calls belong to a node: those for which everything that is stated holds. Nothing stated: all of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selector {
    /// One of these callers.
    pub callers: Vec<Pattern>,
    /// Each of these labels with such a value.
    pub labels: BTreeMap<String, Pattern>,
    /// One of these tools, as `server/tool`.
    pub tools: Vec<Pattern>,
}

impl Selector {
    /// Whether a spender's calls belong to the node. Without a tool, whether they do whatever tool they call.
    pub fn selects(&self, spender: &Spender<'_>) -> bool {
        let any = |patterns: &[Pattern], text: &str| patterns.iter().any(|pattern| pattern.matches(text));
        let caller = self.callers.is_empty() || any(&self.callers, spender.principal.as_str());
        let tool =
            self.tools.is_empty() || spender.tool.is_some_and(|tool| any(&self.tools, &tool.to_string()));
        let has = |(name, pattern): (&String, &Pattern)| {
            spender.labels.get(name).is_some_and(|value| pattern.matches(value))
        };
        caller && tool && self.labels.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(text)
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text) in [
            ("up/echo", "up/echo"),
            ("up/*", "up/echo"),
            ("*", ""),
            ("*/echo", "up/echo"),
            ("a*b*c", "aXbbc"),
            ("a**", "a"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("up/echo", "up/echo2"), ("up/*", "down/echo"), ("a*a", "a"), ("a*b*c", "acb"), ("e", "")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        assert!("".parse::<Pattern>().is_err() && "a\n".parse::<Pattern>().is_err());
    }

    /// The slow and obvious reading.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skipped| reference(rest, &text[skipped..])),
            Some((byte, rest)) => text.first() == Some(byte) && reference(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_pattern_agrees_with_the_obvious_reading(pattern in "[ab*]{1,6}", text in "[ab]{0,7}") {
            prop_assert_eq!(matches(&pattern, &text), reference(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
