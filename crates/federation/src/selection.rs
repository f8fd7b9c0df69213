//! Which tools of which servers a virtual server offers.

use std::str::FromStr;

use tollgate_domain::ServerName;

/// `server/tool`, where the tool may have `*` for any characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    server: ServerName,
    tool: String,
}

/// Why a text selects nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a selection is server/tool, where the tool may have \"*\" for any characters")]
pub struct PatternError;

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (server, tool) = text.split_once('/').ok_or(PatternError)?;
        if tool.is_empty() || tool.len() > 512 {
            return Err(PatternError);
        }
        Ok(Self { server: server.parse().map_err(|_| PatternError)?, tool: tool.to_owned() })
    }
}

impl Pattern {
    /// The server.
    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// Whether it selects this tool.
    pub fn selects(&self, server: &ServerName, tool: &str) -> bool {
        self.server == *server && fits(&self.tool, tool)
    }
}

/// Whether a text fits a pattern with stars: each part between stars is taken where it first stands, which is enough.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_selects_what_fits_and_nothing_else() {
        let selects = |pattern: &str, tool: &str| {
            pattern.parse::<Pattern>().unwrap().selects(&"a".parse().unwrap(), tool)
        };
        for (pattern, tool) in [
            ("a/x", "x"),
            ("a/*", "x"),
            ("a/r*", "read"),
            ("a/*d", "read"),
            ("a/r*a*d", "read"),
            ("a/x/y", "x/y"),
        ] {
            assert!(selects(pattern, tool), "{pattern} {tool}");
        }
        for (pattern, tool) in [
            ("a/x", "xy"),
            ("a/x", "X"),
            ("b/*", "x"),
            ("a/r*", "write"),
            ("a/a*a", "a"),
            ("a/r*x*d", "read"),
        ] {
            assert!(!selects(pattern, tool), "{pattern} {tool}");
        }
        for bad in ["", "a", "a/", "/x", "A/x", "../x"] {
            assert_eq!(bad.parse::<Pattern>(), Err(PatternError), "{bad}");
        }
    }
}
