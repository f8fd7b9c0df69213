//! Macaroons in the libmacaroons v2 binary form: read strictly, minted, attenuated, checked in constant time.
//!
//! One macaroon is one run of bytes plus the places of its parts in it, so reading copies nothing and what was read is
//! printed back byte for byte. Layout, each field being `varint tag, varint length, bytes` (libmacaroons, "V2 format"):
//!
//! ```text
//! 02  [01 location] 02 identifier 00  { [01 location] 02 caveat [04 vid] 00 }*  00  06 20 signature
//! ```
//!
//! This module knows bytes and keys. What an identifier or a caveat means is said by [`super::identifier`] and
//! [`super::caveats`].

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use super::secret::hmac_sha256;
use crate::base64_text;

/// The longest macaroon that is read. Ours take about 350 bytes; the rest is room for attenuation.
pub const MACAROON_BYTES_MAX: usize = 4096;
/// The most caveats that are read: each costs one HMAC.
pub const CAVEATS_MAX: usize = 64;

const VERSION: u8 = 2;
const END_OF_SECTION: u8 = 0;
const LOCATION: u8 = 1;
const IDENTIFIER: u8 = 2;
const VERIFICATION_ID: u8 = 4;
const SIGNATURE: u8 = 6;
const SIGNATURE_BYTES: usize = 32;
/// What every macaroon ends in: end of section, tag and length of the signature, signature.
const TAIL_BYTES: usize = 35;

/// The key under which root keys are hashed before use (libmacaroons `macaroon_create`), zero-padded to 32 bytes.
const KEY_GENERATOR: [u8; 32] = *b"macaroons-key-generator\0\0\0\0\0\0\0\0\0";

/// A macaroon as it travels. A bearer secret: never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Macaroon {
    bytes: Vec<u8>,
    location: Option<Range<usize>>,
    identifier: Range<usize>,
    caveats: Vec<CaveatPlace>,
    signature: [u8; SIGNATURE_BYTES],
}

#[derive(Clone, PartialEq, Eq)]
struct CaveatPlace {
    id: Range<usize>,
    verification_id: Option<Range<usize>>,
}

/// Why bytes or text are no macaroon that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacaroonError {
    /// Neither hexadecimal that starts with `02` nor base64 in one of its alphabets.
    #[error("the token is neither base64 nor hexadecimal")]
    Text,
    /// Longer than [`MACAROON_BYTES_MAX`].
    #[error("the macaroon is longer than {MACAROON_BYTES_MAX} bytes")]
    TooLong,
    /// Not the v2 binary form.
    #[error("the macaroon is not in the version 2 binary form")]
    Version,
    /// A field ends behind the last byte.
    #[error("the macaroon is cut short")]
    Truncated,
    /// A field stands where another must stand, or a number is not in its shortest form.
    #[error("the macaroon's fields are not in order")]
    FieldOrder,
    /// The signature is not 32 bytes.
    #[error("the macaroon's signature is not 32 bytes")]
    SignatureLength,
    /// Something follows the signature.
    #[error("the macaroon has bytes behind its signature")]
    TrailingBytes,
    /// More than [`CAVEATS_MAX`] caveats.
    #[error("the macaroon has more than {CAVEATS_MAX} caveats")]
    TooManyCaveats,
}

/// Why a macaroon that can be read does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It holds a third-party caveat: discharges are not supported, so what it demands cannot be checked.
    #[error("third-party caveats are not supported")]
    ThirdParty,
    /// The signature is not the one of this identifier and these caveats under the root key.
    #[error("the macaroon's signature does not match")]
    Signature,
}

