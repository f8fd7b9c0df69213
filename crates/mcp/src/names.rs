//! Member names that other readers could take for a reserved one.
//!
//! A parser that ignores case, folds Unicode, trims or stops at a NUL would read `Method`, `paramſ` or `name\u0000` as
//! the real member and disagree with us about what is called. Such names are refused where the reserved ones mean
//! something; everywhere else any name passes.

#[cfg(test)]
mod tests;

/// Whether `name` is not `reserved` but some reader may take it for that.
///
/// `reserved` is ASCII. Compared are skeletons: letters without case and without accents, compatibility forms and the
/// usual Cyrillic and Greek doubles as the Latin letter they resemble, characters that do not show removed.
pub fn looks_like(name: &str, reserved: &str) -> bool {
    if name == reserved {
        return false;
    }
    if name.is_ascii() && !name.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return name.eq_ignore_ascii_case(reserved);
    }
    skeleton(name).eq(reserved.chars().map(|character| character.to_ascii_lowercase()))
}

/// The first of `reserved` that `name` [looks like](looks_like).
pub(crate) fn taken_for(name: &str, reserved: &'static [&'static str]) -> Option<&'static str> {
    reserved.iter().copied().find(|reserved| looks_like(name, reserved))
}

fn skeleton(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(|character| !is_invisible(*character))
        .map(latin)
        .flat_map(char::to_lowercase)
        .map(latin)
}

/// Characters that leave no mark of their own: controls, spaces, default ignorables and combining marks.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || character.is_whitespace()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
            | '\u{feff}' | '\u{300}'..='\u{36f}' | '\u{180b}'..='\u{180f}' | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The Latin letter that `character` resembles, else itself.
