use tollgate_domain::{Caller, UnixMillis};
use tollgate_risk::Asking;

use crate::call::{Call, Paid, Received, Screened};
use crate::denial::Denial;
use crate::ports::Ports;
use crate::station::Refusal;
use crate::street::Gate;

impl Call<Received> {
    /// Asks whether a limit that holds whoever calls is reached already, and takes nothing. Before `authenticate`: a flood
    /// of calls that will be refused must not have its signatures checked, nor be asked to pay.
    pub(crate) fn foresee<P: Ports>(&self, ports: &P, now: UnixMillis) -> Result<(), Refusal> {
        let foreseen = ports.limits().foresee_call(self.asking(None), now);
        foreseen.map_err(|limited| self.refuse(Denial::from(limited)))
    }
}

impl Call<Paid> {
    /// Asks whether this behaviour is within its limits, and takes the call from all of them or from none. Left of `hold`: a
    /// refusal burns no proof.
    pub(crate) async fn screen<P: Ports>(
        self,
        gate: &Gate<P>,
        now: UnixMillis,
    ) -> Result<Call<Screened>, Refusal> {
        let taken = gate.take_call(self.asking(Some(&self.stage.caller)), now).await;
        taken.map_err(|limited| self.refuse(Denial::from(limited)))?;
        Ok(self.stamped(|paid| Screened { paid }))
    }
}

impl<S> Call<S> {
    /// What this call shows of itself to its limits.
    pub(crate) fn asking<'a>(&'a self, caller: Option<&'a Caller>) -> Asking<'a> {
        Asking { caller, origin: &self.request.origin, tool: &self.request.tool }
    }
}
