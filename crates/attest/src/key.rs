use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey, Signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::did::did_key;

/// Why bytes are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The seed was not taken.
    #[error("derive an Ed25519 key from the seed")]
    Seed,
    /// The bytes are no Ed25519 public key.
    #[error("read 32 bytes as an Ed25519 public key")]
    Public,
}

/// The gateway's signing key. Never printed, and not to be had back.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// An Ed25519 public key, with the two names it goes by.
#[derive(Clone)]
pub struct PublicKey {
    parsed: ParsedPublicKey,
    bytes: [u8; 32],
    key_id: String,
    did: String,
}

impl Signer {
    /// The key of this seed (RFC 8032 section 5.1.5). The caller keeps the seed secret, and wipes it.
    ///
    /// # Errors
    /// [`KeyError::Seed`] when the cryptographic library does not take it.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Seed)?;
        let bytes: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Seed)?;
        Ok(Self { public: PublicKey::from_bytes(bytes)?, pair })
    }

    /// The id of the public half; see [`PublicKey::key_id`].
    pub fn key_id(&self) -> &str {
        &self.public.key_id
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// The public half as a JWK; see [`PublicKey::jwk`].
    pub fn jwk(&self) -> String {
        self.public.jwk()
    }

    pub(crate) fn did(&self) -> &str {
        &self.public.did
    }

    /// The signature over `message`, or `None` when the library fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Signature> {
        self.pair.try_sign(message).ok()
    }
}

impl PublicKey {
    /// The key of these 32 bytes (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// [`KeyError::Public`] when they are none.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let parsed = ParsedPublicKey::new(&ED25519, bytes).map_err(|_| KeyError::Public)?;
        let x = URL_SAFE_NO_PAD.encode(bytes);
        // RFC 7638 section 3 with the members that RFC 8037 section 2 requires of an OKP key, in lexicographic order.
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Ok(Self { parsed, bytes, key_id: URL_SAFE_NO_PAD.encode(thumbprint), did: did_key(&bytes) })
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The JWK thumbprint (RFC 7638, SHA-256, base64url): the `keyid` of signatures and the `kid` at
    /// `/.well-known/jwks.json`.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key as a DID, `did:key:z6Mk…`: how a receipt names its gateway.
    pub fn did(&self) -> &str {
        &self.did
    }

    /// The key as a JWK (RFC 8037 section 2), as JSON text.
    pub fn jwk(&self) -> String {
        let (kid, x) = (&self.key_id, URL_SAFE_NO_PAD.encode(self.bytes));
        format!(r#"{{"crv":"Ed25519","kid":"{kid}","kty":"OKP","use":"sig","x":"{x}"}}"#)
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, seed [redacted])", self.public.key_id)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.key_id)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}
impl Eq for PublicKey {}

#[cfg(test)]
mod tests;
