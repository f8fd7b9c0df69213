//! What the clients of a simulation ask for, in numbers; and as commands of the ledger.

use tollgate_domain::{
    Amount, Binding, CallId, Caller, Digest, EscrowId, PaymentKey, Principal, Rail, Settle, TransferId,
};
use tollgate_ledger::{
    AccountName, Advance, Claim, Clearing, Command, Event, Funds, Grant, Refund, RefundCause, Transfer,
    TransferKind,
};

use super::escrows::EscrowAsk;
use super::payouts::{PayoutAsk, destination};
use crate::world::{asset, at, credit, payable, statement, tool};

/// How many principals have prepaid credit.
pub(super) const PRINCIPALS: u64 = 4;
/// Whom a gift goes to that is the wallet's.
pub(super) const WALLET: u64 = PRINCIPALS;
/// How many payment keys there are; they are fought over.
pub(super) const KEYS: u64 = 12;
/// Longer than a simulation, clock jumps included.
const LONG_MS: u64 = 300 * 86_400_000;

/// One request, as a client keeps it to send it again: every delivery is the same command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) what: What,
    /// The client's clock, which jumps.
    pub(super) now: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    Grant {
        id: u64,
        to: u64,
        units: u128,
    },
    Claim {
        key: u64,
        call: u64,
        caller: u64,
        args: u8,
        units: u128,
    },
    Step {
        key: u64,
        call: u64,
        events: Vec<Step>,
        number: u64,
    },
    Refund {
        key: u64,
        call: u64,
        id: u64,
        units: u128,
        before: u128,
    },
    /// Linked gifts: all of them or none.
    Give {
        gifts: Vec<Gift>,
    },
    Reserve {
        gift: Gift,
        expires: u64,
    },
    Resolve {
        gift: Gift,
        of: u64,
        posts: bool,
    },
    /// What the server of the tools earned elsewhere.
    Earn {
        id: u64,
        units: u128,
    },
    Escrow(EscrowAsk),
    Payout(PayoutAsk),
}

/// A transfer between the credit of two principals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gift {
    pub(super) id: u64,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) units: u128,
}

/// An event of a settlement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Executed,
    Submitted,
    Settled,
    Voided,
    Failed,
    Unknown,
    InDoubt,
    HandedOver,
    RefundDue,
    Refunded,
}

/// Keys 0 to 3 are settled on a chain, 4 to 6 have arrived over Lightning, the others are credit of the caller.
pub(super) fn rail(key: u64) -> Rail {
    match key {
        0..4 => Rail::X402,
        4..7 => Rail::L402,
        _ => Rail::Credit,
    }
}

/// Every other key is for a tool that is paid before it runs.
pub(super) fn is_before(key: u64) -> bool {
    key % 2 == 1
}

pub(super) fn principal(number: u64) -> Principal {
    Caller::ApiKey(tollgate_domain::KeyId::from_bytes(bytes(number))).principal()
}

pub(super) fn holder(key: u64) -> Principal {
    Caller::Preimage([u8::try_from(key).unwrap(); 32]).principal()
}

pub(super) fn payment_key(key: u64) -> PaymentKey {
    PaymentKey::new(rail(key), format!("simulated-{key}")).unwrap()
}

pub(super) fn call_id(call: u64) -> CallId {
    CallId::from_bytes(bytes(call))
}

pub(super) fn escrow_id(number: u64) -> EscrowId {
    EscrowId::from_bytes(bytes(number + 1))
}

/// What is sealed twice is refused for its id; only what can happen once is sealed.
pub(super) fn is_sealed(key: u64, events: &[Step]) -> bool {
    let is_end = |event: &Step| match event {
        Step::Settled | Step::Refunded => true,
        Step::Executed => is_before(key),
        _ => false,
    };
    events.iter().any(is_end)
}

/// The id of what is asked for under a number.
pub(super) fn transfer_id(number: u64) -> TransferId {
    TransferId::from_bytes(bytes(number))
}

