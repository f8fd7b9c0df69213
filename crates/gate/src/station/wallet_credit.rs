//! Credit of a wallet: what went back of its earlier payments. The next payment that it signs is taken from there, if that is enough.

use tollgate_domain::{Caller, Rail, UnixMillis};
use tollgate_ledger::{AccountName, LedgerStore, State};
use tollgate_rails::{Funds, Payment, SettlementAnswer};

use crate::call::{Call, Screened};
use crate::complete::settlement_of;
use crate::ports::Ports;
use crate::station::{Refusal, store_fault};
use crate::street::Gate;

impl Call<Screened> {
    /// A signed payment that moves with its settlement, paid with credit of the wallet that signed it. Nothing is taken here: the claim decides whether
    /// there is enough, and the signature pays if there is not.
    ///
    /// Only while the chain shows no effect of the signature: once it is there everybody can read it, and could spend the wallet's credit
    /// with a quote of their own.
    pub(super) async fn with_wallet_credit<P: Ports>(
        &self,
        signed: &Payment,
        gate: &Gate<P>,
        now: UnixMillis,
    ) -> Result<Option<Payment>, Refusal> {
        if !matches!(signed.payer, Caller::Wallet(_)) {
            return Ok(None);
        }
        let (ledger, holder) = (gate.ports.ledger(), signed.payer.principal());
        let failed = |error| self.refuse(store_fault(error));
        let credit = ledger.balance(&AccountName::Credit(holder.clone()), &signed.asset).await;
        if credit.map_err(failed)?.available().is_none_or(|available| available < signed.amount) {
            return Ok(None);
        }
        // Whatever became of an earlier claim of this signature is for the claim to say.
        let before = ledger.settlement(&signed.key).await.map_err(failed)?;
        if before.is_some_and(|row| row.state != State::Voided) {
            return Ok(None);
        }
        let rail = gate.rail(signed.key.rail()).map_err(|fault| self.refuse(fault))?;
        match rail.look_up(&settlement_of(signed, now), now).await {
            SettlementAnswer::Absent => {
                // Nobody is to submit it: it is not kept.
                Ok(Some(Payment { funds: Funds::Credit(holder), proof: String::new(), ..signed.clone() }))
            }
            SettlementAnswer::Settled { .. }
            | SettlementAnswer::Failed { .. }
            | SettlementAnswer::Unknown { .. } => Ok(None),
        }
    }
}

/// What to tell whoever signed a payment that was paid with credit.
pub(crate) fn note(payment: &Payment) -> Option<&'static str> {
    let is_credit = payment.key.rail() == Rail::X402 && matches!(payment.funds, Funds::Credit(_));
    is_credit.then_some(
        "Paid with credit of the wallet that signed: the signed payment was not submitted, and will not be.",
    )
}