impl Macaroon {
    /// A new macaroon with first-party caveats, signed under `root_key` in its derived form (libmacaroons).
    ///
    /// # Errors
    /// [`MacaroonError::TooLong`] or [`MacaroonError::TooManyCaveats`] when it could not be read back.
    pub fn mint<'a>(
        root_key: &[u8; 32],
        identifier: &[u8],
        location: &str,
        caveats: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, MacaroonError> {
        let mut bytes = Vec::with_capacity(512);
        bytes.push(VERSION);
        put_field(&mut bytes, LOCATION, location.as_bytes());
        put_field(&mut bytes, IDENTIFIER, identifier);
        bytes.push(END_OF_SECTION);
        let mut signature = hmac_sha256(&hmac_sha256(&KEY_GENERATOR, root_key), identifier);
        for caveat in caveats {
            put_field(&mut bytes, IDENTIFIER, caveat);
            bytes.push(END_OF_SECTION);
            signature = hmac_sha256(&signature, caveat);
        }
        put_tail(&mut bytes, &signature);
        Self::parse(bytes)
    }

    /// Reads the v2 binary form.
    ///
    /// # Errors
    /// [`MacaroonError`]: what is wrong with the bytes.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, MacaroonError> {
        if bytes.len() > MACAROON_BYTES_MAX {
            return Err(MacaroonError::TooLong);
        }
        let mut cursor = Cursor { bytes: &bytes, at: 0 };
        if cursor.byte()? != VERSION {
            return Err(MacaroonError::Version);
        }
        let location = cursor.optional_field(LOCATION)?;
        let identifier = cursor.field(IDENTIFIER)?;
        cursor.end_of_section()?;
        let mut caveats = Vec::new();
        while cursor.peek()? != END_OF_SECTION {
            if caveats.len() == CAVEATS_MAX {
                return Err(MacaroonError::TooManyCaveats);
            }
            // A location of its own only tells where a third-party caveat is discharged; it is not signed.
            cursor.optional_field(LOCATION)?;
            let id = cursor.field(IDENTIFIER)?;
            let verification_id = cursor.optional_field(VERIFICATION_ID)?;
            cursor.end_of_section()?;
            caveats.push(CaveatPlace { id, verification_id });
        }
        cursor.end_of_section()?;
        let place = cursor.field(SIGNATURE)?;
        if cursor.at != bytes.len() {
            return Err(MacaroonError::TrailingBytes);
        }
        let signature =
            bytes.get(place).unwrap_or_default().try_into().map_err(|_| MacaroonError::SignatureLength)?;
        Ok(Self { bytes, location, identifier, caveats, signature })
    }

    /// Reads a text form: hexadecimal (aperture's `Macaroon` header), or base64 in the standard or the URL alphabet,
    /// padded or not.
    ///
    /// The two cannot be mistaken for each other: version 2 is `02…` in hexadecimal and `Ag…` in base64.
    ///
    /// # Errors
    /// [`MacaroonError`]: what is wrong with the text or the bytes in it.
    pub fn from_text(text: &str) -> Result<Self, MacaroonError> {
        if text.len() > MACAROON_BYTES_MAX.saturating_mul(2) {
            return Err(MacaroonError::TooLong);
        }
        let bytes = if text.starts_with("02") {
            hex::decode(text).map_err(|_| MacaroonError::Text)?
        } else {
            base64_text::decode_any(text).ok_or(MacaroonError::Text)?
        };
        Self::parse(bytes)
    }

    /// The binary form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text form that is sent: base64, standard alphabet, padded (L402 protocol specification, "token").
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }

    /// The text form of the `Macaroon` header.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.bytes)
    }

    /// Where it says it comes from: a hint, not signed.
    pub fn location(&self) -> Option<&[u8]> {
        self.bytes.get(self.location.clone()?)
    }

    /// What names it; chosen by whoever minted it.
    pub fn identifier(&self) -> &[u8] {
        self.bytes.get(self.identifier.clone()).unwrap_or_default()
    }

    /// The texts of all caveats in order, first-party and third-party alike.
    pub fn caveats(&self) -> impl Iterator<Item = &[u8]> {
        self.caveats.iter().map(|caveat| self.bytes.get(caveat.id.clone()).unwrap_or_default())
    }

    /// Checks the signature chain under `root_key`, comparing in constant time.
    ///
    /// # Errors
    /// [`VerifyError`] when there is a third-party caveat or the signature is another one.
    pub fn verify_signature(&self, root_key: &[u8; 32]) -> Result<(), VerifyError> {
        if self.caveats.iter().any(|caveat| caveat.verification_id.is_some()) {
            return Err(VerifyError::ThirdParty);
        }
        let first = hmac_sha256(&hmac_sha256(&KEY_GENERATOR, root_key), self.identifier());
        let expected = self.caveats().fold(first, |signature, caveat| hmac_sha256(&signature, caveat));
        if bool::from(expected.ct_eq(&self.signature)) { Ok(()) } else { Err(VerifyError::Signature) }
    }

    /// This macaroon with one more restriction: what any holder can do without knowing the root key.
    ///
    /// # Errors
    /// [`MacaroonError::TooLong`] or [`MacaroonError::TooManyCaveats`] when it could not be read back.
    pub fn add_first_party_caveat(&self, caveat: &[u8]) -> Result<Self, MacaroonError> {
        let kept = self.bytes.len().saturating_sub(TAIL_BYTES);
        let mut bytes = self.bytes.clone();
        bytes.truncate(kept);
        put_field(&mut bytes, IDENTIFIER, caveat);
        bytes.push(END_OF_SECTION);
        put_tail(&mut bytes, &hmac_sha256(&self.signature, caveat));
        Self::parse(bytes)
    }
}

