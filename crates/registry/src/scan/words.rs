//! A text as words, however its letters are disguised, and patterns of words with gaps.

use super::names::folded;
use crate::visible::unseen;

/// The lower-case words of a text. Unseen characters are left out, look-alikes folded, apostrophes dropped.
pub(super) fn of(text: &str) -> Vec<String> {
    let plain: String = text
        .chars()
        .filter(|c| unseen(*c).is_none() && !matches!(c, '\'' | '’' | '`' | '*'))
        .map(folded)
        .flat_map(char::to_lowercase)
        .collect();
    plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A pattern: one word of each step, in this order, with at most so many other words before each.
pub(super) type Pattern = &'static [(usize, &'static [&'static str])];

/// Where a pattern matches first: the range of its words.
pub(super) fn find(words: &[String], pattern: Pattern) -> Option<std::ops::Range<usize>> {
    let ((_, first), steps) = pattern.split_first()?;
    let starts = words.iter().enumerate().filter(|(_, word)| first.contains(&word.as_str()));
    starts.map(|(start, _)| start).find_map(|start| Some(start..follow(words, start + 1, steps)?))
}

/// The end of the match of these steps from here on; the nearest word of each step counts, others are tried after it.
fn follow(words: &[String], from: usize, steps: &[(usize, &'static [&'static str])]) -> Option<usize> {
    let Some(((gap, allowed), rest)) = steps.split_first() else { return Some(from) };
    let reach = words.iter().enumerate().skip(from).take(gap + 1);
    let hits = reach.filter(|(_, word)| allowed.contains(&word.as_str()));
    hits.map(|(at, _)| at).find_map(|at| follow(words, at + 1, rest))
}
