use tollgate_domain::{Asset, CallId, Money, Principal, Rail, Settle, UnixMillis};
use tollgate_ledger::budget::Warning;
use tollgate_ledger::{Claim, Claimed, LedgerStore};
use tollgate_rails::x402::settler::reason;
use tollgate_rails::{Funds, Payment};

use crate::call::{Bill, Call, Held, Hold, Paid, Screened};
use crate::complete::after_refusal;
use crate::denial::Denial;
use crate::fault::Fault;
use crate::ports::Ports;
use crate::spending::{self, Barred};
use crate::station::{Refusal, Verdict, answered, pay, store_fault};
use crate::street::Gate;
use crate::take::own_reference;

impl Call<Screened> {
    /// Claims the payment and reserves the price, durably, in one atomic insert. From here on the call ends in exactly one
    /// settlement or void. A free call needs neither. Of a tool that may run ahead, a claim of credit is decided and on its way to the disk.
    pub(crate) async fn hold<P: Ports>(self, gate: &Gate<P>, now: UnixMillis) -> Result<Call<Held>, Refusal> {
        let Some(bill) = &self.stage.paid.bill else {
            return Ok(self.stamped(|stage| held(stage, None)));
        };
        let (mut barred, mut is_short): (Option<Barred>, bool) = (None, false);
        let signed = bill.payments.iter().find(|payment| payment.funds == Funds::OnSettlement);
        let credited = match signed {
            // Boxed: it is large, and few calls are paid on a chain.
            Some(signed) => Box::pin(self.with_wallet_credit(signed, gate, now)).await?,
            None => None,
        };
        for payment in credited.iter().chain(&bill.payments) {
            match self.claim(gate, payment, bill, now).await {
                Ok(attempt) => {
                    gate.ports.reached("after_claim");
                    let mut payment = payment.clone();
                    self.spend_refund(gate, &mut payment, attempt).await?;
                    let (settle, by_result) = (bill.quote.settle, bill.by_result.clone());
                    let hold = Some(Hold { payment, attempt, settle, by_result });
                    return Ok(self.stamped(|stage| held(stage, hold)));
                }
                Err(Unclaimed::Short) if payment.funds == Funds::Sandbox => {
                    let demand =
                        Box::pin(pay::demand(&self, &self.stage.paid.caller, &bill.quote, gate, now)).await;
                    // The word of the token contract: on a chain it is heard only after the tool has run.
                    let reason = reason::INSUFFICIENT_BALANCE.to_owned();
                    let demand = after_refusal(demand.ok().map(Box::new), payment, &reason);
                    return Err(self.refuse(Denial::PaymentFailed { reason, demand }));
                }
                // Another call has spent the credit of the wallet meanwhile: its signature pays.
                Err(Unclaimed::Short) if credited.is_some() => {}
                // Too little credit in this asset: the next asset of the price may do.
                Err(Unclaimed::Short) => is_short = true,
                Err(Unclaimed::Priced) => {}
                // Nor does a budget in this asset bound another.
                Err(Unclaimed::Barred(found)) => barred = barred.or(Some(*found)),
                Err(Unclaimed::Refused(verdict)) => return Err(self.refuse(*verdict)),
            }
        }
        // Only now: while a free call was left, the price did not matter.
        self.within_maximum(&bill.quote).map_err(|denial| self.refuse(denial))?;
        // What is short of money in one asset may pay with it from elsewhere: the demand names what fits into the budgets.
        if let Some(barred) = barred.filter(|_| !is_short) {
            let Paid { caller, principal, .. } = &self.stage.paid;
            let verdict = Box::pin(barred.at_claim(caller, principal, &bill.quote.binding, gate, now)).await;
            return Err(self.refuse(verdict));
        }
        let verdict =
            match Box::pin(pay::demand(&self, &self.stage.paid.caller, &bill.quote, gate, now)).await {
                Err(verdict) => verdict,
                Ok(mut demand) => {
                    let mut reason = demand.sentence();
                    if bill.payments.iter().any(|payment| matches!(payment.funds, Funds::Free(_))) {
                        reason.push_str(" The free calls of this caller are used up.");
                    }
                    if bill.payments.iter().any(|payment| matches!(payment.funds, Funds::Credit(_))) {
                        reason.push_str(" The credit of this caller is too low.");
                    }
                    demand.reason = Some(reason);
                    Denial::PaymentRequired(Box::new(demand)).into()
                }
            };
        Err(self.refuse(verdict))
    }

