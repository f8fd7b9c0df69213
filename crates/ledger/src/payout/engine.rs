//! From a command to what is written: whether it was asked before, whether it may be, what is booked.

use std::sync::Arc;

use tollgate_domain::{Amount, UnixMillis};

use super::command::{Actor, ChangeList, ListChange, MovePayout, PayoutAnswer, PayoutCommand, RequestPayout};
use super::destination::Destination;
use super::refusal::PayoutRefusal;
use super::row::{Counted, ListedBy, ListedDestination, PayeeRow, PayoutRow, hold_of, release_of};
use super::source::{Payee, Source};
use super::state::{PayoutEffect, PayoutEvent, PayoutState};
use crate::draft::Draft;
use crate::engine::{Books, Changes, EngineError};
use crate::{Refusal, Transfer, TransferKind};

/// How long a payout counts in the limit per day, in milliseconds.
const DAY_MS: u64 = 86_400_000;
/// How long a payout is remembered for that: a clock that was ahead of another one, or went back, by less than the rest makes nobody
/// forget what still counts.
const REMEMBERED_MS: u64 = 2 * DAY_MS;
/// How many destinations a provider may have.
const DESTINATIONS_MAX: usize = 64;
/// How many payouts a payee may have within a day.
const PAYOUTS_PER_DAY_MAX: usize = 256;
/// How much of a rail's words is kept.
const EVIDENCE_CHARS_MAX: usize = 512;

/// What a command writes, besides its transfers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayoutChanges {
    /// The version at which the payout stood before; `None`: it is new.
    pub before: Option<u64>,
    /// The payout as it stands now.
    pub row: Arc<PayoutRow>,
}

/// A payee of whom something else is remembered now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayeeChange {
    /// Its version before; 0: nothing was remembered.
    pub before: u64,
    /// What is remembered now.
    pub row: Arc<PayeeRow>,
}

/// Decides a command. `None` for the changes when there is nothing to write.
///
/// # Errors
/// [`EngineError`] when it is refused or the books cannot be read.
pub(crate) fn decide<B: Books>(
    books: &mut B,
    command: &PayoutCommand,
) -> Result<(PayoutAnswer, Option<Changes>), EngineError<B::Error>> {
    match command {
        PayoutCommand::Request(request) => requested(books, request),
        PayoutCommand::Move(step) => moved(books, step),
        PayoutCommand::List(change) => listed(books, change),
    }
}

fn refused<E>(refusal: PayoutRefusal) -> EngineError<E> {
    EngineError::Refused(Refusal::Payout(Box::new(refusal)))
}

fn payee<B: Books>(books: &mut B, payee: Payee) -> Result<Arc<PayeeRow>, EngineError<B::Error>> {
    let known = books.payee(&payee).map_err(EngineError::Books)?;
    Ok(known.unwrap_or_else(|| Arc::new(PayeeRow::new(payee))))
}

fn requested<B: Books>(
    books: &mut B,
    request: &RequestPayout,
) -> Result<(PayoutAnswer, Option<Changes>), EngineError<B::Error>> {
    if let Some(row) = books.payout(&request.id).map_err(EngineError::Books)? {
        return match is_same(&row, request) {
            true => Ok((PayoutAnswer::Payout { row, replayed: true }, None)),
            false => Err(refused(PayoutRefusal::KeyReused(request.id))),
        };
    }
    let before = payee(books, request.source.payee())?;
    let mut after = PayeeRow::clone(&before);
    after.counted.retain(|counted| request.now < counted.at.plus_millis(REMEMBERED_MS));
    let key = request.of_key.unwrap_or(request.id);
    if let Some(used) = after.counted.iter().find(|counted| counted.of_key.unwrap_or(counted.payout) == key) {
        return Err(refused(PayoutRefusal::KeyReused(used.payout)));
    }
    may_go(&after, request).map_err(refused)?;
    let (asset, debit) = (request.destination.asset(), request.source.account());
    let mut draft = Draft::new(books);
    // An account of earnings may go below zero, by refunds: nothing is paid out of it then.
    let available = draft.balances(&debit, asset)?.available().unwrap_or_default();
    if request.amount > available {
        return Err(refused(PayoutRefusal::Funds { available, needed: request.amount }));
    }
    let needs_approval = request.limits.approve_above.is_some_and(|above| request.amount > above);
    let row = Arc::new(PayoutRow {
        id: request.id,
        source: request.source.clone(),
        destination: request.destination.clone(),
        amount: request.amount,
        invoice: request.invoice.clone(),
        state: if needs_approval { PayoutState::Requested } else { PayoutState::Held },
        instruction: None,
        reference: None,
        evidence: None,
        approved: None,
        version: 1,
        created: request.now,
        updated: request.now,
    });
    draft.book(transfer(&row, TransferKind::Pending, "reserved", request.now), None)?;
    let (payout, of_key, amount, asset, at) =
        (row.id, request.of_key, row.amount, asset.clone(), request.now);
    after.counted.push(Counted { payout, of_key, amount, asset, at });
    let mut changes = draft.changes;
    changes.payout = Some(PayoutChanges { before: None, row: Arc::clone(&row) });
    changes.payee = Some(changed(&before, after));
    Ok((PayoutAnswer::Payout { row, replayed: false }, Some(changes)))
}

