//! How far a caller is believed: local reputation and what a tool asks.

use tollgate_domain::{Bps, Caller, KyaTier, Requirement, Standing};

/// The standing of a known caller of whom nothing is recorded yet: half-way (R0 = 0.5 of the same source).
pub const NEWCOMER: Standing =
    Standing { tier: KyaTier::Sandbox, reputation: Bps::new(5_000), settled_calls: 0 };

/// The caller does not meet what the tool asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustShortfall {
    /// The tool is for callers with an API key.
    #[error("the tool requires an API key")]
    ApiKey {
        /// What the tool asks.
        required: Requirement,
        /// How the caller is judged now.
        current: Standing,
    },
    /// The caller's reputation is too low.
    #[error("the tool requires a reputation of {}, the caller has {}", required.min_reputation, current.reputation)]
    Reputation {
        /// What the tool asks.
        required: Requirement,
        /// How the caller is judged now.
        current: Standing,
    },
}

impl TrustShortfall {
    /// What the tool asks.
    pub fn required(&self) -> &Requirement {
        match self {
            Self::ApiKey { required, .. } | Self::Reputation { required, .. } => required,
        }
    }

    /// How the caller is judged now.
    pub fn current(&self) -> &Standing {
        match self {
            Self::ApiKey { current, .. } | Self::Reputation { current, .. } => current,
        }
    }
}

/// The standing that counts for this caller: the recorded one when something identifies it beyond this call, else none.
///
/// Whoever calls anonymously, or shows only a preimage that the next call will not repeat, cannot be recognised: the
/// newcomer's half would be a gift that is renewed with every call.
pub fn judged(caller: &Caller, recorded: &Standing) -> Standing {
    if caller.is_known() {
        *recorded
    } else {
        Standing { tier: KyaTier::Sandbox, reputation: Bps::ZERO, settled_calls: 0 }
    }
}

/// Judges a caller against a tool's requirement. `recorded` is the standing kept for the caller's principal
/// ([`NEWCOMER`] when there is none).
///
/// # Errors
/// [`TrustShortfall`] naming what is missing; the API key first, since reputation without it would not help.
pub fn evaluate(
    requirement: &Requirement,
    caller: &Caller,
    recorded: &Standing,
) -> Result<Standing, TrustShortfall> {
    let (required, current) = (*requirement, judged(caller, recorded));
    if required.api_key && !matches!(caller, Caller::ApiKey(_)) {
        return Err(TrustShortfall::ApiKey { required, current });
    }
    if current.reputation < required.min_reputation {
        return Err(TrustShortfall::Reputation { required, current });
    }
    Ok(current)
}

#[cfg(test)]
mod tests;
