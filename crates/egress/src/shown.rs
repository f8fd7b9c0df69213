//! A URL as it may be shown.

/// What stands in the place of what is not shown.
const MASK: &str = "***";
/// The shortest part of a path that is taken for a key.
const KEY_CHARS_MIN: usize = 20;
/// The shortest run of letters and digits mixed in it: names and dates have parts that are one or the other.
const MIXED_CHARS_MIN: usize = 8;

/// A URL, or a text that was to be one, without what may be a secret: user information, the query, and parts of the path that look
/// like a key are `***`; a fragment is left out. References to the environment (`${NAME}`) stay: they say where a secret is.
///
/// ```
/// use tollgate_egress::shown_url;
///
/// assert_eq!(shown_url("https://user:pa55@host:8443/mcp?key=k"), "https://***@host:8443/mcp?***");
/// assert_eq!(shown_url("https://host/v2/8f3kd02mvb61qpzx74hn/mcp"), "https://host/v2/***/mcp");
/// assert_eq!(shown_url("https://host/mcp?${QUERY}"), "https://host/mcp?${QUERY}");
/// ```
pub fn shown_url(text: &str) -> String {
    let text = text.split('#').next().unwrap_or_default();
    let (text, query) = match text.split_once('?') {
        Some((text, query)) => (text, Some(query)),
        None => (text, None),
    };
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut shown = String::with_capacity(text.len());
    if let Some(scheme) = scheme {
        shown.push_str(scheme);
        shown.push_str("://");
    }
    // A slash in a password ends the authority for a strict reader, and not for whoever wrote it; but what it leaves is no port.
    let is_whole = authority.ends_with(']')
        || authority.rsplit_once(':').is_none_or(|(host, port)| {
            let is_host = !host.contains(':') || host.ends_with(']');
            is_host && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        });
    let (authority, path) = match path.rsplit_once('@').filter(|_| !is_whole) {
        Some((_, behind)) => (String::new(), MASK.to_owned() + "@" + behind),
        None => (authority.to_owned(), path.to_owned()),
    };
    shown.push_str(&match authority.rsplit_once('@') {
        Some((user, host)) if !is_reference(user) => format!("{MASK}@{host}"),
        _ => authority,
    });
    for (index, part) in path.split('/').enumerate() {
        if index > 0 {
            shown.push('/');
        }
        shown.push_str(if looks_like_a_key(part) { MASK } else { part });
    }
    if let Some(query) = query {
        shown.push('?');
        shown.push_str(if query.is_empty() || is_reference(query) { query } else { MASK });
    }
    shown
}

fn is_reference(text: &str) -> bool {
    let mut rest = text;
    while let Some((name, after)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return false;
        }
        rest = after;
    }
    rest.is_empty() && !text.is_empty()
}

fn looks_like_a_key(part: &str) -> bool {
    let is_word = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+=.~%".contains(&byte));
    let is_mixed = |run: &str| {
        run.len() >= MIXED_CHARS_MIN
            && run.bytes().any(|byte| byte.is_ascii_digit())
            && run.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    is_word
        && part.len() >= KEY_CHARS_MIN
        && part.split(|letter: char| !letter.is_alphanumeric()).any(is_mixed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn n6_what_may_be_a_secret_is_not_shown_and_everything_else_is() {
        for (url, shown) in [
            ("http://127.0.0.1:9000/mcp", "http://127.0.0.1:9000/mcp"),
            ("https://host.example/", "https://host.example/"),
            ("https://host.example", "https://host.example"),
            ("https://u@host.example/mcp", "https://***@host.example/mcp"),
            ("https://u:p@ss@host.example/mcp", "https://***@host.example/mcp"),
            ("https://u:p/ss@host.example/mcp", "https://***@host.example/mcp"),
            ("https://${USER}@host.example/mcp", "https://${USER}@host.example/mcp"),
            ("u:p@host.example/mcp", "***@host.example/mcp"),
            ("http://[::1]:9000/@owner/mcp", "http://[::1]:9000/@owner/mcp"),
            ("https://host.example/@owner/mcp", "https://host.example/@owner/mcp"),
            ("https://host.example/mcp?token=abc#x", "https://host.example/mcp?***"),
            ("https://host.example/mcp?", "https://host.example/mcp?"),
            ("https://host.example?token=abc", "https://host.example?***"),
            ("https://host.example/mcp#token", "https://host.example/mcp"),
            ("https://host.example/s/${TOKEN}/mcp", "https://host.example/s/${TOKEN}/mcp"),
            ("https://host.example/s/a8K3jd92LmQ0xZ71bVt4/mcp", "https://host.example/s/***/mcp"),
            ("https://host.example/s/tok-a8K3jd92LmQ0xZ71bVt4", "https://host.example/s/***"),
            (
                "https://host.example/model-context-protocol/2025-11-25-draft/mcp",
                "https://host.example/model-context-protocol/2025-11-25-draft/mcp",
            ),
            ("", ""),
        ] {
            assert_eq!(shown_url(url), shown, "{url}");
        }
    }

    proptest! {
        #[test]
        fn n6_no_user_information_and_no_query_is_ever_shown(
            user in "[a-z]{1,8}", password in "[a-zA-Z/:@][a-zA-Z0-9/:@]{12,24}", host in "[a-y]{1,9}", query in "[a-z]{3}=[A-Z0-9]{12}",
        ) {
            let shown = shown_url(&format!("https://{user}:{password}@{host}.example/mcp?{query}"));
            prop_assert!(!shown.contains(&password) && !shown.contains(&query), "{}", shown);
            prop_assert!(shown.ends_with("/mcp?***"), "{}", shown);
        }

        #[test]
        fn any_text_can_be_shown_and_shown_again(text in ".{0,60}") {
            let shown = shown_url(&text);
            prop_assert_eq!(shown_url(&shown), shown);
        }
    }
}
