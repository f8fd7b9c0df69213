use std::fmt;
use std::str::FromStr;

use tollgate_domain::Digest;
use zeroize::Zeroizing;

/// The secret of an API key: `tgk_` and 32 random bytes as 43 base-62 digits. Shown once, at creation.
///
/// Never printed by `Debug`, wiped when dropped. What is stored and looked up is its [`ApiKey::hash`].
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Zeroizing<String>);

/// Why a text is not an API key. Never repeats the text: it may be a mistyped secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// It does not start with `tgk_`.
    #[error("an API key starts with tgk_")]
    Prefix,
    /// It is not followed by exactly 43 base-62 digits.
    #[error("an API key has 43 letters and digits behind tgk_")]
    Digits,
}

/// What every API key starts with; secret scanners look for it.
pub(crate) const PREFIX: &str = "tgk_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is the first power of 62 past 2^256.
const DIGITS: usize = 43;

impl ApiKey {
    /// The key made of these 32 bytes, which must come fresh from the operating system.
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(written(PREFIX, random))
    }

    /// The secret itself, to be shown to its owner once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The SHA-256 digest of the whole text, `tgk_` included: what a key directory stores. A plain digest is enough,
    /// because 32 random bytes cannot be guessed; a slow password hash would only slow every call down.
    pub fn hash(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let digits = text.strip_prefix(PREFIX).ok_or(ApiKeyError::Prefix)?;
        if digits.len() != DIGITS {
            return Err(ApiKeyError::Digits);
        }
        if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(ApiKeyError::Digits);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}

/// A prefix and 32 random bytes as base-62 digits.
pub(crate) fn written(prefix: &str, random: [u8; 32]) -> Zeroizing<String> {
    let mut number = Zeroizing::new(random);
    let mut digits = Zeroizing::new([b'0'; DIGITS]);
    for slot in digits.iter_mut().rev() {
        let digit = divide_by_62(&mut number);
        *slot = ALPHABET.get(usize::from(digit)).copied().unwrap_or(b'0');
    }
    let mut text = Zeroizing::new(String::with_capacity(prefix.len().saturating_add(DIGITS)));
    text.push_str(prefix);
    text.push_str(std::str::from_utf8(digits.as_slice()).unwrap_or_default());
    text
}

/// Divides a big-endian number in place and returns the remainder.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "remainder < 62, so every term fits 16 bits; 62 is not zero"
)]
fn divide_by_62(number: &mut [u8; 32]) -> u8 {
    let mut remainder: u16 = 0;
    for byte in number.iter_mut() {
        let value = remainder * 256 + u16::from(*byte);
        *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
        remainder = value % 62;
    }
    u8::try_from(remainder).unwrap_or_default()
}

#[cfg(test)]
mod tests;
