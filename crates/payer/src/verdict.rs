//! What an answer to a call means once a payment was sent with it.

use crate::answer::{Heard, RpcError};
use crate::demand::ResultParts;

/// What it means.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The tool's result, or its failure.
    Result(Box<ResultParts>),
    /// A demand to pay once more. It is an answer, not an invitation: one call is paid for once.
    NotTaken {
        /// The server's word for it, where it gave one.
        code: Option<String>,
        /// Its sentence.
        message: String,
    },
    /// A definite no.
    Refused(Box<RpcError>),
    /// The same payment may bring an answer later.
    Unclear {
        /// What came.
        reason: String,
        /// The call to look up, where the server named it.
        call: Option<String>,
    },
}

impl Verdict {
    /// Judges what was heard.
    pub(crate) fn of(heard: Heard) -> Self {
        let demand = match heard {
            Heard::Result(frame) => {
                let mut parts = ResultParts::read(&frame);
                match parts.demand.take() {
                    Some(demand) => demand,
                    None => return Self::Result(Box::new(parts)),
                }
            }
            Heard::Payment(demand) => demand,
            Heard::Error(error) if may_be_presented_again(&error) => {
                let call = error.facts.holding_call_id.or(error.facts.call_id);
                return Self::Unclear { reason: error.message, call };
            }
            Heard::Error(error) => return Self::Refused(Box::new(error)),
            Heard::Nothing { reason } => return Self::Unclear { reason, call: None },
        };
        Self::NotTaken { code: demand.facts.error.clone(), message: demand.message() }
    }
}

/// Whether the server says that the same payment may bring an answer later. Where the tool may have run and nothing was
/// charged, running it again is its caller's decision, not this client's.
fn may_be_presented_again(error: &RpcError) -> bool {
    let may_have_run = ["upstream_timed_out", "upstream_broken"];
    let code = error.facts.error.as_deref().unwrap_or_default();
    error.facts.retryable == Some(true) && !may_have_run.contains(&code)
}
