//! The decision: whether a call fits into every budget that it belongs to, and what it takes from them.

use tollgate_domain::{Amount, AssetId, CallId, Principal, UnixMillis};

use super::{
    Approval, ApprovalEvent, Ask, Counter, NodeKey, Reservation, Span, Taken, Target, Usage, Wanted,
};
use crate::Books;

/// What keeps a call from being claimed. Nothing was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Barrier {
    /// An operator has stopped it.
    Stopped(Target),
    /// It does not fit into a limit.
    Exceeded(Exceeded),
    /// Nobody has approved it.
    NeedsApproval {
        /// The node that asks for it.
        node: NodeKey,
        /// Above this.
        above: Amount,
    },
}

/// A limit that a call does not fit into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exceeded {
    /// Whose.
    pub node: NodeKey,
    /// Which.
    pub kind: LimitKind,
    /// How much may be spent at most.
    pub limit: Amount,
    /// How much of it is spent or reserved already.
    pub used: Amount,
    /// How much the call would have taken.
    pub asked: Amount,
    /// When all of it may be spent again; never for what one call may cost.
    pub resets: Option<UnixMillis>,
}

/// Which limit of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LimitKind {
    /// What one call may cost.
    Call,
    /// What may be spent in one window.
    Window(Span),
}

impl LimitKind {
    /// The word for it: `call` or that of the span.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Window(span) => span.word(),
        }
    }
}

/// A soft limit that was passed by this call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// What was counted.
    pub counter: Counter,
    /// The soft limit.
    pub warn: Amount,
    /// What is used by now.
    pub used: Amount,
}

/// What a call comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Weighed {
    /// It fits: write these with its claim.
    Within {
        /// To be kept with the settlement.
        reservation: Reservation,
        /// What the counters say from then on.
        usages: Vec<(Counter, Usage)>,
        /// The approval that is used, as it stands from then on.
        approval: Option<Box<Approval>>,
        /// Soft limits that it passes.
        warnings: Vec<Warning>,
    },
    /// It does not.
    Barred(Barrier),
}

impl Weighed {
    /// What a call that spends nothing comes to.
    pub(crate) fn nothing() -> Self {
        let reservation = Reservation::default();
        Self::Within { reservation, usages: Vec::new(), approval: None, warnings: Vec::new() }
    }
}

/// What fits into every limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fitting {
    pub(crate) reservation: Reservation,
    pub(crate) usages: Vec<(Counter, Usage)>,
    pub(crate) warnings: Vec<Warning>,
}

/// Weighs a call: against stops, then every limit of every node, then whether it has to be approved. Takes from all of them or
/// from none. An approval is asked for last: nobody is asked about a call that would be refused all the same.
///
/// # Errors
/// When the books cannot be read.
pub fn weigh<B: Books>(
    books: &mut B,
    ask: &Ask,
    wanted: &Wanted,
    call: CallId,
    now: UnixMillis,
) -> Result<Weighed, B::Error> {
    let Fitting { mut reservation, usages, warnings } =
        match fitting(books, ask, &wanted.caller, (&wanted.asset, wanted.amount), now)? {
            Ok(fitting) => fitting,
            Err(barrier) => return Ok(Weighed::Barred(barrier)),
        };
    let asking = ask.nodes.iter().filter_map(|node| Some((node, node.approve_above?)));
    let mut approval = None;
    if let Some((node, above)) =
        asking.min_by_key(|(_, above)| *above).filter(|(_, above)| wanted.amount > *above)
    {
        let found = books.approval_of(wanted)?.filter(|approval| approval.lets_pass(wanted, now));
        let used = found.and_then(|found| found.apply(&ApprovalEvent::Use { call }, now).ok());
        let Some(used) = used else {
            return Ok(Weighed::Barred(Barrier::NeedsApproval { node: node.key.clone(), above }));
        };
        reservation.approval = Some(used.id);
        approval = Some(Box::new(used));
    }
    Ok(Weighed::Within { reservation, usages, approval, warnings })
}

