use tollgate_domain::{Amount, Caller, FreeCall, Money, PaymentKey, Principal, Quote, Rail, UnixMillis};
use tollgate_ledger::{LedgerStore, SettlementRow, State};
use tollgate_rails::{Funds, Offer, OfferError, Payment, PaymentRefusal, Proof};

use crate::call::{Bill, Call, CreditUse, Paid, Quoted};
use crate::demand::{Demand, brief};
use crate::denial::Denial;
use crate::fault::Fault;
use crate::ports::Ports;
use crate::spending;
use crate::station::quote::Buyer;
use crate::station::{Refusal, Verdict, answered, store_fault};
use crate::street::Gate;

impl Call<Quoted> {
    /// Finds the payment for the quote: the presented proof, else the caller's credit, else a demand to pay.
    ///
    /// Pure but for the offers: a proof that does not pay this quote burns nothing.
    pub(crate) async fn pay<P: Ports>(self, gate: &Gate<P>, now: UnixMillis) -> Result<Call<Paid>, Refusal> {
        let payments = match &self.stage.quote {
            None => Vec::new(),
            Some(quote) => self.payments(quote, gate, now).await?,
        };
        Ok(self.stamped(|stage| Paid {
            caller: stage.caller,
            principal: stage.principal,
            standing: stage.standing,
            bill: stage.quote.map(|quote| Bill { quote, payments, by_result: stage.by_result }),
        }))
    }

    /// What may pay for the quote, at least one.
    async fn payments<P: Ports>(
        &self,
        quote: &Quote,
        gate: &Gate<P>,
        now: UnixMillis,
    ) -> Result<Vec<Payment>, Refusal> {
        if let Some(proof) = &self.stage.proof {
            let verified = match self.verify(&gate.ports, proof, quote, now) {
                Ok(payment) if self.is_void(&payment, gate).await? => {
                    Err(PaymentRefusal::OtherCall("the tool's definition"))
                }
                verified => verified,
            };
            return match (verified, proof) {
                (Ok(payment), _) => Ok(vec![payment]),
                // Its time bounds when a payment can be presented first. One that was is answered from the books: nobody is asked to
                // pay anew for what is not decided yet, or for what this very payment has paid.
                (Err(PaymentRefusal::Expired(_) | PaymentRefusal::Window(_)), _)
                    if let Some(verdict) = Box::pin(self.begun(proof, quote, gate)).await? =>
                {
                    Err(self.refuse(verdict))
                }
                // What an expired credential left on the books can still be spent by whoever holds its preimage.
                (Err(PaymentRefusal::Expired(_)), Proof { payer: payer @ Caller::Preimage(_), .. }) => {
                    Ok(self.credit_of(*payer, &payer.principal(), quote, now))
                }
                // So can what went back after this very payment had been taken: its signature has done its work.
                (Err(PaymentRefusal::Expired(_) | PaymentRefusal::Window(_)), _)
                    if let Some(payment) = self.refunded(proof, quote, gate).await? =>
                {
                    Ok(vec![payment])
                }
                (Err(refusal), _) => {
                    let demand = self.demand(quote, gate, now).await.ok().map(Box::new);
                    Err(self.refuse(Denial::PaymentRefused { refusal, demand }))
                }
            };
        }
        let mut payments: Vec<Payment> = Vec::new();
        payments.extend(self.stage.free.and_then(|free| self.free(free, quote, now)));
        // A maximum that is below the price lets the free call pass, and no other.
        if self.request.credit == CreditUse::Allowed
            && matches!(self.stage.caller, Caller::ApiKey(_))
            && self.within_maximum(quote).is_ok()
        {
            let credit = self.credit_of(self.stage.caller, &self.stage.principal, quote, now);
            // A maximum says nothing of what may be spent in another asset than its own.
            let most = self.request.maximum.as_ref().map(|maximum| maximum.asset.id());
            payments
                .extend(credit.into_iter().filter(|payment| most.is_none_or(|most| *most == payment.asset)));
        }
        if !payments.is_empty() {
            return Ok(payments);
        }
        // Only here: who has paid is answered from the books where that can be done, and a claim that cannot be carried
        // out is voided.
        gate.ports.takes_calls(&self.request.tool.server).map_err(|fault| self.refuse(fault))?;
        Err(match self.demand(quote, gate, now).await {
            Ok(demand) => self.refuse(Denial::PaymentRequired(Box::new(demand))),
            Err(verdict) => self.refuse(verdict),
        })
    }

