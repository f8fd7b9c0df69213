//! Why an escrow stays as it is.

use tollgate_domain::{Amount, EscrowId, UnixMillis};

use super::state::Role;
use super::terms::TermsError;
use crate::budget::{Barrier, Exceeded};

/// Why an escrow stays as it is. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EscrowRefusal {
    /// There is none, or the one who asks has nothing to do with it: to a stranger both look the same.
    #[error("there is no escrow {0} for whoever asks")]
    NotFound(EscrowId),
    /// The terms cannot be carried out.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Nobody in this role ever may.
    #[error("{event} is not for the {}", role.word())]
    WrongParty {
        /// What was asked for.
        event: &'static str,
        /// In which role.
        role: Role,
    },
    /// Not where the escrow stands.
    #[error("{event} is not possible while the escrow is {state}")]
    WrongState {
        /// What was asked for.
        event: &'static str,
        /// Where it stands.
        state: &'static str,
    },
    /// Too late: since this moment only the clock acts.
    #[error("the deadline for {event} passed at {due}")]
    DeadlinePassed {
        /// What was asked for.
        event: &'static str,
        /// The moment.
        due: UnixMillis,
    },
    /// The clock came too early.
    #[error("nothing is due yet")]
    NotDue,
    /// The escrow has moved on since whoever asks looked at it.
    #[error("the escrow is at version {version} by now, not at {expected}")]
    Changed {
        /// Where it is.
        version: u64,
        /// Where it was believed to be.
        expected: u64,
    },
    /// The idempotency key was used for something else.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// Whoever pays in has too little.
    #[error("{available} is available, {needed} is needed")]
    Funds {
        /// What can be spent.
        available: Amount,
        /// What is needed.
        needed: Amount,
    },
    /// A budget of the payer's keeps it from paying in.
    #[error("{}", barred(.0))]
    Barred(Box<Barrier>),
    /// A stake below what was agreed on.
    #[error("the stake is below {least}")]
    Stake {
        /// The least.
        least: Amount,
    },
    /// The mediator decides before having staked.
    #[error("the mediator takes the case on first, with a stake of {0}")]
    NotTakenUp(Amount),
    /// A part that is not there, or no longer, or not the way this escrow is divided.
    #[error("{0}")]
    Part(&'static str),
    /// Enough evidence.
    #[error("a party shows at most {0} pieces of evidence")]
    Evidence(u8),
    /// Enough events.
    #[error("an escrow has no room for more events")]
    Full,
}

fn barred(barrier: &Barrier) -> String {
    match barrier {
        Barrier::Stopped(_) => "an operator has stopped this spending".to_owned(),
        Barrier::Exceeded(Exceeded { node, kind, limit, used, asked, .. }) => {
            let (node, window) = (node.path(), kind.word());
            format!(
                "{asked} do not fit into the {limit} that {node} may spend per {window}, of which {used} are used"
            )
        }
        Barrier::NeedsApproval { node, above } => {
            format!("{} needs an approval above {above}", node.path())
        }
    }
}
