//! From a command to what is written: who asks, whether that was asked before, what follows, what is booked.

use std::sync::Arc;

use tollgate_domain::{Amount, Digest, TransferId, UnixMillis};

use super::apply::{Applied, Moment, apply};
use super::command::{EscrowCommand, EscrowMoved, MoveEscrow, OpenEscrow, UsedKey, Who};
use super::event::{EscrowEvent, Part};
use super::refusal::EscrowRefusal;
use super::row::EscrowRow;
use super::split::{Movement, Purse};
use super::state::EscrowState;
use super::terms::{Mediator, Provider};
use crate::budget::{self, Fitting, Reservation};
use crate::draft::Draft;
use crate::engine::{Books, Changes, EngineError};
use crate::shares::Earning;
use crate::{AccountName, BookingError, Refusal, Transfer, TransferKind};

/// From how many events on an escrow takes no more single parts; every other kind of event is bounded by itself.
const EVENTS_MAX: u64 = 200;

/// One event of an escrow, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EscrowRecord {
    /// Its place, from 1, without gaps: the version of the escrow after it.
    pub version: u64,
    /// When.
    pub at: UnixMillis,
    /// By whom.
    pub by: Who,
    /// What happened; `None`: the escrow was created.
    pub event: Option<EscrowEvent>,
    /// The word for where it stood then.
    pub state: String,
}

/// What a command writes, besides its transfers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EscrowChanges {
    /// The version at which the escrow stood before; `None`: it is new.
    pub before: Option<u64>,
    /// The escrow as it stands now.
    pub row: Arc<EscrowRow>,
    /// What is kept of the event.
    pub record: EscrowRecord,
    /// What moved with it.
    pub movements: Vec<Movement>,
}

impl EscrowChanges {
    /// A step from one version to the next.
    pub(super) fn of(
        before: &EscrowRow,
        next: EscrowRow,
        step: MoveEscrow,
        movements: Vec<Movement>,
    ) -> Self {
        let record = EscrowRecord {
            version: next.version,
            at: step.now,
            by: step.by,
            event: Some(step.event),
            state: next.state.word().to_owned(),
        };
        Self { before: Some(before.version), row: Arc::new(next), record, movements }
    }
}

/// Decides a command. `None` for the changes when it had been carried out before.
///
/// # Errors
/// [`EngineError`] when it is refused or the books cannot be read.
pub(crate) fn decide<B: Books>(
    books: &mut B,
    command: &EscrowCommand,
) -> Result<(EscrowMoved, Option<Changes>), EngineError<B::Error>> {
    match command {
        EscrowCommand::Open(open) => opened(books, open),
        EscrowCommand::Move(step) => moved(books, step),
    }
}

pub(super) fn refused<E>(refusal: EscrowRefusal) -> EngineError<E> {
    EngineError::Refused(Refusal::Escrow(refusal))
}

fn opened<B: Books>(
    books: &mut B,
    open: &OpenEscrow,
) -> Result<(EscrowMoved, Option<Changes>), EngineError<B::Error>> {
    if let Some(row) = books.escrow(&open.id).map_err(EngineError::Books)? {
        return match row.terms == open.terms {
            true => Ok((unmoved(row, true), None)),
            false => Err(refused(EscrowRefusal::KeyReused)),
        };
    }
    let opening = opening(open);
    let row = Arc::clone(&opening.row);
    let changes = Changes { escrow: vec![opening], ..Changes::default() };
    Ok((unmoved(row, false), Some(changes)))
}

/// The answer without anything that moved.
fn unmoved(row: Arc<EscrowRow>, replayed: bool) -> EscrowMoved {
    EscrowMoved { row, replayed, receipt: None, warnings: Vec::new() }
}

