//! What a handler is told of the call that it carries out.

use tollgate_domain::{Amount, AssetId, CallId, Principal, Rail};
use tollgate_gate::{Call, Held};

/// A call that walked the whole street: known, trusted enough, paid where it costs something, and held. Whoever has this in
/// hand was let in; an axum handler takes it as an argument and is refused when no toll stands before it.
#[derive(Clone, Debug)]
pub struct Paid {
    call: CallId,
    caller: Principal,
    payment: Option<Payment>,
    attempt: u32,
}

/// The payment that is held for a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payment {
    /// How much will be charged when the handler delivers, in units of the asset's smallest part.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// How it was paid.
    pub rail: Rail,
}

impl Paid {
    pub(crate) fn of(held: &Call<Held>) -> Self {
        Self {
            call: held.id(),
            caller: held.principal().clone(),
            payment: held.payment().map(|payment| Payment {
                amount: payment.amount,
                asset: payment.asset.clone(),
                rail: payment.key.rail(),
            }),
            attempt: held.attempt(),
        }
    }

    /// The call's id, in every answer and receipt.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// Who calls: an API key's id, a wallet (`eip155:0x…`), a Lightning payment, or `anonymous`.
    pub fn caller(&self) -> &Principal {
        &self.caller
    }

    /// What is held; `None` where the call is free.
    pub fn payment(&self) -> Option<&Payment> {
        self.payment.as_ref()
    }

    /// Which attempt with its payment this is, from 1; 0 for a free call. A fence: work that an earlier attempt left behind
    /// can be told from this one's.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}
