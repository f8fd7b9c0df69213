//! Names of the federated door: `server__tool`, and URIs that keep their scheme.
//!
//! A name carries its server, so nothing has to be learned or remembered to route it, two servers can never take each
//! other's names, and every gateway gives the same ones. At most one server is plain: its names stay as they are, but for
//! those that already read as a name of another server.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use tollgate_domain::ServerName;

#[cfg(test)]
mod tests;

/// What stands between a server and the name of its tool.
#[derive(Clone, PartialEq, Eq)]
pub struct Separator(Box<str>);

/// Why a text cannot separate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a separator is 1 to 8 characters of A-Z, a-z, 0-9, \"_\", \"-\" and \".\" that start with \"_\" or \".\""
)]
pub struct SeparatorError;

impl Default for Separator {
    /// `__`
    fn default() -> Self {
        Self("__".into())
    }
}

impl FromStr for Separator {
    type Err = SeparatorError;

    /// It starts with a character that no server name has: so a name can be split in one way only.
    fn from_str(text: &str) -> Result<Self, SeparatorError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if text.len() > 8 || !text.starts_with(['_', '.']) || !text.bytes().all(allowed) {
            return Err(SeparatorError);
        }
        Ok(Self(text.into()))
    }
}

impl Separator {
    /// The text form.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The names of one federated door.
#[derive(Clone, Debug)]
pub struct Names {
    separator: Separator,
    servers: Vec<ServerName>,
    plain: Option<ServerName>,
}

impl Names {
    /// Names over these servers; those of `plain` go without its name.
    pub fn new(
        separator: Separator,
        servers: impl IntoIterator<Item = ServerName>,
        plain: Option<ServerName>,
    ) -> Self {
        let mut servers: Vec<ServerName> = servers.into_iter().collect();
        servers.sort();
        servers.dedup();
        let plain = plain.filter(|plain| servers.contains(plain));
        Self { separator, servers, plain }
    }

    /// The names at a server's own door: all of them as they are.
    pub fn of_own_door(server: ServerName) -> Self {
        // Without servers there is no name that another's could be taken for.
        Self { separator: Separator::default(), servers: Vec::new(), plain: Some(server) }
    }

    /// The servers, in the order of every list.
    pub fn servers(&self) -> &[ServerName] {
        &self.servers
    }

    /// The server whose names stay as they are.
    pub const fn plain(&self) -> Option<&ServerName> {
        self.plain.as_ref()
    }

    /// What a server's own name is called at this door.
    pub fn public<'n>(&self, server: &ServerName, name: &'n str) -> Cow<'n, str> {
        if self.plain.as_ref() == Some(server) && self.prefixed(name).is_none() {
            return Cow::Borrowed(name);
        }
        Cow::Owned(format!("{server}{}{name}", self.separator.0))
    }

    /// Whose name this is, and what that server calls it. `None`: nobody's.
    pub fn resolve<'n>(&self, name: &'n str) -> Option<(&ServerName, &'n str)> {
        self.prefixed(name).or_else(|| Some((self.plain.as_ref()?, name)))
    }

    /// A server's URI, or URI template, at this door: its scheme stays, the server stands where the authority starts.
    pub fn public_uri<'n>(&self, server: &ServerName, uri: &'n str) -> Cow<'n, str> {
        let (scheme, rest) = uri.split_at(behind_scheme(uri));
        if self.plain.as_ref() == Some(server) && self.split(rest).is_none() {
            return Cow::Borrowed(uri);
        }
        Cow::Owned(format!("{scheme}{server}{}{rest}", self.separator.0))
    }

    /// Whose URI this is, and what that server calls it. `None`: nobody's.
    pub fn resolve_uri<'n>(&self, uri: &'n str) -> Option<(&ServerName, Cow<'n, str>)> {
        let (scheme, rest) = uri.split_at(behind_scheme(uri));
        // Nothing may stand behind the scheme (`about:`): then nothing stands behind the separator.
        if let Some((server, own)) = self.split(rest) {
            return Some((server, Cow::Owned(format!("{scheme}{own}"))));
        }
        Some((self.plain.as_ref()?, Cow::Borrowed(uri)))
    }

    /// Splits `server__name` of a server that is here; no name is empty.
    fn prefixed<'n>(&self, name: &'n str) -> Option<(&ServerName, &'n str)> {
        self.split(name).filter(|(_, own)| !own.is_empty())
    }

    fn split<'n>(&self, name: &'n str) -> Option<(&ServerName, &'n str)> {
        let in_server = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let end = name.bytes().position(|byte| !in_server(byte))?;
        let (server, rest) = name.split_at(end);
        let own = rest.strip_prefix(&*self.separator.0)?;
        Some((self.servers.iter().find(|known| known.as_str() == server)?, own))
    }
}

/// Where a URI goes on behind `scheme:` or `scheme://` (RFC 3986 section 3.1); 0 for a template that starts otherwise.
fn behind_scheme(uri: &str) -> usize {
    let Some((scheme, rest)) = uri.split_once(':') else { return 0 };
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(in_scheme) {
        return 0;
    }
    scheme.len() + 1 + if rest.starts_with("//") { 2 } else { 0 }
}