fn bytes(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

impl Request {
    /// The command, the same each time.
    pub(super) fn command(&self) -> Command {
        let now = at(self.now);
        match &self.what {
            What::Grant { id, to, units } => Command::Grant(Grant {
                from: Clearing::Manual,
                to: if *to == WALLET { destination(1).wallet().unwrap() } else { principal(*to) },
                amount: Amount::new(*units),
                asset: asset(),
                id: transfer_id(*id),
                note: "gift".to_owned(),
                now,
            }),
            What::Claim { key, call, caller, args, units } => {
                let funds = match rail(*key) {
                    Rail::X402 => Funds::OnSettlement,
                    Rail::L402 => Funds::Arrived { holder: holder(*key) },
                    Rail::Credit => Funds::Credit(principal(*caller)),
                };
                Command::Claim(Claim {
                    key: payment_key(*key),
                    call: call_id(*call),
                    caller: principal(*caller),
                    payer: principal(*caller),
                    settle: if is_before(*key) { Settle::Before } else { Settle::After },
                    reference: "books".to_owned(),
                    splits: Default::default(),
                    binding: Binding {
                        tool: tool(),
                        args: Digest::of(&[*args]),
                        price_version: 1,
                        quote: None,
                    },
                    amount: Amount::new(*units),
                    asset: asset(),
                    funds,
                    proof: "proof".into(),
                    expires: at(self.now + LONG_MS),
                    budget: tollgate_ledger::budget::Ask::default(),
                    now,
                })
            }
            What::Step { key, call, events, number } => Command::Advance(Advance {
                key: payment_key(*key),
                call: call_id(*call),
                events: events.iter().map(|event| event.event()).collect(),
                result: events.contains(&Step::Executed).then(|| number.to_be_bytes().to_vec()),
                private: None,
                statement: is_sealed(*key, events).then(|| statement(call_id(*call))),
                escrow: None,
                now,
            }),
            What::Refund { key, call, id, units, before } => Command::Refund(Refund {
                key: payment_key(*key),
                call: call_id(*call),
                id: transfer_id(*id),
                amount: Amount::new(*units),
                before: Amount::new(*before),
                reason: "simulated".to_owned(),
                statement: None,
                private: None,
                now,
            }),
            What::Give { gifts } => {
                Command::Book(gifts.iter().map(|gift| self.transfer(gift, TransferKind::Posted)).collect())
            }
            What::Reserve { gift, expires } => {
                let expires = Some(at(*expires));
                Command::Book(vec![Transfer { expires, ..self.transfer(gift, TransferKind::Pending) }])
            }
            What::Resolve { gift, of, posts } => {
                let of = transfer_id(*of);
                let kind = if *posts { TransferKind::PostPending(of) } else { TransferKind::VoidPending(of) };
                Command::Book(vec![self.transfer(gift, kind)])
            }
            What::Earn { id, units } => {
                let gift = Gift { id: *id, from: 0, to: 0, units: *units };
                let earned = self.transfer(&gift, TransferKind::Posted);
                let debit = AccountName::Clearing(Clearing::L402);
                Command::Book(vec![Transfer { debit, credit: payable(), ..earned }])
            }
            What::Escrow(ask) => Command::Escrow(Box::new(ask.command(self.now))),
            What::Payout(ask) => Command::Payout(Box::new(ask.command(self.now))),
        }
    }

    fn transfer(&self, gift: &Gift, kind: TransferKind) -> Transfer {
        Transfer {
            id: transfer_id(gift.id),
            kind,
            debit: credit(&principal(gift.from)),
            credit: credit(&principal(gift.to)),
            asset: asset(),
            amount: Amount::new(gift.units),
            call: None,
            note: "gift".to_owned(),
            at: at(self.now),
            expires: None,
        }
    }
}

impl Step {
    fn event(self) -> Event {
        let why = || "simulated".to_owned();
        match self {
            Self::Executed => Event::Executed { result: Digest::of(b"42") },
            Self::Submitted => Event::Submitted,
            Self::Settled => Event::Settled { reference: why() },
            Self::Voided => Event::Voided { reason: why() },
            Self::Failed => Event::Failed { reason: why() },
            Self::Unknown => Event::Unknown { evidence: why() },
            Self::InDoubt => Event::FoundInDoubt,
            Self::HandedOver => Event::HandedOver { reason: why() },
            Self::RefundDue => Event::RefundDue { cause: RefundCause::ToolFailed },
            Self::Refunded => Event::Refunded,
        }
    }
}
