//! What the parties of a simulated escrow agree on and ask for, in numbers; and as commands of the ledger.

use tollgate_domain::{Amount, Bps};
use tollgate_ledger::escrow::{
    EscrowCommand, EscrowEvent, EscrowTerms, Mediator, Milestone, MoveEscrow, OpenEscrow, Part, Proposal,
    Provider, Ruling, StakeRuling, Timings, Who,
};

use super::dice::Dice;
use super::reference::Reference;
use super::request::{escrow_id, principal};
use crate::world::{asset, at};

/// How many escrows there are between the first two principals; they are fought over.
pub(super) const ESCROWS: u64 = 6;
/// How sure a mediator must be, in ten-thousandths.
pub(super) const CONFIDENCE_MIN: u16 = 8_000;
/// Half an hour: about a round of the simulation.
const HALF_HOUR_MS: u64 = 1_800_000;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Party {
    Payer,
    Provider,
    Mediator,
    Stranger,
    Operator,
    Service,
    Clock,
}

/// What somebody asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// Agree; on a unit more than the escrow is about, where it is the wrong one.
    Open {
        wrong: bool,
    },
    Fund,
    Lock,
    Deliver,
    Accept(Piece),
    Cancel,
    Dispute {
        stake: u128,
    },
    Submit,
    TakeUp,
    Rule {
        verdict: Verdict,
        sure: bool,
        /// Whether the payer's stake is lost; `None`: what follows from the verdict.
        forfeits: Option<bool>,
    },
    Expire,
}

/// How much the payer releases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    Rest,
    Units(u128),
    Milestone(u8),
}

/// How a dispute is decided; a split in ten-thousandths for the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Release,
    Refund,
    Split(u16),
}

/// One request about an escrow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EscrowAsk {
    pub(super) number: u64,
    pub(super) by: Party,
    pub(super) act: Act,
    /// The asker's idempotency key.
    pub(super) key: Option<u64>,
    /// The version that the asker has looked at.
    pub(super) expected: Option<u64>,
}

/// Who decides before the operator does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Judge {
    Nobody,
    Service,
    Principal,
}

/// What was agreed on, in plain numbers; times in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Agreed {
    pub(super) units: u128,
    pub(super) milestones: Vec<u128>,
    pub(super) judge: Judge,
    pub(super) dispute_stake: u128,
    pub(super) mediator_stake: u128,
    pub(super) open: u64,
    pub(super) timeout: u64,
    pub(super) window: u64,
    pub(super) evidence: u64,
    pub(super) mediation: u64,
}

impl Agreed {
    /// What escrow `number` is about: principal 0 pays principal 1; a principal who decides is number 2. The wrong one is about a
    /// unit more, and not in milestones.
    pub(super) fn of(number: u64, is_wrong: bool) -> Self {
        let milestones = match number {
            3 if !is_wrong => vec![10, 16],
            4 if !is_wrong => vec![11, 11, 11],
            _ => Vec::new(),
        };
        Self {
            units: u128::from(number) * 7 + 5 + u128::from(is_wrong),
            milestones,
            judge: [Judge::Principal, Judge::Nobody, Judge::Service][usize::try_from(number % 3).unwrap()],
            dispute_stake: [3, 0][usize::try_from(number % 2).unwrap()],
            mediator_stake: [5, 2][usize::try_from(number / 3).unwrap()],
            open: 8 * HALF_HOUR_MS,
            timeout: 4 * HALF_HOUR_MS,
            window: 6 * HALF_HOUR_MS,
            evidence: 5 * HALF_HOUR_MS,
            mediation: 5 * HALF_HOUR_MS,
        }
    }

