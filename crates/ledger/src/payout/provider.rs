//! The name of whoever is paid out.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a provider, as the operator's configuration has it: whoever is paid out what its servers earned.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderName(Arc<str>);

/// Why a text names no provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not 1 to 64 characters of a-z, 0-9 and \"-\" that start with a letter or digit")]
pub struct ProviderNameError(String);

impl ProviderName {
    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProviderName {
    type Err = ProviderNameError;

    fn from_str(text: &str) -> Result<Self, ProviderNameError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 64 || text.starts_with('-') || !text.bytes().all(allowed) {
            return Err(ProviderNameError(text.chars().take(64).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_has_one_name_that_is_short_and_plain() {
        let longest = "p".repeat(64);
        for text in ["a", "0", "acme-2", "z-", longest.as_str()] {
            let name: ProviderName = text.parse().unwrap();
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
        }
        let longer = "p".repeat(65);
        for text in ["", "-a", "-", "A", "a_b", "a b", "a:b", "ä", longer.as_str()] {
            assert!(text.parse::<ProviderName>().is_err(), "{text:?}");
        }
    }
}