    /// What becomes of a proof that was presented for this request before: its stored answer, or that it is still under way. `None` where
    /// it has paid for nothing, or went back.
    async fn begun<P: Ports>(
        &self,
        proof: &Proof,
        quote: &Quote,
        gate: &Gate<P>,
    ) -> Result<Option<Verdict>, Refusal> {
        let row = gate.ports.ledger().settlement(&proof.key).await;
        let row = row.map_err(|error| self.refuse(store_fault(error)))?;
        let row = row.filter(|row| is_of(row, proof, quote) && row.caller == self.stage.principal);
        let Some(row) = row else { return Ok(None) };
        Ok(match row.state {
            // A used credential is worth nothing after its life (L402).
            State::Settled | State::Delivered if matches!(proof.payer, Caller::Preimage(_)) => None,
            State::Settled | State::Delivered => Some(answered(&gate.ports, &row.call).await),
            State::Refunded | State::Voided | State::Failed | State::InDoubt => None,
            State::Claimed
            | State::Executing
            | State::Executed
            | State::Submitted
            | State::RefundDue
            | State::Unknown
            | State::Manual => {
                Some(Denial::PaymentInFlight { call: row.call, state: row.state.to_string() }.into())
            }
        })
    }

    /// What went back of this proof, as a payment for the same request once more. The claim decides, atomically, whether it is
    /// still there.
    async fn refunded<P: Ports>(
        &self,
        proof: &Proof,
        quote: &Quote,
        gate: &Gate<P>,
    ) -> Result<Option<Payment>, Refusal> {
        let row = gate.ports.ledger().settlement(&proof.key).await;
        let row = row.map_err(|error| self.refuse(store_fault(error)))?;
        let row = row
            .filter(|row| row.state == State::Refunded && row.may_be_repeated() && is_of(row, proof, quote));
        Ok(row.map(|row| Payment {
            key: row.key.clone(),
            payer: proof.payer,
            funds: Funds::Credit(row.refund_to().clone()),
            binding: row.binding,
            amount: row.amount,
            asset: row.asset,
            proof: String::new(),
            expires: row.expires,
        }))
    }

    /// Whether a payment was promised for the tool as it was before its definition changed. One that was taken before the
    /// change still brings its stored answer, and money that has already arrived is spent as it was promised: the new
    /// definition was approved, or this call would not have come so far.
    pub(crate) async fn is_void<P: Ports>(&self, payment: &Payment, gate: &Gate<P>) -> Result<bool, Refusal> {
        if payment.funds == Funds::Arrived || self.listed.is_defined_as_quoted(payment.binding.price_version)
        {
            return Ok(false);
        }
        let earlier = gate.ports.ledger().settlement(&payment.key).await;
        let earlier = earlier.map_err(|error| self.refuse(store_fault(error)))?;
        Ok(earlier.is_none_or(|row| row.state == State::Voided))
    }

    pub(crate) fn verify<P: Ports>(
        &self,
        ports: &P,
        proof: &Proof,
        quote: &Quote,
        now: UnixMillis,
    ) -> Result<Payment, PaymentRefusal> {
        let rail = ports.rails().iter().find(|rail| rail.rail() == proof.rail).ok_or_else(|| {
            PaymentRefusal::Unreadable("no rail of this gateway takes payments of this kind".to_owned())
        })?;
        // A credential made out to one caller is worth nothing in another's hands.
        match rail.demanded_caller(proof) {
            Some(demanded) if *demanded != self.stage.caller.principal() => {
                Err(PaymentRefusal::OtherCall("caller"))
            }
            Some(_) | None => rail.verify(proof, quote, now),
        }
    }

    /// One of the caller's free calls; the claim decides whether one is left, atomically.
    fn free(&self, free: FreeCall, quote: &Quote, now: UnixMillis) -> Option<Payment> {
        let option = quote.price.options().first()?;
        Some(Payment {
            key: self.own_key(&self.stage.principal)?,
            payer: self.stage.caller,
            binding: quote.binding.clone(),
            amount: Amount::ZERO,
            asset: option.asset.id().clone(),
            funds: Funds::Free(free),
            proof: String::new(),
            expires: now.plus_millis(u64::MAX),
        })
    }

