//! The end of a call that was paid before its tool ran: the money is earned with the answer, or goes back.

use bytes::Bytes;

use tollgate_domain::{Outcome, Rail, Settle};
use tollgate_ledger::{Event, RefundCause};
use tollgate_rails::Payment;
use tollgate_rails::x402::wire;

use super::{
    Completed, Ending, Evidence, Refund, ToolAnswer, ending_of, mpp_receipt, payer_of, stand_in, told_result,
};
use crate::call::{Call, Ready};
use crate::charge::{Charge, executed};
use crate::fault::Fault;
use crate::ports::Ports;
use crate::receipt::Told;
use crate::station::wallet_credit;
use crate::street::Gate;

impl<P: Ports> Gate<P> {
    pub(super) async fn complete_before(
        &self,
        call: &Call<Ready>,
        payment: &Payment,
        reference: &str,
        told: Told<'_>,
        outcome: Outcome<ToolAnswer>,
        charge: Option<Charge>,
    ) -> Result<Completed, Fault> {
        let told = Told { payment_ref: Some(reference.to_owned()), ..told };
        let (ending, mut evidence) = match outcome {
            Outcome::Delivered(ToolAnswer::Result(result)) => {
                self.earn(call, payment, told, result, charge).await?
            }
            Outcome::Delivered(ToolAnswer::Digest(digest)) => {
                self.earn(call, payment, told, stand_in(digest), charge).await?
            }
            outcome => (ending_of(outcome), self.give_back(call, payment, told).await?),
        };
        // The money has moved either way, and the payer's client keeps its own books.
        if payment.key.rail() == Rail::X402 {
            let network = payment.asset.network();
            let amount = Some(payment.amount);
            let payment =
                wire::settle_response(true, reference, network, payer_of(&payment.key), amount, None);
            evidence.payment = Some(payment);
        }
        evidence.mpp = mpp_receipt(call, reference, self.ports.now());
        Ok(Completed { call: call.id, ending, evidence })
    }

    async fn earn(
        &self,
        call: &Call<Ready>,
        payment: &Payment,
        told: Told<'_>,
        result: Bytes,
        charge: Option<Charge>,
    ) -> Result<(Ending, Evidence), Fault> {
        let told = Told { charged: !payment.amount.is_zero(), settlement: "delivered", ..told };
        let executed = vec![executed(told_result(&told), charge.as_ref())];
        let key = &payment.key;
        let mut evidence = if call.settle() == Settle::Escrow && !payment.amount.is_zero() {
            let due = charge.as_ref().map_or(payment.amount, |charge| charge.charged);
            let (terms, entrusted) = self.limits.escrows.terms(call, payment, due, self.ports.now())?;
            let told = Told { settlement: "escrowed", escrow: Some(entrusted.escrow), ..told };
            let (result, told) = (Some(&result), Some(told));
            let evidence = self.advance_into(key, call.id, executed, result, told, Some(terms)).await?;
            let note = "Paid into an escrow: it goes to the server when you accept, or when the window to dispute has passed.";
            Evidence { escrow: Some(Box::new(entrusted)), note: Some(note), ..evidence }
        } else {
            let evidence = self.advance(key, call.id, executed, Some(&result), Some(told)).await?;
            Evidence { note: wallet_credit::note(payment), ..evidence }
        };
        self.ports.reached("after_settled");
        evidence.charge = charge.map(Box::new);
        Ok((Ending::Delivered(result), evidence))
    }

    async fn give_back(
        &self,
        call: &Call<Ready>,
        payment: &Payment,
        told: Told<'_>,
    ) -> Result<Evidence, Fault> {
        let taken = Some(payment.amount).filter(|amount| !amount.is_zero());
        let told = Told { settlement: "refunded", refunded: taken, ..told };
        let events = vec![Event::RefundDue { cause: RefundCause::ToolFailed }, Event::Refunded];
        let mut evidence = self.advance(&payment.key, call.id, events, None, Some(told)).await?;
        self.ports.reached("after_refunded");
        if taken.is_none() {
            return Ok(evidence); // a free call: nothing goes back, and it is not counted any more
        }
        let to = call.refund_to(payment);
        evidence.refund = Some(Refund { amount: payment.amount, asset: payment.asset.clone(), to });
        evidence.note = Some(match payment.key.rail() {
            _ if call.settle() == Settle::Escrow => {
                "Refunded: what was taken is credit of the API key that called. The same payment sent again with the same request \
                 spends it."
            }
            Rail::X402 => {
                "Refunded: what was taken is credit of the payer's wallet at this gateway. The same payment sent again with the \
                 same request spends it, and so does the next payment that the wallet signs here."
            }
            Rail::L402 => {
                "Refunded: what was taken is credit that the preimage can spend. The same L402 credential can be used again for \
                 the same request."
            }
            Rail::Credit => "Refunded: what was taken is credit again.",
        });
        Ok(evidence)
    }
}