/// An escrow that is agreed on.
pub(super) fn opening(open: &OpenEscrow) -> EscrowChanges {
    let state = EscrowState::Created { expires: open.now.plus_millis(open.terms.timings.open_ms) };
    let row = Arc::new(EscrowRow {
        id: open.id,
        terms: open.terms.clone(),
        state,
        released: Amount::ZERO,
        refunded: Amount::ZERO,
        milestones_paid: 0,
        version: 1,
        keys: Vec::new(),
        reserved: Reservation::default(),
        created: open.now,
        updated: open.now,
    });
    let record = EscrowRecord {
        version: 1,
        at: open.now,
        by: Who::Principal(open.terms.payer.clone()),
        event: None,
        state: state.word().to_owned(),
    };
    EscrowChanges { before: None, row, record, movements: Vec::new() }
}

fn moved<B: Books>(
    books: &mut B,
    step: &MoveEscrow,
) -> Result<(EscrowMoved, Option<Changes>), EngineError<B::Error>> {
    let not_found = || refused(EscrowRefusal::NotFound(step.id));
    let row = books.escrow(&step.id).map_err(EngineError::Books)?.ok_or_else(not_found)?;
    let role = row.role_of(&step.by).ok_or_else(not_found)?;
    let used = step.key.as_deref().map(|key| UsedKey::of(&step.by, key, &step.event));
    if let Some(used) = &used
        && let Some(before) = row.keys.iter().find(|before| before.key == used.key)
    {
        return match before.event == used.event {
            true => Ok((unmoved(row, true), None)),
            false => Err(refused(EscrowRefusal::KeyReused)),
        };
    }
    if let Some(expected) = step.expected.filter(|expected| *expected != row.version) {
        return Err(refused(EscrowRefusal::Changed { version: row.version, expected }));
    }
    if row.version >= EVENTS_MAX && matches!(step.event, EscrowEvent::Accept(Part::Amount(_))) {
        return Err(refused(EscrowRefusal::Full));
    }
    let at = Moment { now: step.now, held: step.held };
    let Applied { state, movements } = apply(&row, &step.event, role, at).map_err(refused)?;
    let mut next = after(&row, step, state);
    next.keys.extend(used);
    let Fitting { reservation, mut usages, warnings } = fitting(books, &row, step)?;
    if step.event == EscrowEvent::Fund {
        next.reserved = reservation;
    }
    let back = given_back(&movements);
    if !back.is_zero() {
        // What comes back was not spent.
        let released = budget::release(books, &row.reserved, &row.terms.asset, back);
        usages = released.map_err(EngineError::Books)?;
    }
    let mut draft = Draft::new(books);
    for (place, movement) in movements.iter().enumerate() {
        let released = next.released;
        counted(&mut next, movement).ok_or_else(|| refused(EscrowRefusal::Full))?;
        let Some(transfer) = transfer(&row, &step.event, movement, place, step.now) else {
            return Err(not_found());
        };
        let server = match (&row.terms.provider, movement.from, movement.to) {
            (Provider::Server(server), Purse::Escrow, Purse::Provider) => Some(server),
            _ => None,
        };
        let Some(server) = server else {
            draft.book(transfer, None).map_err(|error| short(error, movement))?;
            continue;
        };
        let Transfer { id, debit, note, .. } = &transfer;
        let (splits, asset) = (&row.terms.splits, &row.terms.asset);
        let (held, id, at) = (debit.clone(), *id, step.now);
        let earning = Earning { server, splits, held, asset, call: None, id, note, at };
        earning.book(&mut draft, released, next.released)?;
    }
    let mut changes = draft.changes;
    let moved = EscrowChanges::of(&row, next, step.clone(), movements);
    let row = Arc::clone(&moved.row);
    changes.escrow = vec![moved];
    changes.usages = usages;
    Ok((EscrowMoved { warnings, ..unmoved(row, false) }, Some(changes)))
}

