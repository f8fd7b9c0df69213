//! `settle: escrow`: what a delivered call puts its money into. Runs with the end of the call; who gets the money is decided later,
//! at the doors of escrows.

use serde_json::json;
use tollgate_domain::{Amount, AssetId, Bps, EscrowId, UnixMillis};
use tollgate_ledger::escrow::{
    EscrowTerms, Mediator, Proposal, Provider, Timings, escrow_of_call, stake_for,
};
use tollgate_rails::Payment;

use crate::call::{Call, Ready};
use crate::fault::Fault;

/// What the escrows of calls are agreed on with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallEscrows {
    /// How long each step may take.
    pub timings: Timings,
    /// The least stake of a dispute, as a share of the price; zero: none.
    pub dispute_stake: Bps,
    /// How sure a mediator must be.
    pub confidence_min: Bps,
    /// Whether the operator's mediation service decides before the operator does.
    pub with_service: bool,
}

impl Default for CallEscrows {
    /// The ledger's own waits, no stake and no service.
    fn default() -> Self {
        Self {
            timings: Timings::DEFAULT,
            dispute_stake: Bps::ZERO,
            confidence_min: Bps::ONE,
            with_service: false,
        }
    }
}

/// The escrow into which a call has put its money.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entrusted {
    /// Its id.
    pub escrow: EscrowId,
    /// Until when whoever called may dispute; then it goes to the server.
    pub until: UnixMillis,
    /// Of what it holds money.
    pub asset: AssetId,
}

impl Entrusted {
    /// `{"escrow_id","state":"delivered","dispute_until"}`.
    pub fn to_json(&self) -> serde_json::Value {
        json!({ "escrow_id": self.escrow, "state": "delivered", "dispute_until": self.until.to_string() })
    }
}

impl CallEscrows {
    /// The terms for a call, and what its caller is told of them.
    pub(crate) fn terms(
        &self,
        call: &Call<Ready>,
        payment: &Payment,
        amount: Amount,
        now: UnixMillis,
    ) -> Result<(Box<EscrowTerms>, Entrusted), Fault> {
        let Self { timings, dispute_stake, confidence_min, with_service } = *self;
        let stake =
            if dispute_stake == Bps::ZERO { Default::default() } else { stake_for(amount, dispute_stake) };
        let terms = EscrowTerms::new(Proposal {
            payer: call.principal().clone(),
            provider: Provider::Server(call.request.tool.server.clone()),
            mediator: if with_service { Mediator::Service } else { Mediator::Nobody },
            asset: payment.asset.clone(),
            amount,
            milestones: Vec::new(),
            description: None,
            timings,
            dispute_stake: stake,
            mediator_stake: Default::default(),
            confidence_min,
            splits: call.listed.splits.clone(),
            call: Some(call.id),
        });
        let terms = terms.map_err(|error| Fault::Internal(format!("the escrow of {}: {error}", call.id)))?;
        let entrusted = Entrusted {
            escrow: escrow_of_call(&call.id),
            until: now.plus_millis(timings.window_ms),
            asset: payment.asset.clone(),
        };
        Ok((Box::new(terms), entrusted))
    }
}