    fn terms(&self) -> EscrowTerms {
        let part = |units: &u128| Milestone { title: "a part".into(), amount: Amount::new(*units) };
        EscrowTerms::new(Proposal {
            payer: principal(0),
            provider: Provider::Principal(principal(1)),
            mediator: match self.judge {
                Judge::Nobody => Mediator::Nobody,
                Judge::Service => Mediator::Service,
                Judge::Principal => Mediator::Principal(principal(2)),
            },
            asset: asset(),
            amount: Amount::new(self.units),
            milestones: self.milestones.iter().map(part).collect(),
            description: None,
            timings: Timings {
                open_ms: self.open,
                timeout_ms: self.timeout,
                window_ms: self.window,
                evidence_ms: self.evidence,
                mediation_ms: self.mediation,
            },
            dispute_stake: Amount::new(self.dispute_stake),
            mediator_stake: Amount::new(self.mediator_stake),
            confidence_min: Bps::new(CONFIDENCE_MIN),
            splits: Default::default(),
            call: None,
        })
        .unwrap()
    }
}

impl Party {
    fn who(self) -> Who {
        let number = match self {
            Self::Operator => return Who::Operator(None),
            Self::Service => return Who::Service,
            Self::Clock => return Who::Clock,
            Self::Payer => 0,
            Self::Provider => 1,
            Self::Mediator => 2,
            Self::Stranger => 3,
        };
        Who::Principal(principal(number))
    }
}

impl EscrowAsk {
    /// The command, at this moment.
    pub(super) fn command(&self, now: u64) -> EscrowCommand {
        let (id, now) = (escrow_id(self.number), at(now));
        let event = match self.act {
            Act::Open { wrong } => {
                let terms = Agreed::of(self.number, wrong).terms();
                return EscrowCommand::Open(OpenEscrow { id, terms, now });
            }
            Act::Fund => EscrowEvent::Fund,
            Act::Lock => EscrowEvent::Lock,
            Act::Deliver => EscrowEvent::Deliver { result: None, note: None },
            Act::Accept(Piece::Rest) => EscrowEvent::Accept(Part::Rest),
            Act::Accept(Piece::Units(units)) => EscrowEvent::Accept(Part::Amount(Amount::new(units))),
            Act::Accept(Piece::Milestone(place)) => EscrowEvent::Accept(Part::Milestone(place)),
            Act::Cancel => EscrowEvent::Cancel { reason: None },
            Act::Dispute { stake } => {
                EscrowEvent::Dispute { stake: Amount::new(stake), reason: "simulated".parse().unwrap() }
            }
            Act::Submit => EscrowEvent::Submit { statement: "simulated".parse().unwrap(), document: None },
            Act::TakeUp => EscrowEvent::TakeUp,
            Act::Rule { verdict, sure, forfeits } => EscrowEvent::Rule {
                ruling: match verdict {
                    Verdict::Release => Ruling::Release,
                    Verdict::Refund => Ruling::Refund,
                    Verdict::Split(share) => Ruling::Split(Bps::new(share)),
                },
                confidence: Bps::new(if sure { CONFIDENCE_MIN } else { CONFIDENCE_MIN - 1 }),
                stake: forfeits
                    .map(|forfeits| if forfeits { StakeRuling::Forfeit } else { StakeRuling::Return }),
                reason: None,
            },
            Act::Expire => EscrowEvent::Expire,
        };
        let key = self.key.map(|key| key.to_string());
        let (expected, mode) = (self.expected, Some("sandbox"));
        let step = MoveEscrow::new(id, self.by.who(), event, now);
        EscrowCommand::Move(MoveEscrow { key, expected, mode, ..step })
    }
}

/// What a party would ask next, mostly; now and then nonsense. `number` is an idempotency key of its own.
pub(super) fn think(known: &Reference, number: u64, dice: &mut Dice) -> EscrowAsk {
    let open = known.escrows.iter().filter(|(_, escrow)| !escrow.is_over());
    let open: Vec<u64> = open.map(|(number, _)| *number).collect();
    let escrow = if open.is_empty() || dice.percent(25) { dice.below(ESCROWS) } else { dice.pick(&open) };
    let at = known.escrows.get(&escrow);
    let (by, act) = match (dice.percent(15), at) {
        (true, _) => (party(dice), any(dice)),
        (false, None) => (Party::Payer, Act::Open { wrong: dice.percent(5) }),
        (false, Some(at)) => next(at.state, at.phase, dice),
    };
    // A few keys, so that the same one comes again for something else.
    let key = dice.percent(40).then(|| if dice.percent(20) { dice.below(3) } else { number });
    let version = at.map_or(1, |at| at.version);
    let expected = dice.percent(30).then(|| if dice.percent(80) { version } else { version + 1 });
    EscrowAsk { number: escrow, by, act, key, expected }
}

