//! Keys of the federated doors, derived once from the gateway's secret, and who a caller is to them.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::{digest, hmac};

/// Keys that every gateway with the same secret shares.
pub struct Keys {
    pub(crate) session: LessSafeKey,
    pub(crate) task: hmac::Key,
}

impl Keys {
    /// Derives the keys. `None` only if the library cannot make a key of 32 bytes.
    pub fn derive(secret: &[u8; 32]) -> Option<Self> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let session = hmac::sign(&root, b"tollgate federated session 1");
        let task = hmac::sign(&root, b"tollgate federated task 1");
        let session = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, session.as_ref()).ok()?);
        Some(Self { session, task: hmac::Key::new(hmac::HMAC_SHA256, task.as_ref()) })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys([redacted])")
    }
}

/// Who a session or a task belongs to: a digest of the credential that the caller presented. All callers without one are
/// the same principal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Principal([u8; 32]);

impl Principal {
    /// The principal behind a credential.
    pub fn of(credential: Option<&str>) -> Self {
        let mut bytes = [0; 32];
        if let Some(credential) = credential {
            bytes.copy_from_slice(digest::digest(&digest::SHA256, credential.as_bytes()).as_ref());
        }
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Principal([redacted])")
    }
}
