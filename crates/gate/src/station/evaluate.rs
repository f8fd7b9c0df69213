use tollgate_domain::{Caller, Principal, Standing};
use tollgate_ledger::LedgerStore;
use tollgate_trust::{NEWCOMER, evaluate};

use crate::call::{Authenticated, Call, Trusted};
use crate::denial::Denial;
use crate::fault::Fault;
use crate::ports::Ports;
use crate::station::{Refusal, store_fault};

impl Call<Authenticated> {
    /// Judges the caller against the tool's requirement, before a price is named: who will be refused is never asked to
    /// pay.
    pub(crate) async fn evaluate<P: Ports>(self, ports: &P) -> Result<Call<Trusted>, Refusal> {
        let caller = self.stage.caller;
        let recorded =
            recorded(ports, &caller, &self.stage.principal).await.map_err(|fault| self.refuse(fault))?;
        let standing = evaluate(&self.listed.requirement, &caller, &recorded)
            .map_err(|shortfall| self.refuse(Denial::TrustInsufficient(shortfall)))?;
        Ok(self.stamped(|stage| Trusted {
            caller: stage.caller,
            principal: stage.principal,
            proof: stage.proof,
            standing,
        }))
    }
}

/// What the store remembers of a caller who can come back.
pub(crate) async fn recorded<P: Ports>(
    ports: &P,
    caller: &Caller,
    principal: &Principal,
) -> Result<Standing, Fault> {
    if !caller.is_known() {
        return Ok(NEWCOMER); // judged as nobody in particular, whatever is written here
    }
    let record = ports.ledger().standing(principal).await.map_err(store_fault)?;
    Ok(Standing { reputation: record.reputation, settled_calls: record.settled, ..NEWCOMER })
}