/// Whether a payout is the one that is asked for. The limits may have changed since.
fn is_same(row: &PayoutRow, request: &RequestPayout) -> bool {
    row.source.is_same(&request.source)
        && row.destination == request.destination
        && row.amount == request.amount
        && row.invoice == request.invoice
}

/// Whether this may go there, and be so much.
fn may_go(payee: &PayeeRow, request: &RequestPayout) -> Result<(), PayoutRefusal> {
    let RequestPayout { source, destination, amount, limits, now, .. } = request;
    if let Source::Earned { provider, .. } = source {
        let unlisted = || PayoutRefusal::Unlisted(provider.clone());
        let until = payee.listed(destination).ok_or_else(unlisted)?.added.plus_millis(limits.cool_off_ms);
        if *now < until {
            return Err(PayoutRefusal::CoolingOff { until });
        }
    }
    if !source.may_reach(destination) {
        let reason = "credit of a wallet goes back to the wallet's own address on a chain, and nowhere else (in the sandbox it is \
                      the wallet's balance already)";
        return Err(PayoutRefusal::Unpayable(reason.to_owned()));
    }
    if amount.is_zero() || *amount < limits.least {
        return Err(PayoutRefusal::TooSmall { least: limits.least.max(Amount::new(1)) });
    }
    if *amount > limits.per_payout {
        return Err(PayoutRefusal::AboveLimit { per: "at once", left: limits.per_payout });
    }
    let of_day = || payee.counted.iter().filter(|counted| *now < counted.at.plus_millis(DAY_MS));
    let of_asset = of_day().filter(|counted| counted.asset == *destination.asset());
    let counted = of_asset.fold(0_u128, |sum, counted| sum.saturating_add(counted.amount.get()));
    let left = Amount::new(limits.per_day.get().saturating_sub(counted));
    if *amount > left {
        return Err(PayoutRefusal::AboveLimit { per: "per day", left });
    }
    if of_day().count() >= PAYOUTS_PER_DAY_MAX {
        return Err(PayoutRefusal::Full { what: "payouts a day", max: PAYOUTS_PER_DAY_MAX });
    }
    Ok(())
}

fn moved<B: Books>(
    books: &mut B,
    step: &MovePayout,
) -> Result<(PayoutAnswer, Option<Changes>), EngineError<B::Error>> {
    let not_found = || refused(PayoutRefusal::NotFound(step.id));
    let row = books.payout(&step.id).map_err(EngineError::Books)?.ok_or_else(not_found)?;
    if matches!(&step.by, Actor::Provider { provider, .. } if row.source.provider() != Some(provider)) {
        return Err(not_found());
    }
    let (state, effect) = row.state.apply(&step.event, &step.by).map_err(refused)?;
    if step.expected.is_some_and(|expected| expected != row.version) {
        return Err(refused(PayoutRefusal::WrongState { event: step.event.word(), state: row.state }));
    }
    let next = Arc::new(after(&row, step, state));
    let (kind, note) = match effect {
        PayoutEffect::Nothing => (None, ""),
        PayoutEffect::Post => (Some(TransferKind::PostPending(hold_of(&row.id))), "paid out"),
        PayoutEffect::Void => (Some(TransferKind::VoidPending(hold_of(&row.id))), "released"),
    };
    let mut released = None;
    if effect == PayoutEffect::Void {
        let before = payee(books, row.source.payee())?;
        let mut payee = PayeeRow::clone(&before);
        payee.counted.retain(|counted| counted.payout != row.id);
        released = Some(changed(&before, payee));
    }
    let mut draft = Draft::new(books);
    if let Some(kind) = kind {
        draft.book(transfer(&row, kind, note, step.now), Some(row.amount))?;
    }
    let mut changes = draft.changes;
    changes.payout = Some(PayoutChanges { before: Some(row.version), row: Arc::clone(&next) });
    changes.payee = released;
    Ok((PayoutAnswer::Payout { row: next, replayed: false }, Some(changes)))
}

