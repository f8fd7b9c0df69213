//! How a delivered call becomes an escrow: by the same steps as any other, all of them in the commit of the delivery, and paid from
//! what was taken for the call instead of from the payer's credit.

use std::sync::Arc;

use tollgate_domain::{CallId, EscrowId};

use super::apply::apply;
use super::command::{MoveEscrow, OpenEscrow, Who};
use super::engine::{EscrowChanges, after, opening, refused};
use super::event::EscrowEvent;
use super::state::Role;
use super::terms::{EscrowTerms, Provider};
use crate::budget::Reservation;
use crate::engine::EngineError;
use crate::{Refusal, SettlementRow};
use tollgate_domain::UnixMillis;

/// The escrow of a call: the same number, under another name.
pub fn escrow_of_call(call: &CallId) -> EscrowId {
    EscrowId::from_bytes(*call.as_bytes())
}

/// The escrow of a call that was delivered, from its creation to the delivery. The money is the settlement's to move.
///
/// # Errors
/// [`Refusal::WithoutTerms`] when the terms are not those of this call.
pub(crate) fn entrusted<E>(
    row: &SettlementRow,
    terms: Option<&EscrowTerms>,
    now: UnixMillis,
) -> Result<Vec<EscrowChanges>, EngineError<E>> {
    let is_of_call = |terms: &&EscrowTerms| {
        terms.call == Some(row.call)
            && terms.payer == *row.refund_to()
            && terms.provider == Provider::Server(row.binding.tool.server.clone())
            && (terms.amount, &terms.asset) == (row.due(), &row.asset)
            && terms.splits == row.splits
    };
    let Some(terms) = terms.filter(is_of_call) else {
        return Err(EngineError::Refused(Refusal::WithoutTerms(row.call)));
    };
    let open = OpenEscrow { id: escrow_of_call(&row.call), terms: terms.clone(), now };
    // What moves is told by the receipt of the call.
    let mut opened = opening(&open);
    // What comes back of it is given back to where the call took it from. An approval was for the call, and is used.
    Arc::make_mut(&mut opened.row).reserved =
        Reservation { taken: row.reserved.taken.clone(), approval: None };
    let mut changes = vec![opened];
    let delivered = EscrowEvent::Deliver { result: row.result, note: None };
    for (event, role) in
        [(EscrowEvent::Fund, Role::Payer), (EscrowEvent::Lock, Role::Payer), (delivered, Role::Provider)]
    {
        let Some(before) = changes.last().map(|last| Arc::clone(&last.row)) else { break };
        let applied = apply(&before, &event, role, now).map_err(refused)?;
        let by = match role {
            Role::Payer => Who::Principal(terms.payer.clone()),
            _ => Who::Server,
        };
        let step = MoveEscrow::new(open.id, by, event, now);
        changes.push(EscrowChanges::of(&before, after(&before, &step, applied.state), step, Vec::new()));
    }
    Ok(changes)
}
