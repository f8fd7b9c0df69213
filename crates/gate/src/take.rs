//! `settle: before` and `settle: escrow`: the money moves between the claim and the tool. Runs in a task that the house owns, like everything right
//! of the claim: whoever hangs up meanwhile cannot leave a payment half made.

use tollgate_domain::{CallId, Rail, ToolRef};
use tollgate_ledger::Event;
use tollgate_rails::{Funds, Payment, SettlementAnswer};

use crate::call::{Call, Held, Ready};
use crate::complete::{Completed, Ending, after_refusal, settlement_of, warn_in_doubt};
use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::ports::Ports;
use crate::street::Gate;

/// Why a held call is not carried out, with its end on the books: its payment failed, or nobody knows yet.
#[derive(Debug)]
pub struct NotTaken {
    /// The call.
    pub call: CallId,
    /// Its tool.
    pub tool: ToolRef,
    /// How it ended.
    pub completed: Result<Completed, Fault>,
}

impl<P: Ports> Gate<P> {
    /// Takes the money of a held call whose tool is paid before it runs; any other call passes as it is. Only what comes out of
    /// here has a permit to give.
    ///
    /// # Errors
    /// [`NotTaken`]: the call has ended here. The tool was not asked.
    pub async fn take(&self, call: Call<Held>) -> Result<Call<Ready>, Box<NotTaken>> {
        let hold = call.stage.hold.as_ref().filter(|hold| hold.settle.takes_first());
        let Some(payment) = hold.map(|hold| hold.payment.clone()) else { return Ok(ready(call, None)) };
        if payment.funds.settles_on_our_books() {
            // It moved with the claim.
            let reference = own_reference(&payment, call.id);
            return Ok(ready(call, Some(reference)));
        }
        let completed = match Box::pin(self.take_from_rail(&call, &payment)).await {
            Ok(Taken::Paid { reference }) => return Ok(ready(call, Some(reference))),
            Ok(Taken::Ended(completed)) => Ok(*completed),
            // Nothing is forgotten: the row says where the money stands, and is finished at the next start.
            Err(fault) => Err(fault),
        };
        Err(Box::new(NotTaken { call: call.id, tool: call.request.tool.clone(), completed }))
    }

    async fn take_from_rail(&self, call: &Call<Held>, payment: &Payment) -> Result<Taken, Fault> {
        let key = &payment.key;
        let rail = self.rail(key.rail())?;
        self.advance(key, call.id, vec![Event::Submitted], None, None).await?;
        self.ports.reached("after_submitted");
        let now = self.ports.now();
        let answer = rail.settle(&settlement_of(payment, now), now).await;
        self.ports.reached("after_rail");
        let ending = match answer {
            SettlementAnswer::Settled { reference } => {
                let settled = Event::Settled { reference: reference.clone() };
                self.advance(key, call.id, vec![settled], None, None).await?;
                self.ports.reached("after_taken");
                return Ok(Taken::Paid { reference });
            }
            SettlementAnswer::Failed { reason } => {
                let told = self.told_unasked(call, payment, "failed")?;
                let failed = Event::Failed { reason: reason.clone() };
                let evidence = self.advance(key, call.id, vec![failed], None, Some(told)).await?;
                let buyer = Some((&call.stage.principal, &call.stage.standing));
                let demand = call.demand_afresh(self, buyer, self.ports.now()).await;
                (Ending::PaymentFailed { demand: after_refusal(demand, payment, &reason), reason }, evidence)
            }
            open @ (SettlementAnswer::Unknown { .. } | SettlementAnswer::Absent) => {
                let evidence = match open {
                    SettlementAnswer::Unknown { evidence } => evidence,
                    _ => "no effect so far".to_owned(),
                };
                warn_in_doubt(call.id, &evidence);
                self.advance(key, call.id, vec![Event::Unknown { evidence }], None, None).await?;
                (Ending::PaymentPending, Evidence::default())
            }
        };
        let (ending, evidence) = ending;
        Ok(Taken::Ended(Box::new(Completed { call: call.id, ending, evidence })))
    }
}

enum Taken {
    Paid { reference: String },
    Ended(Box<Completed>),
}

fn ready(call: Call<Held>, taken: Option<String>) -> Call<Ready> {
    call.stamped(|held| Ready { held, taken })
}

/// Where money on our own books is found again.
pub(crate) fn own_reference(payment: &Payment, call: CallId) -> String {
    match (payment.key.rail(), &payment.funds) {
        (Rail::X402, Funds::Sandbox) => format!("sandbox:{call}"),
        (Rail::L402, Funds::Arrived) => format!("lightning:{}", payment.key.proof()),
        // What went back of an earlier attempt is credit by now, whichever rail brought it.
        (Rail::X402 | Rail::L402 | Rail::Credit, _) => format!("ledger:{call}"),
    }
}
