//! Asking beforehand: what a call would cost, and whether a payment would do. Nothing is claimed, nothing is run.

use tollgate_domain::{FreeCall, Money, Price, Quote, UnixMillis};
use tollgate_ledger::{LedgerStore, State};
use tollgate_rails::{Payment, PaymentRefusal};

use crate::call::{Call, Presentation, Quoted, Request};
use crate::demand::Demand;
use crate::denial::Denial;
use crate::ports::Ports;
use crate::spending;
use crate::station::authenticate::open;
use crate::station::{Refusal, Verdict, pay, store_fault};
use crate::street::Gate;

/// What a call would cost this caller now.
#[derive(Debug)]
pub struct Challenge {
    /// The price; free of charge for a free tool.
    pub price: Price,
    /// A free call that the caller has left, so that nothing has to be paid.
    pub free: Option<FreeCall>,
    /// Until when the price is honoured, and every way to pay it; `None` where it costs nothing, and where a call is free and no
    /// other fits into the caller's budget.
    pub demand: Option<(UnixMillis, Demand)>,
}

/// Whether a payment would pay for a call now.
#[derive(Debug)]
pub enum Checked {
    /// It would. Whether the payer has the money is found out when it is claimed.
    Valid(Box<Payment>),
    /// The call costs nothing: no payment is needed.
    NotNeeded,
    /// It would not, for the reason that the call itself would be refused for.
    Invalid(Denial),
}

impl<P: Ports> Gate<P> {
    /// Names the price of a call and every way to pay it, as if the caller had called without paying.
    ///
    /// # Errors
    /// The [`Refusal`] with which the call would be refused before it is asked to pay.
    pub async fn challenge(&self, request: Request, now: UnixMillis) -> Result<Challenge, Refusal> {
        let call = Call::receive(request, &self.ports, now)?;
        call.foresee(&self.ports, now)?;
        let call = call.authenticate(self, now).await?;
        let call = call.evaluate(&self.ports).await?;
        let call = call.quote(self, now).await?;
        let Quoted { caller, quote, free, .. } = &call.stage;
        let Some(quote) = quote else {
            return Ok(Challenge { price: Price::FREE, free: None, demand: None });
        };
        self.ports.takes_calls(&call.request.tool.server).map_err(|fault| call.refuse(fault))?;
        let demand = match pay::demand(&call, caller, quote, self, now).await {
            Ok(demand) => Some((quote.expires, demand)),
            // A free call needs nothing that could be paid.
            Err(Verdict::Denied(
                Denial::BudgetExceeded { .. }
                | Denial::ApprovalRequired { .. }
                | Denial::SpendingStopped { .. },
            )) if free.is_some() => None,
            Err(verdict) => return Err(call.refuse(verdict)),
        };
        Ok(Challenge { price: quote.price.clone(), free: *free, demand })
    }

    /// Checks a payment for a call: the same questions as on the street, and nothing is used up by the answer.
    ///
    /// # Errors
    /// The [`Refusal`] with which the call would be refused whatever is paid.
    pub async fn check_payment(&self, request: Request, now: UnixMillis) -> Result<Checked, Refusal> {
        let call = Call::receive(request, &self.ports, now)?;
        call.foresee(&self.ports, now)?;
        let refused = |refusal| Ok(Checked::Invalid(Denial::PaymentRefused { refusal, demand: None }));
        let opened = match &call.request.presented {
            Presentation::Nothing => Err(PaymentRefusal::Unreadable("no payment was presented".to_owned())),
            Presentation::Payment(presented) => open(&self.ports, presented),
            Presentation::Unreadable(reason) => Err(PaymentRefusal::Unreadable(reason.clone())),
        };
        // Before anything else is asked of it: a bad payment is answered with its own reason, and with no new offers.
        let proof = match opened {
            Ok(proof) => proof,
            Err(refusal) => return refused(refusal),
        };
        let call = call.authenticate(self, now).await?;
        // Checking costs as much as a call does before its tool: it counts as one.
        let taken = self.take_call(call.asking(Some(&call.stage.caller)), now).await;
        taken.map_err(|limited| call.refuse(Denial::from(limited)))?;
        let call = call.evaluate(&self.ports).await?;
        let call = call.quote(self, now).await?;
        let Some(quote) = &call.stage.quote else { return Ok(Checked::NotNeeded) };
        let payment = match call.verify(&self.ports, &proof, quote, now) {
            Ok(payment) => payment,
            Err(refusal) => return refused(refusal),
        };
        if call.is_void(&payment, self).await? {
            return refused(PaymentRefusal::OtherCall("the tool's definition"));
        }
        let earlier = self.ports.ledger().settlement(&payment.key).await;
        Ok(match earlier.map_err(|error| call.refuse(store_fault(error)))? {
            None => self.affordable(&call, quote, payment, now).await?,
            Some(row) if row.may_be_repeated() => self.affordable(&call, quote, payment, now).await?,
            Some(row) => match row.state {
                State::Settled
                | State::Delivered
                | State::Voided
                | State::Refunded
                | State::Failed
                | State::InDoubt => Checked::Invalid(Denial::PaymentReplayed {
                    differs: format!("{} used it before", row.call),
                }),
                State::Claimed
                | State::Executing
                | State::Executed
                | State::Submitted
                | State::RefundDue
                | State::Unknown
                | State::Manual => {
                    Checked::Invalid(Denial::PaymentInFlight { call: row.call, state: row.state.to_string() })
                }
            },
        })
    }

    /// A payment that would do, unless a budget of its caller keeps it from being claimed.
    async fn affordable(
        &self,
        call: &Call<Quoted>,
        quote: &Quote,
        payment: Payment,
        now: UnixMillis,
    ) -> Result<Checked, Refusal> {
        let priced = quote.price.options().iter().find(|option| *option.asset.id() == payment.asset);
        let Some(priced) = priced else { return Ok(Checked::Valid(Box::new(payment))) };
        let paid = Money { amount: payment.amount, asset: priced.asset.clone() };
        let paid = Quote { price: Price::any_of([paid]), ..quote.clone() };
        match spending::within_budget(call, &call.stage.caller, &paid, self, now).await {
            Ok(_) => Ok(Checked::Valid(Box::new(payment))),
            Err(Verdict::Denied(denial)) => Ok(Checked::Invalid(denial)),
            Err(verdict) => Err(call.refuse(verdict)),
        }
    }
}
