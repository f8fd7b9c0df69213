//! Reads `WWW-Authenticate` values as they really arrive (RFC 9110, section 11.6.1): several challenges in one value,
//! quoted or bare parameters, odd spacing. Payers use it; a gateway never reads its own challenges.

/// The longest header value that is read, in bytes.
pub const CHALLENGE_BYTES_MAX: usize = 16 * 1024;

/// One challenge: a scheme and its parameters, as sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuthChallenge {
    /// The scheme's name as sent; compare without regard to case.
    pub scheme: String,
    /// The parameters in order, quotes removed. Names as sent; compare without regard to case.
    pub params: Vec<(String, String)>,
}

impl AuthChallenge {
    /// The first parameter of this name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether this is a challenge of that scheme.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }
}

/// All challenges of one header value, in order. Never fails: what cannot be read is passed over, and of a value longer
/// than [`CHALLENGE_BYTES_MAX`] nothing is read.
pub fn challenges(value: &str) -> Vec<AuthChallenge> {
    let mut found: Vec<AuthChallenge> = Vec::new();
    if value.len() > CHALLENGE_BYTES_MAX {
        return found;
    }
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, behind) = split_at_end(rest, is_token);
        if word.is_empty() {
            // A character that starts nothing: pass over it.
            let mut characters = rest.chars();
            if characters.next().is_none() {
                return found;
            }
            rest = characters.as_str();
            continue;
        }
        match parameter(behind) {
            Some((text, behind)) => {
                if let Some(challenge) = found.last_mut() {
                    challenge.params.push((word.to_owned(), text));
                }
                rest = behind;
            }
            None => {
                found.push(AuthChallenge { scheme: word.to_owned(), params: Vec::new() });
                rest = without_token68(behind);
            }
        }
    }
}

/// `= value` behind a word, and what follows it; `None` when the word is a scheme.
fn parameter(behind: &str) -> Option<(String, &str)> {
    let value = blank(blank(behind).strip_prefix('=')?);
    match value.strip_prefix('"') {
        Some(quoted) => Some(quoted_string(quoted)),
        // Bare values are tokens by the grammar; base64 with `/`, `+` and `=` is sent bare all the same.
        None => {
            let (text, behind) = split_at_end(value, |c| !matches!(c, ',' | ' ' | '\t' | '"'));
            Some((text.to_owned(), behind))
        }
    }
}

/// The text up to the closing quote with its escapes resolved, and what follows. An unclosed quote ends with the value.
fn quoted_string(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => text.extend(characters.next()),
            plain => text.push(plain),
        }
    }
    (text, characters.as_str())
}

/// Passes over a `token68` behind a scheme (`Basic QWxhZGRpbg==`), which is no list of parameters.
fn without_token68(behind: &str) -> &str {
    let start = blank(behind);
    let (_, after) =
        split_at_end(start, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '+' | '/'));
    let end = after.trim_start_matches('=');
    let is_token68 = after.len() != start.len() && (blank(end).is_empty() || blank(end).starts_with(','));
    if is_token68 && behind.len() != start.len() { end } else { behind }
}

fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

fn split_at_end(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// RFC 9110, section 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(scheme: &str, params: &[(&str, &str)]) -> AuthChallenge {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        AuthChallenge { scheme: scheme.to_owned(), params }
    }

    #[test]
    fn challenges_are_read_as_peers_send_them() {
        for (value, expected) in [
            (
                r#"L402 macaroon="Ag==", invoice="lnbc1""#,
                vec![one("L402", &[("macaroon", "Ag=="), ("invoice", "lnbc1")])],
            ),
            (
                "L402 macaroon=Ag/+==,invoice=lnbc1",
                vec![one("L402", &[("macaroon", "Ag/+=="), ("invoice", "lnbc1")])],
            ),
            (
                r#"lsat  macaroon = "a" ,	invoice = "b""#,
                vec![one("lsat", &[("macaroon", "a"), ("invoice", "b")])],
            ),
            (
                r#"Bearer resource_metadata="https://x/y, z", L402 token="t", Payment id="1", realm="a \"b\"""#,
                vec![
                    one("Bearer", &[("resource_metadata", "https://x/y, z")]),
                    one("L402", &[("token", "t")]),
                    one("Payment", &[("id", "1"), ("realm", "a \"b\"")]),
                ],
            ),
            (
                "Basic QWxhZGRpbg==, Negotiate, L402 token=t",
                vec![one("Basic", &[]), one("Negotiate", &[]), one("L402", &[("token", "t")])],
            ),
            (r#"L402 invoice="never closed"#, vec![one("L402", &[("invoice", "never closed")])]),
            (", ;;, ", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(challenges(value), expected, "{value}");
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_not_read() {
        let fits = format!("L402 token=\"{}\"", "a".repeat(CHALLENGE_BYTES_MAX - 13));
        assert_eq!(challenges(&fits).len(), 1);
        assert_eq!(challenges(&format!("{fits}a")), []);
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in "\\PC{0,200}") {
            challenges(&value);
        }

        #[test]
        fn what_is_written_is_read(params in prop::collection::vec(("[a-z]{1,8}", "[ -~]{0,20}"), 1..5)) {
            let written: Vec<String> = params
                .iter()
                .map(|(name, value)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
                .collect();
            let read = challenges(&format!("L402 {}", written.join(", ")));
            prop_assert_eq!(read, vec![AuthChallenge { scheme: "L402".to_owned(), params }]);
        }
    }
}
