//! What providers of a simulation withdraw, and where to, in numbers; and as commands of the ledger.

use tollgate_domain::{Amount, PayoutId};
use tollgate_ledger::payout::{
    Actor, ChangeList, Destination, ListChange, ListedBy, MovePayout, PayoutCommand, PayoutEvent,
    PayoutLimits, PayoutRail, ProviderName, RequestPayout, Source,
};

use super::dice::Dice;
use super::reference::Reference;
use super::request::principal;
use crate::world::{asset, at};

/// How many providers withdraw what one server earned.
pub(super) const PROVIDERS: u64 = 2;
/// How many destinations there are.
pub(super) const DESTINATIONS: u64 = 3;
/// How many payouts; their numbers are fought over.
pub(super) const PAYOUTS: u64 = 12;
/// How long a destination must have been listed, in milliseconds.
pub(super) const COOL_OFF_MS: u64 = 1_800_000;
pub(super) const LEAST: u128 = 2;
pub(super) const PER_PAYOUT: u128 = 12;
pub(super) const PER_DAY: u128 = 24;
pub(super) const APPROVE_ABOVE: u128 = 7;

/// Who acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    Provider(u64),
    Operator,
    Gateway,
}

/// What happens to a payout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    Approve,
    Cancel,
    Submit,
    Settled,
    Failed,
    Unknown,
}

/// One request about payouts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PayoutAsk {
    Request {
        number: u64,
        provider: u64,
        to: u64,
        units: u128,
    },
    /// Of credit of the one wallet, back to it or to a node.
    Credit {
        number: u64,
        to: u64,
        units: u128,
    },
    Move {
        number: u64,
        by: By,
        turn: Turn,
        expected: Option<u64>,
    },
    Add {
        provider: u64,
        to: u64,
    },
    Remove {
        provider: u64,
        to: u64,
    },
    Configured {
        provider: u64,
        to: Vec<u64>,
    },
}

pub(super) fn payout_id(number: u64) -> PayoutId {
    PayoutId::from_bytes(u128::from(number + 1).to_be_bytes())
}

pub(super) fn provider(number: u64) -> ProviderName {
    format!("provider-{number}").parse().unwrap()
}

/// Destination 0 is a Lightning node, 1 an address on a chain, 2 a wallet of the sandbox.
pub(super) fn destination(number: u64) -> Destination {
    let wallet = format!("0x{}", "9".repeat(40));
    let (rail, to) = match number {
        0 => (PayoutRail::Lightning, format!("02{}", "a".repeat(64))),
        1 => (PayoutRail::Evm, wallet),
        _ => (PayoutRail::Sandbox, wallet),
    };
    Destination::new(rail, asset(), &to).unwrap()
}

impl PayoutAsk {
    /// The command, at this moment.
    pub(super) fn command(&self, now: u64) -> PayoutCommand {
        let list = |of: u64, change| {
            PayoutCommand::List(ChangeList { provider: provider(of), change, now: at(now) })
        };
        match self {
            Self::Request { number, provider: of, to, units } => {
                let server = "demo".parse().unwrap();
                let source = Source::Earned { provider: provider(*of), server, by: principal(*of) };
                request(*number, source, *to, *units, now)
            }
            Self::Credit { number, to, units } => {
                let wallet = destination(1).wallet().unwrap();
                request(*number, Source::Credit { wallet, by: None }, *to, *units, now)
            }
            Self::Move { number, by, turn, expected } => PayoutCommand::Move(MovePayout {
                id: payout_id(*number),
                by: by.actor(),
                event: turn.event(),
                expected: *expected,
                now: at(now),
            }),
            Self::Add { provider, to } => {
                list(*provider, ListChange::Add(destination(*to), ListedBy::Operator(None)))
            }
            Self::Remove { provider, to } => list(*provider, ListChange::Remove(destination(*to))),
            Self::Configured { provider, to } => {
                list(*provider, ListChange::Configured(to.iter().map(|to| destination(*to)).collect()))
            }
        }
    }
}

