//! Who asks for a list of tools, and which of them they could call.

use http::HeaderMap;
use tollgate_domain::{Caller, Requirement, Standing};
use tollgate_trust::{NEWCOMER, authenticate, evaluate};

use crate::found;
use crate::ports::Ports;
use crate::station::evaluate::recorded;
use crate::street::Gate;

/// Whoever asks for a list: known by an API key, or nobody in particular. Nobody pays for a list, so nobody is known by a payment.
#[derive(Clone, Debug)]
pub struct Viewer {
    caller: Caller,
    recorded: Standing,
}

impl Viewer {
    /// Nobody in particular.
    pub const fn stranger() -> Self {
        Self { caller: Caller::Anonymous, recorded: NEWCOMER }
    }

    /// Whether they could call a tool that asks for this, as far as trust goes.
    pub fn may_call(&self, requirement: &Requirement) -> bool {
        evaluate(requirement, &self.caller, &self.recorded).is_ok()
    }
}

impl<P: Ports> Gate<P> {
    /// Who asks for a list. Credentials that are not in order, and callers of whom the books cannot be asked now, are nobody's: a list
    /// shows too little then, never too much.
    pub async fn viewer(&self, headers: &HeaderMap) -> Viewer {
        let found = found::credentials(headers, None, |_| None);
        let key = found.ok().and_then(|credentials| credentials.api_key);
        let Ok(caller) = authenticate(key.as_deref(), None, self.ports.keys()) else {
            return Viewer::stranger();
        };
        match recorded(&self.ports, &caller, &caller.principal()).await {
            Ok(recorded) => Viewer { caller, recorded },
            Err(fault) => {
                tracing::warn!(%fault, "a caller's standing cannot be read: the list is one for nobody in particular");
                Viewer::stranger()
            }
        }
    }
}
