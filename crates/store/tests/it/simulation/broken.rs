//! The broken stores of the controls.

use tollgate_domain::Amount;
use tollgate_ledger::escrow::{EscrowCommand, EscrowEvent, Ruling};
use tollgate_ledger::payout::PayoutCommand;
use tollgate_ledger::{Command, Grant};

use super::request::transfer_id;

/// A fault of the store itself, which must be noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// It says that a gift was booked, and has not booked it.
    LosesOne,
    /// It books a gift twice.
    AppliesTwice,
    /// It answers before the commit.
    AnswersEarly,
    /// It pays out a unit more than was asked for.
    PaysOutMore,
    /// It has an escrow decided the other way round.
    Misrules,
}

impl Broken {
    pub(super) const ALL: [Self; 5] =
        [Self::LosesOne, Self::AppliesTwice, Self::AnswersEarly, Self::PaysOutMore, Self::Misrules];

    /// Makes of what is asked what this store would make of it; `number` is nobody else's.
    pub(super) fn tamper(self, commands: &mut Vec<Command>, number: u64) {
        match self {
            Self::LosesOne => {
                if let Some(gift) = commands.iter_mut().find_map(gift) {
                    // Answered like the grant of somebody else's, booked nowhere.
                    gift.to = crate::world::wallet();
                }
            }
            Self::AppliesTwice => {
                if let Some(gift) = commands.iter_mut().find_map(gift) {
                    let again = Grant { id: transfer_id(number), ..gift.clone() };
                    commands.push(Command::Grant(again));
                }
            }
            // The transaction of a crash is what shows it.
            Self::AnswersEarly => {}
            Self::PaysOutMore => {
                for command in commands {
                    if let Command::Payout(command) = command
                        && let PayoutCommand::Request(request) = &mut **command
                    {
                        request.amount = Amount::new(request.amount.get() + 1);
                    }
                }
            }
            Self::Misrules => {
                for command in commands {
                    if let Command::Escrow(command) = command
                        && let EscrowCommand::Move(step) = &mut **command
                        && let EscrowEvent::Rule { ruling, .. } = &mut step.event
                    {
                        *ruling = match *ruling {
                            Ruling::Release => Ruling::Refund,
                            Ruling::Refund | Ruling::Split(_) => Ruling::Release,
                        };
                    }
                }
            }
        }
    }
}

fn gift(command: &mut Command) -> Option<&mut Grant> {
    match command {
        Command::Grant(grant) => Some(grant),
        _ => None,
    }
}
