use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{ServerName, ToolRef};

use crate::rate::Rate;

/// One limit as an operator states it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// How it is spoken of.
    pub label: Arc<Label>,
    /// What it counts.
    pub counts: Counts,
    /// For which calls it holds.
    pub scope: Scope,
    /// Which of them share a bucket.
    pub per: Per,
    /// How fast they may come.
    pub rate: Rate,
    /// Whether all gateways on one database count together; else each counts for itself.
    pub shared: bool,
}

/// How a limit is spoken of: to callers whom it refuses, and in metrics.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Label {
    /// Its name, such as `servers.weather.rates[0]`.
    pub name: String,
    /// Its rate, such as `60/minute`.
    pub rate: String,
    /// Whose bucket it is, such as `caller+tool`.
    pub per: String,
}

/// What a limit counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counts {
    /// Tool calls that are about to be carried out; a heavy one counts several times.
    Calls,
    /// Demands to pay, each of which may cost an invoice.
    Offers,
    /// Requests of any kind at a door, before anything of them is read.
    Requests,
}

/// For which calls a limit holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Every call.
    Gateway,
    /// Every call of this server's tools.
    Server(ServerName),
    /// Every call of this tool.
    Tool(ToolRef),
    /// Every call of a tool of this server that is not stated by name.
    OtherTools(ServerName),
}

/// Something by which callers can be told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Who calls, or where from, where nobody is known.
    Caller,
    /// Where from.
    Address,
    /// Which tool.
    Tool,
    /// Which server.
    Server,
}

impl Part {
    const ALL: [Self; 4] = [Self::Caller, Self::Address, Self::Tool, Self::Server];

    const fn word(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Address => "address",
            Self::Tool => "tool",
            Self::Server => "server",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Caller => 1,
            Self::Address => 2,
            Self::Tool => 4,
            Self::Server => 8,
        }
    }
}

/// Why a word is no [`Part`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is not caller, address, tool or server")]
pub struct PartError(String);

impl FromStr for Part {
    type Err = PartError;

    fn from_str(word: &str) -> Result<Self, PartError> {
        Self::ALL
            .into_iter()
            .find(|part| part.word() == word)
            .ok_or_else(|| PartError(word.chars().take(64).collect()))
    }
}

/// Which calls share a bucket: those that agree in all of these parts. Without any, all do.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Per(u8);

impl Per {
    /// Those that agree in all of these.
    pub fn of(parts: impl IntoIterator<Item = Part>) -> Self {
        Self(parts.into_iter().fold(0, |bits, part| bits | part.bit()))
    }

    /// Those that agree in this part as well.
    #[must_use]
    pub fn and(self, part: Part) -> Self {
        Self(self.0 | part.bit())
    }

    /// Whether it asks for this part.
    pub fn has(self, part: Part) -> bool {
        self.0 & part.bit() != 0
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Part::ALL.into_iter().filter(|part| self.has(*part)).map(Part::word);
        f.write_str(words.next().unwrap_or("all"))?;
        words.try_for_each(|word| write!(f, "+{word}"))
    }
}
