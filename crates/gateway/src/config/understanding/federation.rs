//! How several servers appear as one, and virtual servers.

use std::collections::BTreeMap;

use tollgate_domain::ServerName;
use tollgate_federation::Pattern;

use super::super::meaning::{Federation, Secret, Server, SessionKey};
use super::super::raw::{RawConfig, RawNames, RawVirtual};
use super::Reader;

/// A request to all servers at once must not become a flood, and a session id has to carry a session of each.
const SERVERS_MAX: usize = 64;
const PATTERNS_MAX: usize = 1_000;
/// A new key, the one before it, and one more for two gateways that change theirs at different times.
const SESSION_KEYS_MAX: usize = 4;
const SESSION_KEY_CHARS_MIN: usize = 32;
/// The word for the key from the gateway's own secret.
const OWN: &str = "own";

impl Reader<'_> {
    pub(super) fn federation(&mut self, raw: &RawConfig) -> Federation {
        if raw.servers.len() > SERVERS_MAX {
            self.refuse("servers", format!("more than {SERVERS_MAX} servers; run a second gateway"));
        }
        let mut plain: Option<ServerName> = None;
        for (name, _) in raw.servers.iter().filter(|(_, server)| server.names == RawNames::Plain) {
            match &plain {
                // Whose name it is could not be told from a name alone.
                Some(first) => self.refuse(
                    &format!("servers.{name}.names"),
                    format!("{first} has plain names already; one server at most can"),
                ),
                None => plain = name.parse().ok(),
            }
        }
        let separator = raw.federation.separator.as_deref().map(|text| {
            let expected = "1 to 8 characters of A-Z a-z 0-9 _ - . that start with _ or .";
            self.parse("federation.separator", text, expected).unwrap_or_default()
        });
        Federation {
            separator: separator.unwrap_or_default(),
            plain,
            list_ms_max: raw.federation.list_ms_max.unwrap_or(10_000).max(1),
            stateless: raw.federation.stateless.unwrap_or(true),
            session_ttl_ms: raw.federation.session_ttl_seconds.unwrap_or(86_400).saturating_mul(1_000),
            session_keys: self.session_keys(&raw.federation.session_keys),
        }
    }

    fn session_keys(&mut self, texts: &[String]) -> Vec<SessionKey> {
        if texts.len() > SESSION_KEYS_MAX {
            let message = format!("more than {SESSION_KEYS_MAX} keys; an id is tried with each of them");
            self.refuse("federation.session_keys", message);
        }
        let mut keys = Vec::with_capacity(texts.len().max(1));
        for (index, text) in texts.iter().enumerate() {
            let at = format!("federation.session_keys[{index}]");
            let is_key =
                text.len() >= SESSION_KEY_CHARS_MIN && text.bytes().all(|byte| byte.is_ascii_graphic());
            let key = match text.as_str() {
                OWN => SessionKey::Own,
                text => SessionKey::Given(Secret(text.as_bytes().to_vec())),
            };
            if key != SessionKey::Own && !is_key {
                let message = format!(
                    "is neither `{OWN}` nor at least {SESSION_KEY_CHARS_MIN} random characters without spaces (openssl rand -hex 32)"
                );
                self.refuse(&at, message);
            }
            if keys.contains(&key) {
                self.refuse(&at, "is there twice");
            }
            keys.push(key);
        }
        if keys.is_empty() {
            keys.push(SessionKey::Own);
        }
        keys
    }

    pub(super) fn virtual_servers(
        &mut self,
        raw: &BTreeMap<String, RawVirtual>,
        servers: &BTreeMap<ServerName, Server>,
    ) -> BTreeMap<ServerName, Vec<Pattern>> {
        let mut all = BTreeMap::new();
        for (name, offered) in raw {
            let at = format!("virtual.{name}");
            let name: Option<ServerName> =
                self.parse(&at, name, "a server name (a-z, 0-9 and \"-\", at most 64 characters)");
            let patterns = self.patterns(&at, &offered.tools, servers);
            let Some(name) = name else { continue };
            if servers.contains_key(&name) {
                self.refuse(&at, "is the name of a server as well: choose another");
            }
            all.insert(name, patterns);
        }
        all
    }

    fn patterns(
        &mut self,
        at: &str,
        texts: &[String],
        servers: &BTreeMap<ServerName, Server>,
    ) -> Vec<Pattern> {
        if texts.is_empty() || texts.len() > PATTERNS_MAX {
            self.refuse(&format!("{at}.tools"), format!("names no tool, or more than {PATTERNS_MAX}"));
        }
        let mut patterns = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let at = format!("{at}.tools[{index}]");
            let pattern: Option<Pattern> =
                self.parse(&at, text, "server/tool (the tool may have * for any characters)");
            match pattern {
                Some(pattern) if servers.contains_key(pattern.server()) => patterns.push(pattern),
                Some(pattern) => self.refuse(&at, format!("there is no server {}", pattern.server())),
                None => {}
            }
        }
        patterns
    }
}
