//! What looks like a secret: by its name, or by its form.

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

/// The secret in a URL: the value of a parameter that is named like one, or a part that looks like a key.
pub(super) fn in_url(url: &str) -> Option<String> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let parameter = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(name, value)| {
        !value.is_empty() && !value.contains("${") && (self::name(name) || is_key(value))
    });
    let inner =
        path.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, inner)| inner);
    let segment = || inner.split('/').find(|segment| is_key(segment)).map(str::to_owned);
    parameter.map(|(_, value)| value.to_owned()).or_else(segment)
}

/// The secret in one argument behind `flag`.
pub(super) fn in_argument(flag: &str, text: &str) -> Option<String> {
    if text.contains("${") {
        return None;
    }
    if let Some((named, value)) = text.split_once('=').filter(|(named, _)| named.starts_with('-')) {
        return (secret(named, value)).then(|| value.to_owned());
    }
    if let Some((_, value)) =
        text.split_once(':').filter(|(header, _)| self::name(header) && !header.contains('/'))
    {
        let value = value.trim();
        let value = value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("Basic ")).unwrap_or(value);
        return (!value.is_empty()).then(|| value.trim().to_owned());
    }
    if text.contains("://") {
        return if has_password(text) { Some(text.to_owned()) } else { in_url(text) };
    }
    (is_key(text) || (!flag.is_empty() && self::name(flag) && !is_plain(text))).then(|| text.to_owned())
}
