//! What should become of an escrow, in plain words and with none of the ledger's code.

use std::collections::{BTreeMap, BTreeSet};

use super::super::escrows::{Act, Agreed, EscrowAsk, Judge, Party, Piece, Verdict};
use super::{Account, Reference};

/// How many pieces of evidence a party may show.
const EVIDENCE_MAX: u32 = 16;

/// An escrow, in plain numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct Escrow {
    pub(in super::super) agreed: Agreed,
    pub(in super::super) state: &'static str,
    /// In a dispute, whose turn it is.
    pub(in super::super) phase: &'static str,
    /// From when on only the clock acts.
    pub(in super::super) due: Option<u64>,
    pub(in super::super) version: u64,
    pub(in super::super) released: u128,
    pub(in super::super) refunded: u128,
    shown: BTreeMap<Party, u32>,
    stake: u128,
    /// `None`: the mediator has not taken the case on.
    mediator_stake: Option<u128>,
    paid: BTreeSet<u8>,
    used: BTreeMap<(Party, u64), Act>,
}

/// What moves, whence and where to.
type Moves = Vec<(Account, Account, u128)>;

impl Escrow {
    fn new(agreed: Agreed, now: u64) -> Self {
        let due = Some(now + agreed.open);
        Self {
            agreed,
            state: "created",
            phase: "",
            due,
            version: 1,
            released: 0,
            refunded: 0,
            shown: BTreeMap::new(),
            stake: 0,
            mediator_stake: None,
            paid: BTreeSet::new(),
            used: BTreeMap::new(),
        }
    }

    fn rest(&self) -> u128 {
        self.agreed.units - self.released - self.refunded
    }

    pub(in super::super) fn is_over(&self) -> bool {
        matches!(self.state, "released" | "refunded" | "resolved" | "cancelled" | "expired")
    }
}

fn payer() -> Account {
    Account::Credit(0)
}

fn provider() -> Account {
    Account::Credit(1)
}

fn mediator() -> Account {
    Account::Credit(2)
}

impl Reference {
    /// Carries out a request about an escrow.
    pub(super) fn escrow(&mut self, ask: &EscrowAsk, now: u64) -> &'static str {
        let before = self.escrows.get(&ask.number).cloned();
        if let Act::Open { wrong } = ask.act {
            let agreed = Agreed::of(ask.number, wrong);
            if let Some(before) = before {
                return if before.agreed == agreed { "again" } else { "refused" };
            }
            self.escrows.insert(ask.number, Escrow::new(agreed, now));
            return "created";
        }
        let Some(before) = before else { return "refused" };
        let is_known = match ask.by {
            Party::Stranger => false,
            Party::Mediator => before.agreed.judge == Judge::Principal,
            Party::Service => before.agreed.judge == Judge::Service,
            Party::Payer | Party::Provider | Party::Operator | Party::Clock => true,
        };
        if !is_known {
            return "refused";
        }
        if let Some(act) = ask.key.and_then(|key| before.used.get(&(ask.by, key))) {
            return if *act == ask.act { "again" } else { "refused" };
        }
        if ask.expected.is_some_and(|expected| expected != before.version) {
            return "refused";
        }
        let mut after = before;
        let Some(moves) = happens(&mut after, ask, now) else { return "refused" };
        let held = self.clone();
        for (from, to, units) in moves.into_iter().filter(|(_, _, units)| *units > 0) {
            if self.available(&from) < units {
                *self = held;
                return "refused";
            }
            match (&from, &to) {
                (Account::Escrow(_), Account::Credit(1)) => after.released += units,
                (Account::Escrow(_), Account::Credit(0)) => after.refunded += units,
                _ => {}
            }
            self.post(&from, &to, units);
        }
        self.receipts += usize::from(self.accounts != held.accounts);
        after.version += 1;
        if let Some(key) = ask.key {
            after.used.insert((ask.by, key), ask.act);
        }
        if after.is_over() {
            after.due = None;
        }
        let state = after.state;
        self.escrows.insert(ask.number, after);
        state
    }
}