    /// The key of a payment that no proof names. Without a key of the caller's own each request is its own; with one, a repeated
    /// request is answered once.
    fn own_key(&self, principal: &Principal) -> Option<PaymentKey> {
        let once = self.request.idempotency_key.clone().unwrap_or_else(|| self.id.to_string());
        PaymentKey::new(Rail::Credit, format!("{principal}/{once}")).ok()
    }

    /// The holder's credit in each asset of the price, to be tried in the owner's order; the claim decides whether there is
    /// enough, atomically.
    fn credit_of(
        &self,
        holder: Caller,
        principal: &Principal,
        quote: &Quote,
        now: UnixMillis,
    ) -> Vec<Payment> {
        let payment = |option: &Money| {
            Some(Payment {
                key: self.own_key(principal)?,
                payer: holder,
                binding: quote.binding.clone(),
                amount: option.amount,
                asset: option.asset.id().clone(),
                funds: Funds::Credit(principal.clone()),
                proof: String::new(),
                expires: now.plus_millis(u64::MAX),
            })
        };
        quote.price.options().iter().filter_map(payment).collect()
    }

    /// A demand to pay this quote.
    async fn demand<P: Ports>(
        &self,
        quote: &Quote,
        gate: &Gate<P>,
        now: UnixMillis,
    ) -> Result<Demand, Verdict> {
        Box::pin(demand(self, &self.stage.caller, quote, gate, now)).await
    }
}

/// Whether an attempt was for the very request that the proof is presented for now. Not so for whoever read the proof on the chain and
/// asked for a quote of their own.
fn is_of(row: &SettlementRow, proof: &Proof, quote: &Quote) -> bool {
    row.binding.tool == quote.binding.tool
        && row.binding.args == quote.binding.args
        && row.binding.quote == proof.quote
}

/// Asks every rail for an offer. Its future is large: boxed, where calls that are paid would carry it along. A rail whose wallet is down is left out while another can take the money.
pub(crate) async fn demand<S, P: Ports>(
    call: &Call<S>,
    caller: &Caller,
    quote: &Quote,
    gate: &Gate<P>,
    now: UnixMillis,
) -> Result<Demand, Verdict> {
    let ports = &gate.ports;
    // An offer may cost an invoice: a flood of unpaid calls must not become a flood of invoices.
    let taken = ports.limits().take_offer(call.asking(Some(caller)), now);
    taken.map_err(Denial::from)?;
    let quote = &spending::within_budget(call, caller, quote, gate, now).await?;
    // Whose price is everybody's may pay from another wallet, or over Lightning.
    let is_anybodys = matches!(caller, Caller::Wallet(_)) && !call.listed.price.depends_on_buyer();
    let buyer = if is_anybodys { &Caller::Anonymous } else { caller };
    let mut offers: Vec<Offer> = Vec::new();
    let mut unavailable: Option<OfferError> = None;
    for rail in ports.rails() {
        let nonce = ports.random().map_err(Verdict::from)?;
        match rail.offer(quote, buyer, nonce, now).await {
            Ok(offer) => offers.extend(offer),
            Err(error) => {
                tracing::warn!(call = %call.id, rail = %rail.rail(), %error, "rail makes no offer");
                unavailable = Some(error);
            }
        }
    }
    if offers.is_empty() {
        return Err(match unavailable {
            Some(error) => Fault::Wallet(error).into(),
            None => Fault::Internal(format!("no rail takes any asset of the price of {}", call.request.tool))
                .into(),
        });
    }
    Ok(Demand {
        tool: call.request.tool.clone(),
        description: call.listed.description.as_deref().map(brief),
        price: quote.price.clone(),
        rules: call.listed.price.clone(),
        offers,
        sandbox: gate.limits.mode == crate::ports::Mode::Sandbox,
        has_output_schema: call.listed.has_output_schema,
        reason: None,
        refused: None,
    })
}

impl<S> Call<S> {
    /// A demand for a call that was refused before its price was named, or whose payment failed, if one can be made.
    pub(crate) async fn demand_afresh<P: Ports>(
        &self,
        gate: &Gate<P>,
        buyer: Buyer<'_>,
        now: UnixMillis,
    ) -> Option<Box<Demand>> {
        let demanded = async {
            let quote = self.priced(gate, buyer, now).await.ok()?.quote?;
            let caller = buyer.map_or(Caller::Anonymous, |(principal, _)| principal.caller());
            demand(self, &caller, &quote, gate, now).await.ok().map(Box::new)
        };
        Box::pin(demanded).await
    }
}
