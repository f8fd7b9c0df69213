//! Keys of what callers carry back and forth, derived once from the gateway's secret, and who a caller is to them.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::{digest, hmac};

/// Keys that every gateway with the same secret shares: the first seals, every one opens. So a key can be replaced while what
/// the one before has sealed lives on.
#[derive(Clone)]
pub struct Keys {
    first: Arc<Pair>,
    older: Vec<Arc<Pair>>,
}

/// What is derived from one secret.
struct Pair {
    session: LessSafeKey,
    task: hmac::Key,
    handle: hmac::Key,
}

impl Keys {
    /// Derives the keys. `None` only if the library cannot make a key of 32 bytes.
    pub fn derive(secret: &[u8; 32]) -> Option<Self> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let session = hmac::sign(&root, b"tollgate federated session 1");
        let task = hmac::sign(&root, b"tollgate federated task 1");
        let session = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, session.as_ref()).ok()?);
        let task = hmac::Key::new(hmac::HMAC_SHA256, task.as_ref());
        let handle = hmac::sign(&root, b"tollgate handle 1");
        let handle = hmac::Key::new(hmac::HMAC_SHA256, handle.as_ref());
        Some(Self { first: Arc::new(Pair { session, task, handle }), older: Vec::new() })
    }

    /// These keys, which also open what `older` ones have sealed.
    #[must_use]
    pub fn then(mut self, older: &Self) -> Self {
        self.older.extend(older.each().map(Arc::clone));
        self
    }

    /// The key that seals sessions.
    pub(crate) fn sealing(&self) -> &LessSafeKey {
        &self.first.session
    }

    /// The keys that open sessions, the newest first.
    pub(crate) fn opening(&self) -> impl Iterator<Item = &LessSafeKey> {
        self.each().map(|pair| &pair.session)
    }

    /// The key that tags tasks.
    pub(crate) fn tagging(&self) -> &hmac::Key {
        &self.first.task
    }

    /// The keys that know a tag, the newest first.
    pub(crate) fn knowing(&self) -> impl Iterator<Item = &hmac::Key> {
        self.each().map(|pair| &pair.task)
    }

    /// The key that tags what a server hands out at its own door.
    pub(crate) fn handing(&self) -> &hmac::Key {
        &self.first.handle
    }

    /// The keys that know such a tag, the newest first.
    pub(crate) fn taking_back(&self) -> impl Iterator<Item = &hmac::Key> {
        self.each().map(|pair| &pair.handle)
    }

    fn each(&self) -> impl Iterator<Item = &Arc<Pair>> {
        std::iter::once(&self.first).chain(&self.older)
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

    /// Whether this is one caller, and not all of those without a credential.
    pub fn is_known(&self) -> bool {
        self.0 != [0; 32]
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