fn latin(character: char) -> char {
    let code = u32::from(character);
    let letter = |offset: u32| char::from_u32(u32::from('a') + offset % 26).unwrap_or(character);
    match character {
        // Fullwidth ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(code - 0xfee0).unwrap_or(character),
        // Circled and parenthesised letters.
        '\u{24b6}'..='\u{24e9}' => letter(code - 0x24b6),
        '\u{249c}'..='\u{24b5}' => letter(code - 0x249c),
        // Mathematical letters: thirteen alphabets of 52, then dotless i.
        '\u{1d400}'..='\u{1d6a3}' => letter(code - 0x1d400),
        // Squared and regional letters.
        '\u{1f130}'..='\u{1f149}' => letter(code - 0x1f130),
        '\u{1f150}'..='\u{1f169}' => letter(code - 0x1f150),
        '\u{1f170}'..='\u{1f189}' => letter(code - 0x1f170),
        '\u{1f1e6}'..='\u{1f1ff}' => letter(code - 0x1f1e6),
        '\u{e0}'..='\u{e5}'
        | '\u{c0}'..='\u{c5}'
        | 'ā'
        | 'ă'
        | 'ą'
        | 'ǎ'
        | 'а'
        | 'А'
        | 'α'
        | 'Α'
        | 'ɑ'
        | 'ª'
        | 'ₐ'
        | 'ᵃ' => 'a',
        'ç' | 'Ç' | 'ć' | 'č' | 'с' | 'С' | 'ϲ' | 'Ϲ' | 'ⅽ' | 'Ⅽ' | 'ᴄ' => 'c',
        'ԁ' | 'ⅾ' | 'Ⅾ' | 'ď' | 'đ' | 'ð' | 'ᵈ' | 'ᴅ' => 'd',
        '\u{e8}'..='\u{eb}'
        | '\u{c8}'..='\u{cb}'
        | 'ē'
        | 'ė'
        | 'ę'
        | 'ě'
        | 'е'
        | 'Е'
        | 'Ε'
        | 'ε'
        | 'ё'
        | 'ℯ'
        | 'ℰ'
        | 'ₑ'
        | 'ᵉ'
        | 'ᴇ' => 'e',
        'ɡ' | 'ց' | 'ğ' | 'ģ' | 'ℊ' | 'ᵍ' => 'g',
        'һ' | 'Н' | 'Η' | 'ħ' | 'ℎ' | 'ℋ' | 'ℌ' | 'ℍ' | 'ʰ' | 'ₕ' => 'h',
        '\u{ec}'..='\u{ef}'
        | '\u{cc}'..='\u{cf}'
        | 'ı'
        | 'İ'
        | 'і'
        | 'І'
        | 'ι'
        | 'Ι'
        | 'ⅰ'
        | 'Ⅰ'
        | 'ī'
        | 'ⁱ'
        | 'ᵢ'
        | 'ɪ'
        | '\u{1d6a4}'
        | 'ℹ'
        | 'ℐ'
        | 'ℑ' => 'i',
        'ј' | 'Ј' | 'ϳ' | 'ʲ' | 'ⱼ' | 'ȷ' | '\u{1d6a5}' => 'j',
        '\u{212a}' | 'к' | 'К' | 'κ' | 'Κ' | 'ķ' | 'ᵏ' | 'ₖ' => 'k',
        'ⅼ' | 'Ⅼ' | 'ł' | 'ℓ' | 'ӏ' | 'Ӏ' | 'ˡ' | 'ₗ' | 'ℒ' => 'l',
        'м' | 'М' | 'Μ' | 'ⅿ' | 'Ⅿ' | 'ᵐ' | 'ₘ' | 'ℳ' | 'ᴍ' => 'm',
        'ñ' | 'Ñ' | 'ń' | 'ň' | 'ո' | 'Ν' | 'η' | 'п' | 'ⁿ' | 'ₙ' | 'ℕ' | 'ɴ' => 'n',
        '\u{f2}'..='\u{f6}'
        | '\u{d2}'..='\u{d6}'
        | 'ø'
        | 'Ø'
        | 'ō'
        | 'ő'
        | 'о'
        | 'О'
        | 'ο'
        | 'Ο'
        | 'օ'
        | 'º'
        | 'ₒ'
        | 'ᵒ'
        | 'ℴ'
        | 'ᴏ' => 'o',
        'р' | 'Р' | 'ρ' | 'Ρ' | 'ᵖ' | 'ₚ' | 'ℙ' | 'ᴘ' => 'p',
        'ԛ' | 'ℚ' => 'q',
        'г' | 'ŕ' | 'ř' | 'ʳ' | 'ᵣ' | 'ℛ' | 'ℜ' | 'ℝ' | 'ʀ' => 'r',
        'ſ' | 'ѕ' | 'Ѕ' | 'ś' | 'š' | 'ş' | 'ș' | 'ˢ' | 'ₛ' | 'ꜱ' => 's',
        'т' | 'Т' | 'Τ' | 'τ' | 'ţ' | 'ť' | 'ț' | 'ᵗ' | 'ₜ' | 'ᴛ' => 't',
        '\u{f9}'..='\u{fc}' | '\u{d9}'..='\u{dc}' | 'ū' | 'ů' | 'ű' | 'υ' | 'ս' | 'ᵘ' | 'ᵤ' | 'ᴜ' => {
            'u'
        }
        'х' | 'Х' | 'χ' | 'Χ' | 'ⅹ' | 'Ⅹ' | 'ˣ' | 'ₓ' => 'x',
        'у' | 'У' | 'γ' | 'Υ' | 'ý' | 'ÿ' | 'Ý' => 'y',
        'ⅴ' | 'Ⅴ' | 'ѵ' | 'ν' | 'ᵛ' | 'ᵥ' | 'ᴠ' => 'v',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        'ˍ' | '‿' | '⁀' | '﹍' | '﹎' | '﹏' => '_',
        '∕' | '⁄' | '⧸' => '/',
        '․' | '。' | '｡' => '.',
        other => other,
    }
}