/// What paying in takes of the payer's budgets. What is staked in a dispute is no spending: it defends what was spent.
fn fitting<B: Books>(
    books: &mut B,
    row: &EscrowRow,
    step: &MoveEscrow,
) -> Result<Fitting, EngineError<B::Error>> {
    let (EscrowEvent::Fund, Some(ask)) = (&step.event, &step.budget) else { return Ok(Fitting::default()) };
    let spent = (&row.terms.asset, row.terms.amount);
    let fitting =
        budget::fitting(books, ask, &row.terms.payer, spent, step.now).map_err(EngineError::Books)?;
    fitting.map_err(|barrier| refused(EscrowRefusal::Barred(Box::new(barrier))))
}

/// What of the amount comes back to the payer.
fn given_back(movements: &[Movement]) -> Amount {
    let back =
        movements.iter().filter(|movement| (movement.from, movement.to) == (Purse::Escrow, Purse::Payer));
    back.fold(Amount::ZERO, |sum, movement| sum.checked_add(movement.amount).unwrap_or(sum))
}

/// The escrow one event later, without what moves.
pub(super) fn after(row: &EscrowRow, step: &MoveEscrow, state: EscrowState) -> EscrowRow {
    let mut next = row.clone();
    next.state = state;
    next.version = row.version.saturating_add(1);
    // A clock that went back does not make the escrow younger.
    next.updated = step.now.max(row.updated);
    if let EscrowEvent::Accept(Part::Milestone(place)) = step.event {
        next.milestones_paid |= 1_u32.checked_shl(u32::from(place)).unwrap_or_default();
    }
    next
}

/// Counts what leaves the escrow's account.
fn counted(row: &mut EscrowRow, movement: &Movement) -> Option<()> {
    match (movement.from, movement.to) {
        (Purse::Escrow, Purse::Provider) => row.released = row.released.checked_add(movement.amount)?,
        (Purse::Escrow, Purse::Payer) => row.refunded = row.refunded.checked_add(movement.amount)?,
        _ => {}
    }
    Some(())
}

/// The transfer of a movement; `None` for a purse that this escrow does not have.
fn transfer(
    row: &EscrowRow,
    event: &EscrowEvent,
    movement: &Movement,
    place: usize,
    now: UnixMillis,
) -> Option<Transfer> {
    let version = row.version.saturating_add(1);
    let digest = Digest::of(format!("escrow/{}/{version}/{place}", row.id).as_bytes());
    let mut id = [0; 16];
    for (slot, byte) in id.iter_mut().zip(digest.as_bytes()) {
        *slot = *byte;
    }
    Some(Transfer {
        id: TransferId::from_bytes(id),
        kind: TransferKind::Posted,
        debit: account(row, movement.from)?,
        credit: account(row, movement.to)?,
        asset: row.terms.asset.clone(),
        amount: movement.amount,
        call: None,
        note: format!("escrow {}: {}", row.id, event.word()),
        at: now,
        expires: None,
    })
}

fn account(row: &EscrowRow, purse: Purse) -> Option<AccountName> {
    Some(match purse {
        Purse::Payer => AccountName::Credit(row.terms.payer.clone()),
        Purse::Provider => match &row.terms.provider {
            Provider::Principal(provider) => AccountName::Credit(provider.clone()),
            Provider::Server(server) => AccountName::Payable(server.clone()),
        },
        Purse::Escrow => AccountName::Escrow(row.id),
        Purse::Stake => AccountName::Stake(row.id),
        Purse::Mediator => match &row.terms.mediator {
            Mediator::Principal(mediator) => AccountName::Credit(mediator.clone()),
            Mediator::Nobody | Mediator::Service => return None,
        },
    })
}

/// What it means that a movement cannot be booked: whoever pays in may have too little.
fn short<E>(error: EngineError<E>, movement: &Movement) -> EngineError<E> {
    match (error, movement.from) {
        (
            EngineError::Refused(Refusal::Booking(BookingError::ExceedsCredits { available })),
            Purse::Payer | Purse::Mediator,
        ) => refused(EscrowRefusal::Funds { available, needed: movement.amount }),
        (other, _) => other,
    }
}

#[cfg(test)]
mod tests;
