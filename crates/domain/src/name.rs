use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_with::{DeserializeFromStr, SerializeDisplay};

/// Why a text cannot name a server or a tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a server name.
    #[error(
        "server name {0:?} is not 1 to 64 characters of a-z, 0-9 and \"-\" that start with a letter or digit"
    )]
    Server(String),
    /// Not a tool name.
    #[error("tool name {0:?} is not 1 to 128 visible characters")]
    Tool(String),
}

/// The name of an upstream server; a path segment of `/servers/{server}/mcp`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct ServerName(Arc<str>);

/// The name of a tool as its server spells it. Any server's names must pass unchanged, so this is laxer than what MCP
/// recommends (`server/tools`, "Tool Names"): 1 to 128 characters without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct ToolName(Arc<str>);

/// One tool of one server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ToolRef {
    /// The server that runs it.
    pub server: ServerName,
    /// Its name there.
    pub tool: ToolName,
}

impl FromStr for ServerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 64 || text.starts_with('-') || !text.bytes().all(allowed) {
            return Err(NameError::Server(text.chars().take(64).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for ToolName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.chars().count() > 128 || text.chars().any(char::is_control) {
            return Err(NameError::Tool(text.chars().take(128).collect()));
        }
        Ok(Self(text.into()))
    }
}

macro_rules! text_form {
    ($($name:ident)*) => {$(
        impl $name {
            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )*};
}
text_form!(ServerName ToolName);

impl fmt::Display for ToolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server, self.tool)
    }
}
