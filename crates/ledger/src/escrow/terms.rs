//! What two parties agree on before any money moves. Nothing of it changes afterwards.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{Amount, AssetId, Bps, CallId, Caller, Principal, ServerName, Splits};

use super::event::Remark;

/// How many milestones an escrow may have.
pub const MILESTONES_MAX: usize = 32;
/// The longest title of a milestone.
const TITLE_BYTES_MAX: usize = 200;
/// The shortest wait of an escrow: a second.
const WAIT_MS_MIN: u64 = 1_000;
/// The longest wait of an escrow: a year.
pub const WAIT_MS_MAX: u64 = 366 * 86_400_000;
/// The least stake of a dispute, in atomic units.
const STAKE_UNITS_MIN: u128 = 10;

/// What is proposed; [`EscrowTerms::new`] checks it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Who pays.
    pub payer: Principal,
    /// Who works and is paid.
    pub provider: Provider,
    /// Who decides a dispute before the operator does.
    pub mediator: Mediator,
    /// Of what.
    pub asset: AssetId,
    /// How much; not zero.
    pub amount: Amount,
    /// Parts of the amount that the payer may release one by one; none, or parts that sum to the amount.
    pub milestones: Vec<Milestone>,
    /// What is to be done, for people.
    pub description: Option<Remark>,
    /// How long each step may take.
    pub timings: Timings,
    /// The least stake of whoever disputes; zero: none is needed.
    pub dispute_stake: Amount,
    /// What a mediator who is a principal stakes before it may decide; zero: nothing.
    pub mediator_stake: Amount,
    /// How sure a mediator must be for its verdict to count.
    pub confidence_min: Bps,
    /// Who shares what the server is paid, where it is for a call.
    pub splits: Splits,
    /// The call that it is for, where a delivered call began it: then its provider is the server of the call's tool.
    pub call: Option<CallId>,
}

/// Who works and is paid. Written as the principal, or `server:<server>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Provider {
    /// Somebody who asks at the doors, and is paid credit.
    Principal(Principal),
    /// The server of a tool that delivered: its operator is owed what it earns, as for any other call.
    Server(ServerName),
}

impl Provider {
    /// Whether it is this principal.
    pub fn is(&self, principal: &Principal) -> bool {
        matches!(self, Self::Principal(provider) if provider == principal)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(principal) => fmt::Display::fmt(principal, f),
            Self::Server(server) => write!(f, "server:{server}"),
        }
    }
}

impl FromStr for Provider {
    type Err = ProviderError;

    fn from_str(text: &str) -> Result<Self, ProviderError> {
        let refused = || ProviderError(text.chars().take(96).collect());
        match text.strip_prefix("server:") {
            Some(server) => server.parse().map(Self::Server).map_err(|_| refused()),
            None => text.parse().map(Self::Principal).map_err(|_| refused()),
        }
    }
}

/// Why a text names no [`Provider`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a principal nor server:<server>")]
pub struct ProviderError(String);

/// Who decides a dispute before the operator does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mediator {
    /// Nobody: the operator decides.
    Nobody,
    /// The operator's mediation service, reached over a webhook.
    Service,
    /// Neither of the two parties.
    Principal(Principal),
}

/// A part of the amount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Milestone {
    /// What it is for, 1 to 200 bytes.
    pub title: Arc<str>,
    /// How much; not zero.
    pub amount: Amount,
}

/// How long each step may take, in milliseconds. A transition turns one of them into a moment, once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timings {
    /// From creation until it must be funded and locked.
    pub open_ms: u64,
    /// From lock until it must be delivered (`ESCROW_TIMEOUT`).
    pub timeout_ms: u64,
    /// From delivery until what is left is released (`DISPUTE_WINDOW`).
    pub window_ms: u64,
    /// From a dispute until its parties have shown their evidence.
    pub evidence_ms: u64,
    /// From the end of the evidence until the mediator must have decided.
    pub mediation_ms: u64,
}

impl Timings {
    /// A day to lock it, 300 seconds to deliver, a day to dispute, 72 hours for the evidence and as long to decide.
    pub const DEFAULT: Self = Self {
        open_ms: 86_400_000,
        timeout_ms: 300_000,
        window_ms: 86_400_000,
        evidence_ms: 259_200_000,
        mediation_ms: 259_200_000,
    };

