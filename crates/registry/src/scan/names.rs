//! Letters that pose as others: names and words that mix scripts, and the folding by which phrases are read all the same.

use super::places::{Kind, Place};
use super::{Report, Rule, Severity};

/// Letters of other scripts beside the ASCII letters that they are drawn like.
const LOOKALIKES: &[(&str, &str)] = &[
    (
        "\u{430}\u{435}\u{43e}\u{440}\u{441}\u{443}\u{445}\u{456}\u{458}\u{455}\u{4bb}\u{501}\u{51b}\u{51d}\u{4cf}",
        "aeopcyxijshdqwl",
    ),
    (
        "\u{410}\u{412}\u{415}\u{41a}\u{41c}\u{41d}\u{41e}\u{420}\u{421}\u{422}\u{423}\u{425}\u{406}\u{408}\u{405}",
        "ABEKMHOPCTYXIJS",
    ),
    ("\u{3bf}\u{3bd}\u{3b1}\u{3c1}\u{3f2}\u{3f3}\u{3b9}", "ovapcji"),
    (
        "\u{391}\u{392}\u{395}\u{396}\u{397}\u{399}\u{39a}\u{39c}\u{39d}\u{39f}\u{3a1}\u{3a4}\u{3a5}\u{3a7}",
        "ABEZHIKMNOPTYX",
    ),
    ("\u{585}\u{578}\u{57d}\u{581}\u{570}\u{131}\u{237}\u{261}\u{251}", "onughijga"),
];

/// The ASCII character that this one is drawn like; the character itself where there is none.
pub(super) fn folded(character: char) -> char {
    let code = u32::from(character);
    match character {
        c if c.is_ascii() => c,
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(code - 0xfee0).unwrap_or(character),
        // Mathematical alphabets: 26 capitals, then 26 small letters, over and over.
        '\u{1d400}'..='\u{1d6a3}' => {
            let place = (code - 0x1d400) % 52;
            let base = if place < 26 { u32::from('A') } else { u32::from('a') - 26 };
            char::from_u32(base + place).unwrap_or(character)
        }
        c => lookalike(c).unwrap_or(c),
    }
}

fn lookalike(character: char) -> Option<char> {
    LOOKALIKES.iter().find_map(|(strangers, ascii)| {
        strangers
            .chars()
            .zip(ascii.chars())
            .find(|(stranger, _)| *stranger == character)
            .map(|(_, ascii)| ascii)
    })
}

pub(super) fn scan(place: &Place, report: &mut Report) {
    if place.text.is_ascii() || place.kind == Kind::Image {
        return;
    }
    let is_name = matches!(place.kind, Kind::ToolName | Kind::MemberName);
    for word in place.text.split(|c: char| !c.is_alphabetic()) {
        let has_ascii = word.chars().any(|c| c.is_ascii_alphabetic());
        let posing = word.chars().filter(|c| folded(*c) != *c).count();
        if posing == 0 {
            continue;
        }
        // A word that poses from end to end is a word of another script, unless it is the name of a tool.
        let poses_wholly = posing == word.chars().count();
        let severity = match (is_name, has_ascii) {
            (true, true) => Severity::High,
            (true, false) if poses_wholly && place.kind == Kind::ToolName => Severity::High,
            (false, true) => Severity::Medium,
            (true | false, false) => continue,
        };
        report.add(Rule::Homoglyph, severity, place, word);
    }
}