impl fmt::Debug for Macaroon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Macaroon([redacted], {} caveats)", self.caveats.len())
    }
}

fn put_field(bytes: &mut Vec<u8>, tag: u8, value: &[u8]) {
    bytes.push(tag);
    let mut rest = value.len();
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        if rest == 0 {
            bytes.push(low);
            break;
        }
        bytes.push(low | 0x80);
    }
    bytes.extend_from_slice(value);
}

fn put_tail(bytes: &mut Vec<u8>, signature: &[u8; SIGNATURE_BYTES]) {
    bytes.push(END_OF_SECTION);
    put_field(bytes, SIGNATURE, signature);
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Result<u8, MacaroonError> {
        self.bytes.get(self.at).copied().ok_or(MacaroonError::Truncated)
    }

    fn byte(&mut self) -> Result<u8, MacaroonError> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Ok(byte)
    }

    /// A length of at most two bytes, in its shortest form: more than [`MACAROON_BYTES_MAX`] never fits anyway, and a
    /// second spelling of one macaroon must not exist.
    fn length(&mut self) -> Result<usize, MacaroonError> {
        let low = self.byte()?;
        if low & 0x80 == 0 {
            return Ok(usize::from(low));
        }
        let high = self.byte()?;
        match high {
            0 => Err(MacaroonError::FieldOrder),
            1..=0x7f => Ok(usize::from(high) << 7 | usize::from(low & 0x7f)),
            0x80.. => Err(MacaroonError::Truncated),
        }
    }

    fn field(&mut self, tag: u8) -> Result<Range<usize>, MacaroonError> {
        if self.byte()? != tag {
            return Err(MacaroonError::FieldOrder);
        }
        let length = self.length()?;
        let end = self
            .at
            .checked_add(length)
            .filter(|end| *end <= self.bytes.len())
            .ok_or(MacaroonError::Truncated)?;
        let place = self.at..end;
        self.at = end;
        Ok(place)
    }

    fn optional_field(&mut self, tag: u8) -> Result<Option<Range<usize>>, MacaroonError> {
        if self.peek()? == tag { self.field(tag).map(Some) } else { Ok(None) }
    }

    fn end_of_section(&mut self) -> Result<(), MacaroonError> {
        if self.byte()? == END_OF_SECTION { Ok(()) } else { Err(MacaroonError::FieldOrder) }
    }
}

#[cfg(test)]
mod tests;
