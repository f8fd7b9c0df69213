//! What an owner allows: the assets with their limits, and the tools.

use tollgate_domain::{Asset, Money};

use super::Limits;

/// The limits of one asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// What is paid with.
    pub asset: Asset,
    /// How much of it.
    pub limits: Limits,
}

impl Allowance {
    /// The most one call may cost.
    pub fn per_call(&self) -> Money {
        Money { amount: self.limits.per_call, asset: self.asset.clone() }
    }
}

/// Everything that an owner allows. What is not in it is not paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allowances {
    /// The assets, the preferred one first.
    pub assets: Vec<Allowance>,
    /// Patterns of tool names that may be paid for; `*` stands for any text. Empty: every tool.
    pub tools: Vec<String>,
}

impl Allowances {
    /// Whether this tool may be paid for at all.
    pub fn allows_tool(&self, tool: &str) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|pattern| matches(pattern, tool))
    }
}

/// Whether `pattern` describes the whole of `name`.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    // What stands behind the last star ends the name; what stands between two stars is found at its first place, which leaves
    // most for the rest.
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = name.get(at.saturating_add(part.len())..).unwrap_or_default();
    }
    name.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_describes_whole_names() {
        let yes = [("weather", "weather"), ("*", ""), ("*", "a"), ("w*", "weather"), ("*er", "weather")];
        let more = [("w*th*r", "weather"), ("a*a", "aba"), ("**", "x"), ("demo__*", "demo__weather")];
        for (pattern, name) in yes.into_iter().chain(more) {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        let no =
            [("weather", "weather2"), ("weather", "Weather"), ("w*", "aw"), ("a*a", "a"), ("*ab*ab", "ab")];
        for (pattern, name) in no.into_iter().chain([("", "a"), ("w*th*r", "wthe")]) {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn without_patterns_every_tool_is_allowed_and_with_them_only_theirs() {
        let mut allowed = Allowances { assets: Vec::new(), tools: Vec::new() };
        assert!(allowed.allows_tool("weather"));
        allowed.tools.push("dig*".to_owned());
        assert!(!allowed.allows_tool("weather"));
        assert!(allowed.allows_tool("digest"));
    }
}
