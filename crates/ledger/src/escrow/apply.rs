//! The one spelling of what may follow on what, who may do it, and what moves.

use tollgate_domain::{Amount, Bps, UnixMillis};

use super::event::{EscrowEvent, Part, Ruling, StakeRuling};
use super::refusal::EscrowRefusal;
use super::row::EscrowRow;
use super::split::{Movement, Movements, Purse, halves, provider_share};
use super::state::{Dispute, EscrowState, Phase, Role};
use super::terms::Mediator;

/// How many pieces of evidence a party may show.
const EVIDENCE_MAX: u8 = 16;

/// What follows on an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// Where the escrow stands now.
    pub state: EscrowState,
    /// What moves, in order.
    pub movements: Vec<Movement>,
}

/// When something happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// What the clock says.
    pub now: UnixMillis,
    /// A deadline that the clock jumped over and whose time has not passed: it stops nobody yet.
    pub held: Option<UnixMillis>,
}

impl From<UnixMillis> for Moment {
    fn from(now: UnixMillis) -> Self {
        Self { now, held: None }
    }
}

/// What follows on `event` by somebody in `role` at a moment.
///
/// # Errors
/// [`EscrowRefusal`]; then nothing follows.
pub fn apply(
    row: &EscrowRow,
    event: &EscrowEvent,
    role: Role,
    at: impl Into<Moment>,
) -> Result<Applied, EscrowRefusal> {
    let Moment { now, held } = at.into();
    if !may_ever(event, role) {
        return Err(EscrowRefusal::WrongParty { event: event.word(), role });
    }
    if role == Role::Clock {
        return expired(row, now);
    }
    let case = Case { row, event, now, held };
    match (row.state, event, role) {
        (EscrowState::Created { expires }, EscrowEvent::Fund, _) => {
            case.in_time()?;
            Ok(moved(EscrowState::Funded { expires }, paid(Purse::Payer, Purse::Escrow, row.terms.amount)))
        }
        (EscrowState::Created { .. }, EscrowEvent::Cancel { .. }, _) => {
            case.in_time()?;
            Ok(moved(EscrowState::Cancelled, Movements::none()))
        }
        (EscrowState::Funded { .. }, EscrowEvent::Lock, _) => {
            case.in_time()?;
            let deadline = now.plus_millis(row.terms.timings.timeout_ms);
            Ok(moved(EscrowState::Locked { deadline }, Movements::none()))
        }
        (EscrowState::Funded { .. }, EscrowEvent::Cancel { .. }, _)
        | (
            EscrowState::Locked { .. } | EscrowState::Delivered { .. },
            EscrowEvent::Cancel { .. },
            Role::Provider,
        ) => {
            case.in_time()?;
            Ok(refunded(row))
        }
        (EscrowState::Locked { .. }, EscrowEvent::Deliver { .. }, _) => {
            case.in_time()?;
            let window_ends = now.plus_millis(row.terms.timings.window_ms);
            Ok(moved(EscrowState::Delivered { window_ends }, Movements::none()))
        }
        // Before the delivery only parts: nobody releases the whole for nothing by a slip.
        (
            EscrowState::Locked { .. },
            EscrowEvent::Accept(part @ (Part::Milestone(_) | Part::Amount(_))),
            _,
        )
        | (EscrowState::Delivered { .. }, EscrowEvent::Accept(part), _) => {
            case.in_time()?;
            released(row, *part)
        }
        (EscrowState::Delivered { .. }, EscrowEvent::Dispute { stake, .. }, _) => {
            case.in_time()?;
            case.disputed(*stake)
        }
        (EscrowState::Disputed(dispute), _, _) => case.in_dispute(dispute, role),
        (_, _, _) => Err(case.wrong_state()),
    }
}

