//! The gateway's own secret behind every L402 token, and the keys derived from it.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The server secret that tokens are derived from (`GATE_HMAC_SECRET`). Whoever knows it can mint tokens; never printed,
/// wiped when dropped.
///
/// Root keys are derived from it and from a token's identifier, so that checking a token reads no table.
#[derive(Clone)]
pub struct GateSecret(Zeroizing<[u8; 32]>);

/// A secret of fewer than 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret is shorter than 32 bytes; make one with `openssl rand -hex 32`")]
pub struct ShortSecret;

impl GateSecret {
    /// The secret with exactly these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret that an operator wrote, of any length from 32 bytes on: its SHA-256 digest is used.
    ///
    /// # Errors
    /// [`ShortSecret`] when it has fewer than 32 bytes.
    pub fn hashed(written: &[u8]) -> Result<Self, ShortSecret> {
        if written.len() < 32 {
            return Err(ShortSecret);
        }
        Ok(Self(Zeroizing::new(Sha256::digest(written).into())))
    }

    /// The root key of the macaroon with this identifier.
    pub(crate) fn root_key(&self, identifier: &[u8]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(hmac_sha256(&self.0, identifier))
    }

    /// The bytes, for the other keys that are derived from it. A macaroon's identifier is 66 bytes long and starts with a
    /// zero byte, so no text that names a purpose can spell one.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for GateSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GateSecret([redacted])")
    }
}

/// HMAC-SHA256 under a 32-byte key (RFC 2104). Such a key is zero-padded to the block, so this cannot fail.
pub(crate) fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut block = Zeroizing::new([0; 64]);
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_the_one_of_rfc_4231() {
        // RFC 4231, test case 1, whose 20-byte key is zero-padded to 32 bytes (the same HMAC key by RFC 2104).
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex::encode(hmac_sha256(&key, b"Hi There")), expected);
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_printed() {
        assert_eq!(GateSecret::hashed(&[7; 31]).unwrap_err(), ShortSecret);
        let secret = GateSecret::hashed(&[7; 32]).unwrap();
        assert_eq!(format!("{secret:?}"), "GateSecret([redacted])");
        assert_ne!(*secret.root_key(b"a"), *secret.root_key(b"b"));
        assert_ne!(*GateSecret::new([7; 32]).root_key(b"a"), *secret.root_key(b"a"));
    }
}
