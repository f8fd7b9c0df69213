//! Budgets on the street: what a call asks of them, which of its prices fit, and how a call that does not fit is refused.

use tollgate_domain::{
    ApprovalId, Asset, AssetId, Binding, Caller, Money, Price, Principal, Quote, Settle, UnixMillis,
};
use tollgate_ledger::LedgerStore;
use tollgate_ledger::budget::{
    Approval, Ask, Barrier, Change, Changed, Exceeded, HighValue, Spender, Wanted,
};
use tollgate_trust::KeyDirectory;

use crate::call::Call;
use crate::denial::Denial;
use crate::fault::Fault;
use crate::ports::Ports;
use crate::station::{Verdict, store_fault};
use crate::street::Gate;

/// Everything that bounds a call of this caller in this asset.
pub(crate) fn ask<S, P: Ports>(
    call: &Call<S>,
    caller: &Caller,
    principal: &Principal,
    asset: &AssetId,
    settle: Settle,
    ports: &P,
) -> Ask {
    let labels = match caller {
        Caller::ApiKey(id) => ports.keys().labels(id),
        Caller::Anonymous | Caller::Wallet(_) | Caller::Preimage(_) => Default::default(),
    };
    let spender = Spender { caller: *caller, principal, labels: &labels, tool: Some(&call.request.tool) };
    let asked = ports.budgets().ask(&spender, asset);
    // Above a threshold one of the two is enough, if the operator says so.
    match (settle, ports.budgets().high_value) {
        (Settle::Escrow, HighValue::Escrow) => asked.without_approval(),
        _ => asked,
    }
}

/// When the money of a call moves: as its tool says, or into an escrow, where the operator wants that of calls that cost so much. Only
/// the holder of an API key can have one.
pub(crate) fn settle<S, P: Ports>(
    call: &Call<S>,
    principal: Option<&Principal>,
    price: &Price,
    ports: &P,
) -> Settle {
    let said = call.listed.settle;
    let caller = principal.map(Principal::caller).filter(|caller| matches!(caller, Caller::ApiKey(_)));
    let (Some(principal), Some(caller)) = (principal, caller) else { return said };
    if said == Settle::Escrow || ports.budgets().high_value != HighValue::Escrow {
        return said;
    }
    let is_high = |option: &Money| {
        let asked = ask(call, &caller, principal, option.asset.id(), said, ports);
        asked.approve_above().is_some_and(|above| option.amount > above)
    };
    if price.options().iter().any(is_high) { Settle::Escrow } else { said }
}

/// The quote with those prices that its caller may spend now: nobody is asked to pay what would be refused.
///
/// # Errors
/// The denial of the first price, where none is left.
pub(crate) async fn within_budget<S, P: Ports>(
    call: &Call<S>,
    caller: &Caller,
    quote: &Quote,
    gate: &Gate<P>,
    now: UnixMillis,
) -> Result<Quote, Verdict> {
    let principal = caller.principal();
    let wanted = |option: &Money| wanted(&principal, &quote.binding, option);
    let asks = quote.price.options().iter().map(|option| {
        (ask(call, caller, &principal, option.asset.id(), quote.settle, &gate.ports), wanted(option))
    });
    let foreseen = gate.ports.ledger().foresee(asks.collect(), now).await.map_err(store_fault)?;
    let mut kept = Vec::new();
    let mut refused = None;
    for (option, barrier) in quote.price.options().iter().zip(foreseen) {
        match barrier {
            None => kept.push(option.clone()),
            Some(barrier) => refused = refused.or(Some(Barred { barrier, price: option.clone() })),
        }
    }
    match refused {
        Some(barred) if kept.is_empty() => {
            // Boxed: it is rare, and what is not asked should not make every call larger.
            Err(Box::pin(barred.verdict(caller, wanted(&barred.price), gate, now)).await)
        }
        _ => Ok(Quote { price: Price::any_of(kept), ..quote.clone() }),
    }
}

fn wanted(principal: &Principal, binding: &Binding, price: &Money) -> Wanted {
    Wanted {
        caller: principal.clone(),
        tool: binding.tool.clone(),
        args: binding.args,
        asset: price.asset.id().clone(),
        amount: price.amount,
    }
}

/// A price that its caller may not spend now.
#[derive(Debug)]
pub(crate) struct Barred {
    pub(crate) barrier: Barrier,
    pub(crate) price: Money,
}

impl Barred {
    /// The refusal at the claim, where the caller is known.
    pub(crate) async fn at_claim<P: Ports>(
        &self,
        caller: &Caller,
        principal: &Principal,
        binding: &Binding,
        gate: &Gate<P>,
        now: UnixMillis,
    ) -> Verdict {
        self.verdict(caller, wanted(principal, binding, &self.price), gate, now).await
    }

    async fn verdict<P: Ports>(
        &self,
        caller: &Caller,
        wanted: Wanted,
        gate: &Gate<P>,
        now: UnixMillis,
    ) -> Verdict {
        match &self.barrier {
            Barrier::Stopped(target) => Denial::SpendingStopped { target: target.clone() }.into(),
            Barrier::Exceeded(exceeded) => exceeds(exceeded, &self.price.asset, now).into(),
            Barrier::NeedsApproval { above, .. } => {
                let approval = match caller {
                    // Whoever is nobody in particular cannot be approved: everybody else would be too.
                    Caller::Anonymous => Ok(None),
                    Caller::ApiKey(_) | Caller::Wallet(_) | Caller::Preimage(_) => {
                        ask_approval(wanted, gate, now).await
                    }
                };
                let above = Money { amount: *above, asset: self.price.asset.clone() };
                match approval {
                    Ok(approval) => Denial::ApprovalRequired {
                        approval: approval.map(Box::new),
                        price: Box::new(self.price.clone()),
                        above: Box::new(above),
                        is_known: *caller != Caller::Anonymous,
                    }
                    .into(),
                    Err(fault) => fault.into(),
                }
            }
        }
    }
}

fn exceeds(exceeded: &Exceeded, asset: &Asset, now: UnixMillis) -> Denial {
    Denial::BudgetExceeded {
        retry_after_ms: exceeded.resets.map(|resets| resets.millis_since(now)),
        exceeded: Box::new(exceeded.clone()),
        asset: asset.clone(),
    }
}

/// The approval that the call waits for: the one that was asked for before, or a new one. `None` when too many calls of this
/// caller wait.
async fn ask_approval<P: Ports>(
    wanted: Wanted,
    gate: &Gate<P>,
    now: UnixMillis,
) -> Result<Option<Approval>, Fault> {
    let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, ..] = gate.ports.random()?;
    let id = ApprovalId::new(now, [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9]);
    let expires = now.plus_millis(gate.ports.budgets().approval_ttl_ms);
    let change = Change::Ask(Approval::asked(id, wanted, now, expires));
    match gate.ports.ledger().change_budget(change).await.map_err(store_fault)? {
        Changed::Asked(approval) => Ok(approval),
        Changed::Decided(_) | Changed::Stopped(_) => {
            Err(Fault::Internal("the store gave the answer to another change".to_owned()))
        }
    }
}
