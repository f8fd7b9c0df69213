//! Calls that are authorized and wait for their execution: their price is reserved, their tool is not asked yet.
//!
//! The table is memory only: of several gateways, the one that authorized a call is the one that executes it. What it must not forget
//! over a crash stands in the settlement row: a call that was never sent is released at the next start, like any other.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tollgate_domain::{Amount, AssetId, CallId, Digest, Money, Principal, ToolRef};
use tollgate_gate::Denial;
use tollgate_risk::Label;

use crate::carry::Ended;

/// How many authorizations may wait at once.
const WAITING_MAX: usize = 10_000;
/// How many of them may be one caller's: of tools that cost nothing, nothing else would keep it from taking all.
const WAITING_OF_CALLER_MAX: usize = 1_000;

/// Where the end of an executed call is told.
pub type Done = oneshot::Sender<Ended>;

/// One authorized call: what it was authorized for, and how it is begun.
#[derive(Debug)]
pub struct Waiting {
    /// Whose it is.
    pub caller: Principal,
    /// The tool.
    pub tool: ToolRef,
    /// The digest of its canonical arguments.
    pub args: Digest,
    /// What is reserved; zero for a call that costs nothing.
    pub amount: Amount,
    /// Of what.
    pub asset: Option<AssetId>,
    /// Begins it.
    pub begin: oneshot::Sender<Done>,
}

/// What an execution says that it is for.
#[derive(Clone, Copy, Debug)]
pub struct Execution<'a> {
    /// Who asks.
    pub caller: &'a Principal,
    /// The tool.
    pub tool: &'a ToolRef,
    /// The digest of the canonical arguments.
    pub args: Digest,
    /// The most it may cost.
    pub maximum: Option<&'a Money>,
}

/// All authorizations of one gateway that wait.
#[derive(Debug, Default)]
pub struct Authorizations(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<CallId, Waiting>,
    /// How many each caller has; nobody is kept without any.
    of_callers: HashMap<Principal, usize>,
}

impl Table {
    fn remove(&mut self, call: &CallId) -> Option<Waiting> {
        let waiting = self.waiting.remove(call)?;
        match self.of_callers.get_mut(&waiting.caller) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                self.of_callers.remove(&waiting.caller);
            }
        }
        Some(waiting)
    }
}

impl Authorizations {
    /// Whether there is room for one more of this caller.
    ///
    /// # Errors
    /// The limit that is reached, as callers are told of it.
    pub fn has_room(&self, caller: &Principal) -> Result<(), Arc<Label>> {
        let label = |most: usize, per: &str| {
            let (name, rate, per) =
                ("open authorizations".to_owned(), format!("{most} at once"), per.to_owned());
            Err(Arc::new(Label { name, rate, per }))
        };
        let table = self.0.lock();
        if table.of_callers.get(caller).is_some_and(|count| *count >= WAITING_OF_CALLER_MAX) {
            return label(WAITING_OF_CALLER_MAX, "caller");
        }
        if table.waiting.len() >= WAITING_MAX { label(WAITING_MAX, "all") } else { Ok(()) }
    }

    /// Lets a call wait.
    pub fn add(&self, call: CallId, waiting: Waiting) {
        let mut table = self.0.lock();
        let count = table.of_callers.entry(waiting.caller.clone()).or_default();
        *count = count.saturating_add(1);
        table.waiting.insert(call, waiting);
    }

    /// Takes a call out for its execution. The first to ask has it; an execution of something else takes nothing.
    ///
    /// # Errors
    /// The denial. Somebody else's authorization is as unknown as one that never was.
    pub fn take(&self, call: CallId, execution: Execution<'_>) -> Result<oneshot::Sender<Done>, Denial> {
        let mut table = self.0.lock();
        let Some(waiting) = table.waiting.get(&call).filter(|waiting| waiting.caller == *execution.caller)
        else {
            return Err(Denial::AuthorizationUnknown);
        };
        if waiting.tool != *execution.tool {
            return Err(Denial::AuthorizationOtherCall("the tool"));
        }
        if waiting.args != execution.args {
            return Err(Denial::AuthorizationOtherCall("an argument"));
        }
        if let Some(maximum) = execution.maximum
            && waiting.asset.as_ref() == Some(maximum.asset.id())
            && waiting.amount > maximum.amount
        {
            let price = Money { amount: waiting.amount, asset: maximum.asset.clone() };
            return Err(Denial::PriceAboveMaximum { price: price.into(), maximum: maximum.clone().into() });
        }
        table.remove(&call).map(|waiting| waiting.begin).ok_or(Denial::AuthorizationUnknown)
    }

