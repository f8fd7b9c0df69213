//! Recoverable ECDSA signatures on secp256k1: reading, checking, recovering, making.

use std::fmt;

use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

use super::{Address, keccak256};

/// A recoverable signature whose `s` is in the lower half of the curve order.
///
/// The high twin of a signature is refused, as the token contracts do (OpenZeppelin `ECDSA`): two spellings of one
/// authorization must not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    compact: [u8; 64],
    odd: bool,
}

/// Why a text or its bytes are no usable signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not `0x` and hexadecimal digits.
    #[error("a signature is 0x and 130 hexadecimal digits")]
    Hex,
    /// Not 65 bytes. Longer ones come from contract wallets.
    #[error(
        "a signature has 65 bytes, this one has {0}: contract wallets (ERC-1271, ERC-6492) are not accepted"
    )]
    Length(usize),
    /// The last byte is none of 0, 1, 27, 28.
    #[error("the last byte of a signature is 27 or 28 (or 0 or 1), not {0}")]
    Recovery(u8),
    /// `s` is in the upper half of the curve order.
    #[error("the signature is malleable: its s value is in the upper half")]
    HighS,
    /// `r` or `s` is out of range, or no public key recovers.
    #[error("the signature recovers to no key")]
    NoKey,
}

impl Signature {
    /// Reads `0x` and 65 bytes `r ‖ s ‖ v` in hexadecimal.
    ///
    /// # Errors
    /// [`SignatureError`]: which part is wrong.
    pub fn from_hex(text: &str) -> Result<Self, SignatureError> {
        let digits = text.strip_prefix("0x").ok_or(SignatureError::Hex)?;
        let mut bytes = [0; 65];
        if digits.len() != 130 {
            let hexadecimal =
                digits.len().is_multiple_of(2) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            return Err(if hexadecimal {
                SignatureError::Length(digits.len() / 2)
            } else {
                SignatureError::Hex
            });
        }
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| SignatureError::Hex)?;
        Self::from_bytes(&bytes)
    }

    /// Reads 65 bytes `r ‖ s ‖ v`.
    ///
    /// # Errors
    /// [`SignatureError`]: which part is wrong.
    pub fn from_bytes(bytes: &[u8; 65]) -> Result<Self, SignatureError> {
        let odd = match bytes[64] {
            0 | 27 => false,
            1 | 28 => true,
            other => return Err(SignatureError::Recovery(other)),
        };
        let mut compact = [0; 64];
        compact.copy_from_slice(&bytes[..64]);
        let strict =
            secp256k1::ecdsa::Signature::from_compact(&compact).map_err(|_| SignatureError::NoKey)?;
        let mut low = strict;
        low.normalize_s();
        if low != strict {
            return Err(SignatureError::HighS);
        }
        Ok(Self { compact, odd })
    }

    /// The address whose key made this signature over `digest`.
    ///
    /// # Errors
    /// [`SignatureError::NoKey`] when none recovers.
    pub fn recover(&self, digest: &[u8; 32]) -> Result<Address, SignatureError> {
        let id = RecoveryId::from_i32(i32::from(self.odd)).map_err(|_| SignatureError::NoKey)?;
        let signature =
            RecoverableSignature::from_compact(&self.compact, id).map_err(|_| SignatureError::NoKey)?;
        let key = SECP256K1
            .recover_ecdsa(&Message::from_digest(*digest), &signature)
            .map_err(|_| SignatureError::NoKey)?;
        Ok(address_of(&key))
    }

    /// The 32 bytes of `r`.
    pub fn r(&self) -> [u8; 32] {
        let mut r = [0; 32];
        r.copy_from_slice(&self.compact[..32]);
        r
    }

    /// The 32 bytes of `s`.
    pub fn s(&self) -> [u8; 32] {
        let mut s = [0; 32];
        s.copy_from_slice(&self.compact[32..]);
        s
    }

    /// Whether the `y` of the nonce point is odd: the `yParity` of EIP-1559.
    pub const fn is_odd(&self) -> bool {
        self.odd
    }

    /// The `v` of contracts: 27 or 28.
    pub const fn v(&self) -> u8 {
        if self.odd { 28 } else { 27 }
    }

    /// The 65 bytes `r ‖ s ‖ v`, with `v` 27 or 28.
    pub fn to_bytes(&self) -> [u8; 65] {
        let mut bytes = [0; 65];
        let (compact, v) = bytes.split_at_mut(64);
        compact.copy_from_slice(&self.compact);
        v.fill(self.v());
        bytes
    }

    /// The canonical text: `0x`, `r`, `s` and 27 or 28 in hexadecimal.
    pub fn to_hex(&self) -> String {
        format!("0x{}{:02x}", hex::encode(self.compact), self.v())
    }
}

impl fmt::Debug for Signature {
    /// A signed authorization is a bearer secret until it is spent: never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature([redacted])")
    }
}

/// A secp256k1 private key of an account. Never printed; overwritten when dropped.
#[derive(Clone)]
pub struct SigningKey {
    secret: SecretKey,
    address: Address,
}

/// The 32 bytes are zero or not below the curve order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the 32 bytes are no secp256k1 private key")]
pub struct SigningKeyError;

impl SigningKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// [`SigningKeyError`] when they are out of range.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SigningKeyError> {
        let secret = SecretKey::from_slice(bytes).map_err(|_| SigningKeyError)?;
        let address = address_of(&PublicKey::from_secret_key(SECP256K1, &secret));
        Ok(Self { secret, address })
    }

    /// The account's address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Signs a 32-byte digest (RFC 6979 nonce, low `s`).
    pub fn sign(&self, digest: &[u8; 32]) -> Signature {
        let signature = SECP256K1.sign_ecdsa_recoverable(&Message::from_digest(*digest), &self.secret);
        let (id, compact) = signature.serialize_compact();
        Signature { compact, odd: id.to_i32() & 1 == 1 }
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, [redacted])", self.address)
    }
}

/// The last 20 bytes of the Keccak hash of the uncompressed key without its prefix byte.
fn address_of(key: &PublicKey) -> Address {
    let uncompressed = key.serialize_uncompressed();
    let hash = keccak256(&uncompressed[1..]);
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&hash[12..]);
    Address::from_bytes(bytes)
}

#[cfg(test)]
mod tests;
