use std::fmt;
use std::str::FromStr;

use serde_with::{DeserializeFromStr, SerializeDisplay};

/// When the money of a call moves, seen from the tool. Written `after`, `before`, `escrow`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, SerializeDisplay, DeserializeFromStr,
)]
pub enum Settle {
    /// Once the tool has delivered. A failed tool costs nothing.
    #[default]
    After,
    /// Before the tool is asked. What was taken for a tool that failed is refunded.
    Before,
    /// Before the tool is asked, as [`Self::Before`]; what the tool delivers puts it into an escrow between whoever called and
    /// the tool's server.
    Escrow,
}

/// Why a text names no [`Settle`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of after, before, escrow")]
pub struct SettleError(String);

impl Settle {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::After, Self::Before, Self::Escrow];

    /// The word it is stored, shown and configured with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::After => "after",
            Self::Before => "before",
            Self::Escrow => "escrow",
        }
    }

    /// Whether the money moves before the tool is asked.
    pub const fn takes_first(self) -> bool {
        match self {
            Self::After => false,
            Self::Before | Self::Escrow => true,
        }
    }
}

impl fmt::Display for Settle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Settle {
    type Err = SettleError;

    fn from_str(text: &str) -> Result<Self, SettleError> {
        let known = Self::ALL.into_iter().find(|settle| settle.word() == text);
        known.ok_or_else(|| SettleError(text.chars().take(32).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_one_text_form() {
        for settle in Settle::ALL {
            assert_eq!(settle.to_string().parse(), Ok(settle));
        }
        for text in ["", "After", "before ", "escrowed"] {
            assert!(text.parse::<Settle>().is_err(), "{text:?}");
        }
    }
}
