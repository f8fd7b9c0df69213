//! Approvals: a call that costs more than may be spent without asking waits for an operator, who approves exactly it.

use std::fmt;
use std::str::FromStr;

use tollgate_domain::{Amount, ApprovalId, AssetId, CallId, Digest, Principal, ToolRef, UnixMillis};

/// What is approved: this caller, this tool, these arguments, this amount, and nothing else.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Wanted {
    /// Who calls.
    pub caller: Principal,
    /// The tool.
    pub tool: ToolRef,
    /// The digest of its canonical arguments.
    pub args: Digest,
    /// Of what.
    pub asset: AssetId,
    /// How much.
    pub amount: Amount,
}

/// Where an approval stands. That it expired is decided by its moment, not by a state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ApprovalState {
    /// Nobody has decided.
    Waiting,
    /// One call may be made.
    Approved,
    /// None may.
    Rejected,
    /// That one call was claimed.
    Used,
}

/// Why a word is no [`ApprovalState`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of an approval")]
pub struct ApprovalStateError(String);

/// What happens to an approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApprovalEvent {
    /// An operator approves.
    Approve {
        /// Who, for operators.
        by: String,
        /// Until when it may be used.
        expires: UnixMillis,
    },
    /// An operator rejects.
    Reject {
        /// Who, for operators.
        by: String,
    },
    /// A call is claimed with it.
    Use {
        /// That call.
        call: CallId,
    },
    /// That call was voided: nothing was spent, so it may be made again.
    GiveBack {
        /// That call.
        call: CallId,
    },
}

/// An approval that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// For what.
    pub wanted: Wanted,
    /// Where it stands.
    pub state: ApprovalState,
    /// When it was asked for.
    pub asked: UnixMillis,
    /// Until when it may be decided, and then used.
    pub expires: UnixMillis,
    /// When it was decided.
    pub decided: Option<UnixMillis>,
    /// Who decided.
    pub by: Option<String>,
    /// The call that uses it.
    pub call: Option<CallId>,
}

/// The event cannot happen to this approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// Not in this state.
    #[error("an approval that is {0} cannot be decided or used like that")]
    Illegal(ApprovalState),
    /// It is too late.
    #[error("the approval has expired")]
    Expired,
}

impl ApprovalState {
    const ALL: [Self; 4] = [Self::Waiting, Self::Approved, Self::Rejected, Self::Used];

    /// The word it is stored and shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Used => "used",
        }
    }
}

impl Approval {
    /// One that waits.
    pub fn asked(id: ApprovalId, wanted: Wanted, now: UnixMillis, expires: UnixMillis) -> Self {
        let state = ApprovalState::Waiting;
        Self { id, wanted, state, asked: now, expires, decided: None, by: None, call: None }
    }

    /// Whether it still says something about a repeated call.
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.state != ApprovalState::Used && now < self.expires
    }

    /// Whether a call may be claimed with it.
    pub fn lets_pass(&self, wanted: &Wanted, now: UnixMillis) -> bool {
        self.state == ApprovalState::Approved && now < self.expires && self.wanted == *wanted
    }

    /// The only way an approval changes. Deciding it again as it was decided changes nothing.
    ///
    /// # Errors
    /// [`ApprovalError`]; it stays as it is.
    pub fn apply(&self, event: &ApprovalEvent, now: UnixMillis) -> Result<Self, ApprovalError> {
        use ApprovalState::{Approved, Rejected, Used, Waiting};
        let is_expired = now >= self.expires;
        let decided = |state, by: &String, expires| Self {
            state,
            expires,
            decided: Some(now),
            by: Some(by.clone()),
            ..self.clone()
        };
        match (self.state, event) {
            (Waiting | Approved, ApprovalEvent::Approve { .. } | ApprovalEvent::Use { .. })
            | (Waiting, ApprovalEvent::Reject { .. })
                if is_expired =>
            {
                Err(ApprovalError::Expired)
            }
            (Waiting, ApprovalEvent::Approve { by, expires }) => Ok(decided(Approved, by, *expires)),
            // What was approved may be taken back while nobody has used it.
            (Waiting | Approved, ApprovalEvent::Reject { by }) => Ok(decided(Rejected, by, self.expires)),
            (Approved, ApprovalEvent::Approve { .. }) | (Rejected, ApprovalEvent::Reject { .. }) => {
                Ok(self.clone())
            }
            (Approved, ApprovalEvent::Use { call }) => {
                Ok(Self { state: Used, call: Some(*call), ..self.clone() })
            }
            (Used, ApprovalEvent::GiveBack { call }) if self.call == Some(*call) => {
                Ok(Self { state: Approved, call: None, ..self.clone() })
            }
            (state, _) => Err(ApprovalError::Illegal(state)),
        }
    }
}

impl fmt::Display for ApprovalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for ApprovalState {
    type Err = ApprovalStateError;

    fn from_str(text: &str) -> Result<Self, ApprovalStateError> {
        let known = Self::ALL.into_iter().find(|state| state.word() == text);
        known.ok_or_else(|| ApprovalStateError(text.chars().take(32).collect()))
    }
}

#[cfg(test)]
mod tests;