/// The payout one event later.
fn after(row: &PayoutRow, step: &MovePayout, state: PayoutState) -> PayoutRow {
    let mut next = row.clone();
    next.state = state;
    next.version = row.version.saturating_add(1);
    // A clock that went back does not make the payout younger.
    next.updated = step.now.max(row.updated);
    let cut = |text: &str| Some(text.chars().take(EVIDENCE_CHARS_MAX).collect());
    match &step.event {
        PayoutEvent::Approve => next.approved = Some(step.by.to_string()),
        PayoutEvent::Cancel => next.evidence = Some(format!("cancelled by {}", step.by)),
        PayoutEvent::Submit { instruction } => next.instruction = Some(instruction.as_str().into()),
        PayoutEvent::Settled { reference } => next.reference = Some(reference.clone()),
        PayoutEvent::Failed { reason } => next.evidence = cut(reason),
        PayoutEvent::Unknown { evidence } => next.evidence = cut(evidence),
    }
    next
}

fn transfer(row: &PayoutRow, kind: TransferKind, note: &str, now: UnixMillis) -> Transfer {
    Transfer {
        id: if kind == TransferKind::Pending { hold_of(&row.id) } else { release_of(&row.id) },
        kind,
        debit: row.source.account(),
        credit: row.destination.account(),
        asset: row.destination.asset().clone(),
        amount: row.amount,
        call: None,
        note: format!("payout {}: {note}", row.id),
        at: now,
        expires: None,
    }
}

fn changed(before: &PayeeRow, mut after: PayeeRow) -> PayeeChange {
    after.version = before.version.saturating_add(1);
    PayeeChange { before: before.version, row: Arc::new(after) }
}

fn listed<B: Books>(
    books: &mut B,
    change: &ChangeList,
) -> Result<(PayoutAnswer, Option<Changes>), EngineError<B::Error>> {
    let before = payee(books, Payee::Provider(change.provider.clone()))?;
    let mut after = PayeeRow::clone(&before);
    match &change.change {
        ListChange::Add(destination, by) => add(&mut after, destination, *by, change.now),
        ListChange::Remove(destination) => {
            after.destinations.retain(|listed| listed.destination != *destination);
        }
        ListChange::Configured(destinations) => {
            let stays = |listed: &ListedDestination| {
                listed.by != ListedBy::Config || destinations.contains(&listed.destination)
            };
            after.destinations.retain(stays);
            for destination in destinations {
                add(&mut after, destination, ListedBy::Config, change.now);
            }
        }
    }
    if after.destinations.len() > DESTINATIONS_MAX {
        return Err(refused(PayoutRefusal::Full { what: "destinations", max: DESTINATIONS_MAX }));
    }
    if after.destinations == before.destinations {
        return Ok((PayoutAnswer::Listed(before), None));
    }
    let change = changed(&before, after);
    let row = Arc::clone(&change.row);
    Ok((PayoutAnswer::Listed(row), Some(Changes { payee: Some(change), ..Changes::default() })))
}

/// A destination that is listed keeps its moment, whoever lists it again.
fn add(payee: &mut PayeeRow, destination: &Destination, by: ListedBy, now: UnixMillis) {
    if payee.listed(destination).is_none() {
        let destination = destination.clone();
        payee.destinations.push(ListedDestination { destination, added: now, by });
    }
}

#[cfg(test)]
mod tests;
