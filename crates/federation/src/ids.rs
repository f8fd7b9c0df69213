//! Ids that say which server they came from: of a server's own requests, of its progress tokens, and of tasks.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tollgate_domain::ServerName;
use tollgate_mcp::RequestId;
use tollgate_mcp::json::{self, quote};

use crate::keys::{Keys, Principal};
use crate::names::Names;

#[cfg(test)]
mod tests;

/// The id under which a client sees a server's request. `None` for one that would be too long.
///
/// Two servers may both count from 1: the client's answer must find the one that asked.
pub fn foreign_id(server: &ServerName, id: &RequestId) -> Option<RequestId> {
    RequestId::from_raw(&foreign_token(server, id.raw())).ok()
}

/// The server that asked, and its own id.
pub fn home_id(id: &RequestId) -> Option<(ServerName, RequestId)> {
    let (server, raw) = split(id.as_str()?)?;
    Some((server, RequestId::from_raw(raw).ok()?))
}

/// A raw progress token of a server's request, as its client sees it.
pub(crate) fn foreign_token(server: &ServerName, raw: &str) -> String {
    quote(&format!("{server}:{raw}"))
}

/// The server whose progress token this is, and its own raw token.
pub(crate) fn home_token(raw: &[u8]) -> Option<(ServerName, String)> {
    let text = json::string(raw)?;
    let (server, raw) = split(&text)?;
    json::check(raw.as_bytes(), json::Limits::CALLER).ok()?;
    Some((server, raw.to_owned()))
}

/// No server name has a colon.
fn split(text: &str) -> Option<(ServerName, &str)> {
    let (server, raw) = text.split_once(':')?;
    Some((server.parse().ok()?, raw))
}

/// Ids of tasks: `server__id.tag`. The tag binds the id to the caller who was given it (M12).
#[derive(Clone, Copy, Debug)]
pub struct TaskIds<'k> {
    /// The keys of this gateway.
    pub keys: &'k Keys,
    /// Who asks.
    pub principal: Principal,
}

const TAG_BYTES: usize = 12;

impl TaskIds<'_> {
    /// What a server's task is called at this door.
    pub fn public(&self, names: &Names, server: &ServerName, task: &str) -> String {
        format!("{}.{}", names.public(server, task), self.tag(server, task))
    }

    /// Whose task this is, and its own id. `None` for an id that was not given to this caller.
    pub fn resolve<'n, 't>(&self, names: &'n Names, id: &'t str) -> Option<(&'n ServerName, &'t str)> {
        let (public, tag) = id.rsplit_once('.')?;
        let (server, task) = names.resolve(public)?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        let is_of = |key: &hmac::Key| {
            let expected = self.sign(key, server, task);
            expected.as_ref().get(..TAG_BYTES).is_some_and(|expected| {
                aws_lc_rs::constant_time::verify_slices_are_equal(expected, &tag).is_ok()
            })
        };
        self.keys.knowing().any(is_of).then_some((server, task))
    }

    fn tag(&self, server: &ServerName, task: &str) -> String {
        let tag = self.sign(self.keys.tagging(), server, task);
        BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref().get(..TAG_BYTES).unwrap_or_default())
    }

    fn sign(&self, key: &hmac::Key, server: &ServerName, task: &str) -> hmac::Tag {
        let signed = [self.principal.bytes(), server.as_str().as_bytes(), b"\0", task.as_bytes()].concat();
        hmac::sign(key, &signed)
    }
}