    fn all(&self) -> [(&'static str, u64); 5] {
        let Self { open_ms, timeout_ms, window_ms, evidence_ms, mediation_ms } = *self;
        [
            ("the time to lock it", open_ms),
            ("the time to deliver", timeout_ms),
            ("the dispute window", window_ms),
            ("the time for evidence", evidence_ms),
            ("the time to decide", mediation_ms),
        ]
    }
}

/// A proposal that can be carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EscrowTerms(Proposal);

/// Why a proposal cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// An escrow over nothing.
    #[error("the amount is zero")]
    Zero,
    /// The payer would pay itself.
    #[error("the payer and the provider are the same")]
    SelfEscrow,
    /// A server works for calls, and a call is done by a server.
    #[error("a server is the provider of a delivered call, and of nothing else")]
    Server,
    /// Whoever decides has a stake in the outcome.
    #[error("the mediator is one of the parties")]
    PartialMediator,
    /// A party that nobody can hold to account.
    #[error("the {0} is nobody in particular")]
    Nobody(&'static str),
    /// A party that can never act here. Whoever knows the keys finds out; [`EscrowTerms::new`] does not.
    #[error("the {0} is not the id of a valid API key of this gateway")]
    Unknown(&'static str),
    /// An asset that this gateway keeps no accounts in. Likewise.
    #[error("the asset is none that this gateway takes")]
    Asset,
    /// A mediation service where the operator has named none. Likewise.
    #[error("this gateway has no mediation service")]
    NoService,
    /// Too many milestones.
    #[error("there are {0} milestones, more than 32")]
    Milestones(usize),
    /// A milestone over nothing, or without a title.
    #[error("milestone {0} needs an amount above zero and a title of 1 to 200 bytes")]
    Milestone(usize),
    /// The milestones are not the whole.
    #[error("the milestones do not sum to the amount")]
    MilestoneSum,
    /// A wait that is too short or too long.
    #[error("{0} is not between a second and 366 days")]
    Wait(&'static str),
}

impl EscrowTerms {
    /// Checks a proposal.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn new(proposal: Proposal) -> Result<Self, TermsError> {
        let Proposal { payer, provider, mediator, amount, milestones, timings, .. } = &proposal;
        if amount.is_zero() {
            return Err(TermsError::Zero);
        }
        let nobody = Caller::Anonymous.principal();
        if *payer == nobody {
            return Err(TermsError::Nobody("payer"));
        }
        if provider.is(&nobody) {
            return Err(TermsError::Nobody("provider"));
        }
        if provider.is(payer) {
            return Err(TermsError::SelfEscrow);
        }
        let is_call = proposal.call.is_some();
        if is_call != matches!(provider, Provider::Server(_)) || !is_call && !proposal.splits.is_empty() {
            return Err(TermsError::Server);
        }
        if let Mediator::Principal(mediator) = mediator {
            if *mediator == nobody {
                return Err(TermsError::Nobody("mediator"));
            }
            if mediator == payer || provider.is(mediator) {
                return Err(TermsError::PartialMediator);
            }
        }
        check_milestones(milestones, *amount)?;
        match timings.all().into_iter().find(|(_, wait)| !(WAIT_MS_MIN..=WAIT_MS_MAX).contains(wait)) {
            Some((what, _)) => Err(TermsError::Wait(what)),
            None => Ok(Self(proposal)),
        }
    }
}

impl Deref for EscrowTerms {
    type Target = Proposal;

    fn deref(&self) -> &Proposal {
        &self.0
    }
}

fn check_milestones(milestones: &[Milestone], amount: Amount) -> Result<(), TermsError> {
    if milestones.is_empty() {
        return Ok(());
    }
    if milestones.len() > MILESTONES_MAX {
        return Err(TermsError::Milestones(milestones.len()));
    }
    let mut sum = Amount::ZERO;
    for (index, milestone) in milestones.iter().enumerate() {
        let is_titled = (1..=TITLE_BYTES_MAX).contains(&milestone.title.len());
        if milestone.amount.is_zero() || !is_titled {
            return Err(TermsError::Milestone(index));
        }
        sum = sum.checked_add(milestone.amount).ok_or(TermsError::MilestoneSum)?;
    }
    if sum == amount { Ok(()) } else { Err(TermsError::MilestoneSum) }
}

/// The least stake of a dispute over this amount: this share of it, rounded up, and at least ten atomic units.
pub fn stake_for(amount: Amount, share: Bps) -> Amount {
    let (whole, rest) = (amount.get() / 10_000, amount.get() % 10_000);
    let bps = u128::from(share.get());
    // At most 10,000 parts of a ten-thousandth: the product fits wherever the amount did.
    let units = whole.saturating_mul(bps).saturating_add(rest.saturating_mul(bps).div_ceil(10_000));
    Amount::new(units.max(STAKE_UNITS_MIN))
}

#[cfg(test)]
mod tests;
