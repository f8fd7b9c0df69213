use tollgate_domain::UnixMillis;
use tollgate_rails::{PaymentRefusal, Presented, Proof};
use tollgate_trust::authenticate;

use crate::call::{Authenticated, Call, Presentation, Received};
use crate::denial::Denial;
use crate::ports::Ports;
use crate::station::Refusal;
use crate::street::Gate;

impl Call<Received> {
    /// Finds out who calls: by API key, else by the wallet or preimage that a payment proof shows, else nobody.
    ///
    /// A proof is opened here, purely, because it may be the only identity; nothing of it is accepted yet.
    pub(crate) async fn authenticate<P: Ports>(
        self,
        gate: &Gate<P>,
        now: UnixMillis,
    ) -> Result<Call<Authenticated>, Refusal> {
        let ports = &gate.ports;
        let opened = match &self.request.presented {
            Presentation::Nothing => Ok(None),
            Presentation::Payment(presented) => open(ports, presented).map(Some),
            Presentation::Unreadable(reason) => Err(PaymentRefusal::Unreadable(reason.clone())),
        };
        let proof = match opened {
            Ok(proof) => proof,
            Err(refusal) => {
                let demand = self.demand_afresh(gate, None, now).await;
                return Err(self.refuse(Denial::PaymentRefused { refusal, demand }));
            }
        };
        // A signature that has paid on a chain is public: it shows who pays, and only its claim shows that it is theirs to show. A
        // call that costs nothing claims nothing, so nobody is known by a payment there.
        let proof = proof.filter(|_| !self.listed.price.is_free());
        let payer = proof.as_ref().map(|proof| proof.payer);
        let caller = authenticate(self.request.api_key.as_deref(), payer, ports.keys())
            .map_err(|error| self.refuse(Denial::Unauthenticated { reason: error.to_string() }))?;
        let principal = caller.principal();
        Ok(self.stamped(|Received(())| Authenticated { caller, principal, proof }))
    }
}

/// Opens a presented payment with the rail that reads it; accepts nothing.
pub(crate) fn open<P: Ports>(ports: &P, presented: &Presented) -> Result<Proof, PaymentRefusal> {
    let rail = ports.rails().iter().find(|rail| rail.reads(presented)).ok_or_else(|| {
        PaymentRefusal::Unreadable("no rail of this gateway takes payments of this kind".to_owned())
    })?;
    rail.open(presented)
}
