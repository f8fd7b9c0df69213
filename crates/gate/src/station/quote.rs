use tollgate_domain::pricing::{Due, ResultPrice, Situation};
use tollgate_domain::{
    Binding, Caller, Digest, FreeCall, KeyId, Money, Period, Principal, Quote, Standing, UnixMillis, Usage,
};
use tollgate_ledger::{LedgerStore, Record};
use tollgate_trust::{NEWCOMER, evaluate};

use crate::call::{Call, Quoted, Trusted};
use crate::denial::Denial;
use crate::ports::Ports;
use crate::reading::Arguments;
use crate::spending;
use crate::station::{Refusal, Verdict, store_fault};
use crate::street::Gate;

/// Whom a price is named to; `None`: a stranger, who has neither free calls nor a name.
pub(crate) type Buyer<'a> = Option<(&'a Principal, &'a Standing)>;

/// What a call costs.
pub(crate) struct Priced {
    /// The price that counts while the call is not free; `None`: it costs nothing.
    pub(crate) quote: Option<Quote>,
    /// A free call that may be left.
    pub(crate) free: Option<FreeCall>,
    /// What of the price is charged once there is a result; `None`: all of it.
    pub(crate) by_result: Option<ResultPrice>,
}

impl Priced {
    const NOTHING: Self = Self { quote: None, free: None, by_result: None };
}

impl Call<Trusted> {
    /// Names the price, after the arguments were found to fit the schema: nobody pays for a malformed request.
    pub(crate) async fn quote<P: Ports>(
        self,
        gate: &Gate<P>,
        now: UnixMillis,
    ) -> Result<Call<Quoted>, Refusal> {
        if let Some(schema) = &self.listed.schema {
            if self.request.args_digest.is_some() {
                let problem = "this tool has a schema: send the arguments, not their digest".to_owned();
                return Err(self.refuse(Denial::InvalidArguments(vec![problem])));
            }
            schema
                .check(&self.request.arguments)
                .map_err(|problems| self.refuse(Denial::InvalidArguments(problems)))?;
        }
        let buyer = Some((&self.stage.principal, &self.stage.standing));
        let mut priced = self.priced(gate, buyer, now).await.map_err(|verdict| self.refuse(verdict))?;
        if priced.quote.is_none() && matches!(self.stage.caller, Caller::Wallet(_)) {
            // Nothing would be claimed, and a payment alone shows nobody: see `authenticate`.
            priced = self.priced(gate, None, now).await.map_err(|verdict| self.refuse(verdict))?;
            if priced.quote.is_none() {
                return self.for_anybody();
            }
        }
        let Priced { quote, free, by_result } = priced;
        // A call that may be free is refused for its price only when it turns out not to be.
        if let (Some(quote), None) = (&quote, free) {
            self.within_maximum(quote).map_err(|denial| self.refuse(denial))?;
        }
        Ok(self.stamped(|stage| Quoted {
            caller: stage.caller,
            principal: stage.principal,
            proof: stage.proof,
            standing: stage.standing,
            quote,
            free,
            by_result,
        }))
    }

    /// A call that is free for everybody now, by somebody who is known by a payment alone: judged as nobody in particular.
    fn for_anybody(self) -> Result<Call<Quoted>, Refusal> {
        let caller = Caller::Anonymous;
        let standing = evaluate(&self.listed.requirement, &caller, &NEWCOMER)
            .map_err(|shortfall| self.refuse(Denial::TrustInsufficient(shortfall)))?;
        let principal = caller.principal();
        let (proof, quote, free, by_result) = (None, None, None, None);
        Ok(self.stamped(|_| Quoted { caller, principal, proof, standing, quote, free, by_result }))
    }
}

impl<S> Call<S> {
    /// The price of exactly this call: this tool with these arguments, now, for this buyer. A call that can cost nothing binds
    /// nothing.
    pub(crate) async fn priced<P: Ports>(
        &self,
        gate: &Gate<P>,
        buyer: Buyer<'_>,
        now: UnixMillis,
    ) -> Result<Priced, Verdict> {
        if self.listed.price.is_free() {
            return Ok(Priced::NOTHING);
        }
        let arguments = Arguments::of(&self.request);
        let situation = Situation {
            now,
            usage: self.usage(gate, buyer, now).await?,
            reputation: buyer
                .filter(|(principal, _)| Record::is_kept_for(principal))
                .map(|(_, standing)| standing.reputation),
            reading: &arguments,
        };
        let Due { price, free, by_result } =
            self.listed.price.due(&situation).map_err(Denial::PriceUnknown)?;
        if price.is_free() {
            return Ok(Priced::NOTHING);
        }
        let binding = Binding {
            tool: self.request.tool.clone(),
            args: self.args_digest()?,
            price_version: self.listed.price_version,
            quote: None,
        };
        let expires = now.plus_millis(gate.limits.quote_ttl_ms);
        let settle = spending::settle(self, buyer.map(|(principal, _)| principal), &price, &gate.ports);
        Ok(Priced { quote: Some(Quote { binding, price, settle, expires }), free, by_result })
    }

    /// How often the buyer has called this tool, where its price depends on that. Only an API key is counted: anybody can have a
    /// new wallet for every call.
    async fn usage<P: Ports>(
        &self,
        gate: &Gate<P>,
        buyer: Buyer<'_>,
        now: UnixMillis,
    ) -> Result<Option<Usage>, Verdict> {
        let Some((principal, _)) = buyer.filter(|(principal, _)| principal.as_str().parse::<KeyId>().is_ok())
        else {
            return Ok(None);
        };
        let mut usage = Usage::default();
        for (per, most) in self.listed.price.meters() {
            let counted =
                gate.ports.ledger().calls(principal, &self.request.tool, Period::start(per, now), most);
            usage = usage.with(per, counted.await.map_err(store_fault)?);
        }
        Ok(Some(usage))
    }

    /// Refuses a price above what the caller is willing to pay, and one in another asset than the one in which that was said.
    pub(crate) fn within_maximum(&self, quote: &Quote) -> Result<(), Denial> {
        let Some(maximum) = &self.request.maximum else { return Ok(()) };
        let options = quote.price.options();
        let price = options.iter().find(|option| option.asset == maximum.asset);
        match price.or(options.first()) {
            Some(price) if price.asset != maximum.asset || price.amount > maximum.amount => {
                Err(above(price, maximum))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The digest of the arguments in canonical form.
    pub(crate) fn args_digest(&self) -> Result<Digest, Denial> {
        self.request.args_digest.map_or_else(
            || {
                tollgate_mcp::canonical::digest(&self.request.arguments)
                    .map(Digest::from_bytes)
                    .map_err(|error| Denial::InvalidArguments(vec![error.to_string()]))
            },
            Ok,
        )
    }
}

fn above(price: &Money, maximum: &Money) -> Denial {
    Denial::PriceAboveMaximum { price: Box::new(price.clone()), maximum: Box::new(maximum.clone()) }
}
