//! One escrow as it stands in the store.

use tollgate_domain::{Amount, EscrowId, Principal, UnixMillis};

use super::command::{UsedKey, Who};
use super::state::{EscrowState, Role};
use super::terms::{EscrowTerms, Mediator};
use crate::budget::Reservation;

/// One escrow as it stands in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EscrowRow {
    /// Its id.
    pub id: EscrowId,
    /// What was agreed on.
    pub terms: EscrowTerms,
    /// Where it stands.
    pub state: EscrowState,
    /// What the provider has got of the amount.
    pub released: Amount,
    /// What the payer has got back of it.
    pub refunded: Amount,
    /// Which milestones were released: bit `n` is the one at place `n`.
    pub milestones_paid: u32,
    /// How many events there were, its creation included. Grows with each.
    pub version: u64,
    /// The idempotency keys that were used, and for what.
    pub keys: Vec<UsedKey>,
    /// What paying it in has taken of the payer's budgets, or the call that began it: what comes back is given back there.
    pub reserved: Reservation,
    /// When it was created.
    pub created: UnixMillis,
    /// When the last event was.
    pub updated: UnixMillis,
}

impl EscrowRow {
    /// What of the amount is neither released nor refunded. Before it is funded: the amount.
    pub fn rest(&self) -> Amount {
        let gone = self.released.checked_add(self.refunded);
        gone.and_then(|gone| self.terms.amount.checked_sub(gone)).unwrap_or_default()
    }

    /// What somebody is to this escrow; `None`: nothing.
    pub fn role_of(&self, who: &Who) -> Option<Role> {
        match who {
            Who::Operator(_) => Some(Role::Operator),
            Who::Clock => Some(Role::Clock),
            // What a server has to say was said with the delivery.
            Who::Server => None,
            Who::Service => (self.terms.mediator == Mediator::Service).then_some(Role::Mediator),
            Who::Principal(principal) => self.party(principal),
        }
    }

    fn party(&self, principal: &Principal) -> Option<Role> {
        let terms = &self.terms;
        if terms.payer == *principal {
            Some(Role::Payer)
        } else if terms.provider.is(principal) {
            Some(Role::Provider)
        } else if matches!(&terms.mediator, Mediator::Principal(mediator) if mediator == principal) {
            Some(Role::Mediator)
        } else {
            None
        }
    }

    /// Whether the milestone at this place was released.
    pub fn is_milestone_paid(&self, place: u8) -> bool {
        self.milestones_paid.checked_shr(u32::from(place)).is_some_and(|bits| bits & 1 == 1)
    }
}