/// Weighs what is spent on no tool, so that nobody can approve it as one call: against stops, then every limit of every node. Takes
/// from all of them or from none.
///
/// # Errors
/// When the books cannot be read.
pub(crate) fn fitting<B: Books>(
    books: &mut B,
    ask: &Ask,
    caller: &Principal,
    (asset, amount): (&AssetId, Amount),
    now: UnixMillis,
) -> Result<Result<Fitting, Barrier>, B::Error> {
    if let Some(target) = books.stops()?.holding(ask, caller) {
        return Ok(Err(Barrier::Stopped(target)));
    }
    if let Some(exceeded) = above_per_call(ask, amount) {
        return Ok(Err(Barrier::Exceeded(exceeded)));
    }
    let mut fitting = Fitting::default();
    // Of several limits that are reached, the caller is told the one that takes longest.
    let mut exceeded: Option<Exceeded> = None;
    for (counter, node, counted) in ask.counters(asset) {
        let span = counter.span;
        let usage = Usage::at(books.usage(&counter)?, span, now, ask.calendar);
        let fits = |after: &Usage| counted.limit.is_none_or(|limit| after.used <= limit);
        let Some(after) = usage.reserve(amount, now).filter(fits) else {
            let found = Exceeded {
                node: node.key.clone(),
                kind: LimitKind::Window(span),
                limit: counted.limit.unwrap_or(Amount::new(u128::MAX)),
                used: usage.used,
                asked: amount,
                resets: Some(usage.resets(span, ask.calendar)),
            };
            let takes_longer = exceeded.as_ref().is_none_or(|known| found.resets > known.resets);
            if takes_longer {
                exceeded = Some(found);
            }
            continue;
        };
        if let Some(warn) = counted.warn.filter(|warn| usage.used < *warn && *warn <= after.used) {
            fitting.warnings.push(Warning { counter: counter.clone(), warn, used: after.used });
        }
        fitting.reservation.taken.push(Taken { node: node.key.clone(), span, start: after.start });
        fitting.usages.push((counter, after));
    }
    Ok(match exceeded {
        Some(exceeded) => Err(Barrier::Exceeded(exceeded)),
        None => Ok(fitting),
    })
}

fn above_per_call(ask: &Ask, amount: Amount) -> Option<Exceeded> {
    let limits = ask.nodes.iter().filter_map(|node| Some((node, node.per_call?)));
    let (node, limit) = limits.min_by_key(|(_, limit)| *limit).filter(|(_, limit)| amount > *limit)?;
    Some(Exceeded {
        node: node.key.clone(),
        kind: LimitKind::Call,
        limit,
        used: Amount::ZERO,
        asked: amount,
        resets: None,
    })
}

/// What a void gives back: the counters as they stand from then on, and the approval that may be used again.
///
/// # Errors
/// When the books cannot be read.
#[expect(clippy::type_complexity, reason = "what is written of each kind, side by side")]
pub(crate) fn give_back<B: Books>(
    books: &mut B,
    reservation: &Reservation,
    wanted: &Wanted,
    call: CallId,
    now: UnixMillis,
) -> Result<(Vec<(Counter, Usage)>, Option<Approval>), B::Error> {
    let usages = release(books, reservation, &wanted.asset, wanted.amount)?;
    let used = match &reservation.approval {
        Some(id) => books.approval(id)?,
        None => None,
    };
    let back = used.and_then(|used| used.apply(&ApprovalEvent::GiveBack { call }, now).ok());
    Ok((usages, back))
}

/// The counters as they stand once so much of a reservation is released, all of it or what was not charged in the end.
///
/// # Errors
/// When the books cannot be read.
pub(crate) fn release<B: Books>(
    books: &mut B,
    reservation: &Reservation,
    asset: &AssetId,
    amount: Amount,
) -> Result<Vec<(Counter, Usage)>, B::Error> {
    let mut usages = Vec::new();
    for Taken { node, span, start } in &reservation.taken {
        let counter = Counter { node: node.clone(), asset: asset.clone(), span: *span };
        // A row that is gone was of a window that is over.
        if let Some(usage) = books.usage(&counter)? {
            usages.push((counter, usage.release(amount, *start)));
        }
    }
    Ok(usages)
}

#[cfg(test)]
mod tests;