fn request(number: u64, source: Source, to: u64, units: u128, now: u64) -> PayoutCommand {
    PayoutCommand::Request(RequestPayout {
        id: payout_id(number),
        source,
        destination: destination(to),
        amount: Amount::new(units),
        invoice: None,
        of_key: None,
        limits: PayoutLimits {
            cool_off_ms: COOL_OFF_MS,
            least: Amount::new(LEAST),
            per_payout: Amount::new(PER_PAYOUT),
            per_day: Amount::new(PER_DAY),
            approve_above: Some(Amount::new(APPROVE_ABOVE)),
        },
        now: at(now),
    })
}

impl By {
    fn actor(self) -> Actor {
        match self {
            Self::Provider(number) => {
                Actor::Provider { provider: provider(number), principal: principal(number) }
            }
            Self::Operator => Actor::Operator(None),
            Self::Gateway => Actor::Gateway,
        }
    }
}

impl Turn {
    fn event(self) -> PayoutEvent {
        let said = || "simulated".to_owned();
        match self {
            Self::Approve => PayoutEvent::Approve,
            Self::Cancel => PayoutEvent::Cancel,
            Self::Submit => PayoutEvent::Submit { instruction: said() },
            Self::Settled => PayoutEvent::Settled { reference: said() },
            Self::Failed => PayoutEvent::Failed { reason: said() },
            Self::Unknown => PayoutEvent::Unknown { evidence: said() },
        }
    }
}

/// What providers, operators and a gateway would ask next, mostly; now and then nonsense.
pub(super) fn think(known: &Reference, dice: &mut Dice) -> PayoutAsk {
    let (provider, to) = (dice.below(PROVIDERS), dice.below(DESTINATIONS));
    match dice.below(100) {
        0..12 => PayoutAsk::Add { provider, to },
        12..15 => PayoutAsk::Remove { provider, to },
        15..20 => {
            let to = (0..DESTINATIONS).filter(|_| dice.percent(50)).collect();
            PayoutAsk::Configured { provider, to }
        }
        20..28 => {
            let (number, units) = (dice.below(PAYOUTS), u128::from(1 + dice.below(13)));
            PayoutAsk::Credit { number, to: if dice.percent(90) { 1 } else { to }, units }
        }
        28..60 => {
            let (number, units) = (dice.below(PAYOUTS), u128::from(1 + dice.below(13)));
            let listed: Vec<u64> = known
                .listed
                .get(&provider)
                .map(|listed| listed.keys().copied().collect())
                .unwrap_or_default();
            let to = if listed.is_empty() || dice.percent(10) { to } else { dice.pick(&listed) };
            PayoutAsk::Request { number, provider, to, units }
        }
        _ => step(known, dice),
    }
}

fn step(known: &Reference, dice: &mut Dice) -> PayoutAsk {
    use Turn::{Approve, Cancel, Failed, Settled, Submit, Unknown};
    let open: Vec<u64> =
        known.payouts.iter().filter(|(_, payout)| !payout.is_over()).map(|(number, _)| *number).collect();
    let number = if open.is_empty() || dice.percent(10) { dice.below(PAYOUTS) } else { dice.pick(&open) };
    let payout = known.payouts.get(&number);
    // Credit is the operator's to send back, and to keep.
    let own = payout.map_or(By::Provider(0), |payout| payout.provider.map_or(By::Operator, By::Provider));
    let (by, turn) = match payout.map_or("", |payout| payout.state) {
        _ if dice.percent(12) => {
            let by = [own, By::Provider(dice.below(PROVIDERS)), By::Operator, By::Gateway];
            (dice.pick(&by), dice.pick(&[Approve, Cancel, Submit, Settled, Failed, Unknown]))
        }
        "requested" => dice.pick(&[(By::Operator, Approve), (By::Operator, Approve), (own, Cancel)]),
        "held" => {
            let gateway = By::Gateway;
            dice.pick(&[
                (gateway, Submit),
                (gateway, Submit),
                (gateway, Submit),
                (gateway, Failed),
                (own, Cancel),
            ])
        }
        _ => (By::Gateway, dice.pick(&[Settled, Settled, Unknown, Unknown, Failed])),
    };
    let version = payout.map_or(1, |payout| payout.version);
    let expected = dice.percent(50).then(|| if dice.percent(85) { version } else { version + 1 });
    PayoutAsk::Move { number, by, turn, expected }
}
