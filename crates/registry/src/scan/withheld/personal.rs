//! Numbers of people's cards, accounts and social security, each by its form, its range and its check digits.
//!
//! Addresses of e-mail and telephone numbers are left out on purpose: tools are asked for them all the time. So are JSON numbers: texts
//! alone are looked at, and a number of 16 digits is an identifier far more often than a card.

use super::{Hit, begins_word, is_word, run};
use crate::scan::Rule;

/// The most digits of a card (ISO/IEC 7812-1).
const CARD_DIGITS_MAX: usize = 19;
/// The groups in which numbers of cards are printed, the longer first.
const CARD_GROUPS: &[&[usize]] = &[&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];

/// How long the account numbers of each country are, in characters (SWIFT, IBAN Registry).
const IBAN_LENGTHS: &[(usize, &str)] = &[
    (15, "NO"),
    (16, "BE"),
    (18, "DK FI FK FO GL NL SD"),
    (19, "MK SI"),
    (20, "AT BA EE KZ LT LU MN XK"),
    (21, "CH HR LI LV"),
    (22, "BG BH CR DE GB GE IE ME RS VA"),
    (23, "AE GI IL IQ OM SO TL"),
    (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
    (25, "LY PT ST"),
    (26, "IS TR"),
    (27, "BI DJ FR GR IT MC SM"),
    (28, "AL AZ BY CY DO GT HN HU LB NI PL SV"),
    (29, "BR EG PS QA UA"),
    (30, "JO KW MU YE"),
    (31, "MT SC"),
    (32, "LC"),
    (33, "RU"),
];

pub(super) fn find(text: &str) -> Vec<Hit> {
    let bytes = text.as_bytes();
    let mut hits = Vec::new();
    let mut at = 0;
    let may_begin = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    while let Some(ahead) = bytes.iter().skip(at).position(may_begin) {
        let start = at + ahead;
        at = match found_at(bytes, start) {
            Some((what, length)) => {
                let range = start..start + length;
                hits.push(Hit { range, rule: Rule::PersonalData, what, shown: None });
                start + length
            }
            // The rest of a word begins nothing.
            None => start + run(bytes, start, |byte| byte.is_ascii_alphanumeric()),
        };
    }
    hits
}

/// What begins here, and how many bytes it has.
fn found_at(bytes: &[u8], at: usize) -> Option<(&'static str, usize)> {
    // Decimals, telephone numbers, parts of addresses and numbers of issues are none of these.
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    if !begins_word(bytes, at) || matches!(before, Some(b'.' | b'+' | b'/' | b'#')) {
        return None;
    }
    let text = bytes.get(at..)?;
    let (what, length) = if text.first()?.is_ascii_uppercase() {
        ("account number (IBAN)", iban(text)?)
    } else if let Some(length) = social_security(text) {
        ("social security number", length)
    } else {
        ("payment card number", card(bytes, at)?)
    };
    ends(text, length).then_some((what, length))
}

/// Whether a number may end here.
fn ends(text: &[u8], length: usize) -> bool {
    let digit_behind = || text.get(length + 1).is_some_and(u8::is_ascii_digit);
    match text.get(length) {
        None => true,
        Some(b'.') => !digit_behind(),
        Some(b'-') => text.get(length + 1).is_none_or(|byte| !is_word(*byte)),
        Some(byte) => !is_word(*byte),
    }
}

/// A card's number, in one row or in the groups in which it is printed.
fn card(bytes: &[u8], at: usize) -> Option<usize> {
    let text = bytes.get(at..)?;
    let row = run(text, 0, |byte| byte.is_ascii_digit());
    if row != 4 {
        return is_card(text.get(..row)?).then_some(row);
    }
    let separator = *text.get(row).filter(|byte| matches!(byte, b' ' | b'-'))?;
    let groups = groups(text, separator);
    // In a row of numbers of four digits, any four of them may look like a card.
    let earlier = at.checked_sub(5).and_then(|start| bytes.get(start..at));
    let is_group = |earlier: &[u8]| run(earlier, 0, |byte| byte.is_ascii_digit()) == 4;
    let is_in_row = earlier.is_some_and(|earlier| is_group(earlier) && earlier.ends_with(&[separator]));
    CARD_GROUPS.iter().filter(|form| groups.starts_with(form)).find_map(|form| {
        let behind = groups.get(form.len()..).unwrap_or_default();
        let in_row = form.get(1) == Some(&4) && (is_in_row || behind.starts_with(&[4, 4]));
        let length = form.iter().sum::<usize>() + form.len() - 1;
        let digits: Vec<u8> = text.get(..length)?.iter().copied().filter(|byte| *byte != separator).collect();
        (!in_row && is_card(&digits)).then_some(length)
    })
}

/// How many digits each group has, of as many groups as matter.
fn groups(text: &[u8], separator: u8) -> Vec<usize> {
    let mut groups = Vec::new();
    let mut at = 0;
    while groups.len() < 7 {
        let digits = run(text, at, |byte| byte.is_ascii_digit());
        if digits == 0 {
            break;
        }
        groups.push(digits);
        at += digits;
        if text.get(at) != Some(&separator) {
            break;
        }
        at += 1;
    }
    groups
}

fn is_card(digits: &[u8]) -> bool {
    digits.len() <= CARD_DIGITS_MAX && is_issued(digits) && has_luhn(digits)
}

/// Whether somebody issues cards with such a beginning in this length. The 13 digits of Visa are left out: they have not been issued
/// for decades, and look as barcodes do; so are its 19, which look as identifiers do.
fn is_issued(digits: &[u8]) -> bool {
    let first = |count: usize| -> u32 {
        let digits = digits.get(..count).unwrap_or_default();
        digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit.saturating_sub(b'0')))
    };
    let (two, three, four) = (first(2), first(3), first(4));
    match digits.len() {
        // Diners Club.
        14 => matches!(three, 300..=305) || four == 3095 || matches!(two, 36 | 38 | 39),
        // American Express.
        15 => matches!(two, 34 | 37),
        16 if matches!(two, 40..=49 | 51..=55) || matches!(four, 2221..=2720) => true, // Visa, Mastercard
        16 if four == 6011 || matches!(three, 644..=649) || two == 65 => true,         // Discover
        16 if matches!(four, 3528..=3589) => true,                                     // JCB
        // UnionPay and Maestro.
        16..=19 => two == 62 || matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761 | 6762 | 6763),
        _ => false,
    }
}

