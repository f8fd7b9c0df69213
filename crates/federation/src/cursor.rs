//! One cursor for several lists: where each server's list goes on.
//!
//! Opaque to the client, and not sealed: all it can ask for is what the caller could ask those servers for anyway.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tollgate_domain::ServerName;

use crate::lists::Kind;

#[cfg(test)]
mod tests;

/// The longest cursor, in characters, and the most servers that it may name.
const CURSOR_CHARS_MAX: usize = 64 * 1024;

/// Where the lists of several servers go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Each server whose list goes on, with its own cursor. An empty cursor is one like any other.
    pub parts: Vec<(ServerName, String)>,
}

/// Why a text is no cursor of this list. The JSON-RPC code is -32602.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the cursor is none of this list")]
pub struct CursorError;

type Form = (String, Vec<(String, String)>);

impl Cursor {
    /// The text form for a list.
    pub fn encode(&self, kind: Kind) -> String {
        let parts = self.parts.iter().map(|(server, cursor)| (server.to_string(), cursor.clone())).collect();
        let form: Form = (kind.items().to_owned(), parts);
        // A tuple of strings can always be written.
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&form).unwrap_or_default())
    }

    /// Reads what [`Cursor::encode`] wrote for the same list.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn decode(kind: Kind, text: &str) -> Result<Self, CursorError> {
        if text.len() > CURSOR_CHARS_MAX {
            return Err(CursorError);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        let (items, parts): Form = serde_json::from_slice(&bytes).map_err(|_| CursorError)?;
        if items != kind.items() || parts.is_empty() {
            return Err(CursorError);
        }
        let parts =
            parts.into_iter().map(|(server, cursor)| Ok((server.parse().map_err(|_| CursorError)?, cursor)));
        let parts: Vec<(ServerName, String)> = parts.collect::<Result<_, _>>()?;
        // In order, and so no server twice.
        let in_order = parts.iter().zip(parts.iter().skip(1)).all(|((a, _), (b, _))| a < b);
        if in_order { Ok(Self { parts }) } else { Err(CursorError) }
    }
}
