//! Ids that say which server they came from: of a server's own requests, of its progress tokens, and of tasks.

use aws_lc_rs::digest;
use tollgate_domain::ServerName;
use tollgate_mcp::RequestId;
use tollgate_mcp::json::{self, quote};

use crate::handles::{is_tag, tag};
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

/// Ids of tasks: `server__id.tag`, at the server's own door `id.tag`. The tag binds the id to the caller who was given it (M12).
#[derive(Clone, Copy, Debug)]
pub struct TaskIds<'k> {
    /// The keys of this gateway.
    pub keys: &'k Keys,
    /// Who asks.
    pub principal: Principal,
}

impl TaskIds<'_> {
    /// What a server's task is called at this door.
    pub fn public(&self, names: &Names, server: &ServerName, task: &str) -> String {
        let tag = tag(self.keys.tagging(), &self.signed(server, task));
        format!("{}.{tag}", names.public(server, task))
    }

    /// Whose task this is, and its own id. `None` for an id that was not given to this caller.
    pub fn resolve<'n, 't>(&self, names: &'n Names, id: &'t str) -> Option<(&'n ServerName, &'t str)> {
        let (public, tag) = id.rsplit_once('.')?;
        let (server, task) = names.resolve(public)?;
        let signed = self.signed(server, task);
        self.keys.knowing().any(|key| is_tag(key, &signed, tag)).then_some((server, task))
    }

    /// What stands for this caller's task wherever it is remembered.
    pub fn mark(&self, server: &ServerName, task: &str) -> [u8; 32] {
        let mut mark = [0; 32];
        mark.copy_from_slice(digest::digest(&digest::SHA256, &self.signed(server, task)).as_ref());
        mark
    }

    fn signed(&self, server: &ServerName, task: &str) -> Vec<u8> {
        [self.principal.bytes(), server.as_str().as_bytes(), b"\0", task.as_bytes()].concat()
    }
}