    async fn claim<P: Ports>(
        &self,
        gate: &Gate<P>,
        payment: &Payment,
        bill: &Bill,
        now: UnixMillis,
    ) -> Result<u32, Unclaimed> {
        let Paid { caller, principal, .. } = &self.stage.paid;
        let claim = Claim {
            key: payment.key.clone(),
            call: self.id,
            caller: self.stage.paid.principal.clone(),
            payer: self.payer(payment),
            settle: bill.quote.settle,
            reference: own_reference(payment, self.id),
            splits: self.listed.splits.clone(),
            binding: payment.binding.clone(),
            amount: payment.amount,
            asset: payment.asset.clone(),
            funds: match &payment.funds {
                Funds::OnSettlement => tollgate_ledger::Funds::OnSettlement,
                Funds::Arrived => tollgate_ledger::Funds::Arrived { holder: payment.payer.principal() },
                Funds::Sandbox => tollgate_ledger::Funds::Credit(self.payer(payment)),
                Funds::Credit(principal) => tollgate_ledger::Funds::Credit(principal.clone()),
                Funds::Free(free) => tollgate_ledger::Funds::Free(*free),
            },
            proof: payment.proof.as_str().into(),
            expires: payment.expires,
            budget: spending::ask(self, caller, principal, &payment.asset, bill.quote.settle, &gate.ports),
            now,
        };
        let refused = |verdict: Verdict| Err(Unclaimed::Refused(Box::new(verdict)));
        let ledger = gate.ports.ledger();
        let claimed = if self.runs_ahead(payment, bill.quote.settle) {
            ledger.claim_ahead(claim).await
        } else {
            ledger.claim(claim).await
        };
        match claimed {
            Ok(Claimed::Fresh { attempt }) => Ok(attempt),
            Ok(Claimed::Warned { attempt, warnings }) => {
                for Warning { counter, warn, used } in &warnings {
                    let (node, span) = (counter.node.path(), counter.span);
                    tracing::warn!(call = %self.id, node, %span, %warn, %used, asset = %counter.asset, "a soft limit of a budget is passed");
                }
                gate.ports.warned(&warnings);
                Ok(attempt)
            }
            Ok(Claimed::Answered { call }) => refused(answered(&gate.ports, &call).await),
            Ok(Claimed::InProgress { call, state, .. }) => {
                refused(Denial::PaymentInFlight { call, state: state.to_string() }.into())
            }
            Ok(Claimed::OtherRequest { differs }) => refused(
                Denial::PaymentReplayed {
                    differs: format!("it was used for a request with another {differs}"),
                }
                .into(),
            ),
            Ok(Claimed::Failed { reason }) => refused(
                Denial::PaymentReplayed { differs: format!("its settlement failed for good: {reason}") }
                    .into(),
            ),
            Ok(Claimed::InDoubt { call }) => refused(Box::pin(self.in_doubt(gate, call)).await),
            Ok(Claimed::InsufficientFunds { .. }) => Err(Unclaimed::Short),
            Ok(Claimed::NoFreeCall) => Err(Unclaimed::Priced),
            Ok(Claimed::Barred(barrier)) => {
                let mut priced = bill.quote.price.options().iter().map(|option| &option.asset);
                // An earlier price may have been in an asset that this one is not in.
                let asset = priced
                    .find(|asset| *asset.id() == payment.asset)
                    .cloned()
                    .map_or_else(|| Asset::new(payment.asset.as_str(), "units", 0), Ok);
                match asset {
                    Ok(asset) => {
                        let price = Money { amount: payment.amount, asset };
                        Err(Unclaimed::Barred(Box::new(Barred { barrier, price })))
                    }
                    Err(error) => refused(Fault::Internal(error.to_string()).into()),
                }
            }
            Err(error) => refused(store_fault(error).into()),
        }
    }

    /// Whether the tool may run while the claim is being committed. A crash in between forgets the claim: then the tool has run for nothing,
    /// and nobody has paid or got an answer. A proof that counts once is never spent so; it could be shown again.
    fn runs_ahead(&self, payment: &Payment, settle: Settle) -> bool {
        self.listed.overlaps && settle == Settle::After && payment.key.rail() == Rail::Credit
    }

    /// A later attempt may be paid from what went back of an earlier one: then no rail is asked to move that money again.
    async fn spend_refund<P: Ports>(
        &self,
        gate: &Gate<P>,
        payment: &mut Payment,
        attempt: u32,
    ) -> Result<(), Refusal> {
        if attempt < 2 || payment.funds.settles_on_our_books() {
            return Ok(());
        }
        let row = gate.ports.ledger().settlement(&payment.key).await;
        let row = row.map_err(|error| self.refuse(store_fault(error)))?;
        if let Some(tollgate_ledger::Funds::Credit(principal)) = row.map(|row| row.funds) {
            payment.funds = Funds::Credit(principal);
        }
        Ok(())
    }

    /// The no to a proof that a crash left in doubt.
    async fn in_doubt<P: Ports>(&self, gate: &Gate<P>, call: CallId) -> Verdict {
        let row = match gate.ports.ledger().settlement_by_call(&call).await {
            Ok(row) => row,
            Err(error) => return store_fault(error).into(),
        };
        let money = match row.filter(|row| !row.refunded.is_zero()) {
            None => "it was not charged".to_owned(),
            Some(row) => format!("what it had paid is credit of {}", row.refund_to()),
        };
        let differs = format!("{call} used it when the gateway stopped, and may have run; {money}");
        Denial::PaymentReplayed { differs }.into()
    }

    /// The principal of whoever pays, who is most often the caller.
    fn payer(&self, payment: &Payment) -> Principal {
        let paid = &self.stage.paid;
        if payment.payer == paid.caller { paid.principal.clone() } else { payment.payer.principal() }
    }
}

enum Unclaimed {
    /// Not enough credit in this asset; nothing was written.
    Short,
    /// No free call is left: the price counts; nothing was written.
    Priced,
    /// A budget keeps it from being claimed; nothing was written.
    Barred(Box<Barred>),
    /// Not claimed, for good.
    Refused(Box<Verdict>),
}

fn held(stage: Screened, hold: Option<Hold>) -> Held {
    Held { principal: stage.paid.principal, standing: stage.paid.standing, hold }
}
