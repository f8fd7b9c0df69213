//! The street itself: the order of the stations, with why each stands where it does.

use tollgate_domain::UnixMillis;
use tollgate_risk::{Asking, Limited};

use crate::call::{Call, Held, Request, Screened};
use crate::entrust::CallEscrows;
use crate::ports::{Mode, Ports};
use crate::station::Refusal;

/// What an operator may tune of the street.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// How long a quoted price is honoured.
    pub quote_ttl_ms: u64,
    /// Whether a free call of a policed server is recorded with a receipt.
    pub receipts_for_free_calls: bool,
    /// How long past its expiry an unsettled proof is watched before it counts as without effect.
    pub finality_ms: u64,
    /// Whether the money is real.
    pub mode: Mode,
    /// What the escrows of calls are agreed on with.
    pub escrows: CallEscrows,
}

/// One gateway's street, over its ports.
#[derive(Debug)]
pub struct Gate<P> {
    pub(crate) ports: P,
    pub(crate) limits: GateLimits,
}

impl<P: Ports> Gate<P> {
    /// A street over these ports.
    pub fn new(ports: P, limits: GateLimits) -> Self {
        Self { ports, limits }
    }

    /// What the street reaches outside itself.
    pub fn ports(&self) -> &P {
        &self.ports
    }

    /// The limits it works within.
    pub fn limits(&self) -> &GateLimits {
        &self.limits
    }

    /// The first half: everything that must be true before a tool may run.
    ///
    /// # Errors
    /// A [`Refusal`], decided before any money moved.
    pub async fn authorize(&self, request: Request, now: UnixMillis) -> Result<Call<Held>, Refusal> {
        let call = self.vet(request, now).await?;
        self.hold(call).await
    }

    /// The part of it that leaves nothing behind: everything left of the hold.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn vet(&self, request: Request, now: UnixMillis) -> Result<Call<Screened>, Refusal> {
        let call = Call::receive(request, &self.ports, now)?;
        call.foresee(&self.ports, now)?; // takes nothing; before any signature is checked for a call that will be refused
        let call = call.authenticate(self, now).await?;
        let call = call.evaluate(&self.ports).await?; // before the price: who will be refused is never asked to pay
        let call = call.quote(self, now).await?; // schema first, then price: nobody pays for malformed arguments
        let call = call.pay(self, now).await?; // verified purely; an invalid proof burns nothing
        call.screen(self, now).await // left of hold: a refusal burns no proof
    }

    /// Takes a call from every limit that holds for it, here and over all gateways, or from none.
    ///
    /// # Errors
    /// [`Limited`] when one of them is reached.
    pub async fn take_call(&self, asking: Asking<'_>, now: UnixMillis) -> Result<(), Limited> {
        let Some(shared) = self.ports.limits().take_call(asking, now)? else { return Ok(()) };
        // Rare, so that it makes no other call's future larger.
        let asked = Box::pin(self.ports.take_shared(shared.asks())).await;
        asked.map_err(|crowded| shared.refused(crowded, self.ports.now()))
    }

    /// The rest of it: the claim. Durable: from here on, exactly one settlement or void.
    ///
    /// # Errors
    /// A [`Refusal`], when the payment was used before or the credit is too low.
    pub async fn hold(&self, call: Call<Screened>) -> Result<Call<Held>, Refusal> {
        let now = call.received; // one moment for the whole half
        call.hold(self, now).await
    }
}