    /// Ends the wait of a call that was not executed. `false`: it was taken a moment ago, and is executed.
    pub fn end(&self, call: CallId) -> bool {
        self.0.lock().remove(&call).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_domain::{Asset, Caller, KeyId};

    fn principal(number: u8) -> Principal {
        Caller::ApiKey(KeyId::from_bytes([number; 16])).principal()
    }

    fn tool(name: &str) -> ToolRef {
        ToolRef { server: "up".parse().unwrap(), tool: name.parse().unwrap() }
    }

    #[test]
    fn an_authorization_is_good_once_for_its_caller_and_its_call_alone() {
        let (call, other) = (CallId::from_bytes([1; 16]), CallId::from_bytes([2; 16]));
        let sats = Asset::new("lightning:regtest/msat", "sat", 3).unwrap();
        let table = Authorizations::default();
        let (begin, _begun) = oneshot::channel();
        table.add(
            call,
            Waiting {
                caller: principal(1),
                tool: tool("echo"),
                args: Digest::of(b"{}"),
                amount: Amount::new(10),
                asset: Some(sats.id().clone()),
                begin,
            },
        );
        let (mine, echo) = (principal(1), tool("echo"));
        let right = Execution { caller: &mine, tool: &echo, args: Digest::of(b"{}"), maximum: None };
        let code =
            |call, execution| table.take(call, execution).map(drop).map_err(|denial| denial.code().word);
        let less = Money { amount: Amount::new(9), asset: sats.clone() };
        let (another, add) = (principal(2), tool("add"));
        assert_eq!(code(other, right), Err("authorization_unknown"));
        assert_eq!(code(call, Execution { caller: &another, ..right }), Err("authorization_unknown"));
        assert_eq!(code(call, Execution { tool: &add, ..right }), Err("authorization_other_call"));
        assert_eq!(
            code(call, Execution { args: Digest::of(b"[]"), ..right }),
            Err("authorization_other_call")
        );
        assert_eq!(code(call, Execution { maximum: Some(&less), ..right }), Err("price_above_maximum"));
        let enough = Money { amount: Amount::new(10), asset: sats };
        assert_eq!(code(call, Execution { maximum: Some(&enough), ..right }), Ok(()), "control");
        assert_eq!(code(call, right), Err("authorization_unknown"), "once");
        assert!(!table.end(call), "what was taken does not run out");
    }

    #[test]
    fn p20_a_caller_who_has_authorizations_wait_takes_no_place_of_another() {
        let table = Authorizations::default();
        let call = |number: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            CallId::from_bytes(bytes)
        };
        let add = |number, caller: u8| {
            let (begin, _begun) = oneshot::channel();
            let (tool, args) = (tool("echo"), Digest::of(b"{}"));
            let (amount, asset) = (Amount::ZERO, None);
            table.add(call(number), Waiting { caller: principal(caller), tool, args, amount, asset, begin });
        };
        (0..WAITING_OF_CALLER_MAX).for_each(|number| add(number, 1));
        assert_eq!(table.has_room(&principal(1)).unwrap_err().per, "caller");
        assert_eq!(table.has_room(&principal(2)), Ok(()), "control");
        assert!(table.end(call(0)));
        assert_eq!(table.has_room(&principal(1)), Ok(()), "one has ended");
        for caller in 2..=10 {
            let from = WAITING_OF_CALLER_MAX * usize::from(caller);
            (from..from + WAITING_OF_CALLER_MAX).for_each(|number| add(number, caller));
        }
        add(0, 1);
        assert_eq!(table.has_room(&principal(11)).unwrap_err().per, "all");
        (0..WAITING_OF_CALLER_MAX).for_each(|number| assert!(table.end(call(number))));
        assert_eq!(table.has_room(&principal(1)), Ok(()));
    }
}
