//! What clients think of: mostly what a gateway would ask next, now and then nonsense.

use super::dice::Dice;
use super::reference::Reference;
use super::request::{Gift, KEYS, PRINCIPALS, Request, Step, What, is_before};
use super::{escrows, payouts};

/// The clients, who know what was said to them: as much as the reference.
#[derive(Debug)]
pub(super) struct Clients {
    next: u64,
    /// Reservations that somebody asked for.
    reserved: Vec<(Gift, u64)>,
    /// Requests of before, to be asked again with something else in them.
    grants: Vec<What>,
}

impl Clients {
    pub(super) fn new() -> Self {
        Self { next: 1_000, reserved: Vec::new(), grants: Vec::new() }
    }

    /// A number that nobody else has.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn think(&mut self, known: &Reference, now: u64, dice: &mut Dice) -> Request {
        let what = match dice.below(100) {
            0..7 => self.grant(dice),
            7..10 => What::Earn { id: self.number(), units: u128::from(1 + dice.below(20)) },
            10..29 => self.claim(known, dice),
            29..49 => self.step(known, dice),
            49..53 => self.refund(known, dice),
            53..56 => self.give(dice),
            56..60 => self.reserve(now, dice),
            60..63 => self.resolve(dice),
            63..84 => What::Escrow(escrows::think(known, self.number(), dice)),
            _ => What::Payout(payouts::think(known, dice)),
        };
        Request { what, now }
    }

    fn grant(&mut self, dice: &mut Dice) -> What {
        if dice.percent(10)
            && let Some(What::Grant { id, to, units }) = self.grants.last().cloned()
        {
            return What::Grant { id, to, units: units + 1 };
        }
        let (id, to, units) = (self.number(), dice.below(PRINCIPALS), u128::from(1 + dice.below(40)));
        self.grants.push(What::Grant { id, to, units });
        What::Grant { id, to, units }
    }

    /// For a key that is in use, most often the same request again as another call.
    fn claim(&mut self, known: &Reference, dice: &mut Dice) -> What {
        let key = dice.below(KEYS);
        let (mut caller, mut args) = (key % PRINCIPALS, 0);
        if dice.percent(8) {
            caller = dice.below(PRINCIPALS);
        }
        if dice.percent(8) {
            args = 1;
        }
        let units = known.payments.get(&key).filter(|_| dice.percent(70)).map(|payment| payment.units);
        let units = units.unwrap_or_else(|| u128::from(1 + dice.below(12)));
        What::Claim { key, call: self.number(), caller, args, units }
    }

    fn step(&mut self, known: &Reference, dice: &mut Dice) -> What {
        let key = dice.below(KEYS);
        let payment = known.payments.get(&key);
        let call = payment.map_or(1, |payment| payment.call);
        let state = payment.map_or("", |payment| payment.state);
        let after: &[&[Step]] = &[
            &[Step::Executed, Step::Submitted, Step::Settled],
            &[Step::Executed, Step::Submitted],
            &[Step::Executed, Step::Submitted, Step::Unknown],
            &[Step::Voided],
            &[Step::InDoubt],
        ];
        let before: &[&[Step]] = &[
            &[Step::Executed],
            &[Step::Submitted, Step::Settled],
            &[Step::RefundDue, Step::Refunded],
            &[Step::InDoubt, Step::Refunded],
            &[Step::Submitted, Step::Unknown],
        ];
        let open: &[&[Step]] =
            &[&[Step::Settled], &[Step::Failed], &[Step::Unknown], &[Step::Unknown, Step::HandedOver]];
        let all = [
            Step::Executed,
            Step::Submitted,
            Step::Settled,
            Step::Voided,
            Step::Failed,
            Step::Unknown,
            Step::InDoubt,
            Step::HandedOver,
            Step::RefundDue,
            Step::Refunded,
        ];
        let events = match (dice.percent(15), state, is_before(key)) {
            (true, _, _) => vec![dice.pick(&all), dice.pick(&all)],
            (_, "submitted" | "unknown" | "manual", _) => dice.pick(open).to_vec(),
            (_, "refund_due", _) => vec![Step::Refunded],
            (_, _, true) => dice.pick(before).to_vec(),
            (_, _, false) => dice.pick(after).to_vec(),
        };
        What::Step { key, call, events, number: self.number() }
    }

    fn refund(&mut self, known: &Reference, dice: &mut Dice) -> What {
        let key = dice.below(KEYS);
        let payment = known.payments.get(&key);
        let (call, before) = payment.map_or((1, 0), |payment| (payment.call, payment.refunded));
        What::Refund { key, call, id: self.number(), units: u128::from(1 + dice.below(4)), before }
    }

    fn gift(&mut self, dice: &mut Dice) -> Gift {
        let (from, to) = (dice.below(PRINCIPALS), dice.below(PRINCIPALS));
        Gift { id: self.number(), from, to, units: u128::from(1 + dice.below(8)) }
    }

    fn give(&mut self, dice: &mut Dice) -> What {
        let gifts = (0..=dice.below(3)).map(|_| self.gift(dice)).collect();
        What::Give { gifts }
    }

    fn reserve(&mut self, now: u64, dice: &mut Dice) -> What {
        let (gift, expires) = (self.gift(dice), now + dice.below(3_600_000));
        self.reserved.push((gift, expires));
        What::Reserve { gift, expires }
    }

    fn resolve(&mut self, dice: &mut Dice) -> What {
        let Some((reserved, _)) = (!self.reserved.is_empty()).then(|| dice.pick(&self.reserved)) else {
            return self.give(dice);
        };
        let posts = dice.percent(60);
        let units = if posts { 1 + dice.below(u64::try_from(reserved.units).unwrap() + 1) } else { 0 };
        let units = if posts { u128::from(units) } else { reserved.units };
        What::Resolve { gift: Gift { id: self.number(), units, ..reserved }, of: reserved.id, posts }
    }
}
