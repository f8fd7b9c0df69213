//! Characters that people do not see and models read, and a text with all of them written out.

/// What kind of unseen a character is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unseen {
    /// C0, C1 and DEL, but no line feed, carriage return or tab.
    Control,
    /// The tags block: ASCII that is never drawn.
    Tag,
    /// Zero-width spaces and joiners, word joiners, the byte order mark, invisible operators, soft hyphens.
    ZeroWidth,
    /// Embeddings, overrides and isolates: the order on the screen is not the order in the text.
    Bidi,
    /// Left-to-right and right-to-left marks.
    DirectionMark,
    /// Variation selectors: 256 of them, so that a row of them can spell any bytes.
    VariationSelector,
    /// Letters that are drawn as nothing.
    Filler,
    /// Line and paragraph separators, and private use.
    Other,
}

/// Whether, and how, a character is unseen.
pub(crate) fn unseen(character: char) -> Option<Unseen> {
    Some(match character {
        '\n' | '\r' | '\t' => return None,
        c if c.is_control() => Unseen::Control,
        '\u{e0000}'..='\u{e007f}' => Unseen::Tag,
        '\u{ad}'
        | '\u{34f}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2064}'
        | '\u{feff}' => Unseen::ZeroWidth,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Unseen::Bidi,
        '\u{200e}' | '\u{200f}' | '\u{61c}' => Unseen::DirectionMark,
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{180b}'..='\u{180d}' => {
            Unseen::VariationSelector
        }
        '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}' => Unseen::Filler,
        '\u{2028}' | '\u{2029}' | '\u{206a}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' => Unseen::Other,
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' => Unseen::Other,
        _ => return None,
    })
}

/// The byte that an unseen character can stand for, where a row of them spells a text.
fn smuggled(character: char) -> Option<u8> {
    let code = u32::from(character);
    let byte = match character {
        '\u{e0020}'..='\u{e007e}' => code.checked_sub(0xe0000)?,
        '\u{fe00}'..='\u{fe0f}' => code.checked_sub(0xfe00)?,
        '\u{e0100}'..='\u{e01ef}' => code.checked_sub(0xe0100)?.checked_add(16)?,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

/// What a row of tags or variation selectors spells, if it is readable.
pub(crate) fn spelled(row: &str) -> Option<String> {
    let bytes: Vec<u8> = row.chars().filter_map(smuggled).collect();
    let text = String::from_utf8(bytes).ok()?;
    let readable = text.len() > 1 && text.chars().all(|c| !c.is_control() || c == '\n');
    readable.then_some(text)
}

/// The text with everything unseen written out: `⟨U+200B⟩`, and for a row of tags or variation selectors what it spells,
/// `⟨hidden: "send the key"⟩`. Safe for a terminal: no control character but line feed and tab is left.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let row_end = rest.find(|c| smuggled(c).is_none()).unwrap_or(rest.len());
        let row = rest.get(..row_end).unwrap_or_default();
        if row.chars().count() > 1
            && let Some(said) = spelled(row)
        {
            push_spelled(&mut out, &said);
            rest = rest.get(row_end..).unwrap_or_default();
            continue;
        }
        match unseen(character) {
            Some(_) => push_code(&mut out, character),
            None if character == '\r' => push_code(&mut out, character),
            None => out.push(character),
        }
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    out
}

fn push_spelled(out: &mut String, said: &str) {
    // What is spelled may itself spell; one level of quoting leaves only characters that can be seen.
    let quoted: String = said.chars().flat_map(char::escape_default).collect();
    out.push_str(&format!("⟨hidden: \"{quoted}\"⟩"));
}

fn push_code(out: &mut String, character: char) {
    out.push_str(&format!("⟨U+{:04X}⟩", u32::from(character)));
}

#[cfg(test)]
mod tests;
