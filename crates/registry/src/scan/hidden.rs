//! Characters that nobody sees. What scripts and emoji need is left alone; what spells or disguises is not.

use super::places::{Kind, Place};
use super::{Report, Rule, Severity, around};
use crate::visible::{Unseen, unseen};

/// How many single characters of no width a pasted text may contain before it looks like a code.
const STRAY_ZERO_WIDTH_MAX: usize = 2;
/// How many tags a flag has at most: six letters and digits, and the one that ends it.
const FLAG_TAGS_MAX: usize = 7;

pub(super) fn scan(place: &Place, report: &mut Report) {
    if place.text.chars().all(|c| unseen(c).is_none()) {
        return;
    }
    let characters: Vec<(usize, char)> = place.text.char_indices().collect();
    let is_name = matches!(place.kind, Kind::ToolName | Kind::MemberName);
    let strays = (0..characters.len()).filter(|index| is_stray(&characters, *index)).count();
    for (index, (at, character)) in characters.iter().enumerate() {
        let Some(kind) = unseen(*character) else { continue };
        let found = match kind {
            Unseen::Tag if is_flag(&characters, index) => None,
            Unseen::Tag => Some((Rule::TagCharacters, Severity::High)),
            Unseen::Bidi => Some((Rule::Bidi, Severity::High)),
            Unseen::DirectionMark if is_name => Some((Rule::Bidi, Severity::High)),
            Unseen::DirectionMark => Some((Rule::Bidi, Severity::Low)),
            Unseen::VariationSelector => variation(&characters, index),
            Unseen::ZeroWidth if is_name => Some((Rule::ZeroWidth, Severity::High)),
            Unseen::ZeroWidth => zero_width(&characters, index, strays),
            Unseen::Control if *character == '\u{1b}' || *character == '\u{9b}' => {
                Some((Rule::TerminalEscape, Severity::High))
            }
            Unseen::Control | Unseen::Filler => Some((Rule::ControlCharacters, Severity::High)),
            Unseen::Other => Some((Rule::ControlCharacters, Severity::Medium)),
        };
        if let Some((rule, severity)) = found {
            report.add(rule, severity, place, around(&place.text, *at));
        }
    }
}

fn before(characters: &[(usize, char)], index: usize) -> Option<char> {
    index.checked_sub(1).and_then(|index| characters.get(index)).map(|(_, c)| *c)
}

fn after(characters: &[(usize, char)], index: usize) -> Option<char> {
    characters.get(index.saturating_add(1)).map(|(_, c)| *c)
}

/// A flag of a region such as 🏴󠁧󠁢󠁥󠁮󠁧󠁿: a black flag, up to six tag letters, a cancel tag (Unicode TR 51).
fn is_flag(characters: &[(usize, char)], index: usize) -> bool {
    let is_tag = |c: &char| ('\u{e0000}'..='\u{e007f}').contains(c);
    // Never further than a flag is long: a row of tags may be as long as a definition.
    let earlier = characters.iter().take(index).rev().take(FLAG_TAGS_MAX);
    let start = index.saturating_sub(earlier.take_while(|(_, c)| is_tag(c)).count());
    let row = characters.iter().skip(start).take(FLAG_TAGS_MAX + 1).take_while(|(_, c)| is_tag(c)).count();
    let last = characters.get((start + row).saturating_sub(1)).map(|(_, c)| *c);
    before(characters, start) == Some('\u{1f3f4}') && row <= FLAG_TAGS_MAX && last == Some('\u{e007f}')
}

/// One selector after a symbol or an ideograph is spelling; a row of them, or one after a letter, is not.
fn variation(characters: &[(usize, char)], index: usize) -> Option<(Rule, Severity)> {
    let is_selector = |c: Option<char>| c.and_then(unseen) == Some(Unseen::VariationSelector);
    let previous = before(characters, index);
    if is_selector(previous) || is_selector(after(characters, index)) {
        return Some((Rule::VariationSelectors, Severity::High));
    }
    let is_spelling = previous.is_some_and(|c| !c.is_ascii_alphabetic() && !c.is_whitespace());
    (!is_spelling).then_some((Rule::VariationSelectors, Severity::Medium))
}

/// A character of no width that no script and no emoji asks for.
fn is_stray(characters: &[(usize, char)], index: usize) -> bool {
    let Some((_, character)) = characters.get(index) else { return false };
    if unseen(*character) != Some(Unseen::ZeroWidth) || *character == '\u{ad}' {
        return false;
    }
    let neighbours = [before(characters, index), after(characters, index)];
    // Joiners shape emoji and the letters of many scripts; breaks divide words in scripts without spaces.
    !neighbours.into_iter().flatten().any(needs_joiners_or_breaks)
}

fn needs_joiners_or_breaks(character: char) -> bool {
    matches!(character,
        '\u{590}'..='\u{8ff}' | '\u{900}'..='\u{109f}' | '\u{1780}'..='\u{18af}' | '\u{1950}'..='\u{1aaf}'
        | '\u{2190}'..='\u{2bff}' | '\u{3000}'..='\u{9fff}' | '\u{a800}'..='\u{abff}' | '\u{fb1d}'..='\u{fdff}'
        | '\u{fe0e}' | '\u{fe0f}' | '\u{fe70}'..='\u{fefc}' | '\u{1f000}'..='\u{1faff}')
}

fn zero_width(characters: &[(usize, char)], index: usize, strays: usize) -> Option<(Rule, Severity)> {
    if characters.get(index).is_some_and(|(_, c)| *c == '\u{ad}') {
        return Some((Rule::ZeroWidth, Severity::Low));
    }
    if !is_stray(characters, index) {
        return None;
    }
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic());
    let splits_a_word = is_letter(before(characters, index)) && is_letter(after(characters, index));
    let is_serious = splits_a_word || strays > STRAY_ZERO_WIDTH_MAX;
    Some((Rule::ZeroWidth, if is_serious { Severity::High } else { Severity::Medium }))
}
