//! What an operator wants to happen when a definition is new, changed or suspicious.

use std::str::FromStr;

/// The policy of one server's pins. The default is the careful one: what is seen first is trusted unless it looks
/// suspicious, and whatever changes afterwards waits for an approval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PinPolicy {
    /// What happens when a definition differs from the approved one.
    pub drift: Drift,
    /// What happens with a tool that was never seen before.
    pub first_use: FirstUse,
    /// What happens when the scan finds something serious in a definition that nobody approved yet.
    pub findings: Findings,
}

/// A text that names none of the choices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of {1}")]
pub struct PolicyError(pub String, pub &'static str);

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident: $all:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// The word in the configuration.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = PolicyError;

            fn from_str(text: &str) -> Result<Self, PolicyError> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    other => Err(PolicyError(other.to_owned(), $all)),
                }
            }
        }
    };
}

choices! {
    /// What happens when a definition differs from the approved one.
    Drift: "block, warn, off" {
        /// The tool disappears from lists and is refused until somebody approves the new definition.
        #[default]
        Block = "block",
        /// It stays usable with the new definition; the log and `tollgate pins list` say so.
        Warn = "warn",
        /// The new definition takes the place of the old one without a word.
        Off = "off",
    }
}

choices! {
    /// What happens with a tool that was never seen before.
    FirstUse: "trust, approve" {
        /// It is pinned as it is.
        #[default]
        Trust = "trust",
        /// It waits for an approval.
        Approve = "approve",
    }
}

choices! {
    /// What happens when the scan finds something serious in a definition that nobody approved yet.
    Findings: "block, warn, off" {
        /// The definition waits for an approval, whatever the other settings say.
        #[default]
        Block = "block",
        /// The log says so.
        Warn = "warn",
        /// Definitions are not scanned.
        Off = "off",
    }
}

choices! {
    /// What happens when the scan finds something serious in what a tool answers.
    ResultPolicy: "off, warn, redact, block" {
        /// Answers are not looked at.
        #[default]
        Off = "off",
        /// The answer passes, and a note says so beside it.
        Warn = "warn",
        /// The answer passes with marks in the place of access keys and personal data, and a note says so beside it. Where one of them
        /// cannot be taken out, it is withheld.
        Redact = "redact",
        /// The answer is withheld, and nothing is charged.
        Block = "block",
    }
}

impl PinPolicy {
    /// Nothing is recorded, compared or scanned.
    pub const OFF: Self = Self { drift: Drift::Off, first_use: FirstUse::Trust, findings: Findings::Off };

    /// Whether nothing is recorded, compared or scanned.
    pub fn is_off(self) -> bool {
        self == Self::OFF
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_careful_and_words_are_read_as_they_are_written() {
        let careful = PinPolicy::default();
        assert_eq!(
            (careful.drift.word(), careful.first_use.word(), careful.findings.word()),
            ("block", "trust", "block")
        );
        for word in ["block", "warn", "off"] {
            assert_eq!(word.parse::<Drift>().unwrap().word(), word);
            assert_eq!(word.parse::<Findings>().unwrap().word(), word);
        }
        assert_eq!("approve".parse(), Ok(FirstUse::Approve));
        assert!("Block".parse::<Drift>().is_err());
        assert!(PinPolicy::OFF.is_off() && !careful.is_off());
    }
}