fn next(state: &str, phase: &str, dice: &mut Dice) -> (Party, Act) {
    use Party::{Clock, Mediator, Operator, Payer, Provider, Service};
    let choices: Vec<(Party, Act)> = match (state, phase) {
        ("created", _) => {
            vec![(Payer, Act::Fund), (Payer, Act::Fund), (Provider, Act::Cancel), (Clock, Act::Expire)]
        }
        ("funded", _) => {
            vec![(Payer, Act::Lock), (Provider, Act::Lock), (Payer, Act::Cancel), (Clock, Act::Expire)]
        }
        ("locked", _) => vec![
            (Provider, Act::Deliver),
            (Provider, Act::Deliver),
            (Provider, Act::Deliver),
            (Payer, Act::Accept(piece(dice))),
            (Provider, Act::Cancel),
            (Clock, Act::Expire),
        ],
        ("delivered", _) => vec![
            (Payer, Act::Dispute { stake: u128::from(dice.below(6)) }),
            (Payer, Act::Dispute { stake: 3 }),
            (Payer, Act::Dispute { stake: 3 }),
            (Payer, Act::Accept(piece(dice))),
            (Payer, Act::Accept(Piece::Rest)),
            (Provider, Act::Cancel),
            (Clock, Act::Expire),
        ],
        ("disputed", "evidence") => vec![
            (Payer, Act::Submit),
            (Provider, Act::Submit),
            (Payer, Act::Submit),
            (Provider, Act::Submit),
            (Mediator, Act::TakeUp),
            (Operator, rule(dice)),
            (Clock, Act::Expire),
            (Clock, Act::Expire),
        ],
        ("disputed", "mediation") => vec![
            (Mediator, Act::TakeUp),
            (Mediator, rule(dice)),
            (Mediator, rule(dice)),
            (Service, rule(dice)),
            (Service, rule(dice)),
            (Clock, Act::Expire),
        ],
        ("disputed", _) => vec![
            (Operator, rule(dice)),
            (Payer, Act::Accept(Piece::Rest)),
            (Provider, Act::Cancel),
            (Payer, Act::Submit),
        ],
        _ => vec![(party(dice), any(dice))],
    };
    dice.pick(&choices)
}

fn party(dice: &mut Dice) -> Party {
    use Party::{Clock, Mediator, Operator, Payer, Provider, Service, Stranger};
    dice.pick(&[Payer, Provider, Mediator, Stranger, Operator, Service, Clock])
}

fn any(dice: &mut Dice) -> Act {
    let (stake, piece, rule) = (u128::from(dice.below(6)), piece(dice), rule(dice));
    let wrong = dice.percent(50);
    dice.pick(&[
        Act::Open { wrong },
        Act::Fund,
        Act::Lock,
        Act::Deliver,
        Act::Accept(piece),
        Act::Cancel,
        Act::Dispute { stake },
        Act::Submit,
        Act::TakeUp,
        rule,
        Act::Expire,
    ])
}

fn piece(dice: &mut Dice) -> Piece {
    let place = u8::try_from(dice.below(4)).unwrap();
    let units = u128::from(dice.below(12));
    dice.pick(&[Piece::Rest, Piece::Milestone(place), Piece::Milestone(place), Piece::Units(units)])
}

fn rule(dice: &mut Dice) -> Act {
    let share = u16::try_from(dice.below(10_001)).unwrap();
    let verdict = dice.pick(&[Verdict::Release, Verdict::Refund, Verdict::Split(share)]);
    Act::Rule { verdict, sure: dice.percent(70), forfeits: dice.pick(&[None, Some(true), Some(false)]) }
}