/// Whether somebody in this role may ever do this.
const fn may_ever(event: &EscrowEvent, role: Role) -> bool {
    matches!(
        (event, role),
        (EscrowEvent::Fund | EscrowEvent::Accept(_) | EscrowEvent::Dispute { .. }, Role::Payer)
            | (EscrowEvent::Deliver { .. }, Role::Provider)
            | (
                EscrowEvent::Lock | EscrowEvent::Cancel { .. } | EscrowEvent::Submit { .. },
                Role::Payer | Role::Provider
            )
            | (EscrowEvent::TakeUp, Role::Mediator)
            | (EscrowEvent::Rule { .. }, Role::Mediator | Role::Operator)
            | (EscrowEvent::Expire, Role::Clock)
    )
}

/// An event on its way into an escrow.
struct Case<'a> {
    row: &'a EscrowRow,
    event: &'a EscrowEvent,
    now: UnixMillis,
    held: Option<UnixMillis>,
}

impl Case<'_> {
    fn wrong_state(&self) -> EscrowRefusal {
        EscrowRefusal::WrongState { event: self.event.word(), state: self.row.state.word() }
    }

    /// After a deadline only the clock acts. It does not where it was set ahead, so neither is anybody else kept from acting.
    fn in_time(&self) -> Result<(), EscrowRefusal> {
        match self.row.state.due() {
            Some(due) if self.now >= due && self.held != Some(due) => {
                Err(EscrowRefusal::DeadlinePassed { event: self.event.word(), due })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn disputed(&self, stake: Amount) -> Result<Applied, EscrowRefusal> {
        let least = self.row.terms.dispute_stake;
        if stake < least {
            return Err(EscrowRefusal::Stake { least });
        }
        let until = self.now.plus_millis(self.row.terms.timings.evidence_ms);
        let dispute = Dispute {
            phase: Phase::Evidence { until },
            payer_evidence: 0,
            // A call has its signed receipt, with the digest of what was delivered: it is not lost because nobody speaks for a server.
            provider_evidence: u8::from(self.row.terms.call.is_some()),
            stake,
            mediator_stake: None,
        };
        Ok(moved(EscrowState::Disputed(dispute), paid(Purse::Payer, Purse::Stake, stake)))
    }

    fn in_dispute(&self, dispute: Dispute, role: Role) -> Result<Applied, EscrowRefusal> {
        let (row, phase) = (self.row, dispute.phase);
        match (self.event, role) {
            (EscrowEvent::Submit { .. }, _) => {
                self.in_time()?;
                self.shown(dispute, role)
            }
            // Giving in costs no stake: a dispute that its parties end is the best end.
            (EscrowEvent::Accept(Part::Rest), _) => {
                self.in_time()?;
                let movements = stakes_returned(&dispute).and(Purse::Escrow, Purse::Provider, row.rest());
                Ok(moved(EscrowState::Released, movements.all()))
            }
            (EscrowEvent::Cancel { .. }, Role::Provider) => {
                self.in_time()?;
                let movements = stakes_returned(&dispute).and(Purse::Escrow, Purse::Payer, row.rest());
                Ok(moved(EscrowState::Refunded, movements.all()))
            }
            (EscrowEvent::TakeUp, _)
                if !matches!(phase, Phase::Operator)
                    && matches!(row.terms.mediator, Mediator::Principal(_))
                    && dispute.mediator_stake.is_none() =>
            {
                self.in_time()?;
                let stake = row.terms.mediator_stake;
                let state = EscrowState::Disputed(Dispute { mediator_stake: Some(stake), ..dispute });
                Ok(moved(state, paid(Purse::Mediator, Purse::Stake, stake)))
            }
            (EscrowEvent::Rule { ruling, stake, .. }, Role::Operator) => {
                self.in_time()?;
                Ok(resolved(row, &dispute, *ruling, stake.unwrap_or(ruling.stake()), false))
            }
            (EscrowEvent::Rule { ruling, confidence, stake, .. }, Role::Mediator)
                if matches!(phase, Phase::Mediation { .. }) =>
            {
                self.in_time()?;
                self.mediated(dispute, *ruling, *confidence, *stake)
            }
            (_, _) => Err(self.wrong_state()),
        }
    }

    /// One more piece of evidence; once both sides have shown some, the mediator may decide.
    fn shown(&self, dispute: Dispute, role: Role) -> Result<Applied, EscrowRefusal> {
        let mut dispute = dispute;
        let shown = match role {
            Role::Payer => &mut dispute.payer_evidence,
            _ => &mut dispute.provider_evidence,
        };
        if *shown >= EVIDENCE_MAX {
            return Err(EscrowRefusal::Evidence(EVIDENCE_MAX));
        }
        *shown = shown.saturating_add(1);
        let is_heard = dispute.payer_evidence > 0 && dispute.provider_evidence > 0;
        if is_heard && matches!(dispute.phase, Phase::Evidence { .. }) {
            dispute.phase = after_evidence(self.row, self.now);
        }
        Ok(moved(EscrowState::Disputed(dispute), Movements::none()))
    }

    /// A verdict of the mediator. One that is not sure enough is written down and hands over; the mediator has done its part.
    fn mediated(
        &self,
        dispute: Dispute,
        ruling: Ruling,
        confidence: Bps,
        stake: Option<StakeRuling>,
    ) -> Result<Applied, EscrowRefusal> {
        let terms = &self.row.terms;
        let must_stake = matches!(terms.mediator, Mediator::Principal(_)) && !terms.mediator_stake.is_zero();
        if must_stake && dispute.mediator_stake.is_none() {
            return Err(EscrowRefusal::NotTakenUp(terms.mediator_stake));
        }
        if confidence >= terms.confidence_min {
            return Ok(resolved(self.row, &dispute, ruling, stake.unwrap_or(ruling.stake()), false));
        }
        let returned = dispute.mediator_stake.unwrap_or_default();
        let handed_over = Dispute { phase: Phase::Operator, mediator_stake: None, ..dispute };
        Ok(moved(EscrowState::Disputed(handed_over), paid(Purse::Stake, Purse::Mediator, returned)))
    }
}

/// What follows when a deadline has passed.
fn expired(row: &EscrowRow, now: UnixMillis) -> Result<Applied, EscrowRefusal> {
    if row.state.is_terminal() {
        let (event, state) = (EscrowEvent::Expire.word(), row.state.word());
        return Err(EscrowRefusal::WrongState { event, state });
    }
    if row.state.due().is_none_or(|due| now < due) {
        return Err(EscrowRefusal::NotDue);
    }
    match row.state {
        EscrowState::Created { .. } => Ok(moved(EscrowState::Expired, Movements::none())),
        EscrowState::Funded { .. } | EscrowState::Locked { .. } => Ok(refunded(row)),
        EscrowState::Delivered { .. } => released(row, Part::Rest),
        EscrowState::Disputed(dispute) => Ok(unheard(row, dispute, now)),
        EscrowState::Released
        | EscrowState::Refunded
        | EscrowState::Resolved { .. }
        | EscrowState::Cancelled
        | EscrowState::Expired => Err(EscrowRefusal::NotDue),
    }
}

/// A deadline of a dispute has passed: whoever was silent has lost, a mediator who was silent has lost its stake.
fn unheard(row: &EscrowRow, dispute: Dispute, now: UnixMillis) -> Applied {
    match (dispute.phase, dispute.payer_evidence > 0, dispute.provider_evidence > 0) {
        (Phase::Evidence { .. }, true, false) => {
            resolved(row, &dispute, Ruling::Refund, StakeRuling::Return, true)
        }
        (Phase::Evidence { .. }, false, true) => {
            resolved(row, &dispute, Ruling::Release, StakeRuling::Forfeit, true)
        }
        (Phase::Evidence { .. }, _, _) => {
            let phase = after_evidence(row, now);
            moved(EscrowState::Disputed(Dispute { phase, ..dispute }), Movements::none())
        }
        (Phase::Mediation { .. } | Phase::Operator, _, _) => {
            let (payer, provider) = halves(dispute.mediator_stake.unwrap_or_default());
            let forfeited = Movements::default().and(Purse::Stake, Purse::Payer, payer).and(
                Purse::Stake,
                Purse::Provider,
                provider,
            );
            let handed_over = Dispute { phase: Phase::Operator, mediator_stake: None, ..dispute };
            moved(EscrowState::Disputed(handed_over), forfeited.all())
        }
    }
}

/// Who decides once the parties were heard.
fn after_evidence(row: &EscrowRow, now: UnixMillis) -> Phase {
    match row.terms.mediator {
        Mediator::Nobody => Phase::Operator,
        Mediator::Service | Mediator::Principal(_) => {
            Phase::Mediation { until: now.plus_millis(row.terms.timings.mediation_ms) }
        }
    }
}

fn moved(state: EscrowState, movements: Vec<Movement>) -> Applied {
    Applied { state, movements }
}

fn paid(from: Purse, to: Purse, amount: Amount) -> Vec<Movement> {
    Movements::default().and(from, to, amount).all()
}

fn refunded(row: &EscrowRow) -> Applied {
    moved(EscrowState::Refunded, paid(Purse::Escrow, Purse::Payer, row.rest()))
}

/// A part goes to the provider; with the last one, the escrow ends.
fn released(row: &EscrowRow, part: Part) -> Result<Applied, EscrowRefusal> {
    let has_milestones = !row.terms.milestones.is_empty();
    let amount = match part {
        Part::Rest => row.rest(),
        Part::Amount(_) if has_milestones => {
            return Err(EscrowRefusal::Part("this escrow is released by milestones; name one"));
        }
        Part::Amount(amount) if amount.is_zero() => {
            return Err(EscrowRefusal::Part("a part of nothing cannot be released"));
        }
        Part::Amount(amount) => amount,
        Part::Milestone(place) if row.is_milestone_paid(place) => {
            return Err(EscrowRefusal::Part("this milestone was released before"));
        }
        Part::Milestone(place) => match row.terms.milestones.get(usize::from(place)) {
            Some(milestone) => milestone.amount,
            None => return Err(EscrowRefusal::Part("this escrow has no such milestone")),
        },
    };
    let Some(left) = row.rest().checked_sub(amount) else {
        return Err(EscrowRefusal::Part("this is more than what is left"));
    };
    let state = if left.is_zero() { EscrowState::Released } else { row.state };
    Ok(moved(state, paid(Purse::Escrow, Purse::Provider, amount)))
}

fn stakes_returned(dispute: &Dispute) -> Movements {
    Movements::default().and(Purse::Stake, Purse::Payer, dispute.stake).and(
        Purse::Stake,
        Purse::Mediator,
        dispute.mediator_stake.unwrap_or_default(),
    )
}

/// What is left is divided as ruled; both stakes leave their account.
fn resolved(
    row: &EscrowRow,
    dispute: &Dispute,
    ruling: Ruling,
    stake: StakeRuling,
    by_default: bool,
) -> Applied {
    let rest = row.rest();
    let provider = match ruling {
        Ruling::Release => rest,
        Ruling::Refund => Amount::ZERO,
        Ruling::Split(share) => provider_share(rest, share),
    };
    let payer = rest.checked_sub(provider).unwrap_or_default();
    let staked_to = match stake {
        StakeRuling::Return => Purse::Payer,
        StakeRuling::Forfeit => Purse::Provider,
    };
    let movements = Movements::default()
        .and(Purse::Escrow, Purse::Provider, provider)
        .and(Purse::Escrow, Purse::Payer, payer)
        .and(Purse::Stake, staked_to, dispute.stake)
        .and(Purse::Stake, Purse::Mediator, dispute.mediator_stake.unwrap_or_default());
    moved(EscrowState::Resolved { ruling, by_default }, movements.all())
}

#[cfg(test)]
mod tests;
