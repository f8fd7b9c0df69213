//! Two runs as multisets of checks.

use std::collections::BTreeMap;
use std::fmt;

use super::{Check, Suite};

/// What one run has and the other has not. Repeated checks count as often as they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Only in the direct run.
    pub lost: Vec<Check>,
    /// Only in the run through the gateway.
    pub gained: Vec<Check>,
}

impl Differences {
    /// Whether both runs are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.gained.is_empty()
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (sign, checks) in [('-', &self.lost), ('+', &self.gained)] {
            for check in checks {
                let Check { suite, scenario, id, status, message } = check;
                let message = message.0.as_deref().unwrap_or_default();
                writeln!(formatter, "{sign} {suite:?} {scenario} {id} {status} {message}")?;
            }
        }
        Ok(())
    }
}

/// Compares the multisets of (suite, scenario, check id, status).
#[must_use]
pub fn compare(direct: &[Check], through: &[Check]) -> Differences {
    Differences { lost: without(direct, through), gained: without(through, direct) }
}

/// What is in `checks` more often than in `others`.
fn without(checks: &[Check], others: &[Check]) -> Vec<Check> {
    let mut left: BTreeMap<&Check, usize> = BTreeMap::new();
    for other in others {
        let count = left.entry(other).or_default();
        *count = count.saturating_add(1);
    }
    let mut only = Vec::new();
    for check in checks {
        match left.get_mut(check) {
            Some(count) if *count > 0 => *count = count.saturating_sub(1),
            _ => only.push(check.clone()),
        }
    }
    only
}

/// How many checks of a suite passed and failed.
#[must_use]
pub fn counts(checks: &[Check], suite: Suite) -> (usize, usize) {
    let of =
        |status: &str| checks.iter().filter(|check| check.suite == suite && check.status == status).count();
    (of("SUCCESS"), of("FAILURE"))
}
