//! The stations. Each is a leaf: what stands between them is said once, in `street.rs`.

pub(crate) mod authenticate;
pub(crate) mod evaluate;
mod hold;
pub(crate) mod pay;
pub(crate) mod quote;
mod receive;
mod screen;
pub(crate) mod wallet_credit;

use tollgate_domain::{CallId, ToolRef};
use tollgate_ledger::{LedgerStore, Refusal as LedgerRefusal, StoreError, StoredAnswer};

pub(crate) use authenticate::open;

use crate::call::Call;
use crate::denial::Denial;
use crate::fault::Fault;
use crate::ports::Ports;

/// A call that is not carried out, with what it had earned so far.
#[derive(Debug)]
pub struct Refusal {
    /// The call's id; absent where the call was refused before it got one.
    pub call: Option<CallId>,
    /// The tool that was called.
    pub tool: Option<ToolRef>,
    /// Why.
    pub verdict: Box<Verdict>,
}

/// The three ways a call is not carried out.
#[derive(Debug)]
pub enum Verdict {
    /// The caller's turn.
    Denied(Denial),
    /// Our turn.
    Faulted(Fault),
    /// The same proof for the same request was answered before: this is that answer, at no further charge.
    Repeated(StoredAnswer),
}

impl Verdict {
    /// The word in logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.code().word,
            Self::Faulted(fault) => fault.code().word,
            Self::Repeated(_) => "repeated",
        }
    }
}

impl Refusal {
    /// A denial before a call has an id.
    pub fn denied(denial: Denial) -> Self {
        Self { call: None, tool: None, verdict: Box::new(Verdict::Denied(denial)) }
    }

    /// A fault before a call has an id.
    pub fn faulted(fault: Fault) -> Self {
        Self { call: None, tool: None, verdict: Box::new(Verdict::Faulted(fault)) }
    }

    /// Whether the books may have a claim of this call all the same: one that nobody knows of ends as any other.
    pub fn may_have_claimed(&self) -> bool {
        match self.verdict.as_ref() {
            // Decided by the books, or before they were asked; a queue or a disk that is full has taken nothing.
            Verdict::Denied(_) | Verdict::Repeated(_) | Verdict::Faulted(Fault::StoreBusy) => false,
            Verdict::Faulted(_) => true,
        }
    }
}

impl From<Denial> for Verdict {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        Self::Faulted(fault)
    }
}

impl<S> Call<S> {
    /// Ends the walk: the refusal keeps the call's id and tool.
    pub(crate) fn refuse(&self, verdict: impl Into<Verdict>) -> Refusal {
        Refusal {
            call: Some(self.id),
            tool: Some(self.request.tool.clone()),
            verdict: Box::new(verdict.into()),
        }
    }
}

/// What a call that was paid for left behind, for whoever repeats its proof.
pub(crate) async fn answered<P: Ports>(ports: &P, call: &CallId) -> Verdict {
    match ports.ledger().answer(call).await {
        Ok(Some(answer)) if answer.result.is_some() => Verdict::Repeated(answer),
        // Pruned: nothing is given out in its place, and the tool is not run again.
        Ok(Some(_)) => {
            let differs = "it was used for this very request, whose answer is not kept any more";
            Denial::PaymentReplayed { differs: differs.to_owned() }.into()
        }
        Ok(None) => Fault::Internal(format!("{call} is settled and left nothing behind")).into(),
        Err(error) => store_fault(error).into(),
    }
}

/// A store's failure as ours.
pub(crate) fn store_fault(error: StoreError) -> Fault {
    match error {
        StoreError::Busy | StoreError::NoSpace => Fault::StoreBusy,
        // Only a claim that a call ran ahead of can be gone: its step found no space.
        StoreError::Refused(LedgerRefusal::NoSuchSettlement(key)) => {
            tracing::error!(%key, "a tool ran, and its claim was not kept: nothing is charged");
            Fault::StoreBusy
        }
        // A commit without a definite answer closes the store as well.
        StoreError::Closed | StoreError::Unknown(_) => Fault::StoreClosed(error.to_string()),
        other => {
            tracing::error!(error = %other, "the ledger did not do what it was asked");
            Fault::Internal(other.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fault_on_the_way_leaves_open_whether_there_is_a_claim() {
        let closed = || store_fault(StoreError::Unknown("the sync failed".to_owned()));
        let unread = store_fault(StoreError::Definite("the row behind the claim cannot be read".to_owned()));
        for fault in [closed(), unread] {
            assert!(Refusal::faulted(fault).may_have_claimed());
        }
        for not_done in [StoreError::Busy, StoreError::NoSpace] {
            assert!(!Refusal::faulted(store_fault(not_done)).may_have_claimed(), "definitely not done");
        }
        assert!(!Refusal::denied(Denial::SessionMissing).may_have_claimed(), "decided by the books");
    }
}