/// ISO/IEC 7812-1, annex B.
fn has_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .map(|digit| u32::from(digit.saturating_sub(b'0')))
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit) {
            (0, digit) => digit,
            (_, digit @ 0..=4) => digit * 2,
            (_, digit) => digit * 2 - 9,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// An account number (ISO 13616-1) in one row, or in groups of four.
fn iban(text: &[u8]) -> Option<usize> {
    let country = text.get(..2)?;
    // Each country is two letters and a space.
    let is_of = |countries: &str| countries.as_bytes().chunks(3).any(|known| known.starts_with(country));
    let (length, _) = IBAN_LENGTHS.iter().find(|(_, countries)| is_of(countries))?;
    let is_in_groups = text.get(4) == Some(&b' ');
    let (mut digits, mut at) = (Vec::with_capacity(*length), 0);
    while digits.len() < *length {
        if is_in_groups && !digits.is_empty() && digits.len().is_multiple_of(4) {
            if text.get(at) != Some(&b' ') {
                return None;
            }
            at += 1;
        }
        digits.push(*text.get(at).filter(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())?);
        at += 1;
    }
    let is_checked = digits.get(2..4)?.iter().all(u8::is_ascii_digit);
    digits.rotate_left(4);
    let rest = digits.iter().fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    (is_checked && rest == 1).then_some(at)
}

/// A number of the United States' social security as it is written, AAA-GG-SSSS, in the ranges that are given out.
fn social_security(text: &[u8]) -> Option<usize> {
    const LENGTH: usize = 11;
    let written = text.get(..LENGTH)?;
    let has_form = written.iter().enumerate().all(|(place, byte)| match place {
        3 | 6 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let is_given = !written.starts_with(b"000")
        && !written.starts_with(b"666")
        && !written.starts_with(b"9")
        && written.get(4..6) != Some(b"00")
        && written.get(7..) != Some(b"0000");
    (has_form && is_given).then_some(LENGTH)
}
