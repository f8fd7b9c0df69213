use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::UnixMillis;

/// What an [`Id`] names; the prefix of its text form.
pub trait Kind: 'static {
    /// The prefix, without the underscore.
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($name:ident = $prefix:literal, $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
        impl Kind for $name { const PREFIX: &'static str = $prefix; }
    )*};
}
kinds! {
    Call = "call", "Ids of tool calls.";
    Receipt = "rcpt", "Ids of receipts.";
    Transfer = "xfer", "Ids of ledger transfers.";
    Key = "key", "Ids of API keys.";
    AdminKey = "adm", "Ids of admin keys.";
    Approval = "appr", "Ids of approvals that were asked for.";
    Escrow = "esc", "Ids of escrows.";
    Payout = "po", "Ids of payouts.";
}

/// A time-ordered id that knows what it names: `call_1` + 22 base-62 digits of 16 bytes.
///
/// The bytes are 48 bits of Unix milliseconds and 80 bits of randomness (the order of UUIDv7), so that rows inserted
/// together stand together. The `1` behind the prefix is the version of this codec.
#[derive(SerializeDisplay, DeserializeFromStr)]
pub struct Id<K: Kind> {
    bytes: [u8; 16],
    kind: PhantomData<fn() -> K>,
}

/// Why a text is not an id of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id of the form {prefix}_1…")]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DIGITS: usize = 22;
const CHUNK_DIGITS: usize = 10;
/// 62^10.
const CHUNK: u128 = 839_299_365_868_340_224;

impl<K: Kind> Id<K> {
    /// The id for this moment and this randomness; both come from the caller.
    pub fn new(now: UnixMillis, random: [u8; 10]) -> Self {
        let [_, _, t0, t1, t2, t3, t4, t5] = now.get().to_be_bytes();
        let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = random;
        Self::from_bytes([t0, t1, t2, t3, t4, t5, r0, r1, r2, r3, r4, r5, r6, r7, r8, r9])
    }

    /// The id with exactly these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self { bytes, kind: PhantomData }
    }

    /// The 16 bytes, as stored.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In chunks of ten digits that fit 64 bits: dividing 128 bits for each digit would be many times slower.
        let mut value = u128::from_be_bytes(self.bytes);
        let mut text = [b'0'; DIGITS];
        for chunk in text.rchunks_mut(CHUNK_DIGITS) {
            // The rest from the quotient: a second division of 128 bits would cost as much as the first.
            let above = value / CHUNK;
            let mut low = u64::try_from(value.wrapping_sub(above.wrapping_mul(CHUNK))).unwrap_or_default();
            value = above;
            for slot in chunk.iter_mut().rev() {
                let digit = usize::try_from(low % 62).unwrap_or_default();
                *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
                low /= 62;
            }
        }
        f.write_str(K::PREFIX)?;
        f.write_str("_1")?;
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refused = || IdError { text: text.chars().take(64).collect(), prefix: K::PREFIX };
        let digits =
            text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix("_1")).ok_or_else(refused)?;
        if digits.len() != DIGITS {
            return Err(refused());
        }
        let mut value: u128 = 0;
        for byte in digits.bytes() {
            let digit = u128::from(digit(byte).ok_or_else(refused)?);
            value = value.checked_mul(62).and_then(|v| v.checked_add(digit)).ok_or_else(refused)?;
        }
        Ok(Self::from_bytes(value.to_be_bytes()))
    }
}

/// What a byte is worth as a digit: its place in [`ALPHABET`].
#[expect(clippy::arithmetic_side_effects, reason = "a byte of a range less the first of it, and at most 36")]
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl<K: Kind> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Kind> Copy for Id<K> {}
impl<K: Kind> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}
impl<K: Kind> Eq for Id<K> {}
impl<K: Kind> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K: Kind> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}
impl<K: Kind> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

#[cfg(test)]
mod tests;
