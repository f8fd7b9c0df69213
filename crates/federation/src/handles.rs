//! What one server hands to a caller and takes back later, bound to that caller: ids of sessions, and states of calls that wait for an
//! answer.
//!
//! Every caller is the gateway to the server, so it cannot tell one from another. What goes out gets a tag; what comes back goes on, without
//! it, only with the tag of whoever brings it.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tollgate_domain::ServerName;

use crate::keys::{Keys, Principal};

#[cfg(test)]
mod tests;

const TAG_BYTES: usize = 12;

/// What is handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handle<'a> {
    /// The id of a session of the era of sessions.
    Session,
    /// The `requestState` of the call with this digest.
    State(&'a [u8; 32]),
}

/// The handles of one server to one caller.
#[derive(Clone, Copy, Debug)]
pub struct Handles<'k> {
    /// The keys of this gateway.
    pub keys: &'k Keys,
    /// The caller.
    pub principal: Principal,
    /// The server.
    pub server: &'k ServerName,
}

impl Handles<'_> {
    /// A server's handle as its caller gets it: `own.tag`.
    pub fn public(&self, handle: Handle<'_>, own: &str) -> String {
        format!("{own}.{}", tag(self.keys.handing(), &self.signed(handle, own)))
    }

    /// The server's own handle; `None` for one that was not given to this caller for this.
    pub fn own<'t>(&self, handle: Handle<'_>, public: &'t str) -> Option<&'t str> {
        let (own, tag) = public.rsplit_once('.')?;
        let signed = self.signed(handle, own);
        self.keys.taking_back().any(|key| is_tag(key, &signed, tag)).then_some(own)
    }

    /// No two handles are signed as the same bytes: all parts but the last have a length of their own, or end where no name can.
    fn signed(&self, handle: Handle<'_>, own: &str) -> Vec<u8> {
        let (kind, call): (&[u8], &[u8]) = match handle {
            Handle::Session => (b"\0session\0", &[]),
            Handle::State(call) => (b"\0state\0", call),
        };
        [self.principal.bytes(), self.server.as_str().as_bytes(), kind, call, own.as_bytes()].concat()
    }
}

/// What shows that these bytes were signed here, as text of a URL.
pub(crate) fn tag(key: &hmac::Key, signed: &[u8]) -> String {
    let tag = hmac::sign(key, signed);
    BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref().get(..TAG_BYTES).unwrap_or_default())
}

pub(crate) fn is_tag(key: &hmac::Key, signed: &[u8], tag: &str) -> bool {
    let Ok(tag) = BASE64_URL_SAFE_NO_PAD.decode(tag) else { return false };
    let expected = hmac::sign(key, signed);
    let expected = expected.as_ref().get(..TAG_BYTES).unwrap_or_default();
    aws_lc_rs::constant_time::verify_slices_are_equal(expected, &tag).is_ok()
}
