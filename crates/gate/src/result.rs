//! What a paid call answered, once more: for whoever made the call, for as long as results are kept.

use http::HeaderMap;
use tollgate_domain::{CallId, Caller};
use tollgate_ledger::{LedgerStore, SettlementRow, State, StoredAnswer};
use tollgate_rails::Proof;
use tollgate_trust::authenticate;

use crate::call::Presentation;
use crate::denial::Denial;
use crate::found::{self, Credentials};
use crate::ports::Ports;
use crate::station::{Verdict, open, store_fault};
use crate::street::Gate;

impl<P: Ports> Gate<P> {
    /// The result of a call, asked for with the credentials of the call in these headers: the API key of its caller, or the very
    /// payment. Takes nothing and runs nothing; a payment whose time is over still shows who paid. `None` where nothing was sold
    /// with this call, or not to whoever asks.
    ///
    /// # Errors
    /// A denial when the headers name nobody, or the result is not kept any more; a fault when the books cannot be read.
    pub async fn kept_result(
        &self,
        call: CallId,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Option<StoredAnswer>, Verdict> {
        let ports = &self.ports;
        let Credentials { presented, api_key } = found::credentials(headers, query, |_| None)?;
        let proof = match presented {
            Presentation::Nothing => None,
            Presentation::Payment(presented) => Some(open(ports, &presented).map_err(refused)?),
            Presentation::Unreadable(reason) => {
                return Err(refused(tollgate_rails::PaymentRefusal::Unreadable(reason)));
            }
        };
        let payer = proof.as_ref().map(|proof| proof.payer);
        let caller = authenticate(api_key.as_deref(), payer, ports.keys())
            .map_err(|error| Denial::Unauthenticated { reason: error.to_string() })?;
        if caller == Caller::Anonymous {
            let message = "A result is for whoever paid for it.";
            let next = "Send the API key or the payment of the call, as it was sent with the call itself.";
            return Err(Denial::CredentialNeeded { message, next }.into());
        }
        let row = ports.ledger().settlement_by_call(&call).await.map_err(store_fault)?;
        if !row.is_some_and(|row| is_sold(row.state) && self.is_callers(caller, proof.as_ref(), &row)) {
            return Ok(None);
        }
        match ports.ledger().answer(&call).await.map_err(store_fault)? {
            Some(answer) if answer.result.is_some() => Ok(Some(answer)),
            Some(_) | None => Err(Denial::ResultExpired.into()),
        }
    }

    /// As strict as the claim of a repeated payment: the caller of then, and without an API key the very proof, with the very
    /// quote that it came with.
    fn is_callers(&self, caller: Caller, proof: Option<&Proof>, row: &SettlementRow) -> bool {
        if caller.principal() != row.caller {
            return false;
        }
        if matches!(caller, Caller::ApiKey(_)) {
            return true;
        }
        proof.is_some_and(|proof| {
            let rail = self.ports.rails().iter().find(|rail| rail.rail() == proof.rail);
            let demanded = rail.and_then(|rail| rail.demanded_caller(proof));
            proof.key == row.key
                && proof.quote == row.binding.quote
                && demanded.is_none_or(|demanded| *demanded == row.caller)
        })
    }
}

/// Whether the result was given out for money that was kept.
fn is_sold(state: State) -> bool {
    matches!(state, State::Settled | State::Delivered)
}

fn refused(refusal: tollgate_rails::PaymentRefusal) -> Verdict {
    Denial::PaymentRefused { refusal, demand: None }.into()
}
