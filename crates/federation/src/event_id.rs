//! Ids of events that say from which server's stream they came, so that each stream can be resumed where it broke off.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tollgate_domain::ServerName;

/// The longest id, in characters: it comes back in a header.
const ID_CHARS_MAX: usize = 4 * 1024;

/// Where a client's stream broke off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventId {
    /// On the stream of one request, which one server answers: its own id of the last event.
    Request(ServerName, String),
    /// On the stream that a client listens on: for every server that named its events, its own id of the last one.
    Listening(Vec<(ServerName, String)>),
}

type Form = (char, Vec<(String, String)>);

impl EventId {
    /// The text form: visible ASCII. `None` where it would be too long.
    pub fn encode(&self) -> Option<String> {
        let pair = |(server, id): &(ServerName, String)| (server.to_string(), id.clone());
        let form: Form = match self {
            Self::Request(server, id) => ('r', vec![(server.to_string(), id.clone())]),
            Self::Listening(parts) => ('l', parts.iter().map(pair).collect()),
        };
        let text = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&form).ok()?);
        (text.len() <= ID_CHARS_MAX).then_some(text)
    }

    /// Reads what [`EventId::encode`] wrote.
    pub fn decode(text: &str) -> Option<Self> {
        if text.len() > ID_CHARS_MAX {
            return None;
        }
        let (kind, parts): Form = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let parts = parts.into_iter().map(|(server, id)| Some((server.parse().ok()?, id)));
        let mut parts: Vec<(ServerName, String)> = parts.collect::<Option<_>>()?;
        match (kind, parts.len()) {
            ('r', 1) => parts.pop().map(|(server, id)| Self::Request(server, id)),
            ('l', _) => Some(Self::Listening(parts)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_what_it_was() {
        let server = |name: &str| -> ServerName { name.parse().unwrap() };
        for id in [
            EventId::Request(server("a"), "s_1".to_owned()),
            EventId::Listening(vec![(server("a"), String::new()), (server("b"), "\u{e9} 2".to_owned())]),
            EventId::Listening(Vec::new()),
        ] {
            let text = id.encode().unwrap();
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            assert_eq!(EventId::decode(&text), Some(id));
        }
        for strange in
            ["", "1", "s_1", &"A".repeat(ID_CHARS_MAX + 1), &BASE64_URL_SAFE_NO_PAD.encode(r#"["r",[]]"#)]
        {
            assert_eq!(EventId::decode(strange), None, "{strange:.20}");
        }
        assert_eq!(EventId::Request(server("a"), "x".repeat(ID_CHARS_MAX)).encode(), None);
    }
}
