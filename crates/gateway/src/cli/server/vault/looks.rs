//! What looks like a secret: by its name, or by its form.

use std::ops::Range;

/// Words in the names of secrets. `PAT` and `PWD` only as whole words: `PATH` is none.
const PARTS: &[&str] = &[
    "KEY",
    "TOKEN",
    "SECRET",
    "PASSW",
    "PASSPHRASE",
    "CREDENTIAL",
    "PRIVATE",
    "BEARER",
    "AUTHORIZATION",
    "COOKIE",
    "CONNECTION_STRING",
    "DATABASE_URL",
    "DSN",
    "MNEMONIC",
    "WEBHOOK",
];
const WHOLE: &[&str] = &["PAT", "PWD", "PASS", "AUTH", "SID", "JWT"];
/// How keys of well-known issuers begin.
const PREFIXES: &[&str] = &[
    "sk-",
    "sk_",
    "pk_live",
    "rk_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "eyJ",
    "tgk_",
    "whsec_",
    "hf_",
    "npm_",
    "pypi-",
    "SG.",
    "ya29.",
    "lin_api_",
    "secret_",
    "ntn_",
    "dop_v1_",
];
/// The shortest text that is taken for a key by its form alone.
const KEY_CHARS_MIN: usize = 20;

/// Whether a variable holds a secret. A reference to another one does not.
pub(super) fn secret(name: &str, value: &str) -> bool {
    if value.is_empty() || value.contains("${") {
        return false;
    }
    (self::name(name) && !is_plain(value)) || is_key(value) || has_password(value)
}

/// Whether a name is that of a secret.
pub(super) fn name(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_uppercase().replace(['-', '.', ' '], "_");
    let is_whole = |word: &str| name.split('_').any(|part| part == word);
    PARTS.iter().any(|part| name.contains(part) || name.contains(&part.replace('_', "")))
        || WHOLE.iter().any(|word| is_whole(word))
}

/// A switch or a number is no secret, whatever its name.
fn is_plain(value: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off", "none"].contains(&value.to_ascii_lowercase().as_str())
        || (value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A key by its form: how it begins, or one long word of letters and digits mixed.
fn is_key(text: &str) -> bool {
    if PREFIXES.iter().any(|prefix| text.starts_with(prefix)) && text.len() >= 12 {
        return true;
    }
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+=".contains(&byte));
    // Names of packages and models have digits too, in parts of their own.
    let is_mixed = |part: &str| {
        part.len() >= 8
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    is_word && text.len() >= KEY_CHARS_MIN && text.split(['_', '-', '+', '=']).any(is_mixed)
}

/// `scheme://user:password@host`.
fn has_password(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

/// Where the secret in a URL stands: the value of a parameter that is named like one, or a part that looks like a key.
pub(super) fn in_url(url: &str) -> Option<Range<usize>> {
    let query = url.find('?').map_or(url.len(), |mark| mark + 1);
    let parameter = parts(url, query, '&').find_map(|(start, pair)| {
        let (name, value) = pair.split_once('=')?;
        let is_open = !value.is_empty() && !value.contains("${");
        (is_open && (self::name(name) || is_key(value))).then(|| start + name.len() + 1..start + pair.len())
    });
    let path = url.find("://").and_then(|scheme| {
        let host = scheme + 3;
        url.get(host..query).and_then(|rest| rest.find('/')).map(|slash| host + slash + 1)
    });
    let whole = url.get(..query).unwrap_or_default().trim_end_matches('?');
    let segment = || {
        let (start, segment) = parts(whole, path?, '/').find(|(_, segment)| is_key(segment))?;
        Some(start..start + segment.len())
    };
    parameter.or_else(segment)
}

/// The parts of a text from a place on, each with where it starts.
fn parts(text: &str, from: usize, separator: char) -> impl Iterator<Item = (usize, &str)> {
    let mut start = from;
    text.get(from..).unwrap_or_default().split(separator).map(move |part| {
        let at = start;
        start += part.len() + separator.len_utf8();
        (at, part)
    })
}

/// Where the secret in one argument behind `flag` stands, and by what name it goes there.
pub(super) fn in_argument<'a>(flag: &'a str, text: &'a str) -> Option<(Range<usize>, &'a str)> {
    if text.contains("${") {
        return None;
    }
    let end = text.len();
    // `--token=x`, and what `docker run -e` takes.
    let is_variable = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let assigned = text.split_once('=').filter(|(named, _)| named.starts_with('-') || is_variable(named));
    if let Some((named, value)) = assigned {
        return secret(named, value).then(|| (end - value.len()..end, named));
    }
    let header = text.split_once(':').filter(|(header, _)| name(header) && !header.contains('/'));
    if let Some((_, value)) = header {
        let value = behind_scheme(value.trim_start());
        return (!value.is_empty()).then(|| (end - value.len()..end, flag));
    }
    if text.contains("://") {
        return if has_password(text) {
            Some((0..end, flag))
        } else {
            in_url(text).map(|place| (place, flag))
        };
    }
    let is_secret = is_key(text) || (!flag.is_empty() && name(flag) && !is_plain(text));
    is_secret.then_some((0..end, flag))
}

/// The secret of a credential: what stands behind its scheme.
pub(super) fn behind_scheme(value: &str) -> &str {
    const SCHEMES: [&str; 5] = ["apikey", "basic", "bearer", "key", "token"];
    match value.split_once(' ') {
        Some((scheme, rest)) if SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) => rest,
        Some(_) | None => value,
    }
}