/// What follows, and what moves; `None`: nothing may.
fn happens(escrow: &mut Escrow, ask: &EscrowAsk, now: u64) -> Option<Moves> {
    use Party::{Clock, Mediator, Operator, Payer, Provider, Service};
    let is_due = escrow.due.is_some_and(|due| now >= due);
    if (ask.by == Clock) != is_due || (ask.by == Clock) != (ask.act == Act::Expire) || escrow.is_over() {
        return None;
    }
    let (held, staked) = (Account::Escrow(ask.number), Account::Stake(ask.number));
    let rest = escrow.rest();
    let is_disputed = escrow.state == "disputed";
    match (escrow.state, ask.act, ask.by) {
        ("created", Act::Fund, Payer) => {
            escrow.state = "funded";
            Some(vec![(payer(), held, escrow.agreed.units)])
        }
        ("created", Act::Cancel, Payer | Provider) => {
            escrow.state = "cancelled";
            Some(Vec::new())
        }
        ("funded", Act::Lock, Payer | Provider) => {
            (escrow.state, escrow.due) = ("locked", Some(now + escrow.agreed.timeout));
            Some(Vec::new())
        }
        ("funded", Act::Cancel, Payer)
        | ("funded" | "locked" | "delivered" | "disputed", Act::Cancel, Provider)
        | ("funded" | "locked", Act::Expire, _) => {
            escrow.state = "refunded";
            Some([given_back(escrow, &staked), vec![(held, payer(), rest)]].concat())
        }
        ("locked", Act::Deliver, Provider) => {
            (escrow.state, escrow.due) = ("delivered", Some(now + escrow.agreed.window));
            Some(Vec::new())
        }
        ("delivered" | "disputed", Act::Accept(Piece::Rest), Payer) | ("delivered", Act::Expire, _) => {
            escrow.state = "released";
            Some([given_back(escrow, &staked), vec![(held, provider(), rest)]].concat())
        }
        ("locked" | "delivered", Act::Accept(piece), Payer) => {
            let units = part(escrow, piece)?;
            if units == rest {
                escrow.state = "released";
            }
            Some(vec![(held, provider(), units)])
        }
        ("delivered", Act::Dispute { stake }, Payer) if stake >= escrow.agreed.dispute_stake => {
            (escrow.state, escrow.phase) = ("disputed", "evidence");
            (escrow.due, escrow.stake) = (Some(now + escrow.agreed.evidence), stake);
            Some(vec![(payer(), staked, stake)])
        }
        ("disputed", Act::Submit, Payer | Provider) => {
            let shown = escrow.shown.entry(ask.by).or_default();
            if *shown >= EVIDENCE_MAX {
                return None;
            }
            *shown += 1;
            if escrow.phase == "evidence" && escrow.shown.len() == 2 {
                heard(escrow, now);
            }
            Some(Vec::new())
        }
        ("disputed", Act::TakeUp, Mediator)
            if escrow.phase != "operator" && escrow.mediator_stake.is_none() =>
        {
            escrow.mediator_stake = Some(escrow.agreed.mediator_stake);
            Some(vec![(mediator(), staked, escrow.agreed.mediator_stake)])
        }
        ("disputed", Act::Rule { verdict, forfeits, .. }, Operator) => {
            Some(decided(escrow, ask.number, verdict, forfeits))
        }
        ("disputed", Act::Rule { verdict, sure, forfeits }, Mediator | Service)
            if escrow.phase == "mediation" =>
        {
            let has_to_stake = ask.by == Mediator && escrow.agreed.mediator_stake > 0;
            if has_to_stake && escrow.mediator_stake.is_none() {
                return None;
            }
            if sure {
                return Some(decided(escrow, ask.number, verdict, forfeits));
            }
            (escrow.phase, escrow.due) = ("operator", None);
            Some(vec![(staked, mediator(), escrow.mediator_stake.take().unwrap_or(0))])
        }
        ("created", Act::Expire, _) => {
            escrow.state = "expired";
            Some(Vec::new())
        }
        (_, Act::Expire, _) if is_disputed => Some(silent(escrow, ask.number, now)),
        _ => None,
    }
}

/// How much a part is; `None` where there is no such part.
fn part(escrow: &mut Escrow, piece: Piece) -> Option<u128> {
    let units = match piece {
        // The whole is released only once it is delivered.
        Piece::Rest => return None,
        Piece::Units(units) => Some(units).filter(|units| *units > 0 && escrow.agreed.milestones.is_empty()),
        Piece::Milestone(place) => {
            let units = escrow.agreed.milestones.get(usize::from(place)).copied();
            units.filter(|_| escrow.paid.insert(place))
        }
    };
    units.filter(|units| *units <= escrow.rest())
}

/// Both sides were heard, or neither was: whose turn is it?
fn heard(escrow: &mut Escrow, now: u64) {
    (escrow.phase, escrow.due) = match escrow.agreed.judge {
        Judge::Nobody => ("operator", None),
        Judge::Service | Judge::Principal => ("mediation", Some(now + escrow.agreed.mediation)),
    };
}

/// Both stakes, where there are any, go back.
fn given_back(escrow: &mut Escrow, staked: &Account) -> Moves {
    let (stake, of_mediator) = (std::mem::take(&mut escrow.stake), escrow.mediator_stake.take().unwrap_or(0));
    vec![(staked.clone(), payer(), stake), (staked.clone(), mediator(), of_mediator)]
}

/// A dispute is decided.
fn decided(escrow: &mut Escrow, number: u64, verdict: Verdict, forfeits: Option<bool>) -> Moves {
    let (held, staked, rest) = (Account::Escrow(number), Account::Stake(number), escrow.rest());
    let (to_provider, is_lost) = match verdict {
        Verdict::Release => (rest, true),
        Verdict::Refund => (0, false),
        Verdict::Split(share) => (rest * u128::from(share) / 10_000, false),
    };
    let loser = if forfeits.unwrap_or(is_lost) { provider() } else { payer() };
    (escrow.state, escrow.phase) = ("resolved", "");
    let (stake, of_mediator) = (std::mem::take(&mut escrow.stake), escrow.mediator_stake.take().unwrap_or(0));
    vec![
        (held.clone(), provider(), to_provider),
        (held, payer(), rest - to_provider),
        (staked.clone(), loser, stake),
        (staked, mediator(), of_mediator),
    ]
}

/// A deadline of a dispute has passed.
fn silent(escrow: &mut Escrow, number: u64, now: u64) -> Moves {
    let is_heard = |party| escrow.shown.contains_key(&party);
    match (escrow.phase, is_heard(Party::Payer), is_heard(Party::Provider)) {
        ("evidence", true, false) => decided(escrow, number, Verdict::Refund, Some(false)),
        ("evidence", false, true) => decided(escrow, number, Verdict::Release, Some(true)),
        ("evidence", _, _) => {
            heard(escrow, now);
            Vec::new()
        }
        _ => {
            // The mediator was silent and loses its stake to those who waited; the odd unit is the payer's.
            (escrow.phase, escrow.due) = ("operator", None);
            let lost = escrow.mediator_stake.take().unwrap_or(0);
            let staked = Account::Stake(number);
            vec![(staked.clone(), payer(), lost - lost / 2), (staked, provider(), lost / 2)]
        }
    }
}
