use std::fmt;
use std::str::FromStr;

use serde_with::{DeserializeFromStr, SerializeDisplay};

/// When the money of a call moves, seen from the tool. Written `after`, `before`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, SerializeDisplay, DeserializeFromStr,
)]
pub enum Settle {
    /// Once the tool has delivered. A failed tool costs nothing.
    #[default]
    After,
    /// Before the tool is asked. What was taken for a tool that failed is refunded.
    Before,
}

/// Why a text names no [`Settle`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither after nor before")]
pub struct SettleError(String);

impl Settle {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::After, Self::Before];

    /// The word it is stored, shown and configured with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::After => "after",
            Self::Before => "before",
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
    fn a_mode_has_one_text_form_and_what_does_not_work_yet_has_none() {
        for settle in Settle::ALL {
            assert_eq!(settle.to_string().parse(), Ok(settle));
        }
        for text in ["", "After", "before ", "escrow"] {
            assert!(text.parse::<Settle>().is_err(), "{text:?}");
        }
    }
}
