//! Account and contract addresses.

use std::fmt;
use std::str::FromStr;

use super::eip712::keccak256;

/// A 20-byte account or contract address. Written `0x` and 40 hexadecimal digits in the mixed case of EIP-55; read in
/// any case, because peers differ: compare addresses, never their texts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

/// Why a text is no [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `0x` and 40 hexadecimal digits.
    #[error("an address is 0x and 40 hexadecimal digits")]
    Shape,
    /// The mixed case is not the checksum of EIP-55, so a digit is probably mistyped.
    #[error("the address has a wrong EIP-55 checksum: a digit is probably mistyped")]
    Checksum,
}

impl Address {
    /// The zero address, which nobody owns.
    pub const ZERO: Self = Self([0; 20]);

    /// The address with these bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The address as 32 bytes, padded on the left: the word of the contract ABI and of EIP-712.
    pub fn to_word(self) -> [u8; 32] {
        let mut word = [0; 32];
        word[12..].copy_from_slice(&self.0);
        word
    }

    /// The lower-case form `0x…`, as keys and CAIP ids use it.
    pub fn to_lower(self) -> String {
        format!("0x{}", hex::encode(self.0))
    }

    /// Reads an address that a person wrote into a configuration: in one case, or with the right EIP-55 checksum.
    ///
    /// # Errors
    /// [`AddressError`] when it is malformed or the checksum is wrong.
    pub fn parse_checked(text: &str) -> Result<Self, AddressError> {
        let address: Self = text.parse()?;
        let digits = text.trim_start_matches("0x");
        let one_case = !digits.bytes().any(|b| b.is_ascii_uppercase())
            || !digits.bytes().any(|b| b.is_ascii_lowercase());
        if one_case || address.to_string() == text { Ok(address) } else { Err(AddressError::Checksum) }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix("0x").ok_or(AddressError::Shape)?;
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| AddressError::Shape)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Address {
    /// EIP-55: a letter is upper case when the matching digit of the Keccak hash of the lower-case text is 8 or more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0_u8; 40];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        let hash = keccak256(&digits);
        let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
        for (digit, nibble) in digits.iter_mut().zip(nibbles) {
            if nibble >= 8 {
                digit.make_ascii_uppercase();
            }
        }
        f.write_str("0x")?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
