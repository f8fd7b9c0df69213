//! A session of the era of sessions that spans several servers, sealed into its own id.
//!
//! The id carries the session of every member, when it ends, and whose it is; nobody but a gateway with the same secret can
//! read or make one. It cannot grow once it was given out, so every member's session is opened with it.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tollgate_domain::{ServerName, UnixMillis};

use crate::introductions::Features;
use crate::keys::{Keys, Principal};

#[cfg(test)]
mod tests;

/// The longest sealed id: some clients read no more than 16 KiB of headers.
pub const SEALED_BYTES_MAX: usize = 8 * 1024;
const NONCE_BYTES: usize = 12;

/// One server's part of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The server.
    pub server: ServerName,
    /// Its own session id, where it gave one.
    pub session: Option<String>,
    /// The protocol version that it agreed to.
    pub version: String,
    /// What it offers.
    pub features: Features,
}

/// A federated session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// From when on it is over.
    pub expires: UnixMillis,
    /// The servers that took part when it was opened.
    pub members: Vec<Member>,
}

/// Why an id is no session of this caller. All but the first look the same to the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionError {
    /// More members, or longer ids of theirs, than an id can carry.
    #[error("the session id would be longer than {SEALED_BYTES_MAX} bytes")]
    TooLong,
    /// Not ours, of another caller or door, or tampered with.
    #[error("the session is unknown")]
    Unknown,
    /// Its time is over.
    #[error("the session has expired")]
    Expired,
}

/// The sealed form: a version, the end, and the members.
type Form = (u8, u64, Vec<(String, Option<String>, String, u8)>);
const VERSION: u8 = 1;

impl Session {
    /// Seals the session for a principal at a door: visible ASCII. `nonce` must never be used twice.
    ///
    /// # Errors
    /// [`SessionError::TooLong`].
    pub fn seal(
        &self,
        keys: &Keys,
        door: &str,
        principal: &Principal,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<String, SessionError> {
        let members = self.members.iter().map(|member| {
            let Member { server, session, version, features } = member;
            (server.to_string(), session.clone(), version.clone(), features.bits())
        });
        let form: Form = (VERSION, self.expires.get(), members.collect());
        let mut sealed = serde_json::to_vec(&form).map_err(|_| SessionError::TooLong)?;
        let tag = keys.sealing().seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound_to(door, principal)),
            &mut sealed,
        );
        let tag = tag.map_err(|_| SessionError::TooLong)?;
        let text = BASE64_URL_SAFE_NO_PAD.encode([&nonce[..], &sealed, tag.as_ref()].concat());
        if text.len() > SEALED_BYTES_MAX { Err(SessionError::TooLong) } else { Ok(text) }
    }

    /// Opens a sealed id that this principal shows at this door.
    ///
    /// # Errors
    /// [`SessionError::Unknown`] or [`SessionError::Expired`].
    pub fn open(
        text: &str,
        keys: &Keys,
        door: &str,
        principal: &Principal,
        now: UnixMillis,
    ) -> Result<Self, SessionError> {
        if text.len() > SEALED_BYTES_MAX {
            return Err(SessionError::Unknown);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| SessionError::Unknown)?;
        let bound_to = bound_to(door, principal);
        let opened = keys.opening().find_map(|key| unsealed(key, &bytes, &bound_to));
        let opened = opened.ok_or(SessionError::Unknown)?;
        let form: Form = serde_json::from_slice(&opened).map_err(|_| SessionError::Unknown)?;
        let (VERSION, expires, members) = form else { return Err(SessionError::Unknown) };
        let expires = UnixMillis::new(expires);
        if expires <= now {
            return Err(SessionError::Expired);
        }
        let members = members.into_iter().map(|(server, session, version, features)| {
            let server = server.parse().map_err(|_| SessionError::Unknown)?;
            Ok(Member { server, session, version, features: Features::from_bits(features) })
        });
        Ok(Self { expires, members: members.collect::<Result<_, _>>()? })
    }

    /// The version that its client was told: the lowest that any member agreed to. `None` without any.
    pub fn version(&self) -> Option<&str> {
        self.members.iter().map(|member| member.version.as_str()).min()
    }

    /// A server's part of the session.
    pub fn member(&self, server: &ServerName) -> Option<&Member> {
        self.members.iter().find(|member| member.server == *server)
    }
}

/// What is sealed, if this key did it. Opening destroys what does not open, so each key gets its own copy.
fn unsealed(key: &LessSafeKey, bytes: &[u8], bound_to: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut sealed = sealed.to_vec();
    let length = key.open_in_place(nonce, Aad::from(bound_to), &mut sealed).ok()?.len();
    sealed.truncate(length);
    Some(sealed)
}

/// What the seal is bound to without being in it: shown elsewhere or by another caller, it does not open.
fn bound_to(door: &str, principal: &Principal) -> Vec<u8> {
    [door.as_bytes(), b"\0", principal.bytes()].concat()
}
