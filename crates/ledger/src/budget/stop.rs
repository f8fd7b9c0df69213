//! The kill switch: what an operator has stopped may spend nothing, from the next claim on.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{Principal, UnixMillis};

use super::Ask;

/// What may be stopped. Written `everything`, `node:acme/research`, `caller:key_1…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// All spending.
    Everything,
    /// One node and everything below it, by its path.
    Node(Arc<str>),
    /// One caller.
    Caller(Principal),
}

/// Why a text is no [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not everything, node:<path> or caller:<principal>")]
pub struct TargetError(String);

/// One stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stop {
    /// Why, for operators.
    pub reason: String,
    /// Who stopped it, for operators.
    pub by: String,
    /// When.
    pub at: UnixMillis,
}

/// Everything that is stopped now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stops(pub BTreeMap<Target, Stop>);

impl Stops {
    /// How many there may be.
    pub const MAX: usize = 1_000;

    /// What of these stops holds a call up, the widest first.
    pub fn holding(&self, ask: &Ask, caller: &Principal) -> Option<Target> {
        if self.0.is_empty() {
            return None;
        }
        let nodes = ask.nodes.iter().map(|node| Target::Node(node.key.path().into()));
        let mut targets =
            [Target::Everything].into_iter().chain(nodes).chain([Target::Caller(caller.clone())]);
        targets.find(|target| self.0.contains_key(target))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Node(path) => write!(f, "node:{path}"),
            Self::Caller(caller) => write!(f, "caller:{caller}"),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let refused = || TargetError(text.chars().take(96).collect());
        match text.split_once(':') {
            None if text == "everything" => Ok(Self::Everything),
            Some(("node", path)) if !path.is_empty() && path.len() <= 512 => Ok(Self::Node(path.into())),
            Some(("caller", caller)) => caller.parse().map(Self::Caller).map_err(|_| refused()),
            Some(_) | None => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_one_text_form() {
        for text in ["everything", "node:acme/research", "caller:anonymous"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for text in ["", "acme", "node:", "caller:", "caller:bob", "everything:"] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
    }
}
