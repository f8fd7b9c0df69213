//! Finding the API key that a request presents, in the two headers where one may stand.

use crate::api_key::PREFIX;

/// Why the headers of a request present no single API key. Never repeats a header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresentedKeyError {
    /// Two different keys are presented; none is picked.
    #[error("two different API keys are presented; send one")]
    Several,
}

/// The API key that a request presents, if any: all values of its `Authorization` lines and of its `X-API-Key` lines.
///
/// `Authorization` counts when its scheme is `Bearer` (in any case, RFC 9110 section 11.1) and its token starts with
/// `tgk_`. Other schemes carry payments (`L402`, `Payment`), and other bearer tokens belong to somebody else, such as the
/// upstream behind a transparent proxy: neither is an API key of this gateway. `X-API-Key` always counts, so that a
/// mistyped key there is refused instead of ignored. The same key twice is one key.
///
/// What is returned was presented, not checked: [`crate::authenticate`] does that.
///
/// # Errors
/// [`PresentedKeyError::Several`] when two different keys are presented: which of them acts must not depend on who reads.
pub fn presented_key<'a>(
    authorization: impl IntoIterator<Item = &'a str>,
    x_api_key: impl IntoIterator<Item = &'a str>,
) -> Result<Option<&'a str>, PresentedKeyError> {
    let bearer = authorization.into_iter().filter_map(bearer_key);
    let plain = x_api_key.into_iter().map(str::trim);
    let mut found = None;
    for key in bearer.chain(plain) {
        match found {
            Some(other) if other != key => return Err(PresentedKeyError::Several),
            Some(_) | None => found = Some(key),
        }
    }
    Ok(found)
}

fn bearer_key(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && token.starts_with(PREFIX)).then_some(token)
}

#[cfg(test)]
mod tests;
